"""The code books as the service asks them: search while a coder types, one code with all that is printed at it, checks.

    books = Books(editions)
    books.search("I50.", kind=None)             # codes that begin so; else by words and by lines of the index
    books.describe("I50.9")                     # names, branch, notes, dates, what is below
    books.check({"codes": ["I50.9", "I10"]})    # findings with their citations

A search must answer while somebody types: it is by words, not by meaning, what was asked before is kept, and
:meth:`Books.warm` reads the indexes in before the first coder comes. Knows no HTTP and no records.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from threading import Lock
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.editions import Editions
from jointcoder.codebook.index import Index
from jointcoder.codebook.lookup import Lookup
from jointcoder.codebook.model import Entry, Hit, Note, Operation, Period
from jointcoder.codebook.rules import oracle, read_record
from jointcoder.errors import CodeBookError, JointCoderError, name_list
from jointcoder.records import AssignedCode, Finding, Kind, Patient, System

LONGEST_CODE = 20  # characters of something that may be the beginning of a code
KEPT = 1024  # searches, with all their hits
EXCLUDED = 8192  # codes whose excluding notes were read
MOST = 100  # hits of one search
INDEX_LINES = 10
WARMING = ("heart failure", "diabetes", "fracture of left femur", "appendectomy", "肺炎", "高血压")
EXCLUDING = ("excludes1", "excludes2")


@dataclass(frozen=True, slots=True)
class CodeHit:
    """A code that a search found. ``how``: by its ``code``, by ``words`` or by a line of the ``index``; ``term``: the
    wording or line that was found; ``score`` in (0, 1] within one way; ``excludes``: the excluding notes that bind it,
    its own first."""

    system: System
    code: str
    name: str
    names: Mapping[str, str]
    billable: bool
    how: str
    term: str
    score: float
    excludes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CodePage:
    """One code and everything printed at it. ``ancestors`` from the chapter down; ``notes`` its own first, then those
    of the headings above, nearest first."""

    book: str
    edition: str
    system: System
    code: str
    name: str
    names: Mapping[str, str]
    level: str
    billable: bool
    valid: tuple[Period, ...]
    ancestors: tuple[Entry, ...]
    children: tuple[Entry, ...]
    notes: tuple[Note, ...]
    terms: tuple[str, ...]
    edits: tuple[str, ...]
    operation: Operation = field(default_factory=Operation)


@dataclass(frozen=True, slots=True)
class Checked:
    """What the rules say of codes given together, and by which book."""

    book: str
    edition: str
    codes: tuple[AssignedCode, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    book: str
    text: str
    kind: Kind | None
    system: System | None
    lang: str | None
    k: int


class Books:
    """See the module. Safe to share between threads."""

    def __init__(self, editions: Editions) -> None:
        self.editions = editions
        self._lock = Lock()
        self._lookups: dict[str, Lookup] = {}
        self._indexes: dict[str, Index] = {}
        self._searched = lru_cache(maxsize=KEPT)(self._search)
        self._excluding = lru_cache(maxsize=EXCLUDED)(self._read_excluding)

    def on(self, day: dt.date | None) -> CodeBook:
        """The book in force on a day; the main one without."""
        return self.editions.on(day)

    def warm(self) -> None:
        """Read the indexes of the main book in, so that the first search is as quick as the others."""
        for text in WARMING:
            self.search(text, kind=None)
        oracle(self.on(None))

    # ---------------------------------------------------------------------------------------------------- searching

    def search(
        self,
        text: str,
        *,
        kind: Kind | None,
        system: System | None = None,
        lang: str | None = None,
        k: int = 20,
        on: dt.date | None = None,
    ) -> tuple[CodeHit, ...]:
        """At most ``k`` codes: those that begin as ``text``; where none does, by words and by lines of the index.

        ``kind`` None searches diagnoses and procedures. CodeBookError JC503 for a system that the book does not hold.
        """
        book = self.on(on)
        if system is not None and system not in book.info.systems:
            held = name_list(book.info.systems)
            raise CodeBookError("JC503", f"the code book {book.info.id} does not hold {system}", hint=f"held: {held}")
        asked = _Asked(book.info.id, " ".join(text.split()), kind, system, lang, max(1, min(k, MOST)))
        return self._searched(asked) if asked.text else ()

    def _search(self, asked: _Asked) -> tuple[CodeHit, ...]:
        book = self._book(asked.book)
        systems = [
            one
            for one in book.info.systems
            if (asked.system is None or one is asked.system) and (asked.kind is None or one.kind is asked.kind)
        ]
        found: dict[tuple[System, str], CodeHit] = {}
        for hit in tuple(self._by_code(book, systems, asked)) or self._by_wording(book, systems, asked):
            found.setdefault((hit.system, hit.code), hit)
            if len(found) == asked.k:
                break
        return tuple(
            replace(hit, excludes=self._excluding(book.info.id, hit.system, hit.code)) for hit in found.values()
        )

    def _by_code(self, book: CodeBook, systems: list[System], asked: _Asked) -> Iterator[CodeHit]:
        """Entries whose code begins as the text does, in the order of codes; the code itself comes first."""
        key = normalise_code(asked.text)
        if not key or len(key) > LONGEST_CODE or " " in asked.text or not any(c.isdigit() for c in key):
            return
        for system in systems:
            rows = book.rows(
                "SELECT id FROM node WHERE system = ? AND key >= ? AND key < ? AND level IN ('code', 'category')"
                " ORDER BY key, id LIMIT ?",
                system,
                key,
                key + "\U0010ffff",
                asked.k,
            )
            entries = book.entries([row[0] for row in rows])
            for (node,) in rows:
                yield _hit(entries[node], "code", entries[node].code, len(key) / max(1, len(entries[node].code)))

    def _by_wording(self, book: CodeBook, systems: list[System], asked: _Asked) -> Iterator[CodeHit]:
        """Same wordings first, then lines of the index that answer every word, then what is alike."""
        hits = [
            hit
            for system in systems
            for hit in self._lookup(book).search(
                asked.text, kind=system.kind, system=system, lang=asked.lang, k=asked.k, source="lexical"
            )
        ]
        hits.sort(key=lambda hit: (-hit.score, hit.code))
        lines = self._by_index(book, systems, asked)
        same = [hit for hit in hits if hit.score >= 1]
        yield from self._of_words(book, same)
        yield from (hit for hit in lines if hit.score == 1)
        yield from self._of_words(book, hits[len(same) :])
        yield from (hit for hit in lines if hit.score < 1)

    def _of_words(self, book: CodeBook, hits: Sequence[Hit]) -> Iterator[CodeHit]:
        entries: dict[tuple[System, str], Entry] = {}
        for system in {hit.system for hit in hits}:
            keys = [normalise_code(hit.code) for hit in hits if hit.system is system]
            rows = book.rows(
                f"SELECT id FROM node WHERE system = ? AND key IN ({','.join('?' * len(keys))})", system, *keys
            )
            found = book.entries([row[0] for row in rows]).values()
            entries |= {(entry.system, entry.code): entry for entry in found}
        for hit in hits:
            if (hit.system, hit.code) in entries:
                yield _hit(entries[hit.system, hit.code], "words", hit.term, hit.score)

    def _by_index(self, book: CodeBook, systems: list[System], asked: _Asked) -> list[CodeHit]:
        if System.ICD10CM not in systems:
            return []
        found = []
        for one in self._index(book).find(asked.text, k=INDEX_LINES):
            entry = book.get(System.ICD10CM, one.code.rstrip("-").rstrip(".")) if one.code else None
            if entry is not None:
                found.append(_hit(entry, "index", one.line.wording, 1.0 / (1 + len(one.rest))))
        return found

    # ---------------------------------------------------------------------------------------------------- one code

    def describe(self, code: str, *, system: System | None = None, on: dt.date | None = None) -> CodePage:
        """Everything printed at a code. CodeBookError JC501 for an unknown one, JC503 for a system not in the book."""
        book = self.on(on)
        entry = book.find(code) if system is None else book.get(system, code)
        if entry is None:
            hint = "search for codes with /v1/codes?q="
            raise CodeBookError("JC501", f"unknown code in the code book {book.info.id}", hint=hint)
        at = (entry.system, entry.code)
        return CodePage(
            book=book.info.id,
            edition=book.info.edition,
            system=entry.system,
            code=entry.code,
            name=entry.name,
            names=entry.names,
            level=entry.level,
            billable=entry.billable,
            valid=book.validity(*at),
            ancestors=tuple(reversed(book.ancestors(*at))),
            children=book.children(*at),
            notes=book.notes(*at, inherited=True).lines(),
            terms=tuple(dict.fromkeys(term.text for term in book.terms(*at))),
            edits=tuple(sorted(book.edits(*at, on))),
            operation=book.operation(*at),
        )

    def check(
        self,
        record: Any,
        *,
        on: dt.date | None = None,
        patient: Patient | None = None,
        inpatient: bool | None = None,
    ) -> Checked:
        """Findings about codes in any form that ``codebook.rules.read_record`` takes, whose InputErrors it raises.

        ``on``, ``patient`` and ``inpatient`` go before what the record says.
        """
        read = read_record(record)
        day = on or read.discharged
        book = self.on(day)
        codes = tuple(read.assigned(book))
        findings = oracle(book).check(
            codes,
            on=day,
            patient=patient or read.patient,
            inpatient=read.inpatient if inpatient is None else inpatient,
        )
        return Checked(book.info.id, book.info.edition, codes, tuple(findings))

    # ------------------------------------------------------------------------------------------------------ private

    def _book(self, book_id: str) -> CodeBook:
        return next(book for book in self.editions.books if book.info.id == book_id)

    def _lookup(self, book: CodeBook) -> Lookup:
        with self._lock:
            if book.info.id not in self._lookups:
                self._lookups[book.info.id] = Lookup(book, dense="off")
            return self._lookups[book.info.id]

    def _index(self, book: CodeBook) -> Index:
        with self._lock:
            if book.info.id not in self._indexes:
                self._indexes[book.info.id] = Index(book)
            return self._indexes[book.info.id]

    def _read_excluding(self, book_id: str, system: System, code: str) -> tuple[str, ...]:
        notes = self._book(book_id).notes(system, code, inherited=True)
        return tuple(note.text for kind in EXCLUDING for note in getattr(notes, kind))


def ready(books: Books) -> str:
    """Why the main book cannot be read; empty when it can."""
    try:
        books.on(None).rows("SELECT 1 FROM node LIMIT 1")
    except JointCoderError as error:
        return error.code
    except Exception as error:
        return type(error).__name__
    return ""


def _hit(entry: Entry, how: str, term: str, score: float) -> CodeHit:
    return CodeHit(
        entry.system, entry.code, entry.name, entry.names, entry.billable, how, term, round(min(score, 1.0), 4)
    )
