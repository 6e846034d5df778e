"""The audit log on a page: who saw and changed what, newest first, and whether the chain is whole.

    GET  /admin/audit          entries that fit the filters (``actor action kind subject from to before``)
    POST /admin/audit/chain    walks the whole chain; the answer is the state of it, a part of the page

Looking at the log is an entry in it, too. Days are those of this machine's clock.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from jointcoder.server.auth import roles
from jointcoder.server.deps import get_desk
from jointcoder.server.pages.shell import Address, Viewer, is_fragment, render, viewer
from jointcoder.store.audit import Audit

PATH = "/admin/audit"
ROWS = 100
FILTERS = ("actor", "action", "kind", "subject", "from", "to")
WORTH = ("review.", "record.", "encounter.")  # actions whose subject is a page

router = APIRouter()
Auditor = Annotated[Viewer, Depends(viewer(*roles.AUDIT))]


@router.get(PATH)
def show(request: Request, who: Auditor) -> Response:
    """A page of the log. A filter that cannot be read leaves the list empty and is marked."""
    address = Address.of(PATH, request.url.query)
    log = Audit(get_desk(request).store)
    begin, begin_wrong = _day(address.first("from"))
    end, end_wrong = _day(address.first("to"))
    before = address.first("before")
    entries = (
        []
        if begin_wrong or end_wrong
        else log.page(
            before=int(before) if before.isdecimal() and len(before) < 16 else None,
            limit=ROWS + 1,
            actor=address.first("actor") or None,
            action=address.first("action") or None,
            kind=address.first("kind") or None,
            subject=address.first("subject").strip() or None,
            since=begin,
            until=end + dt.timedelta(days=1) if end else None,
        )
    )
    asked = {name: address.first(name) for name in (*FILTERS, "before") if address.first(name)}
    log.add(actor=who.name, action="audit.view", kind="audit", details={**asked, "entries": len(entries[:ROWS])})
    return render(
        request,
        who,
        "audit/page.html",
        address=address,
        entries=entries[:ROWS],
        next=entries[ROWS - 1].seq if len(entries) > ROWS else "",
        details=_details,
        actors=log.actors(),
        actions=log.actions(),
        wrong={"from": begin_wrong, "to": end_wrong},
        filtered=any(address.first(name) for name in FILTERS),
        anchor=log.anchor(),
    )


@router.post(f"{PATH}/chain")
def check_chain(request: Request, who: Auditor) -> Response:
    """Verify every entry; this may take seconds where there are millions."""
    log = Audit(get_desk(request).store)
    found = log.verify()
    log.add(actor=who.name, action="audit.verify", kind="audit", details={"entries": found.rows, "whole": found.ok})
    template = "audit/chain.html" if is_fragment(request) else "audit/chain_page.html"
    return render(request, who, template, found=found)


def _day(text: str) -> tuple[dt.datetime | None, bool]:
    """The beginning of a day, and whether the text is no day."""
    if not text:
        return None, False
    try:
        return dt.datetime.fromisoformat(text).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(), False
    except (ValueError, OverflowError, OSError):
        return None, True


def _details(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values of an entry's details, as short text."""
    return [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
        for name, value in values.items()
        if value not in (None, "", [], {})
    ]
