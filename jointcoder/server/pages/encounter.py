"""The encounter page: documents left, codes right (``router``; its parts are mounted here).

    GET  /encounters/{version}              the page; while the record is being coded, the page of the live stages
    GET  /encounters/{version}/review       the right half alone
    POST /encounters/{version}/claim        take the encounter      …/release: give it back
    encounter_decide.py                     decisions
    encounter_look.py                       search, one code, why this code, DRG preview, pictures of pages
    encounter_stream.py                     the stages while a record is being coded

A version is the hash of an encounter's content: what is shown under one URL never changes underneath a reader. Every
view of a patient's text is written to the audit log; the parts of a page belong to the look at it.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, Response

from jointcoder.errors import JointCoderError
from jointcoder.server.pages import encounter_decide, encounter_look, encounter_stream
from jointcoder.server.pages.encounter_answers import refused, whole
from jointcoder.server.pages.encounter_shown import DECIDERS, READERS, Shown
from jointcoder.server.pages.shell import Viewer, is_fragment, render, viewer

router = APIRouter()
router.include_router(encounter_decide.router)
router.include_router(encounter_look.router)
router.include_router(encounter_stream.router)

Reader = Annotated[Viewer, Depends(viewer(*READERS))]
Decider = Annotated[Viewer, Depends(viewer(*DECIDERS))]


@router.get("/encounters/{version}", response_class=HTMLResponse)
def page(request: Request, who: Reader, version: str) -> Response:
    """The page of an encounter, by its version or its id."""
    shown = Shown.of(request, who, version, afresh=True)
    if shown.view is None:
        live = shown.line.status in encounter_stream.WAITING
        return render(request, who, "encounter/live.html", **shown.context(docs=shown.documents(), live=live))
    return render(request, who, "encounter/page.html", **shown.context(docs=shown.documents()))


@router.get("/encounters/{version}/review", response_class=HTMLResponse)
def review(request: Request, who: Reader, version: str) -> Response:
    """The right half, with the text where htmx asks for it."""
    return whole(request, Shown.of(request, who, version), with_text=is_fragment(request))


@router.post("/encounters/{version}/claim", response_class=HTMLResponse)
def claim(request: Request, who: Decider, version: str, over: Annotated[str, Form()] = "") -> Response:
    """Take the encounter. A lead takes it over from ``over``, whom the page showed: not from somebody who came in
    between."""
    try:
        request.app.state.desk.claim(version, by=who.name, over=over if who.may("lead") else "")
    except JointCoderError as error:
        return refused(request, Shown.of(request, who, version), error)
    return whole(request, Shown.of(request, who, version), say="encounter.said.claim")


@router.post("/encounters/{version}/release", response_class=HTMLResponse)
def release(request: Request, who: Decider, version: str) -> Response:
    """Give the encounter back."""
    try:
        request.app.state.desk.release(version, by=who.name, lead=who.may("lead"))
    except JointCoderError as error:
        return refused(request, Shown.of(request, who, version), error)
    return whole(request, Shown.of(request, who, version), say="encounter.said.release")
