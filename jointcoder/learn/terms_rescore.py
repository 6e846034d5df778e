"""Learns how much a model's choice among a mention's candidates counts beside the pack's own opinion.

    fitted = fit_choice([Asked("id", logodds, logprobs, right), …])
    fitted.combiner.probability(voices(logodds, logprobs))  # packs.terms.rescore

The own log-odds must be held out (``train(…, held_out=FILE)`` of :mod:`jointcoder.learn.terms` writes them with the
candidates to ask about; or use mentions not learnt from), else the pack looks surer than it is and the model is not
heard. Ask only mentions that will be asked later, too: those where the pack is unsure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jointcoder.errors import InputError
from jointcoder.learn.fit import Fitted, fit_logistic
from jointcoder.packs.terms.rescore import VOICES, voices

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """One lettered question with its answer: per candidate the pack's log-odds, the model's log-probability and
    whether it is right. ``none``: the log-probability of "none of these", if offered. ``group``: the record."""

    group: str
    logodds: tuple[float, ...]
    logprobs: tuple[float, ...]
    right: tuple[bool, ...]
    none: float | None = None


def fit_choice(rows: Sequence[Asked], *, seed: int = 0) -> Fitted:
    """The second combiner, calibrated out of fold; ``out_of_fold`` runs over the candidates of all rows, in order.

    Raises InputError JC114 where there are too few questions, or none with both right and wrong candidates.
    """
    asked = [row for row in rows if row.logodds]
    if not asked:
        raise InputError("JC114", "no question with candidates to learn from")
    table = np.vstack([voices(row.logodds, row.logprobs, row.none) for row in asked])
    right = np.concatenate([np.asarray(row.right, dtype=bool) for row in asked])
    groups = [row.group for row in asked for _ in row.logodds]
    return fit_logistic(VOICES, table, right, groups, C=1.0, folds=FOLDS, seed=seed)
