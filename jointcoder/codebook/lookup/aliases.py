"""Wordings that coders have coded before, as one more source of a lookup.

    aliases = Aliases.load(path)                  # .jsonl, .tsv or .sqlite, written by a training step
    Lookup(book, aliases=aliases)

An alias is a text and the code it was given, with a weight (its precision: how often this wording was given this
code, counted on records it was not learnt from), a count, and where it comes from. A query finds it by the same
wording after levelling, or by a like one: likeness is of letters, in ones, twos and threes, because what is written
in records abbreviates and misspells; the nearest vote. Aliases of codes that the book does not hold are passed over;
those of headings count for the heading. Nothing is learnt here.

| file | columns |
|---|---|
| `.jsonl` | one object a line: `text`, `code`, and if wanted `system`, `weight`, `count`, `source` |
| `.tsv` | a heading with these names, then one alias a line |
| `.sqlite`, `.db` | a table `alias` with columns of these names |
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.codebook.analysis import level
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.lookup.fuse import Found
from jointcoder.codebook.postings import Document, Postings
from jointcoder.errors import CodeBookError, name_list
from jointcoder.records import System

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup

SAME = 0.97  # the score of an alias with weight 1 and the same wording: under the book's own wording
NEAR = 0.85  # the score of one with a like wording is at most this
ALIKE = 0.1  # likeness of letters from which an alias counts
SHAPE = 0.7  # below 1: it counts for much soon
NEAREST = 10  # aliases that vote
BETA = 0.5  # what an alias adds to the letters of the query, against what it lacks
GRAMS = (1, 2, 3)
COLUMNS = ("text", "code", "system", "weight", "count", "source")


@dataclass(frozen=True, slots=True)
class Alias:
    """A wording and its code. ``system``: empty for whichever system of the book holds the code; ``weight`` in
    (0, 1]; ``count`` ≥ 1; ``source``: free text."""

    text: str
    code: str
    system: str = ""
    weight: float = 1.0
    count: int = 1
    source: str = ""


class Aliases:
    """An immutable store of aliases, the same for every book; see the module."""

    def __init__(self, items: Iterable[Alias] = ()) -> None:
        self.items = tuple(items)

    def __len__(self) -> int:
        return len(self.items)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file. CodeBookError JC502 naming file and line when it cannot be read or a line is wrong."""
        readers = {".jsonl": _json_lines, ".tsv": _tab_separated, ".sqlite": _table, ".db": _table}
        reader = readers.get(path.suffix.casefold())
        if reader is None:
            raise CodeBookError("JC502", f"{path.name}: aliases are read from .jsonl, .tsv, .sqlite or .db")
        try:
            return cls([_alias(row, f"{path.name}, line {line}") for line, row in reader(path)])
        except OSError as error:
            raise CodeBookError("JC502", f"{path.name}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise CodeBookError("JC502", f"{path.name}: not UTF-8 text") from None

    def over(self, lookup: Lookup) -> BookAliases:
        """The aliases as a source of one lookup."""
        return BookAliases(self.items, lookup)


class BookAliases:
    """Aliases whose codes a book holds. Prepared a system at the first query for it; safe to share by threads."""

    def __init__(self, items: tuple[Alias, ...], lookup: Lookup) -> None:
        self._items = items
        self._lookup = lookup
        self._lock = Lock()
        self._ready: dict[System, _Index | None] = {}

    def text(self, row: int) -> str:
        """The wording of an alias."""
        return self._items[row].text

    def find(self, text: str, system: System) -> Found:
        """What coders gave texts like ``text``; documents are rows of the store."""
        with self._lock:
            if system not in self._ready:
                self._ready[system] = _Index.build(self._items, self._lookup, system)
            index = self._ready[system]
        if index is None:
            return Found(_none(), _none(), np.empty(0))
        return index.find(text)


@dataclass(frozen=True)
class _Index:
    """The aliases of one system: ``rows`` of the store, their entries' row numbers, their weights; by key, and by
    letters."""

    rows: NDArray[np.int64]
    nodes: NDArray[np.int64]
    weights: NDArray[np.float64]
    letters: Postings
    keys: Mapping[str, list[int]]

    @classmethod
    def build(cls, items: tuple[Alias, ...], lookup: Lookup, system: System) -> Self | None:
        book = lookup.book
        held = {key: node for node, key in book.rows("SELECT id, key FROM node WHERE system = ?", system)}
        rows: list[int] = []
        nodes: list[int] = []
        for row, item in enumerate(items):
            node = held.get(normalise_code(item.code)) if item.system in ("", system) else None
            if node is not None:
                rows.append(row)
                nodes.append(node)
        if not rows:
            return None
        keys: dict[str, list[int]] = {}
        documents = []
        for place, row in enumerate(rows):
            plain = _plain(items[row].text)
            keys.setdefault(plain, []).append(place)
            documents.append(Document(place, 0, dict.fromkeys(_grams(plain), False), "", 0, 0))
        weights = np.asarray([items[row].weight for row in rows])
        return cls(np.asarray(rows), np.asarray(nodes), weights, Postings.build(documents, {}), keys)

    def find(self, text: str) -> Found:
        plain = _plain(text)
        grams = list(dict.fromkeys(_grams(plain)))
        known = self.letters.find_words(grams)
        unknown = int((known < 0).sum())
        known = known[known >= 0]
        whole = float(self.letters.idf[known].sum()) + unknown * self.letters.greatest
        found = self.letters.search(known, np.ones(len(known)), whole=whole, beta=BETA)
        near = found.likeness >= ALIKE
        places, likeness = found.documents[near], found.likeness[near]
        order = np.lexsort((places, -likeness))[:NEAREST]
        places, likeness = places[order], likeness[order]
        same = np.asarray(self.keys.get(plain, []), dtype=np.int64)
        shares = np.clip((likeness - ALIKE) / (1.0 - ALIKE), 0.0, 1.0) ** SHAPE
        return self._vote(same, places, shares)

    def _vote(self, same: NDArray[np.int64], near: NDArray[np.int64], shares: NDArray[np.float64]) -> Found:
        """One score an entry: its own wording, else what the like ones say together (noisy or)."""
        by_node: dict[int, tuple[float, float, int]] = {}  # row number → score, best single score, alias
        for place, score in zip(near.tolist(), (NEAR * shares * self.weights[near]).tolist(), strict=True):
            node = int(self.nodes[place])
            joint, best, alias = by_node.get(node, (0.0, 0.0, -1))
            joint = 1.0 - (1.0 - joint) * (1.0 - score)
            by_node[node] = (min(joint, NEAR), max(best, score), place if score > best else alias)
        for place in same.tolist():
            node = int(self.nodes[place])
            score = SAME * float(self.weights[place])
            if score > by_node.get(node, (0.0, 0.0, -1))[0]:
                by_node[node] = (score, score, place)
        nodes = sorted(node for node, (score, *_) in by_node.items() if score > 0)
        aliases = [by_node[node][2] for node in nodes]
        scores = [by_node[node][0] for node in nodes]
        return Found(np.asarray(nodes, dtype=np.int64), self.rows[aliases].astype(np.int64), np.asarray(scores))


def _plain(text: str) -> str:
    return " ".join("".join(ch if ch.isalnum() else " " for ch in level(text)).split())


def _grams(plain: str) -> Iterator[str]:
    padded = f" {plain} "
    for length in GRAMS:
        for at in range(len(padded) - length + 1):
            if (gram := padded[at : at + length]).strip():
                yield gram


def _none() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(path.read_text("utf-8-sig").split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                raise CodeBookError("JC502", f"{path.name}, line {number}: not a JSON object") from None


def _tab_separated(path: Path) -> Iterator[tuple[int, Any]]:
    lines = path.read_text("utf-8-sig").split("\n")
    names = [name.strip() for name in lines[0].split("\t")]
    if not {"text", "code"} <= set(names):
        raise CodeBookError("JC502", f"{path.name}, line 1: expected a heading with text and code")
    for number, line in enumerate(lines[1:], start=2):
        if line.strip():
            cells = [cell.strip() for cell in line.split("\t")]
            if len(cells) != len(names):
                raise CodeBookError("JC502", f"{path.name}, line {number}: {len(cells)} columns, not {len(names)}")
            yield number, {name: cell for name, cell in zip(names, cells, strict=True) if cell}


def _table(path: Path) -> Iterator[tuple[int, Any]]:
    if not path.is_file():
        raise CodeBookError("JC502", f"{path.name}: there is no such file")
    connection = None
    try:
        connection = sqlite3.connect(path.resolve().as_uri() + "?mode=ro", uri=True)
        cursor = connection.execute("SELECT * FROM alias ORDER BY rowid")
        names = [column[0] for column in cursor.description]
        for number, row in enumerate(cursor, start=1):
            yield number, {name: value for name, value in zip(names, row, strict=True) if value is not None}
    except sqlite3.Error as error:
        raise CodeBookError("JC502", f"{path.name}: not an alias table ({error})") from None
    finally:
        if connection is not None:
            connection.close()


def _alias(row: Any, where: str) -> Alias:
    """One row as an alias; columns of other names are passed over."""
    if not isinstance(row, dict):
        raise CodeBookError("JC502", f"{where}: not an object with text and code")
    text, code, system, source = (row.get(name, "") for name in ("text", "code", "system", "source"))
    if not all(isinstance(value, str) for value in (text, code, system, source)) or not text.strip():
        raise CodeBookError("JC502", f"{where}: text, code, system and source are texts; text and code are needed")
    if not normalise_code(code):
        raise CodeBookError("JC502", f"{where}: the code is missing")
    if system and system not in set(System):
        raise CodeBookError("JC502", f"{where}: unknown system {system!r}", hint=f"known: {name_list(System)}")
    try:
        weight, count = float(row.get("weight", 1.0)), int(row.get("count", 1))
    except (TypeError, ValueError):
        raise CodeBookError("JC502", f"{where}: weight and count are numbers") from None
    if not 0.0 < weight <= 1.0 or count < 1:
        raise CodeBookError("JC502", f"{where}: the weight lies in (0, 1], the count is at least 1")
    return Alias(text, code, system, weight, count, source)
