"""Dictionary matching: wordings of the code book in running text.

Word languages: every stretch of up to eight content words between two breaks is looked up by its key, all at once
(one binary search over sorted hashes); the longest match at each place wins. Chinese: every stretch of up to
sixteen characters. Ordinary words (`data/<language>/ordinary.txt`) are skipped. Says where a wording stands, not
whether it is affirmed: negation and history belong to :mod:`jointcoder.text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jointcoder.codebook.analysis import Analysis, Word
from jointcoder.codebook.model import Hit, Spotted
from jointcoder.codebook.postings import Postings
from jointcoder.records import Kind, System

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup

LONGEST_WORDS = 8
LONGEST_CHARACTERS = 16
HITS = 5


def spot(lookup: Lookup, text: str, language: str, kinds: tuple[Kind, ...]) -> list[Spotted]:
    """See :meth:`jointcoder.codebook.lookup.Lookup.spot`."""
    engine = lookup.analyser(language)
    ordinary = lookup.book.kept(
        f"ordinary/{language}", lambda: {engine.analyse(row[0]).key for row in engine.tables.get("ordinary")}
    )
    language = lookup.index_language(language)
    chosen: list[_Stretch] = []
    for kind in kinds:
        systems = lookup.book.systems(kind)
        shards = {system: shard for system in systems if (shard := lookup.shard(language, system)) is not None}
        if shards:
            runs = engine.runs(text, procedures=kind is Kind.PROCEDURE)
            chosen += _held(runs, shards, ordinary, han=language == "zh")
    chosen.sort(key=lambda s: (-(s.last - s.first), s.run.words[s.first].start))
    taken = np.zeros(len(text) + 1, dtype=bool)
    found: dict[tuple[int, int], list[Hit]] = {}
    for stretch in chosen:
        start, end, side = _with_sides(text, stretch)
        if taken[start:end].any() and (start, end) not in found:
            continue
        part = Analysis(stretch.run.words[stretch.first : stretch.last], side, stretch.run.marks)
        hits = [
            hit
            for system, shard in stretch.shards.items()
            if len(documents := shard.find_key(stretch.key))
            for hit in lookup.hits_of(text[start:end], documents, system, part, language, k=HITS)
        ]
        if hits:
            taken[start:end] = True
            found.setdefault((start, end), []).extend(hits)
    return [
        Spotted(start, end, tuple(sorted(hits, key=lambda hit: (-hit.score, hit.code))[:HITS]))
        for (start, end), hits in sorted(found.items())
    ]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Words ``first`` to ``last`` of a run, their key, and the indexes to ask."""

    run: Analysis
    first: int
    last: int
    key: str
    shards: Mapping[System, Postings]


def _held(
    runs: Iterable[Analysis], shards: Mapping[System, Postings], ordinary: set[str], *, han: bool
) -> list[_Stretch]:
    """The stretches whose key some index holds."""
    windows = [
        _Stretch(run, first, last, key, shards)
        for run in runs
        for first, last, key in _windows(run, han)
        if key not in ordinary
    ]
    keys = [window.key for window in windows]
    held = np.zeros(len(keys), dtype=bool)
    for shard in shards.values():
        held |= shard.holds_keys(keys)
    return [windows[i] for i in np.flatnonzero(held)]


def _with_sides(text: str, stretch: _Stretch) -> tuple[int, int, int]:
    """(start, end, side) of a stretch, taking in a word for the side that stands inside or beside it."""
    words = stretch.run.words
    start, end, side = words[stretch.first].start, words[stretch.last - 1].end, 0
    for place, stop, bit in stretch.run.sides:
        before = stop <= start and not text[stop:start].strip()
        after = place >= end and not text[end:place].strip()
        if before or after or (start <= place and stop <= end):
            start, end, side = min(start, place), max(end, stop), side | bit
    return start, end, side


def _windows(run: Analysis, han: bool) -> Iterator[tuple[int, int, str]]:
    """(first, last, key) of every stretch that could be a wording."""
    words = run.words
    longest, shortest, glue = (LONGEST_CHARACTERS, 2, "") if han else (LONGEST_WORDS, 1, " ")
    for first in range(len(words)):
        for last in range(first + shortest, min(len(words), first + longest) + 1):
            if not _splits(words, first, last):
                yield first, last, glue.join(word.text for word in words[first:last])


def _splits(words: tuple[Word, ...], first: int, last: int) -> bool:
    """Whether the stretch would cut through an expanded abbreviation (words that share one place)."""
    cut_before = first > 0 and words[first - 1].start == words[first].start
    cut_after = last < len(words) and words[last - 1].start == words[last].start
    return cut_before or cut_after
