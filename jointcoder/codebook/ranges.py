"""The codes that a note of the tabular list refers to: ``"injury of eye (S05.-), burns (T26-T28)"`` → references.

Read are single codes, codes with a dash (any ending), ranges, and "with fifth or sixth character …"; other restrictions
in words make a reference unreadable, and it is left out rather than read too widely. This module knows no book.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jointcoder.codebook.codes import normalise_code

_CODE = r"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{0,4})?-?"
_GROUP = re.compile(rf"\((?=\s*{_CODE})([^()]*)\)([^();,]*)")
_ITEM = re.compile(rf"\s*(?:and\s+|or\s+)?({_CODE})(?:\s*-\s*({_CODE})|-({_CODE}))?\s*")
_PLACE = re.compile(r"with (fifth or sixth|sixth|fifth) characters? ([0-9A-Z])(?:\s*-\s*([0-9A-Z]))?\s*$")
_PLACES = {"fifth or sixth": (4, 5), "fifth": (4,), "sixth": (5,)}


@dataclass(frozen=True, slots=True)
class Reference:
    """Codes from ``first`` to ``last`` (normalised stems, both with all their endings); ``characters``: at one of
    the ``places`` (counted from 0) one of these must stand."""

    first: str
    last: str
    places: tuple[int, ...] = ()
    characters: str = ""

    def covers(self, code: str) -> bool:
        """Whether ``code`` falls under the reference."""
        key = normalise_code(code)
        if not self.first <= key[: len(self.first)] or not key[: len(self.last)] <= self.last:
            return False
        if len(key) < min(len(self.first), len(self.last)):
            return False
        if not self.places:
            return True
        return any(len(key) > place and key[place] in self.characters for place in self.places)


def references(note: str) -> tuple[Reference, ...]:
    """The references in the brackets of ``note``."""
    found: list[Reference] = []
    for inside, after in _GROUP.findall(note):
        if after.strip().startswith("with ") and _PLACE.search(after.strip()):
            inside = f"{inside} {after.strip()}"
        found += _items(inside)
    return tuple(found)


def _items(text: str) -> list[Reference]:
    places: tuple[int, ...] = ()
    characters = ""
    if " with " in text:
        restriction = _PLACE.search(text)
        if restriction is None:
            return []
        places = _PLACES[restriction[1]]
        low, high = restriction[2], restriction[3] or restriction[2]
        characters = "".join(chr(c) for c in range(ord(low), ord(high) + 1))
        text = text[: text.index(" with ")]
    found: list[Reference] = []
    for part in text.split(","):
        m = _ITEM.fullmatch(part)
        if m is None:
            continue
        first = normalise_code(m[1]).rstrip("-")
        last = normalise_code(m[2] or m[3] or m[1]).rstrip("-")
        found.append(Reference(first, last, places, characters))
    return found
