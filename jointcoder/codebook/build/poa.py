"""The list of codes that are exempt from reporting whether they were present on admission (CMS, every fiscal year).

`POAexemptCodesFY25.txt`, `POAexemptCodes2024.txt`: an order number, the code and its title between tabs. The list of
a year counts from 1 October before it until the next list that is at hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from jointcoder.codebook.build.files import malformed, read_text, year_of
from jointcoder.codebook.build.mce import joined
from jointcoder.codebook.build.writer import Dated
from jointcoder.codebook.codes import normalise_code
from jointcoder.records import System

FLAG = "poa-exempt"
ENCODINGS = ("utf-8-sig", "cp1252")
FOR_EVER = 99991231

_CODE = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.?[0-9A-Z]{1,4})?")


def read_poa(paths: Sequence[Path], periods: Iterable[Dated] = ()) -> list[Dated]:
    """The flag ``poa-exempt`` of every code listed, to the last day ``periods`` gives the code (none: for ever).

    CodeBookError JC502 naming file and line, and for a file whose name says no year.
    """
    last: dict[str, int] = {}
    for period in periods:
        if period.system is System.ICD10CM:
            last[period.key] = max(period.end, last.get(period.key, 0))
    years = sorted((_year(path), path) for path in paths)
    flags: list[Dated] = []
    for place, (year, path) in enumerate(years):
        start = (year - 1) * 10000 + 1001
        until = (years[place + 1][0] - 1) * 10000 + 930 if place + 1 < len(years) else FOR_EVER
        for key in _codes(path):
            end = min(until, last.get(key, FOR_EVER))
            if end >= start:
                flags.append(Dated(System.ICD10CM, key, start, end, FLAG))
    return joined(flags)


def _year(path: Path) -> int:
    year = year_of(path)
    if year is None:
        raise malformed(path, "the name of the file says no fiscal year (FY25, 2025)")
    return year


def _codes(path: Path) -> list[str]:
    found: dict[str, None] = {}
    for number, line in enumerate(read_text(path, encodings=ENCODINGS).splitlines(), start=1):
        cells = [cell.strip() for cell in line.split("\t")]
        code = next((cell for cell in cells[:2] if _CODE.fullmatch(cell)), None)
        if code is not None:
            found[normalise_code(code)] = None
        elif number > 1 and any(cells):
            raise malformed(path, "expected an order number, a code and its title between tabs", line=number)
    if not found:
        problem = "the list holds no codes; expected an order number, a code and its title between tabs"
        raise malformed(path, problem, line=1)
    return list(found)
