"""API keys: how programs sign in. A key is shown once, when it is made; the store keeps its SHA-256.

    jc_3f9a41c05e77_T2w…      jc_, the part it is found and named by, 256 random bits

The bits are random and many, so a plain hash is enough: there is nothing to guess.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jointcoder.errors import AccessError, UsageError
from jointcoder.store.accounts import Account, account_of, row_of
from jointcoder.store.attempts import Clock, utc_now
from jointcoder.store.audit import append
from jointcoder.store.chain import short

if TYPE_CHECKING:
    from jointcoder.store.engine import Store

DAYS = 365
_TOUCH = dt.timedelta(minutes=1)  # how exact "last used" is


@dataclass(frozen=True)
class Key:
    """A key as others see it. ``prefix`` names it; ``expires`` None: never."""

    prefix: str
    account: str
    label: str
    created: dt.datetime
    expires: dt.datetime | None
    used: dt.datetime | None
    revoked: dt.datetime | None

    def stands(self, at: dt.datetime) -> bool:
        return self.revoked is None and (self.expires is None or at < self.expires)


class Keys:
    """The API keys of a store. Raises AssetError JC430 as the store does."""

    def __init__(self, store: Store, *, clock: Clock = utc_now) -> None:
        self.store, self.clock = store, clock

    def add(self, name: str, *, by: str, label: str = "", days: int | None = DAYS) -> tuple[Key, str]:
        """A new key of an account, and the secret, which nobody can ask for again. ``days`` None: it never expires.
        UsageError JC477 (no such account), JC001 (days)."""
        from jointcoder.store.tables.accounts import KeyRow

        if days is not None and not 1 <= days <= 3650:
            raise UsageError("JC001", "a key lasts 1 to 3650 days")
        now = self.clock()
        prefix = secrets.token_hex(6)
        secret = f"jc_{prefix}_{secrets.token_urlsafe(32)}"
        with self.store.writing() as session:
            account = row_of(session, name)
            row = KeyRow(
                account=account.id,
                prefix=prefix,
                hash=_hash(secret),
                label=short(label.strip()),
                created=now,
                expires=now + dt.timedelta(days=days) if days is not None else None,
            )
            session.add(row)
            details = {"account": account.name, "days": days}
            append(session, actor=by, action="key.add", kind="key", subject=prefix, details=details)
            return _key(row, account.name), secret

    def of(self, name: str | None = None) -> list[Key]:
        """The keys of an account or of all, revoked and expired ones too, oldest first. UsageError JC477."""
        from sqlalchemy import select

        from jointcoder.store.tables.accounts import AccountRow, KeyRow

        wanted = select(KeyRow, AccountRow.name).join(AccountRow).order_by(KeyRow.id)
        with self.store.reading() as session:
            if name is not None:
                wanted = wanted.where(KeyRow.account == row_of(session, name).id)
            return [_key(row, of) for row, of in session.execute(wanted)]

    def revoke(self, prefix: str, *, by: str) -> Key:
        """Take a key out of use, at once. UsageError JC477 where there is none by this name."""
        from sqlalchemy import select

        from jointcoder.store.tables.accounts import AccountRow, KeyRow

        wanted = select(KeyRow, AccountRow.name).join(AccountRow).where(KeyRow.prefix == prefix)
        with self.store.writing() as session:
            found = session.execute(wanted).one_or_none() if prefix.isalnum() else None
            if found is None:
                raise UsageError("JC477", f"there is no key {short(prefix)!r}")
            row, of = found
            if row.revoked is None:
                row.revoked = self.clock()
                append(session, actor=by, action="key.revoke", kind="key", subject=row.prefix, details={"account": of})
            return _key(row, of)

    def find(self, secret: str) -> tuple[Account, str]:
        """The account of a key, and the key's name. AccessError JC470 for one that is unknown, expired or revoked, or
        whose account is disabled, without saying which."""
        from sqlalchemy import select, update

        from jointcoder.store.tables.accounts import AccountRow, KeyRow

        start, _, rest = secret.partition("_")
        prefix = rest.partition("_")[0]
        if start != "jc" or not prefix.isalnum() or not prefix.isascii():
            raise _refused()
        wanted = select(KeyRow, AccountRow).join(AccountRow).where(KeyRow.prefix == prefix)
        now = self.clock()
        with self.store.reading() as session:
            found = session.execute(wanted).one_or_none()
        if found is None:
            raise _refused()
        row, account = found
        if not hmac.compare_digest(row.hash, _hash(secret)) or not _key(row, "").stands(now) or account.disabled:
            raise _refused()
        if row.used is None or now - row.used > _TOUCH:
            with self.store.writing() as session:
                session.execute(update(KeyRow).where(KeyRow.id == row.id).values(used=now))
        return account_of(account), prefix


def _refused() -> AccessError:
    return AccessError("JC470", "the key is unknown, expired or revoked")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _key(row: Any, account: str) -> Key:
    return Key(row.prefix, account, row.label, row.created, row.expires, row.used, row.revoked)
