"""Names → the nearest entries: by wording, by the alphabetic index with its references, as candidates and drafts."""

from __future__ import annotations

from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build import build_us
from jointcoder.records import Assertion, Kind, Patient, System
from tests.codebook import us_files
from tests.codebook.conftest import PCS, TABULAR
from tests.codebook.ruled import us_book
from tests.steps.working import (
    CM,
    codes,
    draft,
    mention,
    proposed,
    run_step,
    span,
    state_of,
    tools_of,
)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    """A book with an alphabetic index."""
    folder = tmp_path_factory.mktemp("indexed")
    (folder / "icd10cm-tabular-2026.xml").write_text(TABULAR, "utf-8")
    (folder / "icd10pcs-codes-2024.txt").write_text(PCS, "utf-8")
    sources = {"tabular": folder / "icd10cm-tabular-2026.xml", "pcs": folder / "icd10pcs-codes-2024.txt"}
    build_us({**sources, **us_files.write_all(folder)}, folder / "book", book_id="small")
    return CodeBook.open(folder / "book")


def test_the_best_entry_of_each_name_becomes_a_draft_with_its_evidence(small_us: CodeBook) -> None:
    state = state_of(
        proposals=(
            proposed("congestive heart failure", span=span("Congestive heart failure")),
            proposed("heart failure", by="propose:reasoned"),
            proposed("Resection of appendix", kind=Kind.PROCEDURE),
        )
    )
    update = run_step("tabular_index_search", state, tools_of(small_us))
    (heart,) = update.values["diagnoses"]
    assert heart.code == "I50.9"
    assert heart.evidence == (span("Congestive heart failure"),)
    assert heart.stages == ("propose:note", "tabular_index_search", "propose:reasoned")
    assert codes(update, "procedures") == ["0DTJ4ZZ"]
    assert update.values["procedures"][0].confidence < heart.confidence  # nothing in the record speaks for it
    assert [m.span for m in update.values["mentions"]] == [span("Congestive heart failure")]
    assert [(flag.code, flag.message[:7]) for flag in update.flags] == [("JC602", "1 codes")]


def test_up_to_k_candidates_best_first(small_us: CodeBook) -> None:
    state = state_of(proposals=(proposed("osteoarthritis of knee"),))
    update = run_step("tabular_index_search", state, tools_of(small_us), k=3, assign="none")
    found = update.values["diagnosis_candidates"]
    assert found[0].code == "M17.10"
    assert len(found) == 3
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert {one.mention for one in found} == {state.proposals[0].id}
    assert "diagnoses" not in update.values


def test_see_is_followed_and_see_also_offered(indexed: CodeBook) -> None:
    def found(name: str, **options: object) -> dict[str, tuple[str, ...]]:
        state = state_of(proposals=(proposed(name),))
        update = run_step("tabular_index_search", state, tools_of(indexed, CM), assign="none", **options)
        return {one.code: one.sources for one in update.values["diagnosis_candidates"]}

    assert next(iter(found("renal hypertension"))) == "I15.0"
    assert "see also" in found("vascular hypertension")["I15.0"]
    assert "see also" not in found("vascular hypertension", follow=False).get("I15.0", ())


def test_an_incomplete_code_of_the_index_stands_for_its_default(indexed: CodeBook) -> None:
    state = state_of(proposals=(proposed("ankle sprain"),))
    update = run_step("tabular_index_search", state, tools_of(indexed, CM))
    assert indexed.is_billable(CM, codes(update)[0])


def test_what_is_only_denied_or_a_relatives_is_not_looked_up(small_us: CodeBook) -> None:
    state = state_of(
        proposals=(
            proposed("pneumonia", span=span("pneumonia")),
            proposed("type 2 diabetes", span=span("type 2 diabetes")),
            proposed("cough", span=span("cough")),
        )
    )
    assert codes(run_step("tabular_index_search", state, tools_of(small_us))) == ["R05.9"]
    every = [one.value for one in Assertion]
    update = run_step("tabular_index_search", state, tools_of(small_us), codable=every)
    assert set(codes(update)) == {"J18.9", "E11.9", "R05.9"}


def test_mentions_and_proposals_of_one_thing_are_one(small_us: CodeBook) -> None:
    bare = state_of()
    state = state_of(
        mentions=(mention(bare, "Hypertension", source="list"),),
        proposals=(proposed("Hypertension", span=span("Hypertension")), proposed("hypertension", by="debate:1")),
    )
    update = run_step("tabular_index_search", state, tools_of(small_us), of=["mentions", "proposals"])
    (code,) = update.values["diagnoses"]
    assert (code.code, code.evidence) == ("I10", (span("Hypertension"),))
    assert {"propose:note", "debate:1"} < set(code.stages)
    assert len(update.values["mentions"]) == 1


def test_proposers_are_chosen_by_pattern_and_results_added(small_us: CodeBook) -> None:
    state = state_of(
        proposals=(proposed("cough"), proposed("hypertension", by="revise")),
        mentions=(),
        diagnoses=(draft("M17.12"), draft("I10", sure=0.2)),
        procedures=(),
        diagnosis_candidates=(),
        procedure_candidates=(),
    )
    update = run_step("tabular_index_search", state, tools_of(small_us), by=["revise*"], add=True)
    assert codes(update) == ["M17.12", "I10"]
    assert codes(run_step("tabular_index_search", state, tools_of(small_us), by=["revise*"])) == ["I10"]


def test_a_name_without_an_entry_is_said(small_us: CodeBook) -> None:
    state = state_of(proposals=(proposed("zzzz qqqq"),))
    update = run_step("tabular_index_search", state, tools_of(small_us))
    assert codes(update) == []
    assert [(flag.code, flag.message) for flag in update.flags] == [("JC601", "1 diagnosis wordings found no code")]


def test_entries_of_the_other_sex_are_left_out(tmp_path: Path) -> None:
    book = us_book(tmp_path / "ruled")
    state = state_of(
        patient=Patient(sex="female"), proposals=(proposed("benign prostatic hyperplasia without symptoms"),)
    )
    update = run_step("tabular_index_search", state, tools_of(book, CM))
    assert "N40.0" not in [one.code for one in update.values["diagnosis_candidates"]]


def test_a_spanish_wording_is_sought_beside_its_english_name(small_us: CodeBook) -> None:
    text = "Paciente con insuficiencia cardíaca."
    place = span("insuficiencia cardíaca", text)
    state = state_of(text, language="es", proposals=(proposed("congestive heart failure", span=place),))
    assert codes(run_step("tabular_index_search", state, tools_of(small_us))) == ["I50.9"]


def test_chinese(small_cn: CodeBook) -> None:
    text = "出院诊断：2型糖尿病，肺炎。"
    state = state_of(
        text, language="zh", proposals=(proposed("2型糖尿病", language="zh", span=span("2型糖尿病", text)),)
    )
    update = run_step("tabular_index_search", state, tools_of(small_cn))
    assert codes(update) == ["E11.900"]
    assert update.values["diagnoses"][0].system is System.ICD10CN
