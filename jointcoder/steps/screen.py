"""screen: contrastive screening of near-duplicates: of drafts that compete for the same words, those the record means.

Drafts of one category, or drafts that rest on the same words, are put to the model side by side: it sees what tells
them apart (which a question about each alone does not show) and names one, several or none. From the precision half of
MedDCR's best workflow (Zheng et al., appendix C). Without a model the surest of those that rest on the same words
stays.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from jointcoder.codebook.taxonomy import Taxonomy
from jointcoder.codebook.tree import BLOCK
from jointcoder.llm.base import Choice
from jointcoder.records import AssignedCode
from jointcoder.steps import base
from jointcoder.steps.base import CODE_SLOTS, Choose, Run, State, Tools, Update
from jointcoder.steps.both import CodesStep, KindsOptions
from jointcoder.steps.choosing import evidence_of, lettered, part_of
from jointcoder.steps.common import record_context, softmax
from jointcoder.steps.prompting import Prompts

MOST = 8  # drafts of one question


class ScreenOptions(KindsOptions):
    """``ask_model``: the model chooses; without it the surest of those with the same evidence stays; ``margin``: the
    probability with which the model must prefer one draft for the others to go; ``alike``: which drafts compete: those
    of one category, those that rest on the same words, or either."""

    ask_model: bool = True
    margin: float = Field(default=0.5, ge=0, le=1)
    alike: tuple[Literal["category", "evidence"], ...] = Field(default=("category", "evidence"), min_length=1)


class Screen(CodesStep):
    """Near-duplicates, one of them kept where the record means one."""

    name: ClassVar[str] = "screen"
    purpose: ClassVar[str] = "of near-duplicates, those that the record means"
    Options: ClassVar[type[base.StepOptions]] = ScreenOptions
    options: ScreenOptions

    @property
    def asks(self) -> bool:
        return self.options.ask_model

    def run(self, state: State, tools: Tools) -> Run:
        prompts = tools.prompts(state.language)
        values: dict[str, tuple[AssignedCode, ...]] = {}
        groups = dropped = 0
        for kind, drafts in self.drafts(state, tools):
            kept = list(drafts)
            for group in rivals(drafts, tools, self.options.alike):
                groups += 1
                if self.options.ask_model:
                    winner, sure = yield from self._asked(group, state, tools, prompts)
                else:
                    winner, sure = surest(group)
                if winner is not None and sure >= self.options.margin:
                    losers = [draft for draft in group if draft is not winner]
                    kept = [draft for draft in kept if all(draft is not loser for loser in losers)]
            dropped += len(drafts) - len(kept)
            values[CODE_SLOTS[kind]] = self.passed(kept)
        return Update(values, notes={"groups": groups, "dropped": dropped})

    def _asked(
        self, group: Sequence[AssignedCode], state: State, tools: Tools, prompts: Prompts
    ) -> Generator[Choose, list[Choice], tuple[AssignedCode | None, float]]:
        """The draft that the model prefers to the others and how surely; None where it wants several."""
        said = "; ".join(dict.fromkeys(evidence_of(draft, state) for draft in group))
        one = lettered(
            [draft.name for draft in group],
            lambda lines: prompts("screen", "question", evidence=said, options=lines),
            seed="\n".join(draft.name for draft in group),
            last=[prompts("screen", "several")],
        )
        context = record_context(state, part_of(group, state), tools)
        (choice,) = yield Choose(context, [one.question])
        *own, _ = probabilities = softmax(one.logprobs(choice))
        best = max(range(len(own)), key=lambda place: (own[place], -place))
        return (group[best], probabilities[best]) if own[best] == max(probabilities) else (None, 0.0)


def rivals(drafts: Sequence[AssignedCode], tools: Tools, alike: Sequence[str]) -> list[list[AssignedCode]]:
    """Groups of two or more drafts that compete, each draft in one group, at most :data:`MOST` of them."""
    groups: list[list[AssignedCode]] = []
    for draft in drafts:
        home = next((group for group in groups if len(group) < MOST and _competes(draft, group, tools, alike)), None)
        if home is None:
            groups.append([draft])
        else:
            home.append(draft)
    return [group for group in groups if len(group) > 1]


def _competes(draft: AssignedCode, group: Sequence[AssignedCode], tools: Tools, alike: Sequence[str]) -> bool:
    return any(
        ("category" in alike and category_of(draft, tools) == category_of(other, tools) != "")
        or ("evidence" in alike and same_words(draft, other))
        for other in group
    )


def category_of(code: AssignedCode, tools: Tools) -> str:
    """The highest entry above the code that is no block or chapter; "" for an unknown code."""
    taxonomy = Taxonomy(tools.book, code.system)
    node = taxonomy.node(code.code)
    if node is None:
        return ""
    tree = taxonomy.tree
    above = [other for other in (node, *tree.ancestors(node)) if tree.level[other] > BLOCK]
    return tree.code(above[-1]) if above else ""


def same_words(one: AssignedCode, other: AssignedCode) -> bool:
    """Whether two drafts rest on overlapping words."""
    return any(
        a.document == b.document and a.start < b.end and b.start < a.end for a in one.evidence for b in other.evidence
    )


def surest(group: Sequence[AssignedCode]) -> tuple[AssignedCode | None, float]:
    """Without a model: the surest draft, where all rest on the same words; else none."""
    best = max(group, key=lambda draft: draft.confidence)
    return (best, 1.0) if all(draft is best or same_words(best, draft) for draft in group) else (None, 0.0)
