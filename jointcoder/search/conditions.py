"""The conditions of a search: what decides its course, and what only bounds it.

A run keeps its conditions in the archive and goes on under the same ones only (JC433); a budget may be raised whenever
it goes on, which is how a search is continued.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from jointcoder.errors import UsageError, name_list
from jointcoder.search.designer import Shows
from jointcoder.search.score import Weights

Mode = Literal["plug-and-play", "from-scratch"]


@dataclass(frozen=True)
class Conditions:
    """``mode``: with expert workflows among the seeds, or without; ``first`` and ``eta``: of the growing set of notes
    (``eta`` 1: every candidate on all notes); ``designs``: share of the turns in which a plan is designed freely, the
    others edit a good one; ``offered``: single edits among which the model chooses; ``finalists``: how many are
    compared on the selection set; ``patience``: turns without a better plan before the search counts as converged."""

    mode: Mode = "plug-and-play"
    weights: Weights = field(default_factory=Weights)
    shows: Shows = field(default_factory=Shows)
    first: int = 5
    eta: int = 3
    designs: float = 0.7
    offered: int = 10
    finalists: int = 3
    patience: int = 12
    retries: int = 3
    seed: int = 0
    allow_python: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Budget:
    """What a search may spend in all, over all its sittings; None: no bound. ``tokens``: those that reach the engine,
    the designing model's included."""

    iterations: int | None = 30
    minutes: float | None = None
    tokens: int | None = None

    def left(self, spent: Spent) -> str:
        """What has run out ("" while nothing has)."""
        for name in ("iterations", "minutes", "tokens"):
            bound = getattr(self, name)
            if bound is not None and getattr(spent, name) >= bound:
                return name
        return ""


@dataclass
class Spent:
    """What a run has spent, earlier sittings included. ``designed`` and ``ran``: plans written freely, and those of
    them that came to run; ``meta``: tokens of the designing model."""

    iterations: int = 0
    minutes: float = 0.0
    tokens: int = 0
    meta: int = 0
    designed: int = 0
    ran: int = 0
    _since: float = field(default_factory=time.monotonic, repr=False)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Spent:
        """From the archive."""
        return cls(**{name: values[name] for name in _KEPT if name in values})

    def tick(self) -> Spent:
        """With the time since the last tick."""
        now = time.monotonic()
        self.minutes += (now - self._since) / 60
        self._since = now
        return self

    def as_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in _KEPT}
        return values | {"minutes": round(self.minutes, 3)}


_KEPT = ("iterations", "minutes", "tokens", "meta", "designed", "ran")


def require_same(begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises UsageError JC433, naming what differs, unless a run goes on under the conditions it began with."""
    changed = [name for name in sorted({*begun, *now}) if begun.get(name) != now.get(name)]
    if changed:
        raise UsageError(
            "JC433",
            f"the search began under other conditions: {name_list(changed)}",
            hint="give the same options and data as at its start, or begin another search in another folder",
        )
