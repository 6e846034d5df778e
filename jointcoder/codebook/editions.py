"""Which edition codes an encounter: the one in force on the day of discharge.

ICD-10-CM and ICD-10-PCS change with every fiscal year of the United States (1 October to 30 September; ICD-10-CM
Official Guidelines, preface): a stay is coded by the edition of its discharge date. The Chinese editions are
introduced province by province, so there the hospital names its book and no date overrules it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Self

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.model import Period
from jointcoder.codebook.store import FAMILY, installed, open_book
from jointcoder.errors import AssetError
from jointcoder.settings import Settings

_YEARLY = re.compile(r"us-(\d{4})")


def fiscal_year(day: dt.date) -> int:
    """The fiscal year of the United States that ``day`` lies in; it is named after the year in which it ends."""
    return day.year + (day.month >= 10)


def in_force(book_id: str) -> Period | None:
    """First and last day of the edition of that id, None where the id names no fiscal year."""
    m = _YEARLY.fullmatch(book_id)
    return Period(dt.date(int(m[1]) - 1, 10, 1), dt.date(int(m[1]), 9, 30)) if m else None


class Editions:
    """The code books at hand: one that was named, or all installed fiscal years. Safe to share between threads."""

    def __init__(self, books: Sequence[CodeBook]) -> None:
        """``books``: at least one, in order of time; the last one is the main one."""
        self.books = tuple(books)

    @classmethod
    def open(cls, settings: Settings, name: str | None = None) -> Self:
        """``name`` (default: the settings' book, else the US family) as for :func:`open_book`, whose errors it raises.

        ``us`` stands for every installed US edition; one that cannot be read is left out while another can.
        """
        name = name or settings.code_book or FAMILY
        years = sorted(book for book in installed(settings) if in_force(book)) if name == FAMILY else []
        books: list[CodeBook] = []
        for year in years:
            try:
                books.append(open_book(settings, year))
            except AssetError:
                continue
        return cls(books or [open_book(settings, name)])

    @property
    def main(self) -> CodeBook:
        """The newest edition: used where there is no date."""
        return self.books[-1]

    def on(self, day: dt.date | None) -> CodeBook:
        """The edition in force on ``day``; where none is, the newest one before it, else the oldest there is."""
        if day is None:
            return self.main
        begun = [book for book in self.books if _start(book) <= day]
        return begun[-1] if begun else self.books[0]


def covers(book: CodeBook, day: dt.date | None) -> bool:
    """Whether ``book`` is the edition of ``day``; True where the book is not dated or no day is given."""
    period = in_force(book.info.id)
    return day is None or period is None or day in period


def _start(book: CodeBook) -> dt.date:
    period = in_force(book.info.id)
    return period.start if period else dt.date.min
