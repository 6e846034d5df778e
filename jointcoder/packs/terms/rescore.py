"""A model's answer as one more voice: candidates with their log-odds, rescored with the model's log-probabilities.

    choices = terms.rank(mention, k=10)                     # asked as a lettered question, best first or shuffled
    rows = voices([c.logodds for c in choices], logprobs)   # logprobs: one a candidate, in the same order
    combiner.probability(rows)                              # combiner: jointcoder.learn.terms_rescore.fit_choice

Where the model was not asked the first opinion stands: leave the mention as it is. Knows no model and no prompt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jointcoder.packs.terms.index import Floats

VOICES = ("own", "own_gap", "model", "model_gap", "model_none", "agree", "model_alone")
FLOOR = -12.0  # log-probability below which an option is as good as refused


def voices(logodds: Sequence[float], logprobs: Sequence[float], none: float | None = None) -> Floats:
    """Rows of :data:`VOICES`, a candidate each. ``none``: the log-probability of "none of these", if it was an option.

    Raises ValueError where the two lists differ in length.
    """
    if len(logodds) != len(logprobs):
        raise ValueError(f"{len(logodds)} candidates, {len(logprobs)} log-probabilities")
    if not len(logodds):
        return np.zeros((0, len(VOICES)))
    own = np.asarray(logodds, dtype=np.float64)
    model = np.maximum(np.nan_to_num(np.asarray(logprobs, dtype=np.float64), nan=FLOOR, neginf=FLOOR), FLOOR)
    refused = max(none, FLOOR) if none is not None else FLOOR
    by_model, by_own = model >= model.max(), own >= own.max()
    return np.column_stack(
        (
            own,
            _gap(own),
            model,
            _gap(model),
            np.full(len(own), refused),
            (by_model & by_own).astype(np.float64),
            (by_model & ~by_own).astype(np.float64),
        )
    )


def _gap(values: Floats) -> Floats:
    """Distance to the best rival."""
    if len(values) < 2:
        return np.zeros(len(values))
    second, first = np.partition(values, len(values) - 2)[-2:]
    return np.asarray(np.where(values >= first, values - second, values - first), dtype=np.float64)
