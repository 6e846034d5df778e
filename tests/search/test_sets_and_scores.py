"""Sets that share nothing, scores that are reckoned and not told, who goes on, who wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.search.choice import choose
from jointcoder.search.halving import goes_on, rungs
from jointcoder.search.score import Weights, gain, score
from jointcoder.search.sets import split
from jointcoder.store.archive import Result

from . import bench


def result(place: int, tp: int = 1, fp: int = 0, fn: int = 0, **values: int) -> Result:
    return Result(place=place, encounter=f"e{place}", tp=tp, fp=fp, fn=fn, **values)


# -------------------------------------------------------------------------------------------------------------- sets


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_sets_share_no_encounter_and_lose_none(tmp_path: Path, seed: int):
    found = split([bench.corpus(tmp_path, bench.notes(24))], share=0.4, seed=seed)
    ids = [{item.encounter.id for item in part} for part in (found.search, found.selection)]
    assert not ids[0] & ids[1]
    assert len(ids[0] | ids[1]) == 24
    assert 8 <= len(ids[1]) <= 12
    again = split([bench.corpus(tmp_path, bench.notes(24))], share=0.4, seed=seed)
    assert again.fingerprint() == found.fingerprint()


def test_copies_under_another_id_stay_on_one_side(tmp_path: Path):
    rows = bench.notes(10)
    copies = [{**row, "id": f"copy-{row['id']}", "text": row["text"].replace("\n\n", "\n \n").upper()} for row in rows]
    for seed in range(5):
        found = split([bench.corpus(tmp_path, [*rows, *copies])], seed=seed)
        sides = [{item.encounter.id.removeprefix("copy-") for item in part} for part in (found.search, found.selection)]
        assert not sides[0] & sides[1]


@pytest.mark.parametrize("which", ["select", "test"])
@pytest.mark.parametrize("how", ["id", "text"])
def test_sets_that_share_an_encounter_are_refused(tmp_path: Path, which: str, how: str):
    data = bench.corpus(tmp_path, bench.notes(12))
    other = bench.notes(8, first=40)
    other[3] = {**other[3], **({"id": "n2"} if how == "id" else {"text": bench.notes(12)[2]["text"]})}
    with pytest.raises(InputError) as caught:
        split([data], **{which: bench.corpus(tmp_path, other, "other.jsonl")})
    assert caught.value.code == "JC434"
    assert "was treated" not in str(caught.value)


def test_too_few_notes_and_no_labels_in_common(tmp_path: Path):
    with pytest.raises(InputError) as caught:
        split([bench.corpus(tmp_path, bench.notes(5))])
    assert caught.value.code == "JC435"
    with pytest.raises(InputError) as caught:
        split([bench.corpus(tmp_path, bench.notes(20))], system="ICD-10-PCS")
    assert caught.value.code == "JC108"


# ------------------------------------------------------------------------------------------------------------ scores


def test_the_objective_adds_compliance_and_takes_off_cost():
    results = [
        result(0, 2, 1, 1, passed=3, applied=4, calls=10, read=900, written=100),
        result(1, 1, 0, 1, passed=1, applied=1),
    ]
    weights = Weights(compliance=0.5, cost=0.1, kilotoken=2.0, call=0.1)
    found = score(results, weights)
    assert found.f1 == pytest.approx(2 * 3 / (2 * 3 + 1 + 2))
    assert found.compliance == pytest.approx(4 / 5)
    assert found.cost == pytest.approx(2.0 * 0.5 + 0.1 * 5)
    assert found.objective == pytest.approx(found.f1 + 0.5 * found.compliance - 0.1 * found.cost)
    assert found.low <= found.f1 <= found.high
    assert (found.n, found.failed) == (2, 0)


def test_a_workflow_that_codes_nothing_is_worth_nothing_and_breaks_nothing():
    found = score([result(0, 0, 0, 3), Result(place=1, encounter="e", tp=0, fp=0, fn=0, failed="JC101")], Weights())
    assert (found.f1, found.precision, found.failed) == (0.0, 0.0, 1)
    with pytest.raises(ValueError, match="no result"):
        score([], Weights())


def test_a_gain_is_paired_by_encounter():
    before = [result(i, 1, 1, 1) for i in range(6)]
    after = [result(i, 2, 0, 0) for i in reversed(range(6))]
    found = gain(before, after)
    assert found is not None
    assert found.difference == pytest.approx(0.5)
    with pytest.raises(ValueError, match="same encounters"):
        gain(before, after[:-1])


# ----------------------------------------------------------------------------------------------------------- halving


def test_the_rungs():
    assert rungs(40, first=5, eta=3) == (5, 15, 40)
    assert rungs(20, first=5, eta=3) == (5, 20)  # 15 of 20 would decide nothing that 20 do not
    assert rungs(4, first=5, eta=3) == (4,)
    assert rungs(40, first=5, eta=1) == (40,)


@given(st.integers(1, 500), st.integers(1, 20), st.integers(1, 5))
def test_rungs_grow_and_end_with_all_notes(notes: int, first: int, eta: int):
    found = rungs(notes, first=first, eta=eta)
    assert found[-1] == notes
    assert list(found) == sorted(set(found))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(1, 5))
def test_of_all_that_came_about_one_in_eta_goes_on(values: list[float], eta: int):
    going = [v for i, v in enumerate(values) if goes_on(v, values[:i] + values[i + 1 :], eta=eta)]
    assert max(values) in going
    distinct = len(set(values)) == len(values)
    if distinct:
        assert len(going) == -(-len(values) // eta)


# ------------------------------------------------------------------------------------------------------------ choice


def test_the_winner_has_the_best_lower_bound_not_the_best_mean():
    start = [result(i, 2, 2, 2) for i in range(12)]
    steady = [result(i, 3, 1, 1) for i in range(12)]
    wild = [result(i, 4, 0, 0) if i % 3 else result(i, 0, 5, 4) for i in range(12)]
    found = choose(start, {2: wild, 3: steady})
    assert found.number == 3
    assert [one.number for one in found.gains] == [3, 2]


def test_nobody_wins_without_a_gain_that_is_not_luck():
    start = [result(i, 2, 1, 1) for i in range(10)]
    same = [result(i, 2, 1, 1) for i in range(10)]
    lucky = [result(i, 3, 0, 0) if i == 0 else result(i, 2, 1, 1) for i in range(10)]
    worse = [result(i, 1, 2, 2) for i in range(10)]
    assert choose(start, {2: same, 3: lucky, 4: worse}).number is None
    assert choose(start, {}).number is None


def test_more_finalists_ask_for_more_certainty():
    start = [result(i, 2, 1, 1) for i in range(10)]
    better = [result(i, 3, 0, 0) for i in range(10)]
    one, three = choose(start, {2: better}), choose(start, dict.fromkeys((2, 3, 4), better))
    assert one.gains[0].level == pytest.approx(0.95)
    assert three.gains[0].level == pytest.approx(1 - 0.05 / 3)
