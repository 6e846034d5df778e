"""An encounter → levelled words with their places: what all of this part reads instead of the text.

    note = Reader("es").read(encounter)
    note.words[i], note.stems[i], note.span(i, j)      # j inclusive

Words of all documents stand in one row; a sentence never spans two documents. Every word keeps its original offsets,
so that whatever is found here is quoted from the text as it came in. Languages differ by their segmenter, their
stemmer (PyStemmer's algorithm of that language, none for Chinese) and their list of stop words; no word of any language
is here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from threading import Lock
from typing import Any

from jointcoder.codebook.analysis import Tables, level
from jointcoder.packs.mentions.meanings import CAPITALS, SHORT, Form, Meanings, Unit
from jointcoder.records import Encounter, Span
from jointcoder.text.resources import known_language
from jointcoder.text.segment import sentences, words

STEMMERS = {"en": "english", "es": "spanish"}
PREFIX = 5  # letters of a stem that the loosest match compares
NUMBER = "#"
SMALL = "a"
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class Note:
    """The words of one encounter in order; all lists have one entry a word, ``sentences`` hold ``[first, last)``."""

    encounter: Encounter
    language: str
    words: tuple[str, ...]  # levelled: small letters, no accents
    stems: tuple[str, ...]
    prefixes: tuple[str, ...]
    content: tuple[bool, ...]  # not a stop word
    shapes: tuple[str, ...]
    gaps: tuple[str, ...]  # the marks between this word and the one before
    sentence: tuple[int, ...]
    document: tuple[int, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    sentences: tuple[tuple[int, int], ...]
    meanings: Meanings = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.words)

    def span(self, first: int, last: int) -> Span:
        """The stretch of text from word ``first`` to word ``last``, both included; they lie in one document."""
        document, start, end = self.document[first], self.starts[first], self.ends[last]
        quote = self.encounter.documents[document].text[start:end]
        return Span(document=document, start=start, end=end, quote=quote)

    def pieces(self, chosen: tuple[int, ...]) -> tuple[Span, ...]:
        """The spans of words that need not be neighbours: runs joined over stop words."""
        found: list[Span] = []
        run = [chosen[0], chosen[0]]
        for word in chosen[1:]:
            joined = all(not self.content[i] for i in range(run[1] + 1, word))
            if joined and self.sentence[word] == self.sentence[run[1]]:
                run[1] = word
            else:
                found.append(self.span(*run))
                run = [word, word]
        return (*found, self.span(*run))

    def units(self, chosen: Sequence[int]) -> list[Unit]:
        """The content words among ``chosen`` (of one sentence, in order), those that mean something together as one."""
        return self.meanings.units(self.stems, self._capitals, [i for i in chosen if self.content[i]])

    def meant(self, chosen: Sequence[int]) -> str:
        """The chosen words, with one form in place of all wordings that mean the same."""
        named = {word: unit for unit in self.units(chosen) if unit.known for word in unit.words}
        parts = []
        for word in chosen:
            unit = named.get(word)
            if unit is None:
                parts.append(self.words[word])
            elif word == unit.words[0]:
                parts.append(unit.form)
        return " ".join(parts)

    @cached_property
    def _capitals(self) -> tuple[str, ...]:
        """Words that may be an abbreviation: short ones in small letters are none."""
        return tuple(
            "" if len(word) <= SHORT and shape == SMALL else word
            for word, shape in zip(self.words, self.shapes, strict=True)
        )

    def inside(self, document: int, start: int, end: int) -> tuple[int, ...]:
        """The words that overlap ``[start, end)`` of a document."""
        from bisect import bisect_left

        low = bisect_left(self.document, document)
        high = bisect_left(self.document, document + 1)
        found = []
        at = bisect_left(self.ends, start + 1, low, high)
        while at < high and self.starts[at] < end:
            found.append(at)
            at += 1
        return tuple(found)


class Reader:
    """Reads encounters of one language. Safe to share between threads. InputError JC105 for an unknown language."""

    def __init__(self, language: str) -> None:
        self.language = known_language(language)
        rows = Tables.load(language).get("stop")
        self._stop = frozenset(part for row in rows for part in level(row[0]).split())
        self._engine = _engine(STEMMERS.get(language))
        self._lock = Lock()
        self._meanings = Meanings.of(self.language, self._forms)

    def read(self, encounter: Encounter) -> Note:
        """The words of all documents."""
        columns: list[tuple[Any, ...]] = []
        bounds: list[tuple[int, int]] = []
        for number, document in enumerate(encounter.documents):
            text = document.text
            for start, end in sentences(text, self.language):
                first, before = len(columns), start
                for word in words(text[start:end], self.language):
                    begin, stop = start + word.start, start + word.end
                    gap = "".join(text[before:begin].split())[-2:]
                    columns.append((word.text, gap, len(bounds), number, begin, stop))
                    before = stop
                if len(columns) > first:
                    bounds.append((first, len(columns)))
        parts: list[tuple[Any, ...]] = list(zip(*columns, strict=True)) if columns else [()] * 6
        plain = tuple(map(_plain, parts[0]))
        stems = tuple(map(self._stem, parts[0]))
        return Note(
            encounter=encounter,
            language=self.language,
            words=plain,
            stems=stems,
            prefixes=tuple(stem if _HAN.match(stem) else stem[:PREFIX] for stem in stems),
            content=tuple(word not in self._stop for word in plain),
            shapes=tuple(map(_shape, parts[0])),
            gaps=parts[1],
            sentence=parts[2],
            document=parts[3],
            starts=parts[4],
            ends=parts[5],
            sentences=tuple(bounds),
            meanings=self._meanings,
        )

    def read_text(self, text: str) -> Note:
        """A wording as if it were a note."""
        return self.read(Encounter.from_text(text, id="wording"))

    def _forms(self, wording: str) -> Form:
        """A wording of a table as a note would have it."""
        parts = [word.text for word in words(wording, self.language)]
        return tuple(
            CAPITALS + _plain(part) if part.isupper() else self._stem(part)
            for part in parts
            if _plain(part) not in self._stop
        )

    def _stem(self, word: str) -> str:
        return self._stemmed(word.lower())

    @lru_cache(maxsize=1 << 16)  # noqa: B019  (a reader lives as long as the pack)
    def _stemmed(self, word: str) -> str:
        if self._engine is None or _DIGIT.search(word):
            return _plain(word)
        with self._lock:
            return level(str(self._engine.stemWord(word)))


@lru_cache(maxsize=1 << 16)
def _plain(word: str) -> str:
    return level(word)


@lru_cache(maxsize=1 << 16)
def _shape(word: str) -> str:
    """A word's make: capitals (``A``: all, ``Aa``: the first), digits, Han."""
    if word.isdigit():
        return NUMBER + str(min(len(word), 4))
    if _DIGIT.search(word):
        return "a" + NUMBER
    if _HAN.match(word):
        return "han" + str(min(len(word), 4))
    if word.isupper():
        return "A" if len(word) > 1 else "A1"
    return "Aa" if word[0].isupper() else SMALL


def _engine(algorithm: str | None) -> Any:
    if algorithm is None:
        return None
    import Stemmer

    return Stemmer.Stemmer(algorithm)
