"""What builders of examples share: the steps' own tools, the read step's view of an encounter, chance by name.

The prompts of training are those of inference because the steps themselves write them: a builder runs a step and
keeps what it asks (:func:`asks_of`), or calls the function with which the step writes its question. Chance is drawn
from a seed and the names of what it decides, so that adding a record changes no other.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.lookup import Lookup
from jointcoder.codebook.lookup.aliases import Alias, Aliases
from jointcoder.corpora.base import GoldCode
from jointcoder.errors import UsageError, name_list
from jointcoder.finetune.sources import Case
from jointcoder.llm.base import Choice, Generation
from jointcoder.records import Kind, Span, System
from jointcoder.steps.base import Ask, Choose, Generate, Run, State, Tools
from jointcoder.steps.prompting import Prompts
from jointcoder.steps.read import Read, ReadOptions
from jointcoder.workflow.run import answer

AGENTS = (
    "extract",
    "mine",
    "standardise_dx",
    "standardise_px",
    "prioritise_dx",
    "prioritise_px",
    "validate_dx",
    "validate_px",
)
KINDS = {"dx": Kind.DIAGNOSIS, "px": Kind.PROCEDURE}


@dataclass(frozen=True)
class DataOptions:
    """How examples are drawn.

    ``k``: candidates beside "none"; ``none_share``: examples whose right candidate is taken away; ``inject``: share of
    those whose right candidate the lookup missed that get it put in, the others answer "none" (training only);
    ``negatives``: turned-down drafts for each right one; ``sentences``: context of a verdict (None: the whole part);
    ``hard``: share of examples that were easy to get wrong, where ``rows`` asks for a selection; ``aliases``: let the
    lookup know the other folds' wordings.
    """

    k: int = 6
    none_share: float = 0.08
    inject: float = 0.6
    negatives: float = 1.0
    sentences: int | None = 1
    shown: int = 8
    distractors: int = 2
    hard: float = 0.6
    folds: int = 5
    dev_share: float = 0.15
    rows: int | None = None
    dev_rows: int | None = None
    aliases: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Desk:
    """A builder's tools. ``kind`` is None for agents that know both."""

    agent: str
    kind: Kind | None
    tools: Tools
    options: DataOptions

    def chance(self, *names: str) -> random.Random:
        """A generator of its own for what ``names`` names."""
        seed = "\x1f".join([str(self.options.seed), self.agent, *names])
        return random.Random(hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest())

    def with_aliases(self, items: Sequence[Alias]) -> Desk:
        """The same desk, whose lookup knows these wordings too."""
        lookup = self.tools.lookup
        found = Lookup(lookup.book, dense="auto" if lookup.dense else "off", aliases=Aliases(items))
        return replace(self, tools=replace(self.tools, lookup=found))

    def system(self) -> System:
        """The system that the agent codes in. Raises UsageError JC001 where the book holds none of its kind."""
        assert self.kind is not None
        system = self.tools.system(self.kind)
        if system is None:
            raise UsageError("JC001", f"code book {self.tools.book.info.id} holds no {self.kind} codes")
        return system

    def name(self, gold: GoldCode, language: str) -> str | None:
        """What a code is called: as the book says, else as the data says."""
        system = System(gold.system)
        held = system in self.tools.book.info.systems
        return (self.tools.book.name(system, gold.code, language) if held else None) or gold.name or None


def desk(
    agent: str,
    book: CodeBook,
    options: DataOptions,
    *,
    count_tokens: Callable[[str], int],
    context_tokens: int = 8192,
    dense: str = "auto",
) -> Desk:
    """Tools for one agent. Raises UsageError JC001 naming the known agents."""
    if agent not in AGENTS:
        raise UsageError("JC001", f"unknown agent {agent!r}", hint=f"known agents: {name_list(AGENTS)}")
    known: dict[str, Prompts] = {}
    tools = Tools(
        book=book,
        lookup=Lookup(book, dense=dense),
        prompts=lambda language: known.get(language) or known.setdefault(language, Prompts(language)),
        count_tokens=count_tokens,
        context_tokens=context_tokens,
        systems=tuple(book.info.systems),
    )
    return Desk(agent, KINDS.get(agent.rpartition("_")[2]), tools, options)


def read_state(case: Case, tools: Tools) -> State:
    """The encounter as the read step leaves it. The case must have an encounter."""
    assert case.encounter is not None
    state = State(case.encounter)
    return state.updated(answer(Read(ReadOptions()).run(state, tools), None))


def asks_of(run: Run) -> list[Ask]:
    """Everything that a step asks, in order; it gets answers that say nothing."""
    asks: list[Ask] = []
    try:
        ask = next(run)
        while True:
            asks.append(ask)
            ask = run.send(_nothing(ask))
    except StopIteration:
        return asks


def _nothing(ask: Ask) -> list[Any]:
    if isinstance(ask, Generate):
        fields = (ask.schema or {}).get("properties", {})
        return [Generation("", value={field: [] for field in fields}) for _ in ask.prompts]
    assert isinstance(ask, Choose)
    return [Choice(q.options, (-0.69,) * len(q.options)) for q in ask.questions]


def spans_of(gold: GoldCode, case: Case, *, longest: int = 160) -> list[Span]:
    """A code's evidence as steps would hold it, with the words of the text; without a text, as quoted. Very long ones
    (fragments far apart) are left out."""
    found: list[Span] = []
    for span in gold.spans:
        if span.end - span.start > longest:
            continue
        if case.encounter is None:
            quote = span.quote
            found.append(Span(document=span.document, start=0, end=len(quote), quote=quote))
        else:
            quote = case.encounter.documents[span.document].text[span.start : span.end]
            found.append(Span(document=span.document, start=span.start, end=span.end, quote=quote))
    return found


def fold_of(group: str, options: DataOptions) -> int:
    """The fold of an encounter or wording, from its name and the seed alone."""
    digest = hashlib.sha256(f"{options.seed}:{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % options.folds
