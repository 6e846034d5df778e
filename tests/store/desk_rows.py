"""Encounters and coded records for tests of the desk's tables: short, invented, told apart by a number."""

from __future__ import annotations

import datetime as dt
from typing import Any

from jointcoder.records import AssignedCode, CodedRecord, Encounter, Role, Span, System, Versions
from jointcoder.store.encounters import Encounters
from jointcoder.store.events import AuditEvent
from jointcoder.store.jobs import Job, Jobs, Work
from jointcoder.store.queue import Claimed, Queue
from jointcoder.store.reviews import Allowed, Judged, Standing, StoredReview

NOW = dt.datetime(2026, 3, 1, 8, 0, tzinfo=dt.UTC)
FRESH = Standing(state="to_review", band="medium", codes=1, findings=0, undecided=1)
CONDITIONS = "c" * 64


def encounter(number: int = 1, *, text: str = "Essential hypertension.", **fields: Any) -> Encounter:
    return Encounter.from_text(f"{text} Stay {number}.", id=f"E{number:03}", language="en", **fields)


def record(number: int = 1, *, code: str = "I10", language: str = "en") -> CodedRecord:
    evidence = (Span(document=0, start=0, end=9, quote="Essential"),)
    assigned = AssignedCode(
        system=System.ICD10CM,
        code=code,
        name="Essential (primary) hypertension",
        role=Role.PRINCIPAL,
        rank=1,
        confidence=0.7,
        evidence=evidence,
    )
    return CodedRecord(encounter=f"E{number:03}", language=language, codes=(assigned,), versions=Versions(program="t"))


def queued(jobs: Jobs, *numbers: int, **options: Any) -> Job:
    return jobs.create([Work(encounter(number)) for number in numbers], **options)


def coded(jobs: Jobs, queue: Queue, number: int = 1) -> Claimed:
    """An encounter that was queued, taken and coded."""
    queued(jobs, number)
    claimed = queue.claim("w")
    assert claimed is not None
    assert queue.finish(claimed, record(number), conditions=CONDITIONS, standing=FRESH)
    return claimed


def allow(kind: str = "comment", state: str = "in_review", **body: Any) -> Any:
    """A judge that allows everything."""

    def judge(stored: StoredReview) -> Judged:
        standing = Standing(state=state, band="medium", codes=1, findings=0, undecided=0)
        return Judged([Allowed(kind=kind, body={"kind": kind, **body}, details={"n": stored.seq})], standing)

    return judge


class Heard:
    """An audit that keeps what it heard, or refuses to keep anything."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.events: list[AuditEvent] = []
        self.refuses = refuses

    def __call__(self, session: Any, event: AuditEvent) -> None:
        if self.refuses:
            raise RuntimeError("the audit is full")
        self.events.append(event)

    @property
    def actions(self) -> list[str]:
        return [event.action for event in self.events]


class Backwards:
    """A sealer whose work can be seen: bytes reversed, and bound to what they belong to."""

    def seal(self, data: bytes, *, bound: str = "") -> bytes:
        return b"sealed:" + bound.encode() + b":" + data[::-1]

    def open(self, data: bytes, *, bound: str = "") -> bytes:
        head = b"sealed:" + bound.encode() + b":"
        assert data.startswith(head)
        return data[len(head) :][::-1]


__all__ = ["CONDITIONS", "FRESH", "NOW", "Backwards", "Encounters", "Heard", "allow", "coded", "encounter", "queued"]
