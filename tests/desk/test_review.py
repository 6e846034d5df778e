"""What each decision does to a review, and what it may not do."""

from __future__ import annotations

from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.desk.bands import Bulk
from jointcoder.desk.decisions import (
    Accept,
    Add,
    BulkAccept,
    Decided,
    Finish,
    LinkCodes,
    Move,
    Override,
    Poa,
    Principal,
    Query,
    Reject,
    Remark,
    Reopen,
    Replace,
    Stretch,
    Undo,
    UnlinkCodes,
    parse_decision,
)
from jointcoder.desk.review import Live, Review, begin, decide, replay
from jointcoder.desk.sheet import ItemState
from jointcoder.errors import InputError, JointCoderError
from jointcoder.records import Finding, Kind, PresentOnAdmission, Role, Severity, Span, System
from jointcoder.store.lines import Status

from .review_stays import AT, VERSIONS, after, assigned, coded_stay, codes_of, fresh, ground_of

CM, PCS = System.ICD10CM, System.ICD10PCS
HEART, TENSION, COUGH, KNEE, DRAINAGE, SCAN = "p1", "p2", "p3", "p4", "p5", "p6"


def refused(review: Review, decision: Any, *, by: str = "ana", lead: bool = False) -> JointCoderError:
    """The error of a decision that does not go through."""
    with pytest.raises(JointCoderError) as caught:
        decide(review, decision, by=by, at=AT, lead=lead)
    return caught.value


def rules_of(review: Review) -> set[str]:
    return {live.finding.rule for live in review.findings}


def item(review: Review, key: str) -> Any:
    found = review.by_id(key)
    assert found is not None
    return found


# ------------------------------------------------------------------------------------------------------- the start


def test_a_fresh_review_shows_the_record_as_it_was_made(small_us: CodeBook):
    review = fresh(small_us)
    assert [(one.id, one.code.code, one.state) for one in review.items] == [
        (HEART, "I50.9", "proposed"),
        (TENSION, "I10", "proposed"),
        (COUGH, "R05.9", "proposed"),
        (KNEE, "M17.12", "proposed"),
        (DRAINAGE, "0W993ZZ", "proposed"),
        (SCAN, "BW24ZZZ", "proposed"),
    ]
    assert (review.seq, review.status, review.etag) == (0, Status.TO_REVIEW, "0-0")
    assert item(review, DRAINAGE).links == (HEART,)
    assert item(review, HEART).links == (DRAINAGE,)
    assert [(code.code, code.role, code.rank) for code in review.coded().codes] == [
        (code.code, code.role, code.rank) for code in review.record.codes
    ]
    assert rules_of(review) >= {"combination"}


def test_a_record_whose_principal_was_not_ranked_first_has_it_first(small_us: CodeBook):
    first, second, *_ = assigned(small_us, CM, {"I10": 0.9, "E11.9": 0.8})
    codes = (first.with_(role=Role.SECONDARY), second.with_(role=Role.PRINCIPAL))
    review = begin(coded_stay(small_us, codes=codes), ground_of(small_us))
    assert codes_of(review) == ["E11.9", "I10"]


def test_a_record_without_codes_can_be_given_some(small_us: CodeBook):
    review = begin(coded_stay(small_us, codes=()), ground_of(small_us))
    review = after(review, Add(system=CM, code="i109".replace("9", "")))
    assert [(one.id, one.code.code, one.principal) for one in review.items] == [("a1", "I10", True)]
    assert after(review, Finish()).status is Status.FINISHED


# ---------------------------------------------------------------------------------------------------- single codes


def test_accept_reject_and_taking_either_back(small_us: CodeBook):
    review = after(fresh(small_us), Accept(item=HEART), Reject(item=COUGH, reason="integral"))
    assert item(review, HEART).state is ItemState.ACCEPTED
    assert (item(review, COUGH).state, item(review, COUGH).rank, item(review, COUGH).reason) == (
        "rejected",
        0,
        "integral",
    )
    assert codes_of(review) == ["I50.9", "I10", "M17.12"]
    assert [one.id for one in review.of_kind(Kind.DIAGNOSIS)] == [HEART, TENSION, COUGH, KNEE]
    assert codes_of(after(review, Accept(item=COUGH))) == ["I50.9", "I10", "R05.9", "M17.12"]
    assert refused(review, Reject(item=COUGH)).code == "JC463"


def test_a_replaced_code_keeps_its_place_evidence_and_the_models_confidence(small_us: CodeBook):
    review = after(fresh(small_us), Replace(item=HEART, system=CM, code="i11.0", name="what a client says"))
    found = item(review, HEART)
    assert (found.state, found.code.code, found.rank) == (ItemState.REPLACED, "I11.0", 1)
    assert found.code.name == "Hypertensive heart disease with heart failure"
    assert (found.confidence, found.code.confidence, found.code.stages) == (0.95, 1.0, ("coder",))
    assert found.proposed.code == "I50.9"
    assert found.code.evidence == found.proposed.evidence
    assert review.coded().codes[4].links[0].code == "I11.0"
    back = after(review, Replace(item=HEART, system=CM, code="I50.9"))
    assert (item(back, HEART).state, item(back, HEART).code.confidence) == (ItemState.ACCEPTED, 0.95)
    assert item(after(review, Accept(item=HEART)), HEART).code.code == "I50.9"
    assert refused(review, Replace(item=HEART, system=CM, code="I11.0")).code == "JC463"
    assert refused(review, Replace(item=HEART, system=PCS, code="0DTJ4ZZ")).code == "JC463"


def test_an_added_code_has_the_words_that_were_marked_and_no_confidence_of_the_model(small_us: CodeBook):
    marked = Stretch(document=0, start=15, end=27)
    review = after(fresh(small_us), Add(system=CM, code="E11.9", evidence=(marked,), to=2))
    found = item(review, "a1")
    assert codes_of(review) == ["I50.9", "E11.9", "I10", "R05.9", "M17.12"]
    assert (found.state, found.confidence, found.proposed, found.by) == (ItemState.ADDED, None, None, "ana")
    assert found.code.evidence == (Span(document=0, start=15, end=27, quote="hypertension"),)
    rejected = after(review, Reject(item="a1"))
    assert item(after(rejected, Accept(item="a1")), "a1").state is ItemState.ADDED
    for places in ((0, 5, 500), (1, 0, 5), (0, 7, 7)):
        document, start, end = places
        wrong = Add(system=CM, code="Z79.4", evidence=(Stretch(document=document, start=start, end=end),))
        assert refused(review, wrong).code == "JC463"


@pytest.mark.parametrize("code", ["E11", "M17.1", "A99.9", "J18", "not a code", "W19"])
def test_a_code_that_the_book_does_not_hold_for_assignment_is_never_taken(small_us: CodeBook, code: str):
    review = fresh(small_us)
    assert refused(review, Add(system=CM, code=code)).code == "JC501"
    assert refused(review, Replace(item=HEART, system=CM, code=code)).code == "JC501"


def test_a_code_of_a_system_that_the_book_does_not_hold_is_refused_and_shown_as_an_error(
    small_us: CodeBook, small_cn: CodeBook
):
    assert refused(fresh(small_us), Add(system=System.ICD10CN, code="J18.900")).code == "JC503"
    foreign = fresh(small_us)
    moved = begin(foreign.record, ground_of(small_cn))
    assert {live.finding.rule for live in moved.findings if live.finding.severity is Severity.ERROR} == {"unknown"}


def test_a_diagnosis_stands_once_and_a_procedure_may_stand_twice(small_us: CodeBook):
    review = fresh(small_us)
    assert refused(review, Add(system=CM, code="I10")).code == "JC463"
    assert refused(review, Replace(item=HEART, system=CM, code="I10")).code == "JC463"
    replaced = after(review, Reject(item=TENSION), Add(system=CM, code="I10"))
    assert refused(replaced, Accept(item=TENSION)).code == "JC463"
    assert codes_of(after(review, Add(system=PCS, code="0W993ZZ")), Kind.PROCEDURE).count("0W993ZZ") == 2


def test_presence_on_admission_belongs_to_diagnoses_in_the_form_of_their_system(small_us: CodeBook):
    review = after(fresh(small_us), Poa(item=HEART, value=PresentOnAdmission.YES))
    assert item(review, HEART).code.present_on_admission is PresentOnAdmission.YES
    assert item(review, HEART).state is ItemState.PROPOSED
    assert item(after(review, Accept(item=HEART)), HEART).code.present_on_admission is PresentOnAdmission.YES
    assert item(after(review, Poa(item=HEART, value=None)), HEART).code.present_on_admission is None
    assert refused(review, Poa(item=DRAINAGE, value=PresentOnAdmission.YES)).code == "JC463"
    wrong = Add(system=PCS, code="0DTJ4ZZ", present_on_admission=PresentOnAdmission.NO)
    assert refused(review, wrong).code == "JC463"


# -------------------------------------------------------------------------------------------------- order and links


def test_moving_goes_by_ranks_of_what_stands_and_the_first_is_principal(small_us: CodeBook):
    review = after(fresh(small_us), Reject(item=TENSION), Move(item=KNEE, to=2))
    assert codes_of(review) == ["I50.9", "M17.12", "R05.9"]
    assert {one.id for one in review.of_kind(Kind.DIAGNOSIS)} == {HEART, TENSION, COUGH, KNEE}
    review = after(review, Principal(item=COUGH))
    assert codes_of(review) == ["R05.9", "I50.9", "M17.12"]
    assert [code.role for code in review.coded().codes if code.kind is Kind.DIAGNOSIS] == [
        Role.PRINCIPAL,
        Role.SECONDARY,
        Role.SECONDARY,
    ]
    assert codes_of(after(review, Move(item=COUGH, to=3))) == ["I50.9", "M17.12", "R05.9"]
    assert refused(review, Move(item=COUGH, to=4)).code == "JC463"
    assert refused(review, Move(item=TENSION, to=1)).code == "JC463"
    assert refused(review, Principal(item="p99")).code == "JC463"


def test_where_the_principal_is_rejected_the_next_one_is_principal(small_us: CodeBook):
    review = after(fresh(small_us), Reject(item=HEART))
    assert (codes_of(review)[0], item(review, TENSION).principal) == ("I10", True)


def test_links_join_procedures_to_the_diagnoses_that_explain_them(small_us: CodeBook):
    review = after(fresh(small_us), LinkCodes(procedure=SCAN, diagnosis=COUGH))
    assert (item(review, SCAN).links, item(review, COUGH).links) == ((COUGH,), (SCAN,))
    assert refused(review, LinkCodes(procedure=SCAN, diagnosis=COUGH)).code == "JC463"
    assert refused(review, LinkCodes(procedure=COUGH, diagnosis=SCAN)).code == "JC463"
    assert refused(review, UnlinkCodes(procedure=SCAN, diagnosis=HEART)).code == "JC463"
    scan = next(code for code in review.coded().codes if code.code == "BW24ZZZ")
    assert [(link.relation, link.code) for link in scan.links] == [("explained_by", "R05.9")]
    without = after(review, Reject(item=COUGH)).coded().codes
    assert [code.links for code in without if code.code == "BW24ZZZ"] == [()]
    assert item(after(review, UnlinkCodes(procedure=SCAN, diagnosis=COUGH)), SCAN).links == ()


# ------------------------------------------------------------------------------------------- findings and finishing


def test_findings_follow_the_codes(small_us: CodeBook):
    review = fresh(small_us)
    assert "combination" in rules_of(review)
    resolved = after(review, Replace(item=HEART, system=CM, code="I11.0"), Reject(item=TENSION))
    assert "combination" not in rules_of(resolved)
    assert "combination" in rules_of(after(resolved, Accept(item=TENSION), Accept(item=HEART)))
    assert resolved.coded().findings == tuple(live.finding for live in resolved.findings)


def test_an_override_lets_its_finding_pass_and_stays_with_it_in_another_order(small_us: CodeBook):
    review = fresh(small_us)
    (live,) = [one for one in review.findings if one.finding.rule == "combination"]
    assert (live.state, live.blocks, live.finding.severity) == ("open", True, Severity.WARNING)
    passed = after(review, Override(finding=live.key, reason="no heart disease due to it"))
    for one in (passed, after(passed, Principal(item=TENSION))):
        (now,) = [found for found in one.findings if found.finding.rule == "combination"]
        assert (now.key, now.state, now.blocks, now.by) == (live.key, "overridden", False, "ana")
        assert now.reason == "no heart disease due to it"
    assert refused(review, Override(finding="0" * 12, reason="x")).code == "JC463"


def test_finish_is_refused_until_all_is_decided_and_resolved(small_us: CodeBook):
    review = fresh(small_us)
    error = refused(review, Finish())
    assert error.code == "JC465"
    assert "I50.9" in error.message
    assert "combination" in error.message
    assert [(one.kind, one.label) for one in review.open][-1] == ("finding", "combination")
    review = after(review, *(Accept(item=f"p{number}") for number in range(1, 7)))
    assert {one.kind for one in review.open} == {"finding"}
    review = after(review, *(Override(finding=one.key, reason="seen") for one in review.open))
    finished = after(review, Finish())
    assert (finished.status, finished.open) == (Status.FINISHED, ())


@pytest.mark.parametrize(("severity", "blocks"), [("error", True), ("warning", True), ("advice", False)])
def test_advice_does_not_block(severity: str, blocks: bool):
    finding = Finding(rule="r", severity=Severity(severity), message="m")
    assert Live("0" * 12, finding).blocks is blocks
    passed = Decided(seq=1, by="ana", at=AT, decision=Override(finding="0" * 12, reason="seen"))
    assert Live("0" * 12, finding, passed).blocks is False


def test_a_finished_review_is_frozen_until_a_lead_reopens_it(small_us: CodeBook):
    review = begin(coded_stay(small_us, codes=assigned(small_us, CM, {"I10": 0.9})), ground_of(small_us))
    review = after(review, Accept(item="p1"), Finish())
    for decision in (Reject(item="p1"), Remark(text="late"), Undo(), Finish(), Query(text="why?")):
        assert refused(review, decision, lead=True).code == "JC464"
    assert refused(review, Reopen(reason="wrong side")).code == "JC464"
    again = after(review, Reopen(reason="wrong side"), by="lea", lead=True)
    assert again.status is Status.IN_REVIEW
    assert refused(again, Reopen(reason="again"), lead=True).code == "JC463"
    assert codes_of(after(again, Reject(item="p1"))) == []


# --------------------------------------------------------------------------------------- remarks, questions, undoing


def test_remarks_and_questions_stand_with_their_code_or_the_record(small_us: CodeBook):
    review = after(fresh(small_us), Remark(text="which side?", item=KNEE), Remark(text="short stay"))
    assert [said.text for said in item(review, KNEE).comments] == ["which side?"]
    assert [said.text for said in review.comments] == ["short stay"]
    assert review.status is Status.IN_REVIEW
    asked = after(review, Query(text="acute or chronic?", item=HEART))
    assert (asked.status, [said.item for said in asked.queries]) == (Status.QUERIED, [HEART])
    assert after(asked, Remark(text="physician called")).status is Status.QUERIED
    assert after(asked, Accept(item=HEART)).status is Status.IN_REVIEW
    assert refused(review, Remark(text="?", item="p99")).code == "JC463"


def test_undo_takes_back_ones_own_last_decision_one_after_the_other(small_us: CodeBook):
    start = fresh(small_us)
    one = after(start, Reject(item=COUGH))
    two = after(one, Replace(item=HEART, system=CM, code="I11.0"))
    undone = after(two, Undo())
    assert (undone.sheet, undone.seq) == (one.sheet, 3)
    assert undone.decided[-1].decision == Undo(of=2)
    assert after(undone, Undo()).sheet == start.sheet
    assert refused(after(undone, Undo()), Undo()).code == "JC463"
    assert refused(one, Undo(), by="bo").code == "JC463"
    more = after(undone, Principal(item=KNEE), Undo())
    assert more.sheet == one.sheet


# -------------------------------------------------------------------------------------------------------- many at once


def test_many_are_accepted_only_where_calibration_supports_it(small_us: CodeBook):
    refusal = refused(fresh(small_us), BulkAccept(threshold=0.9))
    assert (refusal.code, "not_calibrated" in refusal.message) == ("JC463", True)
    review = fresh(small_us, bulk=Bulk(0.9, "supported"))
    assert refused(review, BulkAccept(threshold=0.8)).code == "JC463"
    assert refused(review, BulkAccept(threshold=0.99)).code == "JC463"
    rejected = after(review, Reject(item=KNEE))
    done = after(rejected, BulkAccept(threshold=0.9, items=(COUGH,)))
    assert done.decided[-1].decision.items == (HEART, DRAINAGE)
    assert [one.id for one in done.items if one.state is ItemState.ACCEPTED] == [HEART, DRAINAGE]
    assert after(done, Undo()).sheet == rejected.sheet


# ------------------------------------------------------------------------------------------------------------ JSON


def test_decisions_go_through_json(small_us: CodeBook):
    review = after(
        fresh(small_us),
        Add(system=CM, code="E11.9", evidence=(Stretch(document=0, start=0, end=5),)),
        Poa(item=HEART, value=None),
        LinkCodes(procedure=SCAN, diagnosis="a1"),
    )
    copies = [one.model_validate_json(one.model_dump_json()) for one in review.decided]
    again = replay(review.record, copies, review.ground)
    assert (again.sheet, again) == (review.sheet, review)
    assert replay(review.record.model_copy(update={"versions": VERSIONS}), copies, review.ground).items == review.items


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": "secret words"},
        {"kind": "accept"},
        {"kind": "accept", "item": "secret words"},
        {"kind": "accept", "item": "p1", "secret words": 1},
        {"kind": "replace", "item": "p1", "system": "secret words", "code": "I10"},
        {"kind": "comment", "text": " "},
        {"kind": "override", "finding": "0" * 12, "reason": ""},
        {"kind": "move", "item": "p1", "to": 0},
        {"kind": "poa", "item": "p1", "value": "secret words"},
        {"kind": "bulk_accept", "threshold": "secret words"},
        [],
        "secret words",
    ],
)
def test_what_is_no_decision_is_refused_without_being_quoted(data: Any):
    with pytest.raises(InputError) as caught:
        parse_decision(data)
    assert caught.value.code == "JC108"
    assert "secret" not in str(caught.value)
