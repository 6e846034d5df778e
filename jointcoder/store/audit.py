"""The audit log in a store: who saw and changed what, append-only, each entry chained to the one before it.

    with store.writing() as session:
        ...                                                              # the change
        append(session, actor="ana", action="record.finish", kind="encounter", subject=version)
    Audit(store).verify(anchor)                                          # the first entry that was touched, if any

An entry is written in the transaction of the change it tells of: neither is there without the other. Writers wait for
one another at the head, so the chain has no forks. It holds ids, codes, hashes and counts; what looks like text is
replaced by its hash (``chain.short``). Knows nothing of what the actions mean.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jointcoder.errors import AssetError
from jointcoder.store.chain import Anchor, Broken, Entry, Verified, Walk, plain, short

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from jointcoder.store.engine import Store
    from jointcoder.store.events import AuditEvent

__all__ = ["Anchor", "Audit", "Broken", "Entry", "Verified", "append", "listen", "versions_of"]
SYSTEM = "system"  # no account can have this name
_ACTION = re.compile(r"[a-z]+(?:[._-][a-z]+)*")


def append(
    session: Session,
    *,
    actor: str,
    action: str,
    kind: str,
    subject: str = "",
    details: Mapping[str, Any] | None = None,
    versions: Mapping[str, Any] | None = None,
) -> Entry:
    """Write an entry within a transaction of ``store.writing()``, as the last thing in it: from here on other writers
    wait. ValueError outside of one or for an ``action`` that is no dotted lower-case name, TypeError for details that
    are no ids, codes, hashes or counts, AssetError JC478 where the log has lost its head."""
    from sqlalchemy import insert, select, update

    from jointcoder.store.tables.audit import AuditRow, HeadRow

    if not session.connection().get_execution_options().get("writing"):
        raise ValueError("an audit entry is written in a writing transaction")
    if not _ACTION.fullmatch(action) or not _ACTION.fullmatch(kind):
        raise ValueError("action and kind are lower-case words joined by dots")
    session.flush()
    head = session.execute(select(HeadRow.seq, HeadRow.hash).where(HeadRow.id == 1).with_for_update()).first()
    if head is None:
        raise AssetError("JC478", "the audit log has lost its head", hint="restore the store from a backup")
    entry = Entry(
        seq=head.seq + 1,
        time=dt.datetime.now(dt.UTC),
        actor=short(actor),
        action=action,
        kind=kind,
        subject=short(subject),
        details=plain(details or {}),
        versions=plain(versions or {}),
        previous=head.hash,
    )
    entry = replace(entry, hash=entry.digest())
    session.execute(insert(AuditRow).values(**vars(entry)))
    session.execute(update(HeadRow).where(HeadRow.id == 1).values(seq=entry.seq, hash=entry.hash))
    return entry


def listen(session: Session, event: AuditEvent) -> None:
    """What the desk's changes are reported to (``Desk(audit=listen)``). ``versions`` among the details become those of
    the entry; the kind of the subject is the first word of the action; what nobody asked for the system did."""
    details = dict(event.details)
    versions = details.pop("versions", None) or {}
    append(
        session,
        actor=event.actor or SYSTEM,
        action=event.action,
        kind=event.action.partition(".")[0],
        subject=event.subject,
        versions={name: value for name, value in versions.items() if value},
        details=details,
    )


def versions_of(versions: Any) -> dict[str, Any]:
    """The hashes of what made a record, from ``CodedRecord.versions``; what it does not tell is left out."""
    found = {
        "program": versions.program,
        "workflow": versions.workflow_hash,
        "model": versions.model_hash,
        "adapters": dict(versions.adapters),
        "book": versions.code_book_hash,
    }
    return {name: value for name, value in found.items() if value}


class Audit:
    """The log of a store. Raises AssetError JC430 as the store does."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, **entry: Any) -> Entry:
        """An entry in a transaction of its own: somebody looked at something. Arguments as of ``append``."""
        with self.store.writing() as session:
            return append(session, **entry)

    def page(
        self,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = 50,
        actor: str | None = None,
        action: str | None = None,
        kind: str | None = None,
        subject: str | None = None,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
    ) -> list[Entry]:
        """Entries that fit, newest first; with ``after`` alone those that follow it, still newest first. ``action`` may
        be the beginning up to a dot: ``record`` finds ``record.view``. ``until`` is exclusive."""
        from sqlalchemy import or_, select

        from jointcoder.store.tables.audit import AuditRow as Row

        wanted = select(Row).limit(limit)
        for column, value in ((Row.actor, actor), (Row.kind, kind), (Row.subject, subject and short(subject))):
            if value:
                wanted = wanted.where(column == value)
        if action:
            wanted = wanted.where(or_(Row.action == action, Row.action.startswith(f"{action}.", autoescape=True)))
        if since is not None:
            wanted = wanted.where(Row.time >= since)
        if until is not None:
            wanted = wanted.where(Row.time < until)
        if before is not None:
            wanted = wanted.where(Row.seq < before)
        if after is not None:
            wanted = wanted.where(Row.seq > after)
        upwards = after is not None and before is None
        wanted = wanted.order_by(Row.seq if upwards else Row.seq.desc())
        with self.store.reading() as session:
            found = [_entry(row) for row in session.scalars(wanted)]
        return found[::-1] if upwards else found

    def entries(self, *, after: int = 0, page: int = 1000) -> Iterator[Entry]:
        """All entries behind a number in their order, read in pages so that no reading holds up the database."""
        from sqlalchemy import select

        from jointcoder.store.tables.audit import AuditRow as Row

        while True:
            wanted = select(Row).where(Row.seq > after).order_by(Row.seq).limit(page)
            with self.store.reading() as session:
                found = [_entry(row) for row in session.scalars(wanted)]
            yield from found
            if len(found) < page:
                return
            after = found[-1].seq

    def verify(self, anchor: Anchor | None = None, *, page: int = 1000) -> Verified:
        """Walk the whole chain. What others write meanwhile is no break."""
        walk = Walk(self.anchor(), *([anchor] if anchor else []))
        for entry in self.entries(page=page):
            if not walk.step(entry):
                break
        return walk.end(head=self.anchor().seq)

    def anchor(self) -> Anchor:
        """The newest entry by the log's own account, to be noted elsewhere. AssetError JC478 without a head."""
        from sqlalchemy import select

        from jointcoder.store.tables.audit import HeadRow

        with self.store.reading() as session:
            head = session.execute(select(HeadRow.seq, HeadRow.hash).where(HeadRow.id == 1)).first()
        if head is None:
            raise AssetError("JC478", "the audit log has lost its head", hint="restore the store from a backup")
        return Anchor(head.seq, head.hash)

    def actors(self) -> list[str]:
        """Everybody who is in the log, by name."""
        return self._distinct("actor")

    def actions(self) -> list[str]:
        """Every action that is in the log, by name."""
        return self._distinct("action")

    def _distinct(self, column: str) -> list[str]:
        """The values of an indexed column, each found by one step in the index: there are few, and many entries."""
        from sqlalchemy import func, select

        from jointcoder.store.tables.audit import AuditRow

        wanted, last = getattr(AuditRow, column), ""
        values: list[str] = []
        with self.store.reading() as session:
            while last := session.scalar(select(func.min(wanted)).where(wanted > last)) or "":
                values.append(last)
        return values


def _entry(row: Any) -> Entry:
    return Entry(**{name: getattr(row, name) for name in Entry.__dataclass_fields__})
