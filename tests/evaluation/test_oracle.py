"""Our measures against scikit-learn's, on random encounters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.evaluation import metrics
from jointcoder.records import Kind
from tests.evaluation.examples import case

sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")

CODES = [f"A{i:02}" for i in range(8)]
SUBSETS = st.lists(st.sampled_from(CODES), unique=True)
ENCOUNTERS = st.lists(st.tuples(SUBSETS, SUBSETS), min_size=1, max_size=8)


def _matrix(sets: list[list[str]]) -> np.ndarray:
    return np.array([[code in chosen for code in CODES] for chosen in sets], dtype=int)


@settings(deadline=None, max_examples=60)
@given(ENCOUNTERS)
def test_set_measures_agree(pairs):
    gold, predicted = _matrix([p[0] for p in pairs]), _matrix([p[1] for p in pairs])
    scored = [case(" ".join(g), " ".join(p)) for g, p in pairs]
    counts = metrics.micro(scored)
    options = {"average": "micro", "zero_division": 0.0}
    assert (counts.precision or 0.0) == pytest.approx(sklearn_metrics.precision_score(gold, predicted, **options))
    assert (counts.recall or 0.0) == pytest.approx(sklearn_metrics.recall_score(gold, predicted, **options))
    assert (counts.f1 or 0.0) == pytest.approx(sklearn_metrics.f1_score(gold, predicted, **options))
    used = np.flatnonzero((gold + predicted).sum(axis=0))
    if used.size:
        macro = sklearn_metrics.f1_score(gold, predicted, average="macro", labels=used, zero_division=0.0)
        assert metrics.macro_f1(scored) == pytest.approx(macro)
    jaccard = sklearn_metrics.jaccard_score(gold, predicted, average="samples", zero_division=1.0)
    assert metrics.jaccard(scored) == pytest.approx(jaccard)
    assert metrics.exact_match(scored) == pytest.approx(sklearn_metrics.accuracy_score(gold, predicted))


@settings(deadline=None, max_examples=60)
@given(st.permutations(CODES), st.permutations(CODES), st.integers(2, 8))
def test_ndcg_agrees(gold_order, ranking, size):
    gold = gold_order[:size]
    worth = [max(0, 3 - gold.index(code)) if code in gold else 0 for code in CODES]
    scores = [-ranking.index(code) for code in CODES]
    expected = sklearn_metrics.ndcg_score([worth], [scores], k=3)
    scored = [case(" ".join(gold), " ".join(ranking), ordered=True)]
    assert metrics.ndcg(scored, Kind.DIAGNOSIS) == pytest.approx(expected)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(CODES), unique=True, min_size=1), st.permutations(CODES))
def test_average_precision_agrees(gold, ranking):
    truth = [int(code in gold) for code in CODES]
    scores = [-ranking.index(code) for code in CODES]
    expected = sklearn_metrics.average_precision_score(truth, scores)
    assert metrics.mean_average_precision([case(" ".join(gold), " ".join(ranking))]) == pytest.approx(expected)
