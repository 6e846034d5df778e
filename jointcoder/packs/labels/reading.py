"""An encounter → runs of levelled words with their places: what all of the labels part reads instead of the text.

    reader = Reader(Tables.load("zh"))
    reading = reader.read(encounter)
    reading.runs[0].words[0].text, reading.runs[0].kind

A run is a stretch of text without punctuation; a word is a stem, in Chinese a character, levelled by the tables of the
code base (synonyms, spelling). Every word keeps its place in the original. A record that holds nothing but lists of
short entries ("drugs: a, b, c"), as an extraction leaves behind, is read as a set of entries: :attr:`Reading.listed`.
Knows nothing of codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jointcoder.codebook.analysis import Tables, Word, analyser
from jointcoder.records import Assertion, Encounter, Span
from jointcoder.text.resources import LANGUAGES
from jointcoder.text.sections import find_sections, section_kind

LIST_ENTRIES = 12  # a record of fewer is too short to tell a list from a note
LONGEST_ENTRY = 24  # characters; sentences are longer
LISTED_SHARE = 0.9  # of a record's entries that are so short
_PARTS = re.compile(r"[,，、;；\n\r]")
_LABEL = re.compile(r"^[^:：,，]{1,24}[:：]\s*")
Place = tuple[int, int, int]
"""A run, the first and the last word of a stretch."""
_SENTENCE_END = re.compile(r"[。！？]|[.!?](?:\s|$)")


@dataclass(frozen=True, slots=True)
class Run:
    """Words between two marks, the section they stand in and what that section is worth (``section_kind``)."""

    document: int
    section: str
    kind: str
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Reading:
    """The runs of an encounter in order. ``listed``: the record is a set of entries, not running text."""

    encounter: Encounter
    runs: tuple[Run, ...]
    listed: bool = False

    def span(self, run: int, first: int, last: int) -> Span:
        """The text from word ``first`` to word ``last`` of a run, both included."""
        words = self.runs[run].words
        start, end = words[first].start, max(word.end for word in words[first : last + 1])
        document = self.runs[run].document
        quote = self.encounter.documents[document].text[start:end]
        return Span(document=document, start=start, end=end, quote=quote)


class Reader:
    """Reads encounters of one language with one set of word tables. Immutable; safe to share between threads."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.language = tables.language
        # left and right tell codes apart: they stay words, except in Chinese, where they grow onto every other word
        rows = tables.rows if tables.language == "zh" else {k: v for k, v in tables.rows.items() if k != "sides"}
        self._engine = analyser(Tables(tables.language, rows))

    @property
    def glue(self) -> str:
        """What stands between two words of a key."""
        return "" if self.language == "zh" else " "

    def read(self, encounter: Encounter) -> Reading:
        """The runs of all documents."""
        if is_listed(encounter):
            return Reading(encounter, tuple(self._entries(encounter)), listed=True)
        return Reading(encounter, tuple(self._runs(encounter)))

    def words_of(self, wording: str) -> list[tuple[str, ...]]:
        """The runs of a wording, as words."""
        return [tuple(w.text for w in run.words) for run in self._engine.runs(wording) if run.words]

    def _runs(self, encounter: Encounter) -> Iterator[Run]:
        sections = encounter.sections or find_sections(encounter.documents, self.language_of(encounter))
        for section in sections:
            text = encounter.documents[section.document].text
            begin = section.start
            if section.heading and text.startswith(section.heading, begin):  # else the heading is the field's title
                begin += len(section.heading)
            kind = section_kind(section.name)
            for run in self._engine.runs(text[begin : section.end]):
                if run.words:
                    words = tuple(Word(w.text, w.start + begin, w.end + begin, w.aside) for w in run.words)
                    yield Run(section.document, section.name, kind, words)

    def language_of(self, encounter: Encounter) -> str:
        """The language whose headings are sought: this reader's, where the program has headings in it."""
        return self.language if self.language in LANGUAGES else "en"

    def _entries(self, encounter: Encounter) -> Iterator[Run]:
        for index, document in enumerate(encounter.documents):
            for start, end in entries(document.text):
                for run in self._engine.runs(document.text[start:end]):
                    if run.words:
                        words = tuple(Word(w.text, w.start + start, w.end + start, w.aside) for w in run.words)
                        yield Run(index, "list", "list", words)


def affirmed(reading: Reading, places: Sequence[Place], language: str) -> list[bool]:
    """Whether the text affirms what stands at each place: neither denies it nor says it of relatives.

    Where the program has no cues in the language, everything is taken as affirmed.
    """
    from jointcoder.text.assertion import assert_spans

    holds = [True] * len(places)
    if language not in LANGUAGES or reading.listed:
        return holds
    by_document: dict[int, list[int]] = {}
    for number, (run, _, _) in enumerate(places):
        by_document.setdefault(reading.runs[run].document, []).append(number)
    for document, numbers in by_document.items():
        spans = [reading.span(*places[number]) for number in numbers]
        told = assert_spans(
            reading.encounter.documents[document].text,
            [(span.start, span.end) for span in spans],
            lang=language,
            sections=[reading.runs[places[number][0]].section for number in numbers],
        )
        for number, assertion in zip(numbers, told, strict=True):
            holds[number] = assertion not in (Assertion.NEGATED, Assertion.FAMILY)
    return holds


def is_listed(encounter: Encounter) -> bool:
    """Whether the record holds nothing but short entries between commas."""
    texts = [document.text for document in encounter.documents]
    if sum(len(_SENTENCE_END.findall(t)) for t in texts) > 0.1 * sum(len(_PARTS.findall(t)) for t in texts):
        return False
    found = [end - start for text in texts for start, end in entries(text)]
    return len(found) >= LIST_ENTRIES and sum(n <= LONGEST_ENTRY for n in found) >= LISTED_SHARE * len(found)


def entries(text: str) -> Iterator[tuple[int, int]]:
    """Where the entries of a list stand; the label that opens a line ("drugs: …") belongs to none."""
    place = 0
    for line in text.splitlines(keepends=True):
        label = _LABEL.match(line)
        at = label.end() if label else 0
        for part in (*_PARTS.finditer(line, at), None):
            end = part.start() if part else len(line)
            bare = line[at:end]
            left, right = len(bare) - len(bare.lstrip()), len(bare) - len(bare.rstrip())
            if at + left < end - right:
                yield place + at + left, place + end - right
            if part:
                at = part.end()
        place += len(line)
