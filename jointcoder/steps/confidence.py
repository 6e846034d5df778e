"""How sure we are of a draft code: an additive log-odds table that can be read aloud.

The weights are data (``steps/data/confidence.toml``). The figures are comparable between codes of one run; they
become calibrated probabilities only where a learned pack supplies its own weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jointcoder.codebook.model import Hit
from jointcoder.packs.drafts import PART, View
from jointcoder.records import Assertion, AssignedCode, Kind, Mention, Section
from jointcoder.steps.common import logit, sigmoid, step_data
from jointcoder.text.sections import section_kind

if TYPE_CHECKING:
    from jointcoder.packs.drafts import Drafts
    from jointcoder.steps.base import State, Tools

ORDER = (Assertion.PRESENT, Assertion.POSSIBLE, Assertion.HISTORICAL, Assertion.FAMILY, Assertion.NEGATED)
DEFINITIVE = "definitive"
FOUND = 0.9  # lookup score from which a wording is found as it is written
SHOWN_REASONS = 12  # of each code; the smaller ones say little


def draft(mentions: Sequence[Mention], hit: Hit, *, choice: float, divided: bool) -> float:
    """Confidence of a code proposed from ``mentions`` through ``hit``, chosen with probability ``choice``.

    ``divided``: the record has an assessment or discharge section (see :func:`is_divided`).
    """
    table = step_data("confidence")
    weights = table["draft"]
    sources = {mention.source for mention in mentions}
    kinds = {section_kind(mention.section) for mention in mentions}
    value = weights["bias"] + weights["lookup"] * hit.score + weights["choice"] * choice
    value += weights["weak"] * max(0.0, FOUND - hit.score) * ("list" in sources)
    value += weights["repeated"] * math.log2(max(1, len(mentions)))
    value += weights["agreement"] * ({"model", "dictionary"} <= sources)
    value += max((table["source"].get(source, 0.0) for source in sources), default=0.0)
    value += table["assertion"][strongest(mentions).value]
    value += max((table["section"].get(kind, 0.0) for kind in kinds), default=0.0)
    if hit.system.kind is Kind.DIAGNOSIS:
        value += _place(table, mentions, kinds, hit, divided)
    return sigmoid(value)


def _place(
    table: dict[str, dict[str, float]], mentions: Sequence[Mention], kinds: set[str], hit: Hit, divided: bool
) -> float:
    """What the record's own divisions say of a diagnosis."""
    weights = table["record"]
    value = weights["complaint"] * all(mention.section == "chief_complaint" for mention in mentions)
    if not divided:
        return value + weights["undivided"]
    value += weights["outside"] * (DEFINITIVE not in kinds)
    symptoms: dict[str, list[str]] = table["symptoms"]  # type: ignore[assignment]
    return value + weights["symptom"] * hit.code.startswith(tuple(symptoms.get(hit.system, ("\0",))))


def judged(drafts: Sequence[AssignedCode], state: State, tools: Tools, kind: Kind) -> list[AssignedCode] | None:
    """The drafts with the confidence that coded history gives them, each with its reasons; None where no pack in use
    judges drafts of this kind's system."""
    system, pack = tools.system(kind), tools.pack
    if system is None or pack is None or not pack.has(PART):
        return None
    part: Drafts = pack.part(PART, tools.lookup)
    if not part.knows(system):
        return None
    candidates = state.diagnosis_candidates if kind is Kind.DIAGNOSIS else state.procedure_candidates
    view = View(state.encounter, state.language, state.sections, state.mentions, candidates, drafts)
    return [
        draft.with_(confidence=judgement.probability, reasons=judgement.reasons[:SHOWN_REASONS])
        for draft, judgement in zip(drafts, part.judge(view, system), strict=True)
    ]


def threshold(tools: Tools, kind: Kind) -> float:
    """The confidence from which the pack that judges drafts keeps one (see :func:`judged`)."""
    system, pack = tools.system(kind), tools.pack
    assert system is not None
    assert pack is not None
    part: Drafts = pack.part(PART, tools.lookup)
    return part.thresholds[system]


def is_divided(sections: Sequence[Section]) -> bool:
    """Whether the record says itself what counts: it has an assessment, impression or discharge section."""
    return any(section_kind(section.name) == DEFINITIVE for section in sections)


def with_verdict(confidence: float, yes: float, baseline: float) -> float:
    """Confidence after a verdict; ``baseline`` is the probability of yes for a code that the record does not hold."""
    weight = step_data("confidence")["verdict"]["weight"]
    return sigmoid(logit(confidence) + weight * (logit(yes) - logit(baseline)))


def strongest(mentions: Sequence[Mention]) -> Assertion:
    """The assertion that counts when a thing is mentioned several times: present before possible before historical."""
    return min((m.assertion for m in mentions), key=ORDER.index, default=Assertion.PRESENT)
