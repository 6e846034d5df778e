"""learned: what a pack proposes becomes codes: those above its threshold assigned, the next ones kept as suggestions.

The parts of the pack that code encounters (``mentions``: codes found in running text; ``labels``: codes of the record
as a whole) are asked in turn and their proposals joined by code. Confidence is the pack's calibrated probability,
evidence its spans, and each code carries the features that speak for and against it. What the edition does not hold is
completed, kept as a heading or dropped by ``map_codes``.

No model is asked, unless ``ask_model``: then the codes of which ``mentions`` is unsure are put to it, each after the
sentence of its evidence, with the question of ``validate``; the pack weighs the verdict as it learnt to.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from jointcoder.errors import WorkflowError
from jointcoder.llm.base import Choice, Question
from jointcoder.records import AssignedCode, Kind, Mention
from jointcoder.steps import base
from jointcoder.steps.base import CODE_SLOTS, Choose, Run, State, Tools, Update
from jointcoder.steps.common import logit, ranked, record_context
from jointcoder.steps.extract import section_at
from jointcoder.steps.validate import by_part, question_text

if TYPE_CHECKING:
    from jointcoder.packs import Pack, Proposal
    from jointcoder.packs.mentions.verdicts import Doubt

CODING_PARTS = ("mentions", "labels")
SHOWN_REASONS = 12  # of each code; the smaller ones say little


class LearnedOptions(base.StepOptions):
    """``pack``: its name, unless the caller names one. ``parts``: which of its parts are asked (default: all that code
    encounters). ``keep``: the probability from which a code is assigned, instead of the pack's own threshold.
    ``suggestions``: how many further codes of each kind are kept for a coder to look at, down to ``least``.
    ``ask_model``: codes of the ``judged`` kinds with a probability from ``unsure[0]`` to ``unsure[1]`` are put to the
    model, which is shown the sentence of the evidence and ``sentences`` on either side."""

    pack: str = ""
    parts: tuple[str, ...] = ()
    keep: float | None = Field(default=None, ge=0, le=1)
    suggestions: int = Field(default=30, ge=0, le=200)
    least: float = Field(default=0.01, ge=0, le=1)
    ask_model: bool = False
    judged: tuple[Kind, ...] = tuple(Kind)
    unsure: tuple[float, float] = (0.15, 0.85)
    sentences: int = Field(default=0, ge=0, le=20)


class Learned(base.Step):
    """Proposals of a learned pack as codes, mentions and suggestions."""

    name: ClassVar[str] = "learned"
    purpose: ClassVar[str] = "codes that coded history teaches, with evidence, reasons and calibrated confidence"
    Options: ClassVar[type[base.StepOptions]] = LearnedOptions
    options: LearnedOptions
    reads = frozenset({"encounter", "language", "sections", "chunks"})
    writes = frozenset({"mentions", "diagnoses", "procedures", "suggestions"})

    @property
    def asks(self) -> bool:
        return self.options.ask_model

    def run(self, state: State, tools: Tools) -> Run:
        pack = required(tools.pack)
        parts = self.options.parts or tuple(part for part in CODING_PARTS if pack.has(part))
        systems = [system for kind in Kind if (system := tools.system(kind))]
        found: list[Proposal] = []
        asked = 0
        for name in parts:
            part = pack.part(name, tools.lookup)
            if self.options.ask_model and hasattr(part, "unsure"):
                verdicts = yield from self.verdicts(part, state, tools)
                asked += len(verdicts)
                found += part.propose(state.encounter, state.language, verdicts=verdicts)
            else:
                found += part.propose(state.encounter, state.language)
        mine = [p for p in joined(found) if p.system in systems and p.probability >= self.options.least]
        mentions: dict[str, Mention] = {}
        values: dict[str, tuple[AssignedCode, ...]] = {}
        suggestions: list[AssignedCode] = []
        for kind in Kind:
            of_kind = [p for p in mine if p.system.kind is kind]
            taken = [p for p in of_kind if self._chosen(p)]
            others = [p for p in of_kind if not self._chosen(p)][: self.options.suggestions]
            values[CODE_SLOTS[kind]] = ranked(assigned(p, state, tools, mentions) for p in in_order(taken))
            suggestions += (assigned(p, state, tools, mentions) for p in others)
        ordered = sorted(mentions.values(), key=lambda m: (m.span.document, m.span.start, m.kind, m.id))
        counts = {"proposed": len(mine), "suggested": len(suggestions), "asked": asked}
        notes = {"pack": pack.version, "parts": list(parts), **counts}
        yield from ()
        return Update({**values, "mentions": tuple(ordered), "suggestions": tuple(suggestions)}, notes=notes)

    def verdicts(
        self, part: Any, state: State, tools: Tools
    ) -> Generator[Choose, list[Choice], dict[tuple[str, str], float]]:
        """(system, code) → log-odds of yes, for the codes of which the part is unsure."""
        low, high = self.options.unsure
        kinds = {kind for kind in self.options.judged if tools.system(kind)}
        doubts = part.unsure(state.encounter, state.language, low=low, high=high)
        drafts = [doubted(doubt, state, tools) for doubt in doubts if doubt.system.kind in kinds]
        prompts = tools.prompts(state.language)
        options = (prompts("shared", "yes"), prompts("shared", "no"))
        found: dict[tuple[str, str], float] = {}
        for chunk, members in by_part(drafts, state, self.options.sentences).items():
            questions = [Question(question_text(draft, tools, state.language), options) for draft in members]
            answers = yield Choose(record_context(state, chunk, tools), questions)
            for draft, answer in zip(members, answers, strict=True):
                found[draft.system, draft.code] = logit(answer.probability(options[0]))
        return found

    def _chosen(self, proposal: Proposal) -> bool:
        keep = self.options.keep
        return proposal.chosen if keep is None else proposal.probability >= keep


def required(pack: Pack | None) -> Pack:
    """The pack, or WorkflowError JC403."""
    if pack is None:
        raise WorkflowError("JC403", "this workflow needs a learned pack", hint="name one with --pack")
    return pack


def doubted(doubt: Doubt, state: State, tools: Tools) -> AssignedCode:
    """A code of which the pack is unsure, as a draft that can be asked about."""
    name = tools.book.name(doubt.system, doubt.code, state.language) or doubt.code
    evidence = doubt.spans[:1]
    return AssignedCode(
        system=doubt.system,
        code=doubt.code,
        name=name,
        confidence=doubt.probability,
        evidence=evidence,
        mentions=("doubt",) if evidence else (),
    )


def joined(proposals: Iterable[Proposal]) -> list[Proposal]:
    """One proposal a code, the surest first: evidence of all, probability and reasons of the surest."""
    from dataclasses import replace

    best: dict[tuple[str, str], Proposal] = {}
    for proposal in proposals:
        key = (proposal.system, proposal.code)
        other = best.get(key)
        if other is None:
            best[key] = proposal
            continue
        first, second = sorted((other, proposal), key=lambda p: -p.probability)
        best[key] = replace(
            first,
            spans=tuple(dict.fromkeys((*first.spans, *second.spans))),
            principal=max(first.principal, second.principal),
            chosen=first.chosen or second.chosen,
        )
    return sorted(best.values(), key=lambda p: (-p.probability, p.system, p.code))


def in_order(proposals: Sequence[Proposal]) -> list[Proposal]:
    """The likeliest principal first where the pack knows one, the others by probability."""
    rest = list(proposals)
    if any(p.principal > 0 for p in rest):
        first = max(rest, key=lambda p: (p.principal, p.probability, p.code))
        rest.remove(first)
        rest.insert(0, first)
    return rest


def assigned(proposal: Proposal, state: State, tools: Tools, mentions: dict[str, Mention]) -> AssignedCode:
    """The proposal as a code; its evidence is entered among ``mentions``."""
    book, kind = tools.book, proposal.system.kind
    name = book.name(proposal.system, proposal.code, state.language) or proposal.code
    own = []
    for span in proposal.spans:
        identity = f"{'d' if kind is Kind.DIAGNOSIS else 'p'}{span.document}:{span.start}-{span.end}"
        mentions.setdefault(
            identity,
            Mention(
                id=identity,
                kind=kind,
                span=span,
                name=span.quote,
                assertion=proposal.assertion,
                section=section_at(state.sections, span),
                source="pack",
            ),
        )
        own.append(identity)
    return AssignedCode(
        system=proposal.system,
        code=proposal.code,
        name=name,
        confidence=min(max(proposal.probability, 0.0), 1.0),
        evidence=proposal.spans,
        assertion=proposal.assertion,
        mentions=tuple(dict.fromkeys(own)),
        reasons=proposal.reasons[:SHOWN_REASONS],
        stages=("learned",),
    )
