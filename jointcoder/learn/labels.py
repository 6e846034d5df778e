"""Coded records without marked evidence → a labels part (:mod:`jointcoder.packs.labels`).

    report = train(corpora, folder, lookup=lookup)
    report.metrics["diagnosis"]["f1"]

    records ─► one a stay (a note wins over its list) ─► words ─► ridge, each record scored without itself
            ─► names, priors, custom ─► pairs (record, code) ─► combiner, thresholds

Records whose text is a list of extracted entries teach the words; only notes teach the combiner, where there are enough
of them, because names, sections and denials are found in notes alone. What is reported is held out: scores leave the
record out, combiners and custom are cross-fitted by encounter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jointcoder.codebook.analysis import Tables
from jointcoder.corpora import Corpus
from jointcoder.errors import InputError
from jointcoder.learn.fit import Fitted, fit_logistic, save
from jointcoder.learn.folds import folds, splits
from jointcoder.learn.label_records import FEW, candidates_of, gathered, language_of, led_kinds, names_of, targets
from jointcoder.learn.label_threshold import Choice, choose
from jointcoder.learn.label_words import words_of
from jointcoder.learn.linear import ridge
from jointcoder.learn.priors import counted
from jointcoder.learn.write import PartReport
from jointcoder.packs.combiner import Combiner
from jointcoder.packs.labels.model import Model, Settings, frame_of
from jointcoder.packs.labels.names import Names
from jointcoder.packs.labels.pairs import FIRSTS, KINDS, OTHERS, STATES, Frame, logit, states
from jointcoder.packs.labels.reading import Reader

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup
    from jointcoder.coder import Coder

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
LEAST_NOTES = 30  # fewer do not make a combiner; lists then help
COMMON = 8  # least occurrences of a code in an open set; in a closed one FEW will do
CUSTOM_STRENGTH = 4.0  # imagined records behind each entry of the custom table
PENALTY = 0.3  # of the combiners (scikit-learn's C)
CROSS = 10
STAGES = 4


@dataclass(frozen=True)
class Options:
    """How combiners are fitted."""

    folder: Path
    trees: float
    seed: int


@dataclass(frozen=True)
class Held:
    """Combiners by kind, and what they say of each record without having seen it."""

    combiners: Mapping[str, Combiner]
    probability: Array


def train(
    corpora: Sequence[Corpus],
    folder: Path,
    *,
    lookup: Lookup | None = None,
    coder: Coder | None = None,
    seed: int = 0,
    want_precision: float | None = None,
    progress: Progress | None = None,
    min_count: int | None = None,
    objective: str | None = None,
    trees: float = 0.0,
) -> PartReport:
    """``lookup``: its book names the codes, where there is one; ``coder`` is not asked. ``min_count``: occurrences that
    make a code one of the set (default: 3 where all corpora say that their set is closed, else 8). ``objective``: what
    the threshold maximises, ``f1`` or ``balanced`` (see :mod:`.label_threshold`; the default for closed sets).
    ``trees``: share of a LightGBM model in the combiners.

    Raises InputError JC114 where the records are too few or too uniform, UsageError JC001 for an unknown objective.
    """
    step = progress or (lambda done, total: None)
    step(0, STAGES)
    closed = all(corpus.closed for corpus in corpora)
    records, codes = gathered(corpora, min_count or (FEW if closed else COMMON))
    language = language_of(records)
    reader = Reader(Tables.load(language))
    words = words_of([record.item for record in records], reader)
    step(1, STAGES)

    candidates = candidates_of(records, codes)
    led = led_kinds(records, codes, candidates)
    other, first = targets(records, codes, candidates, led)
    notes = np.array([not record.listed for record in records])
    judged = np.flatnonzero(notes if notes.sum() >= LEAST_NOTES else np.ones_like(notes))
    linear = ridge(words.rows, np.hstack([other, first]), judged=judged, seed=seed)
    scores, principals = linear.held_out[judged, : len(codes)], linear.held_out[judged, len(codes) :]
    other, first = other[judged], first[judged]
    step(2, STAGES)

    names = names_of(records, codes, lookup.book if lookup else None, language)
    writer = Names.of(names, reader)
    shares = np.stack([writer.said(words.readings[i], language).share for i in judged])
    said = states(shares)
    priors = counted(((record.item, record.ordered) for record in records), inside=frozenset(codes))
    custom = custom_of(said, other)
    frame = frame_of(codes, candidates, priors, writer, custom)
    ids = [records[i].item.encounter.id for i in judged]
    options = Options(folder, trees, seed)
    pairs = frame.others(scores, principals, shares, cross_fitted(said, other, ids, seed))
    others = fit_others(frame, pairs, other, ids, options)
    firsts = fit_firsts(frame, frame.firsts(scores, principals, shares), first, ids, options, led)
    step(3, STAGES)

    choices: dict[str, Choice] = {}
    for name in others.combiners:
        columns = frame.of_kind(name)
        of_kind = np.flatnonzero(columns[frame.candidates]) if name in led else np.zeros(0, dtype=np.int64)
        choices[name] = choose(
            others.probability[:, columns],
            other[:, columns] > 0,
            firsts.probability[:, of_kind],
            first[:, of_kind] > 0,
            places=np.searchsorted(np.flatnonzero(columns), frame.candidates[of_kind]),
            outside=np.array([records[i].outside.get(name, 0) for i in judged]),
            objective=objective or ("balanced" if closed else "f1"),
            want_precision=want_precision,
        )
    thresholds = {
        system: choices[KINDS[frame.kinds[place]].value].threshold
        for place, (system, _) in enumerate(codes)
        if KINDS[frame.kinds[place]].value in choices
    }
    settings = Settings(
        language, codes, names, candidates, led, words.space.shares, others.combiners, firsts.combiners, thresholds
    )
    weights = linear.weights.astype(np.float16)
    Model(settings, priors, reader, words.space, weights, linear.bias, custom).save(folder)
    step(STAGES, STAGES)
    counts = {"records": len(records), "notes": int(notes.sum()), "codes": len(codes)}
    return PartReport(
        metrics={name: choice.metrics for name, choice in choices.items()},
        notes={**counts, "columns": len(words.space.keys), "strength": linear.strength},
        thresholds=thresholds,
    )


def custom_of(said: NDArray[np.int64], target: Array) -> Array:
    """(codes, STATES): log-odds that a code is given when its name stands so, drawn towards those of all codes."""
    found = np.zeros((target.shape[1], STATES))
    for state in range(STATES):
        held = said == state
        usual = (float(target[held].sum()) + 1.0) / (float(held.sum()) + 10.0)
        given = np.where(held, target, 0.0).sum(axis=0)
        found[:, state] = logit((given + CUSTOM_STRENGTH * usual) / (held.sum(axis=0) + CUSTOM_STRENGTH))
    return found


def cross_fitted(said: NDArray[np.int64], target: Array, ids: Sequence[str], seed: int) -> Array:
    """(records, codes): :func:`custom_of` of the other folds."""
    found = np.zeros(target.shape)
    for _, learn, score in splits(folds(ids, CROSS, seed)):
        table = custom_of(said[learn], target[learn])
        found[score] = table[np.arange(target.shape[1]), said[score]]
    return found


def fit_others(frame: Frame, pairs: Array, target: Array, ids: Sequence[str], options: Options) -> Held:
    """Is the code given, of a led kind not as the principal? Probabilities of shape (records, codes)."""
    held = np.zeros(target.shape)
    made: dict[str, Combiner] = {}
    for kind in KINDS:
        columns = np.flatnonzero(frame.of_kind(kind.value))
        if _two_sided(target[:, columns]):
            fitted = _fitted(OTHERS, pairs[:, columns], target[:, columns], ids, options)
            made[kind.value] = save(fitted, options.folder / f"others-{kind.value}")
            held[:, columns] = fitted.out_of_fold.reshape(len(ids), -1)
    if not made:
        raise InputError("JC114", "nothing to learn: every record carries the same codes")
    return Held(made, held)


def fit_firsts(
    frame: Frame, rows: Array, target: Array, ids: Sequence[str], options: Options, led: Sequence[str]
) -> Held:
    """Is the code the principal one? Probabilities of shape (records, candidates); of a led kind they sum to one."""
    held = np.zeros(target.shape)
    made: dict[str, Combiner] = {}
    for kind in KINDS:
        columns = np.flatnonzero(frame.of_kind(kind.value)[frame.candidates])
        if _two_sided(target[:, columns]):
            fitted = _fitted(FIRSTS, rows[:, columns], target[:, columns], ids, replace(options, trees=0.0))
            made[kind.value] = fitted.combiner
            value = fitted.out_of_fold.reshape(len(ids), -1)
            total = np.maximum(value.sum(axis=1, keepdims=True), 1e-9)
            held[:, columns] = value / total if kind.value in led else value
    return Held(made, held)


def _fitted(features: Sequence[str], rows: Array, target: Array, ids: Sequence[str], options: Options) -> Fitted:
    groups = [one for one in ids for _ in range(rows.shape[1])]
    flat = rows.reshape(-1, rows.shape[2])
    return fit_logistic(
        features, flat, target.ravel(), groups, C=PENALTY, folds=CROSS, trees=options.trees, seed=options.seed
    )


def _two_sided(target: Array) -> bool:
    return len(np.unique(target)) == 2
