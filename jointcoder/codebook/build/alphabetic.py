"""The alphabetic index, the index of external causes, the tables of drugs and of neoplasms → lines.

All four come as XML of one kind (`icd10cm-index.xsd` of CDC/NCHS); the first also flattened to a table:

    RowID,Letter,Level,Term,See,SeeAlso,NonEssModif,Code

Lines keep what is printed: non-essential modifiers in brackets, *see* and *see also*, incomplete codes with their
dash, the second code in brackets (``manif``). A reference to a category (``seecat``, ``subcat``) is its incomplete
code. Where *see* leads is decided in :mod:`jointcoder.codebook.build.crossref`.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jointcoder.codebook.build.files import malformed, parse_xml, rows_of, text_of

COLUMNS = ("Level", "Term", "See", "SeeAlso", "NonEssModif", "Code")
ENCODINGS = ("utf-8-sig", "cp1252")

_CODE = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{0,4})?-?")
_IN_TEXT = re.compile(r"\b[A-TV-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?(?:\.?-)?")


@dataclass(slots=True)
class Printed:
    """A line as printed. ``parent``: position among the lines of its source; ``cells``: column → code."""

    level: int
    title: str
    parent: int | None = None
    aside: str = ""
    code: str = ""
    manifestation: str = ""
    see: str = ""
    see_also: str = ""
    cells: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Sheet:
    """One source: its lines in printed order, its year ("" when the file gives none), the headings of its columns."""

    lines: list[Printed]
    year: str = ""
    headings: dict[int, str] = field(default_factory=dict)


def read_index(path: Path) -> Sheet:
    """An index as XML or, by its suffix ``.csv``, flattened. CodeBookError JC502 naming file and line."""
    sheet = _read_csv(path) if path.suffix.lower() == ".csv" else _read_xml(path)
    if not sheet.lines:
        raise malformed(path, "the index holds no terms", line=1)
    return sheet


def _read_xml(path: Path) -> Sheet:
    root = parse_xml(path, "ICD10CM.index", "an index of ICD-10-CM")
    sheet = Sheet([], text_of(root.find("version")))
    for head in root.iterfind("indexHeading/head"):
        sheet.headings[_number(path, head)] = text_of(head)
    for term in root.iterfind("letter/mainTerm"):
        _term(path, term, None, 0, sheet.lines)
    return sheet


def _term(path: Path, element: ET.Element, parent: int | None, level: int, lines: list[Printed]) -> None:
    found = element.find("title")
    title, aside = _title(found) if found is not None else (text_of(element.find("diff/new")), "")
    if not title:
        above = lines[parent].title if parent is not None else "the first term"
        raise malformed(path, "a term has no title", at=above)
    line = Printed(level, title, parent, aside)
    for child in element:
        text = text_of(child)
        if child.tag == "code":
            line.code = _code(path, text, title)
        elif child.tag in ("seecat", "subcat"):
            line.code = line.code or _code(path, text.rstrip("-") + "-", title)
        elif child.tag == "manif":
            if _CODE.fullmatch(text.strip("[] ")):
                line.manifestation = text.strip("[] ")
            else:  # the neoplasm table explains a site this way
                line.aside = f"{line.aside} ({text})".strip()
        elif child.tag == "see":
            line.see = text
        elif child.tag == "seeAlso":
            line.see_also = text
        elif child.tag == "cell" and text.strip("-– "):
            line.cells[_number(path, child)] = _code(path, text, title)
    number = len(lines)
    lines.append(_read_references(line))
    for child in element:
        if child.tag == "term":
            _term(path, child, number, level + 1, lines)


def _title(element: ET.Element) -> tuple[str, str]:
    """(title without its non-essential modifiers, the modifiers)."""
    asides = [text_of(child) for child in element if child.tag == "nemod"]
    kept = [element.text or ""]
    for child in element:
        kept += ["" if child.tag == "nemod" else text_of(child), child.tail or ""]
    return " ".join(" ".join(kept).split()).replace(" ,", ","), " ".join(asides)


def _read_csv(path: Path) -> Sheet:
    from jointcoder.codebook.build.files import year_of

    sheet = Sheet([], str(year_of(path) or ""))
    above: list[int] = []  # the line open at each level
    for number, row in rows_of(path, COLUMNS, delimiter=",", encodings=ENCODINGS):
        level = int(row["Level"]) if row["Level"].isdecimal() else -1
        if not 0 <= level <= len(above):
            raise malformed(path, f"level {row['Level']!r} does not follow the line before it", line=number)
        title, aside = (" ".join(row[name].split()) for name in ("Term", "NonEssModif"))
        if not title:  # flattening has lost what stood behind the modifier
            title, aside = aside.strip("()"), ""
        if not title:
            raise malformed(path, "a term has no title", line=number)
        line = Printed(level, title, above[level - 1] if level else None, aside)
        line.see, line.see_also = (" ".join(row[name].strip(" -").split()) for name in ("See", "SeeAlso"))
        if row["Code"]:
            line.code = _code(path, row["Code"], title, line=number)
        above[level:] = [len(sheet.lines)]
        sheet.lines.append(_read_references(line))
    return sheet


def _read_references(line: Printed) -> Printed:
    """*See* a category: its incomplete code."""
    if line.see and not line.code and (named := list(_categories(line.see))):
        line.code = named[0]
    return line


def _categories(see: str) -> Iterator[str]:
    for m in _IN_TEXT.finditer(see):
        yield m.group() if m.group().endswith("-") else f"{m.group()}-"


def _code(path: Path, text: str, title: str, *, line: int | None = None) -> str:
    code = text.strip("[] ")
    if not _CODE.fullmatch(code):
        raise malformed(path, f"{code!r} is no code", line=line, at=title)
    return code


def _number(path: Path, element: ET.Element) -> int:
    column = element.get("col", "")
    if not column.isdecimal():
        raise malformed(path, "a cell has no column number", at=text_of(element))
    return int(column)
