"""Jobs: encounters handed in together, coded one by one, each exactly once, whatever happens to the machine.

    job = jobs.create([Work(encounter), …], by="his", key="2026-03-01/1")
    job = jobs.get(job.id)                     # state, counts
    for result in jobs.results(job.id): …      # in the order in which the encounters came

The truth is in the table: what waits, what is being coded and by whom until when (``queue.py`` for the workers' side),
what came of it. An idempotency key makes handing in repeatable: the same key with the same content gives the same job,
with other content it is refused (JC466). The queue takes so many and no more (JC467). A file that somebody uploads may
hold more than fits: it is taken whole and held behind the queue, to be coded when nothing in the queue waits.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from jointcoder.errors import InputError, UsageError
from jointcoder.records import CodedRecord, Encounter, Flag, Versions
from jointcoder.store.encounters import LONGEST_ID, Encounters, can_be_coded_anew, row_of, version_of
from jointcoder.store.events import Audit, AuditEvent, unaudited
from jointcoder.store.insert import take_turns
from jointcoder.store.lines import Status
from jointcoder.store.sealing import PLAIN, Sealer
from jointcoder.version import __version__

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from jointcoder.store.engine import Store
    from jointcoder.store.tables.desk import ItemRow, JobRow

BOUND = 1000
HELD = 5000
LONGEST_KEY = 200
BATCH = 100


class ItemState(StrEnum):
    """``held``: waits behind the queue."""

    QUEUED = "queued"
    HELD = "held"
    CODING = "coding"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


WAITING = (ItemState.QUEUED, ItemState.HELD)


class JobState(StrEnum):
    """``cancelled`` as soon as it was asked for; what was being coded then still ends."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Work:
    """One encounter of a job; or, without one, the ``id`` and the coded error of what could not be read as one."""

    encounter: Encounter | None
    id: str = ""
    error_code: str = ""
    error: str = ""


@dataclass(frozen=True)
class Job:
    """A job and how far it is. ``counts``: items by state; ``ended``: when the last one ended."""

    id: str
    by: str
    key: str
    source: str
    priority: int
    state: JobState
    total: int
    counts: dict[str, int]
    created: dt.datetime
    ended: dt.datetime | None


@dataclass(frozen=True)
class JobResult:
    """What came of one encounter; ``place`` counts from 0. ``record`` of a failed one has no codes and says why in its
    flags; None while there is nothing yet, and of cancelled ones."""

    place: int
    encounter: str
    version: str
    state: ItemState
    error_code: str
    error: str
    record: CodedRecord | None


class Jobs:
    """The jobs of a store. ``bound``: how many encounters may wait in the queue; ``held``: how many behind it. Safe to
    share between threads. Raises AssetError JC430 as the store does."""

    def __init__(
        self,
        store: Store,
        *,
        sealer: Sealer = PLAIN,
        audit: Audit = unaudited,
        bound: int = BOUND,
        held: int = HELD,
    ) -> None:
        self.store, self.sealer, self.audit, self.bound, self.held = store, sealer, audit, bound, held
        self._encounters = Encounters(store, sealer=sealer, audit=audit)

    def create(
        self,
        works: Sequence[Work],
        *,
        by: str = "",
        key: str = "",
        source: str = "",
        priority: int = 0,
        whole: bool = False,
    ) -> Job:
        """Keep the encounters and queue them, all or none; ``whole``: hold them behind the queue where they do not fit.
        Raises UsageError JC466 (the key was used with another body), JC467 (the queue is full), InputError JC101 (no
        encounter), JC108 (more than are ever taken, or a key that cannot be kept) and those of an id that cannot be
        kept."""
        if not works:
            raise InputError("JC101", "the job holds no encounter")
        if len(works) > (most := max(self.bound, self.held) if whole else self.bound):
            raise InputError("JC108", f"a job holds at most {most} encounters", hint="hand in several jobs")
        if len(key) > LONGEST_KEY or not key.isprintable():
            raise InputError("JC108", f"idempotency key: not printable, or longer than {LONGEST_KEY} characters")
        body = _body(works, source, priority)
        with self.store.writing() as session:
            take_turns(session)
            if key and (known := self._of_key(session, by, key)) is not None:
                if known.body != body:
                    raise UsageError(
                        "JC466", "the idempotency key was used for another job", hint="take a new key for a new job"
                    )
                return self._job(session, known)
            state = self._room(session, sum(work.encounter is not None for work in works), whole=whole)
            row = self._queue(session, works, state, by=by, key=key, source=source, priority=priority, body=body)
            return self._job(session, row)

    def get(self, job: str) -> Job:
        """Raises UsageError JC460."""
        with self.store.reading() as session:
            return self._job(session, _job_row(session, job))

    def newest(self, *, by: str | None = None, limit: int = 100) -> list[Job]:
        """The last jobs, newest first; of one account where it is named."""
        from sqlalchemy import select

        from jointcoder.store.tables.desk import JobRow

        wanted = select(JobRow).order_by(JobRow.created.desc(), JobRow.id).limit(limit)
        if by is not None:
            wanted = wanted.where(JobRow.by == by)
        with self.store.reading() as session:
            return self._jobs(session, session.scalars(wanted).all())

    def cancel(self, job: str, *, by: str = "") -> Job:
        """What still waits will not be coded. What is being coded ends, and its result is kept. Raises UsageError
        JC460."""
        from sqlalchemy import select

        from jointcoder.store.tables.desk import ItemRow

        with self.store.writing() as session:
            take_turns(session)
            row = _job_row(session, job)
            waiting = select(ItemRow).where(ItemRow.job == job, ItemRow.state.in_(WAITING))
            items = session.scalars(waiting.with_for_update()).all()
            for item in in_turn(items):
                item.state = ItemState.CANCELLED
                encounter = row_of(session, item.encounter, lock=True)
                if encounter.status == Status.QUEUED and encounter.job == job:
                    encounter.status = Status.RECEIVED
            row.cancelled = row.cancelled or bool(items)
            session.flush()
            found = self._job(session, row)
            if items:
                self.audit(session, AuditEvent("job.cancelled", by, job, {"cancelled": len(items)}))
            return found

    def results(self, job: str) -> Iterator[JobResult]:
        """What came of every encounter so far, in order. Raises UsageError JC460."""
        from sqlalchemy import select

        from jointcoder.store.tables.desk import ItemRow, ResultRow

        self.get(job)
        last = -1
        while True:
            wanted = select(ItemRow, ResultRow).outerjoin(ResultRow, ResultRow.id == ItemRow.result)
            wanted = wanted.where(ItemRow.job == job, ItemRow.place > last).order_by(ItemRow.place).limit(BATCH)
            with self.store.reading() as session:
                found = [self._result(item, result) for item, result in session.execute(wanted)]
            yield from found
            if len(found) < BATCH:
                return
            last = found[-1].place

    def waiting(self) -> int:
        """How many encounters wait in the queue."""
        with self.store.reading() as session:
            return _count(session, ItemState.QUEUED)

    # ------------------------------------------------------------------------------------------------------ private

    def _of_key(self, session: Session, by: str, key: str) -> JobRow | None:
        from sqlalchemy import select

        from jointcoder.store.tables.desk import JobRow

        return session.scalar(select(JobRow).where(JobRow.by == by, JobRow.key == key))

    def _room(self, session: Session, wanted: int, *, whole: bool) -> ItemState:
        """Where so many have room: in the queue, or else behind it."""
        room = self.bound - _count(session, ItemState.QUEUED)
        if wanted <= room:
            return ItemState.QUEUED
        room = self.held - _count(session, ItemState.HELD) if whole else room
        if wanted > room:
            message = f"the queue takes {max(0, room)} more encounters at present, not {wanted}"
            raise UsageError("JC467", message, hint="come again later")
        return ItemState.HELD

    def _queue(
        self,
        session: Session,
        works: Sequence[Work],
        state: ItemState,
        *,
        by: str,
        key: str,
        source: str,
        priority: int,
        body: str,
    ) -> JobRow:
        from jointcoder.store.tables.desk import ItemRow, JobRow

        identity = secrets.token_hex(16)
        job = JobRow(
            id=identity,
            by=by,
            key=key or None,
            body=body,
            source=source[:200],
            priority=priority,
            total=len(works),
            cancelled=False,
        )
        session.add(job)
        session.flush()
        versions: dict[int, str] = {}
        events: list[AuditEvent] = []
        # In the order of ids, so that two transactions that share encounters never wait for each other.
        for place, work in sorted(enumerate(works), key=lambda one: one[1].encounter.id if one[1].encounter else ""):
            if work.encounter is None:
                continue
            row, event = self._encounters.put_in(session, work.encounter, source=source, priority=priority, by=by)
            versions[place] = row.version
            events += [event] if event else []
            if can_be_coded_anew(row):
                row.status, row.error_code, row.job = Status.QUEUED, "", identity
        empty: dict[str, Any] = {"attempts": 0, "worker": "", "lease": None, "result": None, "priority": priority}
        for place, work in enumerate(works):
            refused = work.encounter is None
            session.add(
                ItemRow(
                    job=identity,
                    place=place,
                    encounter=work.encounter.id if work.encounter else _kept(work.id),
                    version=versions.get(place, ""),
                    state=ItemState.FAILED if refused else state,
                    error_code=work.error_code,
                    error=work.error,
                    **empty,
                )
            )
        session.flush()
        for event in (*events, AuditEvent("job.created", by, identity, {"total": len(works), "body": body})):
            self.audit(session, event)
        return job

    def _job(self, session: Session, row: JobRow) -> Job:
        return self._jobs(session, [row])[0]

    def _jobs(self, session: Session, rows: Sequence[JobRow]) -> list[Job]:
        """Each with the states of its items, which are counted for all of them at once."""
        from sqlalchemy import func, select

        from jointcoder.store.tables.desk import ItemRow

        wanted = select(ItemRow.job, ItemRow.state, func.count(), func.max(ItemRow.updated))
        wanted = wanted.where(ItemRow.job.in_([row.id for row in rows])).group_by(ItemRow.job, ItemRow.state)
        states: dict[str, list[tuple[str, int, dt.datetime]]] = {row.id: [] for row in rows}
        for job, state, number, newest in session.execute(wanted):
            states[job].append((state, number, newest))
        return [_shown(row, states[row.id]) for row in rows]

    def _result(self, item: ItemRow, result: Any) -> JobResult:
        record = None
        if result is not None:
            record = CodedRecord.model_validate_json(self.sealer.open(bytes(result.record), bound=result.version))
        elif item.state == ItemState.FAILED:
            record = failed_record(item.encounter, item.error_code, item.error)
        return JobResult(
            place=item.place,
            encounter=item.encounter,
            version=item.version,
            state=ItemState(item.state),
            error_code=item.error_code,
            error=item.error,
            record=record,
        )


def failed_record(encounter: str, code: str, message: str) -> CodedRecord:
    """The record of an encounter that could not be coded: no codes, and a flag that says why."""
    flag = Flag(code=code, message=message)
    return CodedRecord(encounter=encounter, language="", flags=(flag,), versions=Versions(program=__version__))


def _shown(row: JobRow, found: Sequence[tuple[str, int, dt.datetime]]) -> Job:
    """The job; ``found``: state, number of items in it, when the last of them changed."""
    counts = {state.value: 0 for state in ItemState} | {state: number for state, number, _ in found}
    waiting = sum(counts[one] for one in WAITING)
    open_ = waiting + counts["coding"]
    if row.cancelled:
        state = JobState.CANCELLED
    elif waiting == row.total:
        state = JobState.QUEUED
    else:
        state = JobState.RUNNING if open_ else JobState.DONE
    ended = max((moment for *_, moment in found), default=None) if not open_ else None
    values = {name: getattr(row, name) for name in ("id", "by", "source", "priority", "total", "created")}
    return Job(**values, key=row.key or "", state=state, counts=counts, ended=ended)


def _job_row(session: Session, job: str) -> JobRow:
    from jointcoder.store.tables.desk import JobRow

    row = session.get(JobRow, job) if job.isalnum() else None
    if row is None:
        raise UsageError("JC460", "there is no such job")
    return row


def in_turn(items: Iterable[ItemRow]) -> list[ItemRow]:
    """In the order in which everybody locks encounters, so that no two wait for each other: the program's order of
    ids, which is not that of every database."""
    return sorted(items, key=lambda item: item.encounter)


def _count(session: Session, state: ItemState) -> int:
    from sqlalchemy import func, select

    from jointcoder.store.tables.desk import ItemRow

    return session.scalar(select(func.count()).where(ItemRow.state == state)) or 0


def _body(works: Sequence[Work], source: str, priority: int) -> str:
    said = [version_of(w.encounter) if w.encounter else [w.id, w.error_code, w.error] for w in works]
    return hashlib.sha256(json.dumps([said, source, priority]).encode()).hexdigest()


def _kept(identity: str) -> str:
    """An id as it can be kept and shown; what came with it was refused already."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in identity)[:LONGEST_ID]
