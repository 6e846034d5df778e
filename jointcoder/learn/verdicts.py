"""How much a model's verdict on a code is worth beside the part's own opinion.

    rows = [VerdictRow(encounter.id, part_logodds, verdict_logodds, right), …]     one a doubt, judged
    combiner = fit_verdicts(rows)
    store(combiner, pack_folder / "mentions")          or Mentions(…, verdicts=combiner)

The rows must come from encounters that neither the part nor the judge learnt from (or from held-out folds of both),
else the verdict is taken for better than it is. ``part_logodds`` is :func:`jointcoder.packs.mentions.part.logit` of the
doubt's probability. Knows nothing of who judged.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jointcoder.learn.fit import Fitted, fit_logistic
from jointcoder.packs.combiner import Combiner
from jointcoder.packs.mentions.verdicts import NAMES


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One judged doubt: whose encounter it is, what the part and the judge say as log-odds, and the truth."""

    encounter: str
    part: float
    verdict: float
    right: bool


def fit_verdicts(rows: Sequence[VerdictRow], *, folds: int = 5, seed: int = 0) -> Fitted:
    """A combiner over [part, verdict]. Its ``out_of_fold`` is by encounter, in the order of ``rows``.

    Raises InputError JC114 where the rows are all right or all wrong, or from fewer encounters than folds.
    """
    features = np.array([[row.part, row.verdict] for row in rows], dtype=np.float64).reshape(-1, len(NAMES))
    right = np.array([row.right for row in rows], dtype=np.int64)
    return fit_logistic(NAMES, features, right, [row.encounter for row in rows], folds=folds, seed=seed)


def store(combiner: Combiner, folder: Path) -> None:
    """Put it beside the part's files; the pack's description must be written anew after it."""
    (folder / "verdicts.json").write_text(json.dumps(combiner.to_json(), indent=1) + "\n", "utf-8")
