"""Clauses ↔ descriptions, at the depth that the wording supports."""

from __future__ import annotations

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.errors import UsageError
from jointcoder.records import Kind
from jointcoder.steps.desc_match import clauses_of
from tests.steps.working import CM, run_step, span, state_of, tools_of


def names(text: str, book: CodeBook, **options: object) -> list[str]:
    update = run_step("desc_match", state_of(text), tools_of(book, CM), **options)
    return [proposal.name for proposal in update.values["proposals"]]


def test_descriptions_are_proposed_with_the_words_they_share(small_us: CodeBook) -> None:
    update = run_step("desc_match", state_of(), tools_of(small_us))
    found = {p.name: p for p in update.values["proposals"]}
    pressure = found["Essential (primary) hypertension"]
    assert pressure.span == span("Hypertension")
    assert (pressure.kind, pressure.by, pressure.source, pressure.language) == (
        Kind.DIAGNOSIS,
        "desc_match",
        "dictionary",
        "en",
    )
    assert 0.6 <= pressure.score <= 1


def test_the_side_decides_the_depth(small_us: CodeBook) -> None:
    assert names("Unilateral primary osteoarthritis of the left knee.", small_us) == [
        "Unilateral primary osteoarthritis, left knee"
    ]
    assert names("Unilateral primary osteoarthritis of the knee.", small_us) == [
        "Unilateral primary osteoarthritis of knee"
    ]


def test_what_is_not_alike_is_not_proposed(small_us: CodeBook) -> None:
    assert names("The patient walked along the corridor.", small_us) == []
    assert names("Hypertension.", small_us, least=1.0) in ([], ["Essential (primary) hypertension"])


def test_relatives_and_headings_are_not_read() -> None:
    text = "FAMILY HISTORY\n\nMother: diabetes.\n\nASSESSMENT AND PLAN\n\n1. Cough, hypertension; rest."
    clauses = [clause.quote for clause in clauses_of(state_of(text))]
    assert clauses == ["Cough", "hypertension", "rest."]


def test_every_clause_reproduces(small_us: CodeBook) -> None:
    state = state_of("Cough\nand fever (for 3 days), no rash: well.  ")
    assert all(clause.reproduces(state.encounter) for clause in clauses_of(state))


def test_by_meaning_needs_vectors(small_us: CodeBook) -> None:
    with pytest.raises(UsageError, match="JC002"):
        names("Cough.", small_us, source="dense")


def test_chinese(small_cn: CodeBook) -> None:
    update = run_step("desc_match", state_of("诊断：肺炎，咳嗽。", language="zh"), tools_of(small_cn))
    assert {p.name for p in update.values["proposals"]} == {"肺炎", "咳嗽"}
