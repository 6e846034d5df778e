"""Which file of a directory is which Chinese table or map.

The editions are data (`data/zh/editions.toml`). A table of a known edition is found by its exact name, else by a
pattern over the name; a hospital's own tables (any id `cn-…`) by the name `diagnoses` or `procedures`, else by what is
in them: a header with code and name, and codes of the system. Two files for one place are an error, never a guess.
Rows are read elsewhere (`tables.py`, `crossmap.py`).
"""

from __future__ import annotations

import logging
import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path

from jointcoder.codebook.build.tables import CODES, malformed, open_sheet, printed_code
from jointcoder.errors import AssetError, CodeBookError, UsageError, name_list
from jointcoder.records import System

log = logging.getLogger(__name__)

SYSTEMS = {"diagnoses": System.ICD10CN, "procedures": System.ICD9CM3}
SUFFIXES = (".tsv", ".csv", ".txt", ".xlsx", ".xlsm", ".xls")
OWN = re.compile(r"cn-[a-z0-9][a-z0-9._-]*")
_MAP_NAME = re.compile(r"map_(.+)_to_(.+)")
_PROBE = 200


@dataclass(frozen=True, slots=True)
class TableEdition:
    """One table that somebody publishes: ``file`` is its exact name without ending."""

    id: str
    system: System
    title: str
    file: str
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edition:
    """A pair of tables that are used together."""

    diagnoses: TableEdition
    procedures: TableEdition

    @property
    def title(self) -> str:
        return f"{self.diagnoses.title}, {self.procedures.title}"

    def table(self, system: System) -> TableEdition:
        """The table of ``system``."""
        return self.diagnoses if system is System.ICD10CN else self.procedures


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file and the edition it is read as."""

    path: Path
    system: System
    edition: str
    title: str


@dataclass(frozen=True, slots=True)
class MapFile:
    """A cross map: the editions (table ids) it leads from and to."""

    path: Path
    system: System
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a file: codes of which system, and whether it maps them to others."""

    system: System
    crossmap: bool = False


@dataclass(frozen=True)
class _Known:
    tables: Mapping[str, TableEdition]
    books: Mapping[str, Edition]
    maps: Sequence[tuple[str, str, str, tuple[str, ...]]]  # source, target, exact file name, patterns


@cache
def _known() -> _Known:
    text = resources.files("jointcoder.codebook").joinpath("data", "zh", "editions.toml").read_text("utf-8")
    data = tomllib.loads(text)
    tables = {
        row["id"]: TableEdition(
            row["id"], System(row["system"]), row["title"], row["file"], tuple(row.get("patterns", ()))
        )
        for row in data["table"]
    }
    books = {row["id"]: Edition(tables[row["diagnoses"]], tables[row["procedures"]]) for row in data["book"]}
    maps = [(row["source"], row["target"], row["file"], tuple(row.get("patterns", ()))) for row in data["map"]]
    return _Known(tables, books, maps)


def editions() -> Mapping[str, Edition]:
    """The books known by name: id → their tables."""
    return _known().books


def table_editions() -> Mapping[str, TableEdition]:
    """The tables known by name: id → table."""
    return _known().tables


def is_own(book: str) -> bool:
    """Whether ``book`` may be the id of a hospital's own book."""
    return OWN.fullmatch(book) is not None and book not in editions()


def find_tables(book: str, directory: Path) -> list[TableFile]:
    """The tables of ``book`` in ``directory``, diagnoses first. UsageError JC001 when one of a known book is missing or
    two files would do; AssetError JC206 for an unknown id that is no own one, or has no tables there."""
    if book in editions():
        return [_find(editions()[book].table(system), directory) for system in SYSTEMS.values()]
    files = _files(directory) if is_own(book) else []
    here: dict[Path, Content] = {}
    reasons: list[str] = []
    for path in files:
        try:
            here[path] = content(path)
        except CodeBookError as error:
            if _stem(path) not in SYSTEMS:
                reasons.append(error.message)
    found = []
    for role, system in SYSTEMS.items():
        exact = [path for path in files if _stem(path) == role]
        fitting = [path for path, holds in here.items() if holds == Content(system) and _stem(path) not in SYSTEMS]
        chosen = _only(exact or fitting, f"{role} of {book}", f"keep one, or name the right one {role}.tsv")
        if chosen is not None:
            found.append(describe(book, role, chosen))
    if found:
        for reason in reasons:
            log.warning("%s; left aside", reason)
    else:
        problem = f"unknown code book {book!r}" + (", and no table of codes and names to build it from" * is_own(book))
        hint = f"known: {name_list(editions())}; a hospital's own tables: any id cn-… and a folder that holds them"
        hint = "; ".join((*reasons[:3], hint))
        raise AssetError("JC206", problem, hint=hint)
    return found


def describe(book: str, role: str, path: Path) -> TableFile:
    """The edition of a file given for ``role`` (diagnoses, procedures): that of a known table by its name, else that of
    the known book, else the hospital's own."""
    system = SYSTEMS[role]
    named = [table for table in table_editions().values() if table.system is system and _named(table, path)]
    if not named and book in editions():
        named = [editions()[book].table(system)]
    if named:
        return TableFile(path, system, named[0].id, named[0].title)
    short = "ICD-10" if system is System.ICD10CN else "ICD-9-CM-3"
    return TableFile(path, system, f"{book}-{role}", f"{short} {path.stem}")


def find_maps(tables: Sequence[TableFile], directory: Path) -> list[MapFile]:
    """The cross maps in ``directory`` that lead from or to one of ``tables``."""
    held = {table.edition for table in tables}
    found = [map_file(path, tables) for path in _files(directory)]
    maps = [one for one in found if one is not None and {one.source, one.target} & held]
    for one in maps:
        same = [other.path for other in maps if (other.source, other.target) == (one.source, one.target)]
        _only(same, f"the map from {one.source} to {one.target}", "keep one")
    return maps


def map_file(path: Path, tables: Sequence[TableFile] = ()) -> MapFile | None:
    """What a map leads from and to, by its name; None when the name does not say."""
    systems = {name: table.system for name, table in table_editions().items()}
    systems |= {table.edition: table.system for table in tables}
    stem = _stem(path)
    for source, target, file, patterns in _known().maps:
        known = any(fnmatchcase(stem, pattern) for pattern in patterns)
        if stem == file or (known and _holds(path, Content(systems[source], crossmap=True))):
            return MapFile(path, systems[source], source, target)
    named = _MAP_NAME.fullmatch(stem)
    if named is None or not set(named.groups()) <= set(systems):
        return None
    source, target = named.groups()
    if systems[source] is not systems[target]:
        raise UsageError("JC001", f"{path.name}: {source} and {target} do not code the same things")
    return MapFile(path, systems[source], source, target)


def content(path: Path) -> Content:
    """What a file holds, judged by its header and its first codes. CodeBookError JC502 when it is no table of codes."""
    try:
        sheet = open_sheet(path, ("source_code", "target_code"))
        role, crossmap = "source_code", True
    except CodeBookError:
        sheet = open_sheet(path, ("code", "name"))
        role, crossmap = "code", False
    column = sheet.columns[role]
    codes = [printed_code(line.cell(column)) for line in islice(sheet.lines, _PROBE)]
    votes = {  # undotted codes look like any other numbering
        system: sum("." in code and pattern.fullmatch(code) is not None for code in codes)
        for system, pattern in CODES.items()
    }
    best = max(votes, key=lambda system: votes[system])
    if votes[best] * 4 < max(len(codes), 1):
        raise malformed(path.name, 2, "neither diagnosis nor procedure codes")
    return Content(best, crossmap)


def _holds(path: Path, wanted: Content) -> bool:
    try:
        return content(path) == wanted
    except CodeBookError:
        return False


def _find(table: TableEdition, directory: Path) -> TableFile:
    files = _files(directory)
    fitting = [path for path in files if _stem(path) == table.file]
    if not fitting:
        fitting = [path for path in files if _named(table, path) and _holds(path, Content(table.system))]
    chosen = _only(fitting, table.title, f"keep one, or name the right one {table.file}.tsv")
    if chosen is None:
        hint = f"expected {table.file} with the ending {', '.join(SUFFIXES)}; tables of your own: any id cn-…"
        raise UsageError("JC001", f"missing the table of {table.title} in {directory}", hint=hint)
    return TableFile(chosen, table.system, table.id, table.title)


def _named(table: TableEdition, path: Path) -> bool:
    stem = _stem(path)
    return stem == table.file or any(fnmatchcase(stem, pattern) for pattern in table.patterns)


def _only(paths: Sequence[Path], what: str, hint: str) -> Path | None:
    if len(paths) > 1:
        names = " and ".join(path.name for path in paths)
        raise UsageError("JC001", f"{len(paths)} files would do for {what}: {names}", hint=hint)
    return paths[0] if paths else None


def _files(directory: Path) -> list[Path]:
    """The files that may be tables, by name. A spreadsheet program's lock files (``~$…``) are none."""
    paths = (path for path in directory.iterdir() if path.is_file() and path.suffix.casefold() in SUFFIXES)
    return sorted(path for path in paths if not path.name.startswith((".", "~$")))


def _stem(path: Path) -> str:
    return unicodedata.normalize("NFKC", path.stem).casefold()
