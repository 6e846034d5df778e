"""A stay that was coded, for tests of its review: I50.9 first, then I10, R05.9 and M17.12, and two procedures."""

from __future__ import annotations

import datetime as dt
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.desk.review import Ground, Review, begin, decide
from jointcoder.records import AssignedCode, CodedRecord, Encounter, Kind, Link, Role, Span, System, Versions

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
NOTE = "Heart failure, hypertension, a cough. Osteoarthritis of the left knee. Drainage of the right pleural cavity."
DIAGNOSES = {"I50.9": 0.95, "I10": 0.8, "R05.9": 0.4, "M17.12": 0.92}
PROCEDURES = {"0W993ZZ": 0.9, "BW24ZZZ": 0.5}
ENCOUNTER = Encounter.from_text(NOTE, id="E1", language="en", discharged=dt.date(2026, 3, 1))


def assigned(book: CodeBook, system: System, codes: dict[str, float]) -> list[AssignedCode]:
    return [
        AssignedCode(
            system=system,
            code=code,
            name=book.name(system, code) or code,
            role=Role.PRINCIPAL if rank == 1 else Role.SECONDARY,
            rank=rank,
            confidence=confidence,
            evidence=(Span(document=0, start=0, end=13, quote="Heart failure"),) if rank == 1 else (),
            stages=("extract",),
        )
        for rank, (code, confidence) in enumerate(codes.items(), start=1)
    ]


def coded_stay(book: CodeBook, **changes: Any) -> CodedRecord:
    procedures = assigned(book, System.ICD10PCS, PROCEDURES)
    explained = Link(relation="explained_by", system=System.ICD10CM, code="I50.9")
    procedures[0] = procedures[0].with_(links=(explained,))
    codes = (*assigned(book, System.ICD10CM, DIAGNOSES), *procedures)
    return CodedRecord(**{"encounter": "E1", "language": "en", "codes": codes, "versions": VERSIONS, **changes})


VERSIONS = Versions(program="t")


def ground_of(book: CodeBook, **changes: Any) -> Ground:
    return Ground(**{"encounter": ENCOUNTER, "book": book, "on": ENCOUNTER.discharged, **changes})


def fresh(book: CodeBook, **changes: Any) -> Review:
    return begin(coded_stay(book), ground_of(book, **changes))


def after(review: Review, *decisions: Any, by: str = "ana", lead: bool = False) -> Review:
    for decision in decisions:
        review = decide(review, decision, by=by, at=AT, lead=lead)
    return review


def codes_of(review: Review, kind: Kind = Kind.DIAGNOSIS) -> list[str]:
    """The codes that stand, in order."""
    return [item.code.code for item in review.standing(kind)]
