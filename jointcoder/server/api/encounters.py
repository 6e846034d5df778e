"""``/v1/encounters``: the worklist, what stands in it, and who has it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from jointcoder.server.api.answers import ok
from jointcoder.server.api.coding import read_encounter
from jointcoder.server.api.jobs import Key, Priority, Source, clean
from jointcoder.server.api.operations import operation
from jointcoder.server.api.shapes import EncounterOut, LineOut, LinesOut, told
from jointcoder.server.api.taken import EncounterIn
from jointcoder.server.deps import BodyDep, DeskDep, Reader, Reviewer, Submitter, viewed
from jointcoder.server.looks import listed
from jointcoder.store.encounters import Query as Wanted
from jointcoder.store.encounters import Status, version_of
from jointcoder.store.lines import HIGHEST_PRIORITY

router = APIRouter(tags=["worklist"])
SORTS = "priority|received|discharged|band|characters|codes|findings|id|updated"
ME, NOBODY = "me", "nobody"
Day = dt.datetime | None


@router.get("/v1/encounters", **operation("worklist", answer=LinesOut, errors=(400,)))
def worklist(
    request: Request,
    user: Reader,
    desk: DeskDep,
    status: Annotated[list[Status] | None, Query(description="Repeatable.")] = None,
    band: Annotated[list[str] | None, Query(description="high, medium or low confidence; repeatable.")] = None,
    source: Annotated[str, Query(max_length=100)] = "",
    language: Annotated[str, Query(max_length=10)] = "",
    holder: Annotated[str | None, Query(max_length=100, description="An account, `me` or `nobody`.")] = None,
    q: Annotated[str, Query(max_length=200, description="Part of an encounter's id.")] = "",
    min_priority: Annotated[int | None, Query(ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY)] = None,
    received_from: Day = None,
    received_to: Day = None,
    sort: Annotated[
        str, Query(pattern=f"^-?({SORTS})$", description="With - in front the other way round.")
    ] = "priority",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str, Query(max_length=500, description="`next` of the page before.")] = "",
) -> Response:
    """The worklist: newest versions of the encounters, filtered and sorted, page by page. Holds no text and no code."""
    wanted = Wanted(
        status=tuple(status or ()),
        band=tuple(map(clean, band or ())),
        source=clean(source),
        language=clean(language),
        holder={ME: user.name, NOBODY: ""}.get(holder, clean(holder)) if holder is not None else None,
        text=clean(q),
        min_priority=min_priority,
        received_from=_utc(received_from),
        received_to=_utc(received_to),
        sort=sort,
        limit=limit,
        after=clean(after),
    )
    page = desk.worklist(wanted)
    listed(request, wanted, page)
    headers = {}
    if page.next:
        url = request.url.include_query_params(after=page.next)
        headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
    items = tuple(LineOut.model_validate(line) for line in page.lines)
    body = LinesOut(items=items, next=page.next, total=page.total, versions=told(request))
    return ok(body, headers=headers)


@router.post(
    "/v1/encounters", **operation("add_encounter", status=201, answer=LineOut, body=EncounterIn, errors=(409,))
)
def add_encounter(
    body: BodyDep,
    user: Submitter,
    desk: DeskDep,
    key: Key = None,
    priority: Priority = 0,
    source: Source = "",
    code: Annotated[bool, Query(description="Queue it to be coded; else it is only kept.")] = True,
) -> Response:
    """Put an encounter into the worklist and queue it to be coded.

    The same id with other content is a new version, which takes the place of the old one in the worklist. The same
    content again changes nothing.
    """
    encounter = read_encounter(body.json())
    if code:
        desk.submit([encounter], by=user.name, key=clean(key or ""), priority=priority, source=clean(source))
        line = desk.line(version_of(encounter))
    else:
        line = desk.receive(encounter, source=clean(source), priority=priority, by=user.name)
    return ok(LineOut.model_validate(line), status=201, headers={"Location": f"/v1/encounters/{line.version}"})


@router.get("/v1/encounters/{ref}", **operation("get_encounter", answer=EncounterOut, errors=(404,)))
def get_encounter(request: Request, ref: str, user: Reader, desk: DeskDep) -> Response:
    """An encounter by its id, or one version of it: its documents, and its line of the worklist (of the newest one)."""
    encounter = desk.encounter(clean(ref))
    line = LineOut.model_validate(desk.line(encounter.id))
    viewed(desk, user, "encounter.view", "encounter", version_of(encounter))
    return ok(EncounterOut(line=line, encounter=encounter, versions=told(request)))


@router.post("/v1/encounters/{ref}/claim", **operation("claim", answer=LineOut, errors=(404, 409)))
def claim(ref: str, user: Reviewer, desk: DeskDep) -> Response:
    """Take an encounter to review it. Nobody else decides on it until it is given back or the claim runs out; a lead
    may take it over."""
    return ok(LineOut.model_validate(desk.claim(clean(ref), by=user.name, lead=user.may("lead"))))


@router.delete("/v1/encounters/{ref}/claim", **operation("release", answer=LineOut, errors=(404, 409)))
def release(ref: str, user: Reviewer, desk: DeskDep) -> Response:
    """Give an encounter back."""
    return ok(LineOut.model_validate(desk.release(clean(ref), by=user.name, lead=user.may("lead"))))


def _utc(day: dt.datetime | None) -> dt.datetime | None:
    """A time without a zone is one of UTC."""
    return day.replace(tzinfo=dt.UTC) if day is not None and day.tzinfo is None else day
