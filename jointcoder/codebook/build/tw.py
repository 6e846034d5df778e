"""Taiwan's ICD-10-CM/PCS table → simplified Chinese names.

Either the workbook of the National Health Insurance Administration (xlsx, a sheet for each system) or a table for
each system, tab-separated and perhaps compressed:

    code    billable    name_en    name_zh_tw    name_zh_cn_t2s

Of the workbook the characters are converted (opencc `t2s`), words are not: Taiwanese terms stay Taiwanese. Names of
one year are given to the codes that still exist; new codes have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jointcoder.codebook.build.files import malformed, rows_of
from jointcoder.codebook.build.tables import workbook
from jointcoder.codebook.codes import normalise_code
from jointcoder.records import System

SHEETS = {"ICD-10-CM": System.ICD10CM, "ICD-10-PCS": System.ICD10PCS}
REPLACED = "="
COLUMNS = ("code", "name_en", "name_zh_cn_t2s")

Key = tuple[System, str]


@dataclass(frozen=True, slots=True)
class Names:
    """A line of the table: English and simplified Chinese name, either may be empty."""

    english: str
    chinese: str


def read_names(path: Path, system: System | None = None) -> Mapping[Key, Names]:
    """(system, normalised code) → names; ``system``: that of a tab-separated table. CodeBookError JC502, UsageError
    JC002."""
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


@dataclass(frozen=True, slots=True)
class Wordings:
    """How records in mainland China word an entry, and the name to stand in place of the table's, if any."""

    name: str
    wordings: tuple[str, ...]


def own_wordings() -> Mapping[str, Wordings]:
    """ICD-10-CM code or heading → wordings of our own (`data/zh/taiwan/names.tsv`)."""
    text = resources.files("jointcoder.codebook").joinpath("data", "zh", "taiwan", "names.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return {code: _wordings(cells) for code, *cells in rows}


def _wordings(cells: Sequence[str]) -> Wordings:
    name = next((cell[1:] for cell in cells if cell.startswith(REPLACED)), "")
    return Wordings(name, tuple(cell for cell in cells if not cell.startswith(REPLACED)))


def _read_workbook(path: Path) -> Mapping[Key, Names]:
    from opencc import OpenCC

    simplify = OpenCC("t2s").convert
    found: dict[Key, Names] = {}
    try:
        sheets = dict(workbook(path.name, path.read_bytes()))
    except OSError as error:
        raise malformed(path, f"cannot be read ({error.strerror})") from None
    if missing := [title for title in SHEETS if title not in sheets]:
        raise malformed(path, f"no sheet {', '.join(missing)}; expected a workbook with {', '.join(SHEETS)}")
    for title, system in SHEETS.items():
        try:
            rows = [(row + [""] * 4)[:4] for row in sheets[title]()[1:]]
        except Exception as error:  # the reader is native code: a sheet cut off fails in many ways
            raise malformed(path, f"the sheet {title} cannot be read ({type(error).__name__})") from None
        lines = [[" ".join(str(cell).split()) for cell in row] for row in rows]
        lines = [line for line in lines if line[0]]
        # One call for all names: a call costs more than a name.
        chinese = simplify("\n".join(line[3] for line in lines)).split("\n") if lines else []
        for (code, _, english, _), name in zip(lines, chinese, strict=True):
            found[system, normalise_code(code)] = Names(english, name)
    return found
