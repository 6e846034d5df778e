"""Who wins, and whether anybody does: the finalists against the workflow that the search began with, on fresh notes.

A finalist is chosen by the *lower bound* of its gain in F1 on the selection set, paired by encounter, and only if that
bound is above zero. With several finalists the best of them is likely to be a lucky one; the level of the bounds is
raised accordingly (Bonferroni: 1 − 0.05 / finalists). If nobody passes, the workflow that was there stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jointcoder.search.score import gain
from jointcoder.store.archive import Result

RISK = 0.05


@dataclass(frozen=True)
class Gain:
    """A finalist's gain in F1 over the start: the difference, its bounds at ``level``."""

    number: int
    difference: float
    low: float
    high: float
    level: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Chosen:
    """``number``: of the winner, None where the start stays; ``gains``: of every finalist, best bound first."""

    number: int | None
    gains: tuple[Gain, ...]


def choose(start: Sequence[Result], finalists: Mapping[int, Sequence[Result]]) -> Chosen:
    """The finalist with the best lower bound, if that is above zero. All must have run on the encounters of
    ``start``."""
    level = 1 - RISK / max(1, len(finalists))
    gains = []
    for number, results in finalists.items():
        found = gain(start, results, level=level)
        if found is not None:
            gains.append(Gain(number, found.difference, *found.interval, level))
    gains.sort(key=lambda one: (-one.low, -one.difference, one.number))
    winner = gains[0].number if gains and gains[0].low > 0 else None
    return Chosen(winner, tuple(gains))
