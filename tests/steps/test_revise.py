"""Drafts with a remark are put to the model again; what is missing is named."""

from __future__ import annotations

from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.llm.base import Prompt
from jointcoder.llm.scripted import Scripted
from jointcoder.steps.proposals import Written
from tests.steps.working import CM, codes, draft, instructions, proposed, run_step, span, state_of, tools_of

HEART = draft("I50.9", "Heart failure", evidence=(span("Congestive heart failure"),))
LUNGS = draft("J18.9", "Pneumonia", evidence=(span("pneumonia"),))
REMARKS = (
    Written("critique", "The record denies Pneumonia.", ((CM, "J18.9"),)),
    Written("critique", "The cough is missing."),
    Written("llm:physician", "A tired heart.", ((CM, "I50.9"),)),
)


def script(asked: Any) -> Any:
    if isinstance(asked, Prompt):
        return {"diagnoses": ["Cough", "Heart failure", "Gout"], "procedures": []}
    return [0.5, 0.5] if "N/A" in asked[1].text else "no"


def test_only_what_was_remarked_on_is_asked_about(small_us: CodeBook) -> None:
    model = Scripted(script)
    state = state_of(texts=REMARKS, proposals=(proposed("gout"),), diagnoses=(HEART, LUNGS), procedures=())
    update = run_step("revise", state, tools_of(small_us), model)
    assert codes(update) == ["I50.9"]
    asked = [one for one in instructions(model.requests) if "Remark of the reviewer" in one]
    assert len(asked) == 2  # about the one draft, and about nothing
    assert "The record denies Pneumonia." in asked[0]
    assert update.notes == {"asked": 1, "dropped": 1, "named": 1}


def test_what_is_missing_is_named_and_known_names_are_not_repeated(small_us: CodeBook) -> None:
    model = Scripted(script)
    state = state_of(texts=REMARKS, proposals=(proposed("gout"),), diagnoses=(HEART, LUNGS), procedures=())
    update = run_step("revise", state, tools_of(small_us), model, label="again")
    assert [(p.name, p.by) for p in update.values["proposals"]] == [("Cough", "again")]
    said = instructions(model.requests)[-1]
    assert "The cough is missing." in said
    assert "- Heart failure" in said
    assert "- Pneumonia" not in said  # what was dropped is not coded any more


def test_heeds_those_it_is_told_to(small_us: CodeBook) -> None:
    state = state_of(texts=REMARKS, diagnoses=(HEART, LUNGS), procedures=())
    model = Scripted(script)
    update = run_step("revise", state, tools_of(small_us), model, heed=["llm:*"], missing=False)
    assert codes(update) == ["J18.9"]
    assert "proposals" not in update.values


def test_without_remarks_nothing_changes(small_us: CodeBook) -> None:
    state = state_of(texts=(), diagnoses=(HEART, LUNGS), procedures=())
    model = Scripted(script)
    update = run_step("revise", state, tools_of(small_us), model, missing=False)
    assert codes(update) == ["I50.9", "J18.9"]
    assert model.requests == []
