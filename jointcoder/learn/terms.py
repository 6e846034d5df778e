"""Trains the terms part: wordings and their standard terms → candidates, features, combiners, thresholds.

    report = train([corpus], folder, lookup=lookup)

Everything a training wording is judged by is learnt without it: examples, votes, translations and log-linear weights
come from the other folds, and folds are by record. The thresholds are chosen on those held-out opinions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.corpora import Corpus, TermCorpus
from jointcoder.errors import InputError
from jointcoder.learn import terms_fit
from jointcoder.learn.fit import Fitted, save
from jointcoder.learn.folds import folds, splits
from jointcoder.learn.terms_cases import Cases, cases_of
from jointcoder.learn.terms_choose import Judged, choose, measures
from jointcoder.learn.write import PartReport
from jointcoder.packs.terms import FILE
from jointcoder.packs.terms.evidence import Evidence, gather
from jointcoder.packs.terms.features import Described, describe
from jointcoder.packs.terms.index import Floats, Index
from jointcoder.packs.terms.memory import Example, Memory
from jointcoder.packs.terms.model import FINAL, FIRST, final_rows, first_rows, foremost
from jointcoder.packs.terms.wording import Wording

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup

FOLDS = 5
ALONE = 0.9  # share of wordings with one term from which whole sets are what counts
STEP = 0.5  # work of fitting a model, in wordings prepared
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Prepared:
    """Candidates of all training wordings, each found without the wording's own fold."""

    fold: NDArray[np.int64]
    memories: tuple[Memory, ...]
    evidence: tuple[Evidence, ...]
    described: tuple[Described, ...]
    rows: terms_fit.Rows
    missed: NDArray[np.int64]

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where the rows of each wording begin, and where the last end."""
        return np.concatenate(([0], np.cumsum([len(one) for one in self.evidence]))).astype(np.int64)


def train(
    corpora: Sequence[Corpus | TermCorpus],
    folder: Path,
    *,
    lookup: Lookup | None = None,
    coder: object = None,
    seed: int = 0,
    want_precision: float | None = None,
    progress: Progress | None = None,
    only_seen: bool = False,
    measure: str = "auto",
    held_out: Path | None = None,
) -> PartReport:
    """Learn and write the part into ``folder``. ``coder`` is not needed.

    ``measure``: what thresholds are chosen for: ``f1`` over names, ``accuracy`` of whole sets, or ``auto`` (accuracy
    where nine in ten wordings hold one term); ``want_precision`` overrides it. ``only_seen``: no names of the book that
    the data never use. ``held_out``: a file for what the part would have said of each training wording had it not seen
    it (:func:`write_held_out`). Raises InputError JC108, JC114.
    """
    cases = cases_of(corpora, lookup.book if lookup else None, only_seen=only_seen)
    tell = progress or (lambda done, total: None)
    total = len(cases.cases) * (1 + 3 * STEP)
    prepared = prepare(cases, seed=seed, progress=lambda done: tell(done, int(total)))
    return fit(
        cases,
        prepared,
        folder,
        seed=seed,
        want_precision=want_precision,
        measure=measure,
        held_out=held_out,
        source=corpora[0].name if len({corpus.name for corpus in corpora}) == 1 else "",
        step=lambda number: tell(int(len(cases.cases) * (1 + number * STEP)), int(total)),
    )


def fit(
    cases: Cases,
    prepared: Prepared,
    folder: Path,
    *,
    seed: int = 0,
    want_precision: float | None = None,
    measure: str = "auto",
    held_out: Path | None = None,
    source: str = "",
    step: Callable[[int], None] | None = None,
) -> PartReport:
    """From prepared candidates to the part in ``folder``. ``step`` is told 1, 2, 3 as the three models are done."""
    tell = step or (lambda number: None)
    built = terms_fit.design(prepared.rows)
    words = held_out_words(prepared, built)
    weights = terms_fit.fit(built.matrix, prepared.rows.right, prepared.rows.mention)
    model = terms_fit.model_of(weights, built, prepared.rows.vocabulary)
    prepared, words = thin(prepared, words)
    tell(1)
    first_x, first = fit_first(prepared, words, seed)
    tell(2)
    final = fit_final(prepared, first_x, first, seed)
    tell(3)
    if held_out is not None:
        write_held_out(held_out, cases, prepared, final, source=source)
    judged = Judged.of(final.out_of_fold, prepared.rows.right, prepared.starts, prepared.missed)
    wanted = measure if measure != "auto" else measure_for(cases)
    choosing = choose(judged, wanted, want_precision)
    folder.mkdir(parents=True, exist_ok=True)
    _memory(cases, range(len(cases.cases)), prepared.memories[0].names).save(folder)
    model.save(folder)
    data = {
        "language": cases.language,
        "threshold": choosing.threshold,
        "least": choosing.least,
        "first": save(first, folder / "first").to_json(),
        "final": save(final, folder / "final").to_json(),
    }
    (folder / FILE).write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    notes = {
        "wordings": len(cases.cases),
        "standards": len(cases.standards),
        "standards seen": len({term for case in cases.cases for term in case.terms}),
        "words": len(model.words),
        "chosen for": wanted if want_precision is None else f"precision {want_precision}",
    }
    return PartReport(measures(judged, choosing, seed), notes, {"names": choosing.threshold})


def write_held_out(
    path: Path, cases: Cases, prepared: Prepared, final: Fitted, *, k: int = 10, source: str = ""
) -> None:
    """One line a training wording: its best ``k`` candidates with held-out log-odds, and which are right.

    The material for a model that chooses among candidates, and for :mod:`jointcoder.learn.terms_rescore`. It holds the
    wordings: treat it as the data themselves.
    """
    starts = prepared.starts
    with path.open("w", encoding="utf-8") as file:
        for i, case in enumerate(cases.cases):
            raw = final.raw[starts[i] : starts[i + 1]]
            order = np.lexsort((prepared.evidence[i].terms, -raw))[:k]
            standards = [cases.standards[int(prepared.evidence[i].terms[at])] for at in order]
            line = {
                "source": source,
                "group": case.group,
                "language": cases.language,
                "text": case.text,
                "names": [standard.name for standard in standards],
                "codes": [standard.code for standard in standards],
                "logodds": [round(float(raw[at]), 4) for at in order],
                "probability": [round(float(final.out_of_fold[starts[i] + at]), 4) for at in order],
                "right": [bool(prepared.rows.right[starts[i] + at]) for at in order],
                "gold": len(case.terms),
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def measure_for(cases: Cases) -> str:
    """Whole sets where nine in ten wordings hold one term, else F1 over the terms."""
    return "accuracy" if np.mean([len(case.terms) == 1 for case in cases.cases]) >= ALONE else "f1"


def prepare(cases: Cases, *, seed: int = 0, progress: Callable[[int], None] | None = None) -> Prepared:
    """Candidates and features of every training wording, from a memory that lacks the wording's fold."""
    fold = folds([case.group for case in cases.cases], FOLDS, seed)
    names = Index.build([Wording.of(standard.name) for standard in cases.standards])
    memories: list[Memory] = []
    evidence: dict[int, Evidence] = {}
    described: dict[int, Described] = {}
    table: dict[str, int] = {}
    words: dict[int, list[NDArray[np.int32]]] = {}
    for _, learn, score in splits(fold):
        memory = _memory(cases, learn.tolist(), names)
        memories.append(memory)
        for number in score.tolist():
            found = gather(memory, cases.cases[number].text, cases.language)
            one = describe(memory, found)
            words[number] = [
                np.fromiter((table.setdefault(w, len(table)) for w in mine), dtype=np.int32) for mine in one.words
            ]
            evidence[number] = replace(found, says=(), analogies=())  # what later steps need, and no more
            described[number] = replace(one, words=[])
            if progress:
                progress(len(evidence))
    numbers = range(len(cases.cases))
    gold = [np.asarray(case.terms) for case in cases.cases]
    right = [np.isin(evidence[i].terms, gold[i]) for i in numbers]
    rows = terms_fit.Rows(
        np.vstack([described[i].rows for i in numbers]).astype(np.float32),
        [mine for i in numbers for mine in words[i]],
        tuple(table),
        np.concatenate(right),
        np.concatenate([np.full(len(evidence[i]), i, dtype=np.int64) for i in numbers]),
    )
    if not rows.right.any() or rows.right.all():
        raise InputError("JC114", "nothing to learn: the candidates are all right or all wrong, or there are none")
    missed = np.asarray([len(gold[i]) - int(right[i].sum()) for i in numbers], dtype=np.int64)
    return Prepared(
        fold, tuple(memories), tuple(evidence[i] for i in numbers), tuple(described[i] for i in numbers), rows, missed
    )


def held_out_words(prepared: Prepared, built: terms_fit.Design) -> Floats:
    """What log-linear models say of rows they were not fitted on."""
    scores = np.zeros(len(prepared.rows.right))
    of_row = prepared.fold[prepared.rows.mention]
    for _, learn, score in splits(of_row):
        weights = terms_fit.fit(built.matrix[learn], prepared.rows.right[learn], prepared.rows.mention[learn])
        scores[score] = built.matrix[score] @ weights
    return scores


def thin(prepared: Prepared, words: Floats) -> tuple[Prepared, Floats]:
    """Only the candidates that inference leaves to the combiners; right ones that are lost count as missed."""
    starts = prepared.starts
    kept = [foremost(words[first:last]) for first, last in pairwise(starts.tolist())]
    every = np.concatenate([places + first for places, first in zip(kept, starts[:-1], strict=True)])
    right = prepared.rows.right[every]
    mention = prepared.rows.mention[every]
    lost = np.bincount(prepared.rows.mention, weights=prepared.rows.right, minlength=len(prepared.missed))
    lost -= np.bincount(mention, weights=right, minlength=len(prepared.missed))
    return replace(
        prepared,
        evidence=tuple(one.take(places) for one, places in zip(prepared.evidence, kept, strict=True)),
        described=tuple(one.take(places) for one, places in zip(prepared.described, kept, strict=True)),
        rows=terms_fit.Rows(prepared.rows.dense[every], [], (), right, mention),
        missed=prepared.missed + lost.astype(np.int64),
    ), words[every]


def fit_first(prepared: Prepared, words: Floats, seed: int) -> tuple[list[Floats], Fitted]:
    """The combiner that judges a candidate by itself; its rows, a wording each."""
    starts = prepared.starts
    rows = [first_rows(one, words[starts[i] : starts[i + 1]]) for i, one in enumerate(prepared.described)]
    return rows, _fit(FIRST, rows, prepared, seed)


def fit_final(prepared: Prepared, first_x: Sequence[Floats], first: Fitted, seed: int) -> Fitted:
    """The combiner that knows what the first one said of all candidates."""
    starts = prepared.starts
    rows = []
    for i, evidence in enumerate(prepared.evidence):
        memory = prepared.memories[prepared.fold[i]]
        logodds = first.raw[starts[i] : starts[i + 1]]
        rows.append(final_rows(memory, evidence, prepared.described[i], first_x[i], logodds))
    return _fit(FINAL, rows, prepared, seed)


def _fit(names: tuple[str, ...], rows: Sequence[Floats], prepared: Prepared, seed: int) -> Fitted:
    fold = prepared.fold[prepared.rows.mention]
    return terms_fit.fit_trees(names, np.vstack(rows), prepared.rows.right, fold, seed=seed)


def _memory(cases: Cases, numbers: Any, names: Index) -> Memory:
    examples = [Example(cases.cases[number].text, cases.cases[number].terms) for number in numbers]
    return Memory.build(cases.standards, examples, names=names)
