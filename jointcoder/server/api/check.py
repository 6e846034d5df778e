"""``POST /v1/check``: codes judged by the official rules, each finding with what it cites. Holds no patient."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from jointcoder.server.api.answers import ok
from jointcoder.server.api.operations import operation
from jointcoder.server.api.shapes import CheckedOut, told
from jointcoder.server.api.taken import CheckIn
from jointcoder.server.deps import Asker, BodyDep, BooksDep

router = APIRouter(tags=["codes"])


@router.post("/v1/check", **operation("check", answer=CheckedOut, body=CheckIn, errors=()))
def check(
    request: Request,
    body: BodyDep,
    user: Asker,
    books: BooksDep,
    on: Annotated[dt.date | None, Query(description="Day of discharge; before what the body says.")] = None,
    inpatient: Annotated[bool | None, Query(description="Whether present-on-admission indicators are due.")] = None,
) -> Response:
    """Judge codes by the official rules.

    Takes a list of codes, an object with `codes`, `patient`, `discharged` and `inpatient`, or a coded record. The first
    code of a kind is the principal one unless a role says otherwise.
    """
    checked = books.check(body.json(), on=on, inpatient=inpatient)
    errors = sum(finding.severity.value == "error" for finding in checked.findings)
    return ok(
        CheckedOut(
            book=checked.book,
            edition=checked.edition,
            errors=errors,
            findings=checked.findings,
            versions=told(request),
        )
    )
