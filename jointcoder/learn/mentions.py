"""Encounters whose codes have marked evidence → the part :mod:`jointcoder.packs.mentions`.

    report = train([load("coded.jsonl")], folder, lookup=lookup)

Whatever is computed from marked mentions (lexicon and its precision, taggers, likeness, company of codes) is made anew
for each fold from the other folds, so that a training row shows what an unseen note would show. Then first look, second
look and, where a lookup is given, the look at codes never trained are fitted on these rows; thresholds come from scores
that are out of fold twice. What is stored is then made from all encounters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.corpora.base import Corpus, Labelled
from jointcoder.errors import InputError
from jointcoder.evaluation.scored import Gold, Predicted, Scored
from jointcoder.learn.fit import Fitted, best_threshold, fit_logistic, save
from jointcoder.learn.folds import folds
from jointcoder.learn.measure import figures
from jointcoder.learn.tagging import labels, seen, train_tagger
from jointcoder.learn.unseen import write_unseen
from jointcoder.learn.write import PartReport
from jointcoder.packs.combiner import Combiner
from jointcoder.packs.mentions.evidence import Code, Memory, gather
from jointcoder.packs.mentions.features import KNOWN, Row, look
from jointcoder.packs.mentions.lexicon import Lexicon
from jointcoder.packs.mentions.part import Mentions, Models, matrix, trees_of
from jointcoder.packs.mentions.second import KNOWN_SECOND, NOVEL_SECOND, add_company
from jointcoder.packs.mentions.tagger import Tagger
from jointcoder.packs.mentions.tokens import Note, Reader
from jointcoder.text.language import detect

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup

FOLDS = 10
TAGGER_FOLDS = 5  # taggers cost most
FEWEST = 5  # encounters without which nothing can be held out
FEWEST_NOVEL = 20  # right rows without which codes never trained are left alone
STRENGTH = 0.1  # inverse L2
TREES = 0.5  # share of the trees in the log-odds
ROUNDS = 150

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Example:
    """A read note with its codes: for each code the marked words of its mentions, fragments apart and joined."""

    id: str
    note: Note
    codes: Mapping[Code, tuple[tuple[int, ...], ...]]
    fragments: Mapping[str, tuple[tuple[int, ...], ...]]


def train(
    corpora: Sequence[Corpus],
    folder: Path,
    *,
    lookup: Lookup | None = None,
    coder: Any = None,
    seed: int = 0,
    want_precision: float | None = None,
    progress: Progress | None = None,
    held_out: Path | None = None,
) -> PartReport:
    """Learn, and write the part into ``folder``. ``coder`` is not used. ``held_out``: a file for what the part would
    have said of each training encounter had it not seen it (:mod:`jointcoder.learn.unseen`).

    Raises InputError JC114 where the records are too few or their codes are all marked or all unmarked, JC108 where no
    code has evidence; AssetError JC211 where a trainer's library is missing.
    """
    examples = read([item for corpus in corpora for item in corpus.items])
    systems = sorted({system for example in examples for system in example.fragments})
    if not systems:
        raise InputError("JC108", "no code has marked evidence", hint="codes need spans to teach the part mentions")
    fold = folds([example.id for example in examples], min(FOLDS, max(FEWEST, len(examples))), seed)
    steps = _Steps(progress, len(systems) * (TAGGER_FOLDS + 1) + 2 * len(examples))
    whole, taggers = train_taggers(examples, fold, systems, steps)
    rows, memories = cross_fitted(examples, fold, taggers, lookup, steps)
    made = fit(examples, rows, memories, systems, folder, seed)
    if held_out is not None:
        write_unseen(held_out, made, [corpus.name for corpus in corpora for _ in corpus.items])
    memory = remember(examples, whole)
    kept = {system: tagger for system, tagger in whole.items() if system in made.models}
    memory.taggers = kept
    languages = [language for language, _ in Counter(e.note.language for e in examples).most_common()]
    Mentions(memory, made.models, languages=languages).save(folder)
    thresholds = {}
    for system in made.models:
        probability, right, missed = made.held_out(system)
        thresholds[system] = best_threshold(probability, right, missed, want_precision=want_precision)
    scored = made.scored(thresholds)
    steps.finish()
    return PartReport(figures(scored, list(made.models)), made.notes(thresholds), thresholds)


def read(items: Sequence[Labelled]) -> list[Example]:
    """The notes' words and the marked words of their codes; codes of systems we do not code are passed over."""
    readers: dict[str, Reader] = {}
    examples = []
    for item in items:
        encounter = item.encounter
        language = encounter.language or detect("\n".join(d.text for d in encounter.documents)).language
        note = readers.setdefault(language, Reader(language)).read(encounter)
        codes: dict[Code, dict[tuple[int, ...], None]] = {}
        fragments: dict[str, dict[tuple[int, ...], None]] = {}
        for gold in item.gold:
            mentions = codes.setdefault((gold.system, gold.code.upper()), {})
            for span in gold.spans:
                pieces = [note.inside(span.document, *piece) for piece in span.fragments]
                words = tuple(sorted({word for piece in pieces for word in piece}))
                if words:
                    mentions[words] = None
                    fragments.setdefault(gold.system, {}).update(dict.fromkeys(piece for piece in pieces if piece))
        examples.append(
            Example(
                encounter.id,
                note,
                {code: tuple(mentions) for code, mentions in codes.items()},
                {system: tuple(pieces) for system, pieces in fragments.items()},
            )
        )
    return examples


def remember(examples: Sequence[Example], taggers: Mapping[str, Tagger]) -> Memory:
    """The memory of these encounters: lexicon, codes, company."""
    codes = sorted({code for example in examples for code, mentions in example.codes.items() if mentions})
    number = {code: i for i, code in enumerate(codes)}
    lexicon = Lexicon()
    pairs: Counter[tuple[int, int]] = Counter()
    documents: Counter[int] = Counter()
    gold = []
    for example in examples:
        mine = frozenset(number[code] for code in example.codes if code in number)
        gold.append((example.note, mine))
        documents.update(mine)
        pairs.update(combinations(sorted(mine), 2))
        for code, mentions in example.codes.items():
            for words in mentions:
                lexicon.add(example.note, words, number[code])
    lexicon.count(gold)
    memory = Memory(lexicon, taggers, codes, [documents[i] for i in range(len(codes))], dict(pairs), len(examples))
    memory.prepare()
    return memory


def train_taggers(
    examples: Sequence[Example], fold: NDArray[np.int64], systems: Sequence[str], steps: _Steps
) -> tuple[dict[str, Tagger], list[dict[str, Tagger]]]:
    """One tagger a system from all encounters, and for each group of folds those that did not see the group."""
    views = [seen(example.note) for example in examples]
    number = min(TAGGER_FOLDS, int(fold.max()) + 1)
    whole: dict[str, Tagger] = {}
    held: list[dict[str, Tagger]] = [{} for _ in range(number)]
    for system in systems:
        marks = [labels(example.note, example.fragments.get(system, ())) for example in examples]
        for group in range(-1, number):
            chosen = [i for i in range(len(examples)) if fold[i] % number != group or group < 0]
            tagger = train_tagger((views[i], marks[i]) for i in chosen)
            (whole if group < 0 else held[group])[system] = tagger
            steps.done(1)
    return whole, held


def cross_fitted(
    examples: Sequence[Example],
    fold: NDArray[np.int64],
    taggers: Sequence[Mapping[str, Tagger]],
    lookup: Lookup | None,
    steps: _Steps,
) -> tuple[list[list[Row]], list[Memory]]:
    """For each encounter its rows, seen by what the other folds teach, and the company of codes in those folds."""
    rows: list[list[Row]] = [[] for _ in examples]
    memories: list[Memory] = []
    for number in range(int(fold.max()) + 1):
        others = [examples[i] for i in np.flatnonzero(fold != number).tolist()]
        memory = remember(others, taggers[number % len(taggers)])
        for i in np.flatnonzero(fold == number).tolist():
            rows[i] = look(gather(examples[i].note, memory, lookup), memory)
            steps.done(1)
        light = Memory(Lexicon(), {}, memory.codes, memory.documents, memory.pairs, memory.encounters)
        light.prepare()
        memories.append(light)
    return rows, [memories[number] for number in fold]


@dataclass
class Made:
    """Fitted models, and the held-out probability of every row: ``held[i][r]`` of row ``r`` of encounter ``i``."""

    examples: Sequence[Example]
    rows: Sequence[Sequence[Row]]
    models: dict[str, Models]
    held: list[list[float]]

    def held_out(self, system: str) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
        """Probability and truth of all rows of a system, and how many gold codes have none."""
        probability, right, gold = [], [], 0
        for example, rows, held in zip(self.examples, self.rows, self.held, strict=True):
            gold += sum(code[0] == system for code in example.codes)
            for row, value in zip(rows, held, strict=True):
                if row.code[0] == system:
                    probability.append(value)
                    right.append(row.code in example.codes)
        return np.array(probability), np.array(right, dtype=np.bool_), gold - sum(right)

    def scored(self, thresholds: Mapping[str, float]) -> list[Scored]:
        """The held-out proposals as encounters, for the usual measures."""
        result = []
        for example, rows, held in zip(self.examples, self.rows, self.held, strict=True):
            given: list[Predicted] = []
            others: list[Predicted] = []
            for row, value in zip(rows, held, strict=True):
                if row.code[0] in thresholds:
                    (given if value >= thresholds[row.code[0]] else others).append(Predicted(*row.code, value))
            labels_ = [Gold(system, code) for system, code in example.codes if system in thresholds]
            result.append(Scored(labels_, given, suggested=others))
        return result

    def notes(self, thresholds: Mapping[str, float]) -> dict[str, Any]:
        """Where gold codes are lost, by system, held out: never trained, no candidate, or under the threshold."""
        found: dict[str, Any] = {}
        for system, threshold in thresholds.items():
            counts: Counter[str] = Counter()
            for example, rows, held in zip(self.examples, self.rows, self.held, strict=True):
                value = {row.code: p for row, p in zip(rows, held, strict=True)}
                for code in (code for code in example.codes if code[0] == system):
                    counts["gold"] += 1
                    if code not in value:
                        counts["no candidate"] += 1
                    else:
                        counts["found" if value[code] >= threshold else "under the threshold"] += 1
            found[system] = dict(counts)
        return found


def fit(
    examples: Sequence[Example],
    rows: Sequence[list[Row]],
    memories: Sequence[Memory],
    systems: Sequence[str],
    folder: Path,
    seed: int,
) -> Made:
    """First look, company, second look, new codes. A system that has too little to learn from is left out."""
    held = [[0.0] * len(mine) for mine in rows]
    first: dict[str, Combiner] = {}
    errors = []
    for system in systems:
        try:
            fitted, places = _fit(examples, rows, system, True, KNOWN, seed)
        except InputError as error:
            errors.append(error)
            continue
        first[system] = save(fitted, trees_of(folder, system, "first"))
        for (i, r), value in zip(places, fitted.out_of_fold, strict=True):
            held[i][r] = float(value)
    if not first:
        raise errors[0]
    for mine, values, memory in zip(rows, held, memories, strict=True):
        add_company(mine, values, memory)
    models: dict[str, Models] = {}
    for system, combiner in first.items():
        fitted, places = _fit(examples, rows, system, True, KNOWN_SECOND, seed)
        second = save(fitted, trees_of(folder, system, "second"))
        for (i, r), value in zip(places, fitted.out_of_fold, strict=True):
            held[i][r] = float(value)
        novel = None
        right = sum(
            not row.known and row.code[0] == system and row.code in e.codes for e, row in _pairs(examples, rows)
        )
        if right >= FEWEST_NOVEL:
            fitted, places = _fit(examples, rows, system, False, NOVEL_SECOND, seed)
            novel = save(fitted, trees_of(folder, system, "novel"))
            for (i, r), value in zip(places, fitted.out_of_fold, strict=True):
                held[i][r] = float(value)
        models[system] = Models(combiner, second, novel)
    return Made(examples, rows, models, held)


def _pairs(examples: Sequence[Example], rows: Sequence[list[Row]]) -> list[tuple[Example, Row]]:
    return [(example, row) for example, mine in zip(examples, rows, strict=True) for row in mine]


def _fit(
    examples: Sequence[Example], rows: Sequence[list[Row]], system: str, known: bool, names: Sequence[str], seed: int
) -> tuple[Fitted, list[tuple[int, int]]]:
    """One model, and the rows (encounter, row) it was fitted on, in order."""
    places = [
        (i, r)
        for i, mine in enumerate(rows)
        for r, row in enumerate(mine)
        if row.known is known and row.code[0] == system
    ]
    chosen = [rows[i][r] for i, r in places]
    target = np.array([rows[i][r].code in examples[i].codes for i, r in places], dtype=np.int64)
    fitted = fit_logistic(
        names,
        matrix(chosen, range(len(chosen)), names),
        target,
        [examples[i].id for i, _ in places],
        C=STRENGTH,
        trees=TREES,
        rounds=ROUNDS,
        seed=seed,
    )
    return fitted, places


class _Steps:
    """Counts work for a progress callback."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def done(self, number: int) -> None:
        self._done = min(self._total, self._done + number)
        if self._progress:
            self._progress(self._done, self._total)

    def finish(self) -> None:
        self.done(self._total)
