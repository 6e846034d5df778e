"""The rows of the ICD-10-PCS tables in memory, and what a wish ("approach: laparoscopic") means in them.

The definitions of the tables beside the nodes stand here too: the builder fills them (`build/pcs_tables.py`,
`build/pcs_terms.py`), :mod:`jointcoder.codebook.pcs` and :mod:`jointcoder.codebook.pcs_terms` read them. What a label
is called in everyday words is data: `data/en/pcs_axes.tsv` and `data/en/pcs_words.tsv`. Knows no errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

from jointcoder.codebook.analysis import level
from jointcoder.codebook.book import CodeBook

LETTERS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
LENGTH = 7

TABLES = {
    "pcs_table": (
        "CREATE TABLE pcs_table (prefix TEXT PRIMARY KEY, title1 TEXT NOT NULL, label1 TEXT NOT NULL, title2 TEXT NOT"
        " NULL, label2 TEXT NOT NULL, title3 TEXT NOT NULL, label3 TEXT NOT NULL, definition TEXT NOT NULL)"
        " WITHOUT ROWID",
    ),
    "pcs_row": (
        "CREATE TABLE pcs_row (prefix TEXT NOT NULL, number INTEGER NOT NULL, axis4 INTEGER NOT NULL, axis5 INTEGER NOT"
        " NULL, axis6 INTEGER NOT NULL, axis7 INTEGER NOT NULL, PRIMARY KEY (prefix, number)) WITHOUT ROWID",
    ),
    "pcs_axis": ("CREATE TABLE pcs_axis (id INTEGER PRIMARY KEY, title TEXT NOT NULL)",),
    "pcs_value": (
        "CREATE TABLE pcs_value (axis INTEGER NOT NULL, position INTEGER NOT NULL, value TEXT NOT NULL, label TEXT NOT"
        " NULL, key TEXT NOT NULL, PRIMARY KEY (axis, position)) WITHOUT ROWID",
    ),
    "pcs_default": ("CREATE TABLE pcs_default (heading TEXT PRIMARY KEY, code TEXT NOT NULL) WITHOUT ROWID",),
    "pcs_term": (
        "CREATE TABLE pcs_term (entry INTEGER NOT NULL, section TEXT NOT NULL, position INTEGER NOT NULL, label TEXT"
        " NOT NULL, context TEXT NOT NULL, key TEXT NOT NULL)",
        "CREATE INDEX pcs_term_key ON pcs_term (key)",
    ),
    "pcs_text": (
        "CREATE TABLE pcs_text (entry INTEGER NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT"
        " NULL, PRIMARY KEY (entry, number)) WITHOUT ROWID",
    ),
    "pcs_synonym": (
        "CREATE TABLE pcs_synonym (key TEXT NOT NULL, position INTEGER NOT NULL, label TEXT NOT NULL,"
        " PRIMARY KEY (key, position, label)) WITHOUT ROWID",
    ),
    "pcs_index": (
        "CREATE TABLE pcs_index (id INTEGER PRIMARY KEY, parent INTEGER, title TEXT NOT NULL, key TEXT NOT NULL)",
        "CREATE INDEX pcs_index_key ON pcs_index (key)",
        "CREATE INDEX pcs_index_parent ON pcs_index (parent)",
    ),
    "pcs_reference": (
        "CREATE TABLE pcs_reference (entry INTEGER NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT"
        " NOT NULL, prefix TEXT NOT NULL, PRIMARY KEY (entry, number)) WITHOUT ROWID",
        "CREATE INDEX pcs_reference_prefix ON pcs_reference (prefix)",
    ),
}
"""Definitions of the tables beside the nodes, and their indexes; the builder fills them."""

_WORD = re.compile(r"[^\W_]+")
_MARK = re.compile(r"\((?:r|tm)\)", re.IGNORECASE)


@lru_cache(maxsize=65536)
def label_key(text: str) -> str:
    """The words of a label, levelled, in alphabetical order: equal for "Kidney, Right" and "right kidney"."""
    return " ".join(sorted(_WORD.findall(level(_MARK.sub("", text)))))


Values = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Title and (value, label) pairs; rows with the same values share the object, so that questions to it are
    remembered by identity."""

    title: str
    values: Values


@dataclass(frozen=True, slots=True)
class Row:
    """Seven axes: the three of the table (one value each) and the four of the row. ``titles``: theirs."""

    axes: tuple[Axis, ...]
    titles: tuple[str, ...]


@dataclass(frozen=True)
class Wish:
    """A value asked for: the axis as it was named, the text, and what both may mean."""

    name: str
    text: str
    axis: tuple[str, tuple[int, ...]]
    synonyms: Mapping[int, frozenset[str]]
    _places: dict[tuple[str, ...], tuple[int, ...]] = field(default_factory=dict)
    _values: dict[tuple[Axis, bool], frozenset[str]] = field(default_factory=dict)

    def of(self, row: Row) -> tuple[int, ...]:
        """The axes of a row (from 0) that bear the name; else those where such an axis usually stands."""
        key, usual = self.axis
        if row.titles not in self._places:
            named = tuple(p for p, title in enumerate(row.titles) if key and key in title_keys(title))
            self._places[row.titles] = named or tuple(place - 1 for place in usual)
        return self._places[row.titles]

    def values(self, axis: Axis, place: int, loosely: bool) -> frozenset[str]:
        """The values of an axis that the text means."""
        if (axis, loosely) not in self._values:
            self._values[axis, loosely] = frozenset(self._meant(axis, place, loosely))
        return self._values[axis, loosely]

    def _meant(self, axis: Axis, place: int, loosely: bool) -> list[str]:
        text = self.text.strip()
        if len(text) == 1:
            return [value for value, _ in axis.values if value == text.upper()]
        key = label_key(text)
        same = {key, *self.synonyms.get(place + 1, ())}
        found = [value for value, label in axis.values if label_key(label) in same]
        if not found and loosely:
            words = set(key.split())
            found = [value for value, label in axis.values if words and words <= set(label_key(label).split())]
        return found


def narrowed(row: Row, wishes: Sequence[Wish], loosely: bool) -> list[list[str]] | None:
    """The values of each axis that the wishes leave, None when a wish leaves none. A name that several axes of the
    row bear ("qualifier") is fulfilled by one of them."""
    kept: dict[int, frozenset[str]] = {}
    for wish in wishes:
        for place in wish.of(row):
            wanted = wish.values(row.axes[place], place, loosely)
            left = wanted & kept[place] if place in kept else wanted
            if left:
                kept[place] = left
                break
        else:
            return None
    return [
        [value for value, _ in axis.values if place not in kept or value in kept[place]]
        for place, axis in enumerate(row.axes)
    ]


@lru_cache(maxsize=1024)
def title_keys(title: str) -> frozenset[str]:
    """Names an axis answers to: its title, and the parts of "Device / Substance / Technology"."""
    return frozenset(label_key(part) for part in (title, *title.split(" / ")))


def load_rows(book: CodeBook) -> Mapping[str, tuple[Row, ...]]:
    if not has_table(book, "pcs_table"):
        return {}
    values: dict[int, list[tuple[str, str]]] = {}
    for axis, value, label in book.rows("SELECT axis, value, label FROM pcs_value ORDER BY axis, position"):
        values.setdefault(axis, []).append((value, label))
    axes = {number: Axis(title, tuple(values[number])) for number, title in book.rows("SELECT id, title FROM pcs_axis")}
    heads: dict[str, tuple[Axis, ...]] = {}
    shared: dict[tuple[str, str, str], Axis] = {}
    for prefix, *named, _ in book.rows("SELECT * FROM pcs_table ORDER BY prefix"):
        triples = zip(prefix, named[::2], named[1::2], strict=True)
        heads[prefix] = tuple(shared.setdefault(t, Axis(t[1], ((t[0], t[2]),))) for t in triples)
    rows: dict[str, list[Row]] = {prefix: [] for prefix in heads}
    for prefix, *numbers in book.rows("SELECT prefix, axis4, axis5, axis6, axis7 FROM pcs_row ORDER BY prefix, number"):
        all_seven = (*heads[prefix], *(axes[number] for number in numbers))
        rows[prefix].append(Row(all_seven, tuple(axis.title for axis in all_seven)))
    return {prefix: tuple(found) for prefix, found in rows.items()}


def has_table(book: CodeBook, table: str) -> bool:
    return bool(book.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table))


def _data(name: str) -> Iterator[list[str]]:
    text = resources.files("jointcoder.codebook").joinpath("data", "en", f"{name}.tsv").read_text("utf-8")
    return (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))


@lru_cache(maxsize=65536)
def words_of_label(label: str) -> frozenset[str]:
    """The words of a label, levelled and in the singular: equal for "Kidneys, Bilateral" and "bilateral kidney"."""
    return frozenset(map(_singular, _WORD.findall(level(_MARK.sub("", label)))))


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


@lru_cache(maxsize=1)
def approach_orders() -> tuple[tuple[re.Pattern[str], str], ...]:
    """(tables, approaches in the order in which they are meant when a text names none); the first that fits counts."""
    return tuple((re.compile(tables), order) for tables, order in _data("pcs_defaults"))


@lru_cache(maxsize=2)
def axis_names(*, plain: bool = False) -> Mapping[str, tuple[int, ...]]:
    """Name of an axis → its usual positions; by key, or as printed when ``plain``."""
    return {(name if plain else label_key(name)): tuple(map(int, places)) for name, places in _data("pcs_axes")}


@lru_cache(maxsize=1)
def everyday_words() -> Mapping[str, tuple[tuple[int, str], ...]]:
    """Key of an everyday word → (position, label) it stands for."""
    found: dict[str, list[tuple[int, str]]] = {}
    for word, place, label in _data("pcs_words"):
        found.setdefault(label_key(word), []).append((int(place), label))
    return {key: tuple(pairs) for key, pairs in found.items()}
