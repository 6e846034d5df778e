"""Encounters that two coders or more coded apart: how far they agree with each other.

    twice(handled)      finished reviews of the same documents by different people

The same documents under two ids, or under one id coded anew, count as one encounter coded twice; a record that was
reopened and finished by somebody else does not: the second saw what the first had done. Agreement on the set of codes
is Krippendorff's alpha (2011) with the distance MASI (Passonneau 2006), which lets sets agree in part; on the principal
diagnosis it is alpha for names; beside them mean F1 of one coder against another. Alpha is 1 for perfect agreement and
0 for what chance would give; it is None where everybody said the same of everything, so that chance cannot be told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from jointcoder.desk.history import Handled
from jointcoder.evaluation.bootstrap import interval_of, ratio_interval
from jointcoder.records import Encounter, Kind

T = TypeVar("T", bound=Hashable)
Codes = frozenset[tuple[str, str]]
_PART, _OVERLAP = 2 / 3, 1 / 3  # MASI: one set lies in the other; they share something


@dataclass(frozen=True)
class Alpha:
    """Krippendorff's alpha over ``n`` encounters."""

    value: float | None
    interval: tuple[float, float] | None
    n: int


@dataclass(frozen=True)
class Twice:
    """``pairs``: of coders, over all encounters; ``f1``: the mean over the pairs, with its interval over encounters."""

    encounters: int
    pairs: int
    f1: float | None
    f1_interval: tuple[float, float] | None
    codes: Alpha
    principal: Alpha


def twice(found: Iterable[Handled]) -> Twice:
    """The agreement of coders on what they coded apart."""
    by_text: dict[str, dict[str, Handled]] = {}
    for one in found:
        by_text.setdefault(_text(one.encounter), {})[one.finisher] = one  # of one coder the last
    units = [list(of_coder.values()) for of_coder in by_text.values() if len(of_coder) > 1]
    sets = [[_codes(one) for one in unit] for unit in units]
    firsts = [[_first(one) for one in unit] for unit in units]
    scores = [[_f1(a, b) for a, b in combinations(unit, 2)] for unit in sets]
    sums = np.array([(sum(unit), len(unit)) for unit in scores], dtype=np.float64).reshape(-1, 2)
    pairs = int(sums[:, 1].sum())
    return Twice(
        encounters=len(units),
        pairs=pairs,
        f1=float(sums[:, 0].sum()) / pairs if pairs else None,
        f1_interval=ratio_interval(sums),
        codes=alpha(sets, masi),
        principal=alpha(firsts, lambda a, b: float(a != b)),
    )


def alpha(units: Sequence[Sequence[T]], distance: Callable[[T, T], float]) -> Alpha:
    """Krippendorff's alpha = 1 − observed / expected disagreement; units with one value do not count."""
    units = [unit for unit in units if len(unit) > 1]
    values = list(dict.fromkeys(value for unit in units for value in unit))
    place = {value: number for number, value in enumerate(values)}
    apart = np.array([[distance(a, b) for b in values] for a in values], dtype=np.float64).reshape(
        len(values), len(values)
    )
    counts = np.zeros((len(units), len(values)))
    for row, unit in zip(counts, units, strict=True):
        for value in unit:
            row[place[value]] += 1
    size = counts.sum(axis=1)
    within = np.einsum("uv,vw,uw->u", counts, apart, counts) / np.maximum(size - 1, 1)

    def statistic(weights: NDArray[np.int64]) -> NDArray[np.float64]:
        total, drawn = weights @ size, weights @ counts
        observed = (weights @ within) / np.maximum(total, 1)
        expected = np.einsum("rv,vw,rw->r", drawn, apart, drawn, optimize=True) / np.maximum(total * (total - 1), 1)
        found = np.full(len(weights), np.nan)
        np.divide(observed, expected, out=found, where=expected > 0)
        return 1 - found

    whole = float(statistic(np.ones((1, len(units)), dtype=np.int64))[0]) if units else float("nan")
    if np.isnan(whole):
        return Alpha(None, None, len(units))
    return Alpha(round(whole, 12) + 0.0, interval_of(statistic, len(units)), len(units))


def masi(one: Codes, other: Codes) -> float:
    """Distance of two sets: 1 − Jaccard · (1 equal, 2/3 one within the other, 1/3 overlapping, 0 disjoint)."""
    if one == other:
        return 0.0
    jaccard = len(one & other) / len(one | other)
    if one <= other or other <= one:
        return 1 - jaccard * _PART
    return 1 - jaccard * _OVERLAP


def _f1(one: Codes, other: Codes) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0


def _codes(one: Handled) -> Codes:
    return frozenset((code.system.value, code.code) for code in one.sheet.codes())


def _first(one: Handled) -> tuple[str, str]:
    standing = one.sheet.standing(Kind.DIAGNOSIS)
    code = one.sheet.entries[standing[0]].code if standing else None
    return (code.system.value, code.code) if code else ("", "")


def _text(encounter: Encounter) -> str:
    """The documents, whatever the encounter is called."""
    joined = "\x00".join(document.text for document in encounter.documents)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()
