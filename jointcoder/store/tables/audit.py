"""The audit log: rows chained by their hashes, which the database itself refuses to change or delete, and the head.

The head says how far the log goes. It is the row that writers wait for one after the other, and it tells a log whose
end was cut off. The triggers are in the migration that makes these tables.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from jointcoder.store.tables.base import Base

Number = BigInteger().with_variant(Integer(), "sqlite")  # whose INTEGER is as wide, and the row's own number as a key


class AuditRow(Base):
    """Who did what to which thing, when, and with which versions of the program's parts."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_actor", "actor", "seq"),
        Index("ix_audit_action", "action", "seq"),
        Index("ix_audit_subject", "subject", "seq"),
    )

    seq: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=False)
    time: Mapped[dt.datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(200))
    details: Mapped[dict[str, Any]]
    versions: Mapped[dict[str, Any]]
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class HeadRow(Base):
    """The one row that holds the number and hash of the newest entry."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(Number)
    hash: Mapped[str] = mapped_column(String(64))
