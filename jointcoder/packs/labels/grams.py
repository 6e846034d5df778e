"""A reading → a sparse vector: word sequences by section, and dictionary entries found or listed.

    space = Space(entries, vocabulary)             # read from a pack, or made by a trainer
    found = space.features(reading, assertions)
    found.columns, found.values, found.places      # values are weighed and each view has length one

Two views, so that notes and lists of entries share one space: ``entries`` holds what a list names, or what of the
dictionary a note affirms (negated entries and relatives' do not count); ``words`` holds sequences of a note's words,
told apart by what their section is worth. Knows nothing of codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jointcoder.packs.labels.reading import Place, Reading

ENTRY = "entry"
LONGEST = {"zh": 4, "": 2}  # words in a sequence; a Chinese word here is a character
SHORTEST = {"zh": 2, "": 1}
ENTRY_WORDS = {"zh": (2, 16), "": (1, 6)}

Key = tuple[str, str]
"""A view and a sequence of words: ``("definitive", "高血压")``."""
Affirmed = Callable[[Reading, Sequence[Place]], Sequence[bool]]


@dataclass(frozen=True)
class Counted:
    """How often each key occurs, and where first."""

    counts: Mapping[Key, int]
    places: Mapping[Key, Place]


def count(reading: Reading, glue: str, language: str, entries: frozenset[str], affirmed: Affirmed) -> Counted:
    """All keys of a reading; entries that are not affirmed are left out."""
    counts: dict[Key, int] = {}
    places: dict[Key, Place] = {}
    longest = LONGEST.get(language, LONGEST[""])
    shortest = SHORTEST.get(language, SHORTEST[""])
    if reading.listed:
        for number, run in enumerate(reading.runs):
            key = (ENTRY, glue.join(word.text for word in run.words))
            counts[key] = counts.get(key, 0) + 1
            places.setdefault(key, (number, 0, len(run.words) - 1))
        return Counted(counts, places)
    for number, run in enumerate(reading.runs):
        texts = [word.text for word in run.words]
        for first in range(len(texts)):
            for last in range(first + shortest - 1, min(len(texts), first + longest)):
                key = (run.kind, glue.join(texts[first : last + 1]))
                counts[key] = counts.get(key, 0) + 1
                if key not in places:
                    places[key] = (number, first, last)
    found = list(spotted(reading, glue, language, entries))
    for (place, text), holds in zip(found, affirmed(reading, [place for place, _ in found]), strict=True):
        if holds:
            key = (ENTRY, text)
            counts[key] = counts.get(key, 0) + 1
            places.setdefault(key, place)
    return Counted(counts, places)


def spotted(reading: Reading, glue: str, language: str, entries: frozenset[str]) -> Iterable[tuple[Place, str]]:
    """Dictionary entries in a note: at each word the longest that begins there, unless it ends inside the last."""
    shortest, longest = ENTRY_WORDS.get(language, ENTRY_WORDS[""])
    for number, run in enumerate(reading.runs):
        texts = [word.text for word in run.words]
        reached = 0
        for first in range(len(texts)):
            for last in range(min(len(texts), first + longest) - 1, first + shortest - 2, -1):
                if last < reached:
                    break
                text = glue.join(texts[first : last + 1])
                if text in entries:
                    reached = last + 1
                    yield (number, first, last), text
                    break


@dataclass(frozen=True)
class Found:
    """A sparse vector with the place of each column's first occurrence."""

    columns: NDArray[np.int64]
    values: NDArray[np.float64]
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Space:
    """The columns: ``keys`` in order, ``weights`` their rarity. ``shares``: the length of each view's vector."""

    keys: tuple[Key, ...]
    weights: NDArray[np.float64]
    shares: Mapping[str, float]
    columns: Mapping[Key, int]

    @classmethod
    def of(cls, keys: Sequence[Key], weights: NDArray[np.float64], shares: Mapping[str, float]) -> Space:
        """A space over ``keys``, one column each."""
        return cls(tuple(keys), weights, dict(shares), {key: i for i, key in enumerate(keys)})

    @property
    def entries(self) -> frozenset[str]:
        """The dictionary: what is sought in notes."""
        return frozenset(text for view, text in self.keys if view == ENTRY)

    def features(self, counted: Counted) -> Found:
        """The vector of a reading: 1 + log of the count, times rarity, every view scaled to its share."""
        rows = sorted((self.columns[key], key) for key in counted.counts if key in self.columns)
        columns = np.array([column for column, _ in rows], dtype=np.int64)
        counts = np.array([1.0 if key[0] == ENTRY else counted.counts[key] for _, key in rows])
        values = (1.0 + np.log(counts)) * self.weights[columns] if rows else np.zeros(0)
        views = np.array([key[0] for _, key in rows])
        for view in sorted(set(views.tolist())):
            of_view = views == view
            length = float(np.sqrt(np.sum(values[of_view] ** 2)))
            values[of_view] *= self.shares.get(view, 0.0) / length if length else 0.0
        return Found(columns, values, tuple(counted.places[key] for _, key in rows))


def rarity(frequency: int, records: int) -> float:
    """Inverse document frequency, smoothed."""
    return float(np.log((1 + records) / (1 + frequency)) + 1)


__all__ = ["ENTRY", "Counted", "Found", "Key", "Space", "count", "rarity", "spotted"]
