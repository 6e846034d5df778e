"""Errors leave as ``application/problem+json`` (RFC 9457) with the codes of the command line.

    {"type": "urn:jointcoder:error:JC108", "title": "a field of the encounter has an invalid value", "status": 422,
     "detail": "patient.sex: …", "code": "JC108", "hint": "see `jointcoder schema`", "instance": "urn:uuid:…",
     "versions": {…}}

``title`` is the catalogue's line, ``detail`` what the error says (never note text), ``instance`` the request, by the id
that the log and the header ``X-Request-Id`` name. FHIR paths give an OperationOutcome, pages what
``app.state.error_page`` makes of the same :class:`Problem`. Knows no route.
"""

from __future__ import annotations

import http
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from jointcoder.errors import (
    CATALOGUE,
    AssetError,
    CodeBookError,
    InputError,
    JointCoderError,
    ModelError,
    UsageError,
    WorkflowError,
)
from jointcoder.server.auth.refusals import STATUS as REFUSALS
from jointcoder.server.auth.refusals import is_api

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_S = 5  # what a client waits where nobody knows better

BY_CLASS: tuple[tuple[type[JointCoderError], int], ...] = (
    (UsageError, 400),
    (InputError, 422),
    (AssetError, 503),
    (ModelError, 503),
    (WorkflowError, 409),
    (CodeBookError, 422),
)
STATUS: dict[str, int] = {
    "JC104": 400,
    "JC160": 400,
    "JC161": 400,
    "JC430": 503,
    "JC441": 403,
    "JC460": 404,
    "JC461": 412,
    "JC462": 409,
    "JC463": 409,
    "JC464": 409,
    "JC465": 409,
    "JC466": 409,
    "JC467": 429,
    "JC468": 504,
    "JC469": 400,
    **REFUSALS,
    "JC480": 404,
    "JC481": 405,
    "JC482": 413,
    "JC483": 415,
    "JC484": 422,
    "JC485": 428,
    "JC489": 503,
    "JC501": 422,
    "JC999": 500,
}
"""Statuses that differ from those of the error's class (:data:`BY_CLASS`)."""

_OF_STATUS = {404: "JC480", 405: "JC481", 413: "JC482", 415: "JC483", 400: "JC484", 422: "JC484", 503: "JC489"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One error on its way to a client."""

    status: int
    code: str
    title: str
    detail: str = ""
    hint: str = ""
    instance: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    def body(self, versions: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What is sent."""
        return {
            "type": f"urn:jointcoder:error:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "hint": self.hint,
            "instance": self.instance,
            "versions": dict(versions or {}),
            **self.more,
        }


class OtherStatusError(JointCoderError):
    """An error answered with another status than its code has elsewhere."""

    def __init__(self, error: JointCoderError, status: int) -> None:
        super().__init__(error.code, error.message, hint=error.hint)
        self.status = status


def status_of(error: JointCoderError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, OtherStatusError):
        return error.status
    if error.code in STATUS:
        return STATUS[error.code]
    return next((status for kind, status in BY_CLASS if isinstance(error, kind)), 500)


def of_error(error: JointCoderError, instance: str = "") -> Problem:
    """A coded error as a problem. ``error.retry_after`` (seconds), where there is one, becomes its header; a stale
    decision's ``current`` its ETag, and ``since`` is told: the decisions made meanwhile."""
    status = status_of(error)
    headers, more = {}, {}
    if (current := getattr(error, "current", None)) is not None:
        headers["ETag"] = f'"{current}"'
        more["since"] = [
            {"seq": one.seq, "by": one.by, "at": one.at.isoformat(), "decision": dict(one.body)}
            for one in getattr(error, "since", ())
        ]
    after = getattr(error, "retry_after", None)
    if after is not None or status in (429, 503):
        headers["Retry-After"] = str(max(1, round(RETRY_S if after is None else after)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Problem(status, error.code, CATALOGUE[error.code], error.message, error.hint, instance, headers, more)


def of_exception(error: BaseException, instance: str = "") -> Problem:
    """Any exception. The text of a foreign one may hold note text: only its type is told."""
    if isinstance(error, JointCoderError):
        return of_error(error, instance)
    if isinstance(error, RequestValidationError):
        detail = "; ".join(_said(problem) for problem in error.errors())
        return Problem(422, "JC484", CATALOGUE["JC484"], detail, "see /openapi.json", instance)
    if isinstance(error, HTTPException):
        code = _OF_STATUS.get(error.status_code, "JC484" if error.status_code < 500 else "JC999")
        phrase = http.HTTPStatus(error.status_code).phrase
        return Problem(error.status_code, code, CATALOGUE[code], phrase, "", instance, dict(error.headers or {}))
    return Problem(500, "JC999", CATALOGUE["JC999"], f"unexpected failure ({type(error).__name__})", "", instance)


def respond(request: Request, problem: Problem) -> Response:
    """The problem as the path's clients read it: JSON, an OperationOutcome, or a page."""
    path = request.url.path
    if path.startswith("/fhir/"):
        from jointcoder.exchange.fhir import MEDIA_TYPE as FHIR
        from jointcoder.exchange.fhir import outcome

        error = JointCoderError(problem.code, problem.detail or problem.title, hint=problem.hint)
        return JSONResponse(outcome(error), problem.status, dict(problem.headers), media_type=FHIR)
    page: Callable[[Request, Problem], Response] | None = getattr(request.app.state, "error_page", None)
    if page is not None and not is_api(path):
        return page(request, problem)
    body = problem.body(request.app.state.versions().model_dump(mode="json"))
    request.app.state.metrics.error(problem.code)
    return JSONResponse(body, problem.status, dict(problem.headers), media_type=MEDIA_TYPE)


def instance_of(scope: Mapping[str, Any]) -> str:
    """The request's own name, as log and answer tell it."""
    return f"urn:uuid:{scope.get('jointcoder.request', '00000000-0000-0000-0000-000000000000')}"


def install(app: FastAPI) -> None:
    """Let every error of a route leave as a problem."""

    async def handle(request: Request, error: Exception) -> Response:
        return respond(request, of_exception(error, instance_of(request.scope)))

    for kind in (JointCoderError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, handle)


def _said(problem: Mapping[str, Any]) -> str:
    """Which field is wrong and why. A field's name is a client's word: one that is no name may be a note."""
    place = ".".join(
        str(part) if isinstance(part, int) or _NAME.fullmatch(str(part)) else "(not a name)"
        for part in problem.get("loc", ())
    )
    return f"{place or 'request'}: {problem.get('msg', 'not valid')}"
