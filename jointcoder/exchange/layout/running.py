"""The running headers, footers and page numbers among the rows of pages: found, so that no evidence rests on them.

A row is running if the same words stand at the same height in the margin of a page next to it (or the next but one:
left and right pages may differ), numbers apart that count with the pages; or if it says nothing but its page's number.
Numbers inside dates and times do not count with the pages: one note a day is no footer. Nothing is running behind a row
that is not, and nothing where more rows repeat than headers have: two copies of a page are content. Where a running row
is the heading of a section, the first of its pages keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rapidfuzz import fuzz

from jointcoder.exchange.layout.pieces import Row
from jointcoder.exchange.layout.wordings import page_numbers
from jointcoder.records import Page
from jointcoder.text import canonical_name

_MARGIN = 0.16  # of the page's height, at its top and at its foot
_ROWS = 4  # more rows that repeat are two copies of a page
_DRIFT = 0.012  # of the page's height: two pages of one printer, or two scans
_ALIKE = 92.0  # of 100: recognised text differs by a character here and there
_NEAR = (1, 2)  # pages apart
_NUMBER = re.compile(r"\d+")
_DATE = re.compile(r"\d{4}\s*[-/.年]\s*\d{1,2}\s*[-/.月]\s*\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{1,2}[:：]\d{2}")
_BARE = re.compile(r"[-–—·.|/\s]*(\d{1,4})[-–—·.|/\s]*(?:(\d{1,4})[-–—·.|/\s]*)?")


@dataclass(frozen=True)
class _Candidate:
    row: Row
    height: float  # of its page, in points
    text: str

    @property
    def in_margin(self) -> bool:
        return self.row.bottom <= _MARGIN * self.height or self.row.top >= (1 - _MARGIN) * self.height

    @cached_property
    def words(self) -> str:
        return _NUMBER.sub("#", self.text)

    @cached_property
    def numbers(self) -> tuple[tuple[int, bool], ...]:
        """Each number and whether it stands free of a date or time."""
        dates = [match.span() for match in _DATE.finditer(self.text)]
        return tuple(
            (int(match[0]), not any(start <= match.start() < end for start, end in dates))
            for match in _NUMBER.finditer(self.text)
        )


def running(pages: Mapping[int, Page], rows: Mapping[int, Sequence[Row]]) -> set[Row]:
    """The running rows among ``rows`` (page number → rows), headings kept where they first stand left out of them."""
    edges = {number: _edges(pages[number], found) for number, found in rows.items()}
    order = sorted(edges)
    found: set[Row] = set()
    for place, number in enumerate(order):
        for inward in edges[number]:
            repeated: list[_Candidate] = []
            kept = 0
            for candidate in inward:
                before = any(_repeats(candidate, edges, order, place - step) for step in _NEAR)
                after = any(_repeats(candidate, edges, order, place + step) for step in _NEAR)
                if _is_number(candidate, len(order)):
                    found.add(candidate.row)
                elif not before and not after:
                    break
                elif not before and canonical_name(candidate.row.text) is not None:
                    kept += 1
                else:
                    repeated.append(candidate)
            if len(repeated) + kept <= _ROWS:
                found.update(one.row for one in repeated if one.in_margin)
    return found


def _edges(page: Page, rows: Sequence[Row]) -> tuple[list[_Candidate], list[_Candidate]]:
    """The rows next to the top and to the foot of a page, each from the edge inward; more than can be running."""
    down = sorted(rows, key=lambda row: row.top)
    candidates = [_Candidate(row, page.height, re.sub(r"\s+", "", row.text)) for row in down]
    half = min(_ROWS + 2, (len(down) + 1) // 2)
    return candidates[:half], candidates[half:][::-1][: _ROWS + 2]


def _repeats(
    candidate: _Candidate, edges: Mapping[int, Iterable[Iterable[_Candidate]]], order: Sequence[int], place: int
) -> bool:
    if not 0 <= place < len(order):
        return False
    number = order[place]
    return any(_same(candidate, other, number - candidate.row.page) for near in edges[number] for other in near)


def _same(one: _Candidate, other: _Candidate, pages: int) -> bool:
    """Whether two rows so many pages apart say the same at the same height."""
    if abs(one.row.top / one.height - other.row.top / other.height) > _DRIFT:
        return False
    if len(one.numbers) != len(other.numbers):
        return False
    pairs = zip(one.numbers, other.numbers, strict=True)
    counts = _may_count(one.words)
    if any(b != a and not (counts and free and b - a == pages) for (a, free), (b, _) in pairs):
        return False
    recognised = any(cell.confidence is not None for row in (one.row, other.row) for cell in row.cells)
    if not recognised:
        return one.words == other.words
    return fuzz.ratio(one.words, other.words) >= _ALIKE


def _may_count(words: str) -> bool:
    """Whether a row's numbers may be those of pages: it is nothing but a number, or words it as pages are numbered."""
    folded = words.casefold()
    worded = (wording for wording in page_numbers() if any(char.isalpha() for char in wording))
    return not any(char.isalnum() for char in folded) or any(wording in folded for wording in worded)


def _is_number(candidate: _Candidate, pages: int) -> bool:
    """Whether a row in the margin says nothing but which page this is."""
    number = candidate.row.page
    if not candidate.in_margin:
        return False
    if match := _BARE.fullmatch(candidate.text):
        return int(match[1]) == number and (match[2] is None or int(match[2]) >= number)
    if candidate.words.casefold() not in page_numbers():
        return False
    return any(value == number for value, _ in candidate.numbers) or pages == 1
