"""mine: procedures that were done but not named in a list. JointCoder's candidate mining: 63.8 % of auxiliary
procedures are missing from the operation field, only 0.8 % of diagnoses from the discharge list.

First what the course tells in words that are known (:mod:`jointcoder.steps.told`), with day, hours and assertion; then,
where the record lists its procedures and tells of the stay besides, the model is asked, part by part, for what is not
known yet. Adds mentions (they pass standardise like all others). A record without such a list costs no question here:
extract has already searched the whole of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from jointcoder.llm.base import Generation, Prompt
from jointcoder.records import Kind
from jointcoder.steps import base
from jointcoder.steps.base import Generate, Run, State, Tools, Update
from jointcoder.steps.common import record_context, step_data
from jointcoder.steps.extract import FIELDS, copied_mentions, list_schema, merge
from jointcoder.steps.told import Found, told_procedures

if TYPE_CHECKING:
    from jointcoder.text.chunks import Chunk


class MineOptions(base.StepOptions):
    """``cues``: what the course tells in known words is taken without the model, where the language has them;
    ``ask_model``: the model is asked for the rest, ``max_items`` at most per part; ``listed_shown``: how many known
    ones the prompt repeats."""

    cues: bool = True
    ask_model: bool = True
    max_items: int = Field(default=10, ge=1, le=60)
    max_tokens: int = Field(default=240, ge=32, le=4096)
    listed_shown: int = Field(default=20, ge=0, le=100)


class Mine(base.Step):
    """Procedures told in operation notes and the course of the stay."""

    name: ClassVar[str] = "mine"
    purpose: ClassVar[str] = "procedures done but not listed"
    Options: ClassVar[type[base.StepOptions]] = MineOptions
    options: MineOptions
    reads = frozenset({"encounter", "language", "sections", "chunks", "mentions"})
    writes = frozenset({"mentions"})

    @property
    def asks(self) -> bool:
        return self.options.ask_model

    def run(self, state: State, tools: Tools) -> Run:
        listed = [m.span.quote for m in state.mentions if m.kind is Kind.PROCEDURE and m.source == "list"]
        told = told_procedures(state, tools) if self.options.cues else Found()
        # Told ones stay beside what was found at the same place: one place may tell two procedures.
        mentions = (*state.mentions, *told.mentions)
        notes: dict[str, Any] = {"parts": 0, "told": dict(told.counts or {})}
        flags = list(told.flags)
        asked = listed and self.options.ask_model and tools.system(Kind.PROCEDURE)
        if chunks := narrative_chunks(state) if asked else ():
            prompts = tools.prompts(state.language)
            known = [*listed, *(mention.span.quote for mention in told.mentions)]
            shown = list(dict.fromkeys(known))[: self.options.listed_shown]
            field = FIELDS[Kind.PROCEDURE]
            schema = list_schema([field], self.options.max_items, named=state.language == "es")
            instruction = prompts("mine", "instruction", listed="; ".join(shown))
            requests = [Prompt(record_context(state, chunk, tools), instruction) for chunk in chunks]
            answers: list[Generation] = yield Generate(requests, schema, self.options.max_tokens)
            mined, remarks = copied_mentions(replace(state, chunks=chunks), answers, {field: Kind.PROCEDURE}, self.name)
            mentions = (*merge([*state.mentions, *mined]), *told.mentions)
            notes |= {"parts": len(chunks), "added": len(mentions) - len(state.mentions)}
            flags += remarks
        ordered = sorted(mentions, key=lambda m: (m.span.document, m.span.start, m.kind, m.id))
        return Update({"mentions": tuple(ordered)}, tuple(flags), notes)


def narrative_chunks(state: State) -> tuple[Chunk, ...]:
    """The chunks that hold a part of a narrative section of the stay."""
    names = set(step_data("mine")["sections"])
    wanted = [section for section in state.sections if section.name in names]

    def touches(pieces: Sequence[tuple[int, int, int]]) -> bool:
        return any(
            section.document == index and section.start < end and start < section.end
            for index, start, end in pieces
            for section in wanted
        )

    return tuple(chunk for chunk in state.chunks if touches(chunk.pieces))
