"""The gate: what every request passes, in this order, and every response on its way back.

    headers on the response · the name asked for · who asks (key, session, open mode) · how often ·
    from which page (writing requests) · signed in at all · the page's token (writing requests by cookie)

What is not public is refused to whom nobody knows, before any route is looked for: a route that forgets to ask who is
there is not open to the world. Which roles a route is for is the route's to say (``people.require``). A plain ASGI
middleware, so that streams flow through. Knows no route but the public ones.
"""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import parse_qs

import anyio
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jointcoder.errors import AccessError, JointCoderError
from jointcoder.server.auth.cookies import derived, new_token, same
from jointcoder.server.auth.places import require_own_page
from jointcoder.server.auth.refusals import SIGN_IN, is_api, path_of
from jointcoder.server.auth.signing import Auth, address_of

POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "font", "connect")),
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
READING = ("GET", "HEAD", "OPTIONS")
UNASKED = ("/static/", "/health/")  # nobody's business who asks
CSRF_HEADER, CSRF_FIELD = "x-csrf-token", "csrf_token"
FORM_LIMIT = 1024 * 1024  # bytes; a file goes another way and brings the header
THREADS = 16  # that look up who asks; streams that occupy the pool of the routes do not hold them up


class Gate:
    """The middleware. ``auth``: what knows people, cookies and rates."""

    def __init__(self, app: ASGIApp, *, auth: Auth) -> None:
        self.app, self.auth = app, auth
        self._threads = anyio.CapacityLimiter(THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # there are none, and none slips past
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        request.state.user, request.state.csrf = None, ""
        send = self._dressed(request, send)
        if path_of(request).startswith(UNASKED):
            await self.app(scope, receive, send)
            return
        try:
            receive = await self._admitted(request, receive)
        except JointCoderError as error:
            await self.auth.refused(request, error)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _admitted(self, request: Request, receive: Receive) -> Receive:
        """Who asks is in ``request.state`` afterwards. What the route is to receive. AccessError JC470 to JC475."""
        path, reading = path_of(request), request.method in READING
        user = await anyio.to_thread.run_sync(self.auth.who, request, limiter=self._threads)
        request.state.user = user
        self.auth.rate.hit(f"account {user.name} {user.key}" if user else f"address {address_of(request)}")
        by_cookie = user is None or user.way != "key"
        if by_cookie and not reading:
            require_own_page(request.headers)
        public = path == "/favicon.ico" or path == SIGN_IN or path.startswith(f"{SIGN_IN}/")
        if user is None and not public:
            raise AccessError("JC470", "nobody is signed in")
        if public and not reading:
            self.auth.login_rate.hit(address_of(request))
        if not by_cookie or (user is not None and user.open and is_api(path)):
            return receive
        request.state.csrf = self._token(request, signed_in=user is not None and user.way == "session")
        return receive if reading else await self._with_token(request, receive)

    def _token(self, request: Request, *, signed_in: bool) -> str:
        """The token of this browser's pages; a browser seen for the first time gets a cookie for it."""
        cookies = self.auth.cookies
        held = cookies.session(request) if signed_in else cookies.visitor(request)
        if held is None:
            held = request.state.visitor = new_token()
        return derived(held, "csrf")

    async def _with_token(self, request: Request, receive: Receive) -> Receive:
        """The token is in a header or in a form's field; of a form the route gets what was read for that."""
        given = request.headers.get(CSRF_HEADER)
        if given is None and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            body, receive = await _read(receive)
            with suppress(ValueError):  # more fields than any form has
                given = parse_qs(body.decode("utf-8", "replace"), max_num_fields=1000).get(CSRF_FIELD, [""])[-1]
        if given is None or not same(given, request.state.csrf):
            hint = f"send the page's token as the header {CSRF_HEADER} or the field {CSRF_FIELD}; load the page anew"
            raise AccessError("JC473", "the page's token is missing or not that of this session", hint=hint)
        return receive

    def _dressed(self, request: Request, send: Send) -> Send:
        """Sends with the headers that every response has."""

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if not path_of(request).startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
                if self.auth.cookies.secure(request):
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
                if (visitor := getattr(request.state, "visitor", None)) is not None:
                    cookie = Response()
                    self.auth.cookies.set_visitor(request, cookie, visitor)
                    headers.append("Set-Cookie", cookie.headers["set-cookie"])
            await send(message)

        return dressed


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """A form's body, and a ``receive`` that gives it again. AccessError JC473 for one too long to be a form."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > FORM_LIMIT:
            raise AccessError("JC473", f"a form without {CSRF_HEADER} has at most {FORM_LIMIT} bytes")
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return body, again
