"""A part of a pack against labelled encounters it has not learnt from: thresholds, figures, and what a picture needs.

Rows are (encounter, code) pairs that the part proposes, in any rank; gold codes that it does not propose are counted as
missed, so that a threshold pays for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.corpora import Labelled
from jointcoder.evaluation.calibration import expected_calibration_error
from jointcoder.evaluation.metrics import mean_average_precision, micro
from jointcoder.evaluation.scored import Gold, Predicted, Scored, normalised
from jointcoder.learn.fit import best_threshold
from jointcoder.packs import Proposal
from jointcoder.packs.combiner import Array
from jointcoder.records import Encounter

Propose = Callable[[Encounter, str], Sequence[Proposal]]


@dataclass(frozen=True)
class HeldOut:
    """Scores of rows that were not learnt from. ``missed``: gold codes without a row."""

    probability: Array
    right: NDArray[np.bool_]
    missed: int

    def threshold(self, want_precision: float | None = None) -> float:
        """See :func:`jointcoder.learn.fit.best_threshold`."""
        return best_threshold(self.probability, self.right, self.missed, want_precision=want_precision)

    def f1(self, threshold: float) -> float:
        """Micro F1 when every row from ``threshold`` on is given."""
        taken = self.probability >= threshold
        gold = int(self.right.sum()) + self.missed
        total = int(taken.sum()) + gold
        return 2 * int((taken & self.right).sum()) / total if total else 0.0


def held_out(
    propose: Propose,
    items: Sequence[Labelled],
    systems: Sequence[str],
    *,
    progress: Callable[[int], None] | None = None,
) -> tuple[dict[str, HeldOut], list[Scored]]:
    """Per system the rows over ``items``, and the same as encounters for the usual measures."""
    probability: dict[str, list[float]] = {system: [] for system in systems}
    right: dict[str, list[bool]] = {system: [] for system in systems}
    missed = dict.fromkeys(systems, 0)
    scored: list[Scored] = []
    for item in items:
        found = propose(item.encounter, item.encounter.language or "")
        gold = {(label.system, normalised(label.code)) for label in item.gold}
        proposed: set[tuple[str, str]] = set()
        given: list[Predicted] = []
        others: list[Predicted] = []
        for proposal in found:
            key = (proposal.system.value, normalised(proposal.code))
            if key[0] not in probability or key in proposed:
                continue
            proposed.add(key)
            probability[key[0]].append(proposal.probability)
            right[key[0]].append(key in gold)
            (given if proposal.chosen else others).append(Predicted(*key, proposal.probability))
        for system, _ in gold - proposed:
            if system in missed:
                missed[system] += 1
        labels = [Gold(label.system, label.code, primary=label.primary) for label in item.gold]
        scored.append(Scored(labels, given, suggested=others))
        if progress:
            progress(1)
    rows = {
        system: HeldOut(np.array(probability[system]), np.array(right[system], dtype=np.bool_), missed[system])
        for system in systems
    }
    return rows, scored


def figures(scored: Sequence[Scored], systems: Sequence[str]) -> dict[str, Any]:
    """Precision, recall, F1, MAP per system, and the calibration of what was given."""
    found: dict[str, Any] = {"n": len(scored)}
    for system in systems:
        counts = micro(scored, system)
        found[system] = {
            "precision": _rounded(counts.precision),
            "recall": _rounded(counts.recall),
            "f1": _rounded(counts.f1),
            "map": _rounded(mean_average_precision(scored, system)),
        }
    found["ece"] = _rounded(expected_calibration_error(scored))
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
