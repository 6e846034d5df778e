"""Readings as proposals: each asks its own way, bears its name, and what cannot be used is said once."""

from __future__ import annotations

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.errors import WorkflowError
from jointcoder.llm.base import Prompt
from jointcoder.llm.scripted import Scripted
from jointcoder.records import Kind, System
from jointcoder.steps import registry
from jointcoder.steps.prompting import LANGUAGES, Prompts
from jointcoder.steps.proposals import Written
from tests.steps.working import instructions, proposed, run_step, span, state_of, tools_of

NOTHING = {"diagnoses": [], "procedures": []}
ONE = {"diagnoses": ["Hypertension"], "procedures": []}


def test_the_note_is_read_once(small_us: CodeBook) -> None:
    model = Scripted([ONE])
    update = run_step("propose", state_of(), tools_of(small_us), model)
    (found,) = update.values["proposals"]
    assert (found.name, found.by, found.span) == ("Hypertension", "propose:note", span("Hypertension"))
    assert update.notes == {"requests": 1, "names": 1, "placed": 1}


def test_the_reasoned_reading_thinks_before_it_lists(small_us: CodeBook) -> None:
    model = Scripted([{"reasoning": "She has high pressure."} | ONE])
    update = run_step("propose", state_of(), tools_of(small_us), model, readings=["reasoned"])
    schema = model.requests[0].schema
    assert schema is not None
    assert list(schema["properties"]) == ["reasoning", "diagnoses", "procedures"]
    assert update.values["proposals"][0].by == "propose:reasoned"


def test_samples_differ_by_their_instruction_and_are_told_apart(small_us: CodeBook) -> None:
    model = Scripted([ONE] * 4)
    update = run_step("propose", state_of(), tools_of(small_us), model, samples=4)
    assert len(set(instructions(model.requests))) == 4
    assert [p.by for p in update.values["proposals"]] == [f"propose:note:{n}" for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(("reading", "aspects"), [("systems", "systems_asked"), ("letters", "letters_asked")])
def test_one_request_an_aspect(small_us: CodeBook, reading: str, aspects: str) -> None:
    wanted = Prompts("en").raw("propose", aspects)
    model = Scripted([NOTHING] * len(wanted))
    run_step("propose", state_of(), tools_of(small_us), model, readings=[reading])
    said = instructions(model.requests)
    assert all(aspect in one for aspect, one in zip(wanted, said, strict=True))


def test_sections_of_one_kind_go_together_and_none_is_left_out(small_us: CodeBook) -> None:
    model = Scripted([NOTHING] * 2)
    run_step("propose", state_of(), tools_of(small_us), model, readings=["sections"])
    shown = " ".join(request.context.text for request in model.requests)  # type: ignore[union-attr]
    for words in ("denies pneumonia", "sister", "Congestive", "knee", "cough"):
        assert shown.count(words) == 1


def test_terms_are_asked_about_without_the_record(small_us: CodeBook) -> None:
    model = Scripted([ONE])
    state = state_of(proposals=(proposed("High pressure", by="medical_term_extraction"),))
    run_step("propose", state, tools_of(small_us), model, readings=["terms"])
    assert "Congestive" not in model.requests[0].context.text  # type: ignore[union-attr]
    assert "- High pressure" in instructions(model.requests)[0]
    assert run_step("propose", state_of(), tools_of(small_us), Scripted([]), readings=["terms"]).values == {
        "proposals": ()
    }


def test_texts_of_others_are_shown_on_request(small_us: CodeBook) -> None:
    state = state_of(texts=(Written("llm:physician", "Her heart is weak."),))
    for with_text in (True, False):
        model = Scripted([NOTHING])
        run_step("propose", state, tools_of(small_us), model, with_text=with_text)
        assert ("Her heart is weak." in instructions(model.requests)[0]) == with_text


def test_spanish_names_come_in_english_with_the_words_behind_them(small_us: CodeBook) -> None:
    text = "Paciente con hipertensión arterial."
    listed = {"diagnoses": [{"quote": "hipertensión arterial", "name": "Hypertension"}], "procedures": []}
    update = run_step("propose", state_of(text, language="es"), tools_of(small_us), Scripted([listed]))
    (found,) = update.values["proposals"]
    assert (found.name, found.language, found.span) == ("Hypertension", "en", span("hipertensión arterial", text))


def test_what_cannot_be_used_is_said_once_and_the_rest_goes_on(small_us: CodeBook) -> None:
    first, second, *_ = Prompts("en").raw("propose", "systems_asked")

    def script(asked: object) -> object:
        assert isinstance(asked, Prompt)
        return "rubbish" if first in asked.instruction or second in asked.instruction else ONE

    update = run_step("propose", state_of(), tools_of(small_us), Scripted(script), readings=["systems"])
    assert [(flag.code, flag.message) for flag in update.flags] == [("JC302", "2 of 7 parts gave no usable answer")]
    assert len(update.values["proposals"]) == 5


def test_a_kind_that_is_not_coded_is_not_asked_for(small_us: CodeBook) -> None:
    model = Scripted([{"diagnoses": ["Hypertension"]}])
    update = run_step("propose", state_of(), tools_of(small_us, System.ICD10CM), model)
    assert {p.kind for p in update.values["proposals"]} == {Kind.DIAGNOSIS}
    assert "- procedures" not in instructions(model.requests)[0]


def test_two_such_steps_are_told_apart_by_their_label(small_us: CodeBook) -> None:
    update = run_step("propose", state_of(), tools_of(small_us), Scripted([ONE]), label="second")
    assert update.values["proposals"][0].by == "second:note"
    with pytest.raises(WorkflowError, match="label"):
        registry.build("propose", {"label": "not a label"})


def test_every_language_has_every_reading() -> None:
    for language in LANGUAGES:
        prompts = Prompts(language)
        assert all(prompts.raw("propose", name) for name in ("note", "reasoned", "sections", "letters", "terms"))
        assert all("{aspect}" in prompts.raw("propose", name) for name in ("systems", "letters"))
        assert len(set(prompts.raw("propose", "variants"))) >= 7  # samples - 1
