"""Wordings that coders have marked, how they are found again in running text, and how often each meant its code.

    lexicon.match(note)      [Occurrence(entry, level, words, extra), …]

| level | what must agree | example |
|---|---|---|
| 0 | the words, one after another | "left wrist pain" |
| 1 | the stems of the content words, one after another | "pains of the left wrist" |
| 2 | the stems, anywhere in one sentence | "pain since May in the left wrist" |
| 3 | the first letters of the stems, anywhere in one sentence | "painful left wrists" |

An entry counts in how many training encounters it was found (``found``), and for each code that it was marked with in
how many of them that code was given (``given``) and in how many it was marked (``marked``). Estimates leave one of
those encounters out, since the entry exists only because somebody marked it. Knows nothing of features and models.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from jointcoder.packs.mentions.tokens import Note

LEVELS = 4
LONGEST = 14  # words of a wording matched at level 0 and 1
WIDEST = 24  # words between those of a wording matched at levels 2 and 3
SMOOTH = 1.0  # pretended encounters
DEFAULT = 0.5  # the share of them in which the code was given

Key = tuple[str, ...]


@dataclass(slots=True)
class Entry:
    """One wording at one level. ``codes``: number of the code → [given, marked]."""

    key: Key
    found: int = 0
    codes: dict[int, list[int]] = field(default_factory=dict)

    def precision(self, code: int) -> float:
        """How often the wording meant the code, its first source left out, drawn to one half."""
        given = max(0, self.codes[code][0] - 1)
        others = max(0, self.found - 1)
        return (given + SMOOTH * DEFAULT) / (others + SMOOTH)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An entry found in a note: at which ``words``, with how many words between them that are not its own."""

    entry: Entry
    level: int
    words: tuple[int, ...]
    extra: int


class Lexicon:
    """Entries by level. Filled by training, then only read."""

    def __init__(self) -> None:
        self.levels: tuple[dict[Key, Entry], ...] = tuple({} for _ in range(LEVELS))
        self._heads: tuple[dict[str, int], ...] = ({}, {})
        self._anchors: tuple[dict[str, list[Entry]], ...] = ({}, {})

    # -------------------------------------------------------------------------------------------------- filling

    def add(self, note: Note, words: Sequence[int], code: int) -> None:
        """A mention marked with a code in a training note."""
        for level, key in enumerate(keys(note, words)):
            if key:
                entry = self.levels[level].setdefault(key, Entry(key))
                entry.codes.setdefault(code, [0, 0])[1] += 1

    def count(self, notes: Iterable[tuple[Note, frozenset[int]]]) -> None:
        """How often entries occur in training notes, each with the numbers of its codes."""
        self.prepare()
        for note, gold in notes:
            for entry in {id(o.entry): o.entry for o in self.match(note)}.values():
                entry.found += 1
                for code, counts in entry.codes.items():
                    counts[0] += code in gold

    def prepare(self) -> None:
        """The indexes of matching."""
        self._heads = ({}, {})
        for level in (0, 1):
            heads = self._heads[level]
            for key in self.levels[level]:
                heads[key[0]] = max(heads.get(key[0], 0), min(len(key), LONGEST))
        spread: list[dict[str, int]] = [defaultdict(int), defaultdict(int)]
        for level in (2, 3):
            for key in self.levels[level]:
                for part in key:
                    spread[level - 2][part] += 1
        self._anchors = (defaultdict(list), defaultdict(list))
        for level in (2, 3):
            rarity = spread[level - 2]
            for key, entry in self.levels[level].items():
                self._anchors[level - 2][min(key, key=lambda part: (rarity[part], part))].append(entry)

    # ------------------------------------------------------------------------------------------------- matching

    def match(self, note: Note) -> list[Occurrence]:
        """All occurrences, at every level at which they hold."""
        found: list[Occurrence] = []
        for first, last in note.sentences:
            row = [i for i in range(first, last) if note.content[i]]
            found += self._runs(0, list(range(first, last)), note.words)
            found += self._runs(1, row, note.stems)
            found += self._bags(2, row, note.stems)
            found += self._bags(3, row, note.prefixes)
        return found

    def _runs(self, level: int, row: Sequence[int], forms: Sequence[str]) -> Iterator[Occurrence]:
        entries, heads = self.levels[level], self._heads[level]
        for at, place in enumerate(row):
            longest = heads.get(forms[place], 0)
            for end in range(at + 1, min(at + longest, len(row)) + 1):
                chosen = row[at:end]
                if (entry := entries.get(tuple([forms[i] for i in chosen]))) is not None:
                    yield Occurrence(entry, level, tuple(chosen), 0)

    def _bags(self, level: int, row: Sequence[int], forms: Sequence[str]) -> Iterator[Occurrence]:
        anchors = self._anchors[level - 2]
        places: dict[str, list[int]] = defaultdict(list)
        for at, place in enumerate(row):
            places[forms[place]].append(at)
        for form, anchored in places.items():
            for entry in anchors.get(form, ()):
                key = entry.key
                if any(part not in places for part in key):
                    continue
                for at in anchored:
                    chosen = {at}
                    for part in key:
                        if part != form:
                            chosen.add(min(places[part], key=lambda other: (abs(other - at), other)))
                    low, high = min(chosen), max(chosen)
                    extra = high - low + 1 - len(chosen)
                    if extra <= WIDEST:
                        yield Occurrence(entry, level, tuple(row[i] for i in sorted(chosen)), extra)

    # -------------------------------------------------------------------------------------------------- storing

    def save(self, path: Path) -> None:
        """One line an entry, in a fixed order."""
        with path.open("w", encoding="utf-8") as file:
            for level, entries in enumerate(self.levels):
                for key in sorted(entries):
                    entry = entries[key]
                    codes = [[code, *entry.codes[code]] for code in sorted(entry.codes)]
                    line = json.dumps([level, list(key), entry.found, codes], ensure_ascii=False, separators=(",", ":"))
                    file.write(line + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        lexicon = cls()
        for line in path.read_text("utf-8").split("\n"):
            if line:
                level, key, found, codes = json.loads(line)
                entry = Entry(tuple(key), found, {code: [given, marked] for code, given, marked in codes})
                lexicon.levels[level][entry.key] = entry
        lexicon.prepare()
        return lexicon


def keys(note: Note, words: Sequence[int]) -> tuple[Key, ...]:
    """The keys of marked words at the four levels; an empty key where a level says no more than a tighter one."""
    content = [i for i in words if note.content[i]] or list(words)
    if not content:
        return ((),) * LEVELS
    stems = tuple(note.stems[i] for i in content)
    bag = tuple(sorted(set(stems)))
    loose = tuple(sorted({note.prefixes[i] for i in content}))
    all_content = all(note.content[i] for i in content)
    return (
        tuple(note.words[i] for i in words),
        stems if all_content else (),
        bag if all_content and len(bag) > 1 else (),
        loose if all_content else (),
    )


def by_code(occurrences: Iterable[Occurrence]) -> Mapping[int, list[Occurrence]]:
    """The occurrences that speak for each code."""
    found: dict[int, list[Occurrence]] = defaultdict(list)
    for occurrence in occurrences:
        for code in occurrence.entry.codes:
            found[code].append(occurrence)
    return found
