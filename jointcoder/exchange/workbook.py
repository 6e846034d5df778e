"""An Excel workbook written row by row, whatever its length, in which no text is ever a formula.

    book = Workbook(Path("part.xlsx"))
    sheet = book.sheet("Codes", (("encounter", 18), ("code", 12)))      # headings and widths in characters
    sheet.append(("E1", "=1+1"))
    book.save()

A text stays a text whatever it begins with. Characters that no encoding has (lone surrogates) and a workbook refuses
(controls) become U+FFFD, and what is longer than a cell holds is cut: :attr:`Workbook.odd` and :attr:`Workbook.cut` say
so until they are set back. A sheet that is full goes on in another. Needs the extra ``excel``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jointcoder.errors import UsageError

CELL = 32_767  # characters that a cell of a spreadsheet holds
ROWS = 1_048_576  # that a sheet holds
_TITLE = 31  # characters of a sheet's name
_LONE = re.compile("[\ud800-\udfff]")

Columns = Sequence[tuple[str, int]]


def encodable(text: str) -> str:
    """The text without lone surrogates: each becomes U+FFFD."""
    return text if text.isascii() else _LONE.sub("\ufffd", text)


class Workbook:
    """See the module; ``path`` is written by :meth:`save`. UsageError JC002 without openpyxl; ``instead``: the format
    to choose then."""

    def __init__(self, path: Path, *, instead: str = "CSV", rows: int = ROWS) -> None:
        try:
            import openpyxl
        except ImportError:
            hint = f"install jointcoder[excel], or choose {instead}"
            raise UsageError("JC002", "writing a workbook needs openpyxl", hint=hint) from None
        self.path, self.rows = path, rows
        self.cut = self.odd = False
        self.book: Any = openpyxl.Workbook(write_only=True)

    def sheet(self, title: str, columns: Columns) -> Sheet:
        """A sheet with its header, which stays in view."""
        return Sheet(self, title, columns)

    def save(self) -> None:
        """Write the file."""
        self.book.save(self.path)


class Sheet:
    """Rows under a header; a further sheet is begun where one is full."""

    def __init__(self, book: Workbook, title: str, columns: Columns) -> None:
        self._book, self._title, self._columns = book, title, columns
        self._sheets = self._rows = 0
        self._begin()

    def append(self, values: Sequence[str | float | None]) -> None:
        """A row; texts are texts, numbers numbers, None an empty cell."""
        if self._rows >= self._book.rows:
            self._begin()
        self._sheet.append([self._text(value) if isinstance(value, str) else value for value in values])
        self._rows += 1

    def _begin(self) -> None:
        from openpyxl.styles import Font
        from openpyxl.utils import get_column_letter

        self._sheets += 1
        number = f" ({self._sheets})" if self._sheets > 1 else ""
        self._sheet: Any = self._book.book.create_sheet(self._title[: _TITLE - len(number)] + number)
        self._sheet.freeze_panes = "A2"
        header = []
        for place, (heading, width) in enumerate(self._columns, start=1):
            self._sheet.column_dimensions[get_column_letter(place)].width = width
            cell = self._text(heading)
            cell.font = Font(bold=True)
            header.append(cell)
        self._sheet.append(header)
        self._rows = 1

    def _text(self, value: str) -> Any:
        """A cell that is text whatever it begins with."""
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

        clean = encodable(ILLEGAL_CHARACTERS_RE.sub("\ufffd", value))
        self._book.odd |= clean != value
        self._book.cut |= len(clean) > CELL
        cell = WriteOnlyCell(self._sheet, value=clean[:CELL])
        cell.data_type = "s"
        return cell
