"""What stands where on a page: pieces, and what stands between two that share a line.

Coordinates are points of 1/72 inch, origin top left, of the page as it is turned to be read. Gaps are measured in
heights of the line.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from jointcoder.records import Box, Page

WIDE = 1.5  # a gap of so many heights parts the cells of a form or table
_HAN = re.compile("[\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]")
_NARROW, _BROAD = frozenset(" .,:;'|!()[]ijlrtfI"), frozenset("mwMW@%")
_SET_GAP, _SET_GAP_HAN = 0.22, 0.7  # gaps that are blanks though no blank was written
_SEEN_GAP, _SEEN_GAP_HAN = 0.1, 0.15  # how wide a written blank must be to count


@dataclass(frozen=True, slots=True)
class Piece:
    """Text on one line without a wide gap. ``frame``: where it stands among the lines, set level; ``box``: where it
    stands on the page. The two differ on a page that was scanned askew."""

    text: str
    frame: Box
    box: Box
    confidence: float | None = None

    @property
    def height(self) -> float:
        return self.frame[3] - self.frame[1]

    @property
    def middle(self) -> float:
        return (self.frame[1] + self.frame[3]) / 2


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page with what stands on it, in any order."""

    page: Page
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a page in reading order: its cells from left to right. ``column``: 0 across the page, else 1 or 2."""

    page: int
    cells: tuple[Piece, ...]
    column: int = 0

    @property
    def text(self) -> str:
        return "\t".join(cell.text for cell in self.cells)

    @property
    def left(self) -> float:
        return self.cells[0].frame[0]

    @property
    def right(self) -> float:
        return self.cells[-1].frame[2]

    @property
    def top(self) -> float:
        return min(cell.frame[1] for cell in self.cells)

    @property
    def bottom(self) -> float:
        return max(cell.frame[3] for cell in self.cells)

    @property
    def height(self) -> float:
        return max(cell.height for cell in self.cells)


def is_han(char: str) -> bool:
    """Whether the character is set in a square of its own: Chinese, full-width forms, their punctuation."""
    return bool(_HAN.match(char))


def between(before: str, after: str, gap: float, height: float, *, blank: float = 0.0) -> str:
    """What stands between two neighbours of a line: nothing, a blank, or a tab for a wide gap.

    ``gap`` in points (negative where they overlap); ``blank``: how wide the one is that was written there, if any. A
    blank without width is one that a program sets between any two characters, and none.
    """
    share, written = (gap / height, blank / height) if height > 0 else (0.0, 0.0)
    if share >= WIDE:
        return "\t"
    if is_han(before[-1:]) or is_han(after[:1]):
        return " " if share >= _SET_GAP_HAN or written >= _SEEN_GAP_HAN else ""
    return " " if share >= _SET_GAP or written >= _SEEN_GAP else ""


def united(first: Box, second: Box) -> Box:
    """The smallest box around both."""
    return (
        min(first[0], second[0]),
        min(first[1], second[1]),
        max(first[2], second[2]),
        max(first[3], second[3]),
    )


def widths(text: str) -> list[float]:
    """How wide each character is usually set, in squares: 1 for Chinese and full-width forms, 0 for combining marks."""
    return [_width(char) for char in text]


def _width(char: str) -> float:
    if char in _NARROW:
        return 0.3
    if char in _BROAD:
        return 0.85
    if char.isascii():
        return 0.65 if char.isupper() else 0.55
    if unicodedata.combining(char):
        return 0.0
    return 1.0 if is_han(char) or unicodedata.east_asian_width(char) in "WFA" else 0.55


def cut(box: Box, text: str, start: int, end: int) -> Box:
    """The part of a line's box that ``text[start:end]`` takes up, by the widths of its characters."""
    units = widths(text)
    whole = sum(units) or 1
    x0, y0, x1, y1 = box
    left, right = (x0 + (x1 - x0) * sum(units[:place]) / whole for place in (start, end))
    return (left, y0, right, y1)


def turned(box: Box, size: tuple[float, float], degrees: int) -> Box:
    """The box on a page of ``size`` (width, height) after it was turned clockwise by 0, 90, 180 or 270 degrees."""
    (x0, y0, x1, y1), (width, height) = box, size
    if degrees == 90:
        return (height - y1, x0, height - y0, x1)
    if degrees == 180:
        return (width - x1, height - y1, width - x0, height - y0)
    if degrees == 270:
        return (y0, width - x1, y1, width - x0)
    return box
