"""What a column holds, by its heading. The words are data (``data/<language>/columns.toml``).

>>> recognise("其他诊断编码 3").label, recognise("现病史").section
('code', 'history_present_illness')

Clinical sections are known by the headings that notes use (:mod:`jointcoder.text.sections`). Names and codes of coded
history come before those: a column of the principal diagnosis is an answer, never a text to be coded. This module sees
no cell below the heading.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from jointcoder.exchange.values import LANGUAGES, data
from jointcoder.records import Kind
from jointcoder.text.sections import canonical_name

NUMBER = "#"  # in a pattern: a number
_PLAIN = ("id", "person", "visit", "sex", "age", "birth", "admitted", "discharged", "text", "personal", "field")
_ASIDE = re.compile(r"\([^()]*[^()\d\s][^()]*\)|\[[^\[\]]*[^\[\]\d\s][^\[\]]*\]|【.*?】")
_DOUBLED = re.compile(r"(.*) \((\d+)\)")
_OTHER = "other"  # headings of notes that head no clinical text: names, wards, signatures


@dataclass(frozen=True)
class Group:
    """Columns of coded history that belong together. ``place``: principal, other, or all."""

    kind: Kind
    place: str
    language: str


@dataclass(frozen=True)
class Role:
    """What a heading says of its column.

    ``label``: id, person, visit, sex, age, birth, admitted, discharged, text, personal, field, section, code, or name.
    ``order``: how much an id is preferred, the smallest first. ``group`` and ``number``: of codes and names;
    ``beside_code``: a name only where the group has a code without number.
    """

    label: str
    language: str = ""
    order: int = 0
    section: str = ""
    group: Group | None = None
    number: int | None = None
    beside_code: bool = False
    pattern: str = ""


@lru_cache(maxsize=4096)
def recognise(heading: str) -> Role | None:
    """The role of a column with this heading, or None."""
    levelled = level(heading.replace(NUMBER, " "))
    if not levelled or len(heading) > 60:
        return None
    for pattern, role in _patterns():
        if (number := match(pattern, levelled)) is not None:
            return role if number < 0 else _numbered(role, number)
    section = canonical_name(undoubled(heading))
    return Role("section", section=section) if section is not None and section != _OTHER else None


def undoubled(heading: str) -> str:
    """A heading without the number that tells it from others of the same words."""
    return _DOUBLED.sub(r"\1", heading)


def level(heading: str) -> str:
    """A heading without what does not matter: case, width, blanks, punctuation, remarks in brackets."""
    text = _ASIDE.sub("", unicodedata.normalize("NFKC", heading).casefold())
    return "".join(char for char in text if char.isalnum() or char == NUMBER)


def match(pattern: str, levelled: str) -> int | None:
    """The number that stands for ``#`` of a levelled pattern in a levelled heading, -1 for a pattern without; None when
    they differ."""
    if NUMBER not in pattern:
        return -1 if pattern == levelled else None
    before, _, after = pattern.partition(NUMBER)
    if not (levelled.startswith(before) and levelled.endswith(after)) or len(levelled) <= len(before) + len(after):
        return None
    digits = levelled[len(before) : len(levelled) - len(after)]
    return int(digits) if digits.isdecimal() and len(digits) <= 3 else None


@cache
def _patterns() -> tuple[tuple[str, Role], ...]:
    """(levelled pattern, role), those without a number first: ``主要诊断`` before anything that ends in a number."""
    found = [(level(heading), role) for language in LANGUAGES for heading, role in _of(language)]
    return tuple(sorted(found, key=lambda pair: NUMBER in pair[0]))


def _of(language: str) -> Iterator[tuple[str, Role]]:
    table = data("columns", language)
    for label in _PLAIN:
        for order, heading in enumerate(table.get(label, ())):
            yield heading, Role(label, language, order=order, pattern=heading)
    for row in table["codes"]:
        group = Group(Kind(row["kind"]), row["place"], language)
        for key, label in (("code", "code"), ("name", "name"), ("with_code", "name")):
            for heading in row.get(key, ()):
                yield heading, Role(label, language, group=group, pattern=heading, beside_code=key == "with_code")


def _numbered(role: Role, number: int) -> Role:
    return Role(
        role.label,
        role.language,
        role.order,
        group=role.group,
        number=number,
        beside_code=role.beside_code,
        pattern=role.pattern,
    )
