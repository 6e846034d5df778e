"""How well answers were: loss, accuracy, area under the ROC curve; with bootstrap intervals where asked.

Pure arithmetic over (log-probabilities of the options, which was right). Knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Answer = tuple[Sequence[float], int]
RESAMPLES = 1000


@dataclass(frozen=True)
class Figures:
    """``accuracy`` and ``auc`` are NaN where there is no choice, or no two-option choice with both answers."""

    rows: int
    loss: float
    accuracy: float = math.nan
    auc: float = math.nan

    def value(self, metric: str) -> float:
        return float(getattr(self, metric))

    def to_json(self) -> dict[str, Any]:
        """Figures that are none are left out."""
        values = {name: getattr(self, name) for name in ("loss", "accuracy", "auc")}
        return {"rows": self.rows} | {f"dev_{n}": round(v, 5) for n, v in values.items() if not math.isnan(v)}


def figures(answers: Sequence[Answer], losses: Sequence[float] = ()) -> Figures:
    """Over choices, or where there are none over the losses of written answers."""
    if not answers:
        return Figures(len(losses), math.fsum(losses) / len(losses) if losses else math.nan)
    loss = math.fsum(-scores[right] for scores, right in answers) / len(answers)
    return Figures(len(answers), loss, accuracy(answers), verdict_auc(answers))


def accuracy(answers: Sequence[Answer]) -> float:
    """Share of choices whose best option (the first of equals) is the right one."""
    return sum(int(np.argmax(scores)) == right for scores, right in answers) / len(answers)


def verdict_auc(answers: Sequence[Answer]) -> float:
    """The probability that a right draft gets a higher yes than a wrong one; NaN unless all choices are yes/no and both
    occur."""
    if any(len(scores) != 2 for scores, _ in answers):
        return math.nan
    margin = np.array([scores[0] - scores[1] for scores, _ in answers])
    return auc(margin, np.array([right == 0 for _, right in answers]))


def auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Area under the ROC curve (Mann-Whitney, ties count half); NaN where one class is missing."""
    positives, negatives = scores[truth], scores[~truth]
    if not len(positives) or not len(negatives):
        return math.nan
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left")
    up_to = np.searchsorted(ordered, positives, "right")
    return float((below + up_to).mean() / 2 / len(negatives))


def interval(
    groups: Sequence[str], statistic: Callable[[NDArray[np.int64]], float], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """The 95 % percentile bootstrap of ``statistic(row numbers)``, groups (encounters) drawn with replacement."""
    names = sorted(set(groups))
    rows = {name: np.flatnonzero(np.array([group == name for group in groups])) for name in names}
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        drawn = generator.integers(len(names), size=len(names))
        value = statistic(np.concatenate([rows[names[i]] for i in drawn]))
        if not math.isnan(value):
            values.append(value)
    if not values:
        return math.nan, math.nan
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
