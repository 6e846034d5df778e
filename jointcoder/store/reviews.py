"""Reviews in the store: the coded record as it was made, and the decisions on it, one after the other, never changed.

    reviews.append(ref, by="ana", expected="7-3", judge=judge)

Two coders never overwrite each other: whoever decides says which state of the record it was decided on, by the review's
number and that of its last decision, and is refused (StaleError JC461) when another decision came in between. Decisions
made together, worklist line and audit entries are one transaction. What a decision means, and whether it is allowed, is
the business of ``judge``: this module stores what it returns and knows no state machine.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jointcoder.errors import UsageError
from jointcoder.records import CodedRecord
from jointcoder.store.encounters import row_of, take
from jointcoder.store.events import Audit, AuditEvent, unaudited
from jointcoder.store.sealing import PLAIN, Sealer, opened_json, sealed_json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from jointcoder.store.engine import Store
    from jointcoder.store.tables.desk import EncounterRow, ReviewRow

BATCH = 200


@dataclass(frozen=True)
class Standing:
    """What the worklist shows of a review: its state, band of confidence, codes that stand, findings that block,
    codes that nobody judged yet."""

    state: str
    band: str
    codes: int
    findings: int
    undecided: int


@dataclass(frozen=True)
class StoredDecision:
    """One decision as it was kept. ``body``: the decision itself, as JSON."""

    seq: int
    kind: str
    by: str
    at: dt.datetime
    body: Mapping[str, Any]


@dataclass(frozen=True)
class StoredReview:
    """A record under review. ``opened``: when somebody first took it; ``current``: whether it is the one in force for
    the newest version of its encounter."""

    id: int
    encounter: str
    version: str
    record: CodedRecord
    decisions: tuple[StoredDecision, ...]
    seq: int
    state: str
    created: dt.datetime
    opened: dt.datetime | None
    current: bool

    @property
    def etag(self) -> str:
        """The number of the review and of its last decision."""
        return f"{self.id}-{self.seq}"


@dataclass(frozen=True)
class Allowed:
    """A decision that was allowed, as it is to be kept; ``details`` for the audit."""

    kind: str
    body: Mapping[str, Any]
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Judged:
    """Decisions that were allowed, one after the other, and where the review stands after the last."""

    decisions: Sequence[Allowed]
    standing: Standing


Judge = Callable[[StoredReview], Judged]


class StaleError(UsageError):
    """JC461: the record was decided on meanwhile. ``current``: its number now; ``since``: the decisions that came in
    between (none where another record took its place)."""

    def __init__(self, current: str, since: tuple[StoredDecision, ...]) -> None:
        who = ", ".join(sorted({one.by for one in since}))
        message = f"the record was changed meanwhile{' by ' + who if who else ''}; it is at {current} now"
        super().__init__("JC461", message, hint="look at it again, then decide")
        self.current, self.since = current, since


class Reviews:
    """The reviews of a store. Safe to share between threads. Raises AssetError JC430 as the store does."""

    def __init__(self, store: Store, *, sealer: Sealer = PLAIN, audit: Audit = unaudited) -> None:
        self.store, self.sealer, self.audit = store, sealer, audit

    def get(self, ref: str) -> StoredReview | None:
        """The review of an encounter's newest version, or the last one of a version named by its hash; None where it
        was not coded yet. Raises UsageError JC460 for an unknown encounter."""
        with self.store.reading() as session:
            row = row_of(session, ref)
            review = self._row(session, row, ref)
            return None if review is None else self._stored(session, row, review)

    def all(
        self,
        *,
        state: str | None = None,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
    ) -> Iterator[StoredReview]:
        """Every review, oldest first: of one state, touched since, touched before."""
        from sqlalchemy import select

        from jointcoder.store.tables.desk import EncounterRow, ReviewRow

        last = 0
        while True:
            wanted = select(ReviewRow, EncounterRow).join(EncounterRow, EncounterRow.number == ReviewRow.encounter)
            wanted = wanted.where(ReviewRow.id > last).order_by(ReviewRow.id).limit(BATCH)
            if state is not None:
                wanted = wanted.where(ReviewRow.state == state)
            if since is not None:
                wanted = wanted.where(ReviewRow.updated >= since)
            if until is not None:
                wanted = wanted.where(ReviewRow.updated < until)
            with self.store.reading() as session:
                found = [self._stored(session, row, review) for review, row in session.execute(wanted).all()]
            yield from found
            if len(found) < BATCH:
                return
            last = found[-1].id

    def append(
        self,
        ref: str,
        *,
        by: str,
        expected: str | int,
        judge: Judge,
        at: dt.datetime,
        held_until: dt.datetime | None = None,
    ) -> StoredReview:
        """Add what ``judge`` makes of the review as its next decisions, all of them or none.

        ``expected``: :attr:`StoredReview.etag` of what the decision was made on, or the number of its last decision.
        ``held_until``: the decider has the encounter until then. Raises StaleError JC461, UsageError JC460 (not coded
        yet), JC462 (somebody else has it), and what ``judge`` raises; nothing is written then.
        """
        from jointcoder.store.tables.desk import DecisionRow

        with self.store.writing() as session:
            row = row_of(session, ref, lock=True)
            review = self._row(session, row, ref)
            if review is None:
                raise UsageError("JC460", "the encounter is not coded yet", hint="code it first")
            stored = self._stored(session, row, review)
            self._require_current(row, stored, expected)
            if held_until is not None:
                take(row, by, held_until)
            judged = judge(stored)
            made = list(enumerate(judged.decisions, start=review.seq + 1))
            for seq, one in made:
                body = sealed_json(self.sealer, one.body, bound=review.version)
                session.add(DecisionRow(review=review.id, seq=seq, kind=one.kind, by=by, at=at, body=body))
            review.seq, review.opened, review.updated = review.seq + len(made), review.opened or at, at
            show(row, review, judged.standing)
            if judged.standing.state == "finished":
                row.holder, row.held_until = "", None
            session.flush()
            after = self._stored(session, row, review)
            for seq, one in made:
                details = {"encounter": row.id, "review": review.id, "seq": seq, **one.details}
                self.audit(session, AuditEvent(f"review.{one.kind}", by, review.version, details))
            return after

    def _require_current(self, row: EncounterRow, stored: StoredReview, expected: str | int) -> None:
        now = stored.seq if isinstance(expected, int) else stored.etag
        if expected == now and stored.current:
            return
        known = expected if isinstance(expected, int) else _seq_of(expected, stored.id)
        since = tuple(one for one in stored.decisions if known is not None and one.seq > known)
        raise StaleError(stored.etag if stored.current else f"{row.review or 0}-{row.seq}", since)

    def _row(self, session: Session, row: EncounterRow, ref: str) -> ReviewRow | None:
        """The review in force; for a version that is no longer the newest, its last one."""
        from sqlalchemy import select

        from jointcoder.store.tables.desk import ReviewRow, VersionRow

        if ref in (row.version, row.id) or session.get(VersionRow, ref) is None:
            return None if row.review is None else session.get(ReviewRow, row.review, populate_existing=True)
        return session.scalar(select(ReviewRow).where(ReviewRow.version == ref).order_by(ReviewRow.id.desc()).limit(1))

    def _stored(self, session: Session, row: EncounterRow, review: ReviewRow) -> StoredReview:
        from sqlalchemy import select

        from jointcoder.store.tables.desk import DecisionRow, ResultRow

        result = session.get_one(ResultRow, review.result)
        rows = session.scalars(select(DecisionRow).where(DecisionRow.review == review.id).order_by(DecisionRow.seq))
        bound = review.version
        decisions = tuple(
            StoredDecision(one.seq, one.kind, one.by, one.at, opened_json(self.sealer, one.body, bound=bound))
            for one in rows
        )
        return StoredReview(
            id=review.id,
            encounter=row.id,
            version=review.version,
            record=CodedRecord.model_validate_json(self.sealer.open(bytes(result.record), bound=bound)),
            decisions=decisions,
            seq=review.seq,
            state=review.state,
            created=review.created,
            opened=review.opened,
            current=row.review == review.id,
        )


def begin_in(session: Session, row: EncounterRow, *, version: str, result: int, standing: Standing) -> None:
    """Put a new result before the coders, within the caller's transaction: it becomes the review in force unless a
    person has begun to decide on another one."""
    from sqlalchemy import select

    from jointcoder.store.insert import insert_or_ignore
    from jointcoder.store.tables.base import now
    from jointcoder.store.tables.desk import ReviewRow

    if row.version != version:
        return
    in_force = session.get(ReviewRow, row.review) if row.review is not None else None
    if in_force is not None and (in_force.seq > 0 or in_force.result == result):
        row.status = in_force.state
        return
    values = {"encounter": row.number, "version": version, "result": result, "seq": 0, "opened": None}
    values |= {name: getattr(standing, name) for name in ("state", "band", "codes", "findings", "undecided")}
    insert_or_ignore(session, ReviewRow, {**values, "created": now(), "updated": now()})
    review = session.scalar(select(ReviewRow).where(ReviewRow.version == version, ReviewRow.result == result))
    assert review is not None
    row.review, row.seq = review.id, review.seq
    show(row, review, standing)


def show(row: EncounterRow, review: ReviewRow, standing: Standing) -> None:
    """Line and review say where it stands."""
    for one in (row, review):
        one.band, one.codes = standing.band, standing.codes
        one.findings, one.undecided = standing.findings, standing.undecided
    review.state = row.status = standing.state
    row.seq, row.error_code = review.seq, ""


def _seq_of(etag: str, review: int) -> int | None:
    number, dash, seq = etag.partition("-")
    return int(seq) if dash and len(seq) < 10 and seq.isdecimal() and number == str(review) else None
