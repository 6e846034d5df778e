"""What the readers of official files share: XML, tables, lists of lines, with errors that name file and line.

Tables may be compressed (``.gz``). They are read as UTF-8, with or without a mark; where the publisher writes on
Windows also as cp1252. This module knows no source.
"""

from __future__ import annotations

import csv
import gzip
import re
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jointcoder.errors import CodeBookError

_YEAR = re.compile(r"(?<!\d)(20\d\d)(?!\d)|fy\s?(\d\d)(?!\d)", re.IGNORECASE)


def malformed(path: Path, problem: str, *, line: int | None = None, at: str = "") -> CodeBookError:
    """JC502 for a file, naming the line or the entry when it is known."""
    where = f", line {line}" if line is not None else f", at {at}" if at else ""
    return CodeBookError("JC502", f"{path.name}{where}: {problem}")


def year_of(path: Path) -> int | None:
    """The fiscal year that the name of a file says: ``POAexemptCodesFY25.txt`` → 2025; None when it says none."""
    years = [int(m[1] or f"20{m[2]}") for m in _YEAR.finditer(path.stem)]
    return years[-1] if years else None


def parse_xml(path: Path, root: str, what: str) -> ET.Element:
    """The root element, which must be ``root``. CodeBookError JC502 naming file and line."""
    try:
        element = ET.parse(path).getroot()
    except ET.ParseError as error:
        raise malformed(path, "not well-formed XML", line=error.position[0]) from None
    except (OSError, LookupError, ValueError) as error:
        raise malformed(path, f"cannot be read ({type(error).__name__})") from None
    if element.tag != root:
        raise malformed(path, f"not {what} (root <{element.tag}>, expected <{root}>)", line=1)
    return element


def version_of(path: Path) -> int | None:
    """The year an XML file gives in its ``<version>`` near the top, None when it gives none."""
    try:
        with path.open("rb") as file:
            m = re.search(rb"<version>\s*(\d{4})\s*</version>", file.read(4096))
    except OSError:
        return None
    return int(m[1]) if m else None


def text_of(element: ET.Element | None) -> str:
    """All text in an element, blanks levelled; empty for None."""
    return "" if element is None else " ".join("".join(element.itertext()).split())


def read_text(path: Path, *, encodings: Sequence[str] = ("utf-8-sig",)) -> str:
    """The text of a file in the first of ``encodings`` that fits. CodeBookError JC502."""
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else "the compressed file is damaged"
        raise malformed(path, f"cannot be read ({problem})") from None
    failure: UnicodeDecodeError | None = None
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            failure = failure or error
            continue
        if "\0" not in text:
            return text
    line = 1 if failure is None else data.count(b"\n", 0, failure.start) + 1
    raise malformed(path, f"not text in {' or '.join(e.removesuffix('-sig') for e in encodings)}", line=line)


def rows_of(
    path: Path, header: Sequence[str], *, delimiter: str, encodings: Sequence[str] = ("utf-8-sig",)
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(line number, column → value) of a table whose first line names at least the columns of ``header``."""
    reader = csv.reader(read_text(path, encodings=encodings).splitlines(keepends=True), delimiter=delimiter)
    expected = f"expected a header with the columns {', '.join(header)}"
    try:
        columns = [name.strip() for name in next(reader)]
    except StopIteration:
        raise malformed(path, f"the file is empty; {expected}", line=1) from None
    missing = [name for name in header if name not in columns]
    if missing:
        raise malformed(path, f"no column {', '.join(missing)}; {expected}", line=1)
    last = max(columns.index(name) for name in header)
    places = [(name, columns.index(name)) for name in header]
    try:
        for row in reader:
            if not row:
                continue
            if len(row) <= last:
                raise malformed(path, f"{len(row)} columns; {expected}", line=reader.line_num)
            yield reader.line_num, {name: row[place].strip() for name, place in places}
    except csv.Error as error:
        raise malformed(path, f"not a table ({error})", line=reader.line_num) from None
    if reader.line_num < 2:
        raise malformed(path, "the table holds no rows", line=2)
