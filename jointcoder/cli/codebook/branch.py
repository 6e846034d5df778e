"""A branch of the code book drawn for a terminal: from the chapter down to one entry, with the notes of every heading.

    1  Certain things (A00-B99)
    └── A00-A09  Some of them (A00-A09)
        ├── excludes2: …
        └── A01  One of them
            └── A01.1  The entry asked for · assignable · 2015-10-01 to 2026-09-30

7th characters stand on one line. It knows nothing of pipes: `look.py` prints tab-separated lines there.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich.text import Text
from rich.tree import Tree

from jointcoder.cli import language

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.codebook.model import Entry

SHOWN = 40  # entries below that are drawn


def branch(book: CodeBook, entry: Entry) -> Tree:
    """The tree to print."""
    top, *rest = (*reversed(book.ancestors(entry.system, entry.code)), entry)
    place = root = _heading(book, top, entry, Tree(""))
    for one in rest:
        place = _heading(book, one, entry, place.add(""))
    for spoken, name in entry.names.items():
        if name != _name(entry):
            place.add(Text.assemble((f"{spoken}: ", "dim"), name))
    children = book.children(entry.system, entry.code)
    for child in children[:SHOWN]:
        place.add(_label(child))
    if len(children) > SHOWN:
        place.add(Text(language.text(f"… and {len(children) - SHOWN:,} more"), style="dim"))
    return root


def _heading(book: CodeBook, one: Entry, asked: Entry, place: Tree) -> Tree:
    """``place`` with the entry's label and notes."""
    label = _label(one, strong=one == asked)
    if one == asked:
        label.append(_standing(book, one), style="dim")
    place.label = label
    for text in _notes(book, one):
        place.add(text)
    return place


def _label(entry: Entry, *, strong: bool = False) -> Text:
    style = "bold" if strong else "" if entry.billable else "dim"
    return Text.assemble((entry.code, "bold cyan" if entry.billable else "cyan"), "  ", (_name(entry), style))


def _name(entry: Entry) -> str:
    """In the language in use, else in the book's first."""
    return entry.name if language.current() == language.ENGLISH else entry.names.get(language.current(), entry.name)


def _standing(book: CodeBook, entry: Entry) -> str:
    """Whether and when the code may be assigned."""
    to = language.text("to")
    periods = [f"{period.start} {to} {period.end}" for period in book.validity(entry.system, entry.code)]
    standing = "assignable" if entry.billable else f"{entry.level}, not assignable"
    return " · ".join(["", language.text(standing), *periods])


def _notes(book: CodeBook, entry: Entry) -> list[Text]:
    """The notes of one entry, kind by kind; the 7th characters on one line."""
    found = []
    for kind, lines in groupby(book.notes(entry.system, entry.code).lines(), key=lambda note: note.kind):
        head = (f"{language.text(kind.replace('_', ' '))}: ", "yellow")
        if kind == "seventh_characters":
            found.append(Text.assemble(head, " · ".join(f"{note.label} {note.text}" for note in lines)))
        else:
            found += [Text.assemble(head, note.text) for note in lines]
    return found
