"""The combiner says what it adds up, survives JSON, and calibration never changes an order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.errors import AssetError
from jointcoder.packs.combiner import Calibration, Combiner

finite = st.floats(-20, 20)


@st.composite
def combiners(draw: st.DrawFn) -> Combiner:
    size = draw(st.integers(1, 6))
    many = st.lists(finite, min_size=size, max_size=size)
    return Combiner(
        names=tuple(f"f{i}" for i in range(size)),
        mean=tuple(draw(many)),
        scale=tuple(abs(v) + 0.1 for v in draw(many)),
        weights=tuple(draw(many)),
        bias=draw(finite),
        calibration=Calibration("platt", draw(st.floats(0.1, 3)), draw(finite)),
    )


@given(combiners(), st.data())
def test_contributions_sum_to_the_log_odds(combiner: Combiner, data: st.DataObject) -> None:
    size = len(combiner.names)
    row = np.array(data.draw(st.lists(finite, min_size=size, max_size=size)))
    total = sum(reason.weight for reason in combiner.contributions(row))
    assert total == pytest.approx(float(combiner.logodds(row)[0]), rel=1e-6, abs=1e-6)
    weights = [abs(reason.weight) for reason in combiner.contributions(row)]
    assert weights == sorted(weights, reverse=True)


@given(combiners())
def test_json_gives_the_same_combiner_back(combiner: Combiner) -> None:
    assert Combiner.from_json(combiner.to_json()) == combiner


@given(
    st.lists(finite, min_size=2, max_size=30),
    st.lists(st.tuples(finite, st.floats(0, 1)), min_size=2, max_size=8, unique_by=lambda knot: knot[0]),
)
def test_an_isotonic_staircase_keeps_the_order(values: list[float], knots: list[tuple[float, float]]) -> None:
    at, level = sorted(a for a, _ in knots), sorted(b for _, b in knots)
    found = Calibration("isotonic", knots=tuple(zip(at, level, strict=True)))(np.array(sorted(values)))
    assert np.all(np.diff(found) >= -1e-12)
    assert np.all((found >= 0) & (found <= 1))


def test_the_sigmoid_does_not_overflow() -> None:
    combiner = Combiner(("x",), (0.0,), (1.0,), (1.0,))
    assert combiner.probability(np.array([[-1e6], [1e6]])).tolist() == [0.0, 1.0]


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="2 features given, 1 known"):
        Combiner(("x",), (0.0,), (1.0,), (1.0,)).logodds(np.zeros((3, 2)))


@pytest.mark.parametrize(
    "change",
    [
        {"features": {"x": {"mean": 0.0, "scale": 0.0, "weight": 1.0}}},
        {"features": {"x": {"mean": 0.0, "scale": 1.0, "weight": math.nan}}},
        {"features": {"x": {"mean": 0.0, "scale": 1.0}}},
        {"calibration": None},
        {"bias": "much"},
    ],
)
def test_damaged_data_are_a_coded_error(change: dict[str, object]) -> None:
    good = Combiner(("x",), (0.0,), (1.0,), (1.0,)).to_json()
    with pytest.raises(AssetError) as caught:
        Combiner.from_json({**good, **change})
    assert caught.value.code == "JC212"
