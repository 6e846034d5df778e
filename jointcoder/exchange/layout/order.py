"""Pieces of a page → rows in reading order.

Pieces that share most of their height make a row. Two columns are read one after the other where they are clear: both
hold at least six lines of running text, mostly full, beside a gutter that nothing crosses; what crosses it (a title, a
table) parts the page into bands. Three columns and newspaper layouts are not known: they are read row by row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

from jointcoder.exchange.layout.pieces import Piece, Row, Sheet, between, united

_SHARED = 0.5  # of the lower one's height: two pieces that share so much stand on one line
_COLUMN_LINES = 6  # fewer lines side by side are a form or a table
_COLUMN_WIDTH = 10  # heights; narrower columns are a table's
_FULL = 0.7  # of the column's width: what the middle line of running text reaches
_GUTTER = 0.5  # heights
_SAME_EDGE = 3.0  # points: left edges of one column
_TWICE = 0.8  # of a box: a text that is set again over so much of itself is bold, not said twice


def rows(sheet: Sheet) -> list[Row]:
    """The rows of a page, each piece in one of them."""
    pieces = _once(sheet.pieces)
    number = sheet.page.number
    gutter = _gutter(pieces)
    if gutter is None:
        return _rows(pieces, number, 0)
    found: list[Row] = []
    for band in _bands(pieces, gutter):
        left = [piece for piece in band if piece.frame[2] <= gutter]
        right = [piece for piece in band if piece.frame[0] >= gutter]
        if len(left) + len(right) == len(band) and _is_text(left) and _is_text(right) and _apart(left, right):
            found += _rows(left, number, 1) + _rows(right, number, 2)
        else:
            found += _rows(band, number, 0)
    return found


def _once(pieces: Iterable[Piece]) -> list[Piece]:
    """The pieces without those set a second time over themselves, which is how some programs print bold."""
    kept: dict[str, list[Piece]] = {}
    for piece in pieces:
        if not any(_overlap(piece, other) >= _TWICE for other in kept.get(piece.text, ())):
            kept.setdefault(piece.text, []).append(piece)
    return [piece for same in kept.values() for piece in same]


def _overlap(one: Piece, other: Piece) -> float:
    (a0, b0, a1, b1), (c0, d0, c1, d1) = one.frame, other.frame
    shared = max(0.0, min(a1, c1) - max(a0, c0)) * max(0.0, min(b1, d1) - max(b0, d0))
    return shared / max(1e-6, min((a1 - a0) * (b1 - b0), (c1 - c0) * (d1 - d0)))


def _rows(pieces: Iterable[Piece], page: int, column: int) -> list[Row]:
    """Rows from top to bottom; a row is measured by its first piece, so that drifting pieces do not chain."""
    groups: list[tuple[Piece, list[Piece]]] = []
    for piece in sorted(pieces, key=lambda p: (p.middle, p.frame[0])):
        home = next((group for first, group in reversed(groups[-4:]) if _beside(first, piece)), None)
        if home is None:
            groups.append((piece, [piece]))
        else:
            home.append(piece)
    found = (Row(page, tuple(_cells(group)), column) for _, group in groups)
    return sorted(found, key=lambda row: (row.top + row.bottom, row.left))


def _beside(one: Piece, other: Piece) -> bool:
    shared = min(one.frame[3], other.frame[3]) - max(one.frame[1], other.frame[1])
    return shared >= _SHARED * min(one.height, other.height)


def _cells(pieces: list[Piece]) -> list[Piece]:
    """The pieces of a row from left to right, those without a wide gap between them as one."""
    cells: list[Piece] = []
    for piece in sorted(pieces, key=lambda p: p.frame[0]):
        if cells:
            last = cells[-1]
            link = between(last.text, piece.text, piece.frame[0] - last.frame[2], min(last.height, piece.height))
            if link != "\t":
                cells[-1] = _as_one(last, link, piece)
                continue
        cells.append(piece)
    return cells


def _as_one(left: Piece, link: str, right: Piece) -> Piece:
    sure = [piece.confidence for piece in (left, right) if piece.confidence is not None]
    frame, box = united(left.frame, right.frame), united(left.box, right.box)
    return Piece(left.text + link + right.text, frame, box, min(sure, default=None))


# ------------------------------------------------------------------------------------------------------ two columns


def _gutter(pieces: Sequence[Piece]) -> float | None:
    """Where the right one of two columns may begin: a left edge that many pieces share, in the middle of the page."""
    if len(pieces) < 2 * _COLUMN_LINES:
        return None
    left = min(piece.frame[0] for piece in pieces)
    right = max(piece.frame[2] for piece in pieces)
    low, high = left + 0.3 * (right - left), left + 0.7 * (right - left)
    edges = Counter(round(p.frame[0] / _SAME_EDGE) for p in pieces if low <= p.frame[0] <= high)
    if not edges:
        return None
    edge, _ = edges.most_common(1)[0]
    near = [p.frame[0] for p in pieces if abs(p.frame[0] - edge * _SAME_EDGE) <= 1.5 * _SAME_EDGE]
    return min(near) - 0.5 if len(near) >= _COLUMN_LINES else None


def _bands(pieces: Iterable[Piece], gutter: float) -> list[list[Piece]]:
    """The page from top to bottom, parted by the pieces that cross the gutter; those make bands of their own."""
    bands: list[list[Piece]] = []
    crossed: bool | None = None
    for piece in sorted(pieces, key=lambda p: (p.middle, p.frame[0])):
        crosses = piece.frame[0] < gutter < piece.frame[2]
        if crosses is not crossed:
            bands.append([])
            crossed = crosses
        bands[-1].append(piece)
    return bands


def _is_text(pieces: Sequence[Piece]) -> bool:
    """Whether the pieces of one side are running text rather than the cells of a table."""
    if len(pieces) < _COLUMN_LINES:
        return False
    lines = _rows(pieces, 1, 0)
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    height = median(line.height for line in lines)
    full = median((line.right - line.left) / max(1e-6, right - left) for line in lines)
    alone = sum(len(line.cells) == 1 for line in lines) >= 0.8 * len(lines)
    return len(lines) >= _COLUMN_LINES and right - left >= _COLUMN_WIDTH * height and full >= _FULL and alone


def _apart(left: Sequence[Piece], right: Sequence[Piece]) -> bool:
    height = median(piece.height for piece in (*left, *right))
    return min(p.frame[0] for p in right) - max(p.frame[2] for p in left) >= _GUTTER * height
