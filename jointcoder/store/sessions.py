"""Sessions: signed-in browsers. The browser holds a random token, the store its SHA-256 and when it ends.

A session ends by itself without requests (idle) and after some hours in any case, when it is signed out, when the
account's password changes, and when the account is disabled. Roles are not part of it: they are read with each request.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from typing import TYPE_CHECKING

from jointcoder.store.accounts import Account, account_of, row_of
from jointcoder.store.attempts import Clock, utc_now
from jointcoder.store.audit import append

if TYPE_CHECKING:
    from jointcoder.store.engine import Store

_TOUCH = dt.timedelta(minutes=1)  # how exact "last seen" is; every request writing would be a burden


class Sessions:
    """The sessions of a store. Raises AssetError JC430 as the store does."""

    def __init__(self, store: Store, *, idle_minutes: int = 30, hours: int = 12, clock: Clock = utc_now) -> None:
        self.store, self.clock = store, clock
        self.idle, self.length = dt.timedelta(minutes=idle_minutes), dt.timedelta(hours=hours)

    def begin(self, account: Account, *, way: str = "password", address: str = "") -> str:
        """A new session of an account, told to the log: its token, which is kept nowhere. ``way``: password or oidc."""
        from sqlalchemy import delete, or_

        from jointcoder.store.tables.accounts import SessionRow

        token, now = secrets.token_urlsafe(32), self.clock()
        with self.store.writing() as session:
            session.execute(delete(SessionRow).where(or_(SessionRow.expires < now, SessionRow.seen < now - self.idle)))
            session.add(
                SessionRow(token=_hash(token), account=account.id, created=now, seen=now, expires=now + self.length)
            )
            append(
                session,
                actor=account.name,
                action="session.begin",
                kind="account",
                subject=account.name,
                details={"way": way, "address": address},
            )
        return token

    def find(self, token: str) -> Account | None:
        """The account that is signed in, None where nobody is any more; the session lives on."""
        from sqlalchemy import select, update

        from jointcoder.store.tables.accounts import AccountRow, SessionRow

        hashed, now = _hash(token), self.clock()
        wanted = select(SessionRow, AccountRow).join(AccountRow).where(SessionRow.token == hashed)
        with self.store.reading() as session:
            found = session.execute(wanted).one_or_none()
        if found is None:
            return None
        row, account = found
        if now >= row.expires or now - row.seen > self.idle or account.disabled:
            return None
        if now - row.seen > _TOUCH:
            with self.store.writing() as session:
                session.execute(update(SessionRow).where(SessionRow.token == hashed).values(seen=now))
        return account_of(account)

    def end(self, token: str) -> None:
        """Sign out. A token of no session is no error."""
        from sqlalchemy import delete, select

        from jointcoder.store.tables.accounts import AccountRow, SessionRow

        hashed = _hash(token)
        wanted = select(AccountRow.name).join(SessionRow).where(SessionRow.token == hashed)
        with self.store.writing() as session:
            name = session.scalars(wanted).one_or_none()
            if name is not None:
                session.execute(delete(SessionRow).where(SessionRow.token == hashed))
                append(session, actor=name, action="session.end", kind="account", subject=name)

    def end_all(self, name: str, *, by: str) -> int:
        """Sign an account out everywhere: how many sessions that were. UsageError JC477."""
        from sqlalchemy import delete, func, select

        from jointcoder.store.tables.accounts import SessionRow

        with self.store.writing() as session:
            row = row_of(session, name)
            mine = SessionRow.account == row.id
            count = session.scalar(select(func.count()).select_from(SessionRow).where(mine)) or 0
            session.execute(delete(SessionRow).where(mine))
            append(
                session, actor=by, action="session.end", kind="account", subject=row.name, details={"sessions": count}
            )
            return count


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
