"""Coded history in cells: codes and names → :class:`Coded`, ordered, principal marked.

A code cell holds one code, a list of them, or a code with its name (``I10.x00 高血压``, ``高血压[I10.x00]``). What has
been turned into a number has lost zeros and is not repaired: it is flagged (JC128), and so is anything that is no code.
Whether a code exists is not asked here; :func:`with_codes` looks names up where an export gives only those.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.tables import printed_code
from jointcoder.codebook.codes import with_dot
from jointcoder.exchange.delimited import Row
from jointcoder.exchange.incoming import UNREADABLE_CODE, Coded, Place
from jointcoder.exchange.mapping import CodeColumns
from jointcoder.exchange.values import is_error, stands_for_nothing, text_of
from jointcoder.records import Flag, Kind, System

_SHAPES = {
    System.ICD10CM: re.compile(r"[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{1,4})?", re.IGNORECASE),
    System.ICD10PCS: re.compile(r"[0-9A-HJ-NP-Z]{4,7}", re.IGNORECASE),
    System.ICD10CN: re.compile(r"[A-Z][0-9][0-9A-Z][0-9A-Za-z./+*]{0,24}"),
    System.ICD9CM3: re.compile(r"[0-9]{2}(\.[0-9][0-9A-Za-z]{0,8})?|[0-9]{3,4}"),
}
_BRACKETED = re.compile(r"(.*?)[(（\[【]([^()（）\[\]【】]{3,30})[)）\]】]\s*")
_CODES_TOO = ",，、"  # these part codes, but stand within names
_PART = re.compile(r"\s+")


@dataclass(frozen=True)
class Bound:
    """:class:`CodeColumns` in a table: pairs of a code's and its name's column, and the heading for messages."""

    columns: CodeColumns
    pairs: tuple[tuple[int | None, int | None], ...]
    listed: bool
    heading: str


def read_codes(bound: Sequence[Bound], row: Row, place: Place) -> tuple[tuple[Coded, ...], tuple[Flag, ...]]:
    """The codes of a row, by kind, principal first; what cannot be read is left out and flagged."""
    codes: list[Coded] = []
    flags: list[Flag] = []
    for kind in Kind:
        of_kind = [one for one in bound if one.columns.system.kind is kind]
        of_kind.sort(key=lambda one: one.columns.place != "principal")
        found = [(one, code) for one in of_kind for code in _of(one, row, place, flags)]
        separate = any(one.columns.place == "principal" for one in of_kind)
        for rank, (one, code) in enumerate(found, start=1):
            primary = one.columns.place == "principal" if separate else one.columns.place == "all"
            codes.append(replace(code, rank=rank, primary=primary and rank == 1))
    return tuple(codes), tuple(flags)


def _of(bound: Bound, row: Row, place: Place, flags: list[Flag]) -> Iterator[Coded]:
    for code_column, name_column in bound.pairs:
        code = row.cell(code_column) if code_column is not None else ""
        name = row.cell(name_column) if name_column is not None else ""
        if code == "" and name == "":
            continue
        name = "" if stands_for_nothing(name) else text_of(name)
        if is_error(code):
            flags.append(place.flag(UNREADABLE_CODE, f"column {bound.heading}: the cell holds an error"))
            continue
        if stands_for_nothing(code):
            names = _split(name, bound.columns.separators) if bound.listed else [name.strip()]
            yield from (_coded(bound, "", one) for one in names if one)
            continue
        if not isinstance(code, str):
            problem = f"column {bound.heading}: a code stored as a number has lost zeros; format the column as text"
            flags.append(place.flag(UNREADABLE_CODE, problem))
            continue
        yield from _written(bound, code, name, place, flags)


def _written(bound: Bound, cell: str, name: str, place: Place, flags: list[Flag]) -> Iterator[Coded]:
    """The codes of a cell with their names."""
    system, separators = bound.columns.system, bound.columns.separators
    pieces = _pieces(system, cell, separators)
    names = [name.strip()] if len(pieces) == 1 else _split(name, separators)
    for place_in_cell, piece in enumerate(pieces):
        parted = apart(system, piece)
        if parted is None:
            flags.append(place.flag(UNREADABLE_CODE, f"column {bound.heading}: no code of {system}"))
            continue
        beside = names[place_in_cell] if len(names) == len(pieces) else ""
        yield _coded(bound, parted[0], parted[1] or beside)


def _pieces(system: System, cell: str, separators: str) -> list[str]:
    """A cell parted into pieces with a code each: at separators, blanks or commas, whichever way finds codes only; the
    whole cell where none does."""
    whole = [cell.strip()]
    ways = [_split(cell, separators), cell.split(), whole, _split(cell, separators + _CODES_TOO)]
    found = (pieces for pieces in ways if all(apart(system, piece) is not None for piece in pieces))
    return next(found, ways[0])


def apart(system: System, text: str) -> tuple[str, str] | None:
    """Code and name of a piece of a cell, or None where there is no code of the system.

    >>> apart(System.ICD10CN, "Ｉ10．x00 高血压")
    ('I10.x00', '高血压')
    """
    text = text.strip()
    first, *rest = _PART.split(text, maxsplit=1)
    candidates = [(text, ""), (first, rest[0] if rest else "")]
    if found := _BRACKETED.fullmatch(text):
        candidates.append((found[2], found[1].strip()))
    for written, name in candidates:
        code = printed_code(written)
        if _SHAPES[system].fullmatch(code):
            return (with_dot(code) if system is System.ICD10CM else code), name
    return None


def _coded(bound: Bound, code: str, name: str) -> Coded:
    return Coded(bound.columns.system, code, name, edition=bound.columns.edition)


@cache
def _marks(separators: str) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, separators)))


def _split(text: str, separators: str) -> list[str]:
    pieces = _marks(separators).split(text) if separators else [text]
    return [piece.strip() for piece in pieces if piece.strip()]


# --------------------------------------------------------------------------------------------------- names alone


def names_in(book: CodeBook) -> Mapping[tuple[str, str], str]:
    """(system, official name) → code, of the assignable codes whose name no other has."""
    found: dict[tuple[str, str], str | None] = {}
    for system, code, name in book.rows("SELECT system, code, name FROM node WHERE billable"):
        key = (system, _levelled(name))
        found[key] = None if key in found else code
    return {key: code for key, code in found.items() if code is not None}


def with_codes(codes: Sequence[Coded], known: Mapping[tuple[str, str], str]) -> tuple[Coded, ...]:
    """The codes, those that have only a name with the code of that name, where ``known`` has it."""
    return tuple(
        one if one.code else replace(one, code=known.get((str(one.system), _levelled(one.name)), "")) for one in codes
    )


def _levelled(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).split()).casefold()


def from_json(entries: Any, place: Place) -> tuple[tuple[Coded, ...], tuple[Flag, ...]]:
    """The ``codes`` of a JSON record (see :mod:`jointcoder.corpora.base`), kept as they came. A broken entry is left
    out and flagged."""
    if entries is None:
        return (), ()
    if not isinstance(entries, list):
        return (), (place.flag(UNREADABLE_CODE, "codes must be a list"),)
    codes: list[Coded] = []
    flags: list[Flag] = []
    ranks: dict[Kind | None, int] = {}
    for number, entry in enumerate(entries):
        system, code = (entry.get("system"), entry.get("code")) if isinstance(entry, dict) else (None, None)
        if not (isinstance(system, str) and isinstance(code, str) and system.strip() and code.strip()):
            flags.append(place.flag(UNREADABLE_CODE, f"codes[{number}] needs a system and a code"))
            continue
        name = entry.get("name")
        one = Coded(system.strip(), code.strip(), name if isinstance(name, str) else "", given=entry)
        ranks[one.kind] = ranks.get(one.kind, 0) + 1
        codes.append(replace(one, primary=entry.get("primary") is True, rank=ranks[one.kind]))
    return tuple(codes), tuple(flags)
