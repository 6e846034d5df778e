"""What is found and what becomes of it: identifiers with their places, and a text after its changes with a way to it.

    Found(4, 9, Identifier.NAME)            characters 4 to 9 of the text name a person
    Moved.of(text, changes).span(20, 31)    where characters 20 to 31 stand after the changes

Knows neither languages nor patterns.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Identifier(StrEnum):
    """What tells who somebody is. ``HOSPITAL`` and ``WARD`` are looked for on request only."""

    NAME = "name"
    ID = "id"
    PHONE = "phone"
    EMAIL = "email"
    URL = "url"
    IP = "ip"
    ADDRESS = "address"
    HOSPITAL = "hospital"
    WARD = "ward"
    AGE = "age"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Found:
    """An identifier at ``start:end`` of a text. ``whole``: a name as a label or title gives it, sure enough to be
    looked for in the rest of the encounter. ``becomes``: what stands there instead, where that is known already
    (dates, ages). ``part_of``: characters of the date that this is a part of; all parts but the first are ``further``.
    """

    start: int
    end: int
    kind: Identifier
    whole: bool = False
    becomes: str | None = None
    part_of: int = 0
    further: bool = False

    @property
    def extent(self) -> int:
        """How much speaks for it, against others that overlap it."""
        return self.part_of or self.end - self.start


@dataclass(frozen=True, slots=True)
class Change:
    """``text`` stands instead of the characters ``start:end`` of the original."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Moved:
    """A text after its changes; ``changes`` are in order and do not overlap."""

    text: str
    changes: tuple[Change, ...]
    starts: tuple[int, ...]  # of the changes, in the new text

    @classmethod
    def of(cls, text: str, changes: Iterable[Change]) -> Moved:
        """Raises ValueError where changes overlap or lie outside the text."""
        ordered = tuple(sorted(changes, key=lambda change: (change.start, change.end)))
        pieces: list[str] = []
        starts: list[int] = []
        place = length = 0
        for change in ordered:
            if not place <= change.start <= change.end <= len(text):
                raise ValueError("changes overlap or lie outside the text")
            pieces += [text[place : change.start], change.text]
            length += change.start - place
            starts.append(length)
            length += len(change.text)
            place = change.end
        pieces.append(text[place:])
        return cls("".join(pieces), ordered, tuple(starts))

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Offsets of the original → offsets of the new text. A span that begins or ends within a change takes in all of
        what stands there now."""
        return self._point(start, first=True), self._point(end, first=False)

    def touched(self, start: int, end: int) -> bool:
        """Whether a change altered characters of the span."""
        return any(change.start < end and start < change.end for change in self.changes)

    def _point(self, offset: int, *, first: bool) -> int:
        at = bisect_right(self.changes, offset, key=lambda change: change.start) - 1
        if at < 0:
            return offset
        change, start = self.changes[at], self.starts[at]
        if offset >= change.end and not (offset == change.start == change.end):
            return offset + start + len(change.text) - change.end
        if offset == change.start:
            return start
        return start if first else start + len(change.text)


def settled(found: Iterable[Found]) -> list[Found]:
    """Those that stay where several overlap: the longest, of equal ones the first; in the order of the text."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: -one.extent):
        if one.start < one.end and all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: one.start)
