"""The part ``drafts``: how sure the model workflow may be of its drafts, learnt from coded encounters.

    train(corpora, folder, coder=coder)          # one combiner a code system, thresholds, held-out figures

The coder's own workflow is run up to its cut (``validate``), so that the features are those that production sees; the
model's answers come from the completion cache where one is kept, and the run can be repeated. A draft is right when its
code is gold. Figures are nested: for each tenth of the encounters, weights, calibration and threshold come from the
others alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.errors import InputError, UsageError
from jointcoder.evaluation.bootstrap import interval
from jointcoder.evaluation.scored import normalised
from jointcoder.learn.fit import Fitted, best_threshold, fit_logistic
from jointcoder.learn.folds import FOLDS, folds, splits
from jointcoder.learn.write import PartReport
from jointcoder.packs.drafts import FILE, View, features
from jointcoder.records import Kind, System
from jointcoder.steps.base import CANDIDATE_SLOTS, CODE_SLOTS
from jointcoder.workflow.check import Plan
from jointcoder.workflow.run import run

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup
    from jointcoder.coder import Coder
    from jointcoder.corpora import Corpus, Labelled
    from jointcoder.steps.base import State, Step

Array = NDArray[np.float64]
INNER = 5  # parts held out in turn when a combiner's calibration and threshold are learnt
STRENGTH = 0.03  # inverse strength of L2: some hundred encounters carry a score of features, no more
ENDS = ("validate", "map_codes", "reconcile")  # steps that drop drafts, or join both kinds
IDLE = ("prioritise",)  # steps that only order: they would cost model time and change no feature
LEARNT = (  # those of packs.drafts.FEATURES that carry weight; more of them only fit the noise of small sets
    "weak",
    "heading",
    "subordinate",
    "explained",
    "vague",
    "heading_gap",
    "no_heading_but_others",
    "listed",
    "model",
    "dictionary",
    "mentions",
    "definitive",
    "outside",
    "possible",
    "historical",
    "symptom",
    "external_of_injury",
    "factor",
    "companion",
    "companion_external",
    "companion_past",
    "companion_pain",
    "over",
    "outdone",
)


@dataclass(frozen=True)
class Examples:
    """Drafts of one system as rows. ``missed``: by encounter, gold codes that no draft proposes; encounters without any
    draft are in it too. ``before``: the confidence that the drafts had by the table set by hand."""

    rows: Array
    right: NDArray[np.bool_]
    owner: tuple[str, ...]
    missed: dict[str, int]
    before: Array

    def of(self, chosen: NDArray[Any], encounters: set[str]) -> Examples:
        """The chosen rows, and what was missed in these encounters."""
        places = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        owner = tuple(self.owner[place] for place in places)
        missed = {identity: count for identity, count in self.missed.items() if identity in encounters}
        return Examples(self.rows[places], self.right[places], owner, missed, self.before[places])


def train(
    corpora: Sequence[Corpus],
    folder: Path,
    *,
    lookup: Lookup | None = None,
    coder: Coder | None = None,
    seed: int = 0,
    want_precision: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PartReport:
    """Run the workflow over all encounters, fit, and write the part into ``folder``.

    Raises UsageError JC001 without a coder, InputError JC114 where there is too little to learn from, JC108 where the
    data label no system that the coder assigns.
    """
    if coder is None:
        raise UsageError("JC001", "drafts are learnt by running a workflow", hint="give a coder")
    items = [item for corpus in corpora for item in corpus.items]
    labelled = {system for corpus in corpora for system in corpus.systems}
    known = [system for system in coder.systems if system.value in labelled]
    if not known:
        raise InputError("JC108", "the data label no code system that the workflow assigns")
    states = list(states_of(coder, items, known, progress))
    combiners: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    notes: dict[str, Any] = {}
    thresholds: dict[str, float] = {}
    for system in known:
        examples = gathered(items, states, system)
        fitted, threshold = fit(examples, seed=seed, want_precision=want_precision)
        combiners[system.value] = fitted.combiner.to_json()
        thresholds[system.value] = threshold
        metrics[system.value] = held_out(examples, seed=seed, want_precision=want_precision)
        notes[system.value] = {"drafts": len(examples.rows), "right": int(examples.right.sum())}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(combiners, indent=1, sort_keys=True) + "\n", "utf-8")
    return PartReport(metrics=metrics, notes=notes, thresholds=thresholds)


def before_the_cut(coder: Coder) -> Plan:
    """The coder's plan up to the first step that drops drafts, without those that only order them."""
    steps: list[tuple[str, Step]] = []
    for kind in Kind:
        own = [(name, step) for name, step in coder.plan.steps if getattr(step.options, "kind", kind) is kind]
        steps += takewhile(lambda one: one[1].name not in ENDS, own)
    wanted = {name for name, step in steps if step.name not in IDLE}
    return replace(coder.plan, steps=tuple(one for one in coder.plan.steps if one[0] in wanted))


def gathered(items: Sequence[Labelled], states: Sequence[State], system: System) -> Examples:
    """The drafts of a system in all states, with what the gold says of each."""
    rows, right, owner, before = [np.zeros((0, len(LEARNT)))], [], [], []
    missed: dict[str, int] = {}
    for item, state in zip(items, states, strict=True):
        drafts = getattr(state, CODE_SLOTS[system.kind])
        candidates = getattr(state, CANDIDATE_SLOTS[system.kind])
        gold = {normalised(label.code) for label in item.gold if label.system == system.value}
        view = View(state.encounter, state.language, state.sections, state.mentions, candidates, drafts)
        rows.append(features(view, LEARNT))
        codes = [normalised(draft.code) for draft in drafts]
        right += [code in gold for code in codes]
        before += [draft.confidence for draft in drafts]
        owner += [item.encounter.id] * len(drafts)
        missed[item.encounter.id] = len(gold - set(codes))
    return Examples(np.concatenate(rows), np.array(right, dtype=bool), tuple(owner), missed, np.array(before))


def fit(examples: Examples, *, seed: int = 0, want_precision: float | None = None) -> tuple[Fitted, float]:
    """Combiner and threshold, both from these examples."""
    fitted = fit_logistic(LEARNT, examples.rows, examples.right, examples.owner, C=STRENGTH, folds=INNER, seed=seed)
    return fitted, threshold_of(fitted.out_of_fold, examples, want_precision)


def threshold_of(probability: Array, examples: Examples, want_precision: float | None) -> float:
    """From which probability drafts are kept. For micro F1 it is half of the best F1 that is reached (Lipton 2014),
    which a small set tells far more steadily than the place of its maximum does."""
    missed = sum(examples.missed.values())
    best = best_threshold(probability, examples.right, missed, want_precision=want_precision)
    if want_precision is not None:
        return best
    taken = probability >= best
    hits = int((taken & examples.right).sum())
    return hits / max(1, int(taken.sum()) + int(examples.right.sum()) + missed)


def held_out(examples: Examples, *, seed: int = 0, want_precision: float | None = None) -> dict[str, Any]:
    """Nested figures: every encounter judged by what the others taught. With bootstrap interval, and the calibration
    error of the table set by hand and of the learnt combiner."""
    encounters = sorted(examples.missed)
    part = dict(zip(encounters, folds(encounters, FOLDS, seed).tolist(), strict=True))
    fold = np.array([part[identity] for identity in examples.owner], dtype=np.int64)
    probability, taken = np.zeros(len(fold)), np.zeros(len(fold), dtype=bool)
    for number, learn, score in splits(fold):
        known = {identity for identity in encounters if part[identity] != number}
        fitted, threshold = fit(examples.of(learn, known), seed=seed, want_precision=want_precision)
        probability[score] = fitted.combiner.probability(examples.rows[score])
        taken[score] = probability[score] >= threshold
    counts = np.array([_counts(identity, examples, taken) for identity in encounters], dtype=np.int64)
    tp, fp, fn = counts.sum(axis=0).tolist()
    bounds = interval(counts, seed=seed)
    return {
        "n": len(encounters),
        "precision": tp / max(1, tp + fp),
        "recall": tp / max(1, tp + fn),
        "micro_f1": 2 * tp / max(1, 2 * tp + fp + fn),
        "interval": list(bounds) if bounds else None,
        "missed": sum(examples.missed.values()),
        "ece_before": calibration_error(examples.before, examples.right),
        "ece": calibration_error(probability, examples.right),
    }


def calibration_error(probability: Array, right: NDArray[np.bool_], bins: int = 10) -> float:
    """Σ share of a bin · |share right in it − mean probability in it|, equal-width bins (Naeini 2015)."""
    place = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gaps = [
        abs(float(right[place == one].mean()) - float(probability[place == one].mean())) * float((place == one).mean())
        for one in np.unique(place)
    ]
    return float(sum(gaps))


def _counts(identity: str, examples: Examples, taken: NDArray[np.bool_]) -> tuple[int, int, int]:
    own = np.array([owner == identity for owner in examples.owner], dtype=bool)
    right = int(examples.right[own].sum())
    hits = int((examples.right & taken)[own].sum())
    return hits, int(taken[own].sum()) - hits, right - hits + examples.missed[identity]


def states_of(
    coder: Coder,
    items: Sequence[Labelled],
    systems: Sequence[System],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[State]:
    """The state of each encounter before the cut, only ``systems`` being coded: nothing is asked of the model for the
    others."""
    plan = before_the_cut(coder)
    for number, item in enumerate(items, start=1):
        tools = replace(coder.tools_for(item.encounter), systems=tuple(systems))
        (outcome,) = run(plan, [item.encounter], tools, coder.model)
        if outcome.error:
            raise outcome.error
        yield outcome.state
        if progress:
            progress(number, len(items))
