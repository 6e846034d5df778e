"""A log-linear model over what two wordings say differently: sparse features by name, and the dense ones.

    scores = model.scores(rows, words)       # unnormalised: only differences between candidates of one mention count

Weights lie in a table that a person can read (``words.tsv``: feature, weight). Trained by :mod:`jointcoder.learn`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from jointcoder.errors import AssetError
from jointcoder.packs.terms.index import Floats

TABLE, DENSE = "words.tsv", "words.json"


@dataclass(frozen=True)
class LogLinear:
    """``words``: weight of each sparse feature; ``slopes``: of each dense one, in its own unit."""

    words: Mapping[str, float] = field(repr=False)
    slopes: tuple[float, ...]

    def scores(self, rows: Floats, words: Sequence[Iterable[str]]) -> Floats:
        """One score a candidate."""
        if not len(words):
            return np.zeros(0)
        get = self.words.get
        sparse = [math.fsum(get(word, 0.0) for word in mine) for mine in words]
        return np.asarray(rows @ np.asarray(self.slopes) + np.asarray(sparse), dtype=np.float64)

    def telling(self, words: Iterable[str], k: int) -> list[tuple[str, float]]:
        """The ``k`` sparse features of a candidate that say most."""
        found = [(word, self.words[word]) for word in words if word in self.words]
        return sorted(found, key=lambda pair: (-abs(pair[1]), pair[0]))[:k]

    def save(self, folder: Path) -> None:
        lines = (f"{word}\t{weight:.4g}\n" for word, weight in sorted(self.words.items()))
        (folder / TABLE).write_text("".join(lines), "utf-8")
        (folder / DENSE).write_text(json.dumps(list(self.slopes)) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises AssetError JC212 when a file is missing or damaged."""
        try:
            words = {}
            for line in (folder / TABLE).read_text("utf-8").split("\n"):
                if line:
                    word, _, weight = line.rpartition("\t")
                    words[word] = float(weight)
            return cls(words, tuple(map(float, json.loads((folder / DENSE).read_text("utf-8")))))
        except (OSError, ValueError, TypeError) as error:
            raise AssetError("JC212", f"the terms of the pack are damaged ({type(error).__name__})") from None
