"""Answers of the encounter page to htmx: the right half anew, or why not.

    whole(…)        200: the review, what is to be said, the text too where its marks changed
    stale(…)        412 (changed meanwhile), 409 (somebody else has it): the review as others left it, with what they
                    changed; what the coder typed stays in its field
    refused(…)      409, 422 …: only a notice, with its code; where finishing was refused, the list of what is open

An answer that is no success carries ``X-Fragment``, by which the page knows that it is to be shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jointcoder.server.pages.shell import render
from jointcoder.server.problem import status_of

if TYPE_CHECKING:
    from fastapi import Request
    from fastapi.responses import Response

    from jointcoder.desk.decisions import Decided
    from jointcoder.errors import JointCoderError
    from jointcoder.server.pages.encounter_shown import Shown

STALE, HELD, OPEN = "JC461", "JC462", "JC465"


def whole(
    request: Request,
    shown: Shown,
    *,
    say: str = "",
    values: Mapping[str, Any] | None = None,
    item: str = "",
    with_text: bool = False,
) -> Response:
    """The right half; ``say``: the key of a phrase to be said, with its ``values``; ``item``: the row to go to."""
    events: dict[str, Any] = {"desk:decided": {"item": item}}
    if say:
        events["say"] = shown.speaker.words.t(say, **(values or {}))
    headers = {"HX-Trigger-After-Settle": json.dumps(events), "ETag": f'"{shown.view.etag}"' if shown.view else '"0"'}
    context = shown.context(docs=shown.documents() if with_text else None, with_text=with_text, **_no_notice())
    return render(request, shown.who, "encounter/answer.html", headers=headers, **context)


def stale(request: Request, shown: Shown, error: JointCoderError, *, seen: str = "") -> Response:
    """Somebody was quicker, or has the record now: the record as it is and what changed since the state ``seen``.
    Nothing was written."""
    t = shown.speaker.words.t
    since = _since(shown, seen)
    changes = [shown.speaker.decision(one) for one in since]
    held = error.code == HELD
    title = t("encounter.refused.JC462") if held else t("encounter.stale")
    who = ", ".join(sorted({one.by for one in since})) or shown.line.holder
    words = t("encounter.stale_words", who=who) if who else t("encounter.stale_again")
    context = shown.context(docs=shown.documents(), with_text=True)
    context |= _notice("warn", title, words, changes=changes, keeps=True)
    headers = {
        "HX-Trigger-After-Settle": json.dumps({"alarm": f"{title} {words}", "desk:stale": 1}),
        "ETag": f'"{shown.view.etag}"' if shown.view else '"0"',
        "X-Fragment": "1",
    }
    status = status_of(error)
    return render(request, shown.who, "encounter/answer.html", status=status, headers=headers, **context)


def _since(shown: Shown, seen: str) -> list[Decided]:
    """The decisions after the state that a coder was looking at; none where that was of another review."""
    number, _, seq = seen.partition("-")
    if shown.review is None or number != str(shown.review.id) or not seq.isdigit():
        return []
    return [one for one in shown.review.decided if one.seq > int(seq)]


def refused(request: Request, shown: Shown, error: JointCoderError) -> Response:
    """Why a decision was not taken. Where points are open the focus goes to the first of them."""
    t = shown.speaker.words.t
    points = [(one.target, shown.point(one)) for one in shown.view.open] if shown.view and error.code == OPEN else []
    known = f"encounter.refused.{error.code}"
    title = t(known) if shown.speaker.words.has(known) else t("encounter.refused.other", code=error.code)
    words = "" if points else _meaning(shown, error)
    events: dict[str, Any] = {"alarm": f"{title} {words}".strip()}
    if points:
        events["desk:focus"] = {"to": points[0][0]}
    context = shown.context() | _notice("bad", title, words, points=points)
    headers = {
        "HX-Retarget": "#notice",
        "HX-Reswap": "outerHTML",
        "HX-Trigger-After-Settle": json.dumps(events),
        "X-Fragment": "1",
    }
    template = "encounter/notice.html"
    return render(request, shown.who, template, status=status_of(error), headers=headers, **(context | {"oob": False}))


def _meaning(shown: Shown, error: JointCoderError) -> str:
    from jointcoder.server.pages.i18n import meaning

    return meaning(error.code, error.message, shown.who.language)


def _no_notice() -> dict[str, Any]:
    return {"title": ""}


def _notice(
    tone: str,
    title: str,
    words: str,
    *,
    changes: list[str] | None = None,
    points: Sequence[tuple[str, str]] = (),
    keeps: bool = False,
) -> dict[str, Any]:
    return {
        "tone": tone,
        "title": title,
        "words": words,
        "changes": changes or [],
        "points": points,
        "keeps": keeps,
        "oob": True,
    }
