"""The hierarchy tools of MedDCR as steps of a workflow: what they share, and the ones that filter and merge.

    get_parent · get_ancestors           offer the more general entries                      (`walk.py`)
    get_children · get_descendants       offer the more specific ones, best-worded first     (`walk.py`)
    is_leaf · is_valid_code              keep what is most specific; what may be assigned on the day of discharge
    is_ancestor · is_descendant          drop the general beside the specific, or the other way; keep a branch
    get_nearest_common_ancestor          entries at odds about one mention become what they have in common
    code_to_text · text_to_codes         printed names; mentions → entries by exact wording  (`wording.py`)
    load_taxonomy                        the book holds what the workflow needs              (`wording.py`)

Each works on the draft codes of its kind (``on = "codes"``) or on the candidates of each mention
(``on = "candidates"``), asks nobody, and leaves its counts in the trace. A code that the book does not know is left
alone by the walks and does not pass the filters. What the tools mean is told in :mod:`jointcoder.codebook.taxonomy`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from jointcoder.codebook.model import LEVELS
from jointcoder.codebook.taxonomy import Taxonomy
from jointcoder.records import AssignedCode, Candidate, Flag, System
from jointcoder.steps import base
from jointcoder.steps.base import CANDIDATE_SLOTS, CODE_SLOTS, Run, State, Tools, Update, edition_date
from jointcoder.steps.common import ranked
from jointcoder.steps.map_codes import unique

if TYPE_CHECKING:
    import datetime as dt

    from jointcoder.codebook.book import CodeBook

Item = AssignedCode | Candidate
SEVENTH = 8  # length of an ICD-10-CM code with its dot and a 7th character


class HierarchyOptions(base.KindOptions):
    """``on``: what the step works on: the draft codes, or the candidates of each mention."""

    on: Literal["codes", "candidates"] = "codes"


@dataclass(frozen=True)
class Desk:
    """What the steps look at: the book, the day whose edition counts, the record's language and its mentions."""

    state: State
    tools: Tools
    step: str

    @property
    def book(self) -> CodeBook:
        return self.tools.book

    @cached_property
    def on(self) -> dt.date | None:
        return edition_date(self.state.encounter)

    @cached_property
    def wordings(self) -> Mapping[str, str]:
        return {mention.id: mention.name for mention in self.state.mentions}

    def taxonomy(self, system: System) -> Taxonomy:
        return Taxonomy(self.book, system)

    def name(self, system: System, code: str) -> str:
        return self.book.name(system, code, self.state.language) or code

    def assignable(self, system: System, code: str) -> bool:
        """Whether the edition lets the code be assigned on the day."""
        return self.book.is_billable(system, code) and self.book.is_valid(system, code, self.on)

    def stand_in(self, system: System, code: str, *, like: str = "") -> str | None:
        """The code itself where it is assignable, else the default code below it where that one is; with the 7th
        character of ``like`` where it has one, for the encounter stays what it was (guideline I.A.5)."""
        if self.assignable(system, code):
            return code
        default = self.book.default_billable(system, code)
        if default is None or not self.assignable(system, default.code):
            return None
        if system is System.ICD10CM and len(default.code) == len(like) == SEVENTH:
            same = default.code[:-1] + like[-1]
            return same if self.assignable(system, same) else default.code
        return default.code

    def wording(self, item: Item) -> str:
        """What the text says: the mention's wording or the first evidence."""
        if isinstance(item, Candidate):
            return self.wordings.get(item.mention, "")
        return item.evidence[0].quote if item.evidence else ""

    def changed(self, item: Item, code: str, *, share: float = 1.0) -> Item:
        """The item under another code; what was judged of the old one does not go with it."""
        name = self.name(item.system, code)
        if isinstance(item, Candidate):
            sources = (*item.sources, self.step)
            return item.model_copy(update={"code": code, "name": name, "score": item.score * share, "sources": sources})
        return item.with_(
            code=code,
            name=name,
            confidence=item.confidence * share,
            present_on_admission=None,
            links=(),
            checks=(),
            verdicts=(),
            stages=(*item.stages, self.step),
        )


@dataclass(frozen=True)
class Worked:
    """What a step made of its items: counts for the trace, codes that had to go."""

    items: Sequence[Item]
    notes: Mapping[str, Any] = field(default_factory=dict)
    lost: Sequence[str] = ()


class HierarchyStep(base.Step):
    """A step along the hierarchy. Subclasses say what becomes of the items."""

    Options: ClassVar[type[base.StepOptions]] = HierarchyOptions
    options: HierarchyOptions

    @property
    def slot(self) -> str:
        """The slot this step works on."""
        return (CODE_SLOTS if self.options.on == "codes" else CANDIDATE_SLOTS)[self.options.kind]

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({"encounter", "language", self.slot})

    @property
    def writes(self) -> frozenset[str]:
        return frozenset({self.slot})

    @abstractmethod
    def work(self, items: Sequence[Item], desk: Desk) -> Worked:
        """The items as they are after the step, in order."""

    def run(self, state: State, tools: Tools) -> Run:
        yield from ()
        if tools.system(self.options.kind) is None:
            return Update()
        done = self.work(getattr(state, self.slot), Desk(state, tools, self.name))
        flags: tuple[Flag, ...] = ()
        if done.lost and self.options.on == "codes":
            message = (
                f"not assignable in {tools.book.info.edition} on the date, dropped: {', '.join(sorted(done.lost))}"
            )
            flags = (Flag(code="JC501", step=self.name, message=message),)
        return Update({self.slot: ordered(done.items)}, flags, done.notes)


# -------------------------------------------------------------------------------------------------- filtering


class FilterOptions(HierarchyOptions):
    """``otherwise``: what does not pass is dropped, or completed to its default code where that one passes."""

    otherwise: Literal["drop", "complete"] = "drop"


class Filter(HierarchyStep):
    """Keeps what passes."""

    Options: ClassVar[type[base.StepOptions]] = FilterOptions
    options: FilterOptions

    @abstractmethod
    def passes(self, system: System, code: str, desk: Desk) -> bool:
        """Whether the code may stay."""

    def work(self, items: Sequence[Item], desk: Desk) -> Worked:
        kept: list[Item] = []
        lost: list[str] = []
        completed = 0
        for item in items:
            code: str | None = item.code
            if not self.passes(item.system, item.code, desk):
                code = desk.stand_in(item.system, item.code) if self.options.otherwise == "complete" else None
            if code is None or not self.passes(item.system, code, desk):
                lost.append(item.code)
                continue
            completed += code != item.code
            kept.append(item if code == item.code else desk.changed(item, code))
        notes = {"looked_at": len(items), "completed": completed, "dropped": len(lost)}
        return Worked(kept, notes, lost)


class IsLeaf(Filter):
    """Nothing below. Where assignable codes have extensions (Chinese editions) only the last of them passes."""

    name: ClassVar[str] = "is_leaf"
    purpose: ClassVar[str] = "keep what has nothing below it"

    def passes(self, system: System, code: str, desk: Desk) -> bool:
        taxonomy = desk.taxonomy(system)
        return taxonomy.node(code) is not None and taxonomy.is_leaf(code)


class IsValidCode(Filter):
    """Assignable in the edition, on the day of discharge."""

    name: ClassVar[str] = "is_valid_code"
    purpose: ClassVar[str] = "keep what may be assigned on the day of discharge"

    def passes(self, system: System, code: str, desk: Desk) -> bool:
        return desk.assignable(system, code)


# ------------------------------------------------------------------------------------------- one beside another


class IsAncestor(HierarchyStep):
    """Of two drafts (or two candidates of a mention) on one branch the specific one stays, with both evidences."""

    name: ClassVar[str] = "is_ancestor"
    purpose: ClassVar[str] = "drop an entry that stands above another one"

    def work(self, items: Sequence[Item], desk: Desk) -> Worked:
        kept: list[Item] = []
        for group in grouped(items):
            kept += one_a_branch(group, desk, above=True)
        return Worked(kept, {"looked_at": len(items), "dropped": len(items) - len(kept)})


class IsDescendantOptions(HierarchyOptions):
    """``within``: branches to keep (codes or ranges); none: of two on one branch the general one stays.
    ``outside``: keep what lies in none of them instead."""

    within: tuple[str, ...] = ()
    outside: bool = False


class IsDescendant(HierarchyStep):
    """Restricts to branches, or drops the specific beside the general."""

    name: ClassVar[str] = "is_descendant"
    purpose: ClassVar[str] = "keep one branch; or drop an entry that stands below another one"
    Options: ClassVar[type[base.StepOptions]] = IsDescendantOptions
    options: IsDescendantOptions

    def work(self, items: Sequence[Item], desk: Desk) -> Worked:
        kept: list[Item] = []
        for group in grouped(items):
            if self.options.within:
                kept += [item for item in group if self._inside(item, desk) != self.options.outside]
            else:
                kept += one_a_branch(group, desk, above=False)
        return Worked(kept, {"looked_at": len(items), "dropped": len(items) - len(kept)})

    def _inside(self, item: Item, desk: Desk) -> bool:
        """Raises CodeBookError JC501 for a branch that the book does not know."""
        taxonomy = desk.taxonomy(item.system)
        branches = [taxonomy.place(branch) for branch in self.options.within]
        node = taxonomy.node(item.code)
        return node is not None and any(node == one or taxonomy.tree.above(one, node) for one in branches)


class CommonOptions(HierarchyOptions):
    """``margin``: entries whose score lies this near to the best one's are at odds with it; ``max_level``: how high
    their common entry may stand."""

    margin: float = Field(default=0.1, ge=0, le=1)
    max_level: Literal["category", "block", "chapter"] = "category"


class GetNearestCommonAncestor(HierarchyStep):
    """Candidates of one mention, or drafts that rest on the same mentions, become the default code of what they have
    in common: siblings that the text does not tell apart. Nothing happens where they have no such code."""

    name: ClassVar[str] = "get_nearest_common_ancestor"
    purpose: ClassVar[str] = "merge entries that disagree about a mention into their common one"
    Options: ClassVar[type[base.StepOptions]] = CommonOptions
    options: CommonOptions

    def work(self, items: Sequence[Item], desk: Desk) -> Worked:
        merged: dict[int, Item | None] = {}
        for group in grouped(items, by_mention=True):
            best = max(map(weight, group))
            odds = [item for item in group if best - weight(item) <= self.options.margin]
            code = self._common(odds, desk) if len(odds) > 1 else None
            if code is not None:
                first = max(odds, key=weight)
                merged |= {id(item): None for item in odds}
                merged[id(first)] = absorbed(first if first.code == code else desk.changed(first, code), odds)
        left = [merged.get(id(item), item) for item in items]
        kept = [item for item in left if item is not None]
        return Worked(kept, {"looked_at": len(items), "merged": len(merged)})

    def _common(self, items: Sequence[Item], desk: Desk) -> str | None:
        system = items[0].system
        taxonomy = desk.taxonomy(system)
        nodes = [taxonomy.node(item.code) for item in items]
        known = [node for node in nodes if node is not None]
        if len(known) < len(items):
            return None
        node = reduce(taxonomy.tree.common, known)
        if node < 0 or taxonomy.tree.level[node] < LEVELS.index(self.options.max_level):
            return None
        return desk.stand_in(system, taxonomy.tree.code(node), like=items[0].code)


# ------------------------------------------------------------------------------------------------ what they share


def weight(item: Item) -> float:
    """Score or confidence."""
    return item.score if isinstance(item, Candidate) else item.confidence


def grouped(items: Iterable[Item], *, by_mention: bool = False) -> list[list[Item]]:
    """Candidates by their mention; drafts all together or, ``by_mention``, by the mentions they rest on (those that
    rest on none stand alone). Systems are never mixed."""
    groups: dict[Any, list[Item]] = {}
    for item in items:
        if isinstance(item, Candidate):
            key: Any = item.mention
        else:
            key = (item.mentions or item.code) if by_mention else ""
        groups.setdefault((item.system, key), []).append(item)
    return list(groups.values())


def one_a_branch(group: Sequence[Item], desk: Desk, *, above: bool) -> list[Item]:
    """Of items that stand one above the other those above (else those below) are dropped; the first item on the
    same branch that stays takes over what they rest on."""
    taxonomy = desk.taxonomy(group[0].system)
    nodes = [taxonomy.node(item.code) for item in group]

    def beats(one: int | None, other: int | None) -> bool:
        """Whether ``one`` makes ``other`` redundant."""
        if one is None or other is None:
            return False
        return taxonomy.tree.above(other, one) if above else taxonomy.tree.above(one, other)

    gone = {i for i, node in enumerate(nodes) if any(beats(one, node) for one in nodes)}
    heirs: dict[int, list[Item]] = {}
    for i in sorted(gone):
        heir = next(j for j, one in enumerate(nodes) if j not in gone and beats(one, nodes[i]))
        heirs.setdefault(heir, []).append(group[i])
    return [absorbed(item, heirs.get(i, ())) for i, item in enumerate(group) if i not in gone]


def absorbed(item: Item, others: Sequence[Item]) -> Item:
    """A draft with the evidence and mentions of others joined to its own; a candidate as it is."""
    drafts = [other for other in others if isinstance(other, AssignedCode)]
    if isinstance(item, Candidate) or not drafts:
        return item
    return item.with_(
        evidence=tuple(dict.fromkeys((*item.evidence, *(span for draft in drafts for span in draft.evidence)))),
        mentions=tuple(dict.fromkeys((*item.mentions, *(one for draft in drafts for one in draft.mentions)))),
    )


def ordered(items: Sequence[Item]) -> tuple[Item, ...]:
    """Drafts ranked anew, equal codes joined; candidates mention by mention, best first, each code once a mention."""
    drafts = [item for item in items if isinstance(item, AssignedCode)]
    if drafts:
        return ranked(unique(drafts))
    best: dict[str, dict[str, Candidate]] = {}
    for item in items:
        if isinstance(item, Candidate):
            codes = best.setdefault(item.mention, {})
            if item.code not in codes or item.score > codes[item.code].score:
                codes[item.code] = item
    return tuple(one for codes in best.values() for one in sorted(codes.values(), key=lambda c: -c.score))
