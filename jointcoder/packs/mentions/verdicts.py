"""Where the part is unsure it can ask: the questions, and how an answer changes the probability.

    for doubt in part.unsure(encounter, language):          Doubt(code, probability, span, sentence)
        verdict[doubt.system, doubt.code] = …               log-odds of "this code is coded here", from any judge
    part.propose(encounter, language, verdicts=verdict)

A second small combiner weighs the part's own log-odds and the verdict's: :mod:`jointcoder.learn.verdicts` trains it on
encounters the judge did not learn from. Without it verdicts are ignored; codes without a verdict keep their figure.
Knows nothing of prompts and models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jointcoder.packs.combiner import Combiner
from jointcoder.packs.proposal import Reason
from jointcoder.records import Encounter, Span, System
from jointcoder.text.segment import sentences

NAMES = ("part", "verdict")
Verdicts = Mapping[tuple[str, str], float]  # (system, code) → log-odds of yes


@dataclass(frozen=True, slots=True)
class Doubt:
    """A code of which the part is not sure, with the sentence that is its evidence. ``known``: it was trained."""

    system: System
    code: str
    probability: float
    spans: tuple[Span, ...]
    sentence: str
    known: bool


def weigh(combiner: Combiner, logodds: float, verdict: float) -> tuple[float, tuple[Reason, ...]]:
    """The probability after a verdict, and what each of the two adds."""
    row = np.array([logodds, verdict])
    return float(combiner.probability(row)[0]), combiner.contributions(row)


def sentence_of(encounter: Encounter, spans: Sequence[Span], language: str) -> str:
    """The sentences that the spans touch, as written."""
    if not spans:
        return ""
    document = spans[0].document
    text = encounter.documents[document].text
    start, end = min(s.start for s in spans), max(s.end for s in spans)
    touched = [(a, b) for a, b in sentences(text, language) if a < end and start < b]
    return text[touched[0][0] : touched[-1][1]] if touched else text[start:end]
