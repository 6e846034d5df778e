"""Which row of a table is its header, and what its headings are, through titles above it and merged cells.

    title      2024年出院病案                          a row above the header says nothing of columns
    header     病案号 │      诊断         │ 现病史      merged over columns: joined to what stands below it
               (merged)│ 主要诊断 │ 编码  │ (merged)    merged over rows: the same heading, said once

The header is the row, within the first twenty, that most headings are recognised in. A heading that comes twice is
numbered in the order of the columns: ``诊断编码 (1)``, ``诊断编码 (2)``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from jointcoder.exchange.columns import recognise
from jointcoder.exchange.delimited import Row
from jointcoder.exchange.sheets import Merged, Table
from jointcoder.exchange.values import text_of

WITHIN = 20
_WIDE = 80  # a cell longer than any heading

Score = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class Header:
    """The header's last row, its headings (each once; "" for an empty column), what stands in that row, and whether
    the row above was joined to it."""

    row: int
    headings: tuple[str, ...]
    written: tuple[str, ...]
    joined: bool = False


@dataclass(frozen=True)
class Headed:
    """A table below its header. ``rows`` can be walked through once."""

    table: Table
    header: Header
    rows: Iterator[Row]


def recognised(headings: Sequence[str]) -> int:
    """How many headings are known."""
    return sum(recognise(heading) is not None for heading in headings if heading)


def under_header(table: Table, *, row: int | None = None, score: Score = recognised, enough: int = 2) -> Headed | None:
    """The table with its header: what the file itself calls its columns, the row ``row`` (as a spreadsheet numbers
    rows, an editor lines), else the one which ``score`` likes best. None when no row will do: fewer than ``enough``
    headings score, and not the whole row."""
    rows = iter(table.rows)
    if table.named:
        written = tuple(" ".join(name.split()) for name in table.named)
        return Headed(table, Header(0, _numbered(written), written), rows)
    first = list(islice(rows, max(WITHIN, row or 0)))
    best: tuple[int, Header] | None = None
    for place, candidate in enumerate(first):
        if candidate.problem or candidate.blank or (row is not None and candidate.number != row):
            continue
        above = first[place - 1] if place and first[place - 1].problem is None else None
        for header in _readings(candidate, above, table.merged):
            found = score(header.headings)
            held = sum(bool(heading) for heading in header.headings)
            if (found >= enough or found == held or row is not None) and (best is None or found > best[0]):
                best = (found, header)
    if best is None:
        return None
    header = best[1]
    below = (other for other in chain(first, rows) if other.number > header.row)
    return Headed(table, header, (other for other in below if not other.blank and not _repeats(other, header)))


def _readings(row: Row, above: Row | None, merged: Sequence[Merged]) -> Iterator[Header]:
    """The row alone, merged cells heading the first of their columns; and joined to the row above it, where cells of
    that are merged over some of the columns."""
    alone = [_heading(row, column) for column in range(len(row.cells))]
    yield Header(row.number, _numbered(alone), tuple(alone))
    width = len(alone)
    over = [cells for cells in merged if above and cells.top == above.number]
    if not above or not any(0 < cells.right - cells.left < width - 1 for cells in over):
        return
    spread = {column: cells.left for cells in over for column in range(cells.left, cells.right + 1)}
    parents = [_heading(above, spread.get(column, column)) for column in range(width)]
    joined = [_joined(parent, child) for parent, child in zip(parents, alone, strict=True)]
    yield Header(row.number, _numbered(joined), tuple(alone), joined=True)


def _heading(row: Row, column: int) -> str:
    """What stands in a cell, on one line; "" where it is longer than any heading."""
    text = " ".join(text_of(row.cell(column)).split())
    return text if len(text) <= _WIDE else ""


def _joined(parent: str, child: str) -> str:
    """Both headings as one; the lower alone where that is known and both together are not."""
    if not parent or not child:
        return parent or child
    shared = next((n for n in range(min(len(parent), len(child)), 0, -1) if parent.endswith(child[:n])), 0)
    both = parent + child[shared:] if shared else f"{parent} {child}"
    return child if recognise(both) is None and recognise(child) is not None else both


def _numbered(headings: Sequence[str]) -> tuple[str, ...]:
    counts = Counter(headings)
    seen: Counter[str] = Counter()
    found = []
    for heading in headings:
        seen[heading] += 1
        found.append(f"{heading} ({seen[heading]})" if heading and counts[heading] > 1 else heading)
    return tuple(found)


def _repeats(row: Row, header: Header) -> bool:
    """Whether the header is repeated on a later page."""
    return row.problem is None and all(
        isinstance(cell, str) and len(cell) <= 2 * _WIDE and " ".join(cell.split()) == written
        for column, written in enumerate(header.written)
        for cell in [row.cell(column)]
    )
