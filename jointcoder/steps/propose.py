"""propose: the model names what should be coded, in one or several deliberately different readings. Names, never codes.

| reading | what the model is asked |
|---|---|
| ``note`` | the part of the record, straight |
| ``reasoned`` | the same, thinking first (chain of thought, Wei 2022) |
| ``sections`` | by what the sections are: conclusions, course, history … |
| ``systems`` | body system by body system |
| ``letters`` | by the letters of the alphabetic index under which terms stand (Chinese: by kinds of disease) |
| ``terms`` | from the terms found so far, without the record |

Engines here are greedy, so that ``samples`` of one reading (self-consistency, Wang 2022) differ by their instruction:
another order of reading, another point of view. Every proposal bears its reading and sample (``propose:note:2``), for
``vote``. The readings' words are data (``prompts/<language>/propose.toml``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from jointcoder.llm.base import Generation, Prompt
from jointcoder.records import Kind
from jointcoder.steps import base, showing
from jointcoder.steps.base import Generate, Run, State, Tools, Update
from jointcoder.steps.both import KindsOptions, KindsStep
from jointcoder.steps.prompting import Prompts
from jointcoder.steps.proposals import Named, name_format, name_language, name_schema, read_names
from jointcoder.text.chunks import Chunk

Reading = Literal["note", "reasoned", "sections", "systems", "letters", "terms"]


class ProposeOptions(KindsOptions):
    """``readings``: which readings are made; ``samples``: how often each, every time by another instruction;
    ``with_text``: what other steps wrote is shown, too; ``label``: the first part of the proposals' ``by``, to tell two
    such steps of one workflow apart."""

    readings: tuple[Reading, ...] = Field(default=("note",), min_length=1)
    samples: int = Field(default=1, ge=1, le=8)
    with_text: bool = False
    max_items: int = Field(default=16, ge=1, le=60)
    max_tokens: int = Field(default=400, ge=32, le=4096)
    label: str = Field(default="propose", pattern="^[a-z][a-z0-9_]{0,30}$")


@dataclass(frozen=True)
class Request:
    """One request: what of the record it follows, its words, and the name of its reading."""

    part: Chunk | None
    instruction: str
    by: str


class Propose(KindsStep):
    """Readings of the record, as names."""

    name: ClassVar[str] = "propose"
    purpose: ClassVar[str] = "the model names what should be coded, in one or several readings"
    Options: ClassVar[type[base.StepOptions]] = ProposeOptions
    options: ProposeOptions
    writes = frozenset({"proposals"})

    @property
    def reads(self) -> frozenset[str]:
        slots = {"encounter", "language", "chunks"}
        slots |= {"sections"} if "sections" in self.options.readings else set()
        slots |= {"proposals"} if "terms" in self.options.readings else set()
        return frozenset(slots | ({"texts"} if self.options.with_text else set()))

    @property
    def asks(self) -> bool:
        return True

    def run(self, state: State, tools: Tools) -> Run:
        kinds = self.coded(tools)
        if not kinds:
            return Update()
        prompts = tools.prompts(state.language)
        shown = self._shown(state, tools, kinds)
        named, asked_for = Named(), 0
        for reasoned in (False, True):
            readings = [one for one in self.options.readings if (one == "reasoned") == reasoned]
            requests = [r for one in readings for r in self._requests(one, state, prompts, kinds, shown)]
            if not requests:
                continue
            schema = name_schema(prompts, kinds, self.options.max_items, reasoned=reasoned)
            asked = [Prompt(showing.context(state, r.part, tools), r.instruction) for r in requests]
            answers: list[Generation] = yield Generate(asked, schema, self.options.max_tokens)
            for request, answer in zip(requests, answers, strict=True):
                language = name_language(prompts)
                named += read_names(state, [request.part], [answer], kinds=kinds, by=request.by, language=language)
            asked_for += len(requests)
        left_out = max((one.left_out for one in shown.values()), default=0)
        flags = showing.Shown("", left_out).flags(self.name)
        return Update(
            {"proposals": named.proposals}, (*flags, *named.flags(self.name)), {"requests": asked_for, **named.notes}
        )

    def _shown(self, state: State, tools: Tools, kinds: Sequence[Kind]) -> dict[str, showing.Shown]:
        """The lists that requests hold: texts for all, terms for the reading of terms."""
        wanted: dict[str, tuple[showing.Input, ...]] = {}
        wanted |= {"text": ("text",)} if self.options.with_text else {}
        wanted |= {"terms": ("mentions",)} if "terms" in self.options.readings else {}
        return {name: showing.listing(state, tools, inputs, kinds) for name, inputs in wanted.items()}

    def _requests(
        self,
        reading: Reading,
        state: State,
        prompts: Prompts,
        kinds: Sequence[Kind],
        shown: dict[str, showing.Shown],
    ) -> Iterator[Request]:
        if reading == "terms" and not any(showing.wordings(state, kinds)):
            return
        for sample in range(self.options.samples):
            by = f"{self.options.label}:{reading}" + (f":{sample + 1}" if self.options.samples > 1 else "")
            for part, aspect in parts_of(reading, state, prompts):
                question = prompts("propose", reading, aspect=aspect)
                instruction = "\n\n".join(
                    text
                    for text in (
                        shown["text"].text if "text" in shown else "",
                        shown["terms"].text if reading == "terms" else "",
                        variant(prompts, sample),
                        question,
                        name_format(prompts, kinds),
                    )
                    if text
                )
                yield Request(part, instruction, by)


def parts_of(reading: Reading, state: State, prompts: Prompts) -> Iterator[tuple[Chunk | None, str]]:
    """What each request of a reading follows, and the aspect it asks about."""
    if reading == "terms":
        yield None, ""
    elif reading == "sections":
        yield from ((part, "") for part in showing.section_parts(state))
    else:
        aspects: list[str] = (
            list(prompts.raw("propose", f"{reading}_asked")) if reading in ("systems", "letters") else [""]
        )
        yield from ((chunk, aspect) for chunk in state.chunks for aspect in aspects)


def variant(prompts: Prompts, sample: int) -> str:
    """The instruction by which a further sample differs from the first; "" for the first."""
    variants: list[str] = list(prompts.raw("propose", "variants"))
    return variants[(sample - 1) % len(variants)] if sample else ""
