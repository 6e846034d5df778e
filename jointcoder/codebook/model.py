"""The values a code book hands out. All frozen; this module knows nothing of files, searching or building."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from jointcoder.records import System

FORMAT = 2
"""Version of the artefact: raised when its tables, its index or the analysis of wordings change."""

LEVELS = ("chapter", "block", "category", "code")
"""``code``: assignable; ``category``: any heading from the three-character category down to the last
subdivision; ``block``: a range of categories; ``chapter``: the top."""

NOTE_KINDS = (
    "includes",
    "inclusion_terms",
    "excludes1",
    "excludes2",
    "code_first",
    "use_additional",
    "code_also",
    "seventh_note",
    "seventh_characters",
    "notes",
)

OPERATION_CATEGORIES = ("surgery", "interventional", "therapeutic", "diagnostic")
"""手术, 介入治疗, 治疗性操作, 诊断性操作: the categories of procedures of the Chinese editions."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a code book. ``code`` as printed (with its dot); ``name`` in the book's first language."""

    system: System
    code: str
    name: str
    names: Mapping[str, str]
    billable: bool
    level: str
    parent: str | None


@dataclass(frozen=True, slots=True)
class Note:
    """One line of a note: where it stands (``origin``, a code), its ``label`` (a 7th character) and its text."""

    kind: str
    text: str
    origin: str
    label: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Notes:
    """The notes of one entry, nearest first when inherited ones are included."""

    includes: tuple[Note, ...] = ()
    inclusion_terms: tuple[Note, ...] = ()
    excludes1: tuple[Note, ...] = ()
    excludes2: tuple[Note, ...] = ()
    code_first: tuple[Note, ...] = ()
    use_additional: tuple[Note, ...] = ()
    code_also: tuple[Note, ...] = ()
    seventh_note: tuple[Note, ...] = ()
    seventh_characters: tuple[Note, ...] = ()
    notes: tuple[Note, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, kind) for kind in NOTE_KINDS)

    def lines(self) -> tuple[Note, ...]:
        """Every line, by kind."""
        return tuple(note for kind in NOTE_KINDS for note in getattr(self, kind))


@dataclass(frozen=True, slots=True)
class Term:
    """A wording of an entry: its language, and whether it is a ``name``, an ``inclusion`` term, an ``include`` or a
    line of the ``index`` (of ``external`` causes)."""

    text: str
    lang: str
    kind: str


@dataclass(frozen=True, slots=True)
class Period:
    """First and last day on which a code may be assigned, both inclusive."""

    start: dt.date
    end: dt.date

    def __contains__(self, day: object) -> bool:
        return isinstance(day, dt.date) and self.start <= day <= self.end


@dataclass(frozen=True, slots=True)
class Operation:
    """What a table of a Chinese edition says of a procedure beside its name, as far as it does.

    ``grade``: 手术级别, 1 to 4, 4 the most difficult (医疗机构手术分级管理办法, 2022); ``category``: 操作类别, one of
    :data:`OPERATION_CATEGORIES`. None and "" where the table has no such column or no value: never derived.
    """

    grade: int | None = None
    category: str = ""

    def __bool__(self) -> bool:
        return self.grade is not None or bool(self.category)


@dataclass(frozen=True, slots=True)
class Source:
    """One file a book was built from."""

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class BookInfo:
    """What a book is: ``counts[system]`` = {"entries", "billable"}; ``sha256`` identifies the content,
    ``tables`` the word tables of this program that went into its index."""

    id: str
    edition: str
    systems: tuple[System, ...]
    languages: tuple[str, ...]
    sha256: str
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: MappingProxyType({}))
    sources: tuple[Source, ...] = ()
    tables: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A code found by wording. ``score`` lies in (0, 1], 1 = the same wording; comparable within one query."""

    system: System
    code: str
    name: str
    term: str
    lang: str
    score: float
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spotted:
    """A wording of the book found in running text: code-point offsets into that text, and what it may mean."""

    start: int
    end: int
    hits: tuple[Hit, ...]
