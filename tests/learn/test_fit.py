"""Folds hold encounters together, fits are calibrated and explainable, thresholds are the best there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.learn.fit import best_threshold, calibrate, fit_logistic, save
from jointcoder.learn.folds import folds, splits


@given(st.lists(st.integers(0, 40).map(str), min_size=1, max_size=120), st.integers(2, 6), st.integers(0, 3))
def test_folds_keep_an_encounter_together_and_are_even(ids: list[str], k: int, seed: int) -> None:
    if len(set(ids)) < k:
        with pytest.raises(InputError) as caught:
            folds(ids, k, seed)
        assert caught.value.code == "JC114"
        return
    fold = folds(ids, k, seed)
    assert all(len({fold[i] for i, other in enumerate(ids) if other == one}) == 1 for one in set(ids))
    sizes = [len({ids[i] for i in range(len(ids)) if fold[i] == number}) for number in range(k)]
    assert max(sizes) - min(sizes) <= 1
    for _, learn, score in splits(fold):
        assert not {ids[i] for i in learn} & {ids[i] for i in score}


def test_folds_do_not_depend_on_the_order() -> None:
    ids = [f"note {i}" for i in range(50)]
    forward = dict(zip(ids, folds(ids), strict=True))
    backward = dict(zip(ids[::-1], folds(ids[::-1]), strict=True))
    assert forward == backward


def rows(n: int = 600, seed: int = 1) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Two features that say something and one that says nothing; four rows an encounter."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 3)) * [1.0, 5.0, 2.0] + [0.0, 10.0, -3.0]
    chance = 1 / (1 + np.exp(-(1.5 * values[:, 0] + 0.3 * (values[:, 1] - 10) - 0.5)))
    return values, (rng.random(n) < chance).astype(int), [str(i // 4) for i in range(n)]


def test_a_fit_finds_what_says_something_and_is_calibrated() -> None:
    values, y, groups = rows()
    fitted = fit_logistic(("one", "two", "nothing"), values, y, groups)
    weight = dict(zip(fitted.combiner.names, fitted.combiner.weights, strict=True))
    assert weight["one"] > 0.8
    assert weight["two"] > 0.8
    assert abs(weight["nothing"]) < 0.3
    confident = fitted.out_of_fold > 0.8
    assert abs(y[confident].mean() - fitted.out_of_fold[confident].mean()) < 0.07
    unseen, truth, _ = rows(seed=2)
    assert ((fitted.combiner.probability(unseen) > 0.5) == truth).mean() > 0.75


def test_trees_share_the_log_odds_and_the_explanation(tmp_path: Path) -> None:
    pytest.importorskip("lightgbm")
    values, y, groups = rows()
    combiner = save(fit_logistic(("one", "two", "nothing"), values, y, groups, trees=0.5, rounds=20), tmp_path)
    total = sum(reason.weight for reason in combiner.contributions(values[0]))
    assert total == pytest.approx(float(combiner.logodds(values[0])[0]))
    assert total != pytest.approx(
        float((values[0] - combiner.mean) / combiner.scale @ combiner.weights + combiner.bias)
    )


@pytest.mark.parametrize("target", [np.zeros(40), np.ones(40)])
def test_one_class_alone_teaches_nothing(target: np.ndarray) -> None:
    with pytest.raises(InputError) as caught:
        fit_logistic(("x",), np.arange(40.0).reshape(-1, 1), target, [str(i) for i in range(40)])
    assert caught.value.code == "JC114"


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_calibration_corrects_overconfidence(kind: str) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=4000)
    right = rng.random(4000) < 1 / (1 + np.exp(-truth))
    said = calibrate(3 * truth, right, kind)(3 * truth)  # three times as sure as it may be
    for low in (0.1, 0.3, 0.5, 0.7):
        inside = (said >= low) & (said < low + 0.2)
        assert abs(right[inside].mean() - said[inside].mean()) < 0.06


def test_scores_that_say_nothing_become_the_base_rate() -> None:
    raw = np.concatenate([np.arange(50.0), np.arange(50.0)])
    right = np.concatenate([np.arange(50) < 30, np.arange(50) < 30])  # the higher, the less often right
    assert calibrate(raw, right)(raw) == pytest.approx(np.full(100, 0.6), abs=1e-6)


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.25, 0.4, 0.55, 0.8, 0.95]), st.booleans()), min_size=1, max_size=40),
    st.integers(0, 10),
)
def test_no_threshold_is_better_than_the_best(scores: list[tuple[float, bool]], missed: int) -> None:
    probability = np.array([score for score, _ in scores])
    right = np.array([good for _, good in scores])

    def f1(threshold: float) -> float:
        taken = probability >= threshold
        return 2 * (taken & right).sum() / max(1, taken.sum() + right.sum() + missed)

    chosen = best_threshold(probability, right, missed)
    assert f1(chosen) == pytest.approx(max(f1(t) for t in {*probability, 1.01}))


def test_a_wanted_precision_is_kept_or_nothing_is_given() -> None:
    probability = np.array([0.9, 0.8, 0.7, 0.6])
    assert best_threshold(probability, np.array([1, 1, 0, 1]), want_precision=0.75) == 0.6
    assert best_threshold(probability, np.array([1, 1, 0, 0]), want_precision=0.9) == 0.8
    assert best_threshold(probability, np.array([0, 0, 0, 0]), want_precision=0.5) > 1
