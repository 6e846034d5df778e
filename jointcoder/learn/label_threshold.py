"""From which probability a code of a closed set is given, besides the principal: chosen on held-out figures.

    choice = choose(probability, target, principal, principal_target, …, objective="f1")
    choice.threshold, choice.metrics

Two objectives: ``f1``, the micro F1 of the other codes; ``balanced``, that F1 plus the record accuracy of CCL25-Eval
task 8 (half for the principal, half for the share of the others found), which alone would reward giving every code.
The metrics of both are told whichever is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.errors import UsageError
from jointcoder.packs.labels.pairs import beside

OBJECTIVES = ("f1", "balanced")
GRID = np.round(np.arange(0.05, 0.951, 0.01), 2)
Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Choice:
    """``metrics``: held out, at the threshold; of a wanted precision that is never reached (1.01) there are none."""

    threshold: float
    metrics: dict[str, Any]


def choose(
    probability: Array,
    target: Flags,
    principal: Array,
    principal_target: Flags,
    *,
    places: NDArray[np.int64],
    outside: NDArray[np.int64],
    objective: str,
    want_precision: float | None = None,
) -> Choice:
    """``probability``, ``target``: (records, codes), not as the principal. ``principal``: (records, candidates), which
    are the codes at ``places``. ``outside``: by record, other gold codes that are not in the set: always missed.
    ``want_precision``: the lowest threshold that keeps this precision, instead of the objective.

    Raises UsageError JC001 for an unknown objective.
    """
    if objective not in OBJECTIVES:
        raise UsageError("JC001", f"unknown objective {objective!r}", hint=", ".join(OBJECTIVES))
    rows = np.arange(len(probability))
    free = np.ones(probability.shape, dtype=bool)
    as_principal = np.zeros(probability.shape)
    right = np.zeros(len(rows), dtype=bool)
    if principal.shape[1]:
        top = principal.argmax(axis=1)
        free[rows, places[top]] = False
        as_principal[:, places] = principal
        right = principal_target[rows, top]
    given = beside(probability, as_principal)
    measured = [_measured(free & (given >= at), target, right, outside, principal.shape[1] > 0) for at in GRID]
    if want_precision is not None:
        good = [i for i, m in enumerate(measured) if m["precision"] is not None and m["precision"] >= want_precision]
        if not good:
            return Choice(1.01, {"n": len(rows), "objective": f"precision {want_precision}"})
        best, objective = good[0], f"precision {want_precision}"
    else:
        extra = [m["accuracy"] if objective == "balanced" and "accuracy" in m else 0.0 for m in measured]
        value = np.array([m["f1"] + more for m, more in zip(measured, extra, strict=True)])
        level = np.flatnonzero(value >= value.max() - 1e-9)
        best = int(level[len(level) // 2])  # the middle of a level stretch: it does not hang on one record
    kept = {name: round(value, 4) for name, value in measured[best].items() if value is not None}
    return Choice(float(GRID[best]), {"n": len(rows), "objective": objective, **kept})


def _measured(given: Flags, target: Flags, right: Flags, outside: NDArray[np.int64], ranked: bool) -> dict[str, Any]:
    hits = (given & target).sum(axis=1)
    gold = target.sum(axis=1) + outside
    found, told, wanted = int(hits.sum()), int(given.sum()), int(gold.sum())
    result: dict[str, Any] = {
        "precision": found / told if told else None,
        "recall": found / wanted if wanted else None,
        "f1": 2 * found / (told + wanted) if told + wanted else 0.0,
    }
    if ranked:
        share = np.where(gold > 0, hits / np.maximum(gold, 1), right)
        result["principal"] = float(right.mean())
        result["accuracy"] = float(np.mean(0.5 * right + 0.5 * share))
    return result
