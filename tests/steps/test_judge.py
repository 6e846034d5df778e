"""Grades beside evidence, and the cut."""

from __future__ import annotations

from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.llm.base import Choice
from jointcoder.llm.scripted import Scripted
from jointcoder.records import Verdict
from jointcoder.steps.judge import GRADES, expected
from jointcoder.steps.prompting import LANGUAGES, Prompts
from tests.steps.working import codes, draft, instructions, run_step, span, state_of, tools_of

HEART = draft("I50.9", "Heart failure", evidence=(span("Congestive heart failure"),))
LUNGS = draft("J18.9", "Pneumonia", evidence=(span("pneumonia"),))


def grader(**grades: str) -> Scripted:
    """A model that gives the grade under whose key the proposed name falls, and is undecided about nothing."""

    def script(asked: Any) -> Any:
        text = asked[1].text
        return next((grade for name, grade in grades.items() if name in text), [0.25] * 4)

    return Scripted(script)


def test_the_supported_stay_and_the_others_go(small_us: CodeBook) -> None:
    model = grader(Heart="A", Pneumonia="D")
    update = run_step("judge", state_of(diagnoses=(HEART, LUNGS), procedures=()), tools_of(small_us), model)
    assert codes(update) == ["I50.9"]
    kept = update.values["diagnoses"][0]
    assert kept.confidence > 0.6
    assert (kept.verdicts[-1].step, kept.verdicts[-1].answer) == ("judge", "A")
    assert update.notes == {"asked": 2, "dropped": 1}


def test_the_evidence_is_shown_and_no_code(small_us: CodeBook) -> None:
    model = grader(Heart="A")
    run_step("judge", state_of(diagnoses=(HEART,), procedures=()), tools_of(small_us), model)
    (said, about_nothing) = instructions(model.requests)
    assert 'Evidence: "Congestive heart failure' in said
    assert "I50.9" not in said
    assert "N/A" in about_nothing
    assert "Congestive" in model.requests[0].context.text  # type: ignore[union-attr]


def test_strong_evidence_counts(small_us: CodeBook) -> None:
    def sure(strength: float) -> float:
        weighed = HEART.with_(
            verdicts=(Verdict(step="evidence_linker", question="evidence", answer="found", probability=strength),)
        )
        state = state_of(diagnoses=(weighed,), procedures=())
        update = run_step("judge", state, tools_of(small_us), grader(Heart="B"), threshold=0)
        return float(update.values["diagnoses"][0].confidence)

    assert sure(0.0) < sure(0.5) < sure(1.0)


def test_what_the_record_lists_is_not_dropped(small_us: CodeBook) -> None:
    listed = LUNGS.with_(stages=("extract:list",))
    state = state_of(diagnoses=(listed,), procedures=())
    assert codes(run_step("judge", state, tools_of(small_us), grader(Pneumonia="D"))) == ["J18.9"]
    assert codes(run_step("judge", state, tools_of(small_us), grader(Pneumonia="D"), trust_lists=False)) == []


def test_without_the_record_the_sentence_alone_is_shown(small_us: CodeBook) -> None:
    model = grader(Heart="A")
    run_step("judge", state_of(diagnoses=(HEART,), procedures=()), tools_of(small_us), model, record=False)
    assert model.requests[0].context.text == ""  # type: ignore[union-attr]


def test_a_grade_is_an_expectation() -> None:
    even = Choice(tuple("ABCD"), (-1.3863,) * 4)
    assert expected(even) == pytest.approx(sum(GRADES) / 4, abs=1e-4)
    assert expected(Choice(tuple("ABCD"), (0.0, -99.0, -99.0, -99.0))) == pytest.approx(1.0)


def test_every_language_grades_with_the_same_letters() -> None:
    for language in LANGUAGES:
        for kind in ("diagnosis", "procedure"):
            said = Prompts(language)("judge", kind, name="NAME", evidence="WORDS")
            assert [line[0] for line in said.splitlines() if line[1:2] == "."] == list("ABCD")
            assert "NAME" in said
            assert "WORDS" in said
