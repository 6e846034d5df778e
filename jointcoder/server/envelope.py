"""Around every request: a name for it, the versions in the answer, a log line, a count; and no exception gets out.

The outermost middleware. A foreign exception is answered as JC999 and logged by its type and place: its text, like the
path and query of a request, may hold note text and is never logged. The line names the route's template instead.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from urllib.parse import quote

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jointcoder.errors import JointCoderError
from jointcoder.records import Versions
from jointcoder.server import problem
from jointcoder.server.metrics import METHODS, Metrics

log = logging.getLogger("jointcoder.access")

HEADERS = {
    "Jointcoder-Version": "program",
    "Jointcoder-Workflow": "workflow",
    "Jointcoder-Code-Book": "code_book",
    "Jointcoder-Model": "model",
    "Jointcoder-Pack": "pack",
}
HASHES = {"workflow": "workflow_hash", "code_book": "code_book_hash", "model": "model_hash"}


class Envelope:
    """See the module."""

    def __init__(self, app: ASGIApp, *, versions: Callable[[], Versions], metrics: Metrics) -> None:
        self.app = app
        self.versions = versions
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["jointcoder.request"] = str(uuid.uuid4())
        began, status = time.perf_counter(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = scope["jointcoder.request"]
                for name, value in headers_of(self.versions()).items():
                    headers[name] = value
            await send(message)

        try:
            await self.app(scope, receive, sent)
        except Exception as error:
            if not isinstance(error, JointCoderError):
                log.error("%s failed: %s in %s", scope["jointcoder.request"], type(error).__name__, _place(error))
            if status:
                raise BrokenAnswerError(
                    scope["jointcoder.request"]
                ) from None  # the answer had begun: only the line can be cut
            answer = problem.respond(Request(scope), problem.of_exception(error, problem.instance_of(scope)))
            await answer(scope, receive, sent)
        finally:
            seconds = time.perf_counter() - began
            template = getattr(scope.get("route"), "path", None)
            self.metrics.request(scope["method"], template, status, seconds)
            log.info(
                "%s %s %s %d %.1f ms",
                scope["jointcoder.request"],
                scope["method"] if scope["method"] in METHODS else "OTHER",
                template or "(none)",
                status,
                1000 * seconds,
            )


class BrokenAnswerError(Exception):
    """An answer that had begun could not be finished. Holds the request's name only."""


def headers_of(versions: Versions) -> dict[str, str]:
    """The headers that name what codes here: ``name; sha256=…``."""
    found = {}
    for header, name in HEADERS.items():
        value = _plain(getattr(versions, name)) or "none"
        digest = getattr(versions, HASHES[name]) if name in HASHES else ""
        found[header] = f"{value}; sha256={digest}" if digest else value
    adapters = ", ".join(f"{_plain(name)}={_plain(version)}" for name, version in versions.adapters.items())
    return found | {"Jointcoder-Adapters": adapters or "none"}


def _plain(text: str) -> str:
    """As a header can hold it."""
    return quote(text, safe=" .-_/:,()")


def _place(error: BaseException) -> str:
    """Where it was raised: function and line, no values."""
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    return f"{at.tb_frame.f_code.co_name}:{at.tb_lineno}" if at else "?"
