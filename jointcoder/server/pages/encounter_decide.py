"""Decisions from the encounter page: a form in, the review as it then stands out.

    POST /encounters/{version}/decisions     kind, what it is about, and ``etag``: the state the coder was looking at

The desk decides whether a decision fits; this module turns a form into one, and its refusal into words. Nothing a
person typed enters a log or an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, Response

from jointcoder.desk.decisions import Decision, parse_decision
from jointcoder.errors import InputError, JointCoderError
from jointcoder.server.pages.encounter_answers import HELD, STALE, refused, stale, whole
from jointcoder.server.pages.encounter_shown import DECIDERS, Shown, form
from jointcoder.server.pages.shell import Viewer, viewer

router = APIRouter()

FIELDS: Mapping[str, tuple[str, ...]] = {
    "accept": ("item",),
    "reject": ("item", "reason"),
    "replace": ("item", "system", "code", "reason"),
    "add": ("system", "code"),
    "move": ("item", "to"),
    "principal": ("item",),
    "poa": ("item", "value"),
    "link": ("procedure", "diagnosis"),
    "unlink": ("procedure", "diagnosis"),
    "comment": ("item", "text"),
    "override": ("finding", "reason"),
    "bulk_accept": ("threshold",),
    "query": ("item", "text"),
    "finish": (),
    "reopen": ("reason",),
    "undo": (),
}
"""The fields of a form that each kind of decision takes."""
WORDS = {"comment": "text", "query": "text", "override": "reason", "reopen": "reason"}
"""Where a person's words go: the dialog has one field for all of them."""
REDRAWN = frozenset({"add", "replace", "undo", "reopen"})
"""Decisions that may change which marks the text bears."""
NUMBERS: Mapping[str, Callable[[str], float]] = {"to": int, "threshold": float}


@router.post("/encounters/{version}/decisions", response_class=HTMLResponse)
def decide(
    request: Request,
    who: Annotated[Viewer, Depends(viewer(*DECIDERS))],
    version: str,
    fields: Annotated[dict[str, str], Depends(form)],
) -> Response:
    """Take a decision. 412 with what others changed where the state is another; 409 or 422 where it does not fit."""
    expected = fields.get("etag") or request.headers.get("if-match", "").strip('"')
    try:
        decision = decision_of(fields)
        review = request.app.state.desk.decide(version, decision, expected=expected, by=who.name, lead=who.may("lead"))
    except JointCoderError as error:
        shown = Shown.of(request, who, version)
        if error.code in (STALE, HELD):
            return stale(request, shown, error, seen=expected)
        return refused(request, shown, error)
    shown = Shown.of(request, who, version, review=review)
    about = fields.get("code") or _code_of(shown, fields.get("item", ""))
    kind = decision.kind
    added = f"a{review.seq}" if kind == "add" else ""
    say, values = f"encounter.said.{kind}", {"code": about}
    return whole(request, shown, say=say, values=values, item=added, with_text=kind in REDRAWN)


def decision_of(fields: Mapping[str, str]) -> Decision:
    """The decision that a form means. InputError JC108 where it means none."""
    kind = fields.get("kind", "")
    if kind not in FIELDS:
        raise InputError("JC108", "kind: not a kind of decision", hint=f"known: {', '.join(FIELDS)}")
    given: dict[str, Any] = {"kind": kind}
    for name in FIELDS[kind]:
        value = fields.get(name, "")
        if name == WORDS.get(kind):
            value = value or fields.get("words", "")
        if value != "" or name in ("item", "text", "reason"):
            given[name] = _number(name, value) if name in NUMBERS else value
    if kind == "poa":
        given["value"] = fields.get("value") or None
    if kind == "add":
        given["evidence"] = _evidence(fields.get("evidence", ""))
    if kind not in ("comment", "query") and given.get("item") == "":
        del given["item"]
    return parse_decision({name: value for name, value in given.items() if name != "reason" or value})


def _number(name: str, value: str) -> float:
    try:
        return NUMBERS[name](value)
    except ValueError:
        raise InputError("JC108", f"{name}: not a number") from None


def _evidence(text: str) -> list[dict[str, int]]:
    """Spans that the page's script wrote: ``[{"document": 0, "start": 3, "end": 9}]``."""
    if not text:
        return []
    try:
        spans = json.loads(text)
        return [{name: int(span[name]) for name in ("document", "start", "end")} for span in spans]
    except (ValueError, TypeError, KeyError):
        raise InputError("JC108", "evidence: no list of document, start and end") from None


def _code_of(shown: Shown, item: str) -> str:
    view = shown.view
    rows = (*view.rows, *view.gone) if view else ()
    return next((row.code.code for row in rows if row.id == item), "")
