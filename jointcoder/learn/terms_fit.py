"""Fitting the models of the terms part: a log-linear one over sparse features, then trees over dense ones.

The log-linear model is a softmax over the candidates of each mention.

Loss, for a mention with right candidates R among all C:   Σ_{r∈R} −log softmax_C(z)_r ,  z = sparse·w + dense·v,

L2 on all weights, minimised by L-BFGS. A mention none of whose candidates is right teaches nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.errors import InputError
from jointcoder.learn.fit import Fitted, calibrate, require
from jointcoder.learn.folds import splits
from jointcoder.packs.combiner import Combiner
from jointcoder.packs.terms.index import Floats
from jointcoder.packs.terms.loglinear import LogLinear

L2 = 3.0
DENSE_SHARE = 0.3  # scale of a standardised dense feature beside a sparse one: dense weights are held less tightly
ROUNDS = 40
OFTEN = 2  # a sparse feature seen in fewer rows is left out
TREE_ROUNDS = 250
TREE_OPTIONS: dict[str, Any] = {
    "objective": "binary",
    "num_leaves": 15,
    "learning_rate": 0.06,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
}
LEAST = 0.004  # smaller weights are dropped


@dataclass(frozen=True)
class Rows:
    """All candidates of all mentions, those of one mention together. ``mention``: number of each row's mention."""

    dense: NDArray[np.float32]
    words: list[NDArray[np.int32]]
    vocabulary: tuple[str, ...]
    right: NDArray[np.bool_]
    mention: NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """The sparse matrix of all rows: kept words first, then scaled dense columns."""

    matrix: Any
    kept: NDArray[np.int64]
    scale: Floats


def design(rows: Rows) -> Design:
    """The matrix all folds share; it knows the features' frequencies but no answer."""
    sparse = require("scipy.sparse")
    ends = np.cumsum([len(mine) for mine in rows.words])
    columns = np.concatenate([*rows.words, np.empty(0, dtype=np.int32)])
    seen = np.bincount(columns, minlength=len(rows.vocabulary))
    values = np.ones(len(columns), dtype=np.float32)
    shape = (len(rows.words), len(rows.vocabulary))
    matrix = sparse.csr_matrix((values, columns, np.concatenate(([0], ends))), shape=shape)
    kept = np.flatnonzero(seen >= OFTEN)
    deviation = rows.dense.std(axis=0).astype(np.float64)
    scale = np.where(deviation > 1e-9, DENSE_SHARE / np.maximum(deviation, 1e-9), 0.0)
    dense = sparse.csr_matrix((rows.dense * scale).astype(np.float32))
    return Design(sparse.hstack([matrix[:, kept], dense]).tocsr(), kept.astype(np.int64), scale)


def fit(matrix: Any, right: NDArray[np.bool_], mention: NDArray[np.int64]) -> Floats:
    """Weights of the columns of ``matrix``."""
    begins = np.flatnonzero(np.concatenate(([True], mention[1:] != mention[:-1])))
    counts = np.diff(np.concatenate((begins, [len(mention)])))
    hits = np.add.reduceat(right.astype(np.float64), begins)
    each = np.repeat(hits, counts)
    target = right.astype(np.float64)
    turned = matrix.T.tocsr()

    def loss(weights: Floats) -> tuple[float, Floats]:
        score = matrix @ weights
        top = np.repeat(np.maximum.reduceat(score, begins), counts)
        power = np.exp(score - top)
        total = np.add.reduceat(power, begins)
        logs = (np.log(total) + np.maximum.reduceat(score, begins)) * hits
        slope = each * power / np.repeat(total, counts) - target
        value = float(logs.sum() - target @ score + 0.5 * L2 * weights @ weights)
        return value, turned @ slope + L2 * weights

    found = require("scipy.optimize").minimize(
        loss, np.zeros(matrix.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": ROUNDS}
    )
    return np.asarray(found.x, dtype=np.float64)


def model_of(weights: Floats, built: Design, vocabulary: Sequence[str]) -> LogLinear:
    """The weights by name; tiny ones left out."""
    words = {
        vocabulary[column]: round(float(weight), 4)
        for column, weight in zip(built.kept.tolist(), weights[: len(built.kept)], strict=True)
        if abs(weight) >= LEAST
    }
    slopes = weights[len(built.kept) :] * built.scale
    return LogLinear(words, tuple(map(float, slopes)))


def fit_trees(
    names: Sequence[str], rows: Floats, right: NDArray[np.bool_], fold: NDArray[np.int64], *, seed: int = 0
) -> Fitted:
    """Gradient-boosted trees as a combiner, calibrated on what they say of folds they have not seen.

    Rows are few per mention and their features interact (a rank means more where the gap is wide), which a linear
    combiner over the same features cannot use; the trees give their contributions all the same.
    """
    raw = np.zeros(len(right))
    for _, learn, score in splits(fold):
        raw[score] = np.asarray(_trees(rows[learn], right[learn], seed).predict(rows[score], raw_score=True))
    nothing = (0.0,) * len(names)
    line = calibrate(raw, right.astype(np.int64), "platt")
    combiner = Combiner(tuple(names), nothing, (1.0,) * len(names), nothing, calibration=line, share=1.0)
    return Fitted(combiner, line(raw), raw, _trees(rows, right, seed))


def _trees(rows: Floats, right: NDArray[np.bool_], seed: int) -> Any:
    lightgbm = require("lightgbm")
    if right.all() or not right.any():
        raise InputError("JC114", "too few examples of one kind to learn from: they all lie in one part")
    data = lightgbm.Dataset(rows, right.astype(np.int64))
    return lightgbm.train(TREE_OPTIONS | {"seed": seed}, data, num_boost_round=TREE_ROUNDS)
