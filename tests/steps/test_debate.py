"""Agents that see each other's lists; only their last ones count."""

from __future__ import annotations

from jointcoder.codebook.book import CodeBook
from jointcoder.llm.base import Prompt
from jointcoder.llm.scripted import Scripted
from jointcoder.steps.prompting import LANGUAGES, Prompts
from tests.steps.working import instructions, run_step, state_of, tools_of


def listing(*names: str) -> dict[str, list[str]]:
    return {"diagnoses": list(names), "procedures": []}


def test_the_last_lists_count_and_each_agent_saw_the_others(small_us: CodeBook) -> None:
    model = Scripted([listing("Cough"), listing("Gout"), listing("Cough", "Hypertension"), listing("Cough")])
    update = run_step("debate", state_of(), tools_of(small_us), model, agents=2, rounds=2)
    assert [(p.by, p.name) for p in update.values["proposals"]] == [
        ("debate:1", "Cough"),
        ("debate:1", "Hypertension"),
        ("debate:2", "Cough"),
    ]
    first, second, third, fourth = instructions(model.requests)
    views = Prompts("en").raw("debate", "views")
    assert views[0] in first
    assert views[1] in second
    assert "Your list so far: Cough" in third
    assert "Colleague 2: Gout (not word for word in the record)" in third
    assert "Colleague 1: Cough" in fourth
    assert update.notes == {"agents": 2, "names": 3}


def test_an_agent_that_falls_silent_stays_with_what_it_said(small_us: CodeBook) -> None:
    def script(asked: object) -> object:
        assert isinstance(asked, Prompt)
        return "rubbish" if "so far" in asked.instruction else listing("Cough")

    update = run_step("debate", state_of(), tools_of(small_us), Scripted(script), agents=2, rounds=3)
    assert [p.name for p in update.values["proposals"]] == ["Cough", "Cough"]
    assert [(flag.code, flag.message) for flag in update.flags] == [("JC302", "4 of 6 parts gave no usable answer")]


def test_one_round_is_a_vote_without_talk(small_us: CodeBook) -> None:
    model = Scripted([listing("Cough")] * 3)
    run_step("debate", state_of(), tools_of(small_us), model, rounds=1)
    assert len(model.requests) == 3


def test_every_language_has_views_enough() -> None:
    for language in LANGUAGES:
        assert len(set(Prompts(language).raw("debate", "views"))) >= 6
