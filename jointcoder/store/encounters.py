"""Encounters in the store: every version that came, the newest as a line of the worklist, who has it.

    encounters = Encounters(store)
    line = encounters.put(encounter, source="ward 3", priority=2)      # the same content again changes nothing
    encounters.lines(Query(status=("to_review",)))
    encounters.claim(line.id, by="ana", until=…)                       # UsageError JC462 while somebody else has it

A version is named by the hash of the encounter's canonical JSON. Other content under a known id is a new version: the
line shows it from then on, and the older one stays. Texts are sealed (``sealing.py``); listing opens none of them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jointcoder.errors import InputError, UsageError
from jointcoder.records import Encounter
from jointcoder.store.events import Audit, AuditEvent, unaudited
from jointcoder.store.lines import (
    HIGHEST_PRIORITY,
    LINE_FIELDS,
    UNCODED,
    Line,
    Page,
    Query,
    Status,
    cursor,
    read_cursor,
)
from jointcoder.store.sealing import PLAIN, Sealer
from jointcoder.store.worklist import behind, conditions, order_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from jointcoder.store.engine import Store
    from jointcoder.store.tables.desk import EncounterRow, VersionRow

__all__ = ["Encounters", "Line", "Page", "Query", "Status", "canonical", "row_of", "version_of"]
LONGEST_ID = 200
_VERSION = re.compile(r"[0-9a-f]{64}")


class Encounters:
    """The encounters of a store. Safe to share between threads. Raises AssetError JC430 as the store does."""

    def __init__(self, store: Store, *, sealer: Sealer = PLAIN, audit: Audit = unaudited) -> None:
        self.store, self.sealer, self.audit = store, sealer, audit

    # -------------------------------------------------------------------------------------------------------- in

    def put(self, encounter: Encounter, *, source: str = "", priority: int = 0, by: str = "") -> Line:
        """Keep an encounter. Raises InputError JC108, JC123 for an id that cannot be kept."""
        with self.store.writing() as session:
            row, event = self.put_in(session, encounter, source=source, priority=priority, by=by)
            line = _line(row)
            if event is not None:
                self.audit(session, event)
            return line

    def put_in(
        self, session: Session, encounter: Encounter, *, source: str = "", priority: int = 0, by: str = ""
    ) -> tuple[EncounterRow, AuditEvent | None]:
        """:meth:`put` within the caller's transaction: the row, locked, and what the caller tells the audit as the last
        thing it does, if anything is new."""
        from sqlalchemy import func, select

        from jointcoder.store.tables.desk import EncounterRow, VersionRow

        if abs(priority) > HIGHEST_PRIORITY:
            raise InputError("JC108", f"priority: from -{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}")
        content = canonical(encounter)
        version = hashlib.sha256(content).hexdigest()
        row = _locked(session, EncounterRow.id == _checked(encounter.id)) or _made(session, encounter.id)
        known = session.get(VersionRow, version) if row.versions else None
        if known is not None and row.version == version:
            row.priority = max(row.priority, priority)
            return row, None
        if known is None:
            row.versions += 1
            sealed = self.sealer.seal(content, bound=version)
            session.add(VersionRow(version=version, encounter=row.number, ordinal=row.versions, content=sealed))
        else:  # what was current before is current again
            latest = session.scalar(select(func.max(VersionRow.ordinal)).where(VersionRow.encounter == row.number))
            known.ordinal = (latest or 0) + 1
        _begin(row, encounter, version)
        if known is not None:
            _resume(session, row)
        row.source, row.priority = source[:200], priority
        session.flush()
        details = {"encounter": encounter.id, "version": row.versions, "characters": encounter.characters}
        return row, AuditEvent("encounter.received", by, version, details)

    def keep_pages(self, ref: str, pages: Mapping[tuple[int, int], bytes], *, media_type: str = "image/png") -> None:
        """Keep pictures of pages: (document, page) → image, in place of those kept before. Raises UsageError JC460."""
        from jointcoder.store.tables.desk import PageRow

        with self.store.writing() as session:
            version = self._version(session, ref).version
            for (document, page), image in sorted(pages.items()):
                row = PageRow(
                    version=version,
                    document=document,
                    page=page,
                    media_type=media_type,
                    content=self.sealer.seal(image, bound=version),
                )
                session.merge(row)

    # ------------------------------------------------------------------------------------------------------- out

    def get(self, ref: str) -> Encounter:
        """The encounter of an id (its newest version) or of a version. Raises UsageError JC460."""
        with self.store.reading() as session:
            row = self._version(session, ref)
            version, content = row.version, bytes(row.content)
        return Encounter.model_validate_json(self.sealer.open(content, bound=version))

    def line(self, ref: str) -> Line:
        """The line of an id or of a version, whose newest one it shows. Raises UsageError JC460."""
        with self.store.reading() as session:
            return _line(row_of(session, ref))

    def versions(self, ref: str) -> list[tuple[str, dt.datetime]]:
        """Every version with when it came first, oldest first. Raises UsageError JC460."""
        from sqlalchemy import select

        from jointcoder.store.tables.desk import VersionRow

        with self.store.reading() as session:
            wanted = select(VersionRow).where(VersionRow.encounter == row_of(session, ref).number)
            return [(one.version, one.added) for one in session.scalars(wanted.order_by(VersionRow.ordinal))]

    def page(self, ref: str, document: int, page: int) -> tuple[bytes, str] | None:
        """The picture of a page and its media type, if one is kept. Raises UsageError JC460."""
        from jointcoder.store.tables.desk import PageRow

        with self.store.reading() as session:
            version = self._version(session, ref).version
            row = session.get(PageRow, (version, document, page))
            found = None if row is None else (bytes(row.content), row.media_type)
        return None if found is None else (self.sealer.open(found[0], bound=version), found[1])

    def pictures(self, ref: str) -> frozenset[tuple[int, int]]:
        """Which (document, page) have a picture; none is opened. Raises UsageError JC460."""
        from sqlalchemy import select

        from jointcoder.store.tables.desk import PageRow

        with self.store.reading() as session:
            wanted = select(PageRow.document, PageRow.page)
            rows = session.execute(wanted.where(PageRow.version == self._version(session, ref).version)).all()
        return frozenset((document, page) for document, page in rows)

    # -------------------------------------------------------------------------------------------------- worklist

    def lines(self, query: Query) -> Page:
        """A page of the worklist. Raises UsageError JC469 for a cursor that is none."""
        from sqlalchemy import func, select

        from jointcoder.store.tables.desk import EncounterRow

        where, order = conditions(query), order_of(query.sort)
        wanted = select(EncounterRow).where(*where)
        wanted = wanted.order_by(*(column.desc() if down else column.asc() for column, down, _ in order))
        if query.after:
            wanted = wanted.where(behind(order, read_cursor(query, [kind for *_, kind in order])))
        values = wanted.add_columns(*(column for column, *_ in order)).limit(query.limit + 1)
        with self.store.reading() as session:
            total = session.scalar(select(func.count()).select_from(EncounterRow).where(*where)) or 0
            rows = session.execute(values).all()
            lines = tuple(_line(row[0]) for row in rows[: query.limit])
        more = len(rows) > query.limit
        return Page(lines, cursor(query.sort, list(rows[query.limit - 1][1:])) if more else "", total)

    def counts(self, query: Query | None = None) -> dict[str, int]:
        """How many lines there are of every status, the query's other conditions applied."""
        from sqlalchemy import func, select

        from jointcoder.store.tables.desk import EncounterRow

        where = conditions(query or Query(), status=False)
        wanted = select(EncounterRow.status, func.count()).where(*where).group_by(EncounterRow.status)
        with self.store.reading() as session:
            found = {row[0]: row[1] for row in session.execute(wanted)}
        return {status.value: found.get(status.value, 0) for status in Status}

    # --------------------------------------------------------------------------------------------------- holding

    def claim(self, ref: str, *, by: str, until: dt.datetime, lead: bool = False, over: str = "") -> Line:
        """Take an encounter until then; again to hold it longer. ``lead``: from whoever has it; ``over``: from this one
        if it is still there. Raises UsageError JC462 (somebody else has it), JC460."""
        from jointcoder.store.tables.desk import ReviewRow

        with self.store.writing() as session:
            row = row_of(session, ref, lock=True)
            before = row.holder
            take(row, by, until, lead=lead or (bool(over) and before == over))
            if row.review is not None:
                review = session.get_one(ReviewRow, row.review)
                review.opened = review.opened or dt.datetime.now(dt.UTC)
            session.flush()
            line = _line(row)
            if before != by:
                details = {"encounter": row.id, "from": before}
                self.audit(session, AuditEvent("encounter.claimed", by, row.version, details))
            return line

    def release(self, ref: str, *, by: str, lead: bool = False) -> Line:
        """Give it back. Raises UsageError JC462 where somebody else has it and ``by`` is no lead, JC460."""
        with self.store.writing() as session:
            row = row_of(session, ref, lock=True)
            before = row.holder
            if not lead:
                _refuse_other(row, by)
            row.holder, row.held_until = "", None
            session.flush()
            line = _line(row)
            if before:
                details = {"encounter": row.id, "of": before}
                self.audit(session, AuditEvent("encounter.released", by, row.version, details))
            return line

    def prioritise(self, ref: str, priority: int) -> Line:
        """Set the priority in the worklist. Raises UsageError JC460."""
        with self.store.writing() as session:
            row = row_of(session, ref, lock=True)
            row.priority = priority
            session.flush()
            return _line(row)

    def _version(self, session: Session, ref: str) -> VersionRow:
        from jointcoder.store.tables.desk import VersionRow

        found = session.get(VersionRow, ref) if _VERSION.fullmatch(ref) else None
        return found or session.get_one(VersionRow, row_of(session, ref).version)


# ----------------------------------------------------------------------------------------------------- versions


def canonical(encounter: Encounter) -> bytes:
    """The encounter as JSON that is the same for the same content: keys sorted, no blanks, UTF-8."""
    value = encounter.model_dump(mode="json")
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def version_of(encounter: Encounter) -> str:
    """The name of this content: sha256 of :func:`canonical`, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(encounter)).hexdigest()


def _checked(identity: str) -> str:
    if not identity:
        raise InputError("JC123", "the encounter has no id")
    if len(identity) > LONGEST_ID or not identity.isprintable():
        raise InputError("JC108", f"id: not printable, or longer than {LONGEST_ID} characters")
    return identity


# ------------------------------------------------------------------------------- for the other rooms of this package


def row_of(session: Session, ref: str, *, lock: bool = False) -> EncounterRow:
    """The row of an id or of any version. ``lock``: until the transaction ends. Raises UsageError JC460."""
    from jointcoder.store.tables.desk import EncounterRow, VersionRow

    row = None
    if _VERSION.fullmatch(ref) and (version := session.get(VersionRow, ref)) is not None:
        row = _locked(session, EncounterRow.number == version.encounter, lock=lock)
    if row is None and ref.isprintable():
        row = _locked(session, EncounterRow.id == ref, lock=lock)
    if row is None:
        raise UsageError("JC460", "there is no such encounter", hint="it is named by its id or by its version")
    return row


def take(row: EncounterRow, by: str, until: dt.datetime, *, lead: bool = False) -> None:
    """Put the row into somebody's hands. Raises UsageError JC462 where somebody else has it."""
    if not lead:
        _refuse_other(row, by)
    row.holder, row.held_until = by, until


def _refuse_other(row: EncounterRow, by: str) -> None:
    held = row.held_until is not None and row.held_until > dt.datetime.now(dt.UTC)
    if held and row.holder not in ("", by):
        raise UsageError("JC462", f"{row.holder} has the encounter", hint="a lead can take it over")


def _locked(session: Session, condition: Any, *, lock: bool = True) -> EncounterRow | None:
    from sqlalchemy import select

    from jointcoder.store.tables.desk import EncounterRow

    wanted = select(EncounterRow).where(condition)
    return session.scalar(wanted.with_for_update() if lock else wanted)  # SQLite's writers have the whole file


def _made(session: Session, identity: str) -> EncounterRow:
    """A new row; where another transaction made it at the same moment, that one."""
    from jointcoder.store.insert import insert_or_ignore
    from jointcoder.store.tables.base import now
    from jointcoder.store.tables.desk import EncounterRow

    empty = dict.fromkeys(("version", "status", "source", "language", "band", "holder", "error_code", "job"), "")
    zero = dict.fromkeys(("versions", "priority", "characters", "codes", "findings", "undecided", "seq"), 0)
    insert_or_ignore(session, EncounterRow, {"id": identity, "received": now(), "updated": now(), **empty, **zero})
    row = _locked(session, EncounterRow.id == identity)
    assert row is not None
    return row


def _begin(row: EncounterRow, encounter: Encounter, version: str) -> None:
    """The row shows this version from now on, as one that nobody has coded."""
    row.version, row.language = version, (encounter.language or "")[:16]
    row.discharged, row.characters = encounter.discharged, encounter.characters
    row.received = dt.datetime.now(dt.UTC)
    row.status, row.error_code, row.band, row.job = Status.RECEIVED, "", "", ""
    row.codes = row.findings = row.undecided = row.seq = 0
    row.review = None


def _resume(session: Session, row: EncounterRow) -> None:
    """As far along as the version had come when it was shown before."""
    from sqlalchemy import select

    from jointcoder.store.tables.desk import ReviewRow

    reviewed = select(ReviewRow).where(ReviewRow.version == row.version).order_by(ReviewRow.id.desc()).limit(1)
    if (review := session.scalar(reviewed)) is not None:
        row.review, row.seq, row.status = review.id, review.seq, review.state
        row.band, row.codes, row.findings, row.undecided = review.band, review.codes, review.findings, review.undecided


def can_be_coded_anew(row: EncounterRow) -> bool:
    """Whether coding may change what the worklist shows: not once a person has begun to decide."""
    return row.status in UNCODED


def _line(row: EncounterRow) -> Line:
    values = {name: getattr(row, name) for name in LINE_FIELDS}
    return Line(**{**values, "status": Status(row.status)})
