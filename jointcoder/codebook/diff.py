"""What changed between two editions: new, retired and renamed codes, headings that became codes and the reverse.

    for change in diff(old, new): print(change.kind, change.code, change.name)

Compared are the systems that both books hold, by key (dots and case do not matter). New and retired are codes; renamed
may be printed headings too, but not those that a builder put in where its source prints none. Names are the same when
they differ only in case, blanks or accents, or in what the tabular list adds to a 7th character behind a slash: lists
of codes are printed without either. Ranges (blocks, chapters) and notes are not compared; the first are no codes, the
second have no identity across years.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jointcoder.codebook.analysis import level
from jointcoder.codebook.book import CodeBook
from jointcoder.errors import CodeBookError, name_list
from jointcoder.records import System

NEW, RETIRED, RENAMED, DIVIDED, UNITED = KINDS = ("new", "retired", "renamed", "became heading", "became code")


@dataclass(frozen=True, slots=True)
class Change:
    """One code of one system. ``name``: the later one (of a retired code the last); ``before``: the earlier name where
    the two differ. A code whose rank and name change both is listed under its rank."""

    system: System
    kind: str
    code: str
    name: str
    before: str = ""
    billable: bool = True


@dataclass(frozen=True, slots=True)
class _Entry:
    code: str
    name: str
    billable: bool


def diff(old: CodeBook, new: CodeBook, *, system: System | None = None) -> tuple[Change, ...]:
    """The changes from ``old`` to ``new``, by system, kind (in the order of :data:`KINDS`) and code.

    ``system``: this one only. CodeBookError JC503 when the books share no system, or not this one.
    """
    shared = [one for one in old.info.systems if one in new.info.systems and one in (system, system or one)]
    if not shared:
        held = "; ".join(f"{book.info.id} holds {name_list(book.info.systems)}" for book in (old, new))
        raise CodeBookError("JC503", f"the code books {old.info.id} and {new.info.id} cannot be compared: {held}")
    return tuple(change for one in shared for change in _changes(one, _entries(old, one), _entries(new, one)))


def counts(changes: Iterable[Change]) -> dict[System, dict[str, int]]:
    """system → kind → how many; every kind is there."""
    found = Counter((change.system, change.kind) for change in changes)
    systems = dict.fromkeys(system for system, _ in found)
    return {system: {kind: found[system, kind] for kind in KINDS} for system in systems}


def _changes(system: System, old: Mapping[str, _Entry], new: Mapping[str, _Entry]) -> list[Change]:
    added, gone = (new[key] for key in new.keys() - old), (old[key] for key in old.keys() - new)
    found = [Change(system, NEW, one.code, one.name) for one in added if one.billable]
    found += [Change(system, RETIRED, one.code, one.name) for one in gone if one.billable]
    for key in old.keys() & new.keys():
        before, after = old[key], new[key]
        renamed = not _same(before.name, after.name)
        if before.billable != after.billable:
            kind = UNITED if after.billable else DIVIDED
        elif renamed:
            kind = RENAMED
        else:
            continue
        earlier = before.name if renamed else ""
        found.append(Change(system, kind, after.code, after.name, earlier, after.billable))
    return sorted(found, key=lambda change: (KINDS.index(change.kind), change.code))


def _same(before: str, after: str) -> bool:
    one, other = ("".join(level(name).split()) for name in (before, after))
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _entries(book: CodeBook, system: System) -> dict[str, _Entry]:
    """Codes and printed headings: those that have a name among the wordings."""
    rows = book.rows(
        "SELECT key, code, name, billable FROM node n WHERE system = ? AND level IN ('category', 'code') AND"
        " (billable OR EXISTS (SELECT 1 FROM term t WHERE t.node = n.id AND t.kind = 'name'))",
        system,
    )
    return {key: _Entry(code, name, bool(billable)) for key, code, name, billable in rows}
