"""The end of a search: the best plans against the start on the selection set, and the winner on the test set.

What is decided here is decided on notes that no plan, prompt or critique has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from jointcoder.errors import JointCoderError
from jointcoder.search.choice import Gain, choose
from jointcoder.search.score import Score, gain, score
from jointcoder.search.sets import Sets
from jointcoder.search.trying import SELECTION, TEST, Trying
from jointcoder.search.view import DONE, ranked
from jointcoder.store.archive import Candidate, Result, Run
from jointcoder.workflow.spec import Workflow

THRIFTY = 0.8  # of the start's tokens a note: what is worth a word


@dataclass(frozen=True)
class Outcome:
    """``chosen``: number of the winner, None where nothing better was found and the start stays; ``why``: what ended
    the search; ``selection`` and ``test``: scores by number; ``test_gain``: of the winner on the test set, not chosen
    by."""

    workflow: Workflow
    start: int
    chosen: int | None
    why: str
    gains: tuple[Gain, ...] = ()
    selection: dict[int, Score] = field(default_factory=dict)
    test: dict[int, Score] = field(default_factory=dict)
    test_gain: Gain | None = None

    @property
    def thriftier(self) -> Gain | None:
        """Where the start stays: the finalist that lost nothing on the selection set for the fewest tokens a note, if
        that is clearly less. Its bounds say how sure "nothing" is."""
        if self.chosen is not None or self.start not in self.selection:
            return None
        tokens = {number: one.tokens for number, one in self.selection.items()}
        cheap = [one for one in self.gains if one.difference >= 0 and tokens[one.number] < THRIFTY * tokens[self.start]]
        return min(cheap, key=lambda one: (tokens[one.number], one.number), default=None)

    def as_dict(self) -> dict[str, Any]:
        return {
            "hash": self.workflow.hash,
            "start": self.start,
            "chosen": self.chosen,
            "why": self.why,
            "gains": [one.as_dict() for one in self.gains],
            "selection": {str(number): one.as_dict() for number, one in self.selection.items()},
            "test": {str(number): one.as_dict() for number, one in self.test.items()},
            "test_gain": asdict(self.test_gain) if self.test_gain else None,
            "thriftier": self.thriftier.as_dict() if self.thriftier else None,
        }


class Finals:
    """See the module."""

    def __init__(self, trying: Trying, sets: Sets, run: Run) -> None:
        self.trying, self.sets, self.run = trying, sets, run
        self.conditions = trying.conditions

    def decide(self, candidates: Sequence[Candidate], why: str) -> Outcome:
        """The outcome. Only plans that did better than the start on the search notes come into question; one that fails
        on the selection notes is out."""
        start = next(one for one in candidates if one.origin == "seed")
        rivals = [one for one in ranked(candidates) if one.status == DONE and one.number != start.number]
        better = [one for one in rivals if one.scores["objective"] > start.scores["objective"]]
        finalists = better[: self.conditions.finalists]
        if not finalists:
            return Outcome(_flow(start), start.number, None, why)
        before = self.trying.all_of(start, _flow(start), self.sets.selection, SELECTION)
        results: dict[int, list[Result]] = {}
        for one in finalists:
            try:
                results[one.number] = self.trying.all_of(one, _flow(one), self.sets.selection, SELECTION)
            except JointCoderError:
                continue
        found = choose(before, results)
        weights = self.conditions.weights
        selection = {number: score(own, weights) for number, own in {start.number: before, **results}.items()}
        if found.number is None:
            return Outcome(_flow(start), start.number, None, why, found.gains, selection)
        winner = next(one for one in finalists if one.number == found.number)
        test, test_gain = self._tested(start, winner)
        return Outcome(_flow(winner), start.number, winner.number, why, found.gains, selection, test, test_gain)

    def _tested(self, start: Candidate, winner: Candidate) -> tuple[dict[int, Score], Gain | None]:
        """Both on the test set, where there is one: how it would look elsewhere, decided by nothing."""
        if not self.sets.test:
            return {}, None
        own = {one.number: self.trying.all_of(one, _flow(one), self.sets.test, TEST) for one in (start, winner)}
        weights = self.conditions.weights
        paired = gain(own[start.number], own[winner.number])
        shown = Gain(winner.number, paired.difference, *paired.interval, 0.95) if paired else None
        return {number: score(results, weights) for number, results in own.items()}, shown


def _flow(candidate: Candidate) -> Workflow:
    return Workflow.from_toml(candidate.workflow, origin=candidate.name)
