"""A PDF page's own characters → pieces, and whether they can be trusted.

Characters are taken in the order of the file, with the boxes their font gives them, and parted where they leave their
line or leave a wide gap; blanks follow from the gaps, so that a program that sets none between words, or one between
any two Chinese characters, does no harm. Text at right angles to the rest of the page comes last; slanted text (a
watermark) is left out and counted. Knows pdfium's text pages (pypdfium2, extra ``pdf``); opens nothing.
"""

from __future__ import annotations

import ctypes
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jointcoder.exchange.layout.pieces import Piece, between, turned, united
from jointcoder.exchange.layout.wordings import radicals
from jointcoder.records import Box, Turn

_TURNS: dict[int, Turn] = {0: 0, 90: 90, 180: 180, 270: 270}
_LEVEL = 5.0  # degrees: what may still count as upright
_SHARED = 0.5  # of the lower one's height: characters that share so much stand on one line
_BACK = 0.6  # heights that the next character of a line may begin before the end of the last one
_INK = 0.4  # times its neighbour's height: no letter is so low
_SIZES = 1.8  # times its neighbour's height: a character of another line
_HYPHENS = {0x02: "-", 0xFFFE: "-"}  # what pdfium makes of a hyphen at the end of a line
_LIGATURES = range(0xFB00, 0xFB07)
_KANGXI = range(0x2F00, 0x2FE0)
_BULLETS = frozenset((0xF06C, 0xF06E, 0xF0A7, 0xF0B7, 0xF0D8))  # what word processors take from symbol fonts
_MEANINGLESS = frozenset(("Co", "Cn", "Cc", "Cs"))  # private use, unassigned, control, surrogate
_UNSEEN = frozenset((0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))


@dataclass(frozen=True)
class TextLayer:
    """``pieces`` on the page turned clockwise by ``turned`` degrees; ``size`` its width and height so turned;
    ``characters``: visible ones, ``unreadable`` of them without a meaning (private use, replacement, control);
    ``slanted``: those left out."""

    pieces: tuple[Piece, ...]
    size: tuple[float, float]
    turned: Turn
    characters: int
    unreadable: int
    slanted: int


@dataclass(frozen=True, slots=True)
class _Char:
    text: str
    box: Box
    blank: Box | None = None  # of the one that was written before it


def read_layer(page: Any) -> TextLayer:
    """The text layer of a page of pypdfium2."""
    size = page.get_size()
    groups: dict[Turn, list[_Char]] = {}
    counts: Counter[str] = Counter()
    for angle, char in _characters(page, counts):
        groups.setdefault(angle, []).append(char)
    if not groups:
        return TextLayer((), size, 0, counts["seen"], counts["unreadable"], counts["slanted"])
    upright = max(groups, key=lambda angle: (len(groups[angle]), angle == 0))
    whole = (size[1], size[0]) if upright in (90, 270) else size
    pieces: list[Piece] = []
    for angle in sorted(groups, key=lambda angle: angle != upright):
        for run in _runs(_turned(char, size, angle) for char in groups[angle]):
            if angle == upright:
                pieces.append(run)
            else:
                pieces.append(_aside(run, angle, upright, size, whole, len(pieces)))
    return TextLayer(tuple(pieces), whole, upright, counts["seen"], counts["unreadable"], counts["slanted"])


def _turned(char: _Char, size: tuple[float, float], angle: int) -> _Char:
    return _Char(char.text, turned(char.box, size, angle), char.blank and turned(char.blank, size, angle))


def _aside(
    run: Piece, angle: int, upright: int, size: tuple[float, float], whole: tuple[float, float], place: int
) -> Piece:
    """Text at right angles to the rest: its box where it stands, its frame on a line of its own below the page."""
    across = (size[1], size[0]) if angle in (90, 270) else size
    filed = turned(run.box, across, -angle % 360)
    top = whole[1] + 20.0 * (place + 1)
    frame = (0.0, top, run.frame[2] - run.frame[0], top + run.height)
    return Piece(run.text, frame, turned(filed, size, upright))


# ------------------------------------------------------------------------------------------------------- characters


def _characters(page: Any, counts: Counter[str]) -> Iterator[tuple[Turn, _Char]]:
    """The visible characters in the order of the file: by how many degrees the page must be turned clockwise to set
    them upright, and the character with its box on the page as shown."""
    import pypdfium2.raw as pdfium

    layer = page.get_textpage()
    try:
        placed = _Placing(page)
        blank: Box | None = None
        high = 0
        for index in range(layer.count_chars()):
            point = pdfium.FPDFText_GetUnicode(layer, index)
            if 0xD800 <= point < 0xDC00:
                high = point
                continue
            if 0xDC00 <= point < 0xE000 and high:
                point = 0x10000 + ((high - 0xD800) << 10) + (point - 0xDC00)
            high = 0
            text = _HYPHENS.get(point) or _written(point)
            if not text or text.isspace():
                if text and not blank and not pdfium.FPDFText_IsGenerated(layer, index):
                    blank = placed.box(layer, index)
                continue
            if pdfium.FPDFText_IsGenerated(layer, index) and point not in _HYPHENS:
                continue
            box = placed.box(layer, index)
            if box is None or not placed.shows(box):
                continue
            angle = placed.angle(layer, index)
            if angle is None:
                counts["slanted"] += 1
                continue
            counts["seen"] += 1
            counts["unreadable"] += _unreadable(point) or bool(pdfium.FPDFText_HasUnicodeMapError(layer, index) == 1)
            yield angle, _Char(text, box, blank)
            blank = None
    finally:
        layer.close()


class _Placing:
    """From the file's coordinates (origin bottom left, before its own rotation) to those of the page as shown."""

    def __init__(self, page: Any) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium = pdfium
        self._rotation = page.get_rotation()
        width, height = self._size = page.get_size()
        fine = 64  # pdfium answers in whole units
        x, y = ctypes.c_int(), ctypes.c_int()

        def shown(px: float, py: float) -> tuple[float, float]:
            area = (0, 0, round(width * fine), round(height * fine))
            pdfium.FPDF_PageToDevice(page, *area, 0, px, py, ctypes.byref(x), ctypes.byref(y))
            return x.value / fine, y.value / fine

        self._origin = shown(0, 0)
        far = 1000.0
        right, up = shown(far, 0), shown(0, far)
        self._right = ((right[0] - self._origin[0]) / far, (right[1] - self._origin[1]) / far)
        self._up = ((up[0] - self._origin[0]) / far, (up[1] - self._origin[1]) / far)
        self._rect = pdfium.FS_RECTF()
        self._sides = tuple(ctypes.c_double() for _ in range(4))

    def box(self, layer: Any, index: int) -> Box | None:
        """The box of the character's place in its line, of its glyph where the font gives none; None without any."""
        rect = self._rect
        if not self._pdfium.FPDFText_GetLooseCharBox(layer, index, ctypes.byref(rect)):
            return None
        x0, y0, x1, y1 = rect.left, rect.bottom, rect.right, rect.top
        if x1 <= x0 or y1 <= y0:
            left, right, bottom, top = self._sides
            refs = (ctypes.byref(side) for side in (left, right, bottom, top))
            if not self._pdfium.FPDFText_GetCharBox(layer, index, *refs):
                return None
            x0, y0, x1, y1 = left.value, bottom.value, right.value, top.value
            if x1 <= x0 and y1 <= y0:
                return None
        (ax, ay), (bx, by) = self._shown(x0, y0), self._shown(x1, y1)
        return (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))

    def _shown(self, x: float, y: float) -> tuple[float, float]:
        return (
            self._origin[0] + x * self._right[0] + y * self._up[0],
            self._origin[1] + x * self._right[1] + y * self._up[1],
        )

    def shows(self, box: Box) -> bool:
        """Whether the middle of the box lies on the page: what lies beyond its edge nobody sees."""
        x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        return bool(0 <= x <= self._size[0] and 0 <= y <= self._size[1])

    def angle(self, layer: Any, index: int) -> Turn | None:
        """None for a slant."""
        # pdfium counts counter-clockwise on the page before its own rotation, which is clockwise
        leaning = math.degrees(self._pdfium.FPDFText_GetCharAngle(layer, index)) - self._rotation
        near = round(leaning / 90) * 90
        return _TURNS[near % 360] if abs(leaning - near) <= _LEVEL else None


def _written(point: int) -> str:
    """The character as text: radicals as the characters they stand for, ligatures as letters, "" for what is unseen."""
    if point in _UNSEEN or point == 0:
        return ""
    if point in _BULLETS:
        return "•"
    char = chr(point)
    if point in _KANGXI or point in _LIGATURES:
        return unicodedata.normalize("NFKC", char)
    return radicals().get(char, char)


def _unreadable(point: int) -> bool:
    if point in _BULLETS or point in _HYPHENS:
        return False
    return point == 0xFFFD or unicodedata.category(chr(point)) in _MEANINGLESS


# ------------------------------------------------------------------------------------------------------------- runs


def _runs(chars: Iterable[_Char]) -> Iterator[Piece]:
    """Characters that follow one another on a line, as pieces; blanks by their gaps."""
    text: list[str] = []
    box: Box | None = None
    last: _Char | None = None
    for char in chars:
        if last is not None:
            char = _raised(char, last)
        link = _link(last, char) if last is not None else None
        if box is None or link is None:
            if box is not None:
                yield Piece("".join(text), box, box)
            text, box = [char.text], char.box
        else:
            text += [link, char.text]
            box = united(box, char.box)
        last = char
    if box is not None:
        yield Piece("".join(text), box, box)


def _raised(char: _Char, last: _Char) -> _Char:
    """A mark whose box is its ink (the hyphen of a broken word) as high as the line that it stands on."""
    (_, top, _, bottom), (left, above, right, below) = last.box, char.box
    if below - above >= _INK * (bottom - top) or not top <= (above + below) / 2 <= bottom:
        return char
    return _Char(char.text, (left, top, right, bottom), char.blank)


def _link(last: _Char, char: _Char) -> str | None:
    """What stands between two characters of the file's order; None where the second is not on the first one's line."""
    (_, top, right, bottom), (left, above, _, below) = last.box, char.box
    low, high = sorted((bottom - top, below - above))
    if min(bottom, below) - max(top, above) < _SHARED * low or high > _SIZES * max(low, 1e-6):
        return None
    gap = left - right
    if gap < -_BACK * high:
        return None
    blank = max(0.0, left - char.blank[0]) if char.blank else 0.0  # to the next character, whatever the font says
    link = between(last.text, char.text, gap, high, blank=blank)
    return None if link == "\t" else link
