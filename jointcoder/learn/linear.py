"""Ridge regression of many targets at once, each row also scored by a model that never saw it.

    fitted = ridge(X, Y, judged=rows_that_choose_the_strength)
    fitted.weights (columns, targets), fitted.bias (targets,), fitted.held_out (rows, targets)

Up to ``EXACT`` rows it is solved in the dual, where leaving one row out costs nothing (Rifkin and Lippert 2007) and the
strength of the penalty is chosen by it; beyond, by conjugate gradients and folds. Rows are encounters, all distinct:
leaving out a row leaves out its encounter. Knows nothing of texts and codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.learn.fit import require
from jointcoder.learn.folds import folds, splits

Array = NDArray[np.float64]
STRENGTHS = (0.3, 1.0, 3.0)
CONSTANT = 0.1  # squared value of the constant column: a bias that is penalised but little
EXACT = 5000


@dataclass(frozen=True)
class Ridge:
    """``strength``: the penalty chosen."""

    weights: Array
    bias: Array
    held_out: Array
    strength: float


def ridge(rows: Any, targets: Array, *, judged: NDArray[np.int64] | None = None, seed: int = 0) -> Ridge:
    """``rows``: a sparse matrix (rows, columns). ``judged``: the rows whose held-out error chooses the strength."""
    judged = np.arange(rows.shape[0]) if judged is None else judged
    return _exact(rows, targets, judged) if rows.shape[0] <= EXACT else _large(rows, targets, seed)


def _exact(rows: Any, targets: Array, judged: NDArray[np.int64]) -> Ridge:
    products = np.asarray((rows @ rows.T).todense(), dtype=np.float64) + CONSTANT
    values, vectors = np.linalg.eigh(products)
    turned = vectors.T @ targets
    best: tuple[float, float, Array, Array] | None = None
    for strength in STRENGTHS:
        inverse = 1.0 / (np.maximum(values, 0.0) + strength)
        dual = vectors @ (inverse[:, None] * turned)
        own = (vectors**2) @ inverse  # diagonal of the inverse
        held_out = targets - dual / own[:, None]
        error = float(np.mean((held_out - targets)[judged] ** 2))
        if best is None or error < best[0]:
            best = (error, strength, dual, held_out)
    assert best is not None
    _, strength, dual, held_out = best
    return Ridge(np.asarray(rows.T @ dual), CONSTANT * dual.sum(axis=0), held_out, strength)


def _large(rows: Any, targets: Array, seed: int) -> Ridge:
    strength = STRENGTHS[len(STRENGTHS) // 2]
    held_out = np.zeros_like(targets)
    for _, learn, score in splits(folds([str(i) for i in range(rows.shape[0])], 5, seed)):
        weights, bias = _solved(rows[learn], targets[learn], strength)
        held_out[score] = rows[score] @ weights + bias
    weights, bias = _solved(rows, targets, strength)
    return Ridge(weights, bias, held_out, strength)


def _solved(rows: Any, targets: Array, strength: float) -> tuple[Array, Array]:
    model = require("sklearn.linear_model").Ridge(alpha=strength, solver="sparse_cg", tol=1e-4)
    model.fit(rows, targets)
    return np.asarray(model.coef_, dtype=np.float64).T, np.asarray(model.intercept_, dtype=np.float64)
