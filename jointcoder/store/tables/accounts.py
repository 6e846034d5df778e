"""Who may use the service: accounts, the keys of programs, sessions of browsers, failed attempts.

No password, key or session is here as it is: passwords as argon2 hashes, the others, which are random and long enough
for it, as SHA-256. Accounts are never deleted, since the audit log names them; they are disabled.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from jointcoder.store.tables.base import Base, now


class AccountRow(Base):
    """A person or a program. ``password``: argon2 hash, None where one signs in by key or by a provider; ``subject``:
    how the provider knows the person (issuer and id)."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    display: Mapped[str] = mapped_column(String(200))
    roles: Mapped[list[Any]]
    language: Mapped[str] = mapped_column(String(8))
    password: Mapped[str | None] = mapped_column(String(200))
    password_set: Mapped[dt.datetime | None]
    subject: Mapped[str | None] = mapped_column(String(500), unique=True)
    disabled: Mapped[bool]
    created: Mapped[dt.datetime] = mapped_column(default=now)


class KeyRow(Base):
    """An API key: the part it is found by, and the hash of the whole. Revoked ones stay."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    prefix: Mapped[str] = mapped_column(String(16), unique=True)
    hash: Mapped[str] = mapped_column(String(64))
    label: Mapped[str] = mapped_column(String(200))
    created: Mapped[dt.datetime] = mapped_column(default=now)
    expires: Mapped[dt.datetime | None]
    used: Mapped[dt.datetime | None]
    revoked: Mapped[dt.datetime | None]


class SessionRow(Base):
    """A signed-in browser, by the hash of its token. Gone when it is signed out or has expired."""

    __tablename__ = "sign_in_sessions"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    account: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    created: Mapped[dt.datetime] = mapped_column(default=now)
    seen: Mapped[dt.datetime] = mapped_column(default=now)
    expires: Mapped[dt.datetime]


class FailureRow(Base):
    """Attempts to sign in that have not succeeded yet, by the hash of what was tried: a name, an address, or both."""

    __tablename__ = "sign_in_failures"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int]
    last: Mapped[dt.datetime]
    until: Mapped[dt.datetime | None]
