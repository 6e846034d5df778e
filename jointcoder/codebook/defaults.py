"""Which child a heading stands for when the text says no more: the default code.

ICD-10-CM prints it as "unspecified" (guidelines I.A.6.b, I.B.18), in inclusion terms as "NOS", by the last digit 9
(or 0 for "unspecified side"), and among 7th characters as A (initial encounter) or 0 (not applicable). Chinese
editions print no such word at many places but keep the digits. Cues and weights: `data/<language>/defaults.tsv`.
ICD-10-PCS has no such words: `build/pcs.py` writes down which code a heading of four characters stands for.
Many headings are answered together: a query costs the same for one and for fifty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jointcoder.codebook.model import Entry
from jointcoder.records import System

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook

SEVENTH = ("A", "0")
ENOUGH = 0.9
AT_ONCE = 500  # values in one query


@dataclass(frozen=True, slots=True)
class Child:
    """What is needed of an entry below a heading: row number, system, code without dot, name."""

    node: int
    system: str
    key: str
    name: str
    billable: bool


def default_child(book: CodeBook, entry: Entry) -> Entry | None:
    """The child that ``entry`` means by default, or None when its children are equals."""
    node = book.node_id(entry.system, entry.code)
    if node is None:
        return None
    child = default_among(book, children_of(book, [node])).get(node)
    return None if child is None else book.entry(child.node)


def children_of(book: CodeBook, nodes: Sequence[int]) -> dict[int, list[Child]]:
    """The children of each row number that has some, in printed order."""
    found: dict[int, list[Child]] = {}
    columns = "parent, id, system, key, name, billable"
    for parent, node, system, key, name, billable in _among(
        book, f"SELECT {columns} FROM node WHERE parent IN (%s) ORDER BY id", nodes
    ):
        found.setdefault(parent, []).append(Child(node, system, key, name, bool(billable)))
    return found


def default_among(book: CodeBook, families: Mapping[int, Sequence[Child]]) -> dict[int, Child]:
    """For each heading the child it means by default; headings whose children are equals are left out."""
    chosen = {parent: children[0] for parent, children in families.items() if len(children) == 1}
    rest = {parent: children for parent, children in families.items() if len(children) > 1}
    operations = {parent: rest.pop(parent) for parent in list(rest) if rest[parent][0].system == System.ICD10PCS}
    chosen |= _of_operations(book, operations)
    extended = {p: c for p, c in rest.items() if all(len(child.key) == 7 and child.billable for child in c)}
    for parent, is_extended in _have_sevenths(book, extended).items():
        if is_extended:
            del rest[parent]
            child = _of_sevenths(extended[parent])
            if child is not None:
                chosen[parent] = child
    inclusions: dict[int, list[str]] = {}
    below = [child.node for children in rest.values() for child in children]
    statement = "SELECT node, text FROM note WHERE node IN (%s) AND kind = 'inclusion_terms'"
    for node, text in _among(book, statement, below):
        inclusions.setdefault(node, []).append(text.casefold())
    cues = _cues(book.info.languages[0])
    for parent, children in rest.items():
        scores = [_score(child, inclusions.get(child.node, ()), cues) for child in children]
        best = max(scores)
        if best >= ENOUGH and scores.count(best) == 1:
            chosen[parent] = children[scores.index(best)]
    return chosen


def _of_operations(book: CodeBook, families: Mapping[int, Sequence[Child]]) -> dict[int, Child]:
    """Headings of ICD-10-PCS, whose titles never say "unspecified": the code that the builder put down."""
    if not families or not book.rows("SELECT 1 FROM sqlite_master WHERE name = 'pcs_default'"):
        return {}
    headings = sorted({children[0].key[:4] for children in families.values()})
    codes = {code for (code,) in _among(book, "SELECT code FROM pcs_default WHERE heading IN (%s)", headings)}
    found = ((parent, [child for child in children if child.key in codes]) for parent, children in families.items())
    return {parent: children[0] for parent, children in found if children}


def _have_sevenths(book: CodeBook, families: Mapping[int, Sequence[Child]]) -> dict[int, bool]:
    """Whether the last characters of the children are 7th characters that the heading, or one above, lists."""
    if not families:
        return {}
    beginnings = {(c[0].system, c[0].key[:length]) for c in families.values() for length in range(3, 7)}
    listed: dict[tuple[str, str], set[str]] = {}
    for system in {system for system, _ in beginnings}:
        statement = (
            f"SELECT n.key, t.label FROM node n JOIN note t ON t.node = n.id WHERE n.system = '{system}'"
            " AND n.key IN (%s) AND t.kind = 'seventh_characters'"
        )
        for key, label in _among(book, statement, [key for other, key in sorted(beginnings) if other == system]):
            listed.setdefault((system, key), set()).add(label)
    found = {}
    for parent, children in families.items():
        known: set[str] = set()
        for length in range(3, 7):
            known |= listed.get((children[0].system, children[0].key[:length]), set())
        found[parent] = known >= {child.key[6] for child in children}
    return found


def _of_sevenths(children: Sequence[Child]) -> Child | None:
    """Among codes that differ in the 7th character the initial encounter, or the one that does not apply."""
    return next((child for label in SEVENTH for child in children if child.key[6] == label), None)


def _score(child: Child, inclusions: Iterable[str], cues: tuple[tuple[str, float], ...]) -> float:
    name = child.name.casefold()
    score = sum(weight * name.count(cue) for cue, weight in cues)
    score += max((sum(w for cue, w in cues if f" {text} ".endswith(f" {cue} ")) for text in inclusions), default=0.0)
    key = child.key.split("+")[0]
    tail = key.rstrip("0X") if len(key) > 4 and key.endswith("00") else key
    return score + (1.0 if tail.endswith("9") else 0.5 if key.endswith(("0", "X")) else 0.0)


def _among(book: CodeBook, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Rows of a statement that asks ``IN (%s)``."""
    found: list[tuple[Any, ...]] = []
    for first in range(0, len(values), AT_ONCE):
        part = values[first : first + AT_ONCE]
        found += book.rows(statement % ",".join("?" * len(part)), *part)
    return found


@lru_cache(maxsize=8)
def _cues(language: str) -> tuple[tuple[str, float], ...]:
    file = resources.files("jointcoder.codebook").joinpath("data", language, "defaults.tsv")
    if not file.is_file():
        return ()
    lines = (line.split("\t") for line in file.read_text("utf-8").splitlines() if line and line[0] != "#")
    return tuple((cue, float(weight)) for cue, weight in lines)
