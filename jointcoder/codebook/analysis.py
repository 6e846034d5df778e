"""Wordings → comparable words. The same analysis serves the index (at build time) and the query.

A wording becomes content words (stemmed, spelling and synonyms levelled), a side (left, right, both) and marks
("other …", "… unspecified"). What is a stop word, a synonym or a side is data: `data/<language>/*`. The tables used
for the index travel in the artefact, so that index and query can never disagree. This module knows no codes.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from threading import Lock
from typing import Any

from jointcoder.codebook.han import simplified

LEFT, RIGHT, BOTH = 1, 2, 4
OTHER, UNSPECIFIED, PART = 1, 2, 4
SIDES = {"left": LEFT, "right": RIGHT, "both": BOTH, "bilateral": BOTH}
MARKS = {"other": OTHER, "unspecified": UNSPECIFIED}

SINGLE = 1.3  # weight of a single Chinese character; words of a segmenter beside them lost recall on every task tried

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_HAN = re.compile(r"[㐀-鿿豈-﫿]")
_PIECE = re.compile(r"[㐀-鿿豈-﫿]+|[^\W_㐀-鿿豈-﫿]+")
_STRETCH = re.compile(r"[^\W_]+")
_BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_BREAKS = re.compile(r"[.;:!?,\n\t，。；：、！？|•]")
_NUMBER_POINT = re.compile(r"(?<=\d)[.,](?=\d)")
TABLES = (
    "beginnings",
    "bridge",
    "connectives",
    "endings",
    "stop",
    "free",
    "phrases",
    "procedures",
    "sides",
    "marks",
    "weights",
    "abbreviations",
    "ordinary",
)
Raw = tuple[str, int, int, bool]
"""A levelled word, its place in the text, and whether it stands in brackets."""


@dataclass(frozen=True, slots=True)
class Word:
    """One content word with its place in the text it came from; ``aside`` when it stood in brackets."""

    text: str
    start: int
    end: int
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Analysis:
    """Content words in order, the side named (bits of LEFT, RIGHT, BOTH) and the marks (OTHER, UNSPECIFIED)."""

    words: tuple[Word, ...] = ()
    side: int = 0
    marks: int = 0
    sides: tuple[tuple[int, int, int], ...] = ()  # where sides are named: start, end, bit

    @property
    def key(self) -> str:
        """The words in order, as one text: equal keys are equal wordings."""
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True)
class Tables:
    """The word tables of one language: name → rows (tuples of columns)."""

    language: str
    rows: Mapping[str, tuple[tuple[str, ...], ...]] = field(repr=False)

    @classmethod
    def load(cls, language: str, usage: str = "") -> Tables:
        """The tables shipped with the program; an absent table is empty. ``usage``: a folder below the language's,
        whose rows are added (``taiwan``: names as they are worded there)."""
        found: dict[str, tuple[tuple[str, ...], ...]] = {}
        for place in ((language,), (language, usage)) if usage else ((language,),):
            folder = resources.files("jointcoder.codebook").joinpath("data", *place)
            for name in TABLES:
                for suffix in ("tsv", "txt"):
                    file = folder.joinpath(f"{name}.{suffix}")
                    if file.is_file():
                        found[name] = (*found.get(name, ()), *_rows(file.read_text("utf-8")))
        return cls(language, found)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tables:
        rows = {name: tuple(tuple(row) for row in table) for name, table in data["rows"].items()}
        return cls(data["language"], rows)

    def to_json(self) -> dict[str, Any]:
        return {"language": self.language, "rows": {name: list(map(list, t)) for name, t in self.rows.items()}}

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def get(self, name: str) -> tuple[tuple[str, ...], ...]:
        return self.rows.get(name, ())


def _rows(text: str) -> Iterator[tuple[str, ...]]:
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            yield tuple(column.strip() for column in line.split("\t"))


def level(text: str) -> str:
    """Case, width and accents levelled (ß → ss); the length may change."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(ch for ch in decomposed if not unicodedata.combining(ch))


@lru_cache(maxsize=65536)
def _plain(word: str) -> str:
    """One word, levelled, without a possessive ending."""
    return level(word).replace("’", "'").removesuffix("'s").replace("'", "")


def language_of(text: str) -> str:
    """``zh`` when the text holds Chinese characters, else ``en``: enough to choose an index."""
    return "zh" if _HAN.search(text) else "en"


class Analyser:
    """Base: :meth:`analyse` for wordings and queries. Instances are immutable and may be shared by threads."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.weights = {row[0]: float(row[1]) for row in tables.get("weights")}

    def analyse(self, text: str, *, query: bool = False, procedures: bool = False) -> Analysis:
        raise NotImplementedError

    def runs(self, text: str, *, procedures: bool = False) -> Iterator[Analysis]:
        """Running text as stretches without a break, for dictionary matching; offsets into ``text``."""
        raise NotImplementedError

    def weight(self, word: str) -> float:
        return self.weights.get(word, 1.0)


class WordAnalyser(Analyser):
    """Languages written with blanks: stemmed words, phrases replaced by their standard wording."""

    def __init__(self, tables: Tables, stemmer: str) -> None:
        super().__init__(tables)
        self._stem = _stemmer(stemmer)
        self._stop = frozenset(self.plain(row[0]) for row in tables.get("stop"))
        self._free = self._phrase_table((row[0], "") for row in tables.get("free"))
        self._phrases = self._phrase_table((row[0], row[1]) for row in tables.get("phrases"))
        more = tuple((row[0], row[1]) for row in tables.get("procedures"))
        self._procedure_phrases = self._phrase_table((*((row[0], row[1]) for row in tables.get("phrases")), *more))
        self._heads = frozenset(words[0] for table in (self._phrases, self._free) for words in table if words)
        self._procedure_heads = self._heads | {words[0] for words in self._procedure_phrases if words}
        self._sides = {self.plain(row[0]): SIDES[row[1]] for row in tables.get("sides")}
        self._marks = {self.plain(row[0]): MARKS[row[1]] for row in tables.get("marks")}
        self._abbreviations = {row[0]: row[1] for row in tables.get("abbreviations")}
        self.weights = {self._stem(level(row[0])): float(row[1]) for row in tables.get("weights")}

    @staticmethod
    def plain(text: str) -> str:
        return " ".join(level(m.group()) for m in _WORD.finditer(text))

    def _phrase_table(self, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, ...], tuple[str, ...]]:
        return {tuple(self._stem(w) for w in self.plain(a).split()): tuple(self.plain(b).split()) for a, b in pairs}

    def analyse(self, text: str, *, query: bool = False, procedures: bool = False) -> Analysis:
        return self.finish(self.raw_words(text, "loosely" if query else "never"), procedures)

    def runs(self, text: str, *, procedures: bool = False) -> Iterator[Analysis]:
        for words in self.raw_runs(text, "exactly"):
            yield self.finish(words, procedures)

    def raw_words(self, text: str, expand: str) -> list[Raw]:
        """The levelled words of a wording; ``expand``: abbreviations ``never``, ``exactly`` as listed, ``loosely``."""
        return self._words(text, 0, [m.span() for m in _BRACKETED.finditer(text)], expand)

    def raw_runs(self, text: str, expand: str) -> Iterator[list[Raw]]:
        """The levelled words of each stretch of running text."""
        at = 0
        stops = [m.start() for m in _BREAKS.finditer(text) if not _inside_number(text, m.start())]
        for stop in (*stops, len(text)):
            if stop > at and (words := self._words(text[at:stop], at, (), expand)):
                yield words
            at = stop + 1

    def _words(self, text: str, offset: int, asides: Sequence[tuple[int, int]], expand: str) -> list[Raw]:
        words: list[Raw] = []
        for m in _WORD.finditer(text):
            aside = bool(asides) and any(a <= m.start() < b for a, b in asides)
            start, end, raw = m.start() + offset, m.end() + offset, m.group()
            expansion = None if expand == "never" else self._expansion(raw, expand)
            for word in _WORD.findall(expansion) if expansion else (raw,):
                words.append((_plain(word), start, end, aside))
        return words

    def _expansion(self, raw: str, expand: str) -> str | None:
        """Abbreviations as written in prose; in queries also in small letters (``copd``), three letters or more."""
        found = self._abbreviations.get(raw)
        if found is None and expand == "loosely" and len(raw) > 2 and raw.islower():
            found = self._abbreviations.get(raw.upper())
        return found

    def finish(self, words: list[Raw], procedures: bool) -> Analysis:
        """Levelled words → content words: phrases standardised, free and stop words dropped, stemmed."""
        stems = [self._stem(w[0]) for w in words]
        phrases = self._procedure_phrases if procedures else self._phrases
        heads = self._procedure_heads if procedures else self._heads
        kept: list[Word] = []
        sides: list[tuple[int, int, int]] = []
        marks = at = 0
        while at < len(words):
            begins = stems[at] in heads  # most words begin no phrase
            length, target = _longest(stems, at, phrases) if begins else (0, ())
            if length:
                start, end, aside = words[at][1], words[at + length - 1][2], words[at][3]
                parts = [(t, start, end, aside) for t in target]
            else:
                free = _longest(stems, at, self._free)[0] if begins else 0
                if free:
                    for plain, *_ in words[at : at + free]:
                        marks |= self._marks.get(plain, 0)
                    at += free
                    continue
                length, parts = 1, [words[at]]
            for plain, start, end, aside in parts:
                if plain in self._sides:
                    sides.append((start, end, self._sides[plain]))
                    continue
                marks |= self._marks.get(plain, 0)
                if plain not in self._stop:
                    kept.append(Word(self._stem(plain), start, end, aside))
            at += length
        return Analysis(tuple(kept), _union(sides), marks, tuple(sides))


class HanAnalyser(Analyser):
    """Chinese: single characters and pairs; runs of letters and digits are words of their own. Traditional characters
    are read as simplified ones."""

    def __init__(self, tables: Tables) -> None:
        super().__init__(tables)
        phrases = _followed([(row[0], row[1]) for row in tables.get("phrases")])
        self._replace = _replacer(phrases)
        self._replace_procedures = _replacer([*phrases, *((r[0], r[1]) for r in tables.get("procedures"))])
        self._drop = _replacer([(row[0], "") for row in (*tables.get("free"), *tables.get("stop"))])
        self._sides = tuple((row[0], SIDES[row[1]]) for row in tables.get("sides"))
        self._marks = tuple((row[0], MARKS[row[1]]) for row in tables.get("marks"))
        self._strip_sides = _replacer([(row[0], "") for row in tables.get("sides")])
        self._abbreviations = {row[0].casefold(): row[1] for row in tables.get("abbreviations")}
        self._side_of = dict(self._sides)
        cues = (*tables.get("free"), *tables.get("stop"), *tables.get("sides"))
        dropped = {row[0]: "" for row in cues}
        words = {written: self._drop(standard) for written, standard in phrases}
        operations = {**words, **{row[0]: row[1] for row in tables.get("procedures")}}
        self._standard = tuple((_any_of({**dropped, **table}), table) for table in (words, operations))

    def analyse(self, text: str, *, query: bool = False, procedures: bool = False) -> Analysis:
        plain = simplified(unicodedata.normalize("NFKC", text).casefold())
        if query:
            plain = _PIECE.sub(lambda m: self._abbreviations.get(m.group(), m.group()), plain)
        plain = (self._replace_procedures if procedures else self._replace)(plain)
        side = marks = 0
        for cue, bit in self._marks:
            marks |= bit if cue in plain else 0
        rest = plain
        for cue, bit in self._sides:
            if cue in rest:
                side |= bit
                rest = rest.replace(cue, " ")
        plain = self._drop(self._strip_sides(plain))
        words: list[Word] = []
        pieces = [m.group() for m in _PIECE.finditer(plain)]
        for piece in pieces:
            if _HAN.match(piece):
                words += [Word(ch, 0, 0) for ch in piece]
                words += [Word(piece[i : i + 2], 0, 0) for i in range(len(piece) - 1)]
            else:
                words.append(Word(piece, 0, 0))
        return _HanAnalysis(tuple(words), side, marks, (), "".join(pieces))

    def runs(self, text: str, *, procedures: bool = False) -> Iterator[Analysis]:
        """Stretches without punctuation; every word is one character of the standard wording, with its place."""
        cues, standard = self._standard[procedures]
        for m in _STRETCH.finditer(text):
            chars = [
                (plain, m.start() + i, m.start() + i + 1)
                for i, raw in enumerate(m.group())
                for plain in simplified(unicodedata.normalize("NFKC", raw).casefold())
            ]
            line = "".join(ch for ch, *_ in chars)
            words: list[Word] = []
            sides: list[tuple[int, int, int]] = []
            at = 0
            for found in (*cues.finditer(line), None):
                upto = len(line) if found is None else found.start()
                words += [Word(*chars[i]) for i in range(at, upto)]
                if found is not None:
                    start, end = chars[found.start()][1], chars[found.end() - 1][2]
                    if bit := self._side_of.get(found.group()):
                        sides.append((start, end, bit))
                    words += [Word(ch, start, end) for ch in standard.get(found.group(), "")]
                    at = found.end()
            yield Analysis(tuple(words), _union(sides), 0, tuple(sides))

    def weight(self, word: str) -> float:
        base = SINGLE if len(word) == 1 else 1.0
        return self.weights.get(word, base)


@dataclass(frozen=True, slots=True)
class _HanAnalysis(Analysis):
    joined: str = ""

    @property
    def key(self) -> str:
        return self.joined


def analyser(tables: Tables) -> Analyser:
    """The analyser for the language of ``tables``."""
    if tables.language == "zh":
        return HanAnalyser(tables)
    return WordAnalyser(tables, {"es": "spanish"}.get(tables.language, "english"))


def without_sides(engine: Analyser, text: str, *, procedures: bool = False) -> str:
    """The text without its words for a side."""
    spans = {(start, end) for run in engine.runs(text, procedures=procedures) for start, end, _ in run.sides}
    for start, end in sorted(spans, reverse=True):
        text = f"{text[:start]} {text[end:]}"
    return " ".join(text.split())


def _stemmer(algorithm: str) -> Callable[[str], str]:
    import Stemmer

    engine = Stemmer.Stemmer(algorithm, 0)

    lock = Lock()  # PyStemmer objects must not be used by two threads at once

    @lru_cache(maxsize=65536)
    def stem(word: str) -> str:
        if word.isdigit():
            return word
        with lock:
            return str(engine.stemWord(word))

    return stem


def _union(sides: Iterable[tuple[int, int, int]]) -> int:
    union = 0
    for *_, bit in sides:
        union |= bit
    return union


def _longest(
    stems: list[str], at: int, table: Mapping[tuple[str, ...], tuple[str, ...]], limit: int = 5
) -> tuple[int, tuple[str, ...]]:
    for length in range(min(limit, len(stems) - at), 0, -1):
        target = table.get(tuple(stems[at : at + length]))
        if target is not None:
            return length, target
    return 0, ()


def _followed(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs with standard wordings that a later table words otherwise worded so too: one pass then does for all."""
    replace = _replacer(list(pairs))
    return [(written, standard if written in standard else replace(standard)) for written, standard in pairs]


def _replacer(pairs: list[tuple[str, str]]) -> Callable[[str], str]:
    table = dict(pairs)
    pattern = _any_of(table)
    return lambda text: pattern.sub(lambda m: table[m.group()], text)


def _any_of(cues: Iterable[str]) -> re.Pattern[str]:
    """Matches the longest cue; nothing when there are none."""
    return re.compile("|".join(re.escape(cue) for cue in sorted(cues, key=len, reverse=True)) or "(?!)")


def _inside_number(text: str, at: int) -> bool:
    return 0 < at < len(text) - 1 and bool(_NUMBER_POINT.match(text, at))
