"""Which workflows a person let into use, under which name, and when one was withdrawn. Rows are never deleted."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from jointcoder.store.tables.base import Base, now


class ApprovalRow(Base):
    """One approval: the workflow's text and hash, who gave it, and who took it back, if anybody did."""

    __tablename__ = "workflow_approvals"

    id: Mapped[int] = mapped_column(primary_key=True)
    line: Mapped[str] = mapped_column(String(200), index=True)
    hash: Mapped[str] = mapped_column(String(64), index=True)
    workflow: Mapped[str] = mapped_column(Text)
    approved_by: Mapped[str] = mapped_column(String(200))
    approved: Mapped[dt.datetime] = mapped_column(default=now)
    note: Mapped[str] = mapped_column(Text)
    program: Mapped[str] = mapped_column(String(32))
    withdrawn_by: Mapped[str | None] = mapped_column(String(200))
    withdrawn: Mapped[dt.datetime | None]
