"""From held-out probabilities to the answer set: thresholds, and what they reach.

A wording's answer is every candidate from ``threshold`` on; where there is none, the best one if it reaches ``least``.
Gold terms without a candidate count as missed throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.learn.fit import best_threshold
from jointcoder.packs.terms import Choosing
from jointcoder.packs.terms.index import Floats
from jointcoder.packs.terms.memory import Ints

Flags = NDArray[np.bool_]

GRID = tuple(round(0.05 + 0.01 * step, 2) for step in range(91))
BOOTSTRAP = 1000


@dataclass(frozen=True)
class Judged:
    """Probabilities of all candidates, a wording's together. ``wording``: of each row; ``best``: it is its first."""

    probability: Floats
    right: Flags
    wording: Ints
    best: Flags
    missed: Ints

    @classmethod
    def of(cls, probability: Floats, right: Flags, starts: Ints, missed: Ints) -> Self:
        wording = np.repeat(np.arange(len(missed)), np.diff(starts))
        best = np.zeros(len(probability), dtype=bool)
        for first, last in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            if last > first:
                best[first + int(np.argmax(probability[first:last]))] = True
        return cls(probability, right, wording, best, missed)

    def taken(self, choosing: Choosing) -> Flags:
        """Which rows are the answer."""
        taken = self.probability >= choosing.threshold
        some = np.bincount(self.wording, weights=taken, minlength=len(self.missed)) > 0
        return np.asarray(taken | (self.best & ~some[self.wording] & (self.probability >= choosing.least)))

    def counts(self, choosing: Choosing) -> NDArray[np.float64]:
        """Per wording: right answers, answers, gold terms, and whether the set is exactly right."""
        taken = self.taken(choosing)
        size = len(self.missed)
        hits = np.bincount(self.wording, weights=taken & self.right, minlength=size)
        given = np.bincount(self.wording, weights=taken, minlength=size)
        gold = np.bincount(self.wording, weights=self.right, minlength=size) + self.missed
        return np.column_stack((hits, given, gold, (hits == given) & (hits == gold)))


def f1(counts: NDArray[np.float64]) -> float:
    """Micro F1 over (wording, name) pairs."""
    return float(2 * counts[:, 0].sum() / max(counts[:, 1].sum() + counts[:, 2].sum(), 1.0))


def accuracy(counts: NDArray[np.float64]) -> float:
    """Share of wordings whose set is exactly right."""
    return float(counts[:, 3].mean())


MEASURES: dict[str, Callable[[NDArray[np.float64]], float]] = {"f1": f1, "accuracy": accuracy}


def choose(judged: Judged, measure: str, want_precision: float | None = None) -> Choosing:
    """The thresholds that serve ``measure`` best on held-out rows, or reach a wanted precision (then nothing is
    answered below it)."""
    if want_precision is not None:
        at = best_threshold(judged.probability, judged.right, int(judged.missed.sum()), want_precision=want_precision)
        return Choosing(at, 1.01)
    value = MEASURES[measure]
    leasts = (0.0, 0.1, 0.2, 0.3, 1.01)
    options = [Choosing(upper, least) for upper in GRID for least in leasts if least <= upper or least > 1]
    return max(options, key=lambda one: (value(judged.counts(one)), -one.threshold))


def measures(judged: Judged, choosing: Choosing, seed: int = 0) -> dict[str, Any]:
    """Held-out figures with bootstrap 95 % intervals over wordings."""
    counts = judged.counts(choosing)
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(counts), size=(BOOTSTRAP, len(counts)))
    found: dict[str, Any] = {"n": len(counts)}
    for name, value in MEASURES.items():
        spread = np.quantile([value(counts[draw]) for draw in draws], (0.025, 0.975))
        found[name] = round(value(counts), 4)
        found[f"{name}_interval"] = [round(float(edge), 4) for edge in spread]
    found["precision"] = round(float(counts[:, 0].sum() / max(counts[:, 1].sum(), 1.0)), 4)
    found["recall"] = round(float(counts[:, 0].sum() / max(counts[:, 2].sum(), 1.0)), 4)
    found["candidate_recall"] = round(1 - float(judged.missed.sum() / max(counts[:, 2].sum(), 1.0)), 4)
    found["top1"] = round(float((judged.best & judged.right).sum() / len(counts)), 4)
    found["ece"] = round(calibration_error(judged.probability, judged.right), 4)
    return found


def calibration_error(probability: Floats, right: NDArray[np.bool_], bins: int = 10) -> float:
    """Σ share of a bin · |share right in it − mean probability in it|, equal-width bins (Naeini et al. 2015)."""
    place = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, weights=right, minlength=bins) - np.bincount(place, weights=probability, minlength=bins)
    return float(np.abs(gap).sum() / max(len(probability), 1))
