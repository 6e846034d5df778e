"""read: the language, the typed sections, and the parts that fit the model's context. First of the flow.

Reads the encounter; writes language, sections, chunks. Nothing is cut: every character of every document lies in
exactly one chunk, and a record that needs more than one is flagged (JC111).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from jointcoder.records import Flag
from jointcoder.steps import base
from jointcoder.steps.base import Run, State, Tools, Update
from jointcoder.text.chunks import plan_chunks
from jointcoder.text.language import detect
from jointcoder.text.sections import find_sections

SHARE_OF_CONTEXT = 0.4  # of the context for one chunk; the rest is for instructions, questions and answers


class ReadOptions(base.StepOptions):
    """``chunk_tokens``: the most note tokens shown to the model at once (never more than 40 % of its context)."""

    chunk_tokens: int = Field(default=1800, ge=64, le=100_000)


class Read(base.Step):
    """Detects the language, types the sections, plans the chunks."""

    name: ClassVar[str] = "read"
    purpose: ClassVar[str] = "language, typed sections, parts that fit the context"
    Options: ClassVar[type[base.StepOptions]] = ReadOptions
    options: ReadOptions
    reads = frozenset({"encounter"})
    writes = frozenset({"language", "sections", "chunks"})

    def run(self, state: State, tools: Tools) -> Run:
        encounter = state.encounter
        flags: list[Flag] = []
        if encounter.language:
            language = encounter.language
        else:
            detected = detect("\n".join(document.text for document in encounter.documents))
            language = detected.language
            if detected.mixed:
                flags.append(Flag(code="JC112", step=self.name, message=f"coded as {language}"))
        tools.prompts(language)  # an unsupported language is an error here, not a failure later
        sections = encounter.sections or find_sections(encounter.documents, language)
        budget = max(64, min(self.options.chunk_tokens, int(tools.context_tokens * SHARE_OF_CONTEXT)))
        chunks = plan_chunks(encounter.documents, sections, budget=budget, count=tools.count_tokens)
        if len(chunks) > 1:
            message = f"{encounter.characters} characters read in {len(chunks)} parts of at most {budget} tokens"
            flags.append(Flag(code="JC111", step=self.name, message=message))
        yield from ()
        return Update(
            {"language": language, "sections": tuple(sections), "chunks": tuple(chunks)},
            tuple(flags),
            {"language": language, "chunk_tokens": budget},
        )
