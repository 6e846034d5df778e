"""Chinese books: ICD-10 (国家临床版, 医保版, 北京临床版) and ICD-9-CM-3 from tables of codes and names.

A code is opaque text: `x` fillers, dagger/asterisk pairs (`E11.401+G63.2*`) and glued morphology codes
(`C22.101M81600/3`) are one code each and stay as printed.

Which rows may be assigned: the tables print every term that coders assign, and the national editions assign a
full-length code (`E11.900`) even where extensions exist (`E11.900x001`). So a row is a heading only when it is shorter
than full length (six places: `A01.0`, `51.2`) and other rows extend it; any other row is assignable.
Headings that a table does not print (categories, subcategories) are put in with the name that other columns give, else
with the beginning that the names below them share, or the bare code; they can be walked through but not found by
wording. Chapters are put in above (`data/zh/chapters.tsv`), under their range of codes; blocks are not.

Which file is which: `cn_files.py`. How a file is read: `tables.py`, and `crossmap.py` for the maps to other editions.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from itertools import groupby, pairwise
from pathlib import Path

from jointcoder.codebook.build.cn_files import (
    SYSTEMS,
    Edition,
    MapFile,
    TableFile,
    describe,
    editions,
    find_maps,
    find_tables,
    is_own,
    map_file,
)
from jointcoder.codebook.build.crossmap import crossmap_table
from jointcoder.codebook.build.tables import NameTable, read_table
from jointcoder.codebook.build.writer import Draft, Plan, Progress, Table, describe_source, write
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.model import BookInfo
from jointcoder.errors import UsageError, name_list
from jointcoder.records import System

__all__ = ["Edition", "build_cn", "editions", "is_own"]

FULL_LENGTH = 6
HEADING_LENGTHS = {System.ICD10CN: (3, 4), System.ICD9CM3: (2, 3, 4)}
_PLAIN = str.maketrans("", "", ".*†")
_MORPHOLOGY = re.compile(r"M[0-9]{4,6}/[0-9]")
_EDITIONS = "CREATE TABLE system_edition (system TEXT PRIMARY KEY, id TEXT NOT NULL, title TEXT NOT NULL) WITHOUT ROWID"
_OPERATIONS = (
    "CREATE TABLE operation (system TEXT NOT NULL, key TEXT NOT NULL, grade INTEGER, category TEXT NOT NULL,"
    " PRIMARY KEY (system, key)) WITHOUT ROWID"
)

log = logging.getLogger(__name__)


def build_cn(
    edition: str,
    source: Path | Mapping[str, Path],
    target: Path,
    *,
    maps: Sequence[Path] = (),
    progress: Progress | None = None,
) -> BookInfo:
    """Build the folder ``target``.

    ``source``: a directory that holds the edition's files and maps, or {"diagnoses": path, "procedures": path}, one of
    them enough; then ``edition`` may be any id, the title names the editions of the two files, and ``maps`` gives the
    cross maps. Raises AssetError JC206 for an unknown edition, JC205; UsageError JC001 for a missing table or two files
    for one, JC002; CodeBookError JC502.
    """
    if isinstance(source, Mapping):
        if not source or set(source) - set(SYSTEMS):
            raise UsageError("JC001", "a Chinese book is built from diagnoses and procedures", hint=name_list(SYSTEMS))
        tables = [describe(edition, role, Path(source[role])) for role in SYSTEMS if role in source]
        chosen = [_map(Path(path), tables) for path in maps]
    else:
        tables = find_tables(edition, source)
        chosen = find_maps(tables, source)
    paths = [table.path for table in tables] + [one.path for one in chosen]
    sources = [describe_source(path, path.name) for path in paths]
    drafts: list[Draft] = []
    operations: list[tuple[str, str, int | None, str]] = []
    for table in tables:
        read = read_table(table.path, table.system)
        if read.repeated:
            log.warning("%s: %d repeated rows left out", table.path.name, read.repeated)
        drafts += _arrange(read, table.system, start=len(drafts))
        operations += (
            (str(table.system), normalise_code(code), o.grade, o.category) for code, o in read.operations.items()
        )
    title = ", ".join(table.title for table in tables)
    rows = [(str(table.system), table.edition, table.title) for table in tables]
    extra = [Table("system_edition", _EDITIONS, rows), crossmap_table(chosen)]
    if operations:
        extra.append(Table("operation", _OPERATIONS, operations))
    plan = Plan(id=edition, edition=title, language="zh", drafts=drafts, sources=sources, extra=extra)
    return write(plan, target, progress=progress)


def _map(path: Path, tables: Sequence[TableFile]) -> MapFile:
    found = map_file(path, tables)
    if found is None:
        hint = "name it map_SOURCE_to_TARGET with the ids of two tables"
        raise UsageError("JC001", f"{path.name}: the name does not say which editions it maps", hint=hint)
    return found


def _arrange(table: NameTable, system: System, *, start: int) -> list[Draft]:
    """Rows → drafts in pre-order, headings and chapters put in; ``start`` is added to every parent's position."""
    drafts: list[Draft] = []
    stems = {code: _stem(code) for code in table.rows}
    chapters = _chapters(system)
    places = {code: _place(stem, chapters) for code, stem in stems.items()}
    for place, codes in groupby(sorted(table.rows, key=places.__getitem__), key=places.__getitem__):
        top = None
        if place < len(chapters):
            first, last, title = chapters[place]
            top = len(drafts) + start
            drafts.append(Draft(system, f"{first}-{last}", title, "chapter", False))
        drafts += _branches({code: stems[code] for code in codes}, table, system, len(drafts) + start, top)
    return drafts


def _branches(
    stems: Mapping[str, str], table: NameTable, system: System, start: int, top: int | None
) -> Iterator[Draft]:
    """The drafts of one chapter, which stands at ``top``; the first gets the position ``start``."""
    printed = set(stems.values())
    below: dict[str, list[str]] = {}
    for code, stem in stems.items():
        for length in HEADING_LENGTHS[system]:
            below.setdefault(stem[:length], []).append(table.rows[code])
    headings = {
        stem[:length]
        for stem in printed
        for length in HEADING_LENGTHS[system]
        if len(stem) >= FULL_LENGTH and stem[length - 1] != "X" and "/" not in stem
    } - printed
    extended = {a for a, b in pairwise(sorted(printed | headings)) if b.startswith(a)}
    path: list[tuple[str, int]] = []  # open ancestors: stem, position
    items = sorted([*((stem, code) for code, stem in stems.items()), *((stem, "") for stem in headings)])
    for position, (stem, code) in enumerate(items, start=start):
        while path and not (stem.startswith(path[-1][0]) and stem != path[-1][0]):
            path.pop()
        parent = path[-1][1] if path else top
        if code:
            billable = len(stem) >= FULL_LENGTH or stem not in extended
            yield Draft(system, code, table.rows[code], "code" if billable else "category", billable, parent)
        else:
            heading = _dotted(stem, system)
            name = table.headings.get(stem) or _shared(below[stem]) or heading
            yield Draft(system, heading, name, "category", False, parent, listed=False)
        path.append((stem, position))


def _shared(names: Iterable[str]) -> str:
    """The beginning that all names share, if it is more than a character."""
    shared = os.path.commonprefix(list(names))  # noqa: RUF071 - character by character is what is wanted
    return shared if len(shared) > 1 else ""


@cache
def _chapters(system: System) -> tuple[tuple[str, str, str], ...]:
    """First and last category and title, in printed order."""
    text = resources.files("jointcoder.codebook").joinpath("data", "zh", "chapters.tsv").read_text("utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and line[0] != "#")
    return tuple((first, last, title) for name, first, last, title in rows if name == system)


def _place(stem: str, chapters: Sequence[tuple[str, str, str]]) -> int:
    """The chapter of a code; behind the last one when it belongs to none."""
    morphology = _MORPHOLOGY.fullmatch(stem) is not None
    for place, (first, last, _) in enumerate(chapters):
        if (len(first) > 3) is morphology and first <= stem[: len(first)] <= last:
            return place
    return len(chapters)


def _stem(code: str) -> str:
    """What the hierarchy goes by: the code without dot, without its asterisk partner, in upper case."""
    return code.partition("+")[0].translate(_PLAIN).upper()


def _dotted(stem: str, system: System) -> str:
    place = 3 if system is System.ICD10CN else 2
    return stem if len(stem) <= place else f"{stem[:place]}.{stem[place:]}"
