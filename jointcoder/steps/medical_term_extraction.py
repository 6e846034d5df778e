"""medical_term_extraction: the record's conditions and procedures as lead terms of the alphabetic index.

*Analyse*, the first stage of Code Like Humans (Motzfeldt and Edin 2025), and MedDCR's ``MedicalTermExtraction``: a
coder looks up "Failure, heart, congestive", not the sentence. Each term comes with the words of the record behind it;
what the record only denies or tells of relatives falls out at the lookup. In a language without an alphabetic index
the term is the name of the standard list.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from jointcoder.llm.base import Generation, Prompt
from jointcoder.steps import base
from jointcoder.steps.base import Generate, Run, State, Tools, Update
from jointcoder.steps.both import KindsOptions, KindsStep
from jointcoder.steps.common import record_context
from jointcoder.steps.extract import FIELDS, list_schema
from jointcoder.steps.proposals import name_language, read_names


class TermOptions(KindsOptions):
    """``max_items``: of each kind, per part of the record; ``synonyms``: the model also gives other terms under which
    the same thing may stand."""

    max_items: int = Field(default=16, ge=1, le=60)
    max_tokens: int = Field(default=640, ge=32, le=4096)
    synonyms: bool = False


class MedicalTermExtraction(KindsStep):
    """Lead terms, by the model."""

    name: ClassVar[str] = "medical_term_extraction"
    purpose: ClassVar[str] = "lead terms as the alphabetic index writes them, with the words of the record behind each"
    Options: ClassVar[type[base.StepOptions]] = TermOptions
    options: TermOptions
    reads = frozenset({"encounter", "language", "chunks"})
    writes = frozenset({"proposals"})

    @property
    def asks(self) -> bool:
        return True

    def run(self, state: State, tools: Tools) -> Run:
        kinds = self.coded(tools)
        if not kinds:
            return Update()
        prompts = tools.prompts(state.language)
        fields = [FIELDS[kind] for kind in kinds]
        schema = list_schema(fields, self.options.max_items, named=True)
        lines = [prompts("medical_term_extraction", field) for field in fields]
        more = [prompts("medical_term_extraction", "synonyms")] if self.options.synonyms else []
        instruction = prompts("medical_term_extraction", "instruction", lists="\n".join(lines), more="".join(more))
        asked = [Prompt(record_context(state, chunk, tools), instruction) for chunk in state.chunks]
        answers: list[Generation] = yield Generate(asked, schema, self.options.max_tokens)
        named = read_names(state, state.chunks, answers, kinds=kinds, by=self.name, language=name_language(prompts))
        return Update({"proposals": named.proposals}, named.flags(self.name), named.notes)
