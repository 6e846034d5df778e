"""Sheets → one document: its text, the place of every line, and how much was left out as running."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jointcoder.exchange.layout.join import join
from jointcoder.exchange.layout.order import rows
from jointcoder.exchange.layout.pieces import Sheet
from jointcoder.exchange.layout.running import running
from jointcoder.records import Document


@dataclass(frozen=True)
class Composed:
    """The document, and how many running rows were left out of it."""

    document: Document
    left_out: int = 0


def compose(sheets: Sequence[Sheet], *, id: str = "0", title: str = "") -> Composed:
    """The sheets' text in reading order. Every piece is in it but for running headers, footers and page numbers."""
    pages = {sheet.page.number: sheet.page for sheet in sheets}
    found = {sheet.page.number: rows(sheet) for sheet in sheets}
    left_out = running(pages, found)
    joined = join(pages, [row for of_page in found.values() for row in of_page if row not in left_out])
    document = Document(id=id, text=joined.text, title=title, pages=tuple(pages.values()), lines=joined.lines)
    return Composed(document, len(left_out))
