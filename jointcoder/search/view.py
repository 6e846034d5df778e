"""The archive as the search looks at it: who is best, who came last, what the designer is shown, whose child to make.

Ranked are first those that ran on all notes, by objective, then those that were given up, by the objective on the notes
they saw; a plan that never ran has no rank, nor has one that does on every note what another one did, for no less.
Reads the archive's records only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from jointcoder.search.designer import BEST, RECENT, Record, View
from jointcoder.search.plan import Plan
from jointcoder.search.reflector import Finding, said
from jointcoder.search.score import Score
from jointcoder.store.archive import Candidate, Result

PLANNED, COMPILED, SCORED = "planned", "compiled", "scored"  # on the way
DONE, DROPPED, SAME, FAILED = "done", "dropped", "same", "failed"
FINAL = (DONE, DROPPED, SAME, FAILED)
PARENTS = 5  # among so many of the best a parent is drawn, a better one more often


def ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those with a rank, best first; equals by number."""
    scored = [one for one in candidates if one.scores and one.status in (DONE, DROPPED)]
    return sorted(scored, key=lambda one: (one.status != DONE, -one.scores["objective"], one.number))


def best(candidates: Sequence[Candidate]) -> Candidate | None:
    """The best of those that ran on all notes."""
    return next((one for one in ranked(candidates) if one.status == DONE), None)


def view(candidates: Sequence[Candidate]) -> View:
    """What the designer is shown of an archive."""
    late = [one for one in candidates if one.status in FINAL and (one.workflow or one.plan.get("nodes"))]
    return View(
        best=tuple(record(one) for one in ranked(candidates)[:BEST]),
        recent=tuple(record(one) for one in late[-RECENT:]),
    )


def record(candidate: Candidate) -> Record:
    """One candidate as the designer sees it."""
    return Record(
        number=candidate.number,
        plan=plan_of(candidate),
        score=Score.of(candidate.scores),
        critique=said(findings(candidate)),
        dropped=candidate.status == DROPPED,
        error=f"{candidate.error_code}: {candidate.error}" if candidate.error_code else "",
    )


def plan_of(candidate: Candidate) -> Plan:
    """The candidate's plan, without what else the archive keeps beside it."""
    return Plan.model_validate({name: candidate.plan[name] for name in Plan.model_fields if name in candidate.plan})


def findings(candidate: Candidate) -> tuple[Finding, ...]:
    """What the reflector found of it."""
    return tuple(Finding.of(one) for one in candidate.critique)


def parent(candidates: Sequence[Candidate], random_: random.Random) -> Candidate | None:
    """A plan to edit: one of the best, the n-th with a weight of 1/n."""
    top = ranked(candidates)[:PARENTS]
    return random_.choices(top, [1 / place for place in range(1, len(top) + 1)])[0] if top else None


def twin(
    candidate: Candidate, objective: float, others: Sequence[Candidate], results: Mapping[int, Sequence[Result]]
) -> int | None:
    """The number of another one that ran on all notes, counts the same on each of them and is worth no less."""
    own = [(one.place, one.tp, one.fp, one.fn) for one in results[candidate.number]]
    for other in others:
        if other.status != DONE or other.number == candidate.number or other.scores["objective"] < objective:
            continue
        if own == [(one.place, one.tp, one.fp, one.fn) for one in results.get(other.number, ())]:
            return other.number
    return None


def known(candidates: Sequence[Candidate]) -> Callable[[str], int | None]:
    """Workflow hash → number of the candidate that has it."""
    numbers = {one.hash: one.number for one in reversed(candidates) if one.hash}
    return numbers.get
