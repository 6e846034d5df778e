"""CSV, TSV and their like → rows, one after the other, however long the text.

A field may hold line breaks within quotation marks. Where the marks do not match up, the row is one with a ``problem``
and the others go on: lines that a stray opening mark took are read again without it. So is a row with characters that
the encoding does not have. This module knows nothing of headings.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from jointcoder.exchange.source import Source, torn

DELIMITERS = ",\t;|"
FIELD_LIMIT = 10_000_000  # characters of one field; an opening quotation mark without its partner takes no more
_PROBE = 20
_RESUMES = "expected after"  # what the module csv says of a mark that ends too early: the next line is a row again

Cell = Any  # str, int, float, bool, date, datetime, time or timedelta; an empty one is ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number in the sheet, or the line on which it begins. ``problem``: error code and words."""

    number: int
    cells: tuple[Cell, ...] = ()
    problem: tuple[str, str] | None = None

    def cell(self, column: int) -> Cell:
        """The cell of a column; "" behind the row's end."""
        return self.cells[column] if column < len(self.cells) else ""

    @property
    def blank(self) -> bool:
        return self.problem is None and all(isinstance(cell, str) and not cell.strip() for cell in self.cells)


def likely_delimiter(source: Source, *, quoted: bool = True) -> str:
    """The delimiter under which most of the first rows have the same number of fields, and more than one."""
    best, chosen = (0, 0), DELIMITERS[0]
    for delimiter in DELIMITERS:
        with closing(records(source, delimiter, quoted=quoted)) as rows:
            widths = Counter(len(row.cells) for row in islice(rows, _PROBE))
        found = max(((count, width) for width, count in widths.items() if width > 1), default=(0, 0))
        if found > best:
            best, chosen = found, delimiter
    return chosen


def records(source: Source, delimiter: str, *, quoted: bool = True) -> Generator[Row]:
    """The rows of a text, blank ones too; numbers are those of the lines on which they begin. InputError as
    :meth:`Source.lines` raises it."""
    with source.lines(newline="") as lines:
        yield from _Reader(lines, delimiter, quoted)


class _Reader:
    """The rows of lines. ``_row`` are the lines that the present row has taken, ``_again`` those to be read again (last
    first), ``_taken`` how many are behind."""

    def __init__(self, lines: Iterator[str], delimiter: str, quoted: bool) -> None:
        # The limit of the module csv is one for the whole process, and a long note exceeds its default.
        csv.field_size_limit(max(FIELD_LIMIT, csv.field_size_limit()))
        self._lines = lines
        self._delimiter = delimiter
        self._quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        self._row: list[str] = []
        self._again: list[str] = []
        self._taken = 0

    def __iter__(self) -> Iterator[Row]:
        reader = self._begun()
        while True:
            number = self._taken + 1
            self._row = []
            try:
                cells: Sequence[str] = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if _RESUMES not in str(error):
                    self._again.extend(reversed(self._row[1:]))
                    self._row = self._row[:1]
                    reader = self._begun()
                self._taken += len(self._row)
                yield Row(number, problem=("JC124", _unmatched(number, self._taken)))
                continue
            self._taken += len(self._row)
            if any(map(torn, cells)):
                yield Row(number, problem=("JC106", "characters that the file's encoding does not have"))
            else:
                yield Row(number, tuple(cells))

    def _begun(self) -> Iterator[list[str]]:
        return csv.reader(self._feed(), delimiter=self._delimiter, strict=True, quoting=self._quoting)

    def _feed(self) -> Iterator[str]:
        while True:
            line = self._again.pop() if self._again else next(self._lines, None)
            if line is None:
                return
            self._row.append(line)
            yield line


def _unmatched(first: int, last: int) -> str:
    to = f" (up to line {last})" if last > first else ""
    return f"the quotation marks do not match up{to}; a mark within a quoted field is written twice"
