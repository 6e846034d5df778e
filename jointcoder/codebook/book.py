"""The code book: one immutable object over a folder built by :mod:`jointcoder.codebook.build`.

Diagnoses and procedures, names in several languages, hierarchy, notes, validity dates. SQLite is opened read-only and
immutable, one connection a thread; nothing is loaded until asked for. This module knows nothing of searching
(`lookup.py`), of rules (`rules.py`) or of where books lie (`store.py`).
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar

from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.model import (
    FORMAT,
    NOTE_KINDS,
    BookInfo,
    Entry,
    Note,
    Notes,
    Operation,
    Period,
    Source,
    Term,
)
from jointcoder.errors import AssetError, CodeBookError, name_list
from jointcoder.records import Kind, System

_COLUMNS = "n.id, n.system, n.code, n.name, n.billable, n.level, p.code"
_FROM = "FROM node n LEFT JOIN node p ON p.id = n.parent"
T = TypeVar("T")
REMEMBERED = 8192  # codes and entries that a book keeps at hand
_REBUILD = "run `jointcoder setup`, or `jointcoder codebook build NAME --from DIR`"


class CodeBook:
    """See the module. Build with :meth:`open`; safe to share between threads; never changes."""

    def __init__(self, path: Path, info: BookInfo) -> None:
        self.path = path
        self.info = info
        self._local = threading.local()
        self._kept: dict[str, Any] = {}
        self._keeping = threading.RLock()
        self._node_id = lru_cache(REMEMBERED)(self._sought_node)
        self._entry = lru_cache(REMEMBERED)(self._sought_entry)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open the folder ``path``. AssetError JC203 when it is missing, JC207 when damaged or of another format."""
        path = Path(path)
        meta_file = path / "meta.json"
        if not meta_file.is_file():
            raise AssetError("JC203", f"no code book at {path}", hint=_REBUILD)
        try:
            meta = json.loads(meta_file.read_text("utf-8"))
            found = meta.get("format")
            if found != FORMAT:
                raise AssetError(
                    "JC207", f"the code book {path} has format {found}, this program reads {FORMAT}", hint=_REBUILD
                )
            book = cls(path, _info(meta))
            book.rows("SELECT 1 FROM node LIMIT 1")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, sqlite3.Error) as error:
            raise AssetError(
                "JC207", f"the code book {path} is damaged ({type(error).__name__})", hint=_REBUILD
            ) from None
        return book

    def __repr__(self) -> str:
        return f"CodeBook({self.info.id!r}, {self.info.edition!r})"

    # ------------------------------------------------------------------------------------------------- one entry

    def get(self, system: System, code: str) -> Entry | None:
        """The entry of ``code`` (any case, with or without dot), or None. CodeBookError JC503."""
        node = self.node_id(system, code)
        return None if node is None else self.entry(node)

    def find(self, code: str) -> Entry | None:
        """The entry of ``code`` in any system of the book, codes before headings, or None."""
        rows = self.rows(
            f"SELECT {_COLUMNS} {_FROM} WHERE n.key = ? ORDER BY n.billable DESC, n.level = 'chapter', n.id LIMIT 1",
            normalise_code(code),
        )
        return self._entries(rows)[0] if rows else None

    def name(self, system: System, code: str, lang: str | None = None) -> str | None:
        """The name in ``lang`` (default and fallback: the book's first language), None for an unknown code."""
        entry = self.get(system, code)
        return None if entry is None else entry.names.get(lang or "", entry.name)

    def is_billable(self, system: System, code: str) -> bool:
        """Whether the code exists and may be assigned (is no heading)."""
        entry = self.get(system, code)
        return entry is not None and entry.billable

    def is_stem(self, system: System, code: str) -> bool:
        """Whether ``code`` is the beginning (three characters or more) of assignable codes: a heading, or the first
        axes of a procedure."""
        key = normalise_code(code)
        if len(key) < 3:
            return False
        rows = self.rows(
            "SELECT 1 FROM node WHERE system = ? AND key > ? AND key < ? AND billable LIMIT 1",
            self._system(system),
            key,
            key + "\U0010ffff",
        )
        return bool(rows)

    def is_valid(self, system: System, code: str, on: dt.date | None = None) -> bool:
        """Whether the code may be assigned, on the day ``on`` when the book knows dates.

        The calendar also knows codes that the edition no longer holds: such a code is valid on a day within its
        period although :meth:`get` finds nothing. After the calendar's last day what was valid on that day still is.
        """
        if on is None:
            return self.is_billable(system, code)
        periods = self.validity(system, code)
        on = min(on, self.last_day) if periods else on
        return any(on in period for period in periods) if periods else self.is_billable(system, code)

    def validity(self, system: System, code: str) -> tuple[Period, ...]:
        """The periods on which the code is valid, in order; empty when the book has no dates for it."""
        rows = self.rows(
            "SELECT start, end FROM period WHERE system = ? AND key = ? ORDER BY start",
            self._system(system),
            normalise_code(code),
        )
        return tuple(Period(_date(start), _date(end)) for start, end in rows)

    @cached_property
    def last_day(self) -> dt.date:
        """The last day the calendar knows of; ``date.max`` for a book without dates."""
        end = self.rows("SELECT max(end) FROM period")[0][0]
        return _date(end) if end else dt.date.max

    def edits(self, system: System, code: str, on: dt.date | None = None) -> frozenset[str]:
        """The code editor's flags (``unacceptable``, ``manifestation``, ``female`` …) on a day (default: latest)."""
        rows = self.rows(
            "SELECT name, start, end FROM edit WHERE system = ? AND key = ?", self._system(system), normalise_code(code)
        )
        if on is None:
            last = max((end for *_, end in rows), default=0)
            return frozenset(name for name, _, end in rows if end == last)
        on = min(on, self.last_day)
        return frozenset(name for name, start, end in rows if on in Period(_date(start), _date(end)))

    def operation(self, system: System, code: str) -> Operation:
        """Grade (手术级别) and category (操作类别) of a procedure, where the table the book was built from has them."""
        if not self._has_operations:
            return Operation()
        rows = self.rows(
            "SELECT grade, category FROM operation WHERE system = ? AND key = ?",
            self._system(system),
            normalise_code(code),
        )
        return Operation(*rows[0]) if rows else Operation()

    @cached_property
    def _has_operations(self) -> bool:
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'operation'"))

    # ------------------------------------------------------------------------------------------------- hierarchy

    def parent(self, system: System, code: str) -> Entry | None:
        node = self.node_id(system, code)
        above = () if node is None else self.rows("SELECT parent FROM node WHERE id = ? AND parent NOT NULL", node)
        return self.entry(above[0][0]) if above else None

    def ancestors(self, system: System, code: str) -> tuple[Entry, ...]:
        """From the parent up to the chapter."""
        node = self.node_id(system, code)
        return () if node is None else tuple(self.entry(up) for up in self.ancestor_ids(node))

    def children(self, system: System, code: str) -> tuple[Entry, ...]:
        """In printed order."""
        return self._below(system, code, "n.parent = ?1")

    def descendants(self, system: System, code: str) -> tuple[Entry, ...]:
        """All entries below, in printed order."""
        return self._below(system, code, "n.id > ?1 AND n.id <= ?2")

    def completions(self, system: System, code: str) -> tuple[Entry, ...]:
        """The assignable codes below ``code``; the code itself when it is assignable."""
        return self._below(system, code, "n.id >= ?1 AND n.id <= ?2 AND n.billable")

    def default_billable(self, system: System, code: str) -> Entry | None:
        """The assignable code that ``code`` stands for when nothing more is known, or None.

        From a heading down through the child that says "unspecified" (see :mod:`jointcoder.codebook.defaults`).
        """
        from jointcoder.codebook.defaults import default_child

        entry = self.get(system, code)
        while entry is not None and not entry.billable:
            entry = default_child(self, entry)
        return entry

    # ------------------------------------------------------------------------------------------- notes and words

    def notes(self, system: System, code: str, *, inherited: bool = False) -> Notes:
        """The notes of ``code``; with ``inherited`` those of its ancestors after its own, nearest first."""
        node = self.node_id(system, code)
        if node is None:
            return Notes()
        found: dict[str, list[Note]] = {kind: [] for kind in NOTE_KINDS}
        for place in (node, *(self.ancestor_ids(node) if inherited else ())):
            rows = self.rows(
                "SELECT t.kind, t.text, n.code, t.label FROM note t JOIN node n ON n.id = t.node"
                " WHERE t.node = ? ORDER BY t.position",
                place,
            )
            for kind, text, origin, label in rows:
                found[kind].append(Note(kind, text, origin, label))
        return Notes(**{kind: tuple(lines) for kind, lines in found.items()})

    def terms(self, system: System, code: str) -> tuple[Term, ...]:
        """The wordings of ``code``: names in every language, then inclusion terms."""
        node = self.node_id(system, code)
        rows = self.rows("SELECT text, lang, kind FROM term WHERE node = ? ORDER BY id", node)
        return tuple(Term(*row) for row in rows)

    def systems(self, kind: Kind) -> tuple[System, ...]:
        """The systems of the book that code ``kind``."""
        return tuple(system for system in self.info.systems if system.kind is kind)

    # --------------------------------------------------------------------------------------- for the same package

    def node_id(self, system: System, code: str) -> int | None:
        """Row number of a code; a heading is found before a chapter of the same name."""
        return self._node_id(normalise_code(code), self._system(system))

    def entry(self, node: int) -> Entry:
        """The entry of a row number."""
        return self._entry(node)

    def _sought_node(self, key: str, system: System) -> int | None:
        rows = self.rows(
            "SELECT id FROM node WHERE key = ? AND system = ? ORDER BY level = 'chapter', id LIMIT 1", key, system
        )
        return int(rows[0][0]) if rows else None

    def _sought_entry(self, node: int) -> Entry:
        return self._entries(self.rows(f"SELECT {_COLUMNS} {_FROM} WHERE n.id = ?", node))[0]

    def entries(self, nodes: Sequence[int]) -> dict[int, Entry]:
        """Row number → entry, for many at once."""
        found: dict[int, Entry] = {}
        for first in range(0, len(nodes), 500):
            part = nodes[first : first + 500]
            rows = self.rows(f"SELECT {_COLUMNS} {_FROM} WHERE n.id IN ({','.join('?' * len(part))})", *part)
            found.update(zip((row[0] for row in rows), self._entries(rows), strict=True))
        return found

    def ancestor_ids(self, node: int) -> tuple[int, ...]:
        """Row numbers from the parent up. One look-up a level: a recursive query scans the whole table instead."""
        found: list[int] = []
        parent = node
        while rows := self.rows("SELECT parent FROM node WHERE id = ? AND parent IS NOT NULL", parent):
            parent = int(rows[0][0])
            found.append(parent)
        return tuple(found)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the book's tables (``build/writer.py`` holds their definition)."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            uri = (self.path / "book.sqlite").resolve().as_uri() + "?mode=ro&immutable=1"
            connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
            self._local.connection = connection
        rows: list[tuple[Any, ...]] = connection.execute(statement, values).fetchall()
        return rows

    def kept(self, name: str, make: Callable[[], T]) -> T:
        """What a reader over this book loads once (an index, arrays): made at the first call of that ``name``, then
        shared by all threads for the life of the book."""
        with self._keeping:
            if name not in self._kept:
                self._kept[name] = make()
            found: T = self._kept[name]
            return found

    def _system(self, system: System) -> System:
        if system not in self.info.systems:
            held = name_list(self.info.systems)
            raise CodeBookError("JC503", f"the code book {self.info.id} does not hold {system}; it holds {held}")
        return system

    def _below(self, system: System, code: str, condition: str) -> tuple[Entry, ...]:
        node = self.node_id(system, code)
        if node is None:
            return ()
        last = self.rows("SELECT last FROM node WHERE id = ?", node)[0][0]
        both = "?2 = ?2 AND " if "?2" not in condition else ""
        return tuple(
            self._entries(self.rows(f"SELECT {_COLUMNS} {_FROM} WHERE {both}{condition} ORDER BY n.id", node, last))
        )

    def _entries(self, rows: Iterable[tuple[Any, ...]]) -> list[Entry]:
        rows = list(rows)
        names: dict[int, dict[str, str]] = {row[0]: {} for row in rows}
        if len(self.info.languages) > 1:
            for first in range(0, len(rows), 500):
                ids = [row[0] for row in rows[first : first + 500]]
                marks = ",".join("?" * len(ids))
                for node, lang, text in self.rows(f"SELECT node, lang, text FROM name WHERE node IN ({marks})", *ids):
                    names[node][lang] = text
        main = self.info.languages[0]
        return [
            Entry(
                system=System(system),
                code=code,
                name=name,
                names=MappingProxyType({main: name, **names[node]}),
                billable=bool(billable),
                level=level,
                parent=parent,
            )
            for node, system, code, name, billable, level, parent in rows
        ]


def _info(meta: Mapping[str, Any]) -> BookInfo:
    return BookInfo(
        id=meta["id"],
        edition=meta["edition"],
        systems=tuple(System(name) for name in meta["systems"]),
        languages=tuple(meta["languages"]),
        sha256=meta["sha256"],
        counts=MappingProxyType({s: MappingProxyType(dict(c)) for s, c in meta["counts"].items()}),
        sources=tuple(Source(s["name"], s["sha256"], s["bytes"]) for s in meta["sources"]),
        tables=meta.get("tables", ""),
    )


def _date(day: int) -> dt.date:
    return dt.date(day // 10000, day // 100 % 100, day % 100)
