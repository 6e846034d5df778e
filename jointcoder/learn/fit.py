"""Rows of features → a calibrated, explainable :class:`Combiner`, and the threshold that goes with it.

    fitted = fit_logistic(names, X, y, groups)   X (rows, features), y (rows,) 0/1, groups: each row's encounter
    fitted.out_of_fold                           calibrated, by models that never saw the row's group
    best_threshold(fitted.out_of_fold, y, missed=…)
    save(fitted, folder)                         the combiner, its trees written where it has some

Logistic regression is the default because its sum can be read aloud; trees are mixed in where asked. Calibration is
learnt on out-of-fold log-odds, never on fitted ones. Rows whose own features were learnt from the same records must
come cross-fitted (experiments: leave-one-out features leak).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.errors import AssetError, InputError
from jointcoder.learn.folds import folds as by_group
from jointcoder.learn.folds import splits
from jointcoder.packs.combiner import TREES, Array, Calibration, Combiner

TREE_OPTIONS: dict[str, Any] = {
    "objective": "binary",
    "num_leaves": 15,
    "learning_rate": 0.05,
    "min_data_in_leaf": 30,
    "feature_fraction": 0.7,
    "lambda_l2": 5.0,
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
}


@dataclass(frozen=True)
class Fitted:
    """A combiner, and what it would have said of each training row had it not seen it: calibrated, and the log-odds
    before calibration. ``booster``: its trees, not yet on disk (:func:`save`)."""

    combiner: Combiner
    out_of_fold: Array
    raw: Array
    booster: Any = None


def require(module: str) -> Any:
    """A trainer's library, or AssetError JC211 with the line that installs it."""
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        hint = "pip install 'jointcoder[learn]'"
        raise AssetError(
            "JC211", f"learning needs {module.partition('.')[0]}, which is not installed", hint=hint
        ) from None


def fit_logistic(
    names: Sequence[str],
    rows: Array,
    target: NDArray[Any],
    groups: Sequence[str],
    *,
    C: float = 1.0,  # noqa: N803 - scikit-learn's own name
    folds: int = 5,
    class_weight: str | None = None,
    calibration: str = "platt",
    trees: float = 0.0,
    rounds: int = 150,
    seed: int = 0,
) -> Fitted:
    """``C``: inverse strength of L2. ``calibration``: platt or isotonic. ``trees``: share of a LightGBM model in the
    log-odds (0: none); such a combiner can be used only once :func:`save` wrote its trees.

    Raises InputError JC114 where one class is missing or groups are too few.
    """
    rows, target = np.asarray(rows, dtype=np.float64), np.asarray(target).astype(np.int64)
    if rows.ndim != 2 or not len(rows) or len(set(target.tolist())) < 2:
        raise InputError("JC114", "nothing to learn: the examples are all right or all wrong, or there are none")
    fold = by_group(groups, folds, seed)
    raw = np.zeros(len(rows))
    for _, learn, score in splits(fold):
        if len(set(target[learn].tolist())) < 2:
            raise InputError("JC114", "too few examples of one kind to learn from: they all lie in one part")
        raw[score] = _logodds(
            _fit(names, rows[learn], target[learn], C, class_weight, trees, rounds, seed), rows[score]
        )
    whole = _fit(names, rows, target, C, class_weight, trees, rounds, seed)
    line = calibrate(raw, target, calibration)
    return Fitted(replace(whole.combiner, calibration=line), line(raw), raw, whole.booster)


def save(fitted: Fitted, folder: Path) -> Combiner:
    """The combiner, its trees (if it has some) written into ``folder``; its JSON is the caller's to write."""
    if fitted.booster is None:
        return fitted.combiner
    folder.mkdir(parents=True, exist_ok=True)
    fitted.booster.save_model(str(folder / TREES))
    return replace(fitted.combiner, folder=folder)


def calibrate(raw: Array, target: NDArray[Any], kind: str = "platt") -> Calibration:
    """A monotone map from held-out log-odds to probability. ``kind``: platt or isotonic."""
    if kind == "isotonic":
        isotonic = require("sklearn.isotonic").IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
        isotonic.fit(raw, target)
        knots = zip(isotonic.X_thresholds_.tolist(), isotonic.y_thresholds_.tolist(), strict=True)
        return Calibration("isotonic", knots=_rising(list(knots)))
    if kind != "platt":
        raise ValueError(f"unknown calibration {kind!r}")
    model = require("sklearn.linear_model").LogisticRegression(C=1e6, max_iter=1000)
    model.fit(raw.reshape(-1, 1), target)
    slope = float(model.coef_[0, 0])
    if slope <= 0:  # the scores say nothing, or the opposite: the base rate is the honest answer
        rate = float(np.clip(target.mean(), 1e-4, 1 - 1e-4))
        return Calibration("platt", 0.0, float(np.log(rate / (1 - rate))))
    return Calibration("platt", slope, float(model.intercept_[0]))


def best_threshold(
    probability: Array, target: NDArray[Any], missed: int = 0, *, want_precision: float | None = None
) -> float:
    """The probability from which a row counts as chosen: best micro F1, or the lowest that keeps ``want_precision``.

    ``missed``: gold codes without any row, which no threshold finds. 1.01 (nothing is chosen) where the wanted
    precision is never reached.
    """
    order = np.argsort(-probability, kind="stable")
    ranked, right = probability[order], np.cumsum(target[order])
    if not ranked.size:
        return 0.5
    taken = np.arange(1, ranked.size + 1)
    ends = np.append(ranked[1:] != ranked[:-1], True)  # rows of equal probability are chosen together
    if want_precision is not None:
        good = np.flatnonzero(ends & (right / taken >= want_precision))
        return float(ranked[good[-1]]) if good.size else 1.01
    value = np.where(ends, 2 * right / (taken + int(target.sum()) + missed), -1.0)
    best = int(np.argmax(value))
    after = ranked[best + 1] if best + 1 < ranked.size else 0.0
    return float((ranked[best] + after) / 2)  # half way to the next, so that the choice does not hang on one row


@dataclass(frozen=True)
class _Model:
    combiner: Combiner
    booster: Any = None


def _fit(
    names: Sequence[str],
    rows: Array,
    target: NDArray[Any],
    strength: float,
    class_weight: str | None,
    trees: float,
    rounds: int,
    seed: int,
) -> _Model:
    linear = require("sklearn.linear_model")
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale[scale < 1e-9] = 1.0  # a constant feature: it stays, and says nothing
    model = linear.LogisticRegression(C=strength, max_iter=2000, class_weight=class_weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit((rows - mean) / scale, target)
    combiner = Combiner(
        tuple(names),
        tuple(map(float, mean)),
        tuple(map(float, scale)),
        tuple(map(float, model.coef_[0])),
        float(model.intercept_[0]),
        share=trees,
    )
    if not trees:
        return _Model(combiner)
    lightgbm = require("lightgbm")
    data = lightgbm.Dataset(rows, target, free_raw_data=True)
    return _Model(combiner, lightgbm.train(TREE_OPTIONS | {"seed": seed}, data, num_boost_round=rounds))


def _logodds(model: _Model, rows: Array) -> Array:
    value = replace(model.combiner, share=0.0).logodds(rows)
    if model.booster is None:
        return value
    share = model.combiner.share
    return (1 - share) * value + share * np.asarray(model.booster.predict(rows, raw_score=True))


def _rising(knots: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Knots rounded, those dropped that lie on their neighbours' level: the staircase stays the same and readable."""
    kept = [
        knot
        for i, knot in enumerate(knots)
        if i in (0, len(knots) - 1) or not knots[i - 1][1] == knot[1] == knots[i + 1][1]
    ]
    return tuple((round(at, 6), round(value, 6)) for at, value in kept)
