"""critique: what speaks against the drafts, in words: findings of the rules, missing evidence, and the model's remarks.

The feedback half of self-refinement (Madaan 2023, Reflexion); ``revise`` is the other half. Rules and evidence are
checked by the program, so that the remarks are right even where the model is weak; with ``ask_model`` it adds what it
misses. Remarks name conditions and procedures, never codes, and each says which drafts it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from jointcoder.codebook.rules import check
from jointcoder.llm.base import Generation, Prompt
from jointcoder.records import Assertion, AssignedCode, Flag, Severity
from jointcoder.steps import base, showing
from jointcoder.steps.base import Generate, Run, State, Tools, Update, edition_date
from jointcoder.steps.both import CodesStep, KindsOptions
from jointcoder.steps.evidence_linker import strength_of
from jointcoder.steps.guideline_validator import RULES
from jointcoder.steps.literals import without_literals
from jointcoder.steps.prompting import Prompts
from jointcoder.steps.proposals import Written
from jointcoder.steps.sought import CODABLE

FAMILIES: Mapping[str, str] = {rule: family for family, rules in RULES.items() for rule in rules}


class CritiqueOptions(KindsOptions):
    """``weak``: strength of evidence below which a draft is remarked on; ``ask_model``: the model says, part by part,
    what is missing from the list or wrong in it."""

    weak: float = Field(default=0.3, ge=0, le=1)
    ask_model: bool = False
    max_tokens: int = Field(default=160, ge=16, le=1024)


class Critique(CodesStep):
    """Remarks about the drafts."""

    name: ClassVar[str] = "critique"
    purpose: ClassVar[str] = "what speaks against the drafts, in words: rules, missing evidence, the model's remarks"
    Options: ClassVar[type[base.StepOptions]] = CritiqueOptions
    options: CritiqueOptions

    @property
    def writes(self) -> frozenset[str]:
        return frozenset({"texts"})

    @property
    def asks(self) -> bool:
        return self.options.ask_model

    def run(self, state: State, tools: Tools) -> Run:
        prompts = tools.prompts(state.language)
        codes = [code for _, own in self.drafts(state, tools) for code in own]
        remarks = [*self._ruled(codes, state, tools, prompts), *self._unfounded(codes, prompts)]
        told = 0
        flags: tuple[Flag, ...] = ()
        if self.options.ask_model:
            kinds = self.coded(tools)
            shown = showing.listing(state, tools, ("codes",), kinds)
            flags = shown.flags(self.name)
            instruction = f"{shown.text}\n\n{prompts('critique', 'question')}"
            asked = [Prompt(showing.context(state, chunk, tools), instruction) for chunk in state.chunks]
            answers: list[Generation] = yield Generate(asked, None, self.options.max_tokens)
            texts = [without_literals(answer.text).strip() for answer in answers]
            told = sum(bool(text) for text in texts)
            remarks += [Written(self.name, text) for text in texts if text]
        by_program = len(remarks) - told
        return Update({"texts": tuple(remarks)}, flags, {"remarks": by_program, "by_model": told})

    def _ruled(self, codes: Sequence[AssignedCode], state: State, tools: Tools, prompts: Prompts) -> Iterator[Written]:
        """A remark for each finding that says which codes are wrong; advice is left to the final check."""
        names = {code.code: code.name for code in codes}
        day, patient = edition_date(state.encounter), state.encounter.patient
        for finding in check(tools.book, codes, on=day, patient=patient):
            held = [code for code in dict.fromkeys(finding.codes) if code in names]
            family = FAMILIES.get(finding.rule)
            if family is None or not held or finding.severity is Severity.ADVICE:
                continue
            text = prompts("critique", family, name=names[held[0]], other=names[held[-1]])
            about = tuple((code.system, code.code) for code in codes if code.code in held)
            yield Written(self.name, text, about)

    def _unfounded(self, codes: Sequence[AssignedCode], prompts: Prompts) -> Iterator[Written]:
        for code in codes:
            strength = strength_of(code)
            key = ""
            if not code.evidence:
                key = "absent"
            elif code.assertion not in CODABLE:
                key = "denied" if code.assertion is Assertion.NEGATED else "relative"
            elif strength is not None and strength < self.options.weak:
                key = "weak"
            if key:
                quote = " ".join(code.evidence[0].quote.split()) if code.evidence else ""
                text = prompts("critique", key, name=code.name, quote=quote)
                yield Written(self.name, text, ((code.system, code.code),))
