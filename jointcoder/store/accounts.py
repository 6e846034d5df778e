"""Accounts: who may use the service, in which roles, by which password or provider.

    accounts = Accounts(store)
    accounts.add("ana", roles=["coder"], password=…, by="ada")
    accounts.check("ana", password, address="10.0.0.7")     # AccessError JC471 (wrong), JC474 (locked)

Every change is in the audit log, in the same transaction. An account is disabled, never deleted, because the log names
it; a name is therefore never given to another person. No role implies another. Knows no request and no cookie: see
``sessions`` (browsers) and ``keys`` (programs).
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jointcoder.errors import AccessError, UsageError, name_list
from jointcoder.store.attempts import Attempts, Clock, utc_now
from jointcoder.store.audit import append
from jointcoder.store.chain import short
from jointcoder.store.passwords import Cost, Hasher, require_acceptable

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from jointcoder.store.engine import Store

ROLES = ("coder", "lead", "admin", "service")
LANGUAGES = ("", "en", "zh")
RESERVED = {"local", "system", "anonymous"}
_NAME = re.compile(r"[\w][\w.@-]{0,63}")


@dataclass(frozen=True)
class Account:
    """``name``: what audit and decisions call the account, lower case; ``language``: "en", "zh" or "" (undecided);
    ``issuer``: the OpenID provider it signs in by, "" for one of our own."""

    id: int
    name: str
    display: str
    roles: tuple[str, ...]
    language: str
    disabled: bool
    has_password: bool
    issuer: str
    created: dt.datetime
    password_set: dt.datetime | None = None


class Accounts:
    """The accounts of a store. Raises AssetError JC430 as the store does."""

    def __init__(self, store: Store, *, cost: Cost | None = None, clock: Clock = utc_now) -> None:
        self.store, self.clock = store, clock
        self._cost = cost
        self._some = False

    @cached_property
    def hasher(self) -> Hasher:
        return Hasher(self._cost)

    @cached_property
    def attempts(self) -> Attempts:
        return Attempts(self.store, clock=self.clock)

    def any(self) -> bool:
        """Whether there are accounts, disabled ones too: then nobody comes in without one. Cheap to ask."""
        from sqlalchemy import select

        from jointcoder.store.tables.accounts import AccountRow

        if not self._some:
            with self.store.reading() as session:
                self._some = session.scalars(select(AccountRow.id).limit(1)).first() is not None
        return self._some

    def all(self) -> list[Account]:
        """Every account, by name."""
        from sqlalchemy import select

        from jointcoder.store.tables.accounts import AccountRow

        with self.store.reading() as session:
            return [account_of(row) for row in session.scalars(select(AccountRow).order_by(AccountRow.name))]

    def get(self, name: str) -> Account:
        """One account. UsageError JC477, naming those that there are."""
        with self.store.reading() as session:
            return account_of(row_of(session, name))

    def add(
        self,
        name: str,
        *,
        roles: Iterable[str],
        by: str,
        password: str | None = None,
        display: str = "",
        language: str = "",
    ) -> Account:
        """A new account; without a password it signs in by key alone. UsageError JC477 for a name that is taken or not
        one, a role that there is not, a password that is none."""
        from jointcoder.store.tables.accounts import AccountRow

        name, held = normal(name), _roles(roles)
        if not _NAME.fullmatch(name) or name in RESERVED:
            hint = "letters, digits and . @ - _, at most 64; not " + name_list(RESERVED)
            raise UsageError("JC477", f"{short(name)!r} can be no account's name", hint=hint)
        if password is not None:
            require_acceptable(password, name=name)
        hashed = self.hasher.hash(password) if password is not None else None
        with self.store.writing() as session:
            if _found(session, name) is not None:
                raise UsageError("JC477", f"there is already an account {name!r}")
            row = AccountRow(
                name=name,
                display=_display(display),
                roles=held,
                language=_language(language),
                password=hashed,
                password_set=self.clock() if hashed else None,
                subject=None,
                disabled=False,
            )
            session.add(row)
            append(
                session,
                actor=by,
                action="account.add",
                kind="account",
                subject=name,
                details={"roles": held, "password": hashed is not None},
            )
            return account_of(row)

    def set_password(self, name: str, password: str, *, by: str) -> Account:
        """Give a password; whoever is signed in under the account no longer is. UsageError JC477."""
        name = normal(name)
        require_acceptable(password, name=name)
        hashed = self.hasher.hash(password)

        def change(row: Any) -> dict[str, Any]:
            row.password, row.password_set = hashed, self.clock()
            return {}

        return self._change(name, "account.password", change, by=by, sign_out=True)

    def change_password(self, name: str, old: str, new: str, *, address: str = "") -> Account:
        """A person changes the own password. AccessError JC471, JC474 as ``check``; UsageError JC477."""
        account = self.check(name, old, address=address)
        return self.set_password(account.name, new, by=account.name)

    def set_roles(self, name: str, roles: Iterable[str], *, by: str) -> Account:
        """Give other roles, in force with the next request. UsageError JC477, also for taking the last admin away."""
        held = _roles(roles)

        def change(row: Any) -> dict[str, Any]:
            before, row.roles = row.roles, held
            return {"before": before, "roles": held}

        return self._change(name, "account.roles", change, by=by)

    def set_language(self, name: str, language: str, *, by: str) -> Account:
        """Choose the language of the pages: en, zh or "" (as the browser says). UsageError JC001."""
        chosen = _language(language)

        def change(row: Any) -> dict[str, Any]:
            row.language = chosen
            return {"language": chosen}

        return self._change(name, "account.language", change, by=by)

    def disable(self, name: str, *, by: str) -> Account:
        """Shut an account: no sign-in, no key, and whoever is signed in no longer is. UsageError JC477."""

        def change(row: Any) -> dict[str, Any]:
            row.disabled = True
            return {}

        return self._change(name, "account.disable", change, by=by, sign_out=True)

    def enable(self, name: str, *, by: str) -> Account:
        """Open a disabled account again. UsageError JC477."""

        def change(row: Any) -> dict[str, Any]:
            row.disabled = False
            return {}

        return self._change(name, "account.enable", change, by=by)

    def check(self, name: str, password: str, *, address: str = "") -> Account:
        """The account of a name and password. AccessError JC471, without saying which of the two is wrong or whether
        the account is disabled; JC474 after too many failures."""
        name = normal(name)
        self.attempts.begin(name, address)
        with self.store.reading() as session:
            row = _found(session, name)
        right = self.hasher.matches(row.password if row else None, password)
        if row is None or not right or row.disabled:
            with self.store.writing() as session:
                append(
                    session,
                    actor=row.name if row else "anonymous",
                    action="session.refused",
                    kind="account",
                    subject=row.name if row else "",
                    details={"address": address, "known": row is not None},
                )
            raise AccessError("JC471", "name or password is wrong")
        self.attempts.succeeded(name, address)
        if self.hasher.outdated(row.password):
            hashed = self.hasher.hash(password)
            with self.store.writing() as session:
                row_of(session, name).password = hashed
        return account_of(row)

    def of_provider(self, *, issuer: str, subject: str, name: str, display: str, roles: Iterable[str]) -> Account:
        """The account of a person whom an OpenID provider vouches for, made at the first time; display name and roles
        are those that the provider tells now. AccessError JC471 where the account is disabled or its name is taken."""
        from sqlalchemy import select

        from jointcoder.store.tables.accounts import AccountRow

        held = _roles(roles)
        known = f"{issuer}|{subject}"
        name = normal(name)
        with self.store.writing() as session:
            row = session.scalars(select(AccountRow).where(AccountRow.subject == known)).one_or_none()
            if row is None:
                if not _NAME.fullmatch(name) or name in RESERVED or len(known) > 500 or _found(session, name):
                    hint = "an admin renames the person at the provider, or removes the other account's claim to it"
                    raise AccessError("JC471", "the provider's name for this person cannot be used here", hint=hint)
                row = AccountRow(
                    name=name, display="", roles=held, language="", password=None, subject=known, disabled=False
                )
                session.add(row)
                append(
                    session,
                    actor=name,
                    action="account.add",
                    kind="account",
                    subject=name,
                    details={"roles": held, "issuer": issuer},
                )
            if row.disabled:
                raise AccessError("JC471", "the account is disabled")
            row.display = _display(display)
            if row.roles != held:
                details = {"before": row.roles, "roles": held, "issuer": issuer}
                row.roles = held
                append(
                    session, actor=row.name, action="account.roles", kind="account", subject=row.name, details=details
                )
            session.flush()
            return account_of(row)

    def _change(
        self, name: str, action: str, change: Callable[[Any], dict[str, Any]], *, by: str, sign_out: bool = False
    ) -> Account:
        """Change a row, end its sessions if asked to, and tell the log, in one transaction."""
        from sqlalchemy import delete

        from jointcoder.store.tables.accounts import SessionRow

        with self.store.writing() as session:
            row = row_of(session, name)
            ruled = _admins(session)
            details = change(row)
            session.flush()
            if ruled and not _admins(session):
                raise UsageError(
                    "JC477", "nobody would be left who may manage accounts", hint="name another admin first"
                )
            if sign_out:
                session.execute(delete(SessionRow).where(SessionRow.account == row.id))
            append(session, actor=by, action=action, kind="account", subject=row.name, details=details)
            return account_of(row)


def normal(name: str) -> str:
    """How a name is written: composed, in lower case, without spaces around it."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def row_of(session: Session, name: str) -> Any:
    """The row of an account. UsageError JC477."""
    row = _found(session, normal(name))
    if row is None:
        from sqlalchemy import select

        from jointcoder.store.tables.accounts import AccountRow

        known = name_list(session.scalars(select(AccountRow.name)))
        raise UsageError("JC477", f"there is no account {short(normal(name))!r}", hint=f"accounts: {known}")
    return row


def account_of(row: Any) -> Account:
    """The row as others see it: without the hash."""
    return Account(
        id=row.id,
        name=row.name,
        display=row.display or row.name,
        roles=tuple(row.roles),
        language=row.language,
        disabled=row.disabled,
        has_password=row.password is not None,
        issuer=(row.subject or "").partition("|")[0],
        created=row.created,
        password_set=row.password_set,
    )


def _found(session: Session, name: str) -> Any:
    from sqlalchemy import select

    from jointcoder.store.tables.accounts import AccountRow

    if not name.isprintable():  # and not what a database could choke on
        return None
    return session.scalars(select(AccountRow).where(AccountRow.name == name)).one_or_none()


def _admins(session: Session) -> bool:
    from sqlalchemy import select

    from jointcoder.store.tables.accounts import AccountRow

    standing = select(AccountRow).where(AccountRow.disabled.is_(False)).order_by(AccountRow.id)
    rows = session.scalars(standing.with_for_update())
    return any("admin" in row.roles for row in rows)


def _roles(roles: Iterable[str]) -> list[str]:
    wanted = set(roles)
    if not wanted or not wanted <= set(ROLES):
        unknown = name_list(map(short, wanted - set(ROLES)))
        raise UsageError("JC477", f"unknown roles: {unknown}" if wanted else "an account needs a role", hint=_HINT)
    return [role for role in ROLES if role in wanted]


_HINT = f"roles: {', '.join(ROLES)}"


def _language(language: str) -> str:
    if language not in LANGUAGES:
        raise UsageError("JC001", f"unknown language {short(language)!r}", hint="en, zh, or none")
    return language


def _display(display: str) -> str:
    return "".join(one for one in display if one.isprintable()).strip()[:200]
