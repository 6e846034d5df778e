"""From one Chinese edition to another: the published maps, both ways, and what can be said without one.

A map lies in the books that were built beside its file (`build/crossmap.py`). What it says is official; where two
editions have no map, equal names and equal codes are offered and marked as not official: between editions the same
code may stand for another disease (北京 v601 B17.203 and 医保版 B17.203), so a coder compares the names.
This module knows no map between ICD-10-CN and ICD-10-CM, because nobody has published one, and makes none up.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.codes import normalise_code
from jointcoder.errors import AssetError, CodeBookError, name_list
from jointcoder.records import Kind, System

SAME, RENAMED, OTHER = "same", "renamed", "other-code"
BY_NAME, BY_CODE = "by-name", "by-code"
MANY, NONE, UNKNOWN = "one-to-many", "none", "unknown"
RELATIONS = (SAME, RENAMED, OTHER, BY_NAME, BY_CODE, MANY, NONE, UNKNOWN)
"""Official: ``same`` code and name; ``renamed``: same code, other name; ``other-code``. Not official: ``by-name``,
``by-code`` (only the code is the same). Of a conversion as a whole: ``one-to-many``; ``none``: no equivalent;
``unknown``: the source edition has no such code."""


@dataclass(frozen=True, slots=True)
class Target:
    """A code of the other edition, and how it stands to the one converted."""

    code: str
    name: str
    relation: str


@dataclass(frozen=True, slots=True)
class Conversion:
    """What became of a code: ``relation`` of the whole, ``official`` when a published map says so, the targets with the
    same code first. ``source`` and ``target`` are ids of tables (``icd10-guolin2``)."""

    code: str
    name: str
    system: System
    source: str
    target: str
    relation: str
    official: bool
    targets: tuple[Target, ...] = ()


class CrossMap:
    """The maps of some open books. Safe to share between threads."""

    def __init__(self, *books: CodeBook) -> None:
        self.books = books
        self._held: dict[str, tuple[CodeBook, System]] = {}  # table id → the book that holds the table
        self._titles: dict[str, str] = {}
        self._maps: dict[tuple[str, str], CodeBook] = {}
        self._names: dict[str, dict[str, list[tuple[str, str]]]] = {}
        self._lock = threading.Lock()
        for book in books:
            for system, edition, title in _tables(book):
                self._held.setdefault(edition, (book, system))
                self._titles[edition] = title
            for pair in _maps(book):
                self._maps.setdefault(pair, book)

    @property
    def editions(self) -> Mapping[str, str]:
        """Ids and titles of the tables held."""
        return MappingProxyType(self._titles)

    @property
    def maps(self) -> tuple[tuple[str, str], ...]:
        """The published maps held: (source, target) as ids of tables."""
        return tuple(self._maps)

    def convert(self, code: str, from_edition: str, to_edition: str) -> Conversion:
        """``code`` in the other edition. Editions: the id of a book (``cn-guolin2``) or of a table (``icd10-yb2``).

        AssetError JC206 for an unknown edition, JC203 for one that is not at hand where it is needed; CodeBookError
        JC503 when the two editions do not code the same things (ICD-10-CN and ICD-10-CM).
        """
        known = self._known_ids()
        for name in (from_edition, to_edition):
            if name not in known:
                raise AssetError("JC206", f"unknown edition {name!r}", hint=f"known: {name_list(known)}")
        sources, targets = self.tables(from_edition), self.tables(to_edition)
        shared = [system for system in sources if system in targets]
        if not shared:
            raise no_map(name_list(sources), name_list(targets))
        kind = Kind.PROCEDURE if normalise_code(code)[:1].isdigit() else Kind.DIAGNOSIS
        wanted = [system for system in shared if system.kind is kind]
        tried = [self._convert(code, system, sources[system], targets[system]) for system in wanted or shared]
        return next((one for one in tried if one.relation != UNKNOWN), tried[0])

    def tables(self, edition: str) -> Mapping[System, str]:
        """The tables of a book, or the one table itself: system → table id. Empty for an unknown id."""
        from jointcoder.codebook.build.cn_files import editions, table_editions

        for book in self.books:
            if book.info.id == edition:
                return {system: table for system, table, _ in _tables(book)}
        if edition in editions():
            pair = editions()[edition]
            return {table.system: table.id for table in (pair.diagnoses, pair.procedures)}
        if edition in self._held:
            return {self._held[edition][1]: edition}
        return {table_editions()[edition].system: edition} if edition in table_editions() else {}

    def _known_ids(self) -> set[str]:
        from jointcoder.codebook.build.cn_files import editions, table_editions

        return {*editions(), *table_editions(), *self._held, *(book.info.id for book in self.books)}

    def _convert(self, code: str, system: System, source: str, target: str) -> Conversion:
        key = normalise_code(code)
        held = self._held.get(source)
        entry = held[0].get(system, code) if held else None
        printed, name = (entry.code, entry.name) if entry else (code, "")
        mapped = self._mapped(key, source, target)
        official = True
        if mapped:
            printed, name = (printed, name) if entry else mapped[0][:2]  # maps know some codes that no table has
            targets = [self._target(system, target, *pair[2:], key, name) for pair in mapped]
        elif mapped is not None or source == target:
            targets = [Target(printed, name, SAME)] if entry and source == target else []
        elif held and target in self._held:
            targets = self._alike(key, name, target) if entry else []
            official = False
        else:
            hint = "build it with `jointcoder codebook build NAME --from DIR`"
            missing = source if not held else target
            raise AssetError("JC203", f"no map from {source} to {target}, and no table {missing}", hint=hint)
        targets.sort(key=lambda one: normalise_code(one.code) != key)
        relation = targets[0].relation if targets else (NONE if entry else UNKNOWN)
        relation = MANY if len(targets) > 1 else relation
        return Conversion(printed, name, system, source, target, relation, official, tuple(targets))

    def _mapped(self, key: str, source: str, target: str) -> list[tuple[str, str, str, str]] | None:
        """Code, name, and the code and name it leads to, as a map has them, in either direction; None without a map."""
        here, there = "source, source_name", "target, target_name"
        for pair, columns, side in (
            ((source, target), f"{here}, {there}", "source"),
            ((target, source), f"{there}, {here}", "target"),
        ):
            book = self._maps.get(pair)
            if book is not None:
                where = f"{side}_key = ? AND source_edition = ? AND target_edition = ? ORDER BY rowid"
                rows = book.rows(f"SELECT {columns} FROM crossmap WHERE {where}", key, *pair)
                return [(code, name, other, title) for code, name, other, title in rows]
        return None

    def _target(self, system: System, edition: str, code: str, name: str, key: str, before: str) -> Target:
        """A target of a map, named as its edition names it; ``key`` and ``before``: the code converted and its name."""
        held = self._held.get(edition)
        entry = held[0].get(system, code) if held else None
        code, name = (entry.code, entry.name) if entry else (code, name)
        if normalise_code(code) != key:
            return Target(code, name, OTHER)
        return Target(code, name, RENAMED if before and _level(name) != _level(before) else SAME)

    def _alike(self, key: str, name: str, target: str) -> list[Target]:
        """Codes of ``target`` with the same name (the one with the same code alone, if there is one), else the code."""
        book, system = self._held[target]
        named = self._by_name(target).get(_level(name), [])
        same = [one for one in named if normalise_code(one[0]) == key]
        if named:
            return [Target(*one, BY_NAME) for one in same or named]
        entry = book.get(system, key)
        return [Target(entry.code, entry.name, BY_CODE)] if entry and entry.billable else []

    def _by_name(self, edition: str) -> Mapping[str, list[tuple[str, str]]]:
        """The printed names of a table, levelled → code and name; headings put in by the builder are no rows of it."""
        with self._lock:
            if edition not in self._names:
                book, system = self._held[edition]
                statement = "SELECT code, name FROM node WHERE system = ? AND billable ORDER BY id"
                names: dict[str, list[tuple[str, str]]] = {}
                for code, name in book.rows(statement, system):
                    names.setdefault(_level(name), []).append((code, name))
                self._names[edition] = names
        return self._names[edition]


def no_map(source: str, target: str) -> CodeBookError:
    """The error of two editions that no map can join."""
    hint = "maps join editions of one classification; between ICD-10-CN and ICD-10-CM none has been published"
    return CodeBookError("JC503", f"there is no map from {source} to {target}", hint=hint)


def _tables(book: CodeBook) -> list[tuple[System, str, str]]:
    """System, id and title of each table of a book; a book that does not say has one table a system, of its own."""
    if _has(book, "system_edition"):
        rows = book.rows("SELECT system, id, title FROM system_edition ORDER BY system")
        return [(System(system), edition, title) for system, edition, title in rows]
    return [(system, f"{book.info.id}-{system.kind}", book.info.edition) for system in book.info.systems]


def _maps(book: CodeBook) -> list[tuple[str, str]]:
    if not _has(book, "crossmap"):
        return []
    rows = book.rows("SELECT source_edition, target_edition FROM crossmap GROUP BY 1, 2 ORDER BY min(rowid)")
    return [(source, target) for source, target in rows]


def _has(book: CodeBook, table: str) -> bool:
    return bool(book.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table))


def _level(name: str) -> str:
    """A name without what editions print differently: width, case, blanks."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())
