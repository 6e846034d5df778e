"""Rows → text and lines: sentences that a line end broke are whole again, everything else keeps its line.

A row goes on in the next one if the next one's first word had no room left on it and nothing speaks for a new paragraph
(an item's number, a heading, an indent, a larger gap, another size of print, a table). Chinese is joined without a
blank, other words with one; a hyphen at a line end goes where it only broke a word. Two paragraphs
that a full line parts, flush left, are joined too: nothing on the page tells them apart.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from jointcoder.exchange.layout.pieces import Piece, Row, cut, is_han, widths
from jointcoder.exchange.layout.wordings import hyphenated
from jointcoder.records import Line, Page
from jointcoder.text import canonical_name

_SNUG = 0.6  # heights: what a line may lack where words are broken anywhere
_SLACK, _SLACK_ENDED = 0.6, 0.15  # heights: what may be left and still have been no room; behind a sentence's end
_WIDER = 1.15  # times: by how much a word of wide letters may exceed what is reckoned for it
_EDGE = 1.5  # heights: right ends that share one margin
_BEYOND = 0.05  # share of the rows that may reach further
_SYMMETRIC = 2.0  # heights: how far the right margin may be wider than the left one
_INDENT = 1.2  # heights
_LOOSE = 1.6  # times the usual distance of two rows: another paragraph
_BLANK = 2.2  # likewise: a blank line between
_OTHER_SIZE = 1.5  # times the height
_LABEL = 14  # squares before a colon that make a heading of a line's beginning
_CHINESE = 0.3  # share of the characters: lines of values hold many figures
_SURE = 3  # characters: a shorter heading behind an unfinished sentence may be the end of a word
_ENDS = "。！？；.!?;:：…"
_CLOSERS = "\"'”’」』)）]】》"
_ITEM = re.compile(
    r"(?:[-*•●○◦▪■□☐☑◆◇·‣–—√]\s*\S|[(（【\[]?(?:\d{1,2}|[一二三四五六七八九十]{1,3})[.)．、）\]】](?!\d)|[①-⑳⑴-⒛])"
)
_DATE = re.compile(r"\d{4}\s*[-/.年]\s*\d{1,2}\s*[-/.月]\s*\d{1,2}")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Joined:
    """The text and where it stands."""

    text: str
    lines: tuple[Line, ...]


@dataclass
class _Paragraph:
    """Where the rows of a paragraph begin, measured from the left edge of their column."""

    first: float
    item: bool
    hanging: float | None = None


@dataclass
class _Writer:
    text: list[str] = field(default_factory=list)
    length: int = 0
    lines: list[Line] = field(default_factory=list)

    def put(self, text: str) -> None:
        self.text.append(text)
        self.length += len(text)

    def line(self, cell: Piece, page: Page, text: str) -> None:
        """A cell's text (``text`` may lack the cell's last characters) and where it stands, within its page."""
        x0, y0, x1, y1 = cut(cell.box, cell.text, 0, len(text))
        x0, x1 = (round(min(max(x, 0.0), page.width), 2) for x in (x0, x1))
        y0, y1 = (round(min(max(y, 0.0), page.height), 2) for y in (y0, y1))
        start = self.length
        self.put(text)
        sure = None if cell.confidence is None else round(min(max(cell.confidence, 0.0), 1.0), 4)
        self.lines.append(Line(start=start, end=self.length, page=page.number, box=(x0, y0, x1, y1), confidence=sure))


def join(pages: Mapping[int, Page], rows: Sequence[Row]) -> Joined:
    """The text of rows in reading order."""
    margins = _Margins(pages, rows)
    hyphens = _Hyphens(rows)
    writer = _Writer()
    paragraph: _Paragraph | None = None
    for place, row in enumerate(rows):
        following = rows[place + 1] if place + 1 < len(rows) else None
        if paragraph is None:
            paragraph = _Paragraph(margins.indent(row), bool(_ITEM.match(row.text)))
        goes_on = following is not None and _goes_on(row, following, paragraph, margins)
        dropped = goes_on and following is not None and hyphens.drops(row.text, following.text)
        for index, cell in enumerate(row.cells):
            last = index == len(row.cells) - 1
            if index:
                writer.put("\t")
            writer.line(cell, pages[row.page], cell.text[:-1] if last and dropped else cell.text)
        if following is None:
            break
        if goes_on:
            if not dropped:
                writer.put(_link(row, following, margins))
            if paragraph.hanging is None:
                paragraph.hanging = margins.indent(following)
        else:
            writer.put("\n\n" if margins.is_apart(row, following, _BLANK) else "\n")
            paragraph = None
    return Joined("".join(writer.text), tuple(writer.lines))


# ------------------------------------------------------------------------------------------------ where text may stand


class _Margins:
    """The edges of the columns and the usual distance of rows, for each page and column."""

    def __init__(self, pages: Mapping[int, Page], rows: Iterable[Row]) -> None:
        self._pages = pages
        own: dict[tuple[int, int], list[Row]] = {}
        alike: dict[tuple[int, int], list[Row]] = {}
        for row in rows:
            own.setdefault((row.page, row.column), []).append(row)
            alike.setdefault((round(pages[row.page].width), row.column), []).append(row)
        common = {key: _right(found) for key, found in alike.items()}
        self._left: dict[tuple[int, int], float] = {}
        self._right: dict[tuple[int, int], float] = {}
        self._pitch: dict[tuple[int, int], float] = {}
        for (number, column), found in own.items():
            page = pages[number]
            left = _left(found)
            height = median(row.height for row in found)
            shared = common[round(page.width), column]
            right = _right(found)
            if right is None or (shared is not None and right < shared - 2 * height):
                right = shared
            if right is None:
                furthest = max(row.right for row in found)
                whole = column == 0 and furthest >= page.width - left - _SYMMETRIC * height
                right = furthest if whole or column else float("inf")
            self._left[number, column], self._right[number, column] = left, right
            steps = [b.top - a.top for a, b in pairwise(found) if b.top > a.top]
            self._pitch[number, column] = median(steps) if steps else 1.5 * height

    def indent(self, row: Row) -> float:
        return row.left - self._left[row.page, row.column]

    def room(self, row: Row) -> float:
        """What is left of the column behind the row, in points."""
        return self._right[row.page, row.column] - row.right

    def is_apart(self, row: Row, following: Row, times: float) -> bool:
        """Whether the two stand further apart than rows usually do."""
        if (row.page, row.column) != (following.page, following.column):
            return False
        pitch = max(self._pitch[row.page, row.column], row.height)
        return following.top - row.top > times * pitch


def _right(rows: Sequence[Row]) -> float | None:
    """The right end that at least two rows of running text share and hardly any exceeds."""
    ends = sorted(((row.right, row.height) for row in rows if len(row.cells) == 1), reverse=True)
    for beyond, ((end, height), (other, _)) in enumerate(pairwise(ends)):
        if beyond > _BEYOND * len(ends):
            return None
        if end - other <= _EDGE * height:
            return end
    return None


def _left(rows: Sequence[Row]) -> float:
    """The left edge that at least two rows share, the outermost of those."""
    starts = sorted((row.left, row.height) for row in rows)
    for (start, height), (other, _) in pairwise(starts):
        if other - start <= 0.5 * height:
            return start
    return starts[0][0]


# ---------------------------------------------------------------------------------------------------- does it go on?


def _goes_on(row: Row, following: Row, paragraph: _Paragraph, margins: _Margins) -> bool:
    """Whether the sentence of a row goes on in the following one."""
    if len(row.cells) > 1 or len(following.cells) > 1 or row.page > following.page:
        return False
    tall, low = max(row.height, following.height), max(1e-6, min(row.height, following.height))
    if tall / low > _OTHER_SIZE or margins.is_apart(row, following, _LOOSE):
        return False
    ended = row.text.rstrip(_CLOSERS)[-1:] in _ENDS
    if not _is_full(row, following, margins, ended):
        return False
    if _begins_something(following.text, ended):
        return False
    return _fits(row, following, paragraph, margins, ended)


def _is_full(row: Row, following: Row, margins: _Margins, ended: bool) -> bool:
    """Whether the following row's first word had no room left on the row."""
    word = _first_word(following.text)
    left, _, right, _ = cut(following.cells[0].frame, following.cells[0].text, 0, len(word))
    taken = right - left
    if not ended and not is_han(word[0]):
        taken *= _WIDER
    blank = 0.0 if is_han(row.text[-1]) or is_han(word[0]) else 0.25 * row.height
    return taken + blank > margins.room(row) - (_SLACK_ENDED if ended else _SLACK) * row.height


def _first_word(text: str) -> str:
    """What a line break must keep together: a word or a Chinese character, with the marks that close it."""
    end = 1
    if not is_han(text[0]):
        end = next((i for i, char in enumerate(text) if char.isspace() or is_han(char)), len(text))
    while end < len(text) and (text[end] in _CLOSERS or text[end] in "，、" or text[end] in _ENDS):
        end += 1
    return text[:end]


def _begins_something(text: str, ended: bool) -> bool:
    """Whether a row begins an item, a heading, or, where a sentence had ended, a dated note or a labelled part."""
    if _ITEM.match(text):
        return True
    label = re.match(r"[^:：\n]{1,30}[:：]", text)
    heading = label[0] if label else text
    if canonical_name(heading) is not None and (ended or len(heading.strip(":： ")) >= _SURE):
        return True
    if not ended:
        return False
    if _DATE.match(text):
        return True
    if label is None or sum(widths(label[0])) > _LABEL:
        return False
    return not re.search(r"[，,。；;、]", label[0])


def _fits(row: Row, following: Row, paragraph: _Paragraph, margins: _Margins, ended: bool) -> bool:
    """Whether the following row begins where the paragraph's rows do."""
    height, indent = row.height, margins.indent(following)
    if paragraph.hanging is not None:
        return abs(indent - paragraph.hanging) <= 0.8 * height
    if paragraph.item:
        return indent <= paragraph.first + 6 * height
    if indent > paragraph.first + 0.6 * height:
        return False
    aligned = abs(indent - paragraph.first) <= 0.6 * height
    return not (aligned and ended and paragraph.first > _INDENT * height)


# ------------------------------------------------------------------------------------------------- what stands between


def _link(row: Row, following: Row, margins: _Margins) -> str:
    """A blank between words; nothing beside Chinese, nor in Chinese text where a number or word was broken."""
    last, first = row.text[-1], following.text[0]
    if is_han(last) or is_han(first):
        return ""
    if re.search(r"\w[-‐/]$", row.text) and first.isalnum():
        return ""
    if not _is_chinese(row.text + following.text):
        return " "
    return " " if last.isalnum() and first.isalnum() and margins.room(row) >= _SNUG * row.height else ""


def _is_chinese(text: str) -> bool:
    return sum(map(is_han, text)) >= _CHINESE * len(text)


class _Hyphens:
    """Whether a hyphen at a line end only broke a word: the other words of the document decide, then known prefixes."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._words: Counter[str] = Counter()
        self._compounds: set[str] = set()
        broken = False
        for row in rows:
            text = row.text.casefold()
            words = _WORD.findall(text)[1 if broken else 0 :]
            broken = text.endswith(("-", "‐"))
            self._words.update(words[:-1] if broken else words)
            self._compounds.update(re.findall(r"[^\W\d_]+-[^\W\d_]+", text))

    def drops(self, row: str, following: str) -> bool:
        """Whether the last character of ``row`` is a hyphen that goes when the following row is joined to it."""
        match = re.search(r"([^\W\d_]+)([-‐])$", row)
        after = re.match(r"[^\W\d_]+", following)
        if not match or not after or not after[0][0].islower() or is_han(after[0][0]):
            return False
        first, second = match[1].casefold(), after[0].casefold()
        if f"{first}-{second}" in self._compounds:
            return False
        if first + second in self._words:
            return True
        return first not in hyphenated() and not (self._words[first] and self._words[second])
