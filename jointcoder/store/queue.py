"""The workers' side of jobs: take the next encounter, keep it while it is being coded, hand in what came of it.

    work = queue.claim(worker)                   # atomic on both databases; None when nothing waits
    queue.beat(worker)                           # every few seconds: its leases hold on
    queue.finish(work, record, …)                # result, item and worklist in one transaction

A worker that dies leaves its items behind with a lease that runs out; :meth:`Queue.requeue` gives them to others, at
once where the worker is known to be gone. Whoever lost an item meanwhile hands in nothing: each version has one result
under one set of conditions, and each item ends once. What was taken too often without an end is given up (JC468): it is
what kills the workers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jointcoder.records import CodedRecord, Encounter
from jointcoder.store.encounters import Encounters, can_be_coded_anew, row_of
from jointcoder.store.events import Audit, AuditEvent, unaudited
from jointcoder.store.insert import insert_or_ignore
from jointcoder.store.jobs import WAITING, ItemState, in_turn
from jointcoder.store.lines import Status
from jointcoder.store.reviews import Standing, begin_in
from jointcoder.store.sealing import PLAIN, Sealer

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from jointcoder.store.engine import Store
    from jointcoder.store.tables.desk import ItemRow

LEASE = dt.timedelta(seconds=60)
ATTEMPTS = 3


@dataclass(frozen=True)
class Claimed:
    """An encounter that a worker has taken. ``attempt`` counts from 1."""

    item: int
    job: str
    encounter: str
    version: str
    worker: str
    attempt: int


class Queue:
    """What waits in a store. ``lease``: how long a worker's word is good; ``attempts``: how often an encounter is taken
    at most. Safe to share between threads and processes. Raises AssetError JC430 as the store does."""

    def __init__(
        self,
        store: Store,
        *,
        sealer: Sealer = PLAIN,
        audit: Audit = unaudited,
        lease: dt.timedelta = LEASE,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.store, self.sealer, self.audit, self.lease, self.attempts = store, sealer, audit, lease, attempts
        self._encounters = Encounters(store, sealer=sealer)

    # ------------------------------------------------------------------------------------------------------- taking

    def claim(self, worker: str) -> Claimed | None:
        """The next encounter: highest priority, what is queued before what is held behind the queue, then longest
        waiting. None when nothing waits."""
        from sqlalchemy import select

        from jointcoder.store.tables.desk import ItemRow

        wanted = select(ItemRow).order_by(ItemRow.priority.desc(), ItemRow.id).limit(1)
        wanted = wanted.with_for_update(skip_locked=True)
        with self.store.writing() as session:
            first = [session.scalar(wanted.where(ItemRow.state == state)) for state in WAITING]
            item = max(filter(None, first), key=lambda one: one.priority, default=None)
            if item is None:
                return None
            item.state, item.worker, item.attempts = ItemState.CODING, worker, item.attempts + 1
            item.lease = dt.datetime.now(dt.UTC) + self.lease
            self._show(session, item, Status.CODING)
            return Claimed(item.id, item.job, item.encounter, item.version, worker, item.attempts)

    def encounter(self, claimed: Claimed) -> Encounter:
        """The encounter that was taken."""
        return self._encounters.get(claimed.version)

    def beat(self, worker: str) -> int:
        """Prolong the leases of a worker's items; how many it has."""
        from sqlalchemy import update

        from jointcoder.store.tables.desk import ItemRow

        mine = update(ItemRow).where(ItemRow.worker == worker, ItemRow.state == ItemState.CODING)
        with self.store.writing() as session:
            done: Any = session.execute(mine.values(lease=dt.datetime.now(dt.UTC) + self.lease))
            return int(done.rowcount)

    def requeue(self, *, gone: Callable[[str], bool] = lambda worker: False) -> int:
        """Give back what no worker is at any more: its lease ran out, or ``gone(worker)`` says that there is no such
        worker. What was taken too often is given up instead. How many items that concerned."""
        from sqlalchemy import select

        from jointcoder.store.tables.desk import ItemRow

        now = dt.datetime.now(dt.UTC)
        wanted = select(ItemRow).where(ItemRow.state == ItemState.CODING)
        with self.store.writing() as session:
            items = session.scalars(wanted.with_for_update(skip_locked=True)).all()
            stale = [item for item in items if item.lease is None or item.lease <= now or gone(item.worker)]
            given_up: list[AuditEvent] = []
            for item in in_turn(stale):
                item.worker, item.lease = "", None
                if item.attempts < self.attempts:
                    item.state = ItemState.QUEUED
                    self._show(session, item, Status.QUEUED)
                else:
                    message = f"given up: {item.attempts} workers ended before it was coded"
                    given_up.append(self._failed(session, item, "JC468", message))
            session.flush()
            for event in given_up:
                self.audit(session, event)
            return len(stale)

    def give_back(self, claimed: Claimed) -> bool:
        """Put an item back that was taken and not coded, as if it had not been taken. False where it was lost."""
        with self.store.writing() as session:
            item = self._mine(session, claimed)
            if item is None:
                return False
            item.state, item.worker, item.lease, item.attempts = ItemState.QUEUED, "", None, item.attempts - 1
            self._show(session, item, Status.QUEUED)
            return True

    # -------------------------------------------------------------------------------------------------- handing in

    def known(self, version: str, conditions: str) -> CodedRecord | None:
        """The result that this version has under these conditions, if it was coded before."""
        from sqlalchemy import select

        from jointcoder.store.tables.desk import ResultRow

        wanted = select(ResultRow).where(ResultRow.version == version, ResultRow.conditions == conditions)
        with self.store.reading() as session:
            row = session.scalar(wanted)
            data = None if row is None else bytes(row.record)
        return None if data is None else CodedRecord.model_validate_json(self.sealer.open(data, bound=version))

    def finish(self, claimed: Claimed, record: CodedRecord, *, conditions: str, standing: Standing) -> bool:
        """Hand in a coded record: it becomes the version's result under ``conditions`` unless there is one, the item
        ends, the worklist shows ``standing``. False, and nothing written, where the item was lost meanwhile."""
        from sqlalchemy import select

        from jointcoder.store.tables.base import now
        from jointcoder.store.tables.desk import ResultRow

        with self.store.writing() as session:
            item = self._mine(session, claimed)
            if item is None:
                return False
            content = self.sealer.seal(record.model_dump_json().encode(), bound=claimed.version)
            values = {"version": claimed.version, "conditions": conditions, "record": content, "created": now()}
            made = insert_or_ignore(session, ResultRow, values)
            wanted = select(ResultRow.id).where(ResultRow.version == claimed.version)
            result = session.scalars(wanted.where(ResultRow.conditions == conditions)).one()
            item.state, item.result, item.lease = ItemState.DONE, result, None
            row = row_of(session, item.encounter, lock=True)
            if row.version == claimed.version and not row.language:
                row.language = record.language[:16]
            begin_in(session, row, version=claimed.version, result=result, standing=standing)
            session.flush()
            details = {"encounter": claimed.encounter, "job": claimed.job, "conditions": conditions, "new": made}
            details |= {"codes": standing.codes, "versions": record.versions.model_dump(mode="json")}
            details["cost"] = record.cost.model_dump()
            self.audit(session, AuditEvent("encounter.coded", "", claimed.version, details))
            return True

    def fail(self, claimed: Claimed, code: str, message: str) -> bool:
        """The item ends without a result, for the reason of a coded error. False where it was lost meanwhile."""
        with self.store.writing() as session:
            item = self._mine(session, claimed)
            if item is None:
                return False
            event = self._failed(session, item, code, message)
            session.flush()
            self.audit(session, event)
            return True

    # ------------------------------------------------------------------------------------------------------ private

    def _mine(self, session: Session, claimed: Claimed) -> ItemRow | None:
        """The item, locked, where this worker still has it."""
        from sqlalchemy import select

        from jointcoder.store.tables.desk import ItemRow

        item = session.scalar(select(ItemRow).where(ItemRow.id == claimed.item).with_for_update())
        held = item is not None and item.state == ItemState.CODING and item.worker == claimed.worker
        return item if held and item is not None and item.attempts == claimed.attempt else None

    def _failed(self, session: Session, item: ItemRow, code: str, message: str) -> AuditEvent:
        """End the item without a result; what the audit is told of it at the end of the transaction."""
        item.state, item.lease = ItemState.FAILED, None
        item.error_code, item.error = code, message
        self._show(session, item, Status.FAILED, code)
        details = {"encounter": item.encounter, "job": item.job, "error": code}
        return AuditEvent("encounter.failed", "", item.version, details)

    def _show(self, session: Session, item: ItemRow, status: Status, error_code: str = "") -> None:
        """The worklist follows the item, where it shows that version and nobody has begun to decide on it."""
        row = row_of(session, item.encounter, lock=True)
        if row.version == item.version and can_be_coded_anew(row):
            row.status, row.error_code = status, error_code
