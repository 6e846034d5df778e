"""Coded records with their way → the worklist of the desk, through the store.

    worklist = Worklist(store, judge=judge, conditions=conditions, settle=settle)
    worklist.put(encounter, record, routed, source="export.jsonl")

What needs a person goes to the desk: records to review, records with a question, and what could not be coded. A record
that goes out by itself goes there only where the desk knows its encounter from before and would show an older content.
``judge`` says how a record stands that nobody decided on; ``settle`` asks the question: both are the desk's, which this
module does not know. The same record again changes nothing, and what a person has begun to decide on stays as it is. A
store that is out of order does not stop the night.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jointcoder.batch.routing import Route, Routed
from jointcoder.errors import JointCoderError, UsageError
from jointcoder.records import CodedRecord, Encounter
from jointcoder.store.encounters import Encounters, can_be_coded_anew, version_of
from jointcoder.store.events import Audit, AuditEvent, unaudited
from jointcoder.store.lines import Status
from jointcoder.store.sealing import PLAIN, Sealer

if TYPE_CHECKING:
    from jointcoder.store.engine import Store
    from jointcoder.store.reviews import Standing

log = logging.getLogger(__name__)

Judge = Callable[[Encounter, CodedRecord], "Standing"]
Named = Callable[[Encounter, CodedRecord], str]
Settle = Callable[[str, CodedRecord, Routed], None]

ACTOR = "batch"  # who decides, in the desk's books
ASKING = 2  # priority in the worklist: questions first, as their answers take longest
PRIORITY = {Route.QUERY: ASKING, Route.REVIEW: 0, Route.AUTO: 0}
_PAUSE_S = 30.0  # after the store refused, before it is asked again


def unsettled(version: str, record: CodedRecord, routed: Routed) -> None:
    """Ask nothing."""


class Worklist:
    """See the module. ``conditions``: names what decided a record, as the desk names it."""

    def __init__(
        self,
        store: Store,
        *,
        judge: Judge,
        conditions: Named,
        settle: Settle = unsettled,
        sealer: Sealer = PLAIN,
        audit: Audit = unaudited,
    ) -> None:
        self.store, self.judge, self.conditions, self.settle = store, judge, conditions, settle
        self.sealer, self.audit = sealer, audit
        self._encounters = Encounters(store, sealer=sealer)
        self._until = 0.0

    def put(self, encounter: Encounter, record: CodedRecord, routed: Routed, *, source: str = "") -> bool:
        """Encounter, result and line of the worklist in one transaction, then the question, if there is one. False
        where the store or the encounter's id did not allow it."""

        def act() -> None:
            if routed.route is not Route.AUTO or self._known(encounter.id):
                self._put(encounter, record, routed, source)

        return self._tried(act)

    def fail(self, encounter: Encounter, code: str, *, source: str = "") -> bool:
        """An encounter that could not be coded, with the code of its error. False as :meth:`put`."""
        return self._tried(lambda: self._fail(encounter, code, source))

    def _put(self, encounter: Encounter, record: CodedRecord, routed: Routed, source: str) -> None:
        from sqlalchemy import select

        from jointcoder.store.insert import insert_or_ignore
        from jointcoder.store.reviews import begin_in
        from jointcoder.store.tables.base import now
        from jointcoder.store.tables.desk import ResultRow

        version, conditions = version_of(encounter), self.conditions(encounter, record)
        standing = self.judge(encounter, record)
        with self.store.writing() as session:
            row, event = self._encounters.put_in(session, encounter, source=source, priority=PRIORITY[routed.route])
            content = self.sealer.seal(record.model_dump_json().encode(), bound=version)
            values = {"version": version, "conditions": conditions, "record": content, "created": now()}
            new = insert_or_ignore(session, ResultRow, values)
            wanted = select(ResultRow.id).where(ResultRow.version == version, ResultRow.conditions == conditions)
            row.language = row.language or record.language[:16]
            begin_in(session, row, version=version, result=session.scalars(wanted).one(), standing=standing)
            session.flush()
            untouched = row.seq == 0
            if event is not None:
                self.audit(session, event)
            if new:
                details: dict[str, Any] = {
                    "encounter": encounter.id,
                    "route": routed.route.value,
                    "codes": standing.codes,
                }
                details |= {"conditions": conditions, "versions": record.versions.model_dump(mode="json")}
                self.audit(session, AuditEvent("encounter.coded", ACTOR, version, details))
        if untouched:
            self.settle(version, record, routed)

    def _fail(self, encounter: Encounter, code: str, source: str) -> None:
        with self.store.writing() as session:
            row, event = self._encounters.put_in(session, encounter, source=source, priority=0)
            if can_be_coded_anew(row):
                row.status, row.error_code = Status.FAILED, code
            if event is not None:
                self.audit(session, event)

    def _known(self, id: str) -> bool:
        try:
            self._encounters.line(id)
        except UsageError:
            return False
        return True

    def _tried(self, act: Callable[[], None]) -> bool:
        if time.monotonic() < self._until:
            return False
        try:
            act()
        except JointCoderError as error:
            if error.code.startswith("JC43"):
                self._until = time.monotonic() + _PAUSE_S
                log.warning("%s the store does not take results at present; they stay in the run folder", error.code)
            return False
        return True
