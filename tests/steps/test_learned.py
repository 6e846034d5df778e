"""The learned step: what a pack proposes becomes codes, suggestions and evidence, and no more than the book holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jointcoder.coder import Coder
from jointcoder.errors import WorkflowError
from jointcoder.learn.write import describe, draft
from jointcoder.packs import Pack, PackInfo, Proposal, pack
from jointcoder.packs.mentions.verdicts import Doubt
from jointcoder.records import Encounter, Kind, Reason, Role, Span, System

NOTE = "Pneumonia, known hypertension. Appendix removed by laparoscopy."


def span(quote: str) -> Span:
    start = NOTE.index(quote)
    return Span(document=0, start=start, end=start + len(quote), quote=quote)


def said(code: str, probability: float, quote: str = "", **more: Any) -> Proposal:
    system = System.ICD10PCS if code[0] in "0B" else System.ICD10CM
    spans = (span(quote),) if quote else ()
    return Proposal(system, code, probability, spans, chosen=probability >= 0.5, **more)


class Part:
    """A part that proposes what it was told."""

    proposals: tuple[Proposal, ...] = ()

    @classmethod
    def load(cls, folder: Path, info: PackInfo, lookup: object) -> Part:
        return cls()

    def propose(
        self, encounter: Encounter, language: str, *, verdicts: Mapping[tuple[str, str], float] | None = None
    ) -> list[Proposal]:
        def after(proposal: Proposal) -> Proposal:
            value = (verdicts or {}).get((proposal.system, proposal.code))
            if value is None:
                return proposal
            return replace(proposal, probability=0.95 if value > 0 else 0.05, chosen=value > 0)

        return sorted(map(after, self.proposals), key=lambda p: -p.probability)

    def unsure(self, encounter: Encounter, language: str, *, low: float, high: float) -> list[Doubt]:
        return [
            Doubt(p.system, p.code, p.probability, p.spans, "", True)
            for p in self.proposals
            if low <= p.probability <= high
        ]


@pytest.fixture
def learned(coder: Callable[..., Coder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Coder]:
    """``learned(*proposals, headings=False)``: a coder whose pack proposes these."""
    monkeypatch.setitem(pack.PARTS, "mentions", f"{__name__}:Part")

    def make(*proposals: Proposal, headings: bool = False, as_of: dt.date | None = None, **options: Any) -> Coder:
        monkeypatch.setattr(Part, "proposals", proposals)
        systems = (System.ICD10CM, System.ICD10PCS)
        info = PackInfo(
            id="told", languages=("en",), systems=systems, parts=("mentions",), headings=headings, as_of=as_of
        )
        with draft(tmp_path / "told", replace=True) as made:
            (made / "mentions").mkdir()
            describe(made, info)
        return coder(**{"workflow": "learned", **options}, pack=Pack.open(tmp_path / "told"))

    return make


def note() -> Encounter:
    return Encounter.from_text(NOTE, language="en")


def test_what_is_chosen_is_coded_and_the_rest_suggested(learned: Callable[..., Coder]) -> None:
    reason = Reason(feature="alias precision", value=0.9, weight=2.1)
    record = learned(
        said("J18.9", 0.9, "Pneumonia", reasons=(reason,)),
        said("I10", 0.7, "hypertension"),
        said("E11.9", 0.3),
        said("0DTJ4ZZ", 0.8, "Appendix removed"),
    ).code(note())
    assert [c.code for c in record.of_kind(Kind.DIAGNOSIS)] == ["J18.9", "I10"]
    assert [c.code for c in record.of_kind(Kind.PROCEDURE)] == ["0DTJ4ZZ"]
    assert [(c.code, c.confidence) for c in record.suggestions] == [("E11.9", 0.3)]
    first = record.codes[0]
    assert first.reasons == (reason,)
    assert first.evidence[0].reproduces(note())
    assert record.versions.pack.startswith("told@")
    assert record.principal() == first


def test_the_pack_s_principal_comes_first(learned: Callable[..., Coder]) -> None:
    record = learned(said("J18.9", 0.9, principal=0.2), said("I10", 0.6, principal=0.7)).code(note())
    assert [(c.code, c.role) for c in record.codes] == [("I10", Role.PRINCIPAL), ("J18.9", Role.SECONDARY)]


def test_two_parts_that_agree_are_one_code_with_all_evidence(learned: Callable[..., Coder]) -> None:
    record = learned(said("I10", 0.8, "hypertension"), said("I10", 0.6, "known hypertension")).code(note())
    assert [(c.code, c.confidence, len(c.evidence)) for c in record.codes] == [("I10", 0.8, 2)]


def test_headings_are_kept_only_where_the_training_data_code_them(learned: Callable[..., Coder]) -> None:
    proposals = said("R05", 0.9), said("0DTJ", 0.9), said("0ZZZ", 0.9), said("Q99", 0.9)
    with_headings = learned(*proposals, headings=True)
    record = with_headings.code(note())
    assert [c.code for c in record.codes] == ["R05", "0DTJ"]  # what begins no code of the book is dropped
    assert [flag.code for flag in record.flags] == ["JC501", "JC505"]
    assert with_headings.is_assignable(note(), System.ICD10PCS, "0DTJ")
    without = learned(*proposals)
    record = without.code(note())
    assert [c.code for c in record.codes] == ["R05.9"]  # completed; the first axes of a procedure are no code
    assert not without.is_assignable(note(), System.ICD10PCS, "0DTJ")


def test_without_a_date_codes_are_judged_by_the_edition_that_taught_them(
    learned: Callable[..., Coder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pack was taught 5A1D00Z while it was valid (until September 2017)."""
    from jointcoder.codebook.book import CodeBook

    def valid(self: CodeBook, system: System, code: str, on: dt.date | None = None) -> bool:
        return (on is not None and on <= dt.date(2017, 9, 30)) if code == "5A1D00Z" else self.is_billable(system, code)

    monkeypatch.setattr(CodeBook, "is_valid", valid)
    former = Proposal(System.ICD10PCS, "5A1D00Z", 0.9)
    undated, dated = note(), Encounter.from_text(NOTE, language="en", discharged=dt.date(2026, 3, 1))
    taught = learned(former, as_of=dt.date(2017, 9, 30))
    assert [c.code for c in taught.code(undated).codes] == ["5A1D00Z"]
    assert taught.is_assignable(undated, System.ICD10PCS, "5A1D00Z")
    assert not taught.code(dated).codes
    assert "JC501" in [flag.code for flag in taught.code(dated).flags]
    assert not taught.is_assignable(dated, System.ICD10PCS, "5A1D00Z")
    assert not learned(former).code(undated).codes


def test_suggestions_never_repeat_a_code(learned: Callable[..., Coder]) -> None:
    record = learned(said("R05.9", 0.9), said("R05", 0.2)).code(note())
    assert [c.code for c in record.codes] == ["R05.9"]
    assert record.suggestions == ()


def test_only_the_systems_asked_for(learned: Callable[..., Coder]) -> None:
    proposals = said("I10", 0.9), said("0DTJ4ZZ", 0.9)
    record = learned(*proposals, systems=[System.ICD10PCS]).code(note())
    assert [c.code for c in record.codes] == ["0DTJ4ZZ"]


def test_a_pack_that_judges_other_drafts_is_refused(coder: Callable[..., Coder], tmp_path: Path) -> None:
    info = PackInfo(id="judge", languages=("en",), systems=(System.ICD10CM,), parts=("drafts",), workflow="visit")
    with draft(tmp_path / "judge") as made:
        describe(made, info)
    with pytest.raises(WorkflowError, match="drafts of workflow 'visit', not of 'lexical'"):
        coder(workflow="lexical", pack=str(tmp_path / "judge"))
    assert coder(workflow="visit", pack=str(tmp_path / "judge")).pack is not None


def test_the_workflow_asks_for_a_pack(coder: Callable[..., Coder]) -> None:
    with pytest.raises(WorkflowError, match="needs a learned pack"):
        coder(workflow="learned")


def test_the_model_is_asked_only_about_what_is_unsure(learned: Callable[..., Coder]) -> None:
    proposals = said("J18.9", 0.97, "Pneumonia"), said("I10", 0.4, "hypertension"), said("E11.9", 0.6, "known")
    asking = learned(
        *proposals,
        workflow="learned-judged",
        answers=lambda asked: "yes" if "ypertension" in asked[1].text else "no",
    )
    record = asking.code(note())
    assert [(c.code, c.confidence) for c in record.codes] == [("J18.9", 0.97), ("I10", 0.95)]
    assert [c.code for c in record.suggestions] == ["E11.9"]
    requests = asking.model.requests  # type: ignore[union-attr]
    assert len(requests) == record.cost.calls == 2
    assert all("laparoscopy" not in request.context.text for request in requests)  # one sentence at a time


def test_a_ranking_counts_suggestions_and_f1_does_not(learned: Callable[..., Coder]) -> None:
    from jointcoder.evaluation.metrics import mean_average_precision, micro
    from jointcoder.evaluation.scored import Gold, Scored, predictions, suggestions

    record = learned(said("I10", 0.9), said("E11.9", 0.3)).code(note())
    gold = [Gold("ICD-10-CM", "I10"), Gold("ICD-10-CM", "E119")]
    scored = [Scored(gold, predictions(record), suggested=suggestions(record))]
    assert micro(scored, "ICD-10-CM").recall == 0.5
    assert mean_average_precision(scored, "ICD-10-CM") == 1.0
