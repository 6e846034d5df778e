"""Which standard terms could be meant, and what each source says of them.

    evidence = gather(memory, "renal stone, hydronephrosis", language)    # evidence.terms: rows of memory.standards

Sources: names alike, names said in full somewhere in the mention, examples alike, examples said in full, and what the
grams of the mention were given most often. Each is asked for the whole mention and for the stretches that
:mod:`.pieces` tries. Knows nothing of weights or choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from jointcoder.packs.terms.differences import difference, transfer
from jointcoder.packs.terms.index import Floats, Likeness
from jointcoder.packs.terms.memory import Ints, Memory
from jointcoder.packs.terms.pieces import pieces
from jointcoder.packs.terms.wording import Span, Wording

WHOLE = (15, 15, 20, 12, 10)  # how many of each source for the whole mention
PIECE = (8, 0, 8, 0, 3)  # … and for a stretch of it
NEAREST = 30  # examples that vote
ANALOGIES = 8  # examples whose names are tried with what the mention says differently


_BY_STRETCH = (
    "name_alike",
    "name_query",
    "name_entry",
    "example_alike",
    "example_query",
    "example_entry",
    "example",
    "vote",
    "habit",
    "near",
    "habit_near",
)


@dataclass(frozen=True)
class Evidence:
    """Candidates of one mention. Arrays ``(stretches, candidates)``; the first stretch is the whole mention.

    ``name_*``: likeness to the standard's name; ``example_*``: to its best example, whose row is ``example``.
    ``vote``: share among the nearest examples; ``habit``: what the grams were given most often; ``near``: the same for
    all codes under a prefix (prefix lengths × candidates)."""

    wording: Wording
    stretches: tuple[Span, ...]
    parts: tuple[Wording, ...]
    terms: Ints
    name_alike: Floats
    name_query: Floats
    name_entry: Floats
    example_alike: Floats
    example_query: Floats
    example_entry: Floats
    example: Ints
    vote: Floats
    habit: Floats
    near: Floats
    habit_near: Floats
    says: tuple[dict[str, float], ...]
    analogies: tuple[tuple[tuple[str, ...], float], ...]

    def __len__(self) -> int:
        return len(self.terms)

    def take(self, places: Ints) -> Evidence:
        """Only the candidates at ``places``."""
        arrays = {name: getattr(self, name)[:, places] for name in _BY_STRETCH}
        return replace(self, terms=self.terms[places], **arrays)


def gather(memory: Memory, text: str, language: str) -> Evidence:
    """Candidates for a mention; none when nothing of it is known."""
    wording = Wording.of(text)
    stretches = pieces(wording, language)
    parts = tuple(wording if place == 0 else wording.part(*span) for place, span in enumerate(stretches))
    by_name = [memory.names.compare(part) for part in parts]
    by_example = [memory.known.compare(part, telling=True) for part in parts]
    votes = [memory.votes(_nearest(likeness)) for likeness in by_example]
    habits = [memory.votes(likeness.telling) for likeness in by_example]
    found: dict[int, None] = {}
    for place in range(len(parts)):
        counts = WHOLE if place == 0 else PIECE
        names, examples = by_name[place], by_example[place]
        for scores, count in ((names.alike, counts[0]), (names.of_query * names.of_entry**2, counts[1])):
            found.update(dict.fromkeys(names.best(scores, count).tolist()))
        for scores, count in ((examples.alike, counts[2]), (examples.of_query * examples.of_entry**2, counts[3])):
            for row in examples.best(scores, count).tolist():
                found.update(dict.fromkeys(memory.examples[row].terms))
        found.update(dict.fromkeys(names.best(habits[place], counts[4]).tolist()))
    analogies: dict[tuple[str, ...], float] = {}
    for part, likeness in zip(parts, by_example, strict=True):
        for row in likeness.best(likeness.alike, ANALOGIES).tolist():
            if len(memory.examples[row].terms) == 1:
                term = memory.examples[row].terms[0]
                change = difference(part.units, memory.written(row).units)
                if made := transfer(change, memory.wording(term).units):
                    analogies[made] = max(analogies.get(made, 0.0), float(likeness.alike[row]))
    for made in analogies:
        found.update(dict.fromkeys(memory.names.postings.find_key(" ".join(made)).tolist()))
    terms = np.asarray(sorted(found), dtype=np.int64)
    best = [memory.best_example(likeness.alike, terms) for likeness in by_example]
    rows = np.asarray([row for _, row in best], dtype=np.int64).reshape(len(parts), len(terms))
    return Evidence(
        wording,
        stretches,
        parts,
        terms,
        _stack([likeness.alike[terms] for likeness in by_name]),
        _stack([likeness.of_query[terms] for likeness in by_name]),
        _stack([likeness.of_entry[terms] for likeness in by_name]),
        _stack([alike for alike, _ in best]),
        _stack([_at(x.of_query, row) for x, row in zip(by_example, rows, strict=True)]),
        _stack([_at(x.of_entry, row) for x, row in zip(by_example, rows, strict=True)]),
        rows,
        _stack([vote[terms] for vote in votes]),
        _stack([habit[terms] for habit in habits]),
        _near(memory, votes[0], terms),
        _near(memory, habits[0], terms),
        tuple(memory.says.best(part.short) for part in parts),
        tuple(analogies.items()),
    )


def _stack(rows: Sequence[Floats]) -> Floats:
    return np.asarray(rows, dtype=np.float64)


def _at(values: Floats, rows: Ints) -> Floats:
    """The values at ``rows``; 0 where a row is -1."""
    found = np.zeros(len(rows))
    found[rows >= 0] = values[rows[rows >= 0]]
    return found


def _nearest(likeness: Likeness) -> Floats:
    """The vote of each example: the square of its likeness for the nearest, none for the others; they sum to 1."""
    vote = np.zeros(len(likeness.alike))
    rows = likeness.best(likeness.alike, NEAREST)
    if len(rows):
        weight = likeness.alike[rows] ** 3
        vote[rows] = weight / weight.sum()
    return vote


def _near(memory: Memory, vote: Floats, terms: Ints) -> Floats:
    """The votes of all standards whose code begins alike."""
    found = []
    for of_standard in memory.prefix_rows:
        total = np.bincount(of_standard, weights=vote)
        found.append(np.asarray(total[of_standard[terms]], dtype=np.float64))
    return _stack(found)
