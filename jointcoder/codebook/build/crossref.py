"""Lines of the index → tables of the book, and wordings of the codes they lead to.

*See* and *see also* are followed as far as they name lines: "see Angina, unstable" leads to that line; "see Neoplasm,
skin, benign" to a cell of the neoplasm table; "see Neoplasm, by site" to the row above, since the site is not said.
A line that leads to a code — its own, or that of the line it must see — is a wording of the code
("Angina, progressive" of I20.0). Knows no file formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jointcoder.codebook import wordings
from jointcoder.codebook.analysis import LEFT, RIGHT, Tables, analyser
from jointcoder.codebook.build.alphabetic import Printed, Sheet
from jointcoder.codebook.build.writer import Draft, Table
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.index import (
    ALPHABETIC,
    EXTERNAL,
    FARTHEST,
    NEOPLASMS,
    SEE,
    SEE_ALSO,
    SOURCES,
    TABLES,
)
from jointcoder.codebook.outline import Readings, alternatives, trace, words_of
from jointcoder.records import System

_STEM = 4  # letters by which two forms of a word are known
_LONGEST = 7  # characters of a code
SEARCHED = {ALPHABETIC: wordings.INDEX, EXTERNAL: wordings.EXTERNAL}
"""Indexes whose lines are wordings for searching, and of what kind. The two tables are for looking up: they hold a code
for each of six columns, told apart by the heading and not by the wording."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where a reference leads: a line, a column of its row (0: none), and whether all of it was understood."""

    target: int
    column: int = 0
    whole: bool = True


class CrossIndex:
    """The lines of all sources, numbered through."""

    def __init__(self, sheets: Mapping[str, Sheet]) -> None:
        self.lines: list[Printed] = []
        self.source: list[str] = []
        self.path: list[str] = []
        self._spoken: list[str] = []
        self._stop = {word for row in Tables.load("en").get("stop") for word in words_of(row[0])}
        self.columns = {source: dict(sheet.headings) for source, sheet in sheets.items()}
        self._below: list[list[tuple[int, Readings]]] = []
        self._outlines: dict[str, _Outline] = {}
        for source in (name for name in SOURCES if name in sheets):
            start = len(self.lines)
            outline = self._outlines[source] = _Outline(self._below)
            for line in sheets[source].lines:
                number = len(self.lines)
                parent = None if line.parent is None else line.parent + start
                self.lines.append(line)
                self.source.append(source)
                self.path.append(line.title if parent is None else f"{self.path[parent]}, {line.title}")
                spoken = _spoken(line.title)
                self._spoken.append(spoken if parent is None else f"{self._spoken[parent]}, {spoken}")
                self._below.append([])
                if parent is None:
                    outline.add(number, line.title)
                else:
                    self._below[parent].append((number, alternatives(line.title)))
        self._starts = {source: self.source.index(source) for source in self._outlines if source in self.source}
        self.see = {n: self.links(n, line.see) for n, line in enumerate(self.lines) if line.see}
        self.see_also = {n: self.links(n, line.see_also) for n, line in enumerate(self.lines) if line.see_also}

    def parent(self, number: int) -> int | None:
        own = self.lines[number].parent
        return None if own is None else own + self._starts[self.source[number]]

    def links(self, number: int, reference: str) -> tuple[Link, ...]:
        """Where a reference printed at a line leads; several are divided by semicolons."""
        found = (self._link(number, part) for part in reference.split(";"))
        return tuple(link for link in found if link is not None and link.target != number)

    def code_of(self, number: int) -> str:
        """The code a line leads to, its own or through *see*; empty when there is none."""
        passed: set[int] = set()
        while number not in passed and len(passed) < FARTHEST:
            passed.add(number)
            line = self.lines[number]
            if line.code:
                return line.code
            links = [link for link in self.see.get(number, ()) if link.whole]
            if not links:
                return ""
            if links[0].column:
                return self.lines[links[0].target].cells.get(links[0].column, "")
            number = links[0].target
        return ""

    def wordings(self) -> Iterator[tuple[str, str, str]]:
        """(code, kind of wording, wording) of every line that is searched."""
        for number, line in enumerate(self.lines):
            kind = SEARCHED.get(self.source[number])
            if line.level and all(word in self._stop for word in words_of(line.title)):
                continue  # "Gout, in" says no more than "Gout"
            if kind is not None and (code := self.code_of(number)):
                yield code, kind, f"{self._spoken[number]} {line.aside}".strip()

    def tables(self) -> list[Table]:
        """The tables that :mod:`jointcoder.codebook.index` reads."""
        lines = [
            (
                *(n, self.source[n], self.parent(n), line.level, line.title, line.aside, self.path[n]),
                *(line.code, line.manifestation, line.see, line.see_also),
            )
            for n, line in enumerate(self.lines)
        ]
        words = sorted({(w, n) for n, line in enumerate(self.lines) if not line.level for w in words_of(line.title)})
        links = [
            (number, kind, position, link.target, link.column, link.whole)
            for kind, table in ((SEE, self.see), (SEE_ALSO, self.see_also))
            for number, found in table.items()
            for position, link in enumerate(found)
        ]
        cells = [(n, column, code) for n, line in enumerate(self.lines) for column, code in sorted(line.cells.items())]
        headings = [(source, column, text) for source, found in self.columns.items() for column, text in found.items()]
        rows: dict[str, list[tuple[object, ...]]] = {
            "index_term": [*lines],
            "index_word": [*words],
            "index_link": [*links],
            "index_cell": [*cells],
            "index_column": [*headings],
        }
        return [Table(name, TABLES[name][0], found, TABLES[name][1:]) for name, found in rows.items()]

    def _link(self, number: int, reference: str) -> Link | None:
        """Own index first, then the others; the one that understands most of the reference."""
        own = self.source[number]
        best: tuple[int, Link] | None = None
        for source in dict.fromkeys((own, *self._outlines)):
            for link, rest in self._readings(source, reference):
                if best is None or rest < best[0]:
                    best = (rest, link)
            if best is not None and best[0] == 0:
                break
        return None if best is None else best[1]

    def _readings(self, source: str, reference: str) -> Iterator[tuple[Link, int]]:
        outline = self._outlines[source]
        if source == NEOPLASMS:
            parts = [part for part in reference.split(",") if words_of(part)]
            for place, part in enumerate(parts[1:], start=1):
                if column := self._column(words_of(part)):
                    target, rest = trace(outline, ",".join((*parts[:place], *parts[place + 1 :])))
                    if target is not None:
                        yield Link(target, column if not rest else 0, not rest), len(rest)
        target, rest = trace(outline, reference)
        if target is not None:
            yield Link(target, 0, not rest), len(rest)

    def _column(self, words: tuple[str, ...]) -> int:
        """The first column of the neoplasm table whose heading holds all these words; 0 when none does."""
        for column, heading in sorted(self.columns.get(NEOPLASMS, {}).items()):
            if column > 1 and set(words) <= set(words_of(heading)):
                return column
        return 0


def _spoken(title: str) -> str:
    """A title without the other forms of its first word: "Hypertension, hypertensive" → "Hypertension"."""
    first, *parts = (part.strip() for part in title.split(","))
    stem = first[:_STEM].casefold()
    return ", ".join((first, *(part for part in parts if " " in part or not part.casefold().startswith(stem))))


class _Outline:
    """The main terms of one source and all subterms, for :func:`trace`."""

    def __init__(self, below: Sequence[Sequence[tuple[int, Readings]]]) -> None:
        self._below = below
        self._exact: dict[tuple[str, ...], list[int]] = {}
        self._part: dict[tuple[str, ...], list[int]] = {}

    def add(self, number: int, title: str) -> None:
        whole, *parts = alternatives(title)
        self._exact.setdefault(whole, []).append(number)
        for part in parts:
            self._part.setdefault(part, []).append(number)

    def heads(self, words: tuple[str, ...]) -> Iterable[int]:
        return self._exact.get(words, ()) or self._part.get(words, ())

    def below(self, line: int) -> Sequence[tuple[int, Readings]]:
        return self._below[line]


def add_wordings(index: CrossIndex, drafts: Sequence[Draft]) -> int:
    """Give the drafts the wordings of the lines that lead to them; how many were given.

    The index names the code of the unspecified side; the tabular list divides further. Such a wording goes to the
    heading, so that the side is chosen by what the text says.
    """
    of_key = {normalise_code(draft.code): draft for draft in drafts if draft.level in ("category", "code")}
    sided = _headings_of_sides(drafts)
    given = 0
    for code, kind, wording in index.wordings():
        draft = of_key.get(normalise_code(code.rstrip("-.")))
        if draft is not None:
            draft = sided.get(draft.code, draft)
            draft.terms.append(("en", kind, wording))
            given += 1
    return given


def _headings_of_sides(drafts: Sequence[Draft]) -> dict[str, Draft]:
    """Code that names no side, the one among its siblings → the heading above it."""
    side_of = analyser(Tables.load("en")).analyse
    below: dict[int, list[Draft]] = {}
    for draft in drafts:
        if draft.system is System.ICD10CM and draft.parent is not None and drafts[draft.parent].level == "category":
            below.setdefault(draft.parent, []).append(draft)
    found: dict[str, Draft] = {}
    for parent, children in below.items():
        if len(normalise_code(children[0].code)) == _LONGEST:  # divided by the 7th character
            continue
        sides = [side_of(child.name).side for child in children]
        if {LEFT, RIGHT} <= set(sides) and sides.count(0) == 1:
            found[children[sides.index(0)].code] = drafts[parent]
    return found
