"""Why a code was proposed: the combiner's figures, its word score broken down to words, and where those stand.

Reasons sum to the log-odds: what the score features contribute is shared out among the word sequences in proportion to
what each adds to the linear score, the rest of it kept as one reason. Feature names are learned word sequences or the
names in :mod:`.pairs`; no other text of the note goes into them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jointcoder.packs.combiner import Combiner
from jointcoder.packs.labels.grams import Found
from jointcoder.packs.labels.names import Said
from jointcoder.packs.labels.pairs import SCORE_FEATURES
from jointcoder.packs.labels.reading import Reading
from jointcoder.records import Reason, Span

if TYPE_CHECKING:
    from jointcoder.packs.labels.model import Model

SHOWN_WORDS = 6
SHOWN_SPANS = 3
WORDS_REST = "words: all others"
NAME_SAID = 0.5  # share of a name from which its place is evidence
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """One question put to a combiner. ``column``: of the linear weights; ``scores``: the features made of its score."""

    combiner: Combiner | None
    features: Array
    column: int
    scores: tuple[str, ...] = SCORE_FEATURES
    prefix: str = ""


def reasons(model: Model, found: Found, asked: Asked) -> tuple[Reason, ...]:
    """Largest first; their weights sum to the log-odds before calibration."""
    if asked.combiner is None:
        return ()
    given = asked.combiner.contributions(asked.features)
    kept = [reason for reason in given if reason.feature not in asked.scores]
    from_words = sum(reason.weight for reason in given if reason.feature in asked.scores)
    parts = found.values * model.weights[found.columns, asked.column].astype(np.float64)
    whole = float(np.abs(parts).sum())
    rest = from_words
    for i in np.argsort(-np.abs(parts), kind="stable")[:SHOWN_WORDS] if whole else ():
        view, words = model.space.keys[found.columns[i]]
        weight = abs(from_words) * float(parts[i]) / whole
        rest -= weight
        kept.append(Reason(feature=f"{view}: {words}", value=float(found.values[i]), weight=weight))
    kept.append(Reason(feature=WORDS_REST, value=float(asked.features[0]), weight=rest))
    named = [reason.model_copy(update={"feature": asked.prefix + reason.feature}) for reason in kept]
    return tuple(sorted(named, key=lambda reason: (-abs(reason.weight), reason.feature)))


def evidence(model: Model, reading: Reading, found: Found, said: Said, place: int) -> tuple[Span, ...]:
    """Where the code's name is written, else where the words stand that speak for it most; none if nothing does."""
    if said.best[place] >= 0 and said.share[place, :-1].max() >= NAME_SAID:
        return model.names.spans(reading, said, place)
    parts = found.values * model.weights[found.columns, place].astype(np.float64)
    worth: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))  # run → word → share
    for i in np.argsort(-parts, kind="stable")[: 4 * SHOWN_SPANS]:
        if parts[i] <= 0:
            break
        run, first, last = found.places[i]
        for word in range(first, last + 1):
            worth[run][word] += float(parts[i]) / (last - first + 1)
    stretches = [
        (sum(worth[run][word] for word in words), run, words[0], words[-1])
        for run in worth
        for words in _neighbours(sorted(worth[run]))
    ]
    best = sorted(stretches, key=lambda s: (-s[0], s[1], s[2]))[:SHOWN_SPANS]
    return tuple(reading.span(run, first, last) for _, run, first, last in best)


def _neighbours(words: list[int]) -> list[list[int]]:
    """Consecutive numbers together."""
    found: list[list[int]] = []
    for word in words:
        if found and word == found[-1][-1] + 1:
            found[-1].append(word)
        else:
            found.append([word])
    return found
