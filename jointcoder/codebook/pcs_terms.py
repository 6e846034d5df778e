"""What ICD-10-PCS prints beside its tables: definitions, the body-part, device and substance keys, the index.

    terms = Terms(book)
    terms.definition_of("operation", "Resection")    # definition, explanation, examples
    terms.synonyms_of("body part", "Foot Muscle, Right")
    terms.label_of("Abductor hallucis muscle")       # the labels the key leads to
    terms.index("cholecystectomy")                   # references of the index, *see* followed

A book built without these sources answers nothing and raises nothing. This module knows no codes' legality
(:mod:`jointcoder.codebook.pcs`) and no scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.pcs_axes import axis_names, has_table, label_key

MOST = 300  # references given for one term
FARTHEST = 4  # cross references followed one after the other


@dataclass(frozen=True, slots=True)
class Definition:
    """A term as defined: ``context`` says where it holds ("Insertion in Upper Bones"), ``includes`` are examples of an
    operation, or the synonyms of a body part, device or substance."""

    position: int
    label: str
    context: str
    definition: str = ""
    explanation: str = ""
    includes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The definition; for a key the synonyms."""
        return self.definition or "; ".join(self.includes)


@dataclass(frozen=True, slots=True)
class Reference:
    """A line of the index: its path, whether it is a ``code``, a ``see`` or a ``use``, what it says, and the code or
    its beginning (3 to 7 characters; "" for a ``use`` and for a *see* that leads nowhere)."""

    path: tuple[str, ...]
    kind: str
    text: str
    prefix: str


class Terms:
    """Definitions, keys and index of one book. Stateless beside it; safe to share between threads."""

    def __init__(self, book: CodeBook) -> None:
        self.book = book

    def definition_of(self, axis: str | int, label: str, *, section: str = "", context: str = "") -> Definition | None:
        """The definition of a value. ``axis``: its name or position; ``section``: the first character of the code;
        ``context``: words of its other axes, which decide between several meanings."""
        rows = self._entries(label_key(label), axis, section)
        if not rows:
            return None
        around = set(label_key(context).split())
        best = max(rows, key=lambda row: (len(around & set(label_key(row[3]).split())), -row[0]))
        return self._definition(*best)

    def definitions(self, axis: str | int, *, section: str = "0") -> tuple[Definition, ...]:
        """All definitions of an axis in a section, as printed."""
        if not self._held("pcs_term"):
            return ()
        places = _places(axis)
        marks = ",".join("?" * len(places))
        rows = self.book.rows(
            f"SELECT entry, position, label, context FROM pcs_term WHERE section = ? AND position IN ({marks})"
            " ORDER BY entry, rowid",
            section,
            *places,
        )
        return tuple(self._definition(*row) for row in rows)

    def synonyms_of(self, axis: str | int, label: str) -> tuple[str, ...]:
        """What the keys list under a label, from all its contexts, sorted."""
        rows = self._entries(label_key(label), axis, "")
        return tuple(sorted({text for row in rows for text in self._definition(*row).includes}))

    def label_of(self, synonym: str) -> tuple[tuple[int, str], ...]:
        """(position, label) of every value that the keys or the index name for a synonym."""
        if not self._held("pcs_synonym"):
            return ()
        rows = self.book.rows(
            "SELECT position, label FROM pcs_synonym WHERE key = ? ORDER BY position, label", label_key(synonym)
        )
        return tuple((place, label) for place, label in rows)

    def index(self, term: str) -> tuple[Reference, ...]:
        """The references of the main terms that read like ``term`` (word order aside; else those that begin with its
        words), subterms included, *see* followed."""
        if not self._held("pcs_index"):
            return ()
        found: dict[Reference, None] = {}
        for entry in self._main(term):
            for reference in self._below(entry, (), FARTHEST):
                found[reference] = None
                if len(found) >= MOST:
                    return tuple(found)
        return tuple(found)

    # --------------------------------------------------------------------------------------------------- within

    def _held(self, table: str) -> bool:
        return self.book.kept(f"has {table}", lambda: has_table(self.book, table))

    def _entries(self, key: str, axis: str | int, section: str) -> list[tuple[int, int, str, str]]:
        if not self._held("pcs_term"):
            return []
        places = _places(axis)
        rows: list[tuple[Any, ...]] = self.book.rows(
            "SELECT entry, position, label, context, section FROM pcs_term WHERE key = ? ORDER BY entry", key
        )
        rows = [row for row in rows if row[1] in places]
        own = [row for row in rows if row[4] == section]
        return [(entry, place, label, context) for entry, place, label, context, _ in own or rows]

    def _definition(self, entry: int, place: int, label: str, context: str) -> Definition:
        texts: dict[str, list[str]] = {"definition": [], "explanation": [], "includes": []}
        for kind, text in self.book.rows("SELECT kind, text FROM pcs_text WHERE entry = ? ORDER BY number", entry):
            texts[kind].append(text)
        return Definition(
            position=place,
            label=label,
            context=context,
            definition=" ".join(texts["definition"]),
            explanation=" ".join(texts["explanation"]),
            includes=tuple(texts["includes"]),
        )

    def _main(self, term: str) -> list[int]:
        key = label_key(term)
        rows = self.book.rows("SELECT id FROM pcs_index WHERE parent IS NULL AND key = ? ORDER BY id", key)
        if not rows and key:
            start = term.strip()
            rows = self.book.rows(
                "SELECT id FROM pcs_index WHERE parent IS NULL AND title >= ? COLLATE NOCASE AND title < ? COLLATE"
                " NOCASE ORDER BY id",
                start,
                start + "\U0010ffff",
            )
        return [int(row[0]) for row in rows]

    def _below(self, entry: int, path: tuple[str, ...], left: int) -> Iterator[Reference]:
        title = self.book.rows("SELECT title FROM pcs_index WHERE id = ?", entry)[0][0]
        path = (*path, title) if title else path
        for kind, text, prefix in self.book.rows(
            "SELECT kind, text, prefix FROM pcs_reference WHERE entry = ? ORDER BY number", entry
        ):
            yield from self._followed(Reference(path, kind, text, prefix), left)
        for (child,) in self.book.rows("SELECT id FROM pcs_index WHERE parent = ? ORDER BY id", entry):
            yield from self._below(child, path, left)

    def _followed(self, reference: Reference, left: int) -> Iterator[Reference]:
        target = None
        if reference.kind == "see" and not reference.prefix and left:
            target = self._target(reference.text)
        if target is None:
            yield reference
            return
        for found in self._below(target, (), left - 1):
            yield replace(found, path=(*reference.path, *found.path))

    def _target(self, text: str) -> int | None:
        """The entry that a *see* without codes names: a main term, or a main term and subterms."""
        first, *rest = (part.strip() for part in text.split(","))
        whole = self.book.rows("SELECT id FROM pcs_index WHERE parent IS NULL AND title = ?", text)
        if whole:
            return int(whole[0][0])
        rows = self.book.rows("SELECT id FROM pcs_index WHERE parent IS NULL AND title = ?", first)
        for part in rest:
            rows = rows and self.book.rows(
                "SELECT id FROM pcs_index WHERE parent = ? AND key = ?", rows[0][0], label_key(part)
            )
        return int(rows[0][0]) if rows else None


def _places(axis: str | int) -> tuple[int, ...]:
    if isinstance(axis, int):
        return (axis,)
    return axis_names().get(label_key(axis), ())
