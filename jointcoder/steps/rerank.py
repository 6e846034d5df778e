"""rerank: the final order of the drafts by judge score, likeness to their descriptions and strength of evidence.

The last step of MedDCR's best workflow (Zheng et al., appendix C). A weighted mean of what the steps before have found
out; what no step has looked at does not count. With ``most`` only the first so many stay. Asks nobody, and the first is
principal unless a step after it knows better (``prioritise``, ``reconcile``).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from jointcoder.records import AssignedCode, Kind
from jointcoder.steps import base
from jointcoder.steps.base import CODE_SLOTS, Run, State, Tools, Update
from jointcoder.steps.both import CodesStep, KindsOptions
from jointcoder.steps.evidence_linker import strength_of
from jointcoder.steps.judge import grade_of
from jointcoder.steps.likeness import Likeness


class RerankOptions(KindsOptions):
    """``judge``: how much the grade of ``judge`` counts; ``likeness``: how much the likeness of evidence and name;
    ``evidence``: how much the strength of evidence; ``confidence``: how much the confidence so far; ``most``: how many
    drafts of a kind stay (0: all)."""

    judge: float = Field(default=1.0, ge=0, le=10)
    likeness: float = Field(default=0.5, ge=0, le=10)
    evidence: float = Field(default=0.5, ge=0, le=10)
    confidence: float = Field(default=1.0, ge=0, le=10)
    most: int = Field(default=0, ge=0, le=200)


class Rerank(CodesStep):
    """Drafts in their final order."""

    name: ClassVar[str] = "rerank"
    purpose: ClassVar[str] = "order by judge score, likeness to the description and strength of evidence"
    Options: ClassVar[type[base.StepOptions]] = RerankOptions
    options: RerankOptions
    also_reads = frozenset({"encounter", "language"})

    def run(self, state: State, tools: Tools) -> Run:
        yield from ()
        values: dict[str, tuple[AssignedCode, ...]] = {}
        left_out = 0
        for kind, drafts in self.drafts(state, tools):
            likeness = Likeness(tools.lookup, state.language, kind is Kind.PROCEDURE)
            scores = {draft.code: self.score(draft, likeness) for draft in drafts}
            order = sorted(drafts, key=lambda draft: (-scores[draft.code], draft.code))
            kept = order[: self.options.most or None]
            left_out += len(order) - len(kept)
            values[CODE_SLOTS[kind]] = self.passed(kept)
        return Update(values, notes={"left_out": left_out})

    def score(self, draft: AssignedCode, likeness: Likeness) -> float:
        """The weighted mean of what is known of the draft, 0 to 1."""
        alike = max((likeness.of(span.quote, draft.name) for span in draft.evidence), default=0.0)
        parts = [
            (self.options.judge, grade_of(draft.verdicts)),
            (self.options.likeness, alike),
            (self.options.evidence, strength_of(draft)),
            (self.options.confidence, draft.confidence),
        ]
        known = [(weight, value) for weight, value in parts if value is not None]
        total = sum(weight for weight, _ in known)
        return sum(weight * value for weight, value in known) / total if total else 0.0
