"""Candidates → numbers: dense features with names, and sparse ones that name what is said differently.

    described = describe(memory, evidence)     # .rows (candidates, len(DENSE)), .words: sparse features, by name

Everything that compares a candidate with its rivals is relative to this mention's candidates. Knows no weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz import fuzz
from rapidfuzz.distance import Postfix, Prefix

from jointcoder.packs.terms import differences
from jointcoder.packs.terms.evidence import Evidence
from jointcoder.packs.terms.index import Floats
from jointcoder.packs.terms.memory import PREFIXES, Ints, Memory
from jointcoder.packs.terms.translate import explained
from jointcoder.packs.terms.wording import Wording

SCORES = ("name_alike", "name_query", "name_entry", "example_alike", "example_query", "example_entry", "vote", "habit")
RANKED = ("name_alike", "example_alike", "vote", "habit", "either")
STRINGS = (
    "same_share_name",
    "same_share_part",
    "window_share",
    "window_filled",
    "longest_block",
    "blocks",
    "ratio",
    "partial",
    "prefix",
    "postfix",
    "name_left_idf",
    "name_left",
    "part_left_idf",
    "inside_left",
    "order_lost",
    "numbers_shared",
    "numbers_only_name",
    "numbers_only_part",
)
NEIGHBOUR = (
    "example_ratio",
    "example_left",
    "example_part_left",
    "example_left_idf",
    "example_part_left_idf",
    "example_terms",
    "example_same",
)
OF_TERM = (
    "seen",
    "log_count",
    "alone_share",
    "heading",
    "code",
    "length_name",
    "length_part",
    "candidates",
    "stretches",
    "start",
    "part_share",
    "sibling",
)
LEARNT = (
    "says_mean",
    "says_least",
    "says_not",
    "said_mean",
    "said_least",
    "said_not",
    "whole_says_mean",
    "whole_says_not",
    "analogy",
    "analogy_same",
    "analogy_ratio",
)
DENSE = (
    *SCORES,
    *(f"part_{name}" for name in SCORES),
    *(f"{name}_{what}" for name in RANKED for what in ("rank", "gap")),
    *(f"near_{length}" for length in PREFIXES),
    *(f"habit_near_{length}" for length in PREFIXES),
    "either_rival_part",
    *STRINGS,
    *NEIGHBOUR,
    *OF_TERM,
    *LEARNT,
)


def joined(units: Sequence[str]) -> str:
    """Units as one string: blanks between written-out words, none between Han characters."""
    return "".join(unit if len(unit) == 1 else f" {unit} " for unit in units).strip()


@dataclass(frozen=True)
class Described:
    """``rows``: (candidates, len(DENSE)); ``words``: names of sparse features; ``covers``: which units of the mention
    each candidate explains, a bit a unit."""

    rows: Floats
    words: list[tuple[str, ...]]
    covers: list[int]

    def take(self, places: Ints) -> Described:
        """Only the candidates at ``places``; sparse features only where they are kept."""
        words = [self.words[at] for at in places.tolist()] if self.words else []
        return Described(self.rows[places], words, [self.covers[at] for at in places.tolist()])


def describe(memory: Memory, evidence: Evidence) -> Described:
    """Dense rows, sparse feature names and what is explained, a candidate each."""
    count = len(evidence)
    if not count:
        return Described(np.zeros((0, len(DENSE))), [], [])
    either = np.maximum(evidence.name_alike, evidence.example_alike)
    # on equal likeness the longer stretch explains more; the whole is first, then the longer ones
    widths = np.asarray([last - first for first, last in evidence.stretches], dtype=np.float64)
    place = np.argmax(either + 1e-6 * widths[:, None], axis=0)
    columns = np.arange(count)
    parts: dict[str, Floats] = {}
    for name in SCORES:
        parts[name] = getattr(evidence, name)[0]
        parts[f"part_{name}"] = getattr(evidence, name)[place, columns]
    best = either[place, columns]
    for name, values in (
        ("name_alike", parts["part_name_alike"]),
        ("example_alike", parts["part_example_alike"]),
        ("vote", parts["vote"]),
        ("habit", parts["habit"]),
        ("either", best),
    ):
        parts[f"{name}_rank"], parts[f"{name}_gap"] = _rank(values), _gap(values)
    for row, length in enumerate(PREFIXES):
        parts[f"near_{length}"] = evidence.near[row]
        parts[f"habit_near_{length}"] = _share(evidence.habit_near[row])
    parts["either_rival_part"] = _rival(best, place)
    rows = np.zeros((count, len(DENSE)))
    for name, values in parts.items():
        rows[:, _AT[name]] = values
    words: list[tuple[str, ...]] = []
    covers: list[int] = []
    for at in range(count):
        values, said, cover = _pair(memory, evidence, at, int(place[at]))
        rows[at, _AT["same_share_name"] :] = values
        words.append(said)
        covers.append(cover)
    return Described(rows, words, covers)


_AT = {name: at for at, name in enumerate(DENSE)}


def _rank(values: Floats) -> Floats:
    order = np.argsort(-values, kind="stable")
    rank = np.empty(len(values))
    rank[order] = np.arange(len(values))
    return np.asarray(np.log1p(rank))


def _gap(values: Floats) -> Floats:
    """Distance to the best rival: positive for the best."""
    if len(values) < 2:
        return np.full(len(values), float(values.max(initial=0.0)))
    second, first = np.partition(values, len(values) - 2)[-2:]
    return np.asarray(np.where(values >= first, values - second, values - first), dtype=np.float64)


def _share(values: Floats) -> Floats:
    return np.asarray(values / max(float(values.max(initial=0.0)), 1e-9), dtype=np.float64)


def _rival(best: Floats, place: np.ndarray) -> Floats:
    """Distance to the best rival that is best on the same stretch."""
    found = np.zeros(len(best))
    for stretch in set(place.tolist()):
        mine = np.flatnonzero(place == stretch)
        found[mine] = _gap(best[mine])
    return found


def _pair(memory: Memory, evidence: Evidence, at: int, place: int) -> tuple[list[float], tuple[str, ...], int]:
    term = int(evidence.terms[at])
    standard = memory.standards[term]
    name, part = memory.wording(term), evidence.parts[place]
    words: list[str] = [f"name {term}"]
    d = differences.difference(part.units, name.units)
    words += differences.names(d, "n")
    values = _strings(memory, d, name, part)
    cover = _bits(d)
    row = int(evidence.example[place, at])
    if row >= 0:
        other = memory.written(row)
        e = differences.difference(part.units, other.units)
        words += differences.names(e, "e")
        if evidence.example_alike[place, at] > evidence.name_alike[place, at] and len(memory.examples[row].terms) == 1:
            cover |= _bits(e)
        left_part = [u for mine, _ in e.swaps for u in mine] + [u for mine in e.outside for u in mine]
        left_other = [u for mine, its in e.swaps for u in its if mine or its]
        values += [
            fuzz.ratio(joined(part.units), joined(other.units)) / 100,
            len(other.units) - e.shared,
            len(part.units) - e.shared,
            memory.weight(left_other),
            memory.weight(left_part),
            float(len(memory.examples[row].terms)),
            float(part.key == other.key),
        ]
        if len(memory.examples[row].terms) > 1:
            words.append("example of several")
    else:
        values += [0.0, 20.0, 20.0, 50.0, 50.0, 0.0, 0.0]
        words.append("no example")
    count = float(memory.counts[term])
    shares = memory.link_share[memory.starts[term] : memory.starts[term + 1]]
    values += [
        float(count > 0),
        math.log1p(count),
        float(shares.mean()) if len(shares) else 0.0,
        float(standard.heading),
        float(len(standard.code)),
        float(len(name.units)),
        float(len(part.units)),
        math.log1p(len(evidence)),
        float(len(evidence.stretches)),
        d.window[0] / max(len(part.units), 1),
        len(part.units) / max(len(evidence.wording.units), 1),
        float(place),
    ]
    values += _translated(memory, evidence, name, part, place)
    values += _analogous(evidence, name)
    offset = evidence.stretches[place][0]
    return values, tuple(dict.fromkeys(words)), cover << offset


def _bits(d: differences.Difference) -> int:
    return sum(((1 << (end - start)) - 1) << start for start, end in d.same)


def _translated(memory: Memory, evidence: Evidence, name: Wording, part: Wording, place: int) -> list[float]:
    weights = memory.weights(name.short)
    says = explained(name.short, evidence.says[place], weights)
    said = explained(part.short, memory.said.best(name.short), memory.weights(part.short))
    whole = explained(name.short, evidence.says[0], weights)
    return [*says, *said, whole[0], whole[2]]


def _analogous(evidence: Evidence, name: Wording) -> list[float]:
    """How like the candidate is to what the nearest known wordings' names become."""
    best = same = ratio = 0.0
    for made, alike in evidence.analogies:
        likeness = fuzz.ratio(made, name.units) / 100
        best, ratio = max(best, likeness * alike), max(ratio, likeness)
        if made == name.units:
            same = max(same, alike)
    return [best, same, ratio]


def _strings(memory: Memory, d: differences.Difference, name: Wording, part: Wording) -> list[float]:
    one, other = joined(part.units), joined(name.units)
    width = max(d.window[1] - d.window[0], 1)
    shared_units = set(part.units) & set(name.units)
    only_name = [unit for unit in dict.fromkeys(name.units) if unit not in shared_units]
    only_part = [unit for unit in dict.fromkeys(part.units) if unit not in shared_units]
    digits_name = {unit for unit in name.units if unit.isdigit()}
    digits_part = {unit for unit in part.units if unit.isdigit()}
    return [
        d.shared / max(len(name.units), 1),
        d.shared / max(len(part.units), 1),
        width / max(len(part.units), 1),
        d.shared / width,
        max((end - start for start, end in d.same), default=0) / max(len(name.units), 1),
        float(len(d.same)),
        fuzz.ratio(one, other) / 100,
        fuzz.partial_ratio(one, other) / 100,
        Prefix.similarity(part.units, name.units) / max(len(name.units), 1),
        Postfix.similarity(part.units, name.units) / max(len(name.units), 1),
        memory.weight(only_name),
        float(len(only_name)),
        memory.weight(only_part),
        float(width - d.shared),
        float(max(len(shared_units) - d.shared, 0)),
        float(len(digits_name & digits_part)),
        float(len(digits_name - digits_part)),
        float(len(digits_part - digits_name)),
    ]
