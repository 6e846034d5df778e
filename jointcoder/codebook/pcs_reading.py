"""An operation as it is worded → the words of ICD-10-PCS that it holds: operation, body part, approach, device,
qualifier.

    lexicon = lexicon_of("zh")
    reading = lexicon.read("腹腔镜左肾部分切除术")
    [(token.text, token.operation) for token in reading.tokens]

Chinese names an operation by joining approach, side, body part, lesion and operation without blanks. The longest word
of the tables that begins at a place is taken, from left to right; what no table knows stays unread, and counts against
whatever is made of the reading. The tables are data (`data/<language>/pcs_*`); a language without them has no lexicon.
Which codes a reading means: :mod:`jointcoder.codebook.pcs_coding`. Knows no code book.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

from jointcoder.codebook.analysis import SIDES
from jointcoder.codebook.han import simplified
from jointcoder.codebook.pcs_axes import words_of_label

SITE, APPROACH = 4, 5
NAMED = 3  # the weight of a word that names the operation; 2 a device implies it, 1 it is said of many
_READ = re.compile(r"[^\W_]")
_ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_ANY = "."

Labels = tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """What a word says of the operation: its ``weight`` (see :data:`NAMED`), beginnings or patterns of codes in order
    of likelihood, seven characters each (``.``: any), and those it means of a lesion or a part."""

    weight: int
    patterns: tuple[str, ...]
    of_lesion: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a word of the tables means. ``labels``: position → label words of the tables, the likelier first;
    ``implied``: the body part that an approach implies where no other is named; ``side``: bits; ``lesion``: what is cut
    out; ``idle``: adds nothing to a code; ``closing``: a word that closes the name of an operation (…术);
    ``condition``: a word that tells conditions as well as operations, unless a closing one follows."""

    operation: Operation | None = None
    labels: Mapping[int, Labels] = field(default_factory=dict)
    implied: Labels = ()
    side: int = 0
    lesion: bool = False
    idle: bool = False
    closing: bool = False
    condition: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the wording: its place in the text read, and what it means."""

    start: int
    end: int
    text: str
    meaning: Meaning

    @property
    def operation(self) -> Operation | None:
        return self.meaning.operation


@dataclass(frozen=True)
class Reading:
    """The words of a wording in order; ``unread``: how many letters and digits no table knows (those in brackets
    aside)."""

    tokens: tuple[Token, ...]
    unread: int

    @property
    def side(self) -> int:
        """The sides named, as bits."""
        union = 0
        for token in self.tokens:
            union |= token.meaning.side
        return union

    @property
    def lesion(self) -> bool:
        """Whether the wording names what is cut out rather than the whole organ."""
        return any(token.meaning.lesion for token in self.tokens)


class Lexicon:
    """The words of one language. Immutable; safe to share between threads."""

    def __init__(self, meanings: Mapping[str, Meaning]) -> None:
        self._meanings = meanings
        longest_first = sorted(meanings, key=lambda word: (-len(word), word))
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def read(self, text: str) -> Reading:
        """The reading of a wording; offsets into :func:`plain` of it."""
        line = plain(text)
        tokens = tuple(self.tokens(line))
        taken = {place for token in tokens for place in range(token.start, token.end)}
        aside = {place for found in _ASIDE.finditer(line) for place in range(*found.span())}
        unread = sum(m.start() not in taken and m.start() not in aside for m in _READ.finditer(line))
        return Reading(tokens, unread)

    def tokens(self, line: str) -> Iterator[Token]:
        """The words in a line that :func:`plain` has levelled."""
        for found in self._pattern.finditer(line):
            yield Token(found.start(), found.end(), found.group(), self._meanings[found.group()])


def plain(text: str) -> str:
    """Width, case and characters levelled as the tables are written."""
    return simplified(unicodedata.normalize("NFKC", text).casefold())


@lru_cache(maxsize=8)
def lexicon_of(language: str) -> Lexicon | None:
    """The lexicon of a language, None where there are no tables for it."""
    operations = {row[0]: _operation(row) for row in table_rows(language, "pcs_operations.tsv")}
    if not operations:
        return None
    labels: dict[str, dict[int, list[frozenset[str]]]] = {}
    implied: dict[str, list[frozenset[str]]] = {}
    for word, position, label in table_rows(language, "pcs_words.tsv"):
        if position.endswith("?"):
            implied.setdefault(word, []).append(words_of_label(label))
        else:
            labels.setdefault(word, {}).setdefault(int(position), []).append(words_of_label(label))
    sides = {row[0]: SIDES[row[1]] for row in table_rows(language, "sides.tsv")}
    lesions = {row[0] for row in table_rows(language, "pcs_lesions.txt")}
    idle = {row[0] for row in table_rows(language, "pcs_idle.txt")}
    closing = {row[0] for row in table_rows(language, "pcs_closing.txt")}
    conditions = {row[0] for row in table_rows(language, "pcs_conditions.txt")}
    return Lexicon(
        {
            word: Meaning(
                operation=operations.get(word),
                labels={place: tuple(found) for place, found in labels.get(word, {}).items()},
                implied=tuple(implied.get(word, ())),
                side=sides.get(word, 0) or _side_within(word, sides),
                lesion=word in lesions or (SITE in labels.get(word, {}) and word.endswith(tuple(lesions))),
                idle=word in idle or word in closing,
                closing=word in closing,
                condition=word in conditions,
            )
            for word in {*operations, *labels, *implied, *sides, *lesions, *idle, *closing}
        }
    )


def _operation(row: Sequence[str]) -> Operation:
    whole, *lesion = ([code.ljust(7, _ANY) for code in column.split()] for column in row[2:])
    return Operation(int(row[1]), tuple(whole), tuple(lesion[0] if lesion else whole))


def _side_within(word: str, sides: Mapping[str, int]) -> int:
    """The side that a longer word holds (the left lobe of the liver)."""
    found = {bit for cue, bit in sides.items() if cue in word}
    return found.pop() if len(found) == 1 else 0


def table_rows(language: str, name: str) -> list[list[str]]:
    """The rows of a table, none where the language lacks it."""
    file = resources.files("jointcoder.codebook").joinpath("data", language, name)
    if not file.is_file():
        return []
    lines = file.read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if line.strip() and not line.startswith("#")]
