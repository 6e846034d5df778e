"""Evidence found again, sought where there is none, and weighed."""

from __future__ import annotations

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.records import Assertion, Span
from jointcoder.steps.evidence_linker import strength_of
from tests.steps.working import NOTE, draft, mention, run_step, span, state_of, tools_of


def linked(book: CodeBook, *drafts: object, text: str = NOTE, language: str = "en", **options: object) -> object:
    state = state_of(text, language=language, mentions=(), diagnoses=drafts, procedures=())
    return run_step("evidence_linker", state, tools_of(book), **options)


def test_a_wording_of_the_book_is_found_in_the_text(small_us: CodeBook) -> None:
    update = linked(small_us, draft("I50.9", "Heart failure, unspecified"))
    (code,) = update.values["diagnoses"]  # type: ignore[attr-defined]
    assert code.evidence == (span("Congestive heart failure"),)
    assert strength_of(code) == pytest.approx(1.0)
    assert code.mentions == tuple(one.id for one in update.values["mentions"])  # type: ignore[attr-defined]
    assert code.verdicts[-1].by == "text"


def test_what_is_there_is_kept_and_what_is_not_is_sought_anew(small_us: CodeBook) -> None:
    place = span("Hypertension")
    moved = Span(document=0, start=0, end=12, quote="Hypertension")
    for held in (place, moved):
        update = linked(small_us, draft("I10", "Essential (primary) hypertension", evidence=(held,)))
        (code,) = update.values["diagnoses"]  # type: ignore[attr-defined]
        assert code.evidence == (place,)


def test_without_a_wording_the_clause_most_alike_is_taken(small_us: CodeBook) -> None:
    knee = draft("M17.12", "Unilateral primary osteoarthritis, left knee")
    update = linked(small_us, knee, alike=0.4)
    (code,) = update.values["diagnoses"]  # type: ignore[attr-defined]
    assert code.evidence == (span("Osteoarthritis of the left knee"),)
    assert 0 < (strength_of(code) or 0) <= 1


def test_nothing_in_the_text_is_said_and_may_be_dropped(small_us: CodeBook) -> None:
    fall = draft("W19.XXXA", "Unspecified fall, initial encounter")
    update = linked(small_us, fall)
    (code,) = update.values["diagnoses"]  # type: ignore[attr-defined]
    assert (code.evidence, strength_of(code), code.verdicts[-1].answer) == ((), 0.0, "none")
    assert [flag.code for flag in update.flags] == ["JC602"]  # type: ignore[attr-defined]
    assert linked(small_us, fall, least=0.1).values["diagnoses"] == ()  # type: ignore[attr-defined]
    assert linked(small_us, fall, seek=False).notes["found"] == 0  # type: ignore[attr-defined]


def test_what_is_denied_or_a_relatives_carries_nothing(small_us: CodeBook) -> None:
    update = linked(small_us, draft("J18.9", "Pneumonia"), draft("E11.9", "Type 2 diabetes"))
    lungs, sugar = update.values["diagnoses"]  # type: ignore[attr-defined]
    assert (lungs.assertion, strength_of(lungs)) == (Assertion.NEGATED, 0.0)
    assert (sugar.assertion, strength_of(sugar)) == (Assertion.FAMILY, 0.0)


def test_a_second_look_replaces_the_first(small_us: CodeBook) -> None:
    first = linked(small_us, draft("I10", "hypertension"))
    (code,) = first.values["diagnoses"]  # type: ignore[attr-defined]
    second = linked(small_us, code)
    assert len(second.values["diagnoses"][0].verdicts) == 1  # type: ignore[attr-defined]


def test_mentions_that_are_there_keep_their_source(small_us: CodeBook) -> None:
    bare = state_of()
    own = mention(bare, "Hypertension", source="list")
    state = state_of(mentions=(own,), diagnoses=(draft("I10", evidence=(own.span,)),), procedures=())
    update = run_step("evidence_linker", state, tools_of(small_us))
    assert update.values["mentions"] == (own,)


def test_chinese(small_cn: CodeBook) -> None:
    from jointcoder.records import System

    code = draft("J18.900", "肺炎", system=System.ICD10CN)
    update = linked(small_cn, code, text="诊断：肺炎。", language="zh")
    assert update.values["diagnoses"][0].evidence == (span("肺炎", "诊断：肺炎。"),)  # type: ignore[attr-defined]


def test_every_span_reproduces(small_us: CodeBook) -> None:
    state = state_of()
    update = linked(small_us, *(draft(code) for code in ("I50.9", "M17.12", "R05.9", "E11.22")))
    spans = [one for code in update.values["diagnoses"] for one in code.evidence]  # type: ignore[attr-defined]
    assert spans
    assert all(one.reproduces(state.encounter) for one in spans)


def test_spanish_words_carry_an_english_name(small_us: CodeBook) -> None:
    text = "Paciente con insuficiencia cardíaca congestiva, bien controlada."
    update = linked(small_us, draft("I50.9", "Heart failure, unspecified"), text=text, language="es")
    (code,) = update.values["diagnoses"]  # type: ignore[attr-defined]
    assert "insuficiencia cardíaca" in code.evidence[0].quote
    assert (strength_of(code) or 0) > 0.3
