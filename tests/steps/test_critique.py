"""Remarks in words: rules, missing evidence, and what the model adds."""

from __future__ import annotations

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.llm.scripted import Scripted
from jointcoder.records import Assertion, Patient, Verdict
from jointcoder.steps.critique import FAMILIES
from jointcoder.steps.literals import code_literals
from jointcoder.steps.prompting import LANGUAGES, Prompts
from tests.codebook.ruled import us_book
from tests.steps.working import CM, PCS, draft, instructions, run_step, span, state_of, tools_of


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    return us_book(tmp_path_factory.mktemp("ruled"))


def test_rules_and_missing_evidence_are_remarked_on_by_name(ruled: CodeBook) -> None:
    drafts = (
        draft("I10", "Essential hypertension", evidence=(span("Hypertension"),)),
        draft("I15.0", "Renovascular hypertension", evidence=(span("Hypertension"),)),
        draft("N40.0", "Prostatic hyperplasia"),
        draft("J18.9", "Pneumonia", evidence=(span("pneumonia"),), assertion=Assertion.NEGATED),
        draft("E11.9", "Diabetes", evidence=(span("type 2 diabetes"),), assertion=Assertion.FAMILY),
    )
    state = state_of(patient=Patient(sex="female"), diagnoses=drafts, procedures=())
    remarks = run_step("critique", state, tools_of(ruled, CM, PCS)).values["texts"]
    said = [one.text for one in remarks]
    assert "Essential hypertension and Renovascular hypertension are not coded together unless" in " ".join(said)
    assert "Prostatic hyperplasia does not apply to a patient of this sex." in said
    assert "No words of the record support Prostatic hyperplasia." in said
    assert 'The record denies Pneumonia: "pneumonia".' in said
    assert any("relative" in one for one in said)
    assert [code_literals(one) for one in said] == [[]] * len(said)
    excluded = next(one for one in remarks if "together" in one.text)
    assert {code for _, code in excluded.about} == {"I10", "I15.0"}


def test_weak_evidence(small_us: CodeBook) -> None:
    verdict = Verdict(step="evidence_linker", question="evidence", answer="found", probability=0.2)
    weak = draft("I10", "Hypertension", evidence=(span("cough"),), verdicts=(verdict,))
    state = state_of(diagnoses=(weak,), procedures=())
    assert "only weakly" in run_step("critique", state, tools_of(small_us)).values["texts"][0].text
    assert run_step("critique", state, tools_of(small_us), weak=0.1).values["texts"] == ()


def test_the_model_adds_without_codes(small_us: CodeBook) -> None:
    model = Scripted(["Cough (R05.9) is missing."])
    sound = draft("I10", "Hypertension", evidence=(span("Hypertension"),))
    state = state_of(diagnoses=(sound,), procedures=())
    update = run_step("critique", state, tools_of(small_us), model, ask_model=True)
    (remark,) = update.values["texts"]
    assert (remark.by, remark.text, remark.about) == ("critique", "Cough is missing.", ())
    assert '- Hypertension ("Hypertension")' in instructions(model.requests)[0]
    assert update.notes == {"remarks": 0, "by_model": 1}


def test_every_language_has_a_remark_for_each_rule() -> None:
    for language in LANGUAGES:
        prompts = Prompts(language)
        for key in {*FAMILIES.values(), "absent", "denied", "relative", "weak"}:
            assert prompts("critique", key, name="NAME", other="OTHER", quote="WORDS").strip()
