"""The alphabetic index of ICD-10-CM as coders use it: main term, subterms, *see*, *see also*, and its two tables.

    index = Index(book)
    index.find("progressive angina")           # main term first, then the subterms; *see* is followed
    index.navigate("Angina, unstable")         # a path as printed
    index.entries_of("I20.0")                  # the lines that lead to a code
    index.drug("aspirin").columns              # column heading → code
    index.neoplasm("breast, upper-outer quadrant").columns

The conventions are those of the Official Guidelines, section I.A (brackets hold non-essential modifiers, I.A.7; "see"
must and "see also" may be followed, I.A.16) and I.B.1 (the index is consulted first, then the tabular list). A code
that ends in a dash is incomplete: it stands for the heading. A book built without these sources answers nothing and
raises nothing. This module knows the tables of the index (`build/alphabetic.py` fills them) and no scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from types import MappingProxyType

from jointcoder.codebook.analysis import Tables
from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.outline import Readings, alternatives, trace, words_of

ALPHABETIC, EXTERNAL, DRUGS, NEOPLASMS = SOURCES = ("alphabetic", "external", "drugs", "neoplasms")
SEE, SEE_ALSO = "see", "see also"
MOST = 400  # lines looked at for one question
KEPT = 2000  # lines whose subterms are kept in memory
FARTHEST = 8  # cross references followed one after the other

TABLES = {
    "index_term": (
        "CREATE TABLE index_term (id INTEGER PRIMARY KEY, source TEXT NOT NULL, parent INTEGER, level INTEGER NOT NULL,"
        " title TEXT NOT NULL, aside TEXT NOT NULL, path TEXT NOT NULL, code TEXT NOT NULL,"
        " manifestation TEXT NOT NULL, see TEXT NOT NULL, see_also TEXT NOT NULL)",
        "CREATE INDEX index_term_parent ON index_term (parent)",
        "CREATE INDEX index_term_code ON index_term (code) WHERE code != ''",
        "CREATE INDEX index_term_manifestation ON index_term (manifestation) WHERE manifestation != ''",
    ),
    "index_word": (
        "CREATE TABLE index_word (word TEXT NOT NULL, term INTEGER NOT NULL, PRIMARY KEY (word, term)) WITHOUT ROWID",
    ),
    "index_link": (
        "CREATE TABLE index_link (term INTEGER NOT NULL, kind TEXT NOT NULL, position INTEGER NOT NULL,"
        " target INTEGER NOT NULL, col INTEGER NOT NULL, whole INTEGER NOT NULL,"
        " PRIMARY KEY (term, kind, position)) WITHOUT ROWID",
        "CREATE INDEX index_link_target ON index_link (target)",
    ),
    "index_cell": (
        "CREATE TABLE index_cell (term INTEGER NOT NULL, col INTEGER NOT NULL, code TEXT NOT NULL,"
        " PRIMARY KEY (term, col)) WITHOUT ROWID",
        "CREATE INDEX index_cell_code ON index_cell (code)",
    ),
    "index_column": (
        "CREATE TABLE index_column (source TEXT NOT NULL, col INTEGER NOT NULL, heading TEXT NOT NULL,"
        " PRIMARY KEY (source, col)) WITHOUT ROWID",
    ),
}
"""Table → its definition, then its indexes. ``index_word`` holds the words of main terms; ``index_link`` where *see*
and *see also* lead (``col``: a column of the neoplasm table, 0 for none; ``whole``: the reference was understood to
its end)."""

_COLUMNS = "id, source, parent, level, title, aside, path, code, manifestation, see, see_also"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the index. ``path``: titles from the main term down, joined by commas; ``aside``: non-essential
    modifiers as printed; ``code`` ends in a dash when it is incomplete and is empty where none is printed;
    ``manifestation``: the second code, coded after the first; ``see`` and ``see_also`` as printed."""

    id: int
    source: str
    parent: int | None
    level: int
    title: str
    aside: str
    path: str
    code: str
    manifestation: str
    see: str
    see_also: str

    @property
    def wording(self) -> str:
        """The path with the line's own modifiers in brackets."""
        return f"{self.path} {self.aside}".strip()


@dataclass(frozen=True, slots=True)
class Found:
    """A line that answers a question: the *see* lines passed on the way, the *see also* lines it offers, and the
    words (or parts of the path) that no line answers."""

    line: Line
    via: tuple[Line, ...] = ()
    offered: tuple[Line, ...] = ()
    rest: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        return self.line.code


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table of drugs or the neoplasm table: column heading → code; columns without a code left out."""

    line: Line
    columns: Mapping[str, str]


class Index:
    """See the module. Safe to share between threads."""

    def __init__(self, book: CodeBook) -> None:
        self.book = book
        self._children = lru_cache(maxsize=KEPT)(self._load_children)

    def __bool__(self) -> bool:
        """Whether the book holds any index."""
        return self._held

    def find(self, term: str, *, source: str | None = None, k: int = 10) -> list[Found]:
        """The lines that answer most words of a condition, short paths first.

        A word of ``term`` must be a main term; the others are sought among its subterms and modifiers. ``source``: one
        of :data:`SOURCES`; the default is conditions and external causes. Lines that leave more words unanswered than
        others are no answer.
        """
        words = words_of(term)
        content = frozenset(self._content(words))
        if not self._held or not content:
            return []
        walk = _Walk(self)
        for line, used in self._mains(words, source):
            walk.down(line, content - used, ())
        return walk.best(k)

    def navigate(self, path: str) -> Found | None:
        """The line at ``path`` ("Angina, unstable") with *see* followed; ``rest``: the parts that are not there."""
        if not self._held:
            return None
        number, rest = trace(_Stored(self), path)
        if number is None:
            return None
        return self._followed(self.line(number), rest)

    def below(self, line: Line) -> tuple[Line, ...]:
        """The subterms of a line, in printed order."""
        return self._lines("parent = ? ORDER BY id", line.id)

    def entries_of(self, code: str) -> tuple[Line, ...]:
        """The lines that lead to ``code`` — printed there, or through *see*, or in a table; when there are none, those
        of the nearest heading above it."""
        key = normalise_code(code).rstrip("-")
        while self._held and len(key) >= 3:
            stem = key if len(key) == 3 else f"{key[:3]}.{key[3:]}"
            forms = (stem, f"{stem}-", f"{stem}.-")
            found = self._lines(
                "id IN (SELECT id FROM index_term WHERE code IN (?1, ?2, ?3) UNION SELECT id FROM index_term WHERE"
                " manifestation IN (?1, ?2, ?3) UNION SELECT term FROM index_cell WHERE code IN (?1, ?2, ?3)) OR id IN"
                " (SELECT l.term FROM index_link l JOIN index_term t ON t.id = l.target WHERE l.kind = 'see' AND"
                " l.col = 0 AND l.whole AND t.code IN (?1, ?2, ?3) UNION SELECT l.term FROM index_link l"
                " JOIN index_cell c ON c.term = l.target AND c.col = l.col WHERE l.whole AND c.code IN (?1, ?2, ?3))"
                " ORDER BY id",
                *forms,
            )
            if found:
                return found
            key = key[:-1]
        return ()

    def drug(self, name: str) -> Row | None:
        """The row of a substance in the table of drugs and chemicals."""
        return self._row(self.find(name, source=DRUGS, k=1))

    def neoplasm(self, site: str) -> Row | None:
        """The row of a site in the neoplasm table."""
        words = words_of(site)
        content = frozenset(self._content(words))
        if not self._held or not content:
            return None
        walk = _Walk(self)
        for main in self._lines("source = ? AND level = 0", NEOPLASMS):
            walk.down(main, content - frozenset(words_of(main.title)), ())
        found = walk.best(1)
        return self._row(found) if found and len(found[0].rest) < len(content) else None

    # ------------------------------------------------------------------------------------------- for this module

    def line(self, number: int) -> Line:
        """The line of a row number."""
        return self._lines("id = ?", number)[0]

    def links(self, line: Line, kind: str) -> tuple[Line, ...]:
        """Where *see* or *see also* of a line lead; a cell of the neoplasm table is given as its row's ``code``."""
        rows = self.book.rows(
            "SELECT target, col FROM index_link WHERE term = ? AND kind = ? ORDER BY position", line.id, kind
        )
        found = []
        for target, column in rows:
            one = self.line(int(target))
            found.append(replace(one, code=self._cells(one).get(column, "")) if column else one)
        return tuple(found)

    def _followed(self, line: Line, rest: tuple[str, ...]) -> Found:
        via: list[Line] = []
        while line.see and not line.code and len(via) < FARTHEST and line not in via:
            targets = self.links(line, SEE)
            if not targets:
                break
            via.append(line)
            line = targets[0]
        return Found(line, tuple(via), self.links(line, SEE_ALSO), rest)

    def _row(self, found: Sequence[Found]) -> Row | None:
        if not found:
            return None
        line = found[0].line
        headings = dict(self.book.rows("SELECT col, heading FROM index_column WHERE source = ?", line.source))
        columns = {headings.get(column, str(column)): code for column, code in self._cells(line).items()}
        return Row(line, MappingProxyType(columns))

    def _cells(self, line: Line) -> dict[int, str]:
        return dict(self.book.rows("SELECT col, code FROM index_cell WHERE term = ? ORDER BY col", line.id))

    def _mains(self, words: tuple[str, ...], source: str | None) -> Iterator[tuple[Line, frozenset[str]]]:
        """Main terms all of whose words stand among ``words``, with the words they account for."""
        asked = frozenset(words)
        sources = (source,) if source else (ALPHABETIC, EXTERNAL)
        rows = self.book.rows(
            f"SELECT {_COLUMNS} FROM index_term WHERE id IN (SELECT term FROM index_word WHERE word IN"
            f" ({','.join('?' * len(asked))})) AND source IN ({','.join('?' * len(sources))}) ORDER BY id",
            *sorted(asked),
            *sources,
        )
        for row in rows:
            main = _Child(Line(*row), frozenset())
            if used := main.accounts_for(asked):
                yield main.line, used

    def _load_children(self, line: int) -> tuple[_Child, ...]:
        return tuple(_Child(child, self._stop) for child in self._lines("parent = ? ORDER BY id", line))

    def _content(self, words: Iterable[str]) -> tuple[str, ...]:
        return tuple(word for word in words if word not in self._stop)

    def _lines(self, where: str, *values: object) -> tuple[Line, ...]:
        if not self._held:
            return ()
        return tuple(Line(*row) for row in self.book.rows(f"SELECT {_COLUMNS} FROM index_term WHERE {where}", *values))

    @cached_property
    def _held(self) -> bool:
        return bool(self.book.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'index_term'"))

    @cached_property
    def _stop(self) -> frozenset[str]:
        """Words that neither a question nor a title needs: "with", "unspecified", "NEC"."""
        tables = Tables.load("en")
        rows = (*tables.get("stop"), *(row for row in tables.get("free") if " " not in row[0]))
        return frozenset(word for row in rows for word in words_of(row[0]))


class _Child:
    """A line with the words that must stand in the question for it (in one of several readings) and those that may."""

    __slots__ = ("line", "modifiers", "readings")

    def __init__(self, line: Line, free: frozenset[str]) -> None:
        self.line = line
        readings = (frozenset(words) - free for words in alternatives(line.title))
        self.readings = sorted((words for words in readings if words), key=len, reverse=True)
        self.modifiers = frozenset(words_of(line.aside, inside=True))

    def accounts_for(self, asked: frozenset[str]) -> frozenset[str]:
        """The words of ``asked`` that the line holds; none when no reading of its title stands wholly among them."""
        for words in self.readings:
            if words <= asked:
                return words | (asked & self.modifiers)
        return frozenset()


class _Walk:
    """Down the subterms, taking every word of the question that a line holds. Lines are looked at once."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._seen: set[tuple[int, frozenset[str]]] = set()
        self._ends: list[tuple[int, int, int, Found]] = []

    def down(self, line: Line, words: frozenset[str], via: tuple[Line, ...]) -> bool:
        """Whether anything below ``line`` accounts for more of ``words`` (connecting lines such as "with" do not)."""
        if (line.id, words) in self._seen or len(self._seen) >= MOST:
            return False
        self._seen.add((line.id, words))
        if line.see and not line.code and len(via) < FARTHEST and line not in via:
            targets = self._index.links(line, SEE)
            for target in targets:
                # What led here has been accounted for: the target's own path answers it.
                self.down(target, words - frozenset(words_of(target.path)), (*via, line))
            if targets:
                return True
        deeper = False
        for child in self._index._children(line.id) if words else ():
            used = child.accounts_for(words)
            if used:
                self.down(child.line, words - used, via)
                deeper = True
            elif not child.readings and self.down(child.line, words, via):
                deeper = True
        if not deeper and self._index._content(words_of(line.title)):
            found = Found(line, via, self._index.links(line, SEE_ALSO), tuple(sorted(words)))
            self._ends.append((len(words), len(line.path), line.id, found))
        return deeper

    def best(self, k: int) -> list[Found]:
        """The ends that leave the fewest words, shorter paths first, each line once."""
        found: dict[tuple[int, str], Found] = {}
        fewest = min((end[0] for end in self._ends), default=0)
        for left, _, _, one in sorted(self._ends, key=lambda end: end[:3]):
            if left > fewest:
                break
            found.setdefault((one.line.id, one.line.code), one)
        return list(found.values())[:k]


class _Stored:
    """The lines of a book as an :class:`Outline`."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def heads(self, words: tuple[str, ...]) -> Iterator[int]:
        rows = self._index.book.rows(
            "SELECT t.id, t.title FROM index_word w JOIN index_term t ON t.id = w.term WHERE w.word = ? ORDER BY t.id",
            words[0],
        )
        exact = [number for number, title in rows if words_of(title) == words]
        yield from exact or (number for number, title in rows if words in alternatives(title))

    def below(self, line: int) -> list[tuple[int, Readings]]:
        rows = self._index.book.rows("SELECT id, title FROM index_term WHERE parent = ? ORDER BY id", line)
        return [(int(number), alternatives(title)) for number, title in rows]
