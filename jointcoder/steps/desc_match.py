"""desc_match: sentences of the record ↔ descriptions of the tabular list, by similarity. MedDCR's ``DescMatch``.

Every clause is compared with all descriptions; where one is alike enough but not the same, the hierarchy decides how
deep to go: up to the heading while its wordings are no less like the clause, then down to the child that is more so. So
"pain in the knee" gives the knee's entry and not the left knee's, and "left knee" the other way round. The description
is proposed by its printed name, with the clause's words that it shares as evidence. Asks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from jointcoder.codebook.model import Hit
from jointcoder.codebook.taxonomy import Taxonomy
from jointcoder.codebook.tree import BLOCK
from jointcoder.records import Kind, Span, System
from jointcoder.steps import base, seek
from jointcoder.steps.base import Run, State, Tools, Update
from jointcoder.steps.both import KindsOptions, KindsStep
from jointcoder.steps.common import span_at, step_data
from jointcoder.steps.likeness import Likeness
from jointcoder.steps.proposals import Proposed
from jointcoder.text.sections import section_kind
from jointcoder.text.segment import sentences

_CLAUSE = re.compile(r"[^,;:，、；：()（）\n]+")
_NUMBERED = re.compile(r"\s*(?:(?:\d{1,2}[.．、)]|[-*•●·])\s*)?")
LETTERS = 3  # letters that a clause must hold
HAN = 0x2E80  # the first character of a script in which one stands for about two Latin letters
PRINTED = ("name", "inclusion", "include")  # wordings of the tabular list
STEPS = 12  # moves along the hierarchy for one clause


class DescMatchOptions(KindsOptions):
    """``k``: descriptions looked at for one clause; ``least``: likeness from which one is proposed; ``source``: by
    words, by meaning (needs a code book with vectors) or both; ``depth``: whether the hierarchy is walked to the right
    depth."""

    k: int = Field(default=5, ge=1, le=25)
    least: float = Field(default=0.6, ge=0, le=1)
    source: Literal["fused", "lexical", "dense"] = "fused"
    depth: bool = True


class DescMatch(KindsStep):
    """Clauses → descriptions, as proposals."""

    name: ClassVar[str] = "desc_match"
    purpose: ClassVar[str] = "sentences ↔ tabular descriptions by similarity, at the depth that the wording supports"
    Options: ClassVar[type[base.StepOptions]] = DescMatchOptions
    options: DescMatchOptions
    reads = frozenset({"encounter", "language", "sections"})
    writes = frozenset({"proposals"})

    def run(self, state: State, tools: Tools) -> Run:
        yield from ()
        found: dict[tuple[str, Span], Proposed] = {}
        clauses = 0
        for span in clauses_of(state):
            clauses += 1
            for kind in self.coded(tools):
                system = tools.system(kind)
                assert system is not None
                hits = tools.lookup.search(
                    span.quote,
                    kind=kind,
                    lang=state.language,
                    k=self.options.k,
                    system=system,
                    source=self.options.source,
                )
                if hits and hits[0].score >= self.options.least:
                    one = self._proposed(hits[0], span, kind, system, state, tools)
                    found.setdefault((one.name, span), one)
        return Update({"proposals": tuple(found.values())}, notes={"clauses": clauses, "proposed": len(found)})

    def _proposed(self, hit: Hit, span: Span, kind: Kind, system: System, state: State, tools: Tools) -> Proposed:
        likeness = Likeness(tools.lookup, state.language, kind is Kind.PROCEDURE)
        taxonomy = Taxonomy(tools.book, system)
        node = taxonomy.node(hit.code)
        if self.options.depth and node is not None and hit.score < seek.ALIKE:
            node = at_depth(node, span.quote, taxonomy, likeness)
        names = tools.lookup.index_language(state.language)
        name = taxonomy.texts([node], lang=names)[0] if node is not None else hit.name
        return Proposed(
            name=name,
            kind=kind,
            language=names,
            by=self.name,
            span=narrowed(span, hit.term, likeness, state),
            score=min(1.0, hit.score),
            source="dictionary",
        )


def clauses_of(state: State) -> Iterator[Span]:
    """The clauses of the record, but for sections whose findings are not the patient's own or were only ordered."""
    skipped = set(step_data("extract")["dictionary"]["skip_kinds"])
    documents = state.encounter.documents
    for section in state.sections:
        if section_kind(section.name) in skipped:
            continue
        text = documents[section.document].text[section.start : section.end]
        below = len(section.heading) if text.startswith(section.heading) else 0
        for first, last in sentences(text, state.language):
            for clause in _CLAUSE.finditer(text, max(first, below), last):
                start, end = clause.span()
                start += len(_NUMBERED.match(text[start:end]).group())  # type: ignore[union-attr]  # matches nothing too
                while end > start and text[end - 1].isspace():
                    end -= 1
                if letters(text[start:end]) >= LETTERS:
                    yield span_at(documents, section.document, section.start + start, section.start + end)


def letters(text: str) -> int:
    """How many letters the text holds; a Chinese one counts for two."""
    return sum(1 + (ord(character) >= HAN) for character in text if character.isalpha())


def at_depth(node: int, wording: str, taxonomy: Taxonomy, likeness: Likeness) -> int:
    """The entry on the node's branch whose wordings are most like this one: up while the heading's are no less so, then
    down while a child's are more so."""
    tree, book, system = taxonomy.tree, taxonomy.book, taxonomy.system
    language = likeness.lookup.index_language(likeness.language)

    def like(place: int) -> tuple[bool, float]:
        """The side first: no more general entry may take its place."""
        terms = [term for term in book.terms(system, tree.code(place)) if term.lang == language]
        said = [term.text for term in terms if term.kind in PRINTED]
        return max(
            ((likeness.same_side(wording, one), likeness.of(wording, one)) for one in said), default=(False, 0.0)
        )

    here = like(node)
    for _ in range(STEPS):
        above = tree.parent[node]
        if above < 0 or tree.level[above] <= BLOCK or (up := like(above)) < here:
            break
        node, here = above, up
    for _ in range(STEPS):
        below = [(like(child), -child) for child in tree.children(node)]
        if not below or max(below)[0] <= here:
            break
        here, node = max(below)[0], -max(below)[1]
    return node


def narrowed(span: Span, term: str, likeness: Likeness, state: State) -> Span:
    """From the first to the last word of the clause that the description shares; the clause where none can be told."""
    lookup = likeness.lookup
    names = lookup.analyser(lookup.index_language(likeness.language))
    wanted = {word.text for word in names.analyse(term, procedures=likeness.procedures).words}
    runs = lookup.analyser(likeness.language).runs(span.quote, procedures=likeness.procedures)
    shared = [word for run in runs for word in run.words if word.text in wanted]
    if not shared:
        return span
    first, last = min(word.start for word in shared), max(word.end for word in shared)
    return span_at(state.encounter.documents, span.document, span.start + first, span.start + last)
