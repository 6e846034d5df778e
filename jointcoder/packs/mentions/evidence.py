"""What speaks for each code in one note, before any weighing: found wordings, like wordings, names in the code book.

    found = gather(note, memory, lookup)
    found.occurrences[code]     where its wordings stand
    found.votes, .profiled      what like wordings say for it, one by one and taken together
    found.named[system, code]   hits in the code book, whose codes need not be trained ones

A stretch that the taggers take for a mention (or two of one sentence taken together, or a wording of the code book) is
compared with every wording ever marked (:mod:`.likeness`) and looked up in the code book. Knows nothing of features and
models.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from jointcoder.packs.mentions.lexicon import Lexicon, Occurrence, by_code
from jointcoder.packs.mentions.likeness import Likeness
from jointcoder.packs.mentions.tagger import Array, Lattice, Tagger, stretches
from jointcoder.packs.mentions.tokens import Note
from jointcoder.records import Kind, System

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup

NEAREST = 12  # like wordings that vote
VOTED = 8  # codes that a stretch keeps of their vote
PAIRED = 0.15  # probability from which a stretch may be one half of a mention that lies apart
APART = 10  # words between the halves
PAIRS = 24  # of them in one note
LEAST = 0.05  # probability from which a stretch is looked at
LOOKED_UP = 0.08  # the same for looking it up in the book
HITS = 10
PREFIX = 4  # characters of an ICD-10-PCS code that some data code by themselves
NO_PLACE = -1
WEAKEST = 0.08  # alias precision below which an occurrence alone proposes nothing

Code = tuple[str, str]  # system, code


@dataclass(frozen=True, slots=True)
class Vote:
    """What the wordings most like a stretch say for a code. ``place``: its rank among the codes voted for."""

    words: tuple[int, ...]
    probability: float  # of the stretch being a mention
    share: float
    likeness: float
    place: int

    @property
    def score(self) -> float:
        return self.probability * self.share * self.likeness


@dataclass(frozen=True, slots=True)
class Named:
    """A hit of the code book for a stretch. ``category``: share of the like wordings' votes for its category;
    ``nearest``: how like the most like wording is; ``gap``: to the best hit; ``ties``: hits as good as this one;
    ``exact``: the wording is the book's own; ``default``: the best of the assignable hits."""

    words: tuple[int, ...]
    probability: float
    score: float
    place: int
    gap: float
    ties: int
    category: float
    nearest: float
    billable: bool
    exact: bool = False
    default: bool = False

    @property
    def value(self) -> float:
        return self.probability * self.score**2 * (0.3 + self.category) * (1 - 0.1 * self.gap)


@dataclass
class Memory:
    """What training keeps besides the models. ``codes``: the trained ones with the number of encounters of each;
    ``pairs``: encounters that two codes share. Filled by training, then only read."""

    lexicon: Lexicon
    taggers: Mapping[str, Tagger]
    codes: list[Code] = field(default_factory=list)
    documents: list[int] = field(default_factory=list)
    pairs: dict[tuple[int, int], int] = field(default_factory=dict)
    encounters: int = 0

    def prepare(self) -> None:
        """Index what is derived."""
        self.number = {code: i for i, code in enumerate(self.codes)}
        self.entries = list(self.lexicon.levels[0].values())
        texts = [(" ".join(entry.key), number) for number, entry in enumerate(self.entries)]
        texts += [(entry.meant, n) for n, entry in enumerate(self.entries) if entry.meant not in ("", texts[n][0])]
        self.likeness = Likeness([text for text, _ in texts])
        self._entry_of = [number for _, number in texts]
        wordings: list[list[str]] = [[] for _ in self.codes]
        for entry in self.entries:
            for number in entry.codes:
                wordings[number].append(" ".join(entry.key))
        self.profiles = Likeness([" ; ".join(sorted(texts)) for texts in wordings])
        categories: Counter[Code] = Counter()
        siblings: Counter[Code] = Counter()
        lengths: dict[Code, Counter[int]] = defaultdict(Counter)
        usual: dict[str, Counter[int]] = defaultdict(Counter)
        for (system, code), count in zip(self.codes, self.documents, strict=True):
            category = (system, code[:3])
            categories[category] += count
            siblings[category] += 1
            lengths[category][len(code)] += count
            usual[system][len(code)] += count
        self.categories, self.siblings = categories, siblings  # a Counter says 0 of what it does not hold
        self.lengths, self.usual_lengths = dict(lengths), dict(usual)

    def like(self, text: str, meant: str) -> tuple[tuple[int, float], ...]:
        """Numbers of the entries most like a wording, as it stands or as it is meant, with their likeness."""
        best: dict[int, float] = {}
        for one in dict.fromkeys((text, meant)):
            for place, likeness in self.likeness.nearest(one, NEAREST):
                number = self._entry_of[place]
                best[number] = max(best.get(number, 0.0), likeness)
        return tuple(sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:NEAREST])

    @property
    def systems(self) -> tuple[str, ...]:
        return tuple(sorted(self.taggers))

    def by_system(self, counts: Mapping[int, Sequence[int]], system: str) -> dict[int, int]:
        """Of an entry's codes those of one system, with how often each was marked."""
        return {code: pair[1] for code, pair in counts.items() if self.codes[code][0] == system}


@dataclass(frozen=True)
class Found:
    """All evidence of one note."""

    note: Note
    lattices: Mapping[str, Lattice]
    occurrences: Mapping[int, list[Occurrence]]
    votes: Mapping[int, list[Vote]]
    profiled: Mapping[int, list[Vote]]
    named: Mapping[Code, list[Named]]
    inside: Mapping[str, Array]


def gather(note: Note, memory: Memory, lookup: Lookup | None) -> Found:
    """Everything that speaks for some code in ``note``."""
    matched = by_code(memory.lexicon.match(note))
    # A system with too few examples has wordings but no tagger and no weights: its codes cannot be proposed.
    occurrences = {code: found for code, found in matched.items() if memory.codes[code][0] in memory.taggers}
    lattices = {system: memory.taggers[system].read(note) for system in memory.systems}
    votes: dict[int, list[Vote]] = defaultdict(list)
    profiled: dict[int, list[Vote]] = defaultdict(list)
    named: dict[Code, list[Named]] = defaultdict(list)
    spotted = _spotted(note, lookup)
    for system, lattice in lattices.items():
        single = stretches(note, lattice, least=LEAST)
        places = {tuple(range(first, last + 1)): probability for first, last, probability in single}
        for words in spotted.get(system, ()):
            places.setdefault(words, lattice.exactly(words[0], words[-1]))
        sure = frozenset(spotted.get(system, ()))
        book = lookup if lookup is not None and System(system) in lookup.book.info.systems else None
        for words, probability in [*places.items(), *_halves(note, single)]:
            text = " ".join(note.words[i] for i in words)
            near = memory.like(text, note.meant(words))
            shares, alike = poll(near, memory, system)
            ranked = sorted(shares, key=lambda code: (-shares[code], code))
            for place, code in enumerate(ranked[:VOTED]):
                votes[code].append(Vote(words, probability, shares[code], alike[code], place))
            for vote in _profiled(memory, system, text, words, probability):
                profiled[vote[0]].append(vote[1])
            if book is not None and (probability >= LOOKED_UP or words in sure):
                for key, hit in look_up(note, book, System(system), words, probability, near, shares, memory):
                    named[key].append(hit)
    inside = {system: lattice.inside for system, lattice in lattices.items()}
    return Found(note, lattices, occurrences, votes, profiled, named, inside)


def _halves(note: Note, single: Sequence[tuple[int, int, float]]) -> list[tuple[tuple[int, ...], float]]:
    """Pairs of stretches of one sentence that may be one mention lying apart, the likeliest first."""
    likely = [stretch for stretch in single if stretch[2] >= PAIRED]
    found = []
    for i, (first, last, one) in enumerate(likely):
        for begin, end, other in likely[i + 1 :]:
            if last < begin <= last + APART and note.sentence[first] == note.sentence[begin]:
                words = (*range(first, last + 1), *range(begin, end + 1))
                found.append((words, one * other))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:PAIRS]


def _spotted(note: Note, lookup: Lookup | None) -> dict[str, list[tuple[int, ...]]]:
    """By system, the words that are a wording of the code book."""
    found: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    if lookup is None:
        return found
    for number, document in enumerate(note.encounter.documents):
        for spotted in lookup.spot(document.text, note.language):
            words = note.inside(number, spotted.start, spotted.end)
            if words and note.sentence[words[0]] == note.sentence[words[-1]]:
                for name in sorted({hit.system.value for hit in spotted.hits}):
                    found[name].append(words)
    return found


def _profiled(
    memory: Memory, system: str, text: str, words: tuple[int, ...], probability: float
) -> list[tuple[int, Vote]]:
    """The codes all of whose wordings together are most like the text."""
    near = [
        (code, like) for code, like in memory.profiles.nearest(text, NEAREST, 0.1) if memory.codes[code][0] == system
    ]
    total = sum(like**4 for _, like in near)
    return [
        (code, Vote(words, probability, like**4 / total, like, place))
        for place, (code, like) in enumerate(near[:VOTED])
    ]


def poll(near: Iterable[tuple[int, float]], memory: Memory, system: str) -> tuple[dict[int, float], dict[int, float]]:
    """The shares of the votes that each code of ``system`` has among like wordings, and how like its best one is."""
    votes: dict[int, float] = defaultdict(float)
    alike: dict[int, float] = {}
    total = 0.3  # a vote for nothing
    for number, likeness in near:
        marked = memory.by_system(memory.entries[number].codes, system)
        if not marked:
            continue
        weight = likeness**3
        total += weight
        everything = sum(marked.values())
        for code, count in marked.items():
            votes[code] += weight * count / everything
            alike[code] = max(alike.get(code, 0.0), likeness)
    return {code: value / total for code, value in votes.items()}, alike


def look_up(
    note: Note,
    lookup: Lookup,
    system: System,
    words: tuple[int, ...],
    probability: float,
    near: Sequence[tuple[int, float]],
    shares: Mapping[int, float],
    memory: Memory,
) -> list[tuple[Code, Named]]:
    """The book's codes for the wording of a stretch; of ICD-10-PCS their first four characters too."""
    quote = " ".join(span.quote for span in note.pieces(words))
    hits = lookup.search(quote, kind=system.kind, lang=note.language, k=HITS, system=system, source="lexical")
    rows = [(hit.code.upper(), hit.score, place, "exact" in hit.sources) for place, hit in enumerate(hits)]
    billable = [lookup.book.is_billable(system, code) for code, *_ in rows]
    default = billable.index(True) if True in billable else NO_PLACE
    if system is System.ICD10PCS:
        rows += [(code[:PREFIX], score, place, exact) for code, score, place, exact in rows if len(code) > PREFIX]
    best = hits[0].score if hits else 0.0
    nearest = near[0][1] if near else 0.0
    categories: dict[str, float] = defaultdict(float)
    for number, share in shares.items():
        categories[memory.codes[number][1][:3]] += share
    found: dict[Code, Named] = {}
    for at, (code, score, place, exact) in enumerate(rows):
        key = (system.value, code)
        if key not in found:
            found[key] = Named(
                words=words,
                probability=probability,
                score=score,
                place=place,
                gap=best - score,
                ties=sum(abs(hit.score - score) < 0.02 for hit in hits),
                category=categories[code[:3]],
                nearest=nearest,
                billable=at < len(billable) and billable[at],
                exact=exact,
                default=at == default,
            )
    return list(found.items())


def mean_inside(found: Found, system: str, words: Sequence[int]) -> float:
    """How much the tagger of ``system`` takes these words for part of a mention."""
    return float(np.mean(found.inside[system][list(words)]))


def kind_of(system: str) -> Kind:
    """The kind of a system by its name."""
    return System(system).kind
