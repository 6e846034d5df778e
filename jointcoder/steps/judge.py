"""judge: every draft gets an evidence-aware score; what stays below the threshold is dropped. MedDCR's ``Judge``.

LLM-as-a-judge (Zheng et al. 2023), with grades instead of yes or no: the model sees the draft beside its evidence and
grades how well the record supports it; the score is the expected grade, with its lean about nothing in particular
taken off. Confidence, grade and strength of evidence (``evidence_linker``) are added up as log-odds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from jointcoder.llm.base import Choice
from jointcoder.records import AssignedCode, Flag, Verdict
from jointcoder.steps import base
from jointcoder.steps.base import CODE_SLOTS, Run, State, Tools, Update
from jointcoder.steps.both import CodesStep, KindsOptions
from jointcoder.steps.choosing import ask_about
from jointcoder.steps.common import logit, sigmoid
from jointcoder.steps.evidence_linker import strength_of
from jointcoder.steps.prompting import LETTERS

GRADES = (1.0, 0.67, 0.33, 0.0)  # what the lettered grades of the prompt are worth, the best first
QUESTION = "supported"


class JudgeOptions(KindsOptions):
    """``threshold``: confidence below which a draft is dropped; ``weight``: how much the grade counts; ``prior``: how
    much the confidence before it; ``evidence``: how much the strength of evidence; ``record``: whether the model sees
    the part of the record or the sentence alone; ``trust_lists``: drafts from the record's own lists are never
    dropped."""

    threshold: float = Field(default=0.5, ge=0, le=1)
    weight: float = Field(default=0.5, ge=0, le=5)
    prior: float = Field(default=0.5, ge=0, le=5)
    evidence: float = Field(default=1.0, ge=0, le=5)
    record: bool = True
    trust_lists: bool = True


class Judge(CodesStep):
    """Grades and the cut."""

    name: ClassVar[str] = "judge"
    purpose: ClassVar[str] = "an evidence-aware score for every draft, and the cut"
    Options: ClassVar[type[base.StepOptions]] = JudgeOptions
    options: JudgeOptions

    @property
    def asks(self) -> bool:
        return True

    def run(self, state: State, tools: Tools) -> Run:
        prompts = tools.prompts(state.language)
        letters = LETTERS[: len(GRADES)]
        values: dict[str, tuple[AssignedCode, ...]] = {}
        asked = dropped = near = 0
        for kind, drafts in self.drafts(state, tools):

            def text(name: str, evidence: str, kind: str = kind.value) -> str:
                return prompts("judge", kind, name=name, evidence=evidence)

            answers = yield from ask_about(
                drafts, state, tools, text, notes=self.options.record, options=letters, lean=expected
            )
            judged = [
                self._judged(draft, answers[draft.code].choice, answers[draft.code].baseline)
                if draft.code in answers
                else draft
                for draft in drafts
            ]
            kept = [draft for draft in judged if self._keeps(draft)]
            asked += len(answers)
            dropped += len(judged) - len(kept)
            near += sum(abs(draft.confidence - self.options.threshold) < 0.1 for draft in kept)
            values[CODE_SLOTS[kind]] = self.passed(kept)
        flags = (Flag(code="JC605", step=self.name, message=f"{near} codes are near the cut"),) if near else ()
        return Update(values, flags, {"asked": asked, "dropped": dropped})

    def _judged(self, draft: AssignedCode, choice: Choice, baseline: float) -> AssignedCode:
        grade = expected(choice)
        options = self.options
        value = options.prior * logit(draft.confidence) + options.weight * (logit(grade) - logit(baseline))
        strength = strength_of(draft)
        if strength is not None:
            value += options.evidence * (2 * strength - 1)
        verdict = Verdict(step=self.name, question=QUESTION, answer=choice.best, probability=grade)
        return draft.with_(confidence=sigmoid(value), verdicts=(*draft.verdicts, verdict))

    def _keeps(self, draft: AssignedCode) -> bool:
        listed = self.options.trust_lists and "extract:list" in draft.stages
        return listed or draft.confidence >= self.options.threshold


def expected(choice: Choice) -> float:
    """The expected grade of an answer, 0 to 1."""
    return min(
        1.0, sum(grade * choice.probability(letter) for grade, letter in zip(GRADES, choice.options, strict=True))
    )


def grade_of(verdicts: Sequence[Verdict]) -> float | None:
    """The last grade among a code's verdicts, None where no judge has spoken."""
    return next((v.probability for v in reversed(verdicts) if v.step == Judge.name), None)
