"""What a search spent, and what it would have spent: without kept results, and without giving up weak plans early.

*spent* is what reached the engine. *asked* is what all runs asked for together, counted request by request whether it
was answered by the engine or from what was kept: what the same runs cost without keeping anything. *unrun* is what the
given-up candidates would have asked for on the notes they did not see, at their own mean a note: the one figure here
that is reckoned and not counted, and shown apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jointcoder.search.trying import SEARCH, SELECTION, TEST
from jointcoder.search.view import DONE, DROPPED, FAILED
from jointcoder.store.archive import Archive, Candidate, Run


@dataclass(frozen=True)
class Accounts:
    """Tokens of the agents (``asked``, ``spent``, ``unrun``) and of the designing model (``meta``); ``runs``:
    candidates times notes, ``spared``: those that giving up early made unnecessary; ``nodes`` and ``reused``:
    passages of notes through nodes; ``designed`` and ``ran``: plans written freely, and those that came to run."""

    asked: int
    spent: int
    unrun: int
    meta: int
    runs: int
    spared: int
    nodes: int
    reused: int
    candidates: int
    dropped: int
    failed: int
    designed: int
    ran: int
    iterations: int
    minutes: float

    @property
    def ratio(self) -> float | None:
        """Tokens without keeping and giving up, over tokens with; the designing model's on neither side."""
        return (self.asked + self.unrun) / self.spent if self.spent else None

    @property
    def kept_ratio(self) -> float | None:
        """The same by what was kept alone: both sides are counted."""
        return self.asked / self.spent if self.spent else None

    @property
    def executable(self) -> float | None:
        """The share of freely written plans that came to run."""
        return self.ran / self.designed if self.designed else None

    def as_dict(self) -> dict[str, Any]:
        shares = {"ratio": self.ratio, "kept_ratio": self.kept_ratio, "executable": self.executable}
        return asdict(self) | shares


def accounts(archive: Archive, run: Run, notes: int) -> Accounts:
    """The accounts of a run; ``notes``: in its search set."""
    candidates = archive.candidates(run.id)
    parts = [archive.results(run.id, part) for part in (SEARCH, SELECTION, TEST)]
    rows = [result for part in parts for results in part.values() for result in results]
    nodes, reused = archive.reuse(run.id)
    unrun, spared = _unrun(candidates, notes)
    return Accounts(
        asked=sum(one.read + one.written for one in rows),
        spent=sum(sum(one.ledger.get("spent", (0, 0, 0))[1:]) for one in candidates),
        unrun=unrun,
        meta=int(run.spent.get("meta", 0)),
        runs=len(rows),
        spared=spared,
        nodes=nodes,
        reused=reused,
        candidates=len(candidates),
        dropped=sum(one.status == DROPPED for one in candidates),
        failed=sum(one.status == FAILED for one in candidates),
        designed=int(run.spent.get("designed", 0)),
        ran=int(run.spent.get("ran", 0)),
        iterations=int(run.spent.get("iterations", 0)),
        minutes=float(run.spent.get("minutes", 0.0)),
    )


def _unrun(candidates: Sequence[Candidate], notes: int) -> tuple[int, int]:
    """Tokens and notes that giving up early spared."""
    left = [(one, notes - one.scores["n"]) for one in candidates if one.status in (DONE, DROPPED) and one.scores]
    return round(sum(one.scores["tokens"] * more for one, more in left)), sum(more for _, more in left)
