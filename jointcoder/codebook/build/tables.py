"""Tables of codes and names as hospitals have them: TSV, CSV, XLSX and XLS → rows, whoever exported them.

Text may be UTF-8, UTF-16 with a byte-order mark or GBK; fields may be quoted. Columns are found by their headings in
any order (`data/zh/columns.tsv`), within the first 20 rows: exports begin with titles. Other columns are left aside.
What a code is written with is levelled here (width, letters, daggers), once: see :func:`printed_code`.

This module knows nothing of editions and of books (`cn_files.py`, `cn.py`). It cannot know the codes that a
spreadsheet has already turned into numbers: those are refused.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from itertools import chain, islice
from pathlib import Path
from typing import Any

from jointcoder.codebook.build.operations import OPERATION_ROLES, read_operation
from jointcoder.codebook.codes import SIGNS, normalise_code
from jointcoder.codebook.model import Operation
from jointcoder.errors import CodeBookError, UsageError
from jointcoder.records import System

HEADER_WITHIN = 20
DELIMITERS = "\t,;"
CODES = {
    System.ICD10CN: re.compile(r"[A-Z][0-9][0-9A-Z][0-9A-Za-z./]*\+?([A-Z][0-9][0-9A-Z][0-9A-Za-z./]*)?\*?"),
    System.ICD9CM3: re.compile(r"[0-9]{2}(\.?[0-9][0-9A-Za-z]*)?"),
}
EXAMPLES = {System.ICD10CN: "A00.000", System.ICD9CM3: "00.0100"}
NAMES_OF_CODES = {System.ICD10CN: "diagnosis code", System.ICD9CM3: "procedure code (ICD-9-CM-3)"}
_PRINTED = re.compile(r"[0-9A-Z][0-9A-Zx./]*(\+[0-9A-Z][0-9A-Zx./]*)?[*+]?")
_RANGE = re.compile(r"[A-Z]?[0-9]{2,3}[-~][A-Z]?[0-9]{2,3}")
_DOTS = str.maketrans({"。": ".", "·": ".", "•": "."})
_ASIDE = re.compile(r"\(.*?\)|\[.*?\]|【.*?】")
_BREAKS = re.compile(r"[\r\n\t]+")
_INVISIBLE = dict.fromkeys((0xFEFF, 0x200B, 0x200C, 0x200D))
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # XLSX, XLS
_HEADINGS = (("category_code", "category_name"), ("subcategory_code", "subcategory_name"))


@dataclass(frozen=True, slots=True)
class Line:
    """One row: where it begins in the file (1-based), its cells, and the columns that held numbers or dates."""

    number: int
    cells: tuple[str, ...]
    typed: frozenset[int] = frozenset()

    def cell(self, column: int | None) -> str:
        """The text of a column; empty when the row ends before it or the table has no such column."""
        return self.cells[column] if column is not None and column < len(self.cells) else ""


@dataclass(frozen=True)
class Sheet:
    """A table whose header was found: role → column, and the rows below. The rows can be walked through once.
    ``width``: the columns a row of a text may have; 0 in a workbook, where people write beside the table."""

    file: str
    columns: Mapping[str, int]
    lines: Iterator[Line]
    width: int = 0

    def check_width(self, line: Line) -> None:
        """CodeBookError JC502 when a row has more fields than the header: a name was cut at a delimiter in it."""
        if self.width and any(line.cells[self.width :]):
            hint = "a name that holds the delimiter must stand in quotation marks"
            raise malformed(self.file, line.number, "the row has more fields than the header", hint)

    def code(self, line: Line, role: str) -> str:
        """The code in the column ``role``, levelled; "" for an empty cell. CodeBookError JC502 for a number."""
        column = self.columns.get(role)
        if column is not None and column in line.typed and line.cell(column):
            hint = "a number or date has lost zeros of the code: format the column as text and paste the codes again"
            raise malformed(self.file, line.number, f"the code is stored as a number ({line.cell(column)})", hint)
        return printed_code(line.cell(column))

    def name(self, line: Line, role: str) -> str:
        """The text in the column ``role``, on one line."""
        text = line.cell(self.columns.get(role))
        return text if text.isprintable() else _BREAKS.sub(" ", text.translate(_INVISIBLE)).strip()


@dataclass(frozen=True)
class NameTable:
    """A table of one edition: code → name in printed order, names of headings that columns of their own give, how many
    rows said the same as one before, and what columns of grade and category say of procedures."""

    rows: Mapping[str, str]
    headings: Mapping[str, str]
    repeated: int = 0
    operations: Mapping[str, Operation] = field(default_factory=dict)


def read_table(path: Path, system: System) -> NameTable:
    """The codes and names of a file. Rows that repeat their code as name are dividers, ranges of codes are headings of
    the printed book: neither is taken. CodeBookError JC502 naming file and line, UsageError JC002."""
    optional = ("partner", *chain.from_iterable(_HEADINGS))
    loose = OPERATION_ROLES if system is System.ICD9CM3 else ()
    sheet = open_sheet(path, ("code", "name"), optional, loose)
    rows: dict[str, str] = {}
    headings: dict[str, str] = {}
    operations: dict[str, Operation] = {}
    first: dict[str, tuple[str, int]] = {}  # what distinguishes codes → the code as printed, its line
    repeated = 0
    for line in sheet.lines:
        sheet.check_width(line)
        code = joined(sheet.code(line, "code"), sheet.code(line, "partner"))
        name = sheet.name(line, "name")
        if (len(code) == len(name) and code == printed_code(name)) or _RANGE.fullmatch(code):
            continue
        check_code(path.name, line.number, code, name, system)
        key = normalise_code(code)
        if key in first:
            before, number = first[key]
            if rows[before] != name:
                problem = f"{code} has another name than on line {number}"
                raise malformed(path.name, line.number, problem, "keep one of the two rows")
            repeated += 1
            continue
        first[key] = (code, line.number)
        rows[code] = name
        if operation := read_operation(*(sheet.name(line, role) for role in loose)):
            operations[code] = operation
        for heading, title in _HEADINGS:
            if sheet.name(line, title):
                headings.setdefault(normalise_code(sheet.code(line, heading)), sheet.name(line, title))
    if not rows:
        raise malformed(path.name, 2, "the file holds no codes")
    headings.pop("", None)
    return NameTable(rows, headings, repeated, operations)


def read_codes(source: Path | bytes) -> list[str]:
    """Codes that someone wants looked up, as written: the column headed as code, else the first of each line; blank
    lines and lines that begin with ``#`` are skipped. CodeBookError JC502, UsageError JC002."""
    name = source.name if isinstance(source, Path) else "standard input"
    data = _bytes(source) if isinstance(source, Path) else source
    if data.startswith(_WORKBOOKS):
        sheet = _sheet(name, data, ("code",), ())
        return [code for line in sheet.lines if (code := sheet.code(line, "code"))]
    try:
        sheet = _sheet(name, data, ("code",), ())
    except CodeBookError:
        lines = decode(name, data).splitlines()
        first = (re.split(r"[\t,;]", line)[0].strip() for line in lines)
        return [code for code in first if code and not code.startswith("#")]
    return [code for line in sheet.lines if (code := line.cell(sheet.columns["code"]))]


def open_sheet(
    path: Path, required: Collection[str], optional: Collection[str] = (), loose: Collection[str] = ()
) -> Sheet:
    """The first table of ``path`` with a heading for each role in ``required``. Two columns for a role are an error,
    except for a ``loose`` one: it is left out then. CodeBookError JC502, UsageError JC002 for a workbook without the
    package that reads it."""
    return _sheet(path.name, _bytes(path), required, optional, loose)


def printed_code(text: str) -> str:
    """A code as the editions print it: half-width, no blanks, ``+`` for a dagger, letters in upper case; an ``x`` stays
    as it is written within a code (the filler, lower case by convention): ``"ｉ10．x00"`` → ``"I10.x00"``."""
    if _PRINTED.fullmatch(text):
        return text
    code = "".join(unicodedata.normalize("NFKC", text.translate(SIGNS)).translate(_DOTS).translate(_INVISIBLE).split())
    code = "".join(letter if letter == "x" else letter.upper() for letter in code)
    return re.sub(r"(^|\+)x", lambda found: found[0].upper(), code)


def joined(code: str, partner: str) -> str:
    """A code and its partner of a second column as one code: ``A18.001`` and ``G01*`` → ``A18.001+G01*``; a morphology
    code is glued on, and so is a second code without dagger or asterisk (``B37.600I39.8``)."""
    if not partner or code.endswith(partner):
        return code
    paired = "/" not in partner and (code.endswith("+") or partner.startswith("+") or partner.endswith("*"))
    return f"{code.rstrip('+')}{'+' if paired else ''}{partner.lstrip('+')}"


def check_code(file: str, number: int, code: str, name: str, system: System) -> None:
    """CodeBookError JC502 unless the row holds a code of ``system`` and a name."""
    expected = f"expected a {NAMES_OF_CODES[system]} such as {EXAMPLES[system]} and a name"
    if not code or not name:
        raise malformed(file, number, f"a {'code' if not code else 'name'} is missing; {expected}")
    if CODES[system].fullmatch(code):
        return
    for other, pattern in CODES.items():
        if other is not system and pattern.fullmatch(code):
            raise malformed(file, number, f"{code} is a {NAMES_OF_CODES[other]}; {expected}")
    raise malformed(file, number, f"{code[:40]!r} is no code; {expected}")


def malformed(file: str, number: int, problem: str, hint: str = "") -> CodeBookError:
    """The error of this room: file, line, problem."""
    return CodeBookError("JC502", f"{file}, line {number}: {problem}", hint=hint)


@cache
def headings_of(role: str) -> tuple[str, ...]:
    """The words that may head the columns ``role``, levelled; ``*`` stands for any text."""
    text = resources.files("jointcoder.codebook").joinpath("data", "zh", "columns.tsv").read_text("utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and line[0] != "#")
    return tuple(word for found, word in rows if found == role)


def find_columns(cells: Collection[str], roles: Collection[str]) -> dict[str, list[int]]:
    """role → the columns whose heading says so."""
    levelled = [_level(cell) for cell in cells]
    return {
        role: [n for n, cell in enumerate(levelled) if any(fnmatchcase(cell, word) for word in headings_of(role))]
        for role in roles
    }


def _level(heading: str) -> str:
    """A column's heading without what does not matter."""
    text = _ASIDE.sub("", unicodedata.normalize("NFKC", heading).casefold())
    return "".join(letter for letter in text if letter.isalnum())


def _sheet(
    file: str, data: bytes, required: Collection[str], optional: Collection[str], loose: Collection[str] = ()
) -> Sheet:
    if not data.strip():
        raise malformed(file, 1, "the file is empty")
    problems: list[CodeBookError] = []
    for lines in _grids(file, data):
        for line in _head(lines, problems):
            found = find_columns(line.cells, (*required, *optional))
            if not all(found[role] for role in required):
                continue
            for role, places in found.items():
                if len(places) > 1:
                    both = " and ".join(repr(line.cells[place]) for place in places)
                    problem = f"{both} both head the column for {role.replace('_', ' ')}"
                    raise malformed(file, line.number, problem, "keep one of them, or rename the other")
            found |= {role: places for role, places in find_columns(line.cells, loose).items() if len(places) == 1}
            columns = {role: places[0] for role, places in found.items() if places}
            width = 0 if data.startswith(_WORKBOOKS) else len(line.cells)
            return Sheet(file, columns, _below(line, lines, columns[next(iter(required))]), width)
    if problems:
        raise problems[0]
    wanted = "; ".join(f"{role.replace('_', ' ')}: {', '.join(headings_of(role)[:4])} …" for role in required)
    problem = f"no header with the columns {', '.join(required).replace('_', ' ')} in the first {HEADER_WITHIN} rows"
    raise malformed(file, 1, problem, f"accepted headings: {wanted}")


def _head(lines: Iterator[Line], problems: list[CodeBookError]) -> Iterator[Line]:
    """The rows in which a header may stand. What is wrong with them counts only when no way of reading finds one."""
    try:
        yield from islice(lines, HEADER_WITHIN)
    except CodeBookError as error:
        problems.append(error)


def _below(header: Line, lines: Iterator[Line], column: int) -> Iterator[Line]:
    """The rows that say something: no empty line, no header repeated on a later page, and no remark (``#`` before the
    code, which stands in ``column``)."""
    for line in lines:
        remark = line.cell(column).startswith("#") or (not line.cell(column) and line.cell(0).startswith("#"))
        if any(line.cells) and not remark and line.cells != header.cells:
            yield line


def _grids(file: str, data: bytes) -> Iterator[Iterator[Line]]:
    """The ways to see the file as rows and columns: the sheets of a workbook; a text under each delimiter."""
    if data.startswith(_WORKBOOKS):
        yield from _sheets(file, data)
        return
    text = decode(file, data)
    for delimiter in DELIMITERS:
        if delimiter in text:
            yield _records(file, text, delimiter)
    if not any(delimiter in text for delimiter in DELIMITERS):
        yield _records(file, text, DELIMITERS[0])


def _records(file: str, text: str, delimiter: str) -> Iterator[Line]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem = f"the quotation marks do not match up ({error})"
            raise malformed(file, number, problem, "a mark within a quoted field is written twice") from None
        yield Line(number, tuple(cell.strip() for cell in cells))
        number = reader.line_num + 1


def _sheets(file: str, data: bytes) -> Iterator[Iterator[Line]]:
    for title, rows in workbook(file, data):
        yield _cells(file, title, rows)


def workbook(file: str, data: bytes) -> Iterator[tuple[str, Callable[[], list[list[Any]]]]]:
    """Title and rows of each sheet of an XLSX or XLS workbook, rows read when called for; an empty cell is "".

    UsageError JC002 where the reader is not installed, CodeBookError JC502 for what is no workbook.
    """
    try:
        from python_calamine import CalamineWorkbook
    except ImportError:
        hint = "install jointcoder[books], or save the table as CSV"
        raise UsageError("JC002", f"{file}: reading workbooks needs python-calamine", hint=hint) from None
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    except Exception as error:  # a damaged archive fails in many ways, none of them ours
        raise malformed(file, 1, f"not a readable workbook ({type(error).__name__})") from None
    for title in book.sheet_names:
        yield title, lambda title=title: book.get_sheet_by_name(title).to_python(skip_empty_area=False)  # type: ignore[misc]


def _cells(file: str, title: str, rows: Callable[[], list[list[Any]]]) -> Iterator[Line]:
    try:
        held = rows()
    except Exception as error:  # as above: the sheet may be cut off anywhere
        problem = f"the worksheet {title} cannot be read ({type(error).__name__})"
        raise malformed(file, 1, problem) from None
    for number, values in enumerate(held, start=1):
        cells = tuple(str(value).strip() for value in values)
        typed = frozenset(n for n, value in enumerate(values) if not isinstance(value, str))
        yield Line(number, cells, typed)


def decode(file: str, data: bytes) -> str:
    """UTF-16 with a byte-order mark, UTF-8 or GBK. CodeBookError JC502."""
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    line = 1
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
    raise malformed(file, line, "UTF-16 cut off" if marked else "neither UTF-8 nor GBK")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CodeBookError("JC502", f"{path.name}: cannot be read ({error.strerror})") from None
