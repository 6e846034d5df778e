"""The cells of an XLSX sheet that hold an error (``#REF!``, ``#N/A`` …), which `python-calamine` reads as empty.

    error_cells(source, "Sheet1")  →  {(row from 1, column from 0): "#REF!"}

A sheet without errors costs one pass over its unzipped bytes; only one that holds some is parsed again. The older XLS
and the binary XLSB are not looked into: there such a cell stays empty.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from typing import IO
from xml.etree import ElementTree

from jointcoder.exchange.source import OLE, Source

ERRORS = frozenset(
    {"#REF!", "#N/A", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#GETTING_DATA"}
)
"""What a cell shows that holds an error; in a CSV that a spreadsheet program saved these words are its text."""

_BOOK, _RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_MARK = re.compile(rb"""\st=["']e["']""")
_REFERENCE = re.compile(r"([A-Z]{1,3})(\d+)")
_BLOCK = 1 << 20


def error_cells(source: Source, sheet: str) -> dict[tuple[int, int], str]:
    """Where errors stand in ``sheet``, and which; nothing for other formats than XLSX."""
    if source.head.startswith(OLE):
        return {}
    with source.open() as file:
        try:
            with zipfile.ZipFile(file) as archive:
                part = _part(archive, sheet)
                if part is None or not _marked(archive, part):
                    return {}
                with archive.open(part) as xml:
                    return dict(_errors(xml))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, ElementTree.ParseError):
            return {}  # the reader itself has already read it, or said why not


def _part(archive: zipfile.ZipFile, sheet: str) -> str | None:
    """The member of the archive that holds a sheet."""
    if _BOOK not in archive.namelist():
        return None
    book = ElementTree.fromstring(archive.read(_BOOK))
    sheets = {found.get("name"): found.get(_ID) for found in book.iter() if _bare(found.tag) == "sheet"}
    targets = {found.get("Id"): found.get("Target", "") for found in ElementTree.fromstring(archive.read(_RELATIONS))}
    target = targets.get(sheets.get(sheet) or "")
    if not target:
        return None
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _marked(archive: zipfile.ZipFile, part: str) -> bool:
    """Whether some cell may hold an error."""
    before = b""
    with archive.open(part) as xml:
        while block := xml.read(_BLOCK):
            if _MARK.search(before + block):
                return True
            before = block[-8:]
    return False


def _errors(xml: IO[bytes]) -> Iterator[tuple[tuple[int, int], str]]:
    row = column = 0
    for event, element in ElementTree.iterparse(xml, events=("start", "end")):
        tag = _bare(element.tag)
        if event == "start" and tag == "row":
            row, column = int(element.get("r") or row + 1), 0
        elif event == "end" and tag == "c":
            if found := _REFERENCE.fullmatch(element.get("r") or ""):
                column = _number(found[1])
            if element.get("t") == "e":
                value = next((child.text for child in element if _bare(child.tag) == "v"), None)
                yield (row, column), value or "#REF!"
            column += 1
        elif event == "end" and tag in ("row", "sheetData"):
            element.clear()


def _number(letters: str) -> int:
    """``A`` → 0, ``AB`` → 27."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _bare(tag: str) -> str:
    return tag.rpartition("}")[2]
