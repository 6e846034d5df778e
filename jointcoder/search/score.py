"""What a workflow is worth: J = F1 + λ₁ · compliance − λ₂ · cost, from results on single encounters.

    score(results, Weights())                     Score(objective, f1, interval, compliance, cost, …)
    gain(before, after)                           paired difference of F1 with its interval

F1 is micro-averaged over encounters and code systems. Compliance is the share of guideline checks that pass. Cost is
counted a note, in thousands of tokens (read and written) and requests; it is what a workflow asks for, whatever caches
save, so that it does not depend on what ran before. Seconds weigh nothing unless asked for, since they differ from run
to run. The score is computed here, never by a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.evaluation import bootstrap
from jointcoder.evaluation.metrics import Counts
from jointcoder.store.archive import Result


@dataclass(frozen=True)
class Weights:
    """The λ of the objective, and what a note's cost is made of: units per thousand tokens, per request, per second."""

    compliance: float = 0.1
    cost: float = 0.005
    kilotoken: float = 1.0
    call: float = 0.02
    second: float = 0.0

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True)
class Score:
    """Of ``n`` encounters. ``tokens``, ``calls`` and ``seconds`` are means a note; ``compliance`` is 1 where no check
    applied; ``failed``: encounters that could not be coded (they count as empty)."""

    objective: float
    f1: float
    low: float
    high: float
    precision: float
    recall: float
    compliance: float
    cost: float
    tokens: float
    calls: float
    seconds: float
    n: int
    failed: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Score | None:
        """A score from the archive, None where there is none."""
        return cls(**values) if values else None


def score(results: Sequence[Result], weights: Weights) -> Score:
    """The score of one candidate on some encounters. ValueError for none."""
    if not results:
        raise ValueError("no result, no score")
    n, counts = len(results), counted(results)
    total = Counts(*(int(value) for value in counts.sum(axis=0)))
    interval = bootstrap.interval(counts) or (0.0, 0.0)
    applied = sum(one.applied for one in results)
    compliance = sum(one.passed for one in results) / applied if applied else 1.0
    tokens = sum(one.read + one.written for one in results) / n
    calls, seconds = sum(one.calls for one in results) / n, sum(one.seconds for one in results) / n
    cost = weights.kilotoken * tokens / 1000 + weights.call * calls + weights.second * seconds
    f1 = total.f1 or 0.0
    return Score(
        objective=f1 + weights.compliance * compliance - weights.cost * cost,
        f1=f1,
        low=interval[0],
        high=interval[1],
        precision=total.precision or 0.0,
        recall=total.recall or 0.0,
        compliance=compliance,
        cost=cost,
        tokens=tokens,
        calls=calls,
        seconds=seconds,
        n=n,
        failed=sum(bool(one.failed) for one in results),
    )


def gain(
    before: Sequence[Result], after: Sequence[Result], *, level: float = bootstrap.LEVEL
) -> bootstrap.Difference | None:
    """F1 of ``after`` minus ``before``, on the encounters of ``before``. ValueError where ``after`` lacks one."""
    places = {one.place: one for one in after}
    if any(one.place not in places for one in before):
        raise ValueError("a paired comparison needs the same encounters on both sides")
    return bootstrap.paired_difference(
        counted(before), counted([places[one.place] for one in before]), level=level, resamples=RESAMPLES
    )


RESAMPLES = 2000


def counted(results: Sequence[Result]) -> NDArray[np.int64]:
    """Shape (encounters, 3): right, wrong, missed."""
    return np.array([(one.tp, one.fp, one.fn) for one in results], dtype=np.int64).reshape(-1, 3)
