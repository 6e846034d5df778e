"""Taiwan's ICD-10-CM/PCS 2023 table (xlsx of the National Health Insurance Administration) → simplified Chinese names.

Characters are converted (opencc `t2s`), words are not: Taiwanese terms stay Taiwanese. Names of FY2023 are given to
the codes that still exist; new codes have none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jointcoder.codebook.codes import normalise_code
from jointcoder.errors import CodeBookError, UsageError
from jointcoder.records import System

SHEETS = {"ICD-10-CM": System.ICD10CM, "ICD-10-PCS": System.ICD10PCS}


def read_names(path: Path) -> Mapping[tuple[System, str], str]:
    """(system, normalised code) → simplified Chinese name. CodeBookError JC502, UsageError JC002."""
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        hint = "install jointcoder[books], or build without Chinese names"
        raise UsageError("JC002", "reading xlsx needs openpyxl", hint=hint) from None
    from opencc import OpenCC

    simplify = OpenCC("t2s").convert
    found: dict[tuple[System, str], str] = {}
    try:
        book = load_workbook(path, read_only=True)
        for title, system in SHEETS.items():
            for code, _, _, name, *_ in book[title].iter_rows(min_row=2, max_col=4, values_only=True):
                if code and name:
                    found[system, normalise_code(str(code))] = " ".join(simplify(str(name)).split())
        book.close()
    except (OSError, KeyError, ValueError, InvalidFileException) as error:
        problem = f"{path.name}: expected the sheets {', '.join(SHEETS)} ({type(error).__name__})"
        raise CodeBookError("JC502", problem) from None
    return found
