"""The regression gate: an adapter comes in force only if no tracked part of the dev set gets worse by it.

    judge(slices(corpus, candidate, current, training), Rule())  → Verdict: promoted or refused, slice by slice

Tracked, for each code system: all; codes by how often training holds them (0, 1-5, more than 5); each language; notes
with sections and notes without; short, middle and long notes. A slice fails when its micro F1 falls by more than the
tolerance and the paired bootstrap over encounters finds a fall probable enough; the whole system ("all") fails by the
fall alone. Slices with few codes are shown, not judged. This module loads no model and moves no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jointcoder.corpora import Corpus, Labelled
from jointcoder.errors import InputError
from jointcoder.evaluation import bootstrap
from jointcoder.evaluation.metrics import BINS
from jointcoder.evaluation.scored import Key, Scored, predictions
from jointcoder.records import CodedRecord, Encounter
from jointcoder.text.resources import LANGUAGES
from jointcoder.text.sections import BODY, find_sections

ALL = "all"
SECTIONS_OF_STRUCTURE = 2  # so many headings make a note a structured one
Counts = NDArray[np.int64]  # shape (encounters, 3): TP, FP, FN


@dataclass(frozen=True)
class Rule:
    """When a slice fails. ``tolerance``: fall of micro F1 that is let pass; ``confidence``: how probable the bootstrap
    must find a fall of any size; ``least``: codes (gold or predicted) below which a slice is not judged."""

    tolerance: float = 0.005
    confidence: float = 0.95
    least: int = 20
    resamples: int = 1000
    seed: int = 0

    def __str__(self) -> str:
        return (
            f"A slice fails when its micro F1 falls by more than {self.tolerance:g} and a fall is at least "
            f"{self.confidence:.0%} probable (paired bootstrap over encounters, {self.resamples} resamples); a whole "
            f"system fails by the fall alone. Slices of fewer than {self.least} codes are not judged."
        )


@dataclass(frozen=True)
class Slice:
    """A part of the dev set: counts of the version in force and of the candidate, encounter by encounter."""

    system: str
    name: str
    current: Counts
    candidate: Counts


@dataclass(frozen=True)
class Judged:
    """A slice with its figures. ``fall``: how probable the bootstrap finds a fall; ``interval``: 95 %, of the
    difference."""

    system: str
    slice: str
    encounters: int
    codes: int
    before: float
    after: float
    difference: float
    interval: tuple[float, float] | None
    fall: float
    state: Literal["held", "failed", "not judged"]

    def to_json(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return found | {"interval": list(self.interval) if self.interval else None}


@dataclass(frozen=True)
class Verdict:
    """What the gate found."""

    rule: Rule
    judged: tuple[Judged, ...]
    untracked: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Judged, ...]:
        return tuple(one for one in self.judged if one.state == "failed")

    @property
    def promoted(self) -> bool:
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        return {
            "promoted": self.promoted,
            "rule": str(self.rule),
            "slices": [one.to_json() for one in self.judged],
            "untracked": list(self.untracked),
        }


def slices(
    corpus: Corpus,
    candidate: Mapping[str, CodedRecord],
    current: Mapping[str, CodedRecord],
    training: Mapping[Key, int] | None = None,
) -> list[Slice]:
    """The tracked slices of the encounters of ``corpus``. ``training``: how often it holds each code, where known.

    Raises InputError JC108 where one side lacks an encounter: a gate that leaves some out lets regressions through.
    """
    if not corpus.systems or not corpus.items:
        raise InputError("JC108", f"{corpus.path.name} holds no gold codes")
    for what, records in (("candidate", candidate), ("current", current)):
        if lacking := [item.encounter.id for item in corpus.items if item.encounter.id not in records]:
            raise InputError(
                "JC108",
                f"the {what} predictions lack {len(lacking)} of the {len(corpus.items)} encounters of "
                f"{corpus.path.name}",
                hint="evaluate the whole file, without --limit",
            )
    sides = [_scored(corpus.items, records) for records in (current, candidate)]
    groups = _groups([item.encounter for item in corpus.items], current)
    found = []
    for system in corpus.systems:
        before, after = (_counts(side, system) for side in sides)
        found += [Slice(system, name, before[chosen], after[chosen]) for name, chosen in groups]
        for label, low, high in BINS if training is not None else ():
            inside = _in_bin(training or {}, low, high)
            found.append(Slice(system, f"codes seen {label} times", *(_counts(side, system, inside) for side in sides)))
    return found


def judge(parts: Iterable[Slice], rule: Rule, *, untracked: Sequence[str] = ()) -> Verdict:
    """Apply the rule to each slice. Slices without any code on either side are left out."""
    found = []
    for part in parts:
        codes = int(max(part.current.sum(), part.candidate.sum()))
        if codes:
            found.append(_judged(part, codes, rule))
    return Verdict(rule, tuple(found), tuple(untracked))


def _judged(part: Slice, codes: int, rule: Rule) -> Judged:
    before, after = _f1(part.current), _f1(part.candidate)
    paired = bootstrap.paired_difference(part.current, part.candidate, resamples=rule.resamples, seed=rule.seed)
    fall = probability_of_fall(part, rule)
    state: Literal["held", "failed", "not judged"] = "held"
    if codes < rule.least:
        state = "not judged"
    elif before - after > rule.tolerance and (part.name == ALL or fall >= rule.confidence):
        state = "failed"
    return Judged(
        system=part.system,
        slice=part.name,
        encounters=len(part.current),
        codes=codes,
        before=before,
        after=after,
        difference=after - before,
        interval=paired.interval if paired else None,
        fall=fall,
        state=state,
    )


def probability_of_fall(part: Slice, rule: Rule) -> float:
    """Share of resamples of the encounters in which the candidate's micro F1 is the lower one."""
    if np.array_equal(part.current, part.candidate):
        return 0.0
    generator = np.random.default_rng(rule.seed)
    n = len(part.current)
    weights = generator.multinomial(n, np.full(n, 1.0 / n), size=rule.resamples)
    return float(np.mean(_f1s(weights @ part.candidate) < _f1s(weights @ part.current)))


# ---------------------------------------------------------------------------------------------------- the parts


def _scored(items: Sequence[Labelled], records: Mapping[str, CodedRecord]) -> list[Scored]:
    return [Scored(item.gold, predictions(records[item.encounter.id])) for item in items]


def _counts(side: Sequence[Scored], system: str, inside: Callable[[Key], bool] = lambda key: True) -> Counts:
    rows = []
    for one in side:
        gold = {key for key in one.gold_keys(system) if inside(key)}
        said = {key for key in one.predicted_keys(system) if inside(key)}
        right = len(gold & said)
        rows.append((right, len(said) - right, len(gold) - right))
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def _in_bin(training: Mapping[Key, int], low: float, high: float) -> Callable[[Key], bool]:
    return lambda key: low <= training.get(key, 0) <= high


def _groups(encounters: Sequence[Encounter], records: Mapping[str, CodedRecord]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Names of slices of encounters, and which belong to each; one that holds all of them is "all" again and left
    out."""
    labels: dict[str, NDArray[np.bool_]] = {}

    def add(values: Sequence[str]) -> None:
        for value in dict.fromkeys(values):
            labels[value] = np.array([own == value for own in values])

    languages = [encounter.language or records[encounter.id].language for encounter in encounters]
    add([f"language {language or 'not said'}" for language in languages])
    laid_out = [structured(encounter, language) for encounter, language in zip(encounters, languages, strict=True)]
    add(["notes with sections" if one else "notes without sections" for one in laid_out])
    lengths = [encounter.characters for encounter in encounters]
    low, high = (int(x) for x in np.percentile(lengths, [100 / 3, 200 / 3]))
    names = (f"notes up to {low} characters", f"notes of {low + 1} to {high}", f"notes beyond {high} characters")
    add([names[(length > low) + (length > high)] for length in lengths])
    parts = sorted((name, chosen) for name, chosen in labels.items() if not chosen.all())
    return [(ALL, np.ones(len(encounters), dtype=bool)), *parts]


def structured(encounter: Encounter, language: str) -> bool:
    """Whether a note falls into sections: by its own fields, or by headings in its text."""
    if encounter.sections:
        return True
    if language not in LANGUAGES:
        return sum(bool(document.title) for document in encounter.documents) >= SECTIONS_OF_STRUCTURE
    found = find_sections(encounter.documents, language)
    return len({section.name for section in found if section.name != BODY}) >= SECTIONS_OF_STRUCTURE


def _f1(counts: Counts) -> float:
    return float(_f1s(counts.sum(axis=0)[None])[0])


def _f1s(sums: Counts) -> NDArray[np.float64]:
    """2·TP / (2·TP + FP + FN), 0 where there is no code."""
    twice = 2.0 * sums[:, 0]
    below = twice + sums[:, 1] + sums[:, 2]
    values = np.zeros(len(sums))
    np.divide(twice, below, out=values, where=below > 0)
    return values
