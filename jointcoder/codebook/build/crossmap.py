"""Cross maps between two editions: a file with two columns of codes → rows of a book's table ``crossmap``.

The columns are found by their headings (`data/zh/columns.tsv`: source, target). A row without a target says that there
is none and is left out, like a row without a source. Names are optional: the books know them. `codebook/crossmap.py`
reads the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from jointcoder.codebook.build.cn_files import MapFile
from jointcoder.codebook.build.tables import Line, Sheet, check_code, malformed, open_sheet
from jointcoder.codebook.build.writer import Table
from jointcoder.codebook.codes import normalise_code
from jointcoder.records import System

Pair = tuple[str, str, str, str]
"""Source code, target code, source name, target name."""

_DEFINITION = """CREATE TABLE crossmap (name TEXT NOT NULL, source_edition TEXT NOT NULL, target_edition TEXT NOT NULL,
  kind TEXT NOT NULL, source TEXT NOT NULL, target TEXT NOT NULL, source_name TEXT NOT NULL, target_name TEXT NOT NULL,
  source_key TEXT NOT NULL, target_key TEXT NOT NULL)"""
_INDEXES = (
    "CREATE INDEX crossmap_source ON crossmap (source_key, source_edition)",
    "CREATE INDEX crossmap_target ON crossmap (target_key, target_edition)",
)
_ESCAPED = re.compile(r"\\([\[\]])")  # the published map writes \[ for [


def read_map(path: Path, system: System) -> list[Pair]:
    """The pairs of a map file, in its order, each once. CodeBookError JC502 naming file and line."""
    sheet = open_sheet(path, ("source_code", "target_code"), ("source_name", "target_name"))
    pairs: dict[tuple[str, str], Pair] = {}
    for line in sheet.lines:
        sheet.check_width(line)
        source, target = (sheet.code(line, f"{side}_code") for side in ("source", "target"))
        if not source and not target:
            raise malformed(path.name, line.number, "neither a source nor a target code")
        for code in filter(None, (source, target)):
            check_code(path.name, line.number, code, "-", system)
        if source and target:
            names = (_name(sheet, line, "source_name"), _name(sheet, line, "target_name"))
            pairs.setdefault((source, target), (source, target, *names))
    if not pairs:
        raise malformed(path.name, 2, "the file maps no codes")
    return list(pairs.values())


def crossmap_table(maps: Iterable[MapFile]) -> Table:
    """The maps as one table of a book; empty when there are none."""
    rows = [
        (one.path.stem, one.source, one.target, str(one.system.kind), *pair, *map(normalise_code, pair[:2]))
        for one in maps
        for pair in read_map(one.path, one.system)
    ]
    return Table("crossmap", _DEFINITION, rows, _INDEXES)


def _name(sheet: Sheet, line: Line, role: str) -> str:
    return _ESCAPED.sub(r"\1", sheet.name(line, role))
