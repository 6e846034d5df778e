"""Rewards: the cheap ways out do not pay."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.finetune.rewards import (
    REWARDS,
    Wanted,
    codes_of,
    concise,
    evidence,
    f1,
    group_advantages,
    order,
    principal,
    reward,
    valid,
)

OFFERED = ("I10", "E11.9", "J18.9", "R51.9", "K35.80", "N39.0", "D64.9", "F32.A")
WANTED = Wanted(("J18.9", "I10"), OFFERED, valid=lambda code: code in {o.replace(".", "") for o in OFFERED})
ALL = {"f1": 1.0, "principal": 1.0, "order": 0.5, "valid": 1.0}
CODES = st.sampled_from(OFFERED)


def said(*codes: str) -> str:
    return ", ".join(codes)


def test_the_right_answer_in_order_is_best():
    best = reward(said("J18.9", "I10"), WANTED, ALL)
    assert best == pytest.approx(1.0 + 0.25 + 0.5)
    assert reward(said("I10", "J18.9"), WANTED, ALL) < best


def test_copying_the_options_pays_less_than_one_right_code():
    copied = f1(said(*OFFERED), WANTED)
    assert copied < f1(said("J18.9"), WANTED)
    assert copied < f1(said("J18.9", "I10", "R51.9"), WANTED)
    assert copied < 0


def test_saying_nothing_pays_less_than_trying():
    assert f1("", WANTED) == -1.0
    assert f1("[]", WANTED) == -1.0
    assert f1("", WANTED) < f1(said("R51.9"), WANTED)
    assert f1("", Wanted(())) == 1.0 > f1(said("I10"), Wanted(()))


def test_repeats_count_once_as_right_and_then_as_wrong():
    once, twice = f1(said("J18.9"), WANTED), f1(said("J18.9", "J18.9"), WANTED)
    assert twice < once
    assert order(said("J18.9", "J18.9", "I10"), WANTED) < order(said("J18.9", "I10"), WANTED) == pytest.approx(1.0)


def test_invented_codes_cost_what_they_could_gain():
    assert valid(said("J18.9", "Q00.99"), WANTED) == -1.0
    assert reward(said("J18.9", "Q00.99"), WANTED, ALL) < reward(said("J18.9"), WANTED, ALL)


def test_prose_is_no_list_of_codes():
    assert codes_of("The codes are: J18.9!") is None
    assert f1("The codes are: J18.9!", WANTED) == -1.0
    assert concise("The answer is J18.9", WANTED) == pytest.approx(0.25)
    assert concise("J18.9", WANTED) == 1.0
    assert concise("", WANTED) == 0.0


def test_answers_may_be_json():
    assert codes_of('{"codes": [{"code": "j18.9"}, "I10"]}') == ["J189", "I10"]
    assert codes_of("[1, 2]") is None
    assert codes_of('{"codes": ') is None
    assert f1('["J18.9", "I10"]', WANTED) == 1.0


def test_principal_wants_the_first():
    assert principal(said("J18.9", "I10"), WANTED) == 0.25
    assert principal(said("I10", "J18.9"), WANTED) == 0.0
    assert principal("", WANTED) == 0.0


def test_quotes_must_stand_in_the_text():
    wanted = Wanted((), text="Ingresa por neumonía bilateral.", quotes=("neumonía",))
    right = json.dumps({"diagnoses": ["neumonía"]})
    invented = json.dumps({"diagnoses": ["neumonía", "hipertensión"]})
    copied = json.dumps({"diagnoses": ["neumonía", "Ingresa", "por", "bilateral"]})
    assert evidence(right, wanted) == 1.0
    assert evidence(invented, wanted) < 0 < evidence(copied, wanted) < evidence(right, wanted)
    assert evidence('{"diagnoses": []}', wanted) == evidence("no JSON", wanted) == -1.0


@given(st.lists(CODES, max_size=12))
def test_no_answer_beats_the_gold(codes: list[str]):
    assert reward(said(*codes), WANTED, ALL) <= reward(said(*WANTED.codes), WANTED, ALL) + 1e-9


@given(st.lists(CODES, min_size=1, max_size=8, unique=True), CODES)
def test_a_wrong_code_more_never_pays(codes: list[str], more: str):
    if more not in codes and more not in WANTED.codes:
        assert f1(said(*codes, more), WANTED) < f1(said(*codes), WANTED)


@given(st.text(max_size=60))
def test_any_text_gets_a_number(text: str):
    for function in REWARDS.values():
        assert -20 < function(text, WANTED) <= 1.0


def test_advantages_compare_within_the_group():
    assert group_advantages([1.0, 1.0, 1.0]) == [0.0, 0.0, 0.0]
    assert group_advantages([0.0, 1.0]) == pytest.approx([-1.0, 1.0])
