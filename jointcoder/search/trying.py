"""One candidate on the notes, rung by rung: it goes on while it is among the better ones that came so far.

    verdict = trying.search(candidate, workflow, items)       Verdict(status, rung, score, seen)
    results = trying.all_of(candidate, workflow, items, SELECTION)

Every note is recorded as soon as it is done. A candidate taken up again runs its recorded notes once more, which costs
next to nothing (what its nodes found is kept), so that what follows has all it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jointcoder.corpora import Labelled
from jointcoder.search.conditions import Budget, Conditions, Spent
from jointcoder.search.halving import goes_on, rungs
from jointcoder.search.lab import Lab, Ran
from jointcoder.search.losses import Loss, losses
from jointcoder.search.nodes import Tokens
from jointcoder.search.reflector import Seen
from jointcoder.search.score import Score, score
from jointcoder.search.view import DROPPED, SCORED
from jointcoder.store.archive import Archive, Candidate, Result
from jointcoder.workflow.spec import Workflow

SEARCH, SELECTION, TEST = "search", "selection", "test"
WORST = 2  # notes whose transcripts the reflector may see


class OutOfBudgetError(Exception):
    """The budget ran out between two notes; the candidate stays as it is and goes on when the run does."""


@dataclass(frozen=True)
class Verdict:
    """How far a candidate came: ``status`` scored (on all notes) or dropped."""

    status: str
    rung: int
    score: Score
    seen: Seen


class Trying:
    """Runs candidates on the sets of one search and records what comes of it. ``spent`` is kept up to date."""

    def __init__(self, lab: Lab, archive: Archive, conditions: Conditions, budget: Budget, spent: Spent) -> None:
        self.lab, self.archive = lab, archive
        self.conditions, self.budget, self.spent = conditions, budget, spent

    def search(
        self, candidate: Candidate, workflow: Workflow, items: Sequence[Labelled], *, stays: bool = False
    ) -> Verdict:
        """Rung by rung; a candidate that ``stays`` is never given up. Raises :class:`OutOfBudgetError`, and what
        :meth:`Lab.run` raises."""
        sizes = rungs(len(items), first=self.conditions.first, eta=self.conditions.eta)
        ran: list[Ran] = []
        for rung, size in enumerate(sizes):
            ran += self._notes(candidate, workflow, items, SEARCH, range(len(ran), size), bounded=not stays)
            own = score([one.result for one in ran], self.conditions.weights)
            if not stays and size < len(items) and not self._goes_on(candidate, own, size):
                return Verdict(DROPPED, rung, own, self._seen(candidate, items, ran))
        return Verdict(SCORED, len(sizes) - 1, own, self._seen(candidate, items, ran))

    def all_of(self, candidate: Candidate, workflow: Workflow, items: Sequence[Labelled], part: str) -> list[Result]:
        """All notes of another set, whatever the budget: a search that is not brought to its end was for nothing."""
        places = range(len(items))
        return [one.result for one in self._notes(candidate, workflow, items, part, places, bounded=False)]

    def _notes(
        self,
        candidate: Candidate,
        workflow: Workflow,
        items: Sequence[Labelled],
        part: str,
        places: Iterable[int],
        *,
        bounded: bool,
    ) -> Iterator[Ran]:
        ledger = self._ledger(candidate)
        for one in self.lab.run(workflow, ((place, items[place]) for place in places)):
            ledger = charged(ledger, one.spent)
            self.spent.tokens += one.spent.all
            self.archive.record(candidate.run, candidate.number, [(part, one.result, one.traces)], ledger=ledger)
            self.archive.update_run(candidate.run, spent=self.spent.tick().as_dict())
            yield one
            if bounded and self.budget.left(self.spent) in ("minutes", "tokens"):
                raise OutOfBudgetError

    def _ledger(self, candidate: Candidate) -> dict[str, Any]:
        return dict(self.archive.candidate(str(candidate.number), run=candidate.run).ledger)

    def _goes_on(self, candidate: Candidate, own: Score, size: int) -> bool:
        """Against all others that came to this rung, on the same notes."""
        rivals = [
            score(results[:size], self.conditions.weights).objective
            for number, results in self.archive.results(candidate.run, SEARCH).items()
            if number != candidate.number and len(results) >= size
        ]
        return goes_on(own.objective, rivals, eta=self.conditions.eta)

    def _seen(self, candidate: Candidate, items: Sequence[Labelled], ran: Sequence[Ran]) -> Seen:
        """The runs, worst first, and their losses. Nodes that were not run again bring the transcripts of the run that
        made them."""
        worst = sorted(ran, key=lambda one: (-(one.result.fp + one.result.fn), one.result.place))
        shown = [self._with_transcripts(candidate, one) for one in worst[:WORST]]
        lost = [loss for one in worst for loss in self._losses(items[one.result.place], one)]
        return Seen((*shown, *worst[WORST:]), tuple(lost))

    def _with_transcripts(self, candidate: Candidate, ran: Ran) -> Ran:
        found = self.archive.traces(candidate.run, candidate.number, encounter=ran.result.encounter)
        return replace(ran, traces=tuple(found))

    def _losses(self, item: Labelled, ran: Ran) -> list[Loss]:
        return losses(self.lab.scored(item, ran.record), ran.record, self.lab.coder.book_of(item.encounter))


def charged(ledger: dict[str, Any], spent: Tokens) -> dict[str, Any]:
    """A candidate's ledger with what more it spent: ``{"spent": [requests, read, written]}``."""
    calls, read, written = ledger.get("spent", (0, 0, 0))
    return {**ledger, "spent": [calls + spent.calls, read + spent.read, written + spent.written]}
