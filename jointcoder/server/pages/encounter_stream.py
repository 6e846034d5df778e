"""The stages of a record while it is being coded, as server-sent events.

    GET /encounters/{version}/stages
        stage     HTML: a line for a stage that ended        progress   the share of stages that ended, 0 to 100
        text      HTML: the documents with the marks found so far
        found     HTML: the codes as the last stage left them
        done      the record is coded: the page loads itself anew        failed   the code of the error

A reader who comes late gets what is past first. The events of a stage that found nothing new carry no text. Answers
end with the coding, or when the reader goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from jointcoder.desk.views_live import live_places
from jointcoder.server.pages.encounter_shown import READERS, Shown
from jointcoder.server.pages.shell import Viewer, render, viewer
from jointcoder.store.lines import Status

if TYPE_CHECKING:
    from jointcoder.desk.stages import StageEvent
    from jointcoder.desk.views_text import Place

router = APIRouter()
LOOK_S = 0.2
"""How often a reader looks for news."""
ASK_S = 3.0
"""After how long without news the store is asked."""
WAITING = (Status.RECEIVED, Status.QUEUED, Status.CODING)
"""Statuses of an encounter that has no record yet and may get one."""


@router.get("/encounters/{version}/stages")
def stages(request: Request, who: Annotated[Viewer, Depends(viewer(*READERS))], version: str) -> Response:
    """The stages, as they end."""
    from sse_starlette import EventSourceResponse

    shown = Shown.of(request, who, version)
    response: Response = EventSourceResponse(events(request, shown), headers={"Cache-Control": "no-store"})
    return response


async def events(request: Request, shown: Shown) -> AsyncIterator[dict[str, Any]]:
    """The events of one encounter. Looks for news by itself: a reader who waits must not keep a thread of the pool."""
    told, quiet = 0, 0.0
    marked: tuple[Place, ...] = ()
    while shown.review is None:
        past = shown.desk.stages.past(shown.version)
        told = 0 if told > len(past) else told  # it is being coded anew
        for event in past[told:]:
            for made in await run_in_threadpool(_told, request, shown, event, marked):
                yield made
            marked = live_places(event, shown.encounter) or marked
            if event.last:
                return
        quiet = 0.0 if len(past) > told else quiet + LOOK_S
        told = len(past)
        if quiet >= ASK_S:  # another process may be coding it, which only the store tells
            line = await run_in_threadpool(shown.desk.line, shown.version)
            if line.status not in WAITING:
                break
            quiet = 0.0
        await asyncio.sleep(LOOK_S)
    yield {"event": "done", "data": "done"}


def _told(request: Request, shown: Shown, event: StageEvent, marked: tuple[Place, ...]) -> list[dict[str, Any]]:
    if event.last:
        return [{"event": event.state, "data": event.error_code or event.state}]
    found = [
        {"event": "stage", "data": _html(request, shown, "encounter/stage.html", event)},
        {"event": "progress", "data": str(round(100 * event.number / max(1, event.total)))},
    ]
    places = live_places(event, shown.encounter)
    if places and places != marked:
        page = render(request, shown.who, "encounter/documents.html", **shown.context(docs=shown.documents(places)))
        found.append({"event": "text", "data": bytes(page.body).decode()})
    if event.codes:
        found.append({"event": "found", "data": _html(request, shown, "encounter/found.html", event)})
    return found


def _html(request: Request, shown: Shown, template: str, event: StageEvent) -> str:
    page = render(request, shown.who, template, event=event, codes=event.codes)
    return bytes(page.body).decode()
