"""The frame that every page stands in: who reads it, in which language and colours, and how a template becomes a page.

    viewer(*any_of)  dependency: the person who asks, signed in and with one of the roles
    render(…)        template → HTML, with what every template may use: t, tn, who, static …
    Address          this page's URL with some of its parameters changed
    back_to(…)       redirect after a change; what is to be said travels along in the query as a key, never as text

Pages hold notes, so no browser and no proxy may keep them: every answer is ``no-store``. Nothing here knows encounters.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import parse_qsl, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from jointcoder import __version__
from jointcoder.server.auth import current_user, require, roles
from jointcoder.server.pages import i18n

if TYPE_CHECKING:
    from jinja2 import Environment

    from jointcoder.server.auth import User

THEME_COOKIE = "jointcoder_theme"
THEMES = ("system", "light", "dark")
NAVIGATION = (
    ("/worklist", roles.READ),
    ("/upload", roles.SUBMIT),
    ("/admin/accounts", roles.ACCOUNTS),
    ("/admin/audit", roles.AUDIT),
)
SAID = "done"  # the parameter that tells what was just done; no link carries it on
YEAR_S = 365 * 24 * 3600
NEW_DAYS = 2  # below this an age is told in hours


@dataclass(frozen=True)
class Viewer:
    """The person a page is made for. ``name`` is the account, "" for nobody; ``csrf`` the token for forms."""

    name: str
    display: str
    roles: frozenset[str]
    open: bool
    language: str
    csrf: str
    way: Literal["open", "session", "key", ""] = ""

    def may(self, *roles: str) -> bool:
        """Whether they have one of the roles; none implies another."""
        return bool(self.roles.intersection(roles))


def viewer(*any_of: str) -> Callable[[Request], Viewer]:
    """Dependency: who asks; AccessError JC470 (nobody), JC472 (none of ``any_of``; without them everybody may)."""
    allowed = require(*any_of) if any_of else current_user

    def find(request: Request) -> Viewer:
        return _viewer(request, allowed(request))

    return find


def anyone(request: Request) -> Viewer:
    """Who asks, or nobody: for pages that are public and for errors."""
    return _viewer(request, getattr(request.state, "user", None))


def _viewer(request: Request, user: User | None) -> Viewer:
    language = i18n.chosen(
        account=user.language if user else None,
        cookie=request.cookies.get(i18n.COOKIE),
        accepts=request.headers.get("accept-language", ""),
    )
    csrf = str(getattr(request.state, "csrf", ""))
    if user is None:
        return Viewer("", "", frozenset(), False, language, csrf)
    return Viewer(user.name, user.display or user.name, user.roles, user.open, language, csrf, user.way)


# ------------------------------------------------------------------------------------------------------ rendering


def render(
    request: Request,
    who: Viewer,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """A template with its context, as an answer that nobody keeps."""
    words = i18n.words(who.language)
    page = environment().get_template(template)
    body = page.render(
        context
        | {
            "t": words.t,
            "tn": words.tn,
            "has": words.has,
            "meaning": functools.partial(_meaning, who.language),
            "moment": _moment,
            "exact": functools.partial(_moment, seconds=True),
            "age": functools.partial(_age, words),
            "language": who.language,
            "who": who,
            "csrf_token": who.csrf,
            "static": static,
            "path": request.url.path,
            "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "theme": request.cookies.get(THEME_COOKIE, ""),
            "version": __version__,
            "navigation": navigation,
            "done": request.query_params.get(SAID, ""),
        }
    )
    return HTMLResponse(body, status_code=status, headers={"Cache-Control": "no-store", **(headers or {})})


@functools.cache
def environment() -> Environment:
    """The templates of this package: everything is escaped, and a name that is not there is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(folder("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = lambda value: f"{value:,}"
    made.filters["day"] = lambda value: value.isoformat() if value else ""
    return made


def folder(name: str) -> Path:
    """A folder of this package's data."""
    return Path(str(resources.files("jointcoder.server").joinpath(name)))


@functools.cache
def static(name: str) -> str:
    """The URL of a static file. It changes with the file, so that no browser shows an old one; not that of a script:
    modules import one another by name, and the same one under two URLs would be there twice."""
    if name.endswith(".js"):
        return f"/static/{name}"
    content = folder("static").joinpath(name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:10]}"


@dataclass(frozen=True)
class Address:
    """A page's path and the parameters of its query, for links that change some of them."""

    path: str
    query: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, path: str, query: str) -> Self:
        """From the text behind the question mark."""
        return cls(path, tuple((key, value) for key, value in parse_qsl(query) if key != SAID))

    def __call__(self, **changes: object) -> str:
        """The URL with some parameters changed; None takes one away."""
        kept = [(key, value) for key, value in self.query if key not in changes and value]
        kept += [(key, str(value)) for key, value in changes.items() if value not in (None, "")]
        return self.path + (f"?{urlencode(kept)}" if kept else "")

    def first(self, key: str, otherwise: str = "") -> str:
        """The first value of a parameter."""
        return next((value for name, value in self.query if name == key), otherwise)

    def all(self, key: str) -> tuple[str, ...]:
        """Every value of a parameter."""
        return tuple(value for name, value in self.query if name == key and value)


def back_to(path: str, *, done: str = "") -> RedirectResponse:
    """See-other to a page of ours. ``done``: a key below ``done`` of the shell's phrases, said on that page."""
    joint = "&" if "?" in path else "?"
    return RedirectResponse(f"{path}{joint}{SAID}={done}" if done else path, status_code=303)


def navigation(who: Viewer) -> list[str]:
    """The paths that this person finds in the bar."""
    return [path for path, allowed in NAVIGATION if who.may(*allowed)]


def is_fragment(request: Request) -> bool:
    """Whether htmx asks for a part of the page, to be put into the page that is there."""
    headers = request.headers
    return headers.get("hx-request") == "true" and headers.get("hx-history-restore-request") != "true"


def keep(response: Response, request: Request, name: str, value: str) -> None:
    """Keep a choice of the reader in a cookie that no script reads."""
    settings = request.app.state.settings
    secure = bool(getattr(settings, "secure_cookies", False)) or request.url.scheme == "https"
    response.set_cookie(name, value, max_age=YEAR_S, httponly=True, samesite="lax", secure=secure, path="/")


# ---------------------------------------------------------------------------------------------- filters that speak


def _meaning(language: str, code: str, message: str = "") -> str:
    return i18n.meaning(code, message, language)


def _moment(when: dt.datetime | None, *, seconds: bool = False) -> str:
    """Date and time by this machine's clock, to the minute or second."""
    if when is None:
        return ""
    aware = when if when.tzinfo else when.replace(tzinfo=dt.UTC)
    return aware.astimezone().strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def _age(words: i18n.Words, span: dt.timedelta, *, by_day: bool = False) -> str:
    """How old something is, in days; hours while it is new, unless only its day is known."""
    hours = max(0, int(span.total_seconds() // 3600))
    if hours < NEW_DAYS * 24 and not by_day:
        return words.tn("shell.age_hours", hours)
    return words.tn("shell.age_days", hours // 24)
