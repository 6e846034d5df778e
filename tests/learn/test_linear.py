"""Ridge regression: what is held out is what a model without the record says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from jointcoder.learn import linear
from jointcoder.learn.linear import CONSTANT, ridge


def data(rows: int = 40, columns: int = 12, seed: int = 0) -> tuple[sparse.csr_matrix, np.ndarray]:
    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(rows, columns))
    targets = matrix @ draw.normal(size=(columns, 3)) + 0.1 * draw.normal(size=(rows, 3))
    return sparse.csr_matrix(matrix), targets


def test_held_out_scores_equal_those_of_a_model_without_the_record() -> None:
    matrix, targets = data()
    fitted = ridge(matrix, targets)
    dense = matrix.toarray()
    for left_out in (0, 7, 39):
        rest = np.delete(np.arange(len(dense)), left_out)
        products = dense[rest] @ dense[rest].T + CONSTANT
        dual = np.linalg.solve(products + fitted.strength * np.eye(len(rest)), targets[rest])
        expected = (dense[left_out] @ dense[rest].T + CONSTANT) @ dual
        assert fitted.held_out[left_out] == pytest.approx(expected)


def test_weights_and_bias_reproduce_the_fit() -> None:
    matrix, targets = data()
    fitted = ridge(matrix, targets)
    assert np.corrcoef((matrix @ fitted.weights + fitted.bias).ravel(), targets.ravel())[0, 1] > 0.95


def test_noise_asks_for_a_stronger_penalty_than_signal() -> None:
    matrix, targets = data()
    noise = np.random.default_rng(1).normal(size=targets.shape)
    assert ridge(matrix, noise).strength > ridge(matrix, targets).strength


def test_many_records_are_solved_by_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, targets = data(rows=120)
    monkeypatch.setattr(linear, "EXACT", 100)
    fitted = ridge(matrix, targets)
    assert np.corrcoef(fitted.held_out.ravel(), targets.ravel())[0, 1] > 0.9
    assert fitted.weights.shape == (12, 3)
