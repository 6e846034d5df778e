"""The codes that a note of the tabular list refers to: ``"injury of eye (S05.-), burns (T26-T28)"`` → references.

Read are single codes, codes with a dash (any ending), ranges, and three restrictions in words: "with fifth or sixth
character 1-4", "with 7th character S", "with .41, .43" (the characters after the dot). A note without brackets is
searched for codes in its text ("classifiable to E70-E88"). A restriction in other words makes a reference unreadable,
and it is left out rather than read too widely. This module knows no book.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jointcoder.codebook.codes import normalise_code

_CODE = r"[A-Z][0-9A][0-9A-Z](?:\.[0-9A-Z]{0,4})?\.?-?"
_GROUP = re.compile(rf"\((?=\s*{_CODE})([^(){{}}]*)[)}}]([^();,]*)")
_ITEM = re.compile(rf"\s*(?:and\s+|or\s+)?({_CODE})(?:\s*(?:-|to)\s*({_CODE})|-({_CODE}))?\s*")
_BARE = re.compile(r"(?<![\w.-])([A-Z][0-9][0-9](?:\.[0-9A-Z]{0,4})?)(?:\.?-([A-Z][0-9][0-9](?:\.[0-9A-Z]{0,4})?))?")
_PLACE = re.compile(
    r"with (fifth or sixth?|sixth|fifth|7th|seventh)[ -]characters? ([0-9A-Z](?:\s*(?:-|or|,)\s*[0-9A-Z])*)\s*$"
)
_PLACES = {"fifth or sixth": (4, 5), "fifth or six": (4, 5), "fifth": (4,), "sixth": (5,), "7th": (6,), "seventh": (6,)}
_AFTER_DOT = re.compile(r"with (?:final characters? )?((?:\.\d+-?(?:-\.\d+)?(?:\s*,\s*|\s*\.\s+|\s+or\s+)?)+)\s*$")
_ENDING = re.compile(r"\.(\d+)(?:-\.(\d+))?")
_SEPARATORS = re.compile(r"[,;]|(?<=-)\. |\sand\s")


@dataclass(frozen=True, slots=True)
class Reference:
    """Codes from ``first`` to ``last`` (normalised stems, both with all their endings); ``characters``: at one of
    the ``places`` (counted from 0) one of these must stand; ``endings``: with one of these it goes on after the third
    character."""

    first: str
    last: str
    places: tuple[int, ...] = ()
    characters: str = ""
    endings: tuple[str, ...] = ()

    def covers(self, code: str) -> bool:
        """Whether ``code`` falls under the reference."""
        return self.covers_key(normalise_code(code))

    def covers_key(self, key: str) -> bool:
        """The same for a normalised code."""
        if not self.first <= key[: len(self.first)] or not key[: len(self.last)] <= self.last:
            return False
        if len(key) < min(len(self.first), len(self.last)):
            return False
        if self.endings and not key[3:].startswith(self.endings):
            return False
        if not self.places:
            return True
        return any(len(key) > place and key[place] in self.characters for place in self.places)


def references(note: str) -> tuple[Reference, ...]:
    """The references in the brackets of ``note``; without any, those in its running text."""
    found: list[Reference] = []
    groups = _GROUP.findall(note)
    for inside, after in groups:
        if after.strip().startswith("with ") and _PLACE.search(after.strip()):
            inside = f"{inside} {after.strip()}"
        found += _items(inside)
    if not groups:
        for first, last in _BARE.findall(note):
            found.append(Reference(_stem(first), _stem(last or first)))
    return tuple(found)


def _items(text: str) -> list[Reference]:
    places: tuple[int, ...] = ()
    endings: tuple[str, ...] = ()
    characters = ""
    if " with " in text:
        at = text.index(" with ")
        restriction, after = _PLACE.search(text), _AFTER_DOT.search(text)
        if restriction is not None:
            places = _PLACES[restriction[1]]
            characters = _spelt(restriction[2])
        elif after is not None:
            endings = _endings(after[1])
        else:
            return []
        text = text[:at]
    found: list[Reference] = []
    for part in _SEPARATORS.split(text):
        m = _ITEM.fullmatch(part)
        if m is None:
            continue
        first, last = _stem(m[1]), _stem(m[2] or m[3] or m[1])
        found.append(Reference(first, last, places, characters, endings))
    return found


def _stem(code: str) -> str:
    return normalise_code(code).rstrip("-")


def _spelt(characters: str) -> str:
    """``"1-4 or 6"`` → ``"12346"``."""
    found = ""
    for part in re.split(r"or|,", characters):
        low, _, high = (end.strip() for end in part.partition("-"))
        found += "".join(chr(c) for c in range(ord(low), ord(high or low) + 1)) if low else ""
    return found


def _endings(text: str) -> tuple[str, ...]:
    """``".41, .43"`` → both; ``".51-.52"`` → all from the first to the second."""
    found: list[str] = []
    for low, high in _ENDING.findall(text):
        found += [str(n).zfill(len(low)) for n in range(int(low), int(high) + 1)] if high else [low]
    return tuple(found)
