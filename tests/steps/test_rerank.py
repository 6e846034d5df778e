"""The final order by what the steps before found out."""

from __future__ import annotations

from jointcoder.codebook.book import CodeBook
from jointcoder.records import Role, Verdict
from tests.steps.working import codes, draft, run_step, span, state_of, tools_of


def judged(code: str, grade: float | None, strength: float | None = None, **more: object) -> object:
    verdicts = [Verdict(step="judge", question="q", answer="A", probability=grade)] if grade is not None else []
    if strength is not None:
        verdicts.append(Verdict(step="evidence_linker", question="q", answer="found", probability=strength))
    return draft(code, verdicts=tuple(verdicts), **more)  # type: ignore[arg-type]


def order(book: CodeBook, *drafts: object, **options: object) -> list[str]:
    update = run_step("rerank", state_of(diagnoses=drafts, procedures=()), tools_of(book), **options)
    assert [code.rank for code in update.values["diagnoses"]] == list(range(1, len(update.values["diagnoses"]) + 1))
    return codes(update)


def test_by_grade_then_evidence_then_likeness(small_us: CodeBook) -> None:
    assert order(small_us, judged("I10", 0.2), judged("J18.9", 0.9)) == ["J18.9", "I10"]
    assert order(small_us, judged("I10", 0.5, 0.1), judged("J18.9", 0.5, 0.9)) == ["J18.9", "I10"]
    alike = judged("R05.9", 0.5, name="Cough", evidence=(span("cough"),))
    other = judged("I10", 0.5, name="Essential hypertension", evidence=(span("cough"),))
    assert order(small_us, other, alike) == ["R05.9", "I10"]


def test_weights_decide(small_us: CodeBook) -> None:
    graded, sure = judged("I10", 0.9, sure=0.2), judged("J18.9", 0.3, sure=0.8)
    assert order(small_us, graded, sure, confidence=0, likeness=0) == ["I10", "J18.9"]
    assert order(small_us, graded, sure, judge=0, likeness=0) == ["J18.9", "I10"]


def test_what_no_step_has_looked_at_does_not_count(small_us: CodeBook) -> None:
    assert order(small_us, judged("I10", None, sure=0.6), judged("J18.9", None, sure=0.7)) == ["J18.9", "I10"]


def test_only_the_first_stay_on_request(small_us: CodeBook) -> None:
    drafts = [judged("I10", 0.1), judged("J18.9", 0.9), judged("R05.9", 0.5)]
    state = state_of(diagnoses=tuple(drafts), procedures=())
    update = run_step("rerank", state, tools_of(small_us), most=2)
    assert codes(update) == ["J18.9", "R05.9"]
    assert update.values["diagnoses"][0].role is Role.PRINCIPAL
    assert update.notes == {"left_out": 1}
