"""Workbooks and delimited text → tables of rows, whoever exported them.

    tables(source)  →  Table (a visible worksheet, or the one table of a text)  →  Row (number, cells)

A workbook is loaded a sheet at a time and whole (that is how `python-calamine` reads: about as much memory as the sheet
unzipped); a text streams, whatever its length (:mod:`jointcoder.exchange.delimited`). Cells are handed on as they are,
not a blank is taken away. What the columns mean is not known here.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jointcoder.errors import InputError, UsageError, name_list
from jointcoder.exchange.delimited import Row, likely_delimiter, records
from jointcoder.exchange.excel_errors import error_cells
from jointcoder.exchange.incoming import Place
from jointcoder.exchange.source import OLE, PROTECTED, Source

CELL_LIMIT = 32_767  # characters that a cell of Excel holds, counted in UTF-16
_NEARLY = 8  # exporters cut at the limit or just below
_MARKUP = (b"<html", b"<!doctype html", b"<table", b"<?xml")
_RESAVE = "open it in a spreadsheet program and save it as .xlsx"


@dataclass(frozen=True, slots=True)
class Merged:
    """Merged cells: rows (from 1) and columns (from 0), the last ones included. The first cell holds the value."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class Table:
    """The rows of a sheet or of a text; they can be walked through once. ``text``: rows are told apart by delimiters,
    so that one with too few or too many cells is broken, and numbered by lines. ``named``: the columns, where the file
    itself says what they are called; rows are then all records, and numbered as such."""

    place: Place
    rows: Iterator[Row]
    merged: tuple[Merged, ...] = ()
    text: bool = False
    named: tuple[str, ...] = ()

    def at(self, number: int) -> Place:
        """The place of a row."""
        if self.text:
            return Place(self.place.file, line=number)
        if self.named:
            return Place(self.place.file, record=number)
        return Place(self.place.file, sheet=self.place.sheet, row=number)


def tables(
    source: Source, *, sheet: str | int | None = None, delimiter: str | None = None, quoted: bool = True
) -> Iterator[Table]:
    """The tables of a file: the worksheets that can be seen (or only ``sheet``: a name or a number from 1), or the one
    of a text. InputError JC107 (cannot be read), JC120 (no readable workbook), JC101, JC102, JC106; UsageError JC002
    (the package that reads workbooks), JC001 (no such sheet)."""
    if source.kind == "workbook":
        yield from _worksheets(source, sheet)
        return
    if sheet is not None:
        raise UsageError("JC001", f"{source.name} is no workbook and has no sheets")
    if source.head.lstrip().lower().startswith(_MARKUP):
        raise InputError("JC120", f"{source.name} is a web page, whatever its name says", hint=_RESAVE)
    chosen = delimiter or likely_delimiter(source, quoted=quoted)
    yield Table(Place(source.name), records(source, chosen, quoted=quoted), text=True)


def at_cell_limit(text: str) -> bool:
    """Whether a text is as long as a cell can be, so that its end is probably missing."""
    if len(text) * 2 < CELL_LIMIT or len(text) > CELL_LIMIT:
        return False
    return CELL_LIMIT - _NEARLY < len(text.encode("utf-16-le", "surrogatepass")) // 2 <= CELL_LIMIT


# ------------------------------------------------------------------------------------------------------ workbooks


def sheet_names(source: Source) -> tuple[list[str], list[str]]:
    """The sheets that can be seen, and those that cannot. Raises as :func:`tables` does."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    sheets = [s for s in _workbook(source).sheets_metadata if s.typ == SheetTypeEnum.WorkSheet]
    seen = [s.name for s in sheets if s.visible == SheetVisibleEnum.Visible]
    return seen, [s.name for s in sheets if s.name not in seen]


def _workbook(source: Source) -> Any:
    try:
        from python_calamine import CalamineWorkbook, PasswordError
    except ImportError:
        hint = "install jointcoder[excel], or save the table as CSV"
        raise UsageError("JC002", f"{source.name}: reading workbooks needs python-calamine", hint=hint) from None
    data = source.read()
    try:
        return CalamineWorkbook.from_filelike(io.BytesIO(data))
    except PasswordError:
        protected = True
    except Exception:  # a damaged archive fails in many ways, none of them ours
        protected = data.startswith(OLE) and PROTECTED in data
    if protected:
        hint = "open it with its password and save a copy without one"
        raise InputError("JC120", f"{source.name}: the workbook is protected by a password", hint=hint)
    raise InputError("JC120", f"{source.name}: the workbook is damaged or none", hint=_RESAVE)


def _worksheets(source: Source, wanted: str | int | None) -> Iterator[Table]:
    book = _workbook(source)
    seen, unseen = sheet_names(source)
    names = seen
    if isinstance(wanted, int):
        if not 1 <= wanted <= len(seen):
            raise UsageError("JC001", f"{source.name} has {len(seen)} sheets, none numbered {wanted}")
        names = [seen[wanted - 1]]
    elif wanted is not None:
        if wanted not in (*seen, *unseen):
            raise UsageError("JC001", f"{source.name} has no sheet {wanted!r}", hint=f"it has {name_list(seen)}")
        names = [wanted]
    for name in names:
        place = Place(source.name, sheet=name)
        try:
            sheet = book.get_sheet_by_name(name)
        except Exception as error:  # as above: the sheet may be cut off anywhere
            raise place.error("JC120", f"the sheet cannot be read ({type(error).__name__})", hint=_RESAVE) from None
        merged = tuple(
            Merged(top + 1, bottom + 1, left, right) for (top, left), (bottom, right) in sheet.merged_cell_ranges or ()
        )
        yield Table(place, _cells(sheet, error_cells(source, name)), merged)


def _cells(sheet: Any, errors: dict[tuple[int, int], str]) -> Iterator[Row]:
    first = sheet.start[1] if sheet.start else 0  # the reader leaves empty columns before the data out, rows not
    wrong: dict[int, list[tuple[int, str]]] = {}
    for (row, column), text in errors.items():
        wrong.setdefault(row, []).append((column, text))
    for number, values in enumerate(sheet.iter_rows(), start=1):
        cells = [*[""] * first, *values]
        for column, text in wrong.get(number, ()):
            cells += [""] * (column + 1 - len(cells))
            cells[column] = text
        yield Row(number, tuple(cells))
