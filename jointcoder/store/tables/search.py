"""What a search leaves behind: its runs, their candidates, a result per note, a trace per node.

The last two tell of single encounters and may quote them: a store that holds them is patient data.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Double, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from jointcoder.store.tables.base import Base, now


class RunRow(Base):
    """One search: its conditions (``config``), what it spent, what came of it."""

    __tablename__ = "search_runs"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16))
    program: Mapped[str] = mapped_column(String(32))
    config: Mapped[dict[str, Any]]
    spent: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any]]
    created: Mapped[dt.datetime] = mapped_column(default=now)
    updated: Mapped[dt.datetime] = mapped_column(default=now, onupdate=now)


class CandidateRow(Base):
    """One plan and what became of it; ``number`` counts within the run."""

    __tablename__ = "search_candidates"
    __table_args__ = (UniqueConstraint("run", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[str] = mapped_column(ForeignKey("search_runs.id", ondelete="CASCADE"), index=True)
    number: Mapped[int]
    origin: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200))
    parent: Mapped[int | None]
    edit: Mapped[str] = mapped_column(Text)
    plan: Mapped[dict[str, Any]]
    workflow: Mapped[str] = mapped_column(Text)
    hash: Mapped[str] = mapped_column(String(64), index=True)
    attempts: Mapped[int]
    error_code: Mapped[str] = mapped_column(String(8))
    error: Mapped[str] = mapped_column(Text)
    rung: Mapped[int]
    scores: Mapped[dict[str, Any]]
    critique: Mapped[list[Any]]
    ledger: Mapped[dict[str, Any]]
    notes: Mapped[dict[str, Any]]
    created: Mapped[dt.datetime] = mapped_column(default=now)
    updated: Mapped[dt.datetime] = mapped_column(default=now, onupdate=now)


class ResultRow(Base):
    """One candidate on one encounter of one set; ``place`` is the encounter's in the order of that set."""

    __tablename__ = "search_results"
    __table_args__ = (UniqueConstraint("candidate", "part", "place"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    candidate: Mapped[int] = mapped_column(ForeignKey("search_candidates.id", ondelete="CASCADE"), index=True)
    part: Mapped[str] = mapped_column(String(16))
    place: Mapped[int]
    encounter: Mapped[str] = mapped_column(Text)
    tp: Mapped[int]
    fp: Mapped[int]
    fn: Mapped[int]
    passed: Mapped[int]
    applied: Mapped[int]
    calls: Mapped[int]
    read: Mapped[int]
    written: Mapped[int]
    seconds: Mapped[float] = mapped_column(Double)
    failed: Mapped[str] = mapped_column(String(8))
    stages: Mapped[dict[str, Any]]


class TraceRow(Base):
    """One node on one encounter: what it asked and heard, or which earlier node's result was taken."""

    __tablename__ = "search_traces"
    __table_args__ = (Index("ix_search_traces_node", "node"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    candidate: Mapped[int] = mapped_column(ForeignKey("search_candidates.id", ondelete="CASCADE"), index=True)
    part: Mapped[str] = mapped_column(String(16))
    encounter: Mapped[str] = mapped_column(Text)
    step: Mapped[str] = mapped_column(String(200))
    component: Mapped[str] = mapped_column(String(200))
    node: Mapped[str] = mapped_column(String(64))
    reused: Mapped[bool]
    calls: Mapped[int]
    read: Mapped[int]
    written: Mapped[int]
    seconds: Mapped[float] = mapped_column(Double)
    transcript: Mapped[list[Any]]
