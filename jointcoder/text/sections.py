"""Documents → typed sections, each document covered from end to end.

Headings are data (``data/<language>/sections.toml``: canonical name → spellings). A document whose title is itself
a section heading (a field of a structured record) is one section; in any other, headings are sought at the start
of lines and, where their writing leaves no doubt, inside them. Text that no heading claims is ``body``. Which
section a finding may be coded from is not decided here: :func:`section_kind` only says what a section is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType

from jointcoder.records import Document, Section
from jointcoder.text.han_headings import han_headings
from jointcoder.text.headings import Heading, key, latin_headings, spellings
from jointcoder.text.resources import LANGUAGES, known_language, toml

BODY = "body"
_LAID_OUT = 3  # so many headings at the start of lines show a note to be laid out by lines


def section_kind(name: str) -> str:
    """What a finding in the section is worth: ``definitive``, ``narrative``, ``exam``, ``history``, ``family`` or
    ``orders`` (see ``data/sections.toml``). Names that are not canonical count as narrative."""
    return _kinds().get(name, "narrative")


@cache
def _kinds() -> Mapping[str, str]:
    kinds = toml("sections")["kinds"]
    return MappingProxyType({name: kind for kind, names in kinds.items() for name in names})


def canonical_name(heading: str) -> str | None:
    """The canonical name of a heading in any of the languages, or None. ``Past Medical History:`` → past_history."""
    wanted = key(heading)
    if wanted in _canonical_keys():
        return _canonical_keys()[wanted]
    for language in LANGUAGES:
        if wanted in spellings(language):
            return spellings(language)[wanted]
    return None


@cache
def _canonical_keys() -> Mapping[str, str]:
    return MappingProxyType({key(name): name for name in _kinds()})


def find_sections(documents: Sequence[Document], language: str) -> tuple[Section, ...]:
    """The sections of all documents, in order: no gaps, no overlaps; an empty document has none.

    ``heading`` is what is written at ``start``, from the first character of the section up to and with its colon, so
    that the content begins at ``start + len(heading)``; it is the title where a title types the whole document.
    Raises InputError JC105 for an unknown language.
    """
    known_language(language)
    sections: list[Section] = []
    for index, document in enumerate(documents):
        if not document.text:
            continue
        named = canonical_name(document.title) if document.title.strip() else None
        if named is not None:
            whole = Section(name=named, heading=document.title, document=index, start=0, end=len(document.text))
            sections.append(whole)
            continue
        sections.extend(_cover(index, document.text, list(_headings(document.text, language))))
    return tuple(sections)


def _cover(document: int, text: str, headings: Sequence[Heading]) -> Iterator[Section]:
    first = headings[0].start if headings else len(text)
    if first:
        yield Section(name=BODY, document=document, start=0, end=first)
    ends = [*(heading.start for heading in headings), len(text)][1:]
    for heading, end in zip(headings, ends, strict=True):
        written = text[heading.start : heading.end]
        yield Section(name=heading.name, heading=written, document=document, start=heading.start, end=end)


def _headings(text: str, language: str) -> Iterator[Heading]:
    rules = han_headings if language == "zh" else latin_headings
    candidates = sorted(rules(text, language), key=lambda h: (h.start, -h.end))
    by_lines = sum(not found.inline for found in candidates) >= _LAID_OUT
    taken = 0
    for found in candidates:
        if by_lines and found.inline and section_kind(found.name) == "exam":
            continue  # "…, ECG: sinus rhythm, given aspirin …" is no section of a note that has its headings on lines
        if found.start >= taken:
            taken = found.end
            yield found
