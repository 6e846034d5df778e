"""The worklist: which encounters wait, who has them, and taking the next one.

    GET  /worklist                          the page; for htmx the list alone
    POST /worklist/next                     take the first free encounter that fits, and open it
    POST /worklist/{version}/claim          take it, or take it over (lead)
    POST /worklist/{version}/release        give it back

Filters, order and place stand in the URL (``status band language holder q priority sort after``), so that a list can be
sent to somebody and the back button works. Which encounters fit is the desk's business; this module only words the
question and shows the answer. What is shown is written into the audit log, once a look (:mod:`..looks`).
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from jointcoder.errors import JointCoderError
from jointcoder.server.auth import roles
from jointcoder.server.deps import get_desk
from jointcoder.server.looks import listed
from jointcoder.server.pages import i18n
from jointcoder.server.pages.shell import Address, Viewer, back_to, is_fragment, render, viewer

if TYPE_CHECKING:
    from jointcoder.store.lines import Line, Query

PATH = "/worklist"
OPEN = ("to_review", "in_review", "queried")
STATUSES = ("received", "queued", "coding", *OPEN, "finished", "failed")
REVIEWABLE = frozenset(OPEN)
COLUMNS = (
    "priority",
    "id",
    "status",
    "age",
    "language",
    "characters",
    "band",
    "codes",
    "undecided",
    "findings",
    "holder",
)
BANDS = ("high", "medium", "low")
SORTED = {  # column → (what the desk sorts by, whether it begins with the largest)
    "priority": ("priority", True),
    "id": ("id", False),
    "age": ("discharged", True),
    "characters": ("characters", True),
    "band": ("band", False),
    "codes": ("codes", True),
    "findings": ("findings", True),
}
ROWS = 50
TRIES = 25  # of free encounters, before "take next" gives up: others take too
HELD = "JC462"

router = APIRouter()
Reader = Annotated[Viewer, Depends(viewer(*roles.READ))]
Reviewer = Annotated[Viewer, Depends(viewer(*roles.REVIEW))]


@router.get(PATH)
def show(request: Request, who: Reader) -> Response:
    """The list that the query asks for. JC469 (400) where it asks for what there is not."""
    return _listed(request, who, Address.of(PATH, request.url.query))


@router.post(f"{PATH}/next")
def take_next(request: Request, who: Reviewer, back: Annotated[str, Form()] = "") -> Response:
    """Take the first free encounter that fits the filters. 303 to it, or back to the list where none is left."""
    desk = get_desk(request)
    address = Address.of(PATH, back)
    wanted = _query(address, who, holder="", status=("to_review",), after="", limit=TRIES)
    for line in desk.worklist(wanted).lines:
        try:
            taken = desk.claim(line.version, by=who.name)
        except JointCoderError as error:
            if error.code != HELD:
                raise
            continue
        return RedirectResponse(f"/encounters/{taken.version}", status_code=303)
    if is_fragment(request):
        return _listed(request, who, address, say="worklist.say.none_left")
    return back_to(address(), done="none_left")


@router.post(f"{PATH}/{{version}}/claim")
def claim(
    request: Request, who: Reviewer, version: str, back: Annotated[str, Form()] = "", over: Annotated[str, Form()] = ""
) -> Response:
    """Take an encounter; refused (409) where somebody else has it. A lead takes it over from ``over``, whom the list
    showed: not from somebody who came in between."""
    desk = get_desk(request)
    address = Address.of(PATH, back)
    try:
        line = desk.claim(version, by=who.name, over=over if who.may("lead") else "")
    except JointCoderError as error:
        if error.code != HELD or not is_fragment(request):
            raise
        line = desk.line(version)
        key = "held" if line.held(_now()) else "gone"
        return _listed(request, who, address, status=409, alarm=f"worklist.say.{key}", id=line.id, name=line.holder)
    if is_fragment(request):
        return _listed(request, who, address, say="worklist.say.taken", id=line.id)
    return back_to(address())


@router.post(f"{PATH}/{{version}}/release")
def release(request: Request, who: Reviewer, version: str, back: Annotated[str, Form()] = "") -> Response:
    """Give back what one has; refused (409) where it is with somebody else by now."""
    desk = get_desk(request)
    address = Address.of(PATH, back)
    line = desk.release(version, by=who.name)
    if is_fragment(request):
        return _listed(request, who, address, say="worklist.say.released", id=line.id)
    return back_to(address(), done="released")


# -------------------------------------------------------------------------------------------------------- the list


def _listed(
    request: Request, who: Viewer, address: Address, *, status: int = 200, say: str = "", alarm: str = "", **values: Any
) -> Response:
    """The page, or the list alone for htmx; ``say`` and ``alarm`` are keys of what is said along with it."""
    desk = get_desk(request)
    query = _query(address, who)
    page, counts = desk.worklist(query), desk.counts(query)
    listed(request, query, page)
    fragment = is_fragment(request)
    answer = render(
        request,
        who,
        "worklist/list.html" if fragment else "worklist/page.html",
        status=status,
        address=address,
        lines=page.lines,
        next=page.next,
        total=page.total,
        counts=counts,
        open_count=sum(counts.get(one, 0) for one in OPEN),
        all_count=sum(counts.values()),
        chosen=_chosen_status(address),
        statuses=STATUSES,
        bands=BANDS,
        languages=i18n.LANGUAGES,
        columns=_columns(address),
        filtered=any(address.all(name) for name in ("band", "language", "holder", "q", "priority", "source")),
        waited=functools.partial(_waited, _now()),
        holds=functools.partial(_holds, _now()),
        may_take=lambda line: who.may(*roles.REVIEW) and line.status in REVIEWABLE,
    )
    if fragment:
        told = {"say": say, "alarm": alarm}
        phrase = i18n.words(who.language).t
        events = {name: phrase(key, **values) for name, key in told.items() if key}
        if events:
            answer.headers["HX-Trigger"] = json.dumps(events)
        if status != 200:
            answer.headers["X-Fragment"] = "1"
        answer.headers["X-State"] = hashlib.sha256(bytes(answer.body)).hexdigest()[:16]
    answer.headers["Vary"] = "HX-Request"
    return answer


def _query(address: Address, who: Viewer, **changes: Any) -> Query:
    """The desk's question for what the URL says; the desk refuses (JC469) what it does not know."""
    from jointcoder.store.encounters import Query

    holder = address.first("holder")
    least = address.first("priority")
    asked: dict[str, Any] = {
        "status": _status(address),
        "band": address.all("band"),
        "language": address.first("language"),
        "source": address.first("source"),
        "holder": {"": None, "me": who.name, "nobody": ""}.get(holder, holder),
        "text": address.first("q").strip(),
        "min_priority": int(least) if least.isdecimal() and len(least) < 6 else None,
        "sort": address.first("sort", "priority"),
        "after": address.first("after"),
        "limit": ROWS,
    }
    return Query(**{**asked, **changes})


def _chosen_status(address: Address) -> str:
    """Which tab is chosen: ``open``, ``all`` or a status."""
    return address.first("status", "open")


def _status(address: Address) -> tuple[str, ...]:
    chosen = _chosen_status(address)
    if chosen == "open":
        return OPEN
    return () if chosen == "all" else address.all("status")


def _columns(address: Address) -> list[dict[str, str]]:
    """The heads of the table: what each sorts by next, and how it is sorted now (for ``aria-sort``)."""
    now = address.first("sort", "priority")
    heads = []
    for name in COLUMNS:
        key, large_first = SORTED.get(name, ("", False))
        way = ""
        if key and now.lstrip("-") == key:
            turned = now.startswith("-")
            way = "descending" if large_first != turned else "ascending"
        link = address(sort=f"-{key}" if now == key else key, after=None) if key else ""
        heads.append({"name": name, "link": link, "way": way})
    return heads


def _waited(now: dt.datetime, line: Line) -> dt.timedelta:
    """How long the patient has been gone; how long the record has been here, where that is not known."""
    if line.discharged is None:
        return line.age(now)
    return dt.timedelta(days=max(0, (now.astimezone().date() - line.discharged).days))


def _holds(now: dt.datetime, line: Line) -> str:
    """Who has it now, "" for nobody: a hold that has run out is none."""
    return line.holder if line.held(now) else ""


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
