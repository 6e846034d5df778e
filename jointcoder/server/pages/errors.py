"""Errors as pages: what the API says as problem+json, in the reader's language, with a way on.

``app.state.error_page`` is :func:`error_page`; :mod:`jointcoder.server.problem` calls it for every path outside the
API. htmx gets a part of a page instead, which stands where the answer would have stood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import Response

from jointcoder.server.pages.shell import anyone, is_fragment, render

if TYPE_CHECKING:
    from jointcoder.server.problem import Problem


def error_page(request: Request, problem: Problem) -> Response:
    """The HTML twin of a problem: its status, code, meaning, details and hint; never note text."""
    fragment = is_fragment(request)
    headers = dict(problem.headers)
    if fragment:
        headers["X-Fragment"] = "1"
    return render(
        request,
        anyone(request),
        "error_part.html" if fragment else "error.html",
        status=problem.status,
        headers=headers,
        problem=problem,
    )
