"""The right half of the encounter page as values: what a viewer sees of a review, and may do."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.desk.bands import Bulk
from jointcoder.desk.decisions import parse_decision
from jointcoder.desk.review import Ground, Review, begin, decide
from jointcoder.desk.views_codes import review_view
from jointcoder.records import (
    AssignedCode,
    CodedRecord,
    Document,
    Encounter,
    Kind,
    PresentOnAdmission,
    Role,
    Span,
    System,
    Versions,
)

TEXT = "Heart failure. Hypertension. Heart failure improved. CT of the chest."
AT = dt.datetime(2026, 3, 1, 9, 0, tzinfo=dt.UTC)


def code(name: str, confidence: float, rank: int, *places: tuple[int, int]) -> AssignedCode:
    system = System.ICD10PCS if name.startswith("BW") else System.ICD10CM
    spans = tuple(Span(document=0, start=a, end=b, quote=TEXT[a:b]) for a, b in places)
    role = Role.PRINCIPAL if rank == 1 else Role.SECONDARY
    return AssignedCode(
        system=system, code=name, name=f"name of {name}", confidence=confidence, rank=rank, role=role, evidence=spans
    )


@pytest.fixture
def review(small_us: CodeBook) -> Review:
    encounter = Encounter(id="e", documents=(Document(id="0", text=TEXT),))
    codes = (
        code("I50.9", 0.95, 1, (29, 42), (0, 13)),
        code("I10", 0.5, 2, (15, 27)),
        code("BW24ZZZ", 0.7, 1, (53, 69)),
    )
    record = CodedRecord(
        encounter="e",
        language="en",
        codes=codes,
        suggestions=(code("R05.9", 0.1, 9),),
        versions=Versions(program="0"),
    )
    return begin(record, Ground(encounter, small_us, bulk=Bulk(0.9, "supported")))


def decided(review: Review, *decisions: dict[str, Any], by: str = "ana") -> Review:
    for number, one in enumerate(decisions):
        review = decide(review, parse_decision(one), by=by, at=AT + dt.timedelta(minutes=number))
    return review


def seen(review: Review, **more: Any) -> Any:
    return review_view(review, **({"viewer": "ana", "may_decide": True, "holder": "ana"} | more))


def test_codes_in_order_with_the_places_of_their_evidence(review: Review) -> None:
    view = seen(review)
    assert [(row.rank, row.code.code, row.principal) for row in view.diagnoses] == [
        (1, "I50.9", True),
        (2, "I10", False),
    ]
    assert [row.code.code for row in view.procedures] == ["BW24ZZZ"]
    first = view.diagnoses[0]
    assert [(place.id, place.number, place.span.start) for place in first.places] == [
        ("e-p1-1", 1, 0),
        ("e-p1-2", 2, 29),
    ]
    assert view.undecided == 3
    assert view.bulk.count == 1


def test_the_models_confidence_outlives_every_decision(review: Review) -> None:
    view = seen(
        decided(
            review,
            {"kind": "accept", "item": "p1"},
            {"kind": "replace", "item": "p2", "system": "ICD-10-CM", "code": "I11.0"},
            {"kind": "add", "system": "ICD-10-CM", "code": "J18.9"},
        )
    )
    assert [(row.state, row.confidence, row.band) for row in view.diagnoses] == [
        ("accepted", 0.95, "high"),
        ("replaced", 0.5, "low"),
        ("added", None, ""),
    ]
    replaced = view.diagnoses[1]
    assert (replaced.code.code, replaced.model_code.code) == ("I11.0", "I10")
    assert [place.span.start for place in replaced.places] == [15]


def test_a_rejected_code_leaves_the_order_but_not_the_page(review: Review) -> None:
    view = seen(decided(review, {"kind": "reject", "item": "p1"}))
    assert [row.code.code for row in view.diagnoses] == ["I10"]
    assert [row.id for row in view.gone] == ["p1"]
    assert view.diagnoses[0].principal
    assert all(place.dropped for place in view.places if place.item == "p1")


def test_links_show_both_ways(review: Review) -> None:
    view = seen(decided(review, {"kind": "link", "procedure": "p3", "diagnosis": "p2"}))
    assert [(one.item, one.code) for one in view.procedures[0].links] == [("p2", "I10")]
    assert [(one.item, one.code) for one in view.diagnoses[1].links] == [("p3", "BW24ZZZ")]


def test_findings_know_their_rows_and_what_blocks(review: Review) -> None:
    view = seen(review)
    found = next(one for one in view.findings if {"I50.9", "I10"} <= set(one.finding.codes))
    assert set(found.items) == {"p1", "p2"}
    assert found.open
    assert view.diagnoses[0].worst is found.finding.severity
    assert (found.id, "finding") in [(one.target, one.kind) for one in view.open]
    passed = seen(decided(review, {"kind": "override", "finding": found.key, "reason": "both are treated"}))
    after = next(one for one in passed.findings if one.key == found.key)
    assert (after.overridden, after.by, after.reason, after.open) == (True, "ana", "both are treated", False)


def test_comments_and_questions_in_the_order_they_were_written(review: Review) -> None:
    view = seen(
        decided(
            review,
            {"kind": "comment", "text": "first", "item": "p1"},
            {"kind": "query", "text": "second"},
            {"kind": "comment", "text": "third"},
        )
    )
    assert [(one.text, one.item, one.query) for one in view.comments] == [
        ("first", "p1", False),
        ("second", "", True),
        ("third", "", False),
    ]
    assert [one.text for one in view.diagnoses[0].comments] == ["first"]


@pytest.mark.parametrize(
    ("more", "barrier"),
    [
        ({}, ""),
        ({"holder": ""}, ""),
        ({"holder": "bo"}, "held"),
        ({"may_decide": False}, "role"),
        ({"older": True}, "older"),
    ],
)
def test_who_may_decide(review: Review, more: dict[str, Any], barrier: str) -> None:
    view = seen(review, **more)
    assert (view.barrier, view.editable) == (barrier, not barrier)


def test_a_finished_record_is_read_only(review: Review) -> None:
    both = [{"kind": "reject", "item": "p1"}, {"kind": "accept", "item": "p2"}, {"kind": "accept", "item": "p3"}]
    done = decided(review, *both)
    rest = [{"kind": "override", "finding": one.key, "reason": "seen"} for one in done.findings if one.blocks]
    assert seen(decided(done, *rest, {"kind": "finish"})).barrier == "finished"


def test_only_ones_own_last_decision_can_be_undone(review: Review) -> None:
    after = decided(review, {"kind": "accept", "item": "p1"})
    assert seen(review).undo == ""
    assert seen(after).undo == "accept"
    assert seen(after, viewer="bo", holder="bo").undo == ""


def test_conditions_are_those_of_the_code_system(review: Review) -> None:
    view = seen(review)
    assert set(view.diagnoses[0].conditions) == set(PresentOnAdmission)
    assert view.procedures[0].conditions == ()


def test_a_suggestion_that_was_taken_is_none_any_more(review: Review) -> None:
    assert [one.code for one in seen(review).suggestions] == ["R05.9"]
    assert seen(decided(review, {"kind": "add", "system": "ICD-10-CM", "code": "R05.9"})).suggestions == ()


def test_names_in_the_viewers_language(review: Review) -> None:
    view = seen(review, names={(System.ICD10CM, "I10"): "原发性高血压"})
    assert [row.name for row in view.diagnoses] == ["name of I50.9", "原发性高血压"]
    assert Kind.DIAGNOSIS is view.diagnoses[1].kind
