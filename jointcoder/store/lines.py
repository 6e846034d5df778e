"""The worklist as frozen values: one line an encounter, the query that chooses lines, the cursor that goes on.

    page = encounters.lines(Query(status=("to_review",), band=("low",), limit=50))
    page = encounters.lines(Query(status=("to_review",), band=("low",), limit=50, after=page.next))

Paging is by the values of the last line, not by counting: what comes in or goes out meanwhile neither repeats a line
nor hides one that did not change. Knows no tables; ``encounters.py`` does.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from jointcoder.errors import UsageError, name_list

LONGEST_PAGE = 200
HIGHEST_PRIORITY = 1000
BANDS = ("high", "medium", "low")


class Status(StrEnum):
    """Where an encounter stands. ``queried``: a question to the physician is open."""

    RECEIVED = "received"
    QUEUED = "queued"
    CODING = "coding"
    TO_REVIEW = "to_review"
    IN_REVIEW = "in_review"
    FINISHED = "finished"
    FAILED = "failed"
    QUERIED = "queried"


UNCODED = (Status.RECEIVED, Status.QUEUED, Status.CODING, Status.FAILED)
"""States in which nothing was decided yet: coding anew may change them."""

SORTS = ("priority", "received", "updated", "discharged", "band", "characters", "codes", "findings", "id")
"""Natural directions: highest priority (then longest waiting) first, oldest received, newest updated, oldest discharged
(without a date last), lowest band, longest, most codes, most findings, ids ascending. ``-name`` turns it round."""


@dataclass(frozen=True)
class Line:
    """One encounter in the worklist. ``received``: when this version came; ``findings``: those that block finishing;
    ``undecided``: proposed codes that nobody judged; ``seq``: of the last decision; ``job``: the last one that took it;
    ``error_code``: why it failed."""

    id: str
    version: str
    status: Status
    priority: int
    source: str
    language: str
    received: dt.datetime
    updated: dt.datetime
    discharged: dt.date | None
    characters: int
    band: str
    codes: int
    findings: int
    undecided: int
    holder: str
    held_until: dt.datetime | None
    seq: int
    error_code: str
    versions: int
    job: str

    def age(self, now: dt.datetime) -> dt.timedelta:
        """How long ago this version came in."""
        return now - self.received

    def held(self, now: dt.datetime) -> bool:
        """Whether somebody has it at this moment."""
        return bool(self.holder) and self.held_until is not None and self.held_until > now


@dataclass(frozen=True)
class Query:
    """Which lines, in which order. Empty means no restriction; ``holder``: None anybody's, "" nobody's; ``text``: part
    of an id; ``after``: :attr:`Page.next` of the page before. Raises UsageError JC469 for values that cannot be."""

    status: tuple[str, ...] = ()
    band: tuple[str, ...] = ()
    source: str = ""
    language: str = ""
    holder: str | None = None
    text: str = ""
    min_priority: int | None = None
    received_from: dt.datetime | None = None
    received_to: dt.datetime | None = None
    sort: str = "priority"
    limit: int = 50
    after: str = ""

    def __post_init__(self) -> None:
        _known("status", self.status, tuple(Status))
        _known("band", self.band, BANDS)
        _known("sort", (self.sort.removeprefix("-"),), SORTS)
        if not 1 <= self.limit <= LONGEST_PAGE:
            raise UsageError("JC469", f"limit: a page holds 1 to {LONGEST_PAGE} lines")
        for name in ("source", "language", "holder", "text"):
            if not (getattr(self, name) or "").isprintable():
                raise UsageError("JC469", f"{name}: holds characters that cannot be printed")
        if self.min_priority is not None and abs(self.min_priority) > HIGHEST_PRIORITY:
            raise UsageError("JC469", f"min_priority: at most {HIGHEST_PRIORITY}")
        for name, moment in (("received_from", self.received_from), ("received_to", self.received_to)):
            _require_moment(name, moment)


@dataclass(frozen=True)
class Page:
    """Lines in order; ``next``: cursor of the page after it, "" at the end; ``total``: lines of the whole query."""

    lines: tuple[Line, ...]
    next: str
    total: int


def cursor(sort: str, values: list[Any]) -> str:
    """The values that the last line was sorted by, as opaque text."""
    plain = [value.isoformat() if isinstance(value, dt.date) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps([sort, *plain]).encode()).decode().rstrip("=")


def read_cursor(query: Query, kinds: list[type]) -> list[Any]:
    """The way back: values of these types. Raises UsageError JC469 for a cursor that is none, or of another order."""
    wrong = UsageError("JC469", "after: not a cursor of this query", hint="begin again with the first page")
    try:
        text = query.after
        sort, *plain = json.loads(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
        if sort != query.sort or len(plain) != len(kinds):
            raise wrong
        return [_typed(value, kind) for value, kind in zip(plain, kinds, strict=True)]
    except (ValueError, TypeError, UnicodeError, RecursionError, binascii.Error):
        raise wrong from None


def _typed(value: Any, kind: type[Any]) -> Any:
    if kind is dt.datetime:
        moment = dt.datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    if kind is dt.date:
        return dt.date.fromisoformat(value)
    if type(value) is not kind or (kind is int and abs(value) >= 2**31):
        raise ValueError
    return value


def _require_moment(name: str, moment: dt.datetime | None) -> None:
    try:
        known = moment is None or (moment.tzinfo is not None and moment.astimezone(dt.UTC) is not None)
    except OverflowError:
        known = False
    if not known:
        raise UsageError("JC469", f"{name}: no moment with its time zone", hint="e.g. 2026-03-01T08:00:00Z")


def _known(name: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    if unknown := [value for value in given if value not in known]:
        raise UsageError("JC469", f"{name}: {len(unknown)} unknown values", hint=f"known: {name_list(known)}")


LINE_FIELDS = tuple(field.name for field in fields(Line))
