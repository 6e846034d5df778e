"""An encounter opened for one viewer: what the routes of the encounter page share.

    opened = Opened.of(request, who, version)      # JC460 where there is none
    opened.view                                    # the right half (None: not coded yet)
    opened.documents()                             # the left half
    opened.context(...)                            # everything the templates need

Reads the desk; decides nothing. Holds note text for the time of one request only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import Request

from jointcoder.desk.views_codes import OpenPoint, ReviewView, review_view
from jointcoder.desk.views_pages import PageView, page_views
from jointcoder.desk.views_text import Place, Sheet, sections_of, sheets
from jointcoder.records import Encounter, System
from jointcoder.server.looks import looked
from jointcoder.server.pages import i18n
from jointcoder.server.pages.encounter_words import Speaker, codes_of
from jointcoder.steps.base import edition_date
from jointcoder.store.audit import versions_of
from jointcoder.text.language import detect

if TYPE_CHECKING:
    from jointcoder.desk.review import Review
    from jointcoder.desk.service import Desk
    from jointcoder.server.pages.shell import Viewer
    from jointcoder.store.lines import Line

DECIDERS = ("coder", "lead")
"""Roles that may decide; an admin looks."""
READERS = ("coder", "lead", "admin")


async def form(request: Request) -> dict[str, str]:
    """Dependency: the fields of a form that are text."""
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


def url_of(version: str) -> str:
    """The page of an encounter."""
    return f"/encounters/{quote(version, safe='')}"


@dataclass(frozen=True)
class Documents:
    """The left half. ``pages``: by document, its pages with the boxes of evidence, if pictures of them are kept."""

    sheets: tuple[Sheet, ...]
    pages: tuple[tuple[PageView, ...], ...]
    language: str


@dataclass(frozen=True)
class Shown:
    """One encounter as one viewer sees it; ``version`` is that of its content, ``review`` None until it is coded."""

    desk: Desk
    who: Viewer
    version: str
    line: Line
    encounter: Encounter
    review: Review | None

    @classmethod
    def of(
        cls, request: Request, who: Viewer, version: str, *, review: Review | None = None, afresh: bool = False
    ) -> Shown:
        """Read from the desk; an entry of the audit log, one a look, or ``afresh``. ``review``: where a decision has
        just given it. UsageError JC460."""
        desk = request.app.state.desk
        opened = desk.open(version)
        made = versions_of(opened.review.record.versions) if opened.review else None
        looked(request, "encounter.view", "encounter", opened.version, versions=made, afresh=afresh)
        return cls(desk, who, opened.version, opened.line, opened.encounter, review or opened.review)

    @property
    def url(self) -> str:
        return url_of(self.version)

    @cached_property
    def language(self) -> str:
        """The language of the documents."""
        if self.review is not None and self.review.record.language:
            return self.review.record.language
        told = self.encounter.language or self.line.language
        return told or detect("\n".join(document.text for document in self.encounter.documents)).language

    @cached_property
    def names(self) -> dict[tuple[System, str], str]:
        """The codes of the review in the viewer's language, where the book knows it."""
        if self.review is None:
            return {}
        book = self.desk.editions.on(edition_date(self.encounter))
        spoken = self.who.language
        if spoken not in book.info.languages or spoken == book.info.languages[0]:
            return {}
        held = [item.code for item in self.review.items]
        wanted = {(code.system, code.code) for code in (*held, *self.review.record.suggestions)}
        named = {at: book.name(*at, spoken) for at in wanted if at[0] in book.info.systems}
        return {at: name for at, name in named.items() if name}

    @cached_property
    def view(self) -> ReviewView | None:
        if self.review is None:
            return None
        held = self.line.held(dt.datetime.now(dt.UTC))
        return review_view(
            self.review,
            viewer=self.who.name,
            may_decide=self.who.may(*DECIDERS),
            holder=self.line.holder if held else "",
            names=self.names,
            older=self.older,
        )

    @property
    def older(self) -> bool:
        """Whether a newer version of the encounter came in."""
        return self.line.version != self.version

    @cached_property
    def speaker(self) -> Speaker:
        rows = self.review.items if self.review else ()
        items = {row.id: (row.proposed or row.code).code for row in rows}
        return Speaker(i18n.words(self.who.language), self.names, items)

    def point(self, one: OpenPoint) -> str:
        """What is open, in words: the row, or what the finding says."""
        view = self.view
        assert view is not None
        row = next((row for row in view.rows if row.id == one.key), None)
        if row is not None:
            return self.speaker.row(row)
        found = next((finding for finding in view.findings if finding.key == one.key), None)
        return i18n.finding_text(found.finding, self.who.language) if found else one.key

    def documents(self, places: Iterable[Place] | None = None) -> Documents:
        """The documents with the evidence of the review, or with ``places``."""
        marks = tuple(places if places is not None else self.view.places if self.view else ())
        kept = self.desk.pictures(self.version) if any(one.pages for one in self.encounter.documents) else frozenset()
        pages = tuple(
            page_views(document, index, marks) if any(at == index for at, _ in kept) else ()
            for index, document in enumerate(self.encounter.documents)
        )
        found = sheets(self.encounter, sections_of(self.encounter, self.language), marks)
        return Documents(found, pages, self.language)

    def context(self, **more: Any) -> dict[str, Any]:
        """What every template of the encounter page may use."""
        view = self.view
        return {
            **self.speaker.context(),
            "line": self.line,
            "url": self.url,
            "view": view,
            "codes": codes_of(view) if view else {},
            "facts": self.speaker.facts(self.line, self.encounter),
            "shortcuts": self.speaker.shortcuts(),
            "newer": url_of(self.line.version) if self.older else "",
            **more,
        }
