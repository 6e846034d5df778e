"""The JSON that goes out, where it is not that of :mod:`jointcoder.records`, made from what the desk hands out."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal, Self

from fastapi import Request
from pydantic import BaseModel, ConfigDict

from jointcoder.desk.decisions import Decision
from jointcoder.desk.review import Item, Live, Review
from jointcoder.records import (
    AssignedCode,
    CodedRecord,
    Encounter,
    Finding,
    Kind,
    System,
    Versions,
)
from jointcoder.server.books import CodePage
from jointcoder.store.jobs import Job, JobResult


class Out(BaseModel):
    """Base of what goes out."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


def told(request: Request) -> Versions:
    """What codes here, for the bodies of answers."""
    versions: Versions = request.app.state.versions()
    return versions


class ProblemOut(Out):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    instance: str
    versions: dict[str, Any]


class EntryOut(Out):
    """An entry of the hierarchy, in short."""

    code: str
    name: str
    level: str
    billable: bool


class CodeHitOut(Out):
    """A code that a search found."""

    system: System
    code: str
    name: str
    names: dict[str, str]
    billable: bool
    how: Literal["code", "words", "index"]
    term: str
    score: float
    excludes: tuple[str, ...]


class CodesOut(Out):
    """Codes found, best first."""

    book: str
    edition: str
    items: tuple[CodeHitOut, ...]
    versions: Versions


class NoteOut(Out):
    """A line of a note and the code that it is printed at."""

    kind: str
    origin: str
    label: str
    text: str


class PeriodOut(Out):
    """First and last day, both inclusive."""

    start: dt.date
    end: dt.date


class CodeOut(Out):
    """One code. `ancestors` from the chapter down; `notes` its own first, then those of its headings."""

    book: str
    edition: str
    system: System
    code: str
    name: str
    names: dict[str, str]
    level: str
    billable: bool
    valid: tuple[PeriodOut, ...]
    ancestors: tuple[EntryOut, ...]
    children: tuple[EntryOut, ...]
    notes: tuple[NoteOut, ...]
    terms: tuple[str, ...]
    edits: tuple[str, ...]
    grade: int | None
    category: str
    versions: Versions

    @classmethod
    def of(cls, page: CodePage, versions: Versions) -> Self:
        """From the page of a code."""
        own = {name: getattr(page, name) for name in cls.model_fields if hasattr(page, name)}
        return cls.model_validate(
            {**own, "grade": page.operation.grade, "category": page.operation.category, "versions": versions}
        )


class CheckedOut(Out):
    """Findings about codes, and how many of them are errors."""

    book: str
    edition: str
    errors: int
    findings: tuple[Finding, ...]
    versions: Versions


class WorkflowOut(Out):
    """A workflow."""

    name: str
    version: str
    hash: str
    summary: str
    source: str
    needs: dict[str, Any]
    steps: tuple[str, ...]
    in_use: bool
    approved: bool


class WorkflowsOut(Out):
    """The workflows."""

    items: tuple[WorkflowOut, ...]
    versions: Versions


class JobOut(Out):
    """A job: `counts` of its encounters by state, `results` where they are."""

    id: str
    by: str
    state: str
    created: dt.datetime
    ended: dt.datetime | None
    total: int
    counts: dict[str, int]
    priority: int
    source: str
    results: str
    versions: Versions

    @classmethod
    def of(cls, job: Job, versions: Versions) -> Self:
        """From a job of the store."""
        own = {name: getattr(job, name) for name in cls.model_fields if hasattr(job, name)}
        return cls.model_validate({**own, "results": f"/v1/jobs/{job.id}/results", "versions": versions})


class JobsOut(Out):
    """Jobs, the newest first."""

    items: tuple[JobOut, ...]
    versions: Versions


class ResultOut(Out):
    """What became of one encounter of a job. `place` counts from 0, in the order sent; a failed one has an error and a
    record without codes that is flagged."""

    place: int
    encounter: str
    version: str
    state: str
    error_code: str
    error: str
    record: CodedRecord | None

    @classmethod
    def of(cls, result: JobResult) -> ResultOut:
        """From a result of the store. The record was validated when it was stored."""
        return cls.model_construct(**{name: getattr(result, name) for name in cls.model_fields})


class LineOut(Out):
    """A line of the worklist. `versions`: how many versions of the encounter came."""

    id: str
    version: str
    status: str
    priority: int
    source: str
    language: str
    received: dt.datetime
    updated: dt.datetime
    discharged: dt.date | None
    characters: int
    band: str
    codes: int
    findings: int
    undecided: int
    holder: str
    held_until: dt.datetime | None
    error_code: str
    versions: int
    job: str


class LinesOut(Out):
    """A page of the worklist: `total` of all pages; `next` for `after`, empty at the end."""

    items: tuple[LineOut, ...]
    next: str
    total: int
    versions: Versions


class EncounterOut(Out):
    """An encounter as it came, and its line of the worklist."""

    line: LineOut
    encounter: Encounter
    versions: Versions


class SaidOut(Out):
    """A remark or a question, on a code or (`item` empty) the whole record; `seq`: the decision that holds it."""

    seq: int
    kind: str
    item: str
    text: str
    by: str
    at: dt.datetime


class ItemOut(Out):
    """A code under review. `confidence` is the model's, whatever was decided; null for one that a coder added."""

    id: str
    kind: Kind
    state: str
    rank: int
    code: AssignedCode
    proposed: AssignedCode | None
    confidence: float | None
    links: tuple[str, ...]
    by: str
    at: dt.datetime | None
    reason: str
    comments: tuple[SaidOut, ...]

    @classmethod
    def of(cls, item: Item) -> Self:
        """From an item of a review."""
        return cls.model_validate({name: getattr(item, name) for name in cls.model_fields})


class FindingOut(Out):
    """A finding about the codes as they stand. `blocks`: it must be resolved or overridden before the end."""

    key: str
    state: str
    blocks: bool
    finding: Finding
    by: str
    at: dt.datetime | None
    reason: str

    @classmethod
    def of(cls, live: Live) -> Self:
        """From a finding of a review."""
        return cls.model_validate({name: getattr(live, name) for name in cls.model_fields})


class DecidedOut(Out):
    """A decision as it was taken."""

    seq: int
    by: str
    at: dt.datetime
    decision: Decision


class OpenOut(Out):
    """What is left to do before the record can be finished."""

    kind: str
    key: str
    label: str


class BulkOut(Out):
    """Above which confidence codes may be accepted together; null where calibration supports none, and why. So many
    `codes` of this house's finished `reviews` were decided one by one; if they are enough, it is measured on them."""

    threshold: float | None
    reason: str
    reviews: int
    codes: int


class ReviewOut(Out):
    """A record under review. `etag` is what If-Match takes; `record` is as the model made it."""

    encounter: str
    version: str
    etag: str
    status: str
    items: tuple[ItemOut, ...]
    findings: tuple[FindingOut, ...]
    open: tuple[OpenOut, ...]
    decisions: tuple[DecidedOut, ...]
    comments: tuple[SaidOut, ...]
    queries: tuple[SaidOut, ...]
    bulk: BulkOut
    record: CodedRecord
    versions: Versions

    @classmethod
    def of(cls, review: Review, version: str, versions: Versions) -> ReviewOut:
        """From a review of the desk."""
        return cls.model_construct(
            encounter=review.record.encounter,
            version=version,
            etag=review.etag,
            status=str(review.status),
            items=tuple(map(ItemOut.of, review.items)),
            findings=tuple(map(FindingOut.of, review.findings)),
            open=tuple(OpenOut.model_validate(one) for one in review.open),
            decisions=tuple(
                DecidedOut.model_construct(seq=one.seq, by=one.by, at=one.at, decision=one.decision)
                for one in review.decided
            ),
            comments=tuple(map(SaidOut.model_validate, review.comments)),
            queries=tuple(map(SaidOut.model_validate, review.queries)),
            bulk=BulkOut.model_validate(review.bulk),
            record=review.record,
            versions=versions,
        )


class LiveOut(Out):
    """The process answers."""

    status: Literal["live"] = "live"


class ReadyOut(Out):
    """What coding needs, each `ok`, `full`, `opening` or the code of what is wrong."""

    status: Literal["ready"]
    checks: dict[str, str]
    versions: Versions


class FhirOut(BaseModel):
    """A FHIR R4 resource."""

    model_config = ConfigDict(extra="allow")

    resourceType: str  # noqa: N815 (FHIR's name)
