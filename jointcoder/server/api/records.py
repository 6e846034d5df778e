"""``/v1/records``: what was coded and what coders decided, under ETag and If-Match.

A record is never overwritten: a decision names the version it was made from, and one made from an older version than
the one in force is refused (412) together with the decisions made since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from jointcoder.desk.decisions import parse_decision
from jointcoder.desk.review import Review
from jointcoder.desk.service import Desk
from jointcoder.errors import InputError, UsageError
from jointcoder.records import CodedRecord
from jointcoder.server.api.answers import expected, ok, quoted, unchanged
from jointcoder.server.api.jobs import clean
from jointcoder.server.api.operations import operation
from jointcoder.server.api.shapes import ReviewOut, told
from jointcoder.server.api.taken import DecisionIn, DecisionsIn
from jointcoder.server.auth import User
from jointcoder.server.deps import BodyDep, DeskDep, Reader, Reviewer, viewed
from jointcoder.server.looks import looked

router = APIRouter(tags=["review"])
MOST = 500  # decisions in one request
Form = Annotated[
    Literal["review", "coded", "model"],
    Query(description="`review`: decisions and findings too; `coded`: as decided; `model`: as the model made it."),
]
IfMatch = Annotated[str | None, Header(alias="If-Match", description='The ETag of the record, e.g. "7-3". Needed.')]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", description="The ETag that the client has.")]
CONFLICTS = (404, 409, 412, 422, 428)


@router.get("/v1/records/{ref}", **operation("get_record", answer=(ReviewOut, CodedRecord), errors=(304, 404)))
def get_record(
    request: Request, ref: str, user: Reader, desk: DeskDep, form: Form = "review", if_none_match: IfNoneMatch = None
) -> Response:
    """The coded record of an encounter, by the encounter's id or version, with everything decided about it."""
    version, review = _review(desk, ref)
    headers = {"ETag": quoted(review.etag), "Cache-Control": "private, no-cache"}
    if unchanged(if_none_match or "", review.etag):
        return Response(status_code=304, headers=headers)
    viewed(desk, user, "record.view", "encounter", version, {"form": form, "etag": review.etag})
    if form == "review":
        return ok(ReviewOut.of(review, version, told(request)), headers=headers)
    return ok(review.coded() if form == "coded" else review.record, headers=headers)


@router.post(
    "/v1/records/{ref}/decisions",
    **operation("decide", status=201, answer=ReviewOut, body=DecisionIn, errors=CONFLICTS),
)
def add_decision(
    request: Request, ref: str, body: BodyDep, user: Reviewer, desk: DeskDep, if_match: IfMatch = None
) -> Response:
    """Take one decision about the record. `If-Match` names the version it was made from."""
    return _decided(request, ref, [body.json()], if_match, user, desk, status=201)


@router.patch("/v1/records/{ref}", **operation("decide_several", answer=ReviewOut, body=DecisionsIn, errors=CONFLICTS))
def add_decisions(
    request: Request, ref: str, body: BodyDep, user: Reviewer, desk: DeskDep, if_match: IfMatch = None
) -> Response:
    """Take several decisions in order, all or none: where one does not fit, none is taken."""
    value = body.json()
    given = value.get("decisions") if isinstance(value, Mapping) and set(value) == {"decisions"} else None
    if not isinstance(given, list) or not given:
        raise InputError("JC108", "decisions: a list of decisions is needed", hint='{"decisions": [{"kind": …}, …]}')
    if len(given) > MOST:
        raise InputError("JC108", f"decisions: {MOST} at most in one request")
    return _decided(request, ref, given, if_match, user, desk, status=200)


def _decided(
    request: Request, ref: str, given: Sequence[Any], if_match: str | None, user: User, desk: Desk, *, status: int
) -> Response:
    version, review = _review(desk, ref)
    etag = expected(if_match or "", review.etag)
    decisions = [parse_decision(one if isinstance(one, Mapping) else {}) for one in given]
    looked(request, "record.view", "encounter", version)  # the answer holds the record, or what others decided on it
    review = desk.decide_all(version, decisions, expected=etag, by=user.name, lead=user.may("lead"))
    headers = {"ETag": quoted(review.etag), "Location": f"/v1/records/{version}"}
    return ok(ReviewOut.of(review, version, told(request)), status=status, headers=headers)


def _review(desk: Desk, ref: str) -> tuple[str, Review]:
    """The version that is meant, and its review. UsageError JC460."""
    opened = desk.open(clean(ref))
    if opened.review is None:
        raise UsageError("JC460", "the encounter is not coded yet", hint="ask again when its status is to_review")
    return opened.version, opened.review
