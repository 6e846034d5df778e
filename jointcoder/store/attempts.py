"""Attempts to sign in: who fails too often has to wait, longer each time.

An attempt is counted before the password is looked at and taken back when it was right, so that many at once gain
nothing. Counted are three things: this name from this address, this name, this address. The first locks soon; the
second late, so that nobody can lock a colleague out from the next desk with a handful of tries; the third later still,
since a hospital may appear under one address. Names and addresses are kept as hashes: a name typed into the wrong field
may be a password.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jointcoder.errors import AccessError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from jointcoder.store.engine import Store

PAIR, NAME, ADDRESS = 5, 25, 100  # failures that lock
WINDOW = dt.timedelta(minutes=15)  # without a failure, then they are forgotten
FIRST, LONGEST = dt.timedelta(minutes=1), dt.timedelta(minutes=15)
Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """This moment, in UTC."""
    return dt.datetime.now(dt.UTC)


class Attempts:
    """The failures of a store. Raises AssetError JC430 as the store does."""

    def __init__(self, store: Store, *, clock: Clock = utc_now) -> None:
        self.store, self.clock = store, clock

    def begin(self, name: str, address: str) -> None:
        """Count an attempt. AccessError JC474, with the seconds to wait, for one that is locked."""
        from sqlalchemy import delete

        from jointcoder.store.tables.accounts import FailureRow

        now = self.clock()
        with self.store.writing() as session:
            session.execute(delete(FailureRow).where(FailureRow.last < now - dt.timedelta(days=1)))
            rows = [(self._row(session, key, now), limit) for key, limit in sorted(_keys(name, address).items())]
            waits = [row.until - now for row, _ in rows if row.until is not None and row.until > now]
            if not waits:
                for row, limit in rows:
                    row.failures = 1 if now - row.last > WINDOW else row.failures + 1
                    row.last = now
                    row.until = now + _lock(row.failures - limit) if row.failures >= limit else None
        if waits:
            seconds = max(1, round(max(waits).total_seconds()))
            message = f"too many failed attempts; locked for another {seconds} seconds"
            raise AccessError("JC474", message, retry_after=seconds)

    def succeeded(self, name: str, address: str) -> None:
        """The attempt was right: forget what failed under this name from there, and take it back from the address."""
        from sqlalchemy import delete, select

        from jointcoder.store.tables.accounts import FailureRow

        keys = {limit: key for key, limit in _keys(name, address).items()}
        with self.store.writing() as session:
            session.execute(delete(FailureRow).where(FailureRow.key.in_([keys[PAIR], keys[NAME]])))
            wanted = select(FailureRow).where(FailureRow.key == keys[ADDRESS]).with_for_update()
            row = session.scalars(wanted).one_or_none()
            if row is not None:
                row.failures -= 1
                row.until = row.until if row.failures >= ADDRESS else None

    @staticmethod
    def _row(session: Session, key: str, now: dt.datetime) -> Any:
        """The row, made if need be, locked until the transaction ends."""
        from sqlalchemy import select

        from jointcoder.store.insert import insert_or_ignore
        from jointcoder.store.tables.accounts import FailureRow

        insert_or_ignore(session, FailureRow, {"key": key, "failures": 0, "last": now, "until": None})
        return session.scalars(select(FailureRow).where(FailureRow.key == key).with_for_update()).one()


def _keys(name: str, address: str) -> dict[str, int]:
    """What is counted, by its hash, and the failures that lock it."""
    counted = {f"pair\n{name}\n{address}": PAIR, f"name\n{name}": NAME, f"address\n{address}": ADDRESS}
    return {hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(): limit for text, limit in counted.items()}


def _lock(beyond: int) -> dt.timedelta:
    return min(LONGEST, FIRST * (1 << min(beyond, 10)))
