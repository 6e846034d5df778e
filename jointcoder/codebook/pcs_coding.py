"""A reading of an operation's wording → legal ICD-10-PCS codes, each with how well it accounts for the wording.

    Coding(book).codes(lexicon.read("腹腔镜左肾部分切除术"))       # [Guess("0TB14ZZ", 0.93), …]

The operation gives the tables, the body part the rows; approach, device and qualifier choose within a row. What a
wording leaves open is taken as usual: the approach by `data/en/pcs_defaults.tsv` (as the book's headings do), no
device, no qualifier; a side that is not named stays open, and all sides are given. Every code comes from the tables of
the book: nothing is composed that they do not allow (Official Guidelines A7). The score is the share of the wording
that the code accounts for, lowered by what had to be assumed; it lies in (0, 0.96].

Knows no languages, and nothing of other ways to find a code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from jointcoder.codebook.analysis import BOTH, LEFT, RIGHT
from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.pcs_axes import Axis, Row, approach_orders, load_rows, words_of_label
from jointcoder.codebook.pcs_reading import APPROACH, NAMED, SITE, Operation, Reading, Token

BEST = 0.96  # of a wording of which every word is accounted for: under the book's own wordings
MOST = 60  # codes given for one wording
LATER = 0.94  # a later one of the operations, body parts or labels that a word may mean
EARLIER = 0.9  # an operation that is not the last one named: the others tell how it was done
HELPS = 0.5  # how much of another operation's name a code accounts for
FORMER = 0.95  # a body part without the one named last, which the others only place
MORE = 0.95  # each word by which a label says more than the wording
ASSUMED = 0.97  # an approach that the wording does not name
UNUSUAL = 0.85  # an approach that it does not name and that is not the usual one
ANOTHER = 0.6  # an approach other than the one named
OPEN_SIDE, NO_SIDE, BOTH_SIDES, EACH_SIDE = 0.93, 0.98, 0.8, 0.85
ADDED = 0.75  # a device or qualifier that the wording does not name
MISSED = 0.85  # a row whose devices or qualifiers hold none of those named
CHOICE = 0.95  # the same where the table has none without

_ANY = "."
_NOTHING = "Z"
_DEVICE, _QUALIFIER = 6, 7
_Sites = Mapping[int, tuple[float, frozenset[int]]]
_SIDES = {"right": RIGHT, "left": LEFT, "bilateral": BOTH}


class Guess(NamedTuple):
    """A legal code and how well it accounts for the wording, in (0, :data:`BEST`]."""

    code: str
    score: float


@dataclass(frozen=True, slots=True)
class _Place:
    """A body part in one row of a table; ``approaches``: of this body part in any row of the table."""

    table: str
    row: Row
    value: str
    words: frozenset[str]
    side: int
    approaches: frozenset[str]


class _Index:
    """The body parts of all tables, by the words of their labels and by table."""

    def __init__(self, book: CodeBook) -> None:
        self.places = tuple(_places(book))
        self._of_word: dict[str, set[int]] = {}
        self._of_table: dict[str, list[int]] = {}
        for number, place in enumerate(self.places):
            self._of_table.setdefault(place.table, []).append(number)
            for word in place.words:
                self._of_word.setdefault(word, set()).add(number)
        self.holding = lru_cache(maxsize=4096)(self._holding)
        self.tables = lru_cache(maxsize=1024)(self._tables)

    def of_table(self, table: str) -> Sequence[int]:
        return self._of_table[table]

    def _holding(self, words: frozenset[str]) -> frozenset[int]:
        """The body parts whose labels hold all the words."""
        found = [self._of_word.get(word, set()) for word in words]
        return frozenset(set.intersection(*found)) if found else frozenset()

    def _tables(self, beginning: str) -> frozenset[str]:
        """The tables that three characters, some of them any, name."""
        wanted = re.compile(beginning)
        return frozenset(table for table in self._of_table if wanted.fullmatch(table))


@dataclass(frozen=True, slots=True)
class _Choice:
    """A value of an axis: its factor, and the tokens that it accounts for (their numbers)."""

    value: str
    factor: float
    used: frozenset[int]


class Coding:
    """Over one book; safe to share between threads. A book without the tables gives no codes."""

    def __init__(self, book: CodeBook) -> None:
        self._book = book

    def codes(self, reading: Reading) -> list[Guess]:
        """The codes that account for the wording, best first; at most :data:`MOST`."""
        best: dict[str, float] = {}
        tokens = reading.tokens
        whole = reading.unread + sum(len(t.text) for t in tokens if not t.meaning.idle)
        lesions = (i for i, t in enumerate(tokens) if t.meaning.lesion and SITE not in t.meaning.labels)
        common = frozenset(lesions)  # what every code accounts for
        sites = self._sites(tokens)
        for operation, factor, number in _operations(tokens):
            patterns = operation.of_lesion if reading.lesion else operation.patterns
            for place, pattern in enumerate(patterns):
                for code, score, used in self._of_pattern(pattern, reading, sites):
                    used |= common | {number}
                    said = sum(len(tokens[i].text) for i in used) + HELPS * _told(tokens, used)
                    score *= BEST * factor * LATER**place * said / max(whole, 1)
                    if score > best.get(code, 0.0):
                        best[code] = score
        ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))[:MOST]
        return [Guess(code, round(score, 4)) for code, score in ranked]

    # ----------------------------------------------------------------------------------------------- body parts

    @property
    def _index(self) -> _Index:
        return self._book.kept("pcs places", lambda: _Index(self._book))

    def _of_pattern(self, pattern: str, reading: Reading, sites: _Sites) -> Iterator[tuple[str, float, frozenset[int]]]:
        index, pinned = self._index, pattern[SITE - 1]
        tables = index.tables(pattern[:3])
        if pinned == _ANY:
            numbers: Iterable[int] = (number for number in sites if index.places[number].table in tables)
        else:
            numbers = (number for table in tables for number in index.of_table(table))
        for number in numbers:
            part = index.places[number]
            if pinned not in (_ANY, part.value):
                continue
            factor, used = sites.get(number, (1.0, frozenset()))
            sided, of_side = _side(part, reading, pinned != _ANY)
            if sided:
                for code, share, more in _codes(part, pattern, reading.tokens):
                    yield code, factor * sided * share, used | of_side | more

    def _sites(self, tokens: Sequence[Token]) -> _Sites:
        """The body parts that the wording names: how well, and the tokens that each accounts for. Those that an
        approach implies where none is named."""
        named = [(i, t.meaning.labels[SITE]) for i, t in enumerate(tokens) if SITE in t.meaning.labels]
        named = named or [(i, t.meaning.implied) for i, t in enumerate(tokens) if t.meaning.implied]
        found: dict[int, tuple[float, frozenset[int]]] = {}
        said: dict[int, frozenset[str]] = {}
        for token, labels in named:
            seen: set[int] = set()
            for place, words in enumerate(labels):
                for number in self._index.holding(words) - seen:
                    factor, used = found.get(number, (1.0, frozenset()))
                    found[number] = factor * LATER**place, used | {token}
                    said[number] = said.get(number, frozenset()) | words
                seen |= self._index.holding(words)
        places, last = self._index.places, max((token for token, _ in named), default=0)
        return {
            number: (
                factor * MORE ** len(places[number].words - said[number]) * (1.0 if last in used else FORMER),
                used,
            )
            for number, (factor, used) in found.items()
        }


def _operations(tokens: Sequence[Token]) -> Iterator[tuple[Operation, float, int]]:
    """The operations named, the last one first: what stands before it tells how it was done. Words that are said of
    many operations, or only imply one, count where no other names it."""
    told = [(token.operation, i) for i, token in enumerate(tokens) if token.operation]
    weight = max((operation.weight for operation, _ in told if operation), default=0)
    kept = [(operation, i) for operation, i in told if operation.weight == weight or operation.weight == NAMED - 1]
    for place, (operation, i) in enumerate(reversed(kept)):
        yield operation, EARLIER**place * (1.0 if operation.weight == weight else EARLIER), i


def _side(part: _Place, reading: Reading, pinned: bool) -> tuple[float, frozenset[int]]:
    asked = reading.side
    tokens = frozenset(i for i, t in enumerate(reading.tokens) if t.meaning.side)
    alone = frozenset(i for i in tokens if reading.tokens[i].operation is None and not reading.tokens[i].meaning.labels)
    if not part.side:
        return (NO_SIDE if asked and not pinned else 1.0), alone
    if not asked:
        return (BOTH_SIDES if part.side == BOTH else OPEN_SIDE), frozenset()
    if asked == BOTH and part.side != BOTH:  # a code for each side, where none is for both
        return EACH_SIDE, alone
    return (1.0, alone) if part.side == asked else (0.0, frozenset())


def _told(tokens: Sequence[Token], used: frozenset[int]) -> int:
    """Characters of the other operations named: they belong to the same intervention."""
    return sum(len(t.text) for i, t in enumerate(tokens) if t.operation and i not in used)


# ------------------------------------------------------------------------------------------------- the other axes


def _codes(part: _Place, pattern: str, tokens: Sequence[Token]) -> Iterator[tuple[str, float, frozenset[int]]]:
    prefix = "".join(axis.values[0][0] for axis in part.row.axes[:3]) + part.value
    axes = part.row.axes
    for approach in _approaches(part, prefix, pattern[4], tokens):
        for device in _values(axes[5], _DEVICE, pattern[5], tokens):
            for qualifier in _values(axes[6], _QUALIFIER, pattern[6], tokens):
                yield (
                    prefix + approach.value + device.value + qualifier.value,
                    approach.factor * device.factor * qualifier.factor,
                    approach.used | device.used | qualifier.used,
                )


def _approaches(part: _Place, prefix: str, pinned: str, tokens: Sequence[Token]) -> list[_Choice]:
    named = {i: t.meaning.labels[APPROACH] for i, t in enumerate(tokens) if APPROACH in t.meaning.labels}
    order = next((order for wanted, order in approach_orders() if wanted.fullmatch(prefix[:3])), "")
    usual = [value for value in order if value in part.approaches]
    choices = []
    for value, label in part.row.axes[4].values:
        if pinned not in (_ANY, value):
            continue
        meant = {
            i: labels.index(words_of_label(label)) for i, labels in named.items() if words_of_label(label) in labels
        }
        if meant:
            choices.append(_Choice(value, LATER ** min(meant.values()), frozenset(meant)))
        elif pinned == value:
            choices.append(_Choice(value, 1.0, frozenset()))
        else:
            assumed = ASSUMED if not usual or value == usual[0] else UNUSUAL
            choices.append(_Choice(value, ANOTHER * assumed if named else assumed, frozenset()))
    return choices


def _values(axis: Axis, position: int, pinned: str, tokens: Sequence[Token]) -> list[_Choice]:
    """The devices (or qualifiers) that the wording names; where it names none, those that may be meant."""
    named = [(i, t.meaning.labels[position]) for i, t in enumerate(tokens) if position in t.meaning.labels]
    choices = []
    for value, label in axis.values:
        if pinned not in (_ANY, value):
            continue
        words = words_of_label(label)
        meant: dict[int, tuple[int, frozenset[str]]] = {}
        for i, labels in named:
            place = next((place for place, wanted in enumerate(labels) if wanted <= words), None)
            if place is not None:
                meant[i] = place, labels[place]
        if meant:
            said = frozenset().union(*(wanted for _, wanted in meant.values()))
            later = min(place for place, _ in meant.values())
            choices.append(_Choice(value, LATER**later * MORE ** len(words - said), frozenset(meant)))
        elif pinned == value or value == _NOTHING:
            choices.append(_Choice(value, 1.0, frozenset()))
        else:
            choices.append(_Choice(value, ADDED, frozenset()))
    if not any(choice.value == _NOTHING or choice.used for choice in choices) and pinned == _ANY:
        choices = [_Choice(choice.value, CHOICE, choice.used) for choice in choices]
    if any(choice.used for choice in choices):  # what is named is meant, hardly nothing, and nothing else
        without = (_Choice(one.value, ADDED, one.used) for one in choices if one.value == _NOTHING and not one.used)
        choices = [*(choice for choice in choices if choice.used), *without]
    elif named and pinned == _ANY:
        choices = [_Choice(choice.value, choice.factor * MISSED, choice.used) for choice in choices]
    return choices


def _places(book: CodeBook) -> Iterator[_Place]:
    for table, rows in load_rows(book).items():
        approaches: dict[str, set[str]] = {}
        for row in rows:
            for value, _ in row.axes[SITE - 1].values:
                approaches.setdefault(value, set()).update(value for value, _ in row.axes[APPROACH - 1].values)
        usual = {value: frozenset(found) for value, found in approaches.items()}
        for row in rows:
            for value, label in row.axes[SITE - 1].values:
                words = words_of_label(label)
                sides = [bit for word, bit in _SIDES.items() if word in words]
                side = sides[0] if len(sides) == 1 else 0
                yield _Place(table, row, value, words - _SIDES.keys(), side, usual[value])
