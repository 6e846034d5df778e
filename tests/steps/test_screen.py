"""Near-duplicates side by side."""

from __future__ import annotations

from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.llm.scripted import Scripted
from jointcoder.steps.screen import category_of, rivals
from tests.steps.working import chooses, codes, draft, instructions, run_step, span, state_of, tools_of

LEFT = draft("M17.12", "osteoarthritis, left knee", evidence=(span("Osteoarthritis of the left knee"),))
RIGHT = draft("M17.11", "osteoarthritis, right knee", sure=0.7, evidence=(span("knee"),))
HEART = draft("I50.9", "Heart failure", evidence=(span("Congestive heart failure"),))


def test_the_one_that_the_record_means_stays(small_us: CodeBook) -> None:
    model = Scripted(chooses("left knee"))
    state = state_of(diagnoses=(LEFT, HEART, RIGHT), procedures=())
    update = run_step("screen", state, tools_of(small_us), model)
    assert codes(update) == ["M17.12", "I50.9"]
    (said,) = instructions(model.requests)
    assert "Osteoarthritis of the left knee" in said
    assert "several of them" in said.splitlines()[-2]
    assert update.notes == {"groups": 1, "dropped": 1}


def test_several_may_stay_and_an_unsure_choice_drops_none(small_us: CodeBook) -> None:
    state = state_of(diagnoses=(LEFT, RIGHT), procedures=())
    several = Scripted(chooses("several of them"))
    assert codes(run_step("screen", state, tools_of(small_us), several)) == ["M17.12", "M17.11"]

    def unsure(asked: Any) -> Any:
        lines = [line for line in asked[1].text.splitlines() if line[1:2] == "."]
        return {line[0]: 0.45 if "left" in line else 0.275 for line in lines}

    assert codes(run_step("screen", state, tools_of(small_us), Scripted(unsure))) == ["M17.12", "M17.11"]
    update = run_step("screen", state, tools_of(small_us), Scripted(unsure), margin=0.4)
    assert codes(update) == ["M17.12"]


def test_what_does_not_compete_is_not_asked_about(small_us: CodeBook) -> None:
    model = Scripted([])
    state = state_of(diagnoses=(LEFT, HEART), procedures=())
    assert codes(run_step("screen", state, tools_of(small_us), model)) == ["M17.12", "I50.9"]
    assert model.requests == []


def test_without_a_model_the_surest_of_the_same_words_stays(small_us: CodeBook) -> None:
    state = state_of(diagnoses=(LEFT, RIGHT, HEART), procedures=())
    assert codes(run_step("screen", state, tools_of(small_us), ask_model=False)) == ["M17.11", "I50.9"]
    elsewhere = RIGHT.with_(evidence=(span("cough"),))
    state = state_of(diagnoses=(LEFT, elsewhere), procedures=())
    assert codes(run_step("screen", state, tools_of(small_us), ask_model=False)) == ["M17.12", "M17.11"]


def test_who_competes(small_us: CodeBook) -> None:
    tools = tools_of(small_us)
    other = HEART.with_(evidence=(span("heart failure. Hypertension"),))
    pressure = draft("I10", evidence=(span("Hypertension"),))
    assert rivals((other, pressure), tools, ("category",)) == []
    assert rivals((other, pressure), tools, ("evidence",)) == [[other, pressure]]
    assert category_of(LEFT, tools) == category_of(RIGHT, tools) == "M17"
    assert category_of(draft("Q99.99"), tools) == ""
    many = [draft("M17.12", evidence=(span("knee"),)).with_(rank=n) for n in range(20)]
    assert [len(group) for group in rivals(many, tools, ("category",))] == [8, 8, 4]
