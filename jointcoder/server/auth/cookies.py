"""Cookies: the session's, and that of a browser nobody is signed in to; the CSRF token that belongs to each.

Both are random and for this host alone. The token of a page is a keyed hash of the cookie: it is bound to it, needs no
place to be kept, and tells nothing of it. Over https the names begin with ``__Host-``, so that no neighbouring host
can set them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

TOKEN_LENGTH = 43  # characters of 256 bits in URL-safe base64


@dataclass(frozen=True)
class Cookies:
    """How cookies of this service are named and sent. ``always_secure``: over https only, whatever the request says."""

    always_secure: bool
    same_site: Literal["strict", "lax"]

    def secure(self, request: Request) -> bool:
        return self.always_secure or request.scope["scheme"] == "https"

    def session(self, request: Request) -> str | None:
        """The session's token, as the browser tells it."""
        return request.cookies.get(self._name(request, "session"))

    def visitor(self, request: Request) -> str | None:
        """The token of a browser that nobody is signed in to, as it tells it."""
        found = request.cookies.get(self._name(request, "visitor"))
        return found if found and len(found) == TOKEN_LENGTH else None

    def set_session(self, request: Request, response: Response, token: str) -> None:
        self._set(request, response, "session", token)

    def set_visitor(self, request: Request, response: Response, token: str) -> None:
        self._set(request, response, "visitor", token)

    def drop(self, request: Request, response: Response, *names: Literal["session", "visitor"]) -> None:
        """Take cookies back."""
        for name in names:
            response.delete_cookie(
                self._name(request, name),
                path="/",
                secure=self.secure(request),
                httponly=True,
                samesite=self.same_site,
            )

    def _set(self, request: Request, response: Response, name: str, token: str) -> None:
        secure = self.secure(request)
        response.set_cookie(
            self._name(request, name), token, path="/", secure=secure, httponly=True, samesite=self.same_site
        )

    def _name(self, request: Request, name: str) -> str:
        return f"__Host-jointcoder_{name}" if self.secure(request) else f"jointcoder_{name}"


def new_token() -> str:
    """A random token."""
    return secrets.token_urlsafe(32)


def derived(token: str, purpose: str) -> str:
    """What belongs to a token and tells nothing of it, one for each purpose."""
    made = hmac.new(token.encode("utf-8", "surrogatepass"), purpose.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def same(given: str, expected: str) -> bool:
    """Whether two tokens are the same, in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
