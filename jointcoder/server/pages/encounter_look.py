"""What the encounter page looks up: codes, one code before it is taken, why a code, the DRG, a page's picture.

    POST /encounters/{version}/search              hits, by code begun, words and index; what is sought may be words of
                                                   the note, so it goes where no log keeps it
    GET  /encounters/{version}/entry?system=&code= one entry: notes, dates, what is more specific, clashes
    GET  /encounters/{version}/why/{item}          what the record tells about a code
    GET  /encounters/{version}/drg                 a preview of the group, information only
    GET  /encounters/{version}/documents/{number}/pages/{page}.png

All only read. The code book is that of the encounter's date.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.model import NOTE_KINDS, Note
from jointcoder.codebook.rules import check
from jointcoder.desk.views_why import why as why_view
from jointcoder.errors import InputError, JointCoderError, UsageError
from jointcoder.records import AssignedCode, Kind, System
from jointcoder.server.books import CodePage
from jointcoder.server.looks import looked
from jointcoder.server.pages import i18n
from jointcoder.server.pages.encounter_shown import READERS, Shown, form, url_of
from jointcoder.server.pages.shell import Viewer, render, viewer
from jointcoder.steps.base import edition_date

router = APIRouter()
Reader = Annotated[Viewer, Depends(viewer(*READERS))]
SHOWN_HITS = 20
NOTE_LINES = 12
"""Lines of one kind of note that are shown; a chapter can have a hundred."""


@router.post("/encounters/{version}/search", response_class=HTMLResponse)
def search(request: Request, who: Reader, version: str, fields: Annotated[dict[str, str], Depends(form)]) -> Response:
    """Codes for what a coder types: ``q``, and ``of`` which kind."""
    q, of = fields.get("q", ""), fields.get("of", "diagnosis")
    books = request.app.state.books
    encounter = request.app.state.desk.encounter(version)
    kind = Kind(of) if of in set(Kind) else None
    hits = books.search(q, kind=kind, k=SHOWN_HITS, on=edition_date(encounter)) if q.strip() else ()
    return render(request, who, "encounter/hits.html", hits=hits, asked=bool(q.strip()), url=url_of(version))


@router.get("/encounters/{version}/entry", response_class=HTMLResponse)
def entry(request: Request, who: Reader, version: str, system: str, code: str, item: str = "") -> Response:
    """One entry of the book, judged beside the codes of the record; ``item``: the row that it would replace."""
    shown = Shown.of(request, who, version)
    if system not in set(System):
        raise InputError("JC108", "system: not a code system")
    on = edition_date(shown.encounter)
    page = request.app.state.books.describe(code, system=System(system), on=on)
    book = shown.desk.editions.on(on)
    discharged = shown.encounter.discharged
    rows = [row for row in shown.view.rows if row.id != item] if shown.view else []
    taken = any((row.code.system, row.code.code) == (page.system, page.code) for row in rows)
    context: dict[str, Any] = {
        "page": page,
        "valid": book.is_valid(page.system, page.code, discharged),
        "day": discharged.isoformat() if discharged else "",
        "taken": taken,
        "groups": grouped(page.notes),
        "clashes": [] if taken else clashes(book, [row.code for row in rows], shown, page),
    }
    return render(request, who, "encounter/entry.html", **shown.context(**context))


@router.get("/encounters/{version}/why/{item}", response_class=HTMLResponse)
def why(request: Request, who: Reader, version: str, item: str) -> Response:
    """Why the record has this code."""
    shown = Shown.of(request, who, version)
    found = next((one for one in shown.review.items if one.id == item), None) if shown.review else None
    if found is None or shown.review is None:
        raise UsageError("JC460", "the review has no such row")
    t = shown.speaker.words.t
    code = found.proposed or found.code
    own = ""
    if found.proposed is None:
        own = t("encounter.why_added", who=found.by)
    elif (found.code.system, found.code.code) != (code.system, code.code):
        own = t("encounter.why_replaced", who=found.by, code=found.code.code)
    return render(request, who, "encounter/why.html", **shown.context(why=why_view(shown.review.record, code), own=own))


@router.get("/encounters/{version}/drg", response_class=HTMLResponse)
def drg(request: Request, who: Reader, version: str) -> Response:
    """The group that the codes as they stand would give, or politely none."""
    from jointcoder.exchange.drg import DrgPreview
    from jointcoder.exchange.drg import drg as grouped_as

    shown = Shown.of(request, who, version)
    codes: tuple[AssignedCode, ...] = shown.review.coded().codes if shown.review else ()
    t = shown.speaker.words.t
    group: DrgPreview | None = None
    words = ""
    if not any(code.system is System.ICD10CM for code in codes):
        words = t("encounter.drg_none")
    else:
        try:
            found = grouped_as(codes, patient=shown.encounter.patient, discharged=shown.encounter.discharged)
            group = found if found.status == "OK" else None
            words = "" if group else t("encounter.drg_not_grouped", status=found.status)
        except JointCoderError as error:
            words = t("encounter.drg_missing") if error.code == "JC002" else t("encounter.drg_no_version")
    return render(request, who, "encounter/drg.html", group=group, words=words)


@router.get("/encounters/{version}/documents/{number}/pages/{page}.png")
def picture(request: Request, who: Reader, version: str, number: int, page: int) -> Response:
    """The picture of a page as it was read; 404 where none is kept."""
    found = request.app.state.desk.page_image(version, number, page)
    if found is None:
        raise UsageError("JC460", "no picture of this page is kept")
    looked(request, "encounter.view", "encounter", version)
    content, media_type = found
    return Response(content, media_type=media_type, headers={"Cache-Control": "no-store"})


def grouped(notes: Iterable[Note]) -> list[tuple[str, list[Note]]]:
    """Notes by kind, excluding ones first: they decide most often."""
    by_kind: dict[str, list[Note]] = {}
    for note in notes:
        by_kind.setdefault(note.kind, []).append(note)
    order = sorted(NOTE_KINDS, key=lambda kind: not kind.startswith("excludes"))
    return [(kind, by_kind[kind][:NOTE_LINES]) for kind in order if kind in by_kind]


def clashes(book: CodeBook, codes: Sequence[AssignedCode], shown: Shown, page: CodePage) -> list[tuple[str, str]]:
    """What the rules would say of a code beside others: (other codes, the finding in words)."""
    on, patient = shown.encounter.discharged, shown.encounter.patient
    held = [code for code in codes if code.system in book.info.systems]
    more = AssignedCode(system=page.system, code=page.code, name=page.name, confidence=1.0)
    before = {(one.rule, one.codes) for one in check(book, held, on=on, patient=patient)}
    found = []
    for one in check(book, [*held, more], on=on, patient=patient):
        if (one.rule, one.codes) not in before and page.code in one.codes and len(one.codes) > 1:
            others = ", ".join(other for other in one.codes if other != page.code)
            found.append((others, i18n.finding_text(one, shown.who.language)))
    return found
