"""Signing in and out, and who a request is from: what the gate, the pages and the account pages ask.

    auth = install(app, store=store, settings=settings)      # app.state.auth
    auth.sign_in(request, name, password, to="/worklist")    # a response with a fresh session's cookie

A session always gets a new token when somebody signs in: one that was planted before is worth nothing afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from jointcoder.errors import JointCoderError
from jointcoder.server.auth.cookies import Cookies
from jointcoder.server.auth.people import User, local_user, user_of
from jointcoder.server.auth.places import is_loopback, require_host, require_local
from jointcoder.server.auth.rates import Rate
from jointcoder.server.auth.refusals import SIGN_IN, Render, refused
from jointcoder.store.accounts import Account, Accounts
from jointcoder.store.audit import Audit
from jointcoder.store.keys import Keys
from jointcoder.store.sessions import Sessions

if TYPE_CHECKING:
    from fastapi import FastAPI

    from jointcoder.settings import Settings
    from jointcoder.store.engine import Store

LONGEST_KEY = 200


class Auth:
    """Who may come in. ``loopback``: what is bound can be reached from this machine only; there, as long as no account
    was made, everybody is the user "local". ``render`` makes the response to a refused request."""

    accounts: Accounts
    keys: Keys
    sessions: Sessions
    audit: Audit

    def __init__(self, settings: Settings, *, loopback: bool, render: Render | None = None) -> None:
        self.settings, self.loopback, self.render = settings, loopback, render
        self.rate = Rate(settings.request_rate, setting="request_rate")
        self.login_rate = Rate(settings.login_rate, setting="login_rate")
        # A strict cookie is not sent when a provider's page leads back here.
        self.cookies = Cookies(settings.secure_cookies, "lax" if self.oidc else "strict")

    def open(self, store: Store) -> None:
        """Take accounts, keys, sessions and log from a store. To be called before the first request."""
        self.accounts, self.keys, self.audit = Accounts(store), Keys(store), Audit(store)
        idle, hours = self.settings.session_idle_minutes, self.settings.session_hours
        self.sessions = Sessions(store, idle_minutes=idle, hours=hours)

    @property
    def oidc(self) -> bool:
        """Whether people may sign in by a provider, at ``GET /login/oidc``."""
        return bool(self.settings.oidc_issuer and self.settings.oidc_client_id)

    def open_mode(self) -> bool:
        """Whether everybody on this machine is let in: nothing else can reach it, and no account was made."""
        return self.loopback and not self.accounts.any()

    def who(self, request: Request) -> User | None:
        """Who asks, None for nobody. AccessError JC473 (not our name, or not from where it may be), JC470 (the key)."""
        open_mode = self.open_mode()
        require_host(request.headers.get("host"), self.settings.allowed_hosts, open_mode=open_mode)
        if open_mode:
            require_local(request.client.host if request.client else None, request.headers)
            return local_user()
        key = _key(request)
        if key is not None:
            account, prefix = self.keys.find(key)
            return user_of(account, "key", prefix)
        token = self.cookies.session(request)
        found = self.sessions.find(token) if token else None
        return user_of(found, "session") if found else None

    def sign_in(self, request: Request, name: str, password: str, *, to: str = "/") -> Response:
        """Sign in by password: a redirect to ``to`` with the session's cookie. AccessError JC471 (name or password is
        wrong), JC474 (too many failures; ``retry_after``)."""
        account = self.accounts.check(name, password, address=address_of(request))
        return self.signed_in(request, account, RedirectResponse(self.safe_next(to), 303), way="password")

    def signed_in(self, request: Request, account: Account, response: Response, *, way: str) -> Response:
        """The response, with a new session of the account."""
        before = self.cookies.session(request)
        if before is not None:
            self.sessions.end(before)
        token = self.sessions.begin(account, way=way, address=address_of(request))
        self.cookies.drop(request, response, "visitor")
        self.cookies.set_session(request, response, token)
        return response

    def sign_out(self, request: Request) -> Response:
        """End the session, in the store too: a redirect to the sign-in page."""
        token = self.cookies.session(request)
        if token is not None:
            self.sessions.end(token)
        response = RedirectResponse(SIGN_IN, 303)
        self.cookies.drop(request, response, "session", "visitor")
        return response

    def refused(self, request: Request, error: JointCoderError) -> Response:
        """The response to a refused request."""
        return refused(request, error, self.render)

    @staticmethod
    def safe_next(path: str) -> str:
        """The path if it is one of this service, else "/"."""
        parts = urlsplit(path) if path.isprintable() and "\\" not in path else None
        local = parts is not None and not parts.scheme and not parts.netloc and path.startswith("/")
        return path if local and not path.startswith("//") else "/"


def install(
    app: FastAPI,
    *,
    store: Store | None,
    settings: Settings,
    loopback: bool | None = None,
    render: Render | None = None,
) -> Auth:
    """Put the gate around an application; ``app.state.auth`` afterwards. Without a store ``auth.open(store)`` is to be
    called before the first request. ``loopback``: what is bound is this machine's own; default: as ``settings.host``
    says. Raises UsageError JC001 (rates), JC002 (packages)."""
    from jointcoder.server.auth.gate import Gate

    at_home = is_loopback(settings.host) if loopback is None else loopback
    auth = Auth(settings, loopback=at_home, render=render)
    if store is not None:
        auth.open(store)
    app.state.auth = auth
    app.add_middleware(Gate, auth=auth)
    if auth.oidc:
        from jointcoder.server.auth.oidc import Provider, add_routes

        add_routes(app, auth, Provider.from_settings(settings))
    return auth


def address_of(request: Request) -> str:
    """The client's address, "" where it is not known (a socket file)."""
    return request.client.host if request.client else ""


def _key(request: Request) -> str | None:
    """The API key of a request, if it has one."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    key = given.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key")
    return key[:LONGEST_KEY] if key else None
