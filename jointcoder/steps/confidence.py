"""How sure we are of a draft code: an additive log-odds table that can be read aloud.

The weights are data (``steps/data/confidence.toml``). The figures are comparable between codes of one run; they
become calibrated probabilities only where a learned pack supplies its own weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jointcoder.records import Assertion, Mention
from jointcoder.steps.common import logit, sigmoid, step_data
from jointcoder.text.sections import section_kind

ORDER = (Assertion.PRESENT, Assertion.POSSIBLE, Assertion.HISTORICAL, Assertion.FAMILY, Assertion.NEGATED)


def draft(mentions: Sequence[Mention], *, lookup: float, choice: float) -> float:
    """Confidence of a code proposed from ``mentions`` by lookup (0–1) and choice (probability)."""
    table = step_data("confidence")
    weights = table["draft"]
    value = weights["bias"] + weights["lookup"] * lookup + weights["choice"] * choice
    value += weights["repeated"] * math.log2(max(1, len(mentions)))
    value += max((table["source"].get(m.source, 0.0) for m in mentions), default=0.0)
    value += table["assertion"][strongest(mentions).value]
    value += max((table["section"].get(section_kind(m.section), 0.0) for m in mentions), default=0.0)
    return sigmoid(value)


def with_verdict(confidence: float, yes: float, baseline: float) -> float:
    """Confidence after a verdict; ``baseline`` is the probability of yes for a code that the record does not hold."""
    weight = step_data("confidence")["verdict"]["weight"]
    return sigmoid(logit(confidence) + weight * (logit(yes) - logit(baseline)))


def strongest(mentions: Sequence[Mention]) -> Assertion:
    """The assertion that counts when a thing is mentioned several times: present before possible before historical."""
    return min((m.assertion for m in mentions), key=ORDER.index, default=Assertion.PRESENT)
