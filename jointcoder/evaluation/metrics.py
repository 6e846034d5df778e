"""Measures of code sets and their order. Pure functions; the unit is the encounter.

A measure that does not apply (nothing predicted, nothing labelled) is None here and absent from reports, never
zero. ``system=None`` scores all systems jointly, as (system, code) pairs. Evidence is measured in evidence.py,
confidence in calibration.py, spread in bootstrap.py. Knows nothing of corpora, files or coders.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from jointcoder.evaluation.scored import Key, Predicted, Scored, category, kind_of
from jointcoder.records import Encounter, Kind, System

T = TypeVar("T")
MAP_CUT = 30
BINS: tuple[tuple[str, float, float], ...] = (("0", 0, 0), ("1-5", 1, 5), (">5", 6, math.inf))


class Counts(NamedTuple):
    """True positives, false positives, false negatives, and what follows from them."""

    tp: int
    fp: int
    fn: int

    @property
    def precision(self) -> float | None:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None

    @property
    def f1(self) -> float | None:
        """2·TP / (2·TP + FP + FN): zero, not undefined, when there are codes but none is right."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else None

    @classmethod
    def of(cls, gold: Set[T], predicted: Set[T]) -> Counts:
        """Compare two sets."""
        right = len(gold & predicted)
        return cls(right, len(predicted) - right, len(gold) - right)

    def plus(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)


def total(counts: Sequence[Counts]) -> Counts:
    """Counts summed (micro-averaging)."""
    return Counts(sum(c.tp for c in counts), sum(c.fp for c in counts), sum(c.fn for c in counts))


# ------------------------------------------------------------------------------------------------------- sets


def per_encounter(scored: Sequence[Scored], system: str | None = None) -> list[Counts]:
    """One :class:`Counts` per encounter, in order."""
    return [Counts.of(s.gold_keys(system), s.predicted_keys(system)) for s in scored]


def count_matrix(scored: Sequence[Scored], system: str | None = None) -> NDArray[np.int64]:
    """The same as an array of shape (encounters, 3): TP, FP, FN. Food for the bootstrap."""
    return np.array(per_encounter(scored, system), dtype=np.int64).reshape(-1, 3)


def micro(scored: Sequence[Scored], system: str | None = None) -> Counts:
    """TP, FP, FN summed over encounters × codes."""
    return total(per_encounter(scored, system))


def micro_category(scored: Sequence[Scored], system: str | None = None) -> Counts:
    """The same over categories (:func:`jointcoder.evaluation.scored.category`), each once per encounter."""
    return total(
        [
            Counts.of(frozenset(map(category, s.gold_keys(system))), frozenset(map(category, s.predicted_keys(system))))
            for s in scored
        ]
    )


def per_code(scored: Sequence[Scored], system: str | None = None) -> dict[Key, Counts]:
    """Counts of every code that is gold or predicted somewhere."""
    tp: Counter[Key] = Counter()
    fp: Counter[Key] = Counter()
    fn: Counter[Key] = Counter()
    for s in scored:
        gold, predicted = s.gold_keys(system), s.predicted_keys(system)
        tp.update(gold & predicted)
        fp.update(predicted - gold)
        fn.update(gold - predicted)
    return {key: Counts(tp[key], fp[key], fn[key]) for key in sorted(tp.keys() | fp.keys() | fn.keys())}


def macro_f1(scored: Sequence[Scored], system: str | None = None) -> float | None:
    """Mean of per-code F1 over codes with TP+FP+FN > 0."""
    return _mean([counts.f1 or 0.0 for counts in per_code(scored, system).values()])


def jaccard(scored: Sequence[Scored], system: str | None = None) -> float | None:
    """Mean over encounters of |gold ∩ predicted| / |gold ∪ predicted|; two empty sets count 1."""
    values = [c.tp / sum(c) if sum(c) else 1.0 for c in per_encounter(scored, system)]
    return _mean(values)


def exact_match(scored: Sequence[Scored], system: str | None = None) -> float | None:
    """Share of encounters whose set of codes is exactly right."""
    return _mean([float(c.fp + c.fn == 0) for c in per_encounter(scored, system)])


# ------------------------------------------------------------------------------------------------------ order


def by_confidence(scored: Scored, system: str | None = None) -> list[Predicted]:
    """The codes by falling confidence; equals keep their place in the list."""
    chosen = [p for p in scored.predicted if system in (None, p.system)]
    return sorted(chosen, key=lambda p: -p.confidence)


def mean_average_precision(scored: Sequence[Scored], system: str | None = None, *, cut: int = MAP_CUT) -> float | None:
    """MAP as CodiEsp has it: cut at 30, averaged over encounters with gold codes, divided by all their gold codes.

    The ranking is by confidence, since that is what the task ranks; the rank within a coded record is clinical
    priority, which NDCG measures. Suggestions follow the codes given.
    With more gold codes than ``cut`` even a perfect list stays below 1.
    """
    values: list[float] = []
    for s in scored:
        gold = s.gold_keys(system)
        if not gold:
            continue
        right, found = 0, 0.0
        further = sorted((p for p in s.suggested if system in (None, p.system)), key=lambda p: -p.confidence)
        for place, prediction in enumerate([*by_confidence(s, system), *further][:cut], start=1):
            if prediction.key in gold:
                right += 1
                found += right / place
        values.append(found / len(gold))
    return _mean(values)


def ndcg(scored: Sequence[Scored], kind: Kind, *, k: int = 3) -> float | None:
    """NDCG@k over encounters whose gold codes are ordered: the first k are worth k, k-1, … 1, the others nothing.

    Linear gain, logarithmic discount (Järvelin and Kekäläinen 2002). The grading is our reading of the
    JointCoder paper, which does not state its own.
    """
    values: list[float] = []
    for s in scored:
        gold = [g.key for g in s.labels if kind_of(g.system) is kind]
        if not s.ordered or not gold:
            continue
        worth = {key: k - place for place, key in enumerate(gold[:k])}
        ranked = [p.key for p in s.predicted if kind_of(p.system) is kind][:k]
        values.append(_dcg([worth.get(key, 0) for key in ranked]) / _dcg(list(worth.values())))
    return _mean(values)


def principal_accuracy(scored: Sequence[Scored], kind: Kind) -> float | None:
    """Share of encounters with a gold principal of the kind whose first predicted code of the kind is it."""
    values = [
        float(_principal(s, kind) in gold)
        for s in scored
        if (gold := {g.key for g in s.labels if g.primary and kind_of(g.system) is kind})
    ]
    return _mean(values)


def ccl25_accuracy(scored: Sequence[Scored]) -> float | None:
    """CCL25-Eval task 8: mean of 0.5·[principal right] + 0.5·|other gold ∩ other predicted| / |other gold|.

    The first predicted diagnosis is the principal one, as the task asks for the two apart; it is not looked for
    among the others. Recall only: read it beside F1. An encounter without other gold codes counts its principal
    alone.
    """
    values = [
        0.5 * right + 0.5 * len(others & found) / len(others) if others else float(right)
        for right, others, found in _apart(scored)
    ]
    return _mean(values)


def other_diagnoses(scored: Sequence[Scored]) -> Counts | None:
    """Micro counts of the diagnoses besides the principal one, which stands beside CCL25's measure. None where no
    principal is marked."""
    counts = [Counts.of(others, found) for _, others, found in _apart(scored)]
    return total(counts) if counts else None


def _apart(scored: Sequence[Scored]) -> Iterator[tuple[bool, frozenset[Key], frozenset[Key]]]:
    """Per encounter with a marked principal: whether the first diagnosis predicted is it, and the other gold and
    predicted diagnoses."""
    for s in scored:
        diagnoses = [g for g in s.labels if kind_of(g.system) is Kind.DIAGNOSIS]
        principal = {g.key for g in diagnoses if g.primary}
        if not principal:
            continue
        first = _principal(s, Kind.DIAGNOSIS)
        others = frozenset(g.key for g in diagnoses) - principal
        found = frozenset(p.key for p in s.predicted if kind_of(p.system) is Kind.DIAGNOSIS) - {first}
        yield first in principal, others, found


# ------------------------------------------------------------------------------------------ parts of the whole


def without_only_negated(scored: Sequence[Scored], system: str | None = None) -> Counts | None:
    """Micro counts with the gold codes whose evidence is all negated struck out; predicting one is then wrong.

    None where the data set marks no such code.
    """
    if not any(g.only_negated and system in (None, g.system) for s in scored for g in s.labels):
        return None
    struck = [Scored([g for g in s.labels if not g.only_negated], s.predicted) for s in scored]
    return micro(struck, system)


def by_length(scored: Sequence[Scored]) -> dict[str, Counts] | None:
    """ICD-10-PCS where some gold codes have four characters: those and the seven-character ones apart.

    Every prediction is counted once. One that equals a seven-character gold code is right in "7". One whose first
    four characters equal a four-character gold code is right in "4" (several with the same four count once).
    The rest are wrong, in "4" if they have four characters, else in "7". "either" is the sum. None where all
    gold codes have seven. The strict figure, which demands equal codes, stays the primary one.
    """
    system = System.ICD10PCS.value
    if not any(len(code) == 4 for s in scored for _, code in s.gold_keys(system)):
        return None
    four, seven = Counts(0, 0, 0), Counts(0, 0, 0)
    for s in scored:
        gold = {code for _, code in s.gold_keys(system)}
        predicted = {code for _, code in s.predicted_keys(system)}
        short = {code for code in gold if len(code) == 4}
        whole = (gold - short) & predicted
        covered = {code for code in predicted - whole if code[:4] in short}
        wrong = predicted - whole - covered
        hits = {code[:4] for code in covered}
        four = four.plus(Counts(len(hits), sum(len(code) == 4 for code in wrong), len(short - hits)))
        seven = seven.plus(Counts(len(whole), sum(len(code) != 4 for code in wrong), len(gold - short - whole)))
    return {"4": four, "7": seven, "either": four.plus(seven)}


def within_labels(scored: Sequence[Scored], system: str | None = None) -> Counts:
    """Micro counts with predictions outside the closed set ignored: the codes that are gold somewhere here."""
    known = frozenset().union(*(s.gold_keys(system) for s in scored))
    return total([Counts.of(s.gold_keys(system), s.predicted_keys(system) & known) for s in scored])


def frequency_bins(
    scored: Sequence[Scored], training: Mapping[Key, int], system: str | None = None
) -> dict[str, Counts]:
    """Micro counts by how often a code occurs in training: "0", "1-5", ">5" (keys normalised as in Scored)."""
    codes = per_code(scored, system)
    return {
        name: total([counts for key, counts in codes.items() if low <= training.get(key, 0) <= high])
        for name, low, high in BINS
    }


def stage_counts(scored: Sequence[Scored], system: str | None = None) -> dict[str, Counts]:
    """Per stage, micro counts of the codes it left against gold, over encounters whose trace tells them."""
    names = dict.fromkeys(name for s in scored for name in s.stages)
    return {
        name: total(
            [
                Counts.of(s.gold_keys(system), frozenset(key for key in s.stages[name] if system in (None, key[0])))
                for s in scored
                if name in s.stages
            ]
        )
        for name in names
    }


def invalid_code_rate(
    codes: Iterable[tuple[Encounter, str, str]], valid: Callable[[Encounter, str, str], bool]
) -> float | None:
    """Share of predicted codes, as written, for which ``valid(encounter, system, code)`` is false. Must be 0."""
    return _mean([float(not valid(*code)) for code in codes])


def _principal(scored: Scored, kind: Kind) -> Key | None:
    return next((p.key for p in scored.predicted if kind_of(p.system) is kind), None)


def _dcg(worth: Sequence[int]) -> float:
    return sum(value / math.log2(place + 1) for place, value in enumerate(worth, start=1))


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
