"""Whether confidence means what it says, and how much of the work it would save.

Both measures pool the predicted codes of all encounters; a code is right when it is a gold code of its encounter.
The threshold behind ``auto_share`` is chosen on the same data and therefore a little hopeful; choose it on one
set and read the share on another before relying on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jointcoder.evaluation.scored import Scored

LEVELS = (0.98,)


def outcomes(scored: Sequence[Scored]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Confidence of every predicted code, and whether it was right; both of shape (codes,)."""
    pairs = [(p.confidence, p.key in gold) for s in scored for gold in [s.gold_keys()] for p in s.predicted]
    return (
        np.array([confidence for confidence, _ in pairs], dtype=np.float64),
        np.array([right for _, right in pairs], dtype=np.bool_),
    )


def expected_calibration_error(scored: Sequence[Scored], *, bins: int = 10) -> float | None:
    """Σ share of a bin · |precision in it − mean confidence in it|, equal-width bins (Naeini et al. 2015).

    None when nothing was predicted.
    """
    confidence, right = outcomes(scored)
    if not confidence.size:
        return None
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    size = np.bincount(place, minlength=bins)
    gap = np.bincount(place, weights=right, minlength=bins) - np.bincount(place, weights=confidence, minlength=bins)
    return float(np.abs(gap).sum() / size.sum())


def auto_share(scored: Sequence[Scored], level: float) -> tuple[float, float | None] | None:
    """The largest share of predicted codes, taken from the surest down, among which precision is ≥ ``level``.

    Returns (share, the confidence at which it ends); the threshold is None when the share is 0. Codes of equal
    confidence stay together. None when nothing was predicted.
    """
    confidence, right = outcomes(scored)
    if not confidence.size:
        return None
    order = np.argsort(-confidence, kind="stable")
    confidence, right = confidence[order], right[order]
    last = np.append(confidence[1:] != confidence[:-1], True)  # the end of each run of equals
    precision = np.cumsum(right) / np.arange(1, right.size + 1)
    ends = np.flatnonzero(last & (precision >= level))
    if not ends.size:
        return 0.0, None
    return float((ends[-1] + 1) / right.size), float(confidence[ends[-1]])
