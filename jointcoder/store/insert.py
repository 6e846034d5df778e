"""Inserting what may be there already, and taking turns: the two things that both databases say differently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_TURN = 0x6A64  # of PostgreSQL: who may extend the queue


def insert_or_ignore(session: Session, table: type[Any], values: Mapping[str, Any]) -> bool:
    """Insert a row unless a unique constraint has one already; whether it was inserted. Waits for another transaction
    that inserts the same."""
    from sqlalchemy.dialects import postgresql, sqlite

    backend = session.get_bind().dialect.name
    statement = (postgresql if backend == "postgresql" else sqlite).insert(table.__table__)
    # The values apart from the statement, which is then compiled once and not for every row.
    done: Any = session.execute(statement.on_conflict_do_nothing(), values)
    return bool(done.rowcount)


def take_turns(session: Session) -> None:
    """One transaction at a time from here on; SQLite's writers are so anyway."""
    from sqlalchemy import text

    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _TURN})
