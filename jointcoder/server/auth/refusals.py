"""Refusals as responses: the status of each code, the headers that go with it, where a browser is sent to sign in."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from jointcoder.errors import CATALOGUE, JointCoderError

SIGN_IN = "/login"
API = ("/v1", "/fhir", "/metrics", "/openapi.json", "/health")
STATUS = {
    "JC470": 401,
    "JC471": 401,
    "JC472": 403,
    "JC473": 403,
    "JC474": 429,
    "JC475": 429,
    "JC477": 409,
    "JC478": 409,
    "JC479": 500,
}
Render = Callable[[Request, JointCoderError, int, dict[str, str]], Response]


def path_of(request: Request) -> str:
    """The path that routes are found by. Not ``request.url``: that is put together with what the client calls the host,
    which may hold a path of its own."""
    path: str = request.scope["path"]
    return path


def is_api(path: str) -> bool:
    """Whether programs ask here, not people."""
    return any(path == one or path.startswith(f"{one}/") for one in API)


def headers_of(error: JointCoderError) -> dict[str, str]:
    """``WWW-Authenticate`` for 401, ``Retry-After`` where the error says when."""
    headers = {}
    if STATUS.get(error.code) == 401:
        headers["WWW-Authenticate"] = "Bearer"
    after = getattr(error, "retry_after", None)
    if after is not None:
        headers["Retry-After"] = str(after)
    return headers


def refused(request: Request, error: JointCoderError, render: Render | None) -> Response:
    """The response to a refused request. A browser that nobody is signed in to is sent to the sign-in page."""
    status, headers = STATUS.get(error.code, 500), headers_of(error)
    path = path_of(request)
    if error.code == "JC470" and not is_api(path):
        if request.headers.get("hx-request") == "true":
            return Response(status_code=401, headers={"HX-Redirect": SIGN_IN})
        if request.method in ("GET", "HEAD"):
            query = request.scope.get("query_string", b"").decode("latin-1")
            asked = path + (f"?{query}" if query else "")
            return RedirectResponse(f"{SIGN_IN}?next={quote(asked, safe='')}", 303)
    return (render or as_problem)(request, error, status, headers)


def as_problem(request: Request, error: JointCoderError, status: int, headers: dict[str, str]) -> Response:
    """problem+json: how an application looks that says nothing else."""
    body = {
        "type": f"urn:jointcoder:error:{error.code}",
        "title": CATALOGUE[error.code],
        "status": status,
        "detail": error.message,
        "code": error.code,
        "hint": error.hint,
    }
    return JSONResponse(body, status, headers, media_type="application/problem+json")
