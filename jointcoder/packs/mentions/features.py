"""Evidence → named figures, one row a code: what the first look weighs, for trained codes and for new ones.

    rows = look(found, memory)       [Row(code, features, words, occurrence), …]

Everything is a figure about wordings, places and counts; none is about what a code means. Log-odds are cut at the ends,
so that one figure never decides alone. ``KNOWN`` and ``NOVEL`` are the names and the order in which models see them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jointcoder.packs.mentions.evidence import WEAKEST, Code, Found, Memory, Named, Vote, mean_inside
from jointcoder.packs.mentions.lexicon import LEVELS, TIGHT, Occurrence
from jointcoder.records import Assertion
from jointcoder.text.assertion import assert_spans

LEVEL_NAMES = ("words", "stems", "meanings", "scattered", "scattered_meanings", "beginnings")
OWN = (
    "alias_precision",
    "alias_found",
    "alias_once",
    "alias_words",
    "alias_letters",
    "alias_share",
    "alias_marked",
    "tagged",
    "tagged_least",
    "tagged_exactly",
    "apart",
    "words_between",
    "noisy_or",
    "aliases",
    "occurrences",
    "tagged_most",
    "inside_longer",
    "not_inside_longer",
    "rival_alias",
)
LIKE = (
    "like",
    "like_score",
    "like_share",
    "likeness",
    "like_tagged",
    "like_place",
    "like_noisy_or",
    "like_covered",
    "like_words",
    "only_like_score",
    "only_likeness",
    "only_like_share",
)
BOOK = (
    "book",
    "book_score",
    "book_place",
    "book_gap",
    "book_ties",
    "book_tagged",
    "book_words",
    "book_category",
    "book_nearest",
    "book_billable",
    "book_noisy_or",
    "book_stretches",
    "book_exact",
    "book_default",
    "book_exact_default",
)
PROFILE = ("profile_score", "profile_share", "profile_likeness", "profile_place", "profile_tagged", "profile_noisy_or")
ABOUT = ("negated", "possible", "past", "position", "prior", "category_prior", "code_length", "note_length")
KNOWN = (
    *(f"{what}_{name}" for name in LEVEL_NAMES for what in ("seen", "precision")),
    "unseen_wording",
    *OWN,
    *LIKE,
    *PROFILE,
    *BOOK,
    *ABOUT,
)
LENGTHS = (3, 4, 5, 6, 7, 8)
NOVEL = (
    *BOOK[1:],
    "book_value",
    "category_seen",
    "siblings_seen",
    "length_usual",
    *(f"length_{n}" for n in LENGTHS),
    "ends_default",
    "ends_first_visit",
    "ends_later_visit",
)
OLD = (Assertion.HISTORICAL, Assertion.FAMILY)
STRONG = 0.4  # alias precision from which an occurrence can cover another
FIRST_VISIT = "A"  # seventh character of injuries


@dataclass(frozen=True)
class Row:
    """One code of one note. ``words``: its best evidence; ``known``: it was trained."""

    code: Code
    known: bool
    features: dict[str, float]
    words: tuple[int, ...]
    assertion: Assertion
    places: tuple[tuple[int, ...], ...]  # all of its evidence that was found by a wording


def odds(probability: float, cut: float = 0.02) -> float:
    """Log-odds, cut at ``cut`` and 1 - ``cut``."""
    inside = min(1 - cut, max(cut, probability))
    return math.log(inside / (1 - inside))


def look(found: Found, memory: Memory) -> list[Row]:
    """The rows of a note, by code."""
    covering = _covering(found, memory)
    rows = []
    chosen: list[tuple[Code, bool, Occurrence | None, tuple[int, ...]]] = []
    for key in sorted(_candidates(found, memory)):
        number = memory.number.get(key)
        occurrences = found.occurrences.get(number, []) if number is not None else []
        best = _best(found, key[0], number, occurrences) if number is not None and occurrences else None
        chosen.append((key, number is not None, best, best.words if best else _place(found, key, number)))
    assertions = _assertions(found, [words for *_, words in chosen])
    for (key, known, best, words), assertion in zip(chosen, assertions, strict=True):
        number = memory.number.get(key)
        places: tuple[tuple[int, ...], ...] = (words,)
        if known and number is not None:
            features = _known(found, memory, number, best, words, covering)
            tight = [o.words for o in found.occurrences.get(number, ()) if o.level <= TIGHT]
            places = tuple(dict.fromkeys([words, *tight]))
            features["negated"] = float(assertion is Assertion.NEGATED)
            features["possible"] = float(assertion is Assertion.POSSIBLE)
            features["past"] = float(assertion in OLD)
        else:
            features = _novel(found, memory, key)
        rows.append(Row(key, known, features, words, assertion, places))
    return rows


def _candidates(found: Found, memory: Memory) -> set[Code]:
    keys = {
        memory.codes[code]
        for code, occurrences in found.occurrences.items()
        if max(o.entry.precision(code) for o in occurrences) >= WEAKEST
    }
    keys |= {memory.codes[code] for code, votes in found.votes.items() if max(v.score for v in votes) > 0.02}
    keys |= {memory.codes[code] for code, votes in found.profiled.items() if max(v.score for v in votes) > 0.04}
    for key, named in found.named.items():
        best = max(named, key=lambda hit: hit.value)
        wanted = best.score >= 0.6 and best.place <= 4
        if key not in memory.number:  # the book alone speaks for it: its first hits will do
            wanted = any(hit.place <= 5 for hit in named)
        if wanted or any(hit.exact or hit.default for hit in named):
            keys.add(key)
    return keys


def _best(found: Found, system: str, code: int, occurrences: Sequence[Occurrence]) -> Occurrence:
    def worth(o: Occurrence) -> tuple[float, int]:
        tagged = mean_inside(found, system, o.words)
        return o.entry.precision(code) * (0.3 + 0.7 * tagged) * 0.9**o.level, -o.words[0]

    return max(occurrences, key=worth)


def _place(found: Found, key: Code, number: int | None) -> tuple[int, ...]:
    if number is not None and (votes := found.votes.get(number)):
        return max(votes, key=lambda vote: vote.score).words
    if number is not None and (votes := found.profiled.get(number)):
        return max(votes, key=lambda vote: vote.score).words
    return max(found.named[key], key=lambda hit: hit.value).words


def _assertions(found: Found, places: Sequence[tuple[int, ...]]) -> list[Assertion]:
    note = found.note
    result = [Assertion.PRESENT] * len(places)
    by_document: dict[int, list[int]] = defaultdict(list)
    for i, words in enumerate(places):
        by_document[note.document[words[0]]].append(i)
    for document, members in by_document.items():
        spans = [(note.starts[places[i][0]], note.ends[places[i][-1]]) for i in members]
        text = note.encounter.documents[document].text
        for i, assertion in zip(members, assert_spans(text, spans, lang=note.language), strict=True):
            result[i] = assertion
    return result


Covering = Mapping[tuple[str, int], list[tuple[float, Occurrence, int]]]


def _covering(found: Found, memory: Memory) -> Covering:
    """By system and word: the strong occurrences there, with their precision and code."""
    covering: dict[tuple[str, int], list[tuple[float, Occurrence, int]]] = defaultdict(list)
    for code, occurrences in found.occurrences.items():
        for o in occurrences:
            if o.level < LEVELS - 1 and (precision := o.entry.precision(code)) >= STRONG:
                for word in o.words:
                    covering[memory.codes[code][0], word].append((precision, o, code))
    return covering


def _known(
    found: Found, memory: Memory, code: int, best: Occurrence | None, words: tuple[int, ...], covering: Covering
) -> dict[str, float]:
    key = memory.codes[code]
    occurrences = found.occurrences.get(code, [])
    row = dict.fromkeys(KNOWN, 0.0)
    for level, name in enumerate(LEVEL_NAMES):
        precisions = [o.entry.precision(code) for o in occurrences if o.level == level]
        if precisions:
            row[f"seen_{name}"] = 1.0
            row[f"precision_{name}"] = odds(max(precisions))
    row["unseen_wording"] = float(best is None)
    if best is not None:
        row |= _own(found, memory, code, best, occurrences, covering)
    if votes := found.votes.get(code):
        row |= _like(votes, key[0], code, covering, unseen=best is None)
    if profiled := found.profiled.get(code):
        row |= _profile(profiled)
    if named := found.named.get(key):
        row |= _named(named)
    row["position"] = words[0] / max(1, len(found.note))
    row["prior"] = math.log(max(1, memory.documents[code]))
    row["category_prior"] = math.log(max(1, memory.categories[key[0], key[1][:3]]))
    row["code_length"] = float(len(key[1]))
    row["note_length"] = math.log(max(1, len(found.note)))
    return row


def _own(
    found: Found,
    memory: Memory,
    code: int,
    best: Occurrence,
    occurrences: Sequence[Occurrence],
    covering: Covering,
) -> dict[str, float]:
    system = memory.codes[code][0]
    entry, words = best.entry, best.words
    inside = found.inside[system][list(words)]
    marked = memory.by_system(entry.codes, system)
    whole = 0 < best.level <= TIGHT or words[-1] - words[0] + 1 == len(words)
    lattice = found.lattices[system]
    row = {
        "alias_precision": odds(entry.precision(code)),
        "alias_found": math.log(max(1, entry.found)),
        "alias_once": float(entry.found <= 1),
        "alias_words": math.log(len(words)),
        "alias_letters": math.log(sum(len(found.note.words[w]) for w in words)),
        "alias_share": marked[code] / sum(marked.values()),
        "alias_marked": marked[code] / max(1, entry.found),
        "tagged": odds(float(inside.mean())),
        "tagged_least": odds(float(inside.min())),
        "tagged_exactly": odds(lattice.exactly(words[0], words[-1])) if whole else 0.0,
        "apart": float(not whole),
        "words_between": math.log1p(best.extra),
    }
    by_entry: dict[int, float] = {}
    tagged_most = -math.inf
    places = {}
    for o in occurrences:
        tagged = mean_inside(found, system, o.words)
        tagged_most = max(tagged_most, odds(tagged))
        places[o.words] = o
        if o.level < LEVELS - 1:
            value = o.entry.precision(code) * (0.5 + 0.5 * tagged)
            by_entry[id(o.entry)] = max(by_entry.get(id(o.entry), 0.0), value)
    against = 1.0
    for value in by_entry.values():
        against *= 1 - min(value, 0.98)
    tight = {o.words for o in occurrences if o.level <= TIGHT}
    free = 0.0
    for o in places.values():
        longer = _longer(o, system, code, covering)
        free = max(free, 1 - longer)
        if o.words == words:
            row["inside_longer"] = longer
    same = [
        precision
        for word in words
        for precision, other, rival in covering.get((system, word), ())
        if rival != code and set(other.words) == set(words)
    ]
    return row | {
        "noisy_or": odds(1 - against),
        "aliases": math.log1p(len(by_entry)),
        "occurrences": math.log1p(len(tight or places)),
        "tagged_most": tagged_most,
        "not_inside_longer": free,
        "rival_alias": max(same, default=0.0),
    }


def _longer(o: Occurrence, system: str, code: int, covering: Covering) -> float:
    """How sure a longer wording of another code is that holds all words of ``o``."""
    words, most = set(o.words), 0.0
    for word in o.words:
        for precision, other, rival in covering.get((system, word), ()):
            if rival != code and code not in other.entry.codes and words < set(other.words):
                most = max(most, precision * (1.0 if other.level <= TIGHT else 0.7))
    return most


def _like(votes: Sequence[Vote], system: str, code: int, covering: Covering, *, unseen: bool) -> dict[str, float]:
    best = max(votes, key=lambda vote: (vote.score, -vote.words[0]))
    against = math.prod(1 - vote.score for vote in votes)
    covered = [p for word in best.words for p, _, rival in covering.get((system, word), ()) if rival != code]
    row = {
        "like": 1.0,
        "like_score": odds(best.score),
        "like_share": max(vote.share for vote in votes),
        "likeness": max(vote.likeness for vote in votes),
        "like_tagged": odds(max(vote.probability for vote in votes)),
        "like_place": math.log1p(min(vote.place for vote in votes)),
        "like_noisy_or": odds(1 - against),
        "like_covered": max(covered, default=0.0),
        "like_words": math.log(len(best.words)),
    }
    if unseen:
        row["only_like_score"] = row["like_score"]
        row["only_likeness"] = row["likeness"]
        row["only_like_share"] = row["like_share"]
    return row


def _profile(votes: Sequence[Vote]) -> dict[str, float]:
    return {
        "profile_score": odds(max(vote.score for vote in votes)),
        "profile_share": max(vote.share for vote in votes),
        "profile_likeness": max(vote.likeness for vote in votes),
        "profile_place": 1.0 / (1 + min(vote.place for vote in votes)),
        "profile_tagged": odds(max(vote.probability for vote in votes)),
        "profile_noisy_or": odds(1 - math.prod(1 - vote.score for vote in votes)),
    }


def _named(named: Sequence[Named]) -> dict[str, float]:
    best = max(named, key=lambda hit: (hit.value, -hit.words[0]))
    return {
        "book": 1.0,
        "book_score": best.score,
        "book_place": math.log1p(best.place),
        "book_gap": best.gap,
        "book_ties": math.log1p(best.ties),
        "book_tagged": odds(best.probability),
        "book_words": math.log(len(best.words)),
        "book_category": best.category,
        "book_nearest": best.nearest,
        "book_billable": float(best.billable),
        "book_noisy_or": math.log(1e-3 + 1 - math.prod(1 - hit.value for hit in named)),
        "book_stretches": math.log1p(len(named)),
        "book_exact": float(any(hit.exact for hit in named)),
        "book_default": float(any(hit.default for hit in named)),
        "book_exact_default": float(any(hit.exact and hit.default for hit in named)),
    }


def _novel(found: Found, memory: Memory, key: Code) -> dict[str, float]:
    system, code = key
    named = found.named[key]
    category = (system, code[:3])
    lengths: Mapping[int, int] = memory.lengths.get(category, {})
    usual: Mapping[int, int] = memory.usual_lengths.get(system, {})
    base = usual.get(len(code), 0) / max(1, sum(usual.values()))
    row = _named(named)
    del row["book"]
    row["book_value"] = math.log(1e-3 + max(hit.value for hit in named))
    row["category_seen"] = math.log1p(memory.categories[category])
    row["siblings_seen"] = math.log1p(memory.siblings[category])
    row["length_usual"] = (lengths.get(len(code), 0) + 2 * base) / (sum(lengths.values()) + 2)
    row |= {f"length_{n}": float(min(len(code), LENGTHS[-1]) == n) for n in LENGTHS}
    seventh = len(code) == 8
    row["ends_default"] = float(code[-1] in "09")
    row["ends_first_visit"] = float(seventh and code[-1] == FIRST_VISIT)
    row["ends_later_visit"] = float(seventh and code[-1] != FIRST_VISIT)
    return row
