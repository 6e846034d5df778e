"""Taiwan's ICD-10-CM/PCS table → simplified Chinese names.

Either the workbook of the National Health Insurance Administration (xlsx, a sheet for each system) or a table for
each system, tab-separated and perhaps compressed:

    code    billable    name_en    name_zh_tw    name_zh_cn_t2s

Of the workbook the characters are converted (opencc `t2s`), words are not: Taiwanese terms stay Taiwanese. Names of
one year are given to the codes that still exist; new codes have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jointcoder.codebook.build.files import malformed, rows_of
from jointcoder.codebook.build.workbook import DAMAGED, Workbook
from jointcoder.codebook.codes import normalise_code
from jointcoder.records import System

SHEETS = {"ICD-10-CM": System.ICD10CM, "ICD-10-PCS": System.ICD10PCS}
COLUMNS = ("code", "name_en", "name_zh_cn_t2s")

Key = tuple[System, str]


@dataclass(frozen=True, slots=True)
class Names:
    """A line of the table: English and simplified Chinese name, either may be empty."""

    english: str
    chinese: str


def read_names(path: Path, system: System | None = None) -> Mapping[Key, Names]:
    """(system, normalised code) → names; ``system``: that of a tab-separated table. CodeBookError JC502."""
    if system is None:
        return _read_workbook(path)
    found = {
        (system, normalise_code(row["code"])): Names(*(" ".join(row[name].split()) for name in COLUMNS[1:]))
        for _, row in rows_of(path, COLUMNS, delimiter="\t")
        if row["code"]
    }
    if not found:
        raise malformed(path, "the table holds no codes", line=2)
    return found


def _read_workbook(path: Path) -> Mapping[Key, Names]:
    from opencc import OpenCC

    simplify = OpenCC("t2s").convert
    found: dict[Key, Names] = {}
    try:
        book = Workbook(path)
        for title, system in SHEETS.items():
            rows = [row for row in book.rows(title, columns=4) if row[0].strip()][1:]
            # One call for all names: a call costs more than a name.
            chinese = simplify("\n".join(" ".join(row[3].split()) for row in rows)).split("\n")
            for (code, _, english, _), name in zip(rows, chinese, strict=True):
                found[system, normalise_code(code)] = Names(" ".join(english.split()), name)
        book.close()
    except DAMAGED as error:
        problem = f"expected a workbook with the sheets {', '.join(SHEETS)} ({type(error).__name__})"
        raise malformed(path, problem) from None
    return found
