"""The coder's desk: encounters with their versions and pages, jobs, results, reviews and their decisions.

What may quote a note is in columns of bytes, sealed as the store was told to; everything else is ids, dates, states and
counts. One row of ``encounters`` is one line of the worklist, so that listing opens no record.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Boolean, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from jointcoder.store.tables.base import Base, now


class EncounterRow(Base):
    """The newest version of an encounter as the worklist shows it; ``review`` is the one in force, if any."""

    __tablename__ = "encounters"
    __table_args__ = (Index("ix_encounters_holder", "holder"),)

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(Text, unique=True)
    version: Mapped[str] = mapped_column(String(64), index=True)
    versions: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    priority: Mapped[int]
    source: Mapped[str] = mapped_column(String(200))
    language: Mapped[str] = mapped_column(String(16))
    received: Mapped[dt.datetime] = mapped_column(default=now)
    updated: Mapped[dt.datetime] = mapped_column(default=now, onupdate=now)
    discharged: Mapped[dt.date | None]
    characters: Mapped[int]
    band: Mapped[str] = mapped_column(String(8))
    codes: Mapped[int]
    findings: Mapped[int]
    undecided: Mapped[int]
    holder: Mapped[str] = mapped_column(String(200))
    held_until: Mapped[dt.datetime | None]
    review: Mapped[int | None]
    seq: Mapped[int]
    error_code: Mapped[str] = mapped_column(String(8))
    job: Mapped[str] = mapped_column(String(32))


# In the order of the worklist, so that its first page is read off an index: of all encounters, and of one status.
_ORDER = (EncounterRow.priority.desc(), EncounterRow.received, EncounterRow.number)
Index("ix_encounters_order", *_ORDER)
Index("ix_encounters_worklist", EncounterRow.status, *_ORDER)


class VersionRow(Base):
    """One content that came under an encounter's id; ``ordinal`` counts from 1. Older ones are kept."""

    __tablename__ = "encounter_versions"
    __table_args__ = (UniqueConstraint("encounter", "ordinal"),)

    version: Mapped[str] = mapped_column(String(64), primary_key=True)
    encounter: Mapped[int] = mapped_column(ForeignKey("encounters.number", ondelete="CASCADE"))
    ordinal: Mapped[int]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    added: Mapped[dt.datetime] = mapped_column(default=now)


class PageRow(Base):
    """The picture of one page of one document of a version."""

    __tablename__ = "encounter_pages"

    version: Mapped[str] = mapped_column(ForeignKey("encounter_versions.version", ondelete="CASCADE"), primary_key=True)
    document: Mapped[int] = mapped_column(primary_key=True)
    page: Mapped[int] = mapped_column(primary_key=True)
    media_type: Mapped[str] = mapped_column(String(40))
    content: Mapped[bytes] = mapped_column(LargeBinary)


class JobRow(Base):
    """Encounters handed in together. ``body``: hash of what came under the idempotency ``key``."""

    __tablename__ = "jobs"
    __table_args__ = (UniqueConstraint("by", "key"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    by: Mapped[str] = mapped_column(String(200))
    key: Mapped[str | None] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(200))
    priority: Mapped[int]
    total: Mapped[int]
    cancelled: Mapped[bool] = mapped_column(Boolean)
    created: Mapped[dt.datetime] = mapped_column(default=now, index=True)


class ResultRow(Base):
    """The coded record of one version under one set of conditions: there is one, and it never changes."""

    __tablename__ = "coded_results"
    __table_args__ = (UniqueConstraint("version", "conditions"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(ForeignKey("encounter_versions.version", ondelete="CASCADE"))
    conditions: Mapped[str] = mapped_column(String(64))
    record: Mapped[bytes] = mapped_column(LargeBinary)
    created: Mapped[dt.datetime] = mapped_column(default=now)


class ItemRow(Base):
    """One encounter of a job. While it is coded: by which ``worker``, and until when that worker's word is good."""

    __tablename__ = "job_items"
    __table_args__ = (UniqueConstraint("job", "place"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    place: Mapped[int]
    encounter: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(String(64), index=True)
    state: Mapped[str] = mapped_column(String(12))
    priority: Mapped[int]
    attempts: Mapped[int]
    worker: Mapped[str] = mapped_column(String(200))
    lease: Mapped[dt.datetime | None]
    error_code: Mapped[str] = mapped_column(String(8))
    error: Mapped[str] = mapped_column(Text)
    result: Mapped[int | None] = mapped_column(ForeignKey("coded_results.id"))
    updated: Mapped[dt.datetime] = mapped_column(default=now, onupdate=now)


Index("ix_job_items_next", ItemRow.state, ItemRow.priority.desc(), ItemRow.id)  # what is coded next


class ReviewRow(Base):
    """A coded record under review; ``seq``: number of its last decision."""

    __tablename__ = "reviews"
    __table_args__ = (UniqueConstraint("version", "result"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    encounter: Mapped[int] = mapped_column(ForeignKey("encounters.number", ondelete="CASCADE"), index=True)
    version: Mapped[str] = mapped_column(String(64), index=True)
    result: Mapped[int] = mapped_column(ForeignKey("coded_results.id"))
    state: Mapped[str] = mapped_column(String(16), index=True)
    seq: Mapped[int]
    band: Mapped[str] = mapped_column(String(8))
    codes: Mapped[int]
    findings: Mapped[int]
    undecided: Mapped[int]
    created: Mapped[dt.datetime] = mapped_column(default=now)
    opened: Mapped[dt.datetime | None]
    updated: Mapped[dt.datetime] = mapped_column(default=now, onupdate=now)


class DecisionRow(Base):
    """One decision. Rows are only ever added."""

    __tablename__ = "review_decisions"
    __table_args__ = (UniqueConstraint("review", "seq"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    review: Mapped[int] = mapped_column(ForeignKey("reviews.id", ondelete="CASCADE"))
    seq: Mapped[int]
    kind: Mapped[str] = mapped_column(String(20))
    by: Mapped[str] = mapped_column(String(200))
    at: Mapped[dt.datetime]
    body: Mapped[bytes] = mapped_column(LargeBinary)
