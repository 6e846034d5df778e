"""prioritise: which code is principal, and the order of the rest.

An additive score from the rules (data: ``steps/data/prioritise.toml``, with their guideline sections) orders the
codes; the model's choice among the best of them is added as a log-probability. Nothing is dropped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from jointcoder.llm.base import Choice, Question
from jointcoder.records import Assertion, AssignedCode, Mention
from jointcoder.steps import base
from jointcoder.steps.base import Choose, Run, State, Tools, Update
from jointcoder.steps.common import chunk_of, logit, ranked, record_context, step_data
from jointcoder.steps.prompting import LETTERS
from jointcoder.text.sections import section_kind

if TYPE_CHECKING:
    from jointcoder.text.chunks import Chunk


class PrioritiseOptions(base.KindOptions):
    """``shown``: how many codes the model chooses among; ``model_weight``: log-odds per unit of log-probability."""

    ask_model: bool = True
    shown: int = Field(default=8, ge=2, le=20)
    model_weight: float = Field(default=0.5, ge=0, le=5)


class Prioritise(base.KindStep):
    """Order by rules and model; the first is principal."""

    name: ClassVar[str] = "prioritise"
    purpose: ClassVar[str] = "principal first, then by importance"
    Options: ClassVar[type[base.StepOptions]] = PrioritiseOptions
    options: PrioritiseOptions

    also_reads = base.KindStep.also_reads | {"mentions"}

    @property
    def asks(self) -> bool:
        return self.options.ask_model

    def run(self, state: State, tools: Tools) -> Run:
        codes: tuple[AssignedCode, ...] = getattr(state, self.slot)
        mentions = {mention.id: mention for mention in state.mentions}
        scores = {code.code: rule_score(code, place, mentions) for place, code in enumerate(in_text(codes))}
        order = by_score(codes, scores)
        asked = self.options.ask_model and len(order) > 1
        if asked:
            shown = sorted(order[: self.options.shown], key=lambda code: code.code)
            prompts = tools.prompts(state.language)
            lines = "\n".join(f"{letter}. {code.name}" for letter, code in zip(LETTERS, shown, strict=False))
            text = prompts("prioritise", self.options.kind.value, options=lines)
            context = record_context(state, opening_chunk(state, order), tools)
            answers: list[Choice] = yield Choose(context, [Question(text, LETTERS[: len(shown)])])
            for code, logprob in zip(shown, answers[0].logprobs, strict=True):
                scores[code.code] += self.options.model_weight * logprob
            for code in order[self.options.shown :]:  # not shown: below everything that was
                scores[code.code] += self.options.model_weight * min(answers[0].logprobs)
            order = by_score(codes, scores)
        stages = [code.with_(stages=(*code.stages, self.name)) for code in order]
        return Update({self.slot: ranked(stages)}, notes={"asked": asked})


def in_text(codes: Sequence[AssignedCode]) -> list[AssignedCode]:
    """By first evidence: document, then offset; codes without evidence last."""

    def place(code: AssignedCode) -> tuple[int, int, str]:
        first = min(((s.document, s.start) for s in code.evidence), default=(10**6, 0))
        return (*first, code.code)

    return sorted(codes, key=place)


def by_score(codes: Sequence[AssignedCode], scores: dict[str, float]) -> list[AssignedCode]:
    """Best first; equal scores by code."""
    return sorted(codes, key=lambda code: (-scores[code.code], code.code))


def rule_score(code: AssignedCode, place: int, mentions: dict[str, Mention]) -> float:
    """Log-odds of being principal by the rules alone; ``place`` counts the codes in the order of the text."""
    table = step_data("prioritise")
    weights = table["weights"]
    own = [mentions[m] for m in code.mentions if m in mentions]
    listed = any(m.source == "list" for m in own)
    value: float = weights["listed_position" if listed else "text_position"] * place
    value += weights["confidence"] * logit(code.confidence)
    value += weights["definitive"] * any(section_kind(m.section) == "definitive" for m in own)
    value += weights["complaint"] * any(m.section == "chief_complaint" for m in own)
    value += weights["historical"] * (code.assertion is Assertion.HISTORICAL)
    value += weights["possible"] * (code.assertion is Assertion.POSSIBLE)
    for rule in ("never", "unlikely"):
        if code.code.startswith(tuple(table[rule].get(code.system.value, ()))):
            value += weights[rule]
    return value


def opening_chunk(state: State, codes: Sequence[AssignedCode]) -> Chunk:
    """The part of the record to show: where the best code's first evidence stands."""
    spans = [span for code in codes for span in code.evidence]
    return state.chunks[chunk_of(spans[0], state.chunks) if spans else 0]
