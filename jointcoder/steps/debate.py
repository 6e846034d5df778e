"""debate: several agents with different readings propose, see each other's lists with evidence, and revise theirs.

Multi-agent debate (Du et al. 2023). Each agent speaks from its own point of view (``prompts/<language>/debate.toml``);
after the first round it sees what the others listed and which of it stands in the record, and answers with a whole new
list. Only the last lists count: each is a reading of its own for ``vote`` (``debate:1``, ``debate:2`` …).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from jointcoder.llm.base import Generation, Prompt
from jointcoder.records import Kind
from jointcoder.steps import base
from jointcoder.steps.base import Generate, Run, State, Tools, Update
from jointcoder.steps.both import KindsOptions, KindsStep
from jointcoder.steps.common import record_context
from jointcoder.steps.prompting import Prompts
from jointcoder.steps.proposals import Named, Proposed, name_format, name_language, name_schema, read_names

SHOWN = 30  # names of another agent's list that are shown


class DebateOptions(KindsOptions):
    """``agents``: how many take part; ``rounds``: how often each answers, the first time without the others."""

    agents: int = Field(default=3, ge=2, le=6)
    rounds: int = Field(default=2, ge=1, le=5)
    max_items: int = Field(default=16, ge=1, le=60)
    max_tokens: int = Field(default=400, ge=32, le=4096)


class Debate(KindsStep):
    """Lists that agents agree or differ on, as proposals."""

    name: ClassVar[str] = "debate"
    purpose: ClassVar[str] = "agents with different readings propose, see each other's lists with evidence, and revise"
    Options: ClassVar[type[base.StepOptions]] = DebateOptions
    options: DebateOptions
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
        schema = name_schema(prompts, kinds, self.options.max_items)
        lists: list[Named] = []
        heard = Named()
        for _ in range(self.options.rounds):
            asked = [
                Prompt(record_context(state, chunk, tools), self._instruction(agent, lists, prompts, kinds))
                for agent in range(self.options.agents)
                for chunk in state.chunks
            ]
            answers: list[Generation] = yield Generate(asked, schema, self.options.max_tokens)
            newer = [self._list(agent, answers, state, kinds, prompts) for agent in range(self.options.agents)]
            heard = sum(newer, heard)
            # An agent that gave no usable answer stays with what it said before.
            lists = [new if new.proposals or not lists else lists[i] for i, new in enumerate(newer)]
        proposals = tuple(proposal for one in lists for proposal in one.proposals)
        notes = {"agents": self.options.agents, "names": len(proposals)}
        return Update({"proposals": proposals}, heard.flags(self.name), notes)

    def _instruction(self, agent: int, lists: Sequence[Named], prompts: Prompts, kinds: Sequence[Kind]) -> str:
        views: list[str] = list(prompts.raw("debate", "views"))
        parts = [views[agent % len(views)]]
        if lists:
            own = names_of(lists[agent].proposals, prompts)
            others = [
                prompts("debate", "other", number=i + 1, names=names_of(one.proposals, prompts))
                for i, one in enumerate(lists)
                if i != agent
            ]
            parts.append(prompts("debate", "round", own=own, others="\n".join(others)))
        return "\n\n".join([*parts, name_format(prompts, kinds)])

    def _list(
        self, agent: int, answers: Sequence[Generation], state: State, kinds: Sequence[Kind], prompts: Prompts
    ) -> Named:
        parts = len(state.chunks)
        return read_names(
            state,
            state.chunks,
            answers[agent * parts : (agent + 1) * parts],
            kinds=kinds,
            by=f"{self.name}:{agent + 1}",
            language=name_language(prompts),
        )


def names_of(proposals: Sequence[Proposed], prompts: Prompts) -> str:
    """The names on one line, those that the record does not hold word for word marked."""
    said = [
        one.name if one.span is not None else prompts("debate", "unplaced", name=one.name) for one in proposals[:SHOWN]
    ]
    return "; ".join(dict.fromkeys(said)) or prompts("agents", "nothing")
