"""get_parent, get_ancestors, get_children, get_descendants: offer what stands near an entry in the hierarchy.

What is offered beside a draft is a draft of lower confidence, with the same evidence: a ``validate`` after it decides.
With ``keep = false`` the entry gives way to what is offered for it, which makes a fall-back of the walks upward and a
refinement of those downward:

    [[step]]                                            [[step]]
    use = "get_parent"                                  use = "get_children"
    options = { kind = "diagnosis", keep = false,       options = { kind = "diagnosis", keep = false,
                at_most = 0.4 }                                     limit = 1 }
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import ClassVar

from pydantic import Field

from jointcoder.codebook.taxonomy import Taxonomy
from jointcoder.codebook.tree import BLOCK
from jointcoder.records import Kind, System
from jointcoder.steps import base
from jointcoder.steps.hierarchy import SEVENTH, Desk, HierarchyOptions, HierarchyStep, Item, Worked, weight

ADDED = 0.35  # weight of a word that the name adds
SIDE_LEFT_OUT, SIDE_ADDED, OTHER_SIDE = 0.9, 0.8, 0.25


class WalkOptions(HierarchyOptions):
    """``discount``: share of the score kept a level; ``limit``: how many are offered for one item; ``assignable``:
    a heading stands for its default code, one without a default is left out; ``at_most``: only items no surer than
    this are looked at; ``keep``: whether the item stays beside what is offered for it, or gives way to it."""

    discount: float = Field(default=0.8, ge=0, le=1)
    limit: int = Field(default=8, ge=1, le=100)
    assignable: bool = True
    at_most: float = Field(default=1.0, ge=0, le=1)
    keep: bool = True


class Walk(HierarchyStep):
    """Offers entries that stand near."""

    Options: ClassVar[type[base.StepOptions]] = WalkOptions
    options: WalkOptions
    downward: ClassVar[bool] = False

    @property
    def reads(self) -> frozenset[str]:
        by_wording = self.downward and self.options.on == "candidates"
        return super().reads | ({"mentions"} if by_wording else frozenset())

    @abstractmethod
    def reached(self, taxonomy: Taxonomy, node: int) -> Iterator[tuple[int, int]]:
        """(entry, how many levels away), nearest first or in printed order."""

    def work(self, items: Sequence[Item], desk: Desk) -> Worked:
        here: list[Item] = []
        beside: list[Item] = []
        offered = unknown = 0
        for item in items:
            taxonomy = desk.taxonomy(item.system)
            node = taxonomy.node(item.code)
            unknown += node is None
            made = list(self._offers(item, taxonomy, node, desk)) if node is not None else []
            offered += len(made)
            if made and not self.options.keep:
                here += made
            else:
                here.append(item)
                beside += made
        return Worked([*here, *beside], {"looked_at": len(items), "offered": offered, "unknown": unknown})

    def _offers(self, item: Item, taxonomy: Taxonomy, node: int, desk: Desk) -> Iterator[Item]:
        if weight(item) > self.options.at_most:
            return
        tree = taxonomy.tree
        found = [(other, away) for other, away in self.reached(taxonomy, node) if tree.level[other] > BLOCK]
        if self.downward:
            found = by_wording(found, taxonomy, desk.wording(item), desk)
        seen = {item.code}
        for code, away in self._codes(item, found, taxonomy, desk):
            if code not in seen:
                seen.add(code)
                yield desk.changed(item, code, share=self.options.discount**away)
            if len(seen) > self.options.limit:
                return

    def _codes(
        self, item: Item, found: Sequence[tuple[int, int]], taxonomy: Taxonomy, desk: Desk
    ) -> Iterator[tuple[str, int]]:
        """The codes of entries; where they must be assignable, a heading's default, or what is below one that has
        none: its subdivisions are equals, so their wording decides."""
        for node, away in found:
            code = taxonomy.tree.code(node)
            stand_in = desk.stand_in(item.system, code, like=item.code) if self.options.assignable else code
            if stand_in is not None:
                yield stand_in, away
            elif self.downward:
                equals = [(other, away + more) for other, more in ends(taxonomy, node)]
                yield from self._codes(item, by_wording(equals, taxonomy, desk.wording(item), desk), taxonomy, desk)


class GetParent(Walk):
    """The entry above: with ``keep = false, at_most = 0.4`` a doubtful code falls back to the less specific one."""

    name: ClassVar[str] = "get_parent"
    purpose: ClassVar[str] = "offer the entry above, or its default code"

    def reached(self, taxonomy: Taxonomy, node: int) -> Iterator[tuple[int, int]]:
        yield from ((other, 1) for other in islice(taxonomy.tree.ancestors(node), 1))


class GetAncestors(Walk):
    """Every entry above, up to the category."""

    name: ClassVar[str] = "get_ancestors"
    purpose: ClassVar[str] = "offer the entries above up to the category, or their default codes"

    def reached(self, taxonomy: Taxonomy, node: int) -> Iterator[tuple[int, int]]:
        yield from ((other, away) for away, other in enumerate(taxonomy.tree.ancestors(node), start=1))


class GetChildren(Walk):
    """The entries directly below; with ``keep = false, limit = 1`` a heading becomes its best-worded child."""

    name: ClassVar[str] = "get_children"
    purpose: ClassVar[str] = "offer the entries directly below, nearest in wording first"
    downward: ClassVar[bool] = True

    def reached(self, taxonomy: Taxonomy, node: int) -> Iterator[tuple[int, int]]:
        yield from ((other, 1) for other in taxonomy.tree.children(node))


class GetDescendants(Walk):
    """All entries below. With ``assignable`` only codes, those of a stem with 7th characters by their default."""

    name: ClassVar[str] = "get_descendants"
    purpose: ClassVar[str] = "offer all entries below, nearest in wording first"
    downward: ClassVar[bool] = True

    def reached(self, taxonomy: Taxonomy, node: int) -> Iterator[tuple[int, int]]:
        return ends(taxonomy, node) if self.options.assignable else below(taxonomy, node)


def below(taxonomy: Taxonomy, node: int) -> Iterator[tuple[int, int]]:
    """Every entry below with its distance, in printed order."""
    tree, away = taxonomy.tree, {node: 0}
    for other in range(node + 1, tree.last[node] + 1):
        away[other] = away[tree.parent[other]] + 1
        yield other, away[other]


def ends(taxonomy: Taxonomy, node: int) -> Iterator[tuple[int, int]]:
    """The assignable entries below with their distance; for 7th-character codes the stem that bears them, for a
    wording hardly tells which of them is meant (guideline I.A.4)."""
    tree = taxonomy.tree
    for other, away in below(taxonomy, node):
        child = other + 1
        bears = taxonomy.system is System.ICD10CM and child <= tree.last[other] and len(tree.code(child)) == SEVENTH
        stem = tree.parent[other] != node and len(tree.code(other)) == SEVENTH
        if bears or (tree.billable[other] and not stem):
            yield other, away


def by_wording(found: Sequence[tuple[int, int]], taxonomy: Taxonomy, wording: str, desk: Desk) -> list[tuple[int, int]]:
    """Entries whose names are most like the wording first, else in printed order.

    Likeness is the lookup's: shared words over the words asked for and a share of those the name adds (Tversky 1977),
    less where a side is added, much less where another side is named.
    """
    lookup, language = desk.tools.lookup, desk.state.language
    procedures = taxonomy.system.kind is Kind.PROCEDURE
    asked = lookup.analyser(language).analyse(wording, query=True, procedures=procedures)
    wanted = {word.text for word in asked.words}
    if not wanted and not asked.side:
        return list(found)
    names = lookup.index_language(language)
    engine = lookup.analyser(names)

    def likeness(name: str) -> float:
        said = engine.analyse(name, procedures=procedures)
        words = {word.text for word in said.words}
        share = len(words & wanted) / (len(wanted) + ADDED * len(words - wanted)) if wanted else 1.0
        if said.side == asked.side:
            return share
        return share * (OTHER_SIDE if said.side and asked.side else SIDE_ADDED if said.side else SIDE_LEFT_OUT)

    scores = [likeness(name) for name in taxonomy.texts([node for node, _ in found], lang=names)]
    return [found[place] for place in sorted(range(len(found)), key=lambda place: (-scores[place], place))]
