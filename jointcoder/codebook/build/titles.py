"""Lists of ICD-10-CM codes with their titles (CMS): a book of a year whose tabular list is not at hand.

    icd10cm-codes-2024.txt   A000    Cholera due to Vibrio cholerae 01, biovar cholerae
    icd10cm-order-2024.txt   00002 A000    1 Cholera due to Vib…   Cholera due to Vibrio cholerae 01, biovar cholerae

The second holds the headings too (0 instead of 1). Into the first they are put by prefix: every category, and every
stem that several codes share; they bear the name that ``names`` knows, else the words their codes begin with, else
their code. Such a book has no notes, no inclusion terms and no chapters.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jointcoder.codebook.analysis import Tables
from jointcoder.codebook.build.files import malformed, read_text
from jointcoder.codebook.build.writer import Draft
from jointcoder.codebook.codes import with_dot
from jointcoder.records import System

_CODE = r"[A-Z][0-9][0-9A-Z][0-9A-Z]{0,4}"
_LINE = re.compile(rf"({_CODE})\s+(\S.*)")
_ORDER = re.compile(rf"\d{{5}}\s+({_CODE})\s+([01])\s(.{{60}})\s(\S.*)")
_FILLER = "X"
_SHORTEST = 3


@dataclass(frozen=True, slots=True)
class Title:
    """A line of the list: code without its dot, title, whether it may be assigned, whether it is printed."""

    code: str
    name: str
    billable: bool
    printed: bool = True


def read_titles(path: Path, names: Mapping[str, str]) -> list[Draft]:
    """The nodes of a list, in pre-order. ``names``: undotted code → title, for headings that the list does not print.

    CodeBookError JC502 naming file and line.
    """
    titles = _read(path)
    if all(title.billable for title in titles):
        titles = [*titles, *_headings(titles, names)]
    drafts: list[Draft] = []
    open_at: list[tuple[str, int]] = []  # the headings above, with their place among the drafts
    for title in sorted(titles, key=lambda one: (one.code, one.billable)):
        while open_at and not title.code.startswith(open_at[-1][0]):
            open_at.pop()
        parent = open_at[-1][1] if open_at else None
        if not title.billable:
            open_at.append((title.code, len(drafts)))
        level = "code" if title.billable else "category"
        code = with_dot(title.code)
        drafts.append(Draft(System.ICD10CM, code, title.name, level, title.billable, parent, listed=title.printed))
    return drafts


def _read(path: Path) -> list[Title]:
    found: dict[str, Title] = {}
    for number, line in enumerate(read_text(path, encodings=("utf-8-sig", "cp1252")).splitlines(), start=1):
        text = line.strip()
        if not text:
            continue
        if m := _ORDER.fullmatch(text):
            title = Title(m[1], " ".join(m[4].split()), m[2] == "1")
        elif m := _LINE.fullmatch(text):
            title = Title(m[1], " ".join(m[2].split()), True)
        else:
            raise malformed(path, "expected a code without dot and its title", line=number)
        if title.code in found:
            raise malformed(path, f"{title.code} occurs twice", line=number)
        found[title.code] = title
    if not found:
        raise malformed(path, "the file holds no codes", line=1)
    return list(found.values())


def _headings(titles: Sequence[Title], names: Mapping[str, str]) -> Iterator[Title]:
    """The categories, and the stems that divide: above a 7th character stands no filler (S93.4, not S93.4XX)."""
    codes = {title.code for title in titles}
    stop = {row[0] for row in Tables.load("en").get("stop")}
    below: dict[str, list[str]] = {}
    for title in titles:
        for stem in (title.code[:length] for length in range(_SHORTEST, len(title.code))):
            if stem not in codes and (stem in names or not stem.endswith(_FILLER)):
                below.setdefault(stem, []).append(title.name)
    for stem, found in below.items():
        if stem in names:
            yield Title(stem, names[stem], billable=False)
        elif len(stem) == _SHORTEST or len(found) > 1:
            yield Title(stem, _shared_beginning(found, stop) or with_dot(stem), billable=False, printed=False)


def _shared_beginning(names: Sequence[str], stop: Container[str]) -> str:
    """The words that all names begin with, without prepositions at their end; empty when they share none."""
    first, *others = (name.split() for name in names)
    shared = len(first)
    for words in others:
        shared = min(shared, next((i for i, (a, b) in enumerate(zip(first, words, strict=False)) if a != b), shared))
    while shared and first[shared - 1] in stop:
        shared -= 1
    return " ".join(first[:shared]).rstrip(",")
