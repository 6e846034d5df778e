"""The left half of the encounter page: documents as sections, sections as segments that bear the marks of evidence.

    sheets(encounter, sections, places)  →  Sheet per document  →  Part per section  →  Segment

Evidence overlaps and nests; a page cannot. So a text is cut wherever a piece of evidence begins or ends, and every
segment lists what covers it: joined, the segments are the document again, character for character. Offsets are Unicode
code points into the original. Knows neither HTML nor languages nor how a code was decided upon.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from jointcoder.records import Assertion, Document, Encounter, Kind, Section, Span
from jointcoder.text.sections import find_sections, section_kind

UNTYPED = "body"
"""The canonical name of text that no heading claims."""


@dataclass(frozen=True, slots=True)
class Place:
    """One piece of evidence of one code. ``id``: unique on the page; ``item``: the code's row; ``number`` counts the
    code's evidence from 1. ``assertion`` is what the text says of it."""

    id: str
    item: str
    number: int
    span: Span
    code: str
    name: str
    kind: Kind
    assertion: Assertion = Assertion.PRESENT
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text under the same evidence throughout, which is ``places`` (the shortest first; none: plain text).

    ``begins``: the places that begin here. Text between ``start`` and ``end`` of the document, never empty.
    """

    start: int
    end: int
    text: str
    places: tuple[Place, ...] = ()
    begins: tuple[Place, ...] = ()

    @property
    def assertion(self) -> Assertion:
        """What the text says here: of several pieces of evidence, the shortest one's that says anything unusual."""
        said = (place.assertion for place in self.places)
        return next((one for one in said if one is not Assertion.PRESENT), Assertion.PRESENT)

    @property
    def dropped(self) -> bool:
        """Whether all codes that this is evidence of were rejected or replaced."""
        return bool(self.places) and all(place.dropped for place in self.places)


@dataclass(frozen=True, slots=True)
class Part:
    """A section. ``name`` is canonical, ``kind`` what a finding in it is worth; ``evidence``: pieces that begin."""

    name: str
    kind: str
    heading: str
    start: int
    end: int
    segments: tuple[Segment, ...]
    evidence: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """A document. ``scanned``: its pages can be shown with the evidence on them, if their pictures are kept."""

    index: int
    document: Document
    parts: tuple[Part, ...]

    @property
    def scanned(self) -> bool:
        return bool(self.document.pages)


def sheets(encounter: Encounter, sections: Sequence[Section], places: Iterable[Place]) -> tuple[Sheet, ...]:
    """The documents of an encounter, in order. A place whose span does not reproduce its quote is left out: an offset
    that lies is worse than none."""
    of_document: dict[int, list[Place]] = {}
    for place in places:
        if place.span.start < place.span.end and place.span.reproduces(encounter):
            of_document.setdefault(place.span.document, []).append(place)
    found = []
    for index, document in enumerate(encounter.documents):
        here = of_document.get(index, [])
        cuts = covered(document.text, [section for section in sections if section.document == index])
        pieces = segments(document.text, here, at=[start for _, start, _ in cuts])
        parts = []
        for section, start, end in cuts:
            inside = tuple(one for one in pieces if start <= one.start < end)
            name = section.name if section else UNTYPED
            heading = section.heading if section else ""
            begun = sum(len(one.begins) for one in inside)
            parts.append(Part(name, section_kind(name), heading, start, end, inside, begun))
        found.append(Sheet(index, document, tuple(parts)))
    return tuple(found)


def sections_of(encounter: Encounter, language: str) -> tuple[Section, ...]:
    """The encounter's own sections, else those that the headings give."""
    return encounter.sections or find_sections(encounter.documents, language)


def covered(text: str, sections: Sequence[Section]) -> list[tuple[Section | None, int, int]]:
    """Sections made to cover ``text`` once from end to end: gaps are None, of two that overlap the later begins where
    the earlier ends (what came with a record need not be tidy)."""
    found: list[tuple[Section | None, int, int]] = []
    at = 0
    for section in sorted(sections, key=lambda one: (one.start, one.end)):
        start, end = max(section.start, at), min(section.end, len(text))
        if start >= end:
            continue
        if at < start:
            found.append((None, at, start))
        found.append((section, start, end))
        at = end
    if at < len(text):
        found.append((None, at, len(text)))
    return found


def segments(text: str, places: Sequence[Place], *, at: Iterable[int] = ()) -> tuple[Segment, ...]:
    """``text`` cut where a place begins or ends, and at the offsets ``at``. Empty for an empty text."""
    bounds = {0, len(text), *at}
    starting: dict[int, list[Place]] = {}
    for place in places:
        bounds |= {place.span.start, place.span.end}
        starting.setdefault(place.span.start, []).append(place)
    cuts = sorted(bound for bound in bounds if 0 <= bound <= len(text))
    open_: list[Place] = []
    found = []
    for start, end in pairwise(cuts):
        begins = tuple(starting.get(start, ()))
        open_ = sorted(
            [*(place for place in open_ if place.span.end > start), *begins],
            key=lambda place: (place.span.end - place.span.start, place.id),
        )
        found.append(Segment(start, end, text[start:end], tuple(open_), begins))
    return tuple(found)


def shown(text: str) -> str:
    """``text`` as a page can hold it, one character for one: what HTML knows no way to write becomes U+FFFD."""
    return text.translate(_UNWRITABLE) if any(_unwritable(character) for character in text) else text


def _unwritable(character: str) -> bool:
    return character == "\0" or "\ud800" <= character <= "\udfff"


_UNWRITABLE = {0: "\ufffd", **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}
