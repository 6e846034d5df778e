"""Accounts and API keys, for administrators.

    GET  /admin/accounts                     all of them          POST  /admin/accounts          a new one
    GET  /admin/accounts/{name}              one, with its keys
    POST /admin/accounts/{name}/roles  /password  /disable  /enable
    POST /admin/accounts/{name}/keys         a new key; its secret is shown this once
    POST /admin/accounts/{name}/keys/{prefix}/revoke

What is refused (JC477) is said on the page that asked. Everything that changes is in the audit log, by the store; so is
whoever looked at accounts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from jointcoder.errors import JointCoderError
from jointcoder.server.auth import roles
from jointcoder.server.looks import looked
from jointcoder.server.pages import i18n
from jointcoder.server.pages.shell import Viewer, back_to, render, viewer
from jointcoder.server.problem import of_error
from jointcoder.store.accounts import ROLES

if TYPE_CHECKING:
    from jointcoder.store.accounts import Accounts
    from jointcoder.store.keys import Keys

PATH = "/admin/accounts"
LONGEST = 1024
REFUSED = ("JC477", "JC001")

router = APIRouter(prefix=PATH)
Admin = Annotated[Viewer, Depends(viewer(*roles.ACCOUNTS))]
Text = Annotated[str, Form(max_length=LONGEST)]
Chosen = Annotated[list[str], Form(max_length=len(ROLES), default_factory=list)]


@router.get("")
def show(request: Request, who: Admin) -> Response:
    """All accounts, and the form for a new one."""
    return _all(request, who)


@router.post("")
def add(
    request: Request,
    who: Admin,
    held: Chosen,
    name: Text = "",
    display: Text = "",
    password: Text = "",
    language: Text = "",
) -> Response:
    """A new account. The first one ends the open mode, so it must be able to make others."""
    entered = {"name": name, "display": display, "roles": held, "language": language}
    if who.open and "admin" not in held:
        return _all(request, who, status=409, fault="first", entered=entered)
    try:
        _accounts(request).add(
            name, roles=held, password=password or None, display=display, language=language, by=who.name
        )
    except JointCoderError as error:
        return _all(request, who, error=_refused(error), entered=entered)
    return back_to("/login" if who.open else PATH, done="account_added")


@router.get("/{name}")
def one(request: Request, who: Admin, name: str) -> Response:
    """An account and its keys. JC477 where there is none."""
    return _one(request, who, name)


@router.post("/{name}/roles")
def set_roles(request: Request, who: Admin, name: str, held: Chosen) -> Response:
    """Give other roles."""
    return _changed(request, who, name, lambda: _accounts(request).set_roles(name, held, by=who.name))


@router.post("/{name}/password")
def set_password(request: Request, who: Admin, name: str, password: Text = "") -> Response:
    """Give a password; the account's sessions end."""
    return _changed(request, who, name, lambda: _accounts(request).set_password(name, password, by=who.name))


@router.post("/{name}/disable")
def disable(request: Request, who: Admin, name: str) -> Response:
    """Shut the account; what it did stays in its name."""
    return _changed(request, who, name, lambda: _accounts(request).disable(name, by=who.name))


@router.post("/{name}/enable")
def enable(request: Request, who: Admin, name: str) -> Response:
    """Open it again."""
    return _changed(request, who, name, lambda: _accounts(request).enable(name, by=who.name))


@router.post("/{name}/keys")
def add_key(request: Request, who: Admin, name: str, label: Text = "", days: Annotated[int, Form()] = 365) -> Response:
    """A new key. The answer is the only place where its secret ever stands: no redirect."""
    try:
        key, secret = _keys(request).add(name, label=label, days=days, by=who.name)
    except JointCoderError as error:
        return _one(request, who, name, error=_refused(error))
    return _one(request, who, name, secret=secret, fresh=key.prefix)


@router.post("/{name}/keys/{prefix}/revoke")
def revoke(request: Request, who: Admin, name: str, prefix: str) -> Response:
    """Take a key out of use, at once."""
    _keys(request).revoke(prefix, by=who.name)
    return back_to(f"{PATH}/{name}", done="key_revoked")


def _changed(request: Request, who: Viewer, name: str, change: Callable[[], object]) -> Response:
    try:
        change()
    except JointCoderError as error:
        return _one(request, who, name, error=_refused(error))
    if name == who.name:  # the own roles or sessions may be gone
        return back_to("/", done="account_changed")
    return back_to(f"{PATH}/{name}", done="account_changed")


def _refused(error: JointCoderError) -> JointCoderError:
    """The error, where a page can say it beside the form; else it is raised again."""
    if error.code not in REFUSED:
        raise error
    return error


def _all(
    request: Request,
    who: Viewer,
    *,
    status: int = 200,
    fault: str = "",
    error: JointCoderError | None = None,
    entered: dict[str, Any] | None = None,
) -> Response:
    accounts = _accounts(request).all()
    looked(request, "account.list", "account", rows=len(accounts))
    return render(
        request,
        who,
        "accounts/all.html",
        status=of_error(error).status if error else status,
        accounts=accounts,
        known_roles=ROLES,
        languages=i18n.LANGUAGES,
        fault=fault,
        error=error,
        entered=entered or {"name": "", "display": "", "roles": ["coder"], "language": ""},
    )


def _one(
    request: Request,
    who: Viewer,
    name: str,
    *,
    error: JointCoderError | None = None,
    secret: str = "",
    fresh: str = "",
) -> Response:
    account = _accounts(request).get(name)
    looked(request, "account.view", "account", account.name)
    now = dt.datetime.now(dt.UTC)
    return render(
        request,
        who,
        "accounts/one.html",
        status=of_error(error).status if error else 200,
        account=account,
        keys=[(key, key.stands(now)) for key in _keys(request).of(account.name)],
        known_roles=ROLES,
        error=error,
        secret=secret,
        fresh=fresh,
    )


def _accounts(request: Request) -> Accounts:
    accounts: Accounts = request.app.state.auth.accounts
    return accounts


def _keys(request: Request) -> Keys:
    keys: Keys = request.app.state.auth.keys
    return keys
