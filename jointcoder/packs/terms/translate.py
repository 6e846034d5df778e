"""How likely a gram of a standard name is, given the grams of a mention, and the other way round.

    table = Translation.learn([(mention grams, name grams), …]);  table.best(grams)  →  gram → probability

IBM model 1 (Brown 1993), fitted by EM on the wordings that coders gave a term: "tumour → lesion" is learnt from many
terms and helps for terms never seen. The same gram on both sides counts as said. Knows no language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.packs.terms.index import Floats

ROUNDS = 6
LEAST = 0.02  # smaller probabilities are dropped
SAME = 0.9  # a gram that both sides hold
FLOOR = 0.002  # a gram that nothing explains


@dataclass(frozen=True)
class Translation:
    """Probabilities of target grams given one source gram: parallel arrays sorted by source."""

    vocabulary: tuple[str, ...]
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    value: NDArray[np.float32]

    @classmethod
    def learn(cls, pairs: Sequence[tuple[Sequence[str], Sequence[str]]], *, smoothing: float = 0.5) -> Self:
        """``pairs``: source and target grams of wordings that mean the same. ``smoothing``: pseudo-count of a source
        gram, so that what was seen once is believed less than what was seen often."""
        vocabulary: dict[str, int] = {}
        sources: list[int] = []
        targets: list[int] = []
        events: list[int] = []  # which target gram of which pair a cell explains
        event = 0
        for one, other in pairs:
            rows = [vocabulary.setdefault(gram, len(vocabulary)) for gram in one]
            for gram in other:
                sources += rows
                targets += [vocabulary.setdefault(gram, len(vocabulary))] * len(rows)
                events += [event] * len(rows)
                event += 1
        size = max(len(vocabulary), 1)
        pair = np.asarray(sources, dtype=np.int64) * size + np.asarray(targets, dtype=np.int64)
        cell, which = np.unique(pair, return_inverse=True)
        source, target = cell // size, cell % size
        of_event = np.asarray(events, dtype=np.int64)
        value = np.ones(len(cell))
        for _ in range(ROUNDS if len(cell) else 0):
            now = value[which]
            share = now / np.bincount(of_event, weights=now, minlength=event)[of_event]
            counts = np.bincount(which, weights=share, minlength=len(cell))
            value = counts / (np.bincount(source, weights=counts, minlength=size) + smoothing)[source]
        kept = value >= LEAST
        arrays = source[kept].astype(np.int32), target[kept].astype(np.int32), value[kept].astype(np.float32)
        return cls(tuple(vocabulary), *arrays)

    @cached_property
    def rows(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        words = self.vocabulary
        for source, target, value in zip(self.source.tolist(), self.target.tolist(), self.value.tolist(), strict=True):
            found.setdefault(words[source], {})[words[target]] = value
        return found

    def best(self, grams: Sequence[str]) -> dict[str, float]:
        """For every target gram the best probability that some source gram gives it."""
        found: dict[str, float] = {}
        for gram in grams:
            for target, value in self.rows.get(gram, {}).items():
                if value > found.get(target, 0.0):
                    found[target] = value
            found[gram] = max(found.get(gram, 0.0), SAME)
        return found

    def save(self, folder: Path, name: str) -> None:
        np.savez(folder / f"{name}.npz", source=self.source, target=self.target, value=self.value)
        (folder / f"{name}.txt").write_text("\n".join(self.vocabulary), "utf-8")

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        arrays = np.load(folder / f"{name}.npz")
        vocabulary = tuple((folder / f"{name}.txt").read_text("utf-8").split("\n"))
        return cls(vocabulary, arrays["source"], arrays["target"], arrays["value"])


def explained(grams: Sequence[str], known: dict[str, float], weights: Floats) -> tuple[float, float, float]:
    """Mean log-probability of ``grams`` (weighted), the least one, and the weight of what is hardly explained."""
    if not grams:
        return 0.0, 0.0, 0.0
    values = np.log([max(known.get(gram, 0.0), FLOOR) for gram in grams])
    total = float(weights.sum()) or 1.0
    return float(values @ weights) / total, float(values.min()), float(weights[values < np.log(0.05)].sum())
