"""The generic agent: what it is shown, what it answers, and that it never sees or writes a code."""

from __future__ import annotations

from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.errors import WorkflowError
from jointcoder.llm.base import Prompt
from jointcoder.llm.scripted import Scripted
from jointcoder.records import Kind
from jointcoder.steps import registry
from jointcoder.steps.base import Generate
from jointcoder.steps.llm import known_roles, run_text
from jointcoder.steps.prompting import LANGUAGES, Prompts
from jointcoder.steps.proposals import Written
from jointcoder.workflow.check import plan
from jointcoder.workflow.run import answer
from jointcoder.workflow.spec import Workflow
from tests.steps.working import (
    NOTE,
    candidate,
    chooses,
    codes,
    draft,
    instructions,
    mention,
    proposed,
    run_step,
    span,
    state_of,
    tools_of,
)

NAMES = {"diagnoses": ["Congestive heart failure", "Gout (M10.9)", "I10"], "procedures": ["Drainage of chest"]}


def test_names_become_proposals_with_their_place_and_without_codes(small_us: CodeBook) -> None:
    update = run_step("llm", state_of(), tools_of(small_us), Scripted([NAMES]), role="coder")
    found = update.values["proposals"]
    assert [(p.name, p.kind, p.by) for p in found] == [
        ("Congestive heart failure", Kind.DIAGNOSIS, "llm:coder"),
        ("Gout", Kind.DIAGNOSIS, "llm:coder"),
        ("Drainage of chest", Kind.PROCEDURE, "llm:coder"),
    ]
    assert found[0].span == span("Congestive heart failure")
    assert found[1].span is None
    assert [flag.code for flag in update.flags] == ["JC421"]


def test_a_role_of_the_program_speaks_the_language_of_the_record(small_us: CodeBook) -> None:
    for language in LANGUAGES:
        model = Scripted([{"diagnoses": [], "procedures": []}])
        run_step("llm", state_of(language=language), tools_of(small_us), model, role="coder")
        (said,) = instructions(model.requests)
        assert Prompts(language).raw("roles", "coder")["purpose"] in said
        assert Prompts(language)("agents", "both") in said


def test_a_purpose_of_the_plan_is_used_as_it_is(small_us: CodeBook) -> None:
    model = Scripted(["Heart and joints."])
    update = run_step(
        "llm",
        state_of(),
        tools_of(small_us),
        model,
        role="cardiologist",
        purpose="Say what concerns the heart.",
        output="text",
    )
    (said,) = instructions(model.requests)
    assert "as cardiologist" in said
    assert "Say what concerns the heart." in said
    assert "Congestive heart failure" in model.requests[0].context.text  # type: ignore[union-attr]
    assert update.values["texts"] == (Written("llm:cardiologist", "Heart and joints."),)


def test_a_later_loop_sees_and_replaces_the_earlier_answer(small_us: CodeBook) -> None:
    model = Scripted(["First I10.", "Second."])
    update = run_step("llm", state_of(), tools_of(small_us), model, role="auditor", output="text", loops=2)
    first, second = instructions(model.requests)
    assert "First" in second
    assert "I10" not in second
    assert second.startswith(first)
    assert [one.text for one in update.values["texts"]] == ["Second."]


def test_an_unreadable_second_answer_does_not_take_the_place_of_the_first(small_us: CodeBook) -> None:
    answers = iter([{"diagnoses": ["Hypertension"], "procedures": []}, "no", "no"])
    model = Scripted(lambda asked: next(answers))
    update = run_step("llm", state_of(), tools_of(small_us), model, role="coder", loops=2)
    assert [p.name for p in update.values["proposals"]] == ["Hypertension"]


def test_what_others_found_is_shown_by_name(small_us: CodeBook) -> None:
    state = state_of(
        proposals=(proposed("Gout"),),
        texts=(Written("llm:physician", "A tired heart."),),
        diagnoses=(draft("I50.9", "Heart failure, unspecified", evidence=(span("Congestive heart failure"),)),),
        procedures=(),
    )
    state = state_of(
        **{
            **{name: getattr(state, name) for name in ("proposals", "texts", "diagnoses")},
            "mentions": (mention(state, "Hypertension"),),
        }
    )
    model = Scripted([{"diagnoses": [], "procedures": []}])
    inputs = ["mentions", "codes", "text"]
    run_step("llm", state, tools_of(small_us), model, role="coder", inputs=inputs)
    (said,) = instructions(model.requests)
    assert "- Hypertension" in said
    assert "- Gout" in said
    assert '- Heart failure, unspecified ("Congestive heart failure")' in said
    assert "A tired heart." in said
    assert "I50.9" not in said
    assert NOTE not in model.requests[0].context.text  # type: ignore[union-attr]


def test_a_list_too_long_for_the_context_is_shortened_and_said(small_us: CodeBook) -> None:
    state = state_of(proposals=tuple(proposed(f"condition number {n}") for n in range(300)))
    model = Scripted([{"diagnoses": [], "procedures": []}])
    tools = tools_of(small_us, context_tokens=1000)
    update = run_step("llm", state, tools, model, role="coder", inputs=["mentions"])
    (said,) = instructions(model.requests)
    shown = said.count("- condition number")
    assert 0 < shown < 300
    assert [(flag.code, flag.message) for flag in update.flags] == [
        ("JC422", f"{300 - shown} lines were not shown to the model")
    ]


def test_by_sections_each_kind_of_section_is_asked_about(small_us: CodeBook) -> None:
    model = Scripted([{"diagnoses": [], "procedures": []}] * 2)
    run_step("llm", state_of(), tools_of(small_us), model, role="coder", inputs=["sections"])
    shown = [request.context.text for request in model.requests]  # type: ignore[union-attr]
    assert ["denies pneumonia" in text for text in shown] == [True, False]
    assert ["Osteoarthritis" in text for text in shown] == [False, True]


def test_verdicts_keep_and_drop(small_us: CodeBook) -> None:
    drafts = (
        draft("I50.9", "Heart failure", evidence=(span("Congestive heart failure"),)),
        draft("J18.9", "Pneumonia", evidence=(span("pneumonia"),)),
    )
    model = Scripted(chooses("Heart failure"))
    update = run_step(
        "llm", state_of(diagnoses=drafts, procedures=()), tools_of(small_us), model, role="reviewer", output="verdicts"
    )
    assert codes(update) == ["I50.9"]
    kept = update.values["diagnoses"][0]
    assert kept.confidence > 0.6
    assert (kept.verdicts[0].step, kept.verdicts[0].answer) == ("llm:reviewer", "yes")
    assert update.notes["dropped"] == 1


def test_verdicts_of_two_loops_are_asked_both_ways_round(small_us: CodeBook) -> None:
    model = Scripted(lambda asked: [0.5, 0.5])
    state = state_of(diagnoses=(draft("I50.9", "Heart failure"),), procedures=())
    run_step("llm", state, tools_of(small_us), model, role="reviewer", output="verdicts", loops=2, keep=0)
    said = [one for one in instructions(model.requests) if "Heart failure" in one]
    assert ["yes / no" in one for one in said] == [True, False]
    assert ["no / yes" in one for one in said] == [False, True]


def test_a_choice_is_made_among_candidates_or_none(small_us: CodeBook) -> None:
    bare = state_of()
    heart, knee = mention(bare, "Congestive heart failure"), mention(bare, "Osteoarthritis of the left knee")
    found = (
        candidate("I50.9", "Heart failure, unspecified", of=heart),
        candidate("I11.0", "Hypertensive heart disease with heart failure", of=heart, score=0.85),
        candidate("M17.11", "Osteoarthritis, right knee", of=knee, score=0.31),
    )
    state = state_of(mentions=(heart, knee), diagnosis_candidates=found)
    model = Scripted(chooses("Heart failure, unspecified"))
    update = run_step("llm", state, tools_of(small_us), model, role="coder", output="choice", kinds=["diagnosis"])
    assert codes(update) == ["I50.9"]
    assert update.values["diagnoses"][0].evidence == (heart.span,)
    assert "llm:coder" in update.values["diagnoses"][0].stages


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"role": "coder", "purpose": "Look for I10 above all."}, "JC420"),
        ({"role": "an expert of E11.9", "purpose": "Name it."}, "JC420"),
        ({"role": "somebody"}, "JC407"),
        ({"role": "coder", "inputs": ["everything"]}, "JC407"),
        ({"purpose": "No role."}, "JC407"),
    ],
)
def test_plans_that_are_refused(options: dict[str, Any], code: str) -> None:
    flow = Workflow.from_plan(
        {"name": "t", "needs": {"model": True}, "step": [{"use": "read"}, {"use": "llm", "options": options}]}
    )
    with pytest.raises(WorkflowError) as error:
        plan(flow)
    assert error.value.code == code


def test_what_it_reads_and_writes_follows_its_inputs_and_output() -> None:
    def step(**options: Any) -> Any:
        return registry.build("llm", {"role": "coder", **options})

    assert step().writes == {"proposals"}
    assert step(output="text", inputs=["text"]).reads == {"encounter", "language", "texts"}
    assert step(output="verdicts", kinds=["procedure"]).writes == {"procedures"}
    assert step(output="choice").reads >= {"mentions", "diagnosis_candidates", "procedure_candidates"}
    assert "diagnoses" in step(inputs=["codes"]).reads


def test_every_language_knows_the_same_roles() -> None:
    assert {"physician", "coder", "reviewer", "adjuster"} <= set(known_roles())
    for language in LANGUAGES:
        assert set(Prompts(language).table("roles")) == set(known_roles())


def test_run_text_is_meddcrs_agent() -> None:
    model = Scripted(["It may be I10.", "High blood pressure (I10)."])
    text = answer(run_text("What is it?", "a coder", 2, prompts=Prompts("en")), model)
    assert text == "High blood pressure."
    first, second = (request.prompt for request in model.requests)
    assert isinstance(first, Prompt)
    assert "a coder" in first.instruction
    assert "It may be" in second.instruction  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="holds 1 codes"):
        next(run_text("Is it I10?", "a coder", 1, prompts=Prompts("en")))
    assert isinstance(next(run_text("What is it?", "a coder", 1, prompts=Prompts("zh"))), Generate)
