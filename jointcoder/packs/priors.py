"""What coded history says before a word is read: how common a code is, what goes with it, what stands first.

    priors = Priors.load(folder, info, None)
    priors.prior(key)               share of the records that carry the code
    priors.given(key, other)        P(code | the other code is there), drawn towards the prior
    priors.lift(key, other)         log of how much oftener the two meet than chance would have it
    priors.beside(key, principal)   P(code is among the others | this one is the principal)
    priors.before(key, other)       P(the first stands before the second | both are there)
    priors.principal(key)           P(principal of its kind | the code is there)

Learnt from codes alone; the smoothing is the same everywhere: ``STRENGTH`` imagined records that behave like the rest.
A code never seen has the prior of a single sighting and no company. Knows nothing of texts. Trained by
:mod:`jointcoder.learn.priors`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.errors import AssetError
from jointcoder.records import System

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup
    from jointcoder.packs.pack import PackInfo

FILE = "priors.json"
STRENGTH = 4.0
Key = tuple[str, str]
"""(system, code), the code as it was trained."""


@dataclass(frozen=True)
class Priors:
    """Counts over coded records. Frozen; safe to share between threads.

    ``seen``: records that carry the code. ``first``: those in which it is the principal of its kind, ``ranked`` those
    of its records in which some code of its kind is. ``pairs[(i, j)]``, i < j: records that carry both. ``led[(i,
    j)]``: records in which i is the principal and j another of its kind. ``order[(i, j)]``: records in which i stands
    before j.
    """

    records: int
    codes: tuple[Key, ...]
    seen: tuple[int, ...]
    first: tuple[int, ...]
    ranked: tuple[int, ...]
    pairs: Mapping[tuple[int, int], int]
    led: Mapping[tuple[int, int], int]
    order: Mapping[tuple[int, int], int]

    @classmethod
    def load(cls, folder: Path, info: PackInfo | None = None, lookup: Lookup | None = None) -> Self:
        """Raises AssetError JC212 where the file is no table of priors."""
        try:
            return cls.from_json(json.loads((folder / FILE).read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise AssetError("JC212", f"the priors of the pack are damaged ({type(error).__name__})") from None

    def save(self, folder: Path) -> None:
        """Write ``priors.json`` into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(self.to_json(), separators=(",", ":")) + "\n", "utf-8")

    def to_json(self) -> dict[str, Any]:
        """Plain data: one row a code, one a pair."""
        return {
            "records": self.records,
            "codes": [
                [*key, *counts] for key, *counts in zip(self.codes, self.seen, self.first, self.ranked, strict=True)
            ],
            "pairs": _rows(self.pairs),
            "led": _rows(self.led),
            "order": _rows(self.order),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The reverse of :meth:`to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        rows = data["codes"]
        return cls(
            records=int(data["records"]),
            codes=tuple((str(system), str(code)) for system, code, *_ in rows),
            seen=tuple(int(row[2]) for row in rows),
            first=tuple(int(row[3]) for row in rows),
            ranked=tuple(int(row[4]) for row in rows),
            pairs=_table(data["pairs"]),
            led=_table(data["led"]),
            order=_table(data["order"]),
        )

    def prior(self, key: Key) -> float:
        """Share of records with the code, strictly between 0 and 1."""
        at = self._place.get(key)
        return ((self.seen[at] if at is not None else 0) + 1.0) / (self.records + 2.0)

    def given(self, key: Key, other: Key) -> float:
        """P(code | other). A code given itself is certain."""
        if key == other:
            return 1.0
        at = self._place.get(other)
        there = self.seen[at] if at is not None else 0
        return (self._both(key, other) + STRENGTH * self.prior(key)) / (there + STRENGTH)

    def lift(self, key: Key, other: Key) -> float:
        """Log of P(both) / P(code)·P(other), smoothed: symmetric, positive for codes that go together."""
        if key == other:
            return 0.0
        expected = self.prior(key) * self.prior(other) * self.records
        return math.log((self._both(key, other) + STRENGTH * 0.5) / (expected + STRENGTH * 0.5))

    def beside(self, key: Key, principal: Key) -> float:
        """P(code is one of the others of its kind | the principal). The principal itself is none of the others."""
        i, j = self._place.get(principal), self._place.get(key)
        if key == principal:
            return 0.0
        led = self.led.get((i, j), 0) if i is not None and j is not None else 0
        return (led + STRENGTH * self.prior(key)) / ((self.first[i] if i is not None else 0) + STRENGTH)

    def before(self, key: Key, other: Key) -> float:
        """P(code stands before other); one half where the two were never seen in an order."""
        i, j = self._place.get(key), self._place.get(other)
        if i is None or j is None or i == j:
            return 0.5
        ahead, behind = self.order.get((i, j), 0), self.order.get((j, i), 0)
        return (ahead + 0.5 * STRENGTH) / (ahead + behind + STRENGTH)

    def principal(self, key: Key) -> float:
        """P(principal of its kind | the code is there); 0 where the data name no principals of the kind."""
        at = self._place.get(key)
        kind = System(key[0]).kind
        of_kind = [i for i, (system, _) in enumerate(self.codes) if System(system).kind is kind]
        ranked = sum(self.ranked[i] for i in of_kind)
        if not ranked:
            return 0.0
        rate = sum(self.first[i] for i in of_kind) / ranked
        own = (self.first[at], self.ranked[at]) if at is not None else (0, 0)
        return (own[0] + STRENGTH * rate) / (own[1] + STRENGTH)

    def in_order(self, keys: Sequence[Key]) -> list[Key]:
        """The codes as coded history would list them: by how many of the others each tends to stand before."""
        wins = {key: sum(self.before(key, other) for other in keys if other != key) for key in keys}
        return sorted(keys, key=lambda key: (-wins[key], keys.index(key)))

    def lifts(self, keys: Sequence[Key]) -> NDArray[np.float64]:
        """:meth:`lift` of all pairs, shape (keys, keys); the keys are distinct."""
        place = {self._place[key]: i for i, key in enumerate(keys) if key in self._place}
        both = np.zeros((len(keys), len(keys)))
        for (i, j), n in self.pairs.items():
            if i in place and j in place:
                both[place[i], place[j]] = both[place[j], place[i]] = n
        prior = np.array([self.prior(key) for key in keys])
        expected = np.outer(prior, prior) * self.records
        found = np.log((both + STRENGTH * 0.5) / (expected + STRENGTH * 0.5))
        np.fill_diagonal(found, 0.0)
        return np.asarray(found, dtype=np.float64)

    @cached_property
    def _place(self) -> Mapping[Key, int]:
        return {key: i for i, key in enumerate(self.codes)}

    def _both(self, key: Key, other: Key) -> int:
        i, j = self._place.get(key), self._place.get(other)
        if i is None or j is None:
            return 0
        return self.pairs.get((min(i, j), max(i, j)), 0)


def _rows(table: Mapping[tuple[int, int], int]) -> list[list[int]]:
    return [[*pair, n] for pair, n in sorted(table.items())]


def _table(rows: Sequence[Sequence[int]]) -> dict[tuple[int, int], int]:
    return {(int(i), int(j)): int(n) for i, j, n in rows}
