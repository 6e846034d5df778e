"""What the book says of one code, gathered once and kept: the oracle asks for the same codes over and over.

For a code: its place, name, dates and editor's flags. For an entry: the instruction notes printed at it, their
references read. Both are kept for the life of the process, the codes up to a bound. Dates are numbers (yyyymmdd)
here. This module judges nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.model import Note
from jointcoder.codebook.ranges import Reference, references
from jointcoder.codebook.rules.catalogue import cues, holds
from jointcoder.errors import CodeBookError, name_list
from jointcoder.records import System

KEPT = 16_384
POA_EXEMPT = "poa-exempt"
EXCLUDES = ("excludes1", "excludes2")
INSTRUCTIONS = ("code_first", "use_additional", "code_also")
_KINDS = (*EXCLUDES, *INSTRUCTIONS)
_ENTRY = "SELECT id, code, name, billable, level, parent, key FROM node WHERE "


class Place(NamedTuple):
    """An entry of the hierarchy."""

    node: int
    code: str
    name: str
    billable: bool
    level: str
    parent: int | None
    key: str

    @property
    def local(self) -> bool:
        """Whether it stands for a condition: a category or something below, no chapter or block."""
        return self.level in ("code", "category")


@dataclass(frozen=True, slots=True)
class Facts:
    """One code. ``line``: its entry and those above, nearest first; empty when the book does not hold it."""

    system: System
    code: str
    key: str
    line: tuple[Place, ...]
    periods: tuple[tuple[int, int], ...]
    flags: tuple[tuple[str, int, int], ...]

    @property
    def known(self) -> bool:
        return bool(self.line)

    @property
    def billable(self) -> bool:
        return bool(self.line) and self.line[0].billable

    @property
    def name(self) -> str:
        return self.line[0].name if self.line else ""


class Named(NamedTuple):
    """A code or range that a note names."""

    note: Note
    reference: Reference
    past: str  # sorts behind every code of the reference


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of an entry: its heading line (or its only line), what it names, and how binding it is.

    ``conditional``: it asks only where it applies ("if applicable", "any associated"); ``open``: other codes than those
    named may satisfy it ("such as", or none named); ``local``: printed at a category or below.
    """

    kind: str
    note: Note
    named: tuple[Named, ...]
    conditional: bool
    open: bool
    local: bool


@dataclass(frozen=True, slots=True)
class Printed:
    """The notes printed at one entry, as far as the oracle reads them."""

    excludes1: tuple[Named, ...] = ()
    excludes2: tuple[Named, ...] = ()
    instructions: tuple[Instruction, ...] = ()


NOTHING = Printed()


class FactBook:
    """The facts of one book. Safe to share between threads: what is kept never changes once made."""

    def __init__(self, book: CodeBook) -> None:
        self.book = book
        self._codes: dict[tuple[System, str], Facts] = {}
        self._places: dict[int, Place] = {}
        self._printed: dict[int, Printed] = {}
        self._answers: dict[tuple[str, ...], str] = {}
        self.last_day = as_number(book.last_day)
        self.has_exempt_list = bool(book.rows("SELECT 1 FROM edit WHERE name = ? LIMIT 1", POA_EXEMPT))
        kinds = ",".join(f"'{kind}'" for kind in _KINDS)
        self._noted = frozenset(row[0] for row in book.rows(f"SELECT DISTINCT node FROM note WHERE kind IN ({kinds})"))

    def facts(self, system: System, code: str) -> Facts:
        """The facts of a code, in any spelling of it. CodeBookError JC503 for a system the book does not hold."""
        found = self._codes.get((system, code))
        if found is None:
            if len(self._codes) >= KEPT:
                self._codes.clear()
            found = self._codes[system, code] = self._gather(system, code)
        return found

    def printed(self, place: Place) -> Printed:
        """The notes printed at an entry."""
        found = self._printed.get(place.node)
        if found is None:
            if place.node not in self._noted:
                return NOTHING
            found = self._printed[place.node] = self._read(place)
        return found

    def children(self, place: Place) -> list[Place]:
        """The entries just below, in printed order."""
        return [Place(*row) for row in self.book.rows(f"{_ENTRY}parent = ? ORDER BY id", place.node)]

    def codes_below(self, place: Place) -> list[Place]:
        """The assignable codes of an entry and below it, in printed order."""
        last = self.book.rows("SELECT last FROM node WHERE id = ?", place.node)[0][0]
        rows = self.book.rows(f"{_ENTRY}id BETWEEN ? AND ? AND billable ORDER BY id", place.node, last)
        return [Place(*row) for row in rows]

    def place(self, system: System, key: str) -> Place | None:
        """The entry filed under a normalised code; a heading before a chapter of the same name."""
        rows = self.book.rows(
            f"{_ENTRY}key = ? AND system = ? ORDER BY level = 'chapter', id LIMIT 1", key, str(system)
        )
        return Place(*rows[0]) if rows else None

    def remembered(self, question: tuple[str, ...], find: Callable[[], str]) -> str:
        """The answer to a question about the book that is costly to find: found once."""
        answer = self._answers.get(question)
        if answer is None:
            answer = self._answers[question] = find()
        return answer

    def flags(self, facts: Facts, on: int | None) -> set[str]:
        """The editor's flags on a day (default: the book's last); after the last day those of the last day."""
        day = min(on or self.last_day, self.last_day)
        return {name for name, start, end in facts.flags if start <= day <= end}

    def exempt(self, facts: Facts, on: int | None) -> bool:
        """Whether the code is exempt from the present-on-admission indicator (default: by any list at hand)."""
        return any(
            name == POA_EXEMPT and (on is None or start <= min(on, max(end, self.last_day)) <= end)
            for name, start, end in facts.flags
        )

    def valid(self, facts: Facts, on: int) -> bool:
        """As :meth:`CodeBook.is_valid`."""
        if not facts.periods:
            return facts.billable
        return any(start <= min(on, self.last_day) <= end for start, end in facts.periods)

    def _gather(self, system: System, code: str) -> Facts:
        if system not in self.book.info.systems:
            held = name_list(self.book.info.systems)
            raise CodeBookError("JC503", f"the code book {self.book.info.id} does not hold {system}; it holds {held}")
        key = normalise_code(code)
        place = self.place(system, key)
        line = tuple(self._line(place)) if place else ()
        periods = self.book.rows(
            "SELECT start, end FROM period WHERE system = ? AND key = ? ORDER BY start", str(system), key
        )
        flags = self.book.rows("SELECT name, start, end FROM edit WHERE system = ? AND key = ?", str(system), key)
        shown = line[0].code if line else code
        return Facts(system, shown, key, line, tuple(periods), tuple(flags))

    def _line(self, place: Place | None) -> Iterator[Place]:
        while place is not None:
            yield place
            if place.parent is None:
                return
            above = self._places.get(place.parent)
            if above is None:
                rows = self.book.rows(f"{_ENTRY}id = ?", place.parent)
                above = self._places[place.parent] = Place(*rows[0])
            place = above

    def _read(self, place: Place) -> Printed:
        rows = self.book.rows("SELECT kind, text, label FROM note WHERE node = ? ORDER BY position", place.node)
        notes = [Note(kind, text, place.code, label) for kind, text, label in rows if kind in _KINDS]
        excludes = {kind: tuple(n for note in notes if note.kind == kind for n in _named(note)) for kind in EXCLUDES}
        return Printed(excludes["excludes1"], excludes["excludes2"], tuple(_instructions(notes, place.local)))


def as_number(day: dt.date) -> int:
    """A day as yyyymmdd."""
    return day.year * 10000 + day.month * 100 + day.day


def as_date(day: int) -> dt.date:
    """The day of a number yyyymmdd."""
    return dt.date(day // 10000, day // 100 % 100, day % 100)


def _named(note: Note) -> tuple[Named, ...]:
    return tuple(Named(note, reference, reference.last + "\uffff") for reference in references(note.text))


def _instructions(notes: list[Note], local: bool) -> Iterator[Instruction]:
    """Lines after one that ends in a colon belong to it; any other line is an instruction of its own."""
    for kind in INSTRUCTIONS:
        head: Note | None = None
        items: list[Named] = []
        for note in (n for n in notes if n.kind == kind):
            named = _named(note)
            if note.text.rstrip().endswith(":") and not named:
                if head is not None:
                    yield _instruction(head, items, local)
                head, items = note, []
            elif head is not None:
                items += named
            else:
                yield _instruction(note, list(named), local)
        if head is not None:
            yield _instruction(head, items, local)


def _instruction(note: Note, named: list[Named], local: bool) -> Instruction:
    listed = holds(note.text, cues("notes", "listed"))
    conditional = holds(note.text, cues("notes", "conditional")) or (listed and note.kind != "code_first")
    return Instruction(note.kind, note, tuple(named), conditional, not named or listed, local)
