"""Wordings that coders have marked, how they are found again in running text, and how often each meant its code.

    lexicon.match(note)      [Occurrence(entry, level, words, extra), …]

| level | what must agree | example |
|---|---|---|
| 0 | the words, one after another | "left wrist pain" |
| 1 | the stems of the content words, one after another | "pains of the left wrist" |
| 2 | the meanings of the content words, one after another | "L wrist pain" |
| 3 | the stems, anywhere in one sentence | "pain since May in the left wrist" |
| 4 | the meanings, anywhere in one sentence | "pain since May in the L wrist" |
| 5 | the first letters of the stems, anywhere in one sentence | "painful left wrists" |

Levels 2 and 4 hold the wordings of which a table knows other ones that mean the same (:mod:`.meanings`).

An entry counts in how many training encounters it was found (``found``), and for each code that it was marked with in
how many of them that code was given (``given``) and in how many it was marked (``marked``). Estimates leave one of
those encounters out, since the entry exists only because somebody marked it. Knows nothing of features and models.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Self

from jointcoder.packs.mentions.tokens import Note

LEVELS = 6
RUNS, BAGS = (0, 1, 2), (3, 4, 5)
TIGHT = 2  # up to this level a wording stands together
LONGEST = 14  # words of a wording that stands together
WIDEST = 24  # words between those of a wording that may lie apart
SMOOTH = 1.0  # pretended encounters
DEFAULT = 0.5  # the share of them in which the code was given

Key = tuple[str, ...]


@dataclass(slots=True)
class Entry:
    """One wording at one level. ``meant``: at level 0, the wording with its meanings named; ``codes``: number of the
    code → [given, marked]."""

    key: Key
    meant: str = ""
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
        self._heads: dict[int, dict[str, int]] = {}
        self._anchors: dict[int, dict[str, list[Entry]]] = {}

    # -------------------------------------------------------------------------------------------------- filling

    def add(self, note: Note, words: Sequence[int], code: int) -> None:
        """A mention marked with a code in a training note."""
        for level, key in enumerate(keys(note, words)):
            if key:
                entry = self.levels[level].setdefault(key, Entry(key, "" if level else note.meant(words)))
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
        self._heads = {level: {} for level in RUNS}
        for level, heads in self._heads.items():
            for key in self.levels[level]:
                heads[key[0]] = max(heads.get(key[0], 0), min(len(key), LONGEST))
        self._anchors = {level: defaultdict(list) for level in BAGS}
        for level, anchors in self._anchors.items():
            rarity = Counter(part for key in self.levels[level] for part in key)
            for key, entry in self.levels[level].items():
                anchors[min(key, key=lambda part: (rarity[part], part))].append(entry)

    # ------------------------------------------------------------------------------------------------- matching

    def match(self, note: Note) -> list[Occurrence]:
        """All occurrences, at every level at which they hold."""
        found: list[Occurrence] = []
        for first, last in note.sentences:
            every = [(i,) for i in range(first, last)]
            row = [(i,) for i in range(first, last) if note.content[i]]
            stems = [note.stems[i] for (i,) in row]
            units = note.units(range(first, last))
            forms, places = [unit.form for unit in units], [unit.words for unit in units]
            found += self._runs(0, every, note.words[first:last])
            found += self._runs(1, row, stems)
            found += self._runs(2, places, forms)
            found += self._bags(3, row, stems)
            found += self._bags(4, places, forms)
            found += self._bags(5, row, [note.prefixes[i] for (i,) in row])
        return found

    def _runs(self, level: int, row: Sequence[tuple[int, ...]], forms: Sequence[str]) -> Iterator[Occurrence]:
        entries, heads = self.levels[level], self._heads[level]
        for at, form in enumerate(forms):
            longest = heads.get(form, 0)
            for end in range(at + 1, min(at + longest, len(row)) + 1):
                if (entry := entries.get(tuple(forms[at:end]))) is not None:
                    yield Occurrence(entry, level, tuple(chain.from_iterable(row[at:end])), 0)

    def _bags(self, level: int, row: Sequence[tuple[int, ...]], forms: Sequence[str]) -> Iterator[Occurrence]:
        anchors = self._anchors[level]
        places: dict[str, list[int]] = defaultdict(list)
        for at, form in enumerate(forms):
            places[form].append(at)
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
                        words = tuple(chain.from_iterable(row[i] for i in sorted(chosen)))
                        yield Occurrence(entry, level, words, extra)

    # -------------------------------------------------------------------------------------------------- storing

    def save(self, path: Path) -> None:
        """One line an entry, in a fixed order."""
        with path.open("w", encoding="utf-8") as file:
            for level, entries in enumerate(self.levels):
                for key in sorted(entries):
                    entry = entries[key]
                    codes = [[code, *entry.codes[code]] for code in sorted(entry.codes)]
                    line = json.dumps(
                        [level, list(key), entry.found, codes, entry.meant], ensure_ascii=False, separators=(",", ":")
                    )
                    file.write(line + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        lexicon = cls()
        for line in path.read_text("utf-8").split("\n"):
            if line:
                level, key, found, codes, meant = json.loads(line)
                entry = Entry(tuple(key), meant, found, {code: [given, marked] for code, given, marked in codes})
                lexicon.levels[level][entry.key] = entry
        lexicon.prepare()
        return lexicon


def keys(note: Note, words: Sequence[int]) -> tuple[Key, ...]:
    """The keys of marked words at every level; an empty key where a level says no more than a tighter one."""
    content = [i for i in words if note.content[i]] or list(words)
    if not content:
        return ((),) * LEVELS
    stems = tuple(note.stems[i] for i in content)
    bag = tuple(sorted(set(stems)))
    loose = tuple(sorted({note.prefixes[i] for i in content}))
    all_content = all(note.content[i] for i in content)
    units = note.units(content) if all_content else []
    meant = tuple(unit.form for unit in units) if any(unit.known for unit in units) else ()
    apart = tuple(sorted(set(meant)))
    return (
        tuple(note.words[i] for i in words),
        stems if all_content else (),
        meant,
        bag if all_content and len(bag) > 1 else (),
        apart if len(apart) > 1 else (),
        loose if all_content else (),
    )


def by_code(occurrences: Iterable[Occurrence]) -> Mapping[int, list[Occurrence]]:
    """The occurrences that speak for each code."""
    found: dict[int, list[Occurrence]] = defaultdict(list)
    for occurrence in occurrences:
        for code in occurrence.entry.codes:
            found[code].append(occurrence)
    return found
