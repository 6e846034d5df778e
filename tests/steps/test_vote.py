"""The share of the readings that named a code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from tests.steps.working import codes, draft, proposed, run_step, state_of, tools_of

READINGS = ("propose:note:1", "propose:note:2", "debate:1")


def state_with(*stages: tuple[str, ...]) -> object:
    return state_of(
        proposals=tuple(proposed("x", by=by) for by in READINGS),
        diagnoses=tuple(draft(code, stages=own) for code, own in zip(("I10", "J18.9", "R05.9"), stages, strict=False)),
        procedures=(),
    )


def test_codes_are_kept_and_ordered_by_their_share(small_us: CodeBook) -> None:
    state = state_with((READINGS[0],), READINGS, READINGS[:2])
    update = run_step("vote", state, tools_of(small_us))  # type: ignore[arg-type]
    assert codes(update) == ["J18.9", "R05.9"]
    assert [round(code.confidence, 3) for code in update.values["diagnoses"]] == [1.0, 0.667]
    verdict = update.values["diagnoses"][1].verdicts[-1]
    assert (verdict.step, verdict.answer, verdict.by) == ("vote", "2 of 3", "readings")
    assert update.notes == {"readings": 3, "dropped": 1}


def test_readings_that_named_nothing_count_when_they_are_said(small_us: CodeBook) -> None:
    state = state_with(READINGS)
    update = run_step("vote", state, tools_of(small_us), samples=6, least=0.4)  # type: ignore[arg-type]
    assert update.values["diagnoses"][0].confidence == pytest.approx(0.5)


def test_only_those_named_vote(small_us: CodeBook) -> None:
    state = state_with((READINGS[2],), READINGS[:2])
    update = run_step("vote", state, tools_of(small_us), by=["propose:*"])  # type: ignore[arg-type]
    assert codes(update) == ["J18.9"]
    assert update.notes["readings"] == 2


def test_the_share_may_weigh_less(small_us: CodeBook) -> None:
    state = state_with(READINGS[:1])
    update = run_step("vote", state, tools_of(small_us), least=0, weight=0.5)  # type: ignore[arg-type]
    assert update.values["diagnoses"][0].confidence == pytest.approx(0.5 * 1 / 3 + 0.5 * 0.6)


def test_without_readings_nothing_is_dropped(small_us: CodeBook) -> None:
    state = state_of(diagnoses=(draft("I10"),), procedures=())
    assert run_step("vote", state, tools_of(small_us)).values == {}


@given(st.lists(st.sets(st.sampled_from(READINGS)), min_size=1, max_size=3), st.floats(0, 1))
def test_what_is_kept_has_its_share(small_us: CodeBook, own: list[set[str]], least: float) -> None:
    state = state_with(*(tuple(stages) for stages in own))
    update = run_step("vote", state, tools_of(small_us), least=least)  # type: ignore[arg-type]
    shares = {code: len(stages) / 3 for code, stages in zip(("I10", "J18.9", "R05.9"), own, strict=False)}
    assert set(codes(update)) == {code for code, share in shares.items() if share >= least}
    kept = update.values["diagnoses"]
    assert [code.rank for code in kept] == list(range(1, len(kept) + 1))
