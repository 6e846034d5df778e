"""text_to_codes, code_to_text, load_taxonomy: words to codes by exact wording, codes to names, and what must be there.

``text_to_codes`` is the strict sister of ``standardise``: no likeness, no model. A mention whose wording is printed in
the book gives its entries as candidates and, where they are one assignable code, a draft. With ``add`` it joins what
another step found, so that the union of several proposals goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from typing import ClassVar

from pydantic import Field

from jointcoder.codebook.model import Hit
from jointcoder.codebook.taxonomy import Taxonomy, load_taxonomy
from jointcoder.errors import WorkflowError, name_list
from jointcoder.records import Assertion, Candidate, Flag, System
from jointcoder.steps import base, confidence
from jointcoder.steps.base import CANDIDATE_SLOTS, CODE_SLOTS, Run, State, Tools, Update
from jointcoder.steps.hierarchy import Desk, HierarchyOptions, HierarchyStep, Item, Worked, ordered
from jointcoder.steps.standardise import Chosen, Term, drafts, group


class LoadOptions(base.StepOptions):
    """``systems``: code systems that the book must hold (default: those to assign); ``books``: ids it may have, as
    patterns (``us-*``)."""

    systems: tuple[System, ...] = ()
    books: tuple[str, ...] = ()


class LoadTaxonomy(base.Step):
    """Puts the hierarchy at hand and its edition into the trace. WorkflowError JC403 (a flag on the record) where the
    book is not the one that the workflow is made for."""

    name: ClassVar[str] = "load_taxonomy"
    purpose: ClassVar[str] = "the code book holds what the workflow needs; its edition goes into the trace"
    Options: ClassVar[type[base.StepOptions]] = LoadOptions
    options: LoadOptions
    reads = frozenset({"encounter"})
    writes: frozenset[str] = frozenset()

    def run(self, state: State, tools: Tools) -> Run:
        yield from ()
        info = tools.book.info
        wanted = self.options.systems or tools.systems
        if missing := [system for system in wanted if system not in info.systems]:
            raise WorkflowError(
                "JC403",
                f"the workflow needs {name_list(missing)}; the code book {info.id} holds {name_list(info.systems)}",
            )
        if self.options.books and not any(fnmatch(info.id, pattern) for pattern in self.options.books):
            raise WorkflowError(
                "JC403", f"the workflow needs a code book {name_list(self.options.books)}; this one is {info.id}"
            )
        entries = {system.value: len(load_taxonomy(tools.book, system)) for system in wanted}
        return Update(notes={"book": info.id, "edition": info.edition, "sha256": info.sha256, "entries": entries})


class TextToCodesOptions(base.KindOptions):
    """``assign``: a wording that means one assignable code becomes a draft; ``add``: to what is there already, which
    is replaced otherwise; ``codable``: assertions that are coded at all."""

    assign: bool = True
    add: bool = False
    codable: tuple[Assertion, ...] = (Assertion.PRESENT, Assertion.POSSIBLE, Assertion.HISTORICAL)


class TextToCodes(base.Step):
    """Mentions → candidates and drafts by exact wording."""

    name: ClassVar[str] = "text_to_codes"
    purpose: ClassVar[str] = "mentions → entries whose name or printed wording they are"
    Options: ClassVar[type[base.StepOptions]] = TextToCodesOptions
    options: TextToCodesOptions

    @property
    def reads(self) -> frozenset[str]:
        there = self.writes if self.options.add else frozenset()
        return there | {"encounter", "language", "sections", "mentions"}

    @property
    def writes(self) -> frozenset[str]:
        slots = {CANDIDATE_SLOTS[self.options.kind]}
        return frozenset(slots | ({CODE_SLOTS[self.options.kind]} if self.options.assign else set()))

    def run(self, state: State, tools: Tools) -> Run:
        yield from ()
        kind = self.options.kind
        system = tools.system(kind)
        if system is None:
            return Update(dict.fromkeys(self.writes, ()))
        desk = Desk(state, tools, self.name)
        terms = group(state, kind, self.options.codable)
        chosen = [self._chosen(term, desk, tools, system) for term in terms]
        lost = sum(choice.hit is None for choice in chosen)
        found: list[Item] = [
            Candidate(
                mention=choice.term.mentions[0].id,
                system=hit.system,
                code=hit.code,
                name=hit.name,
                score=hit.score,
                sources=hit.sources,
            )
            for choice in chosen
            for hit in choice.hits
        ]
        there = getattr(state, CANDIDATE_SLOTS[kind]) if self.options.add else ()
        values = {CANDIDATE_SLOTS[kind]: ordered([*there, *found])}
        flags: tuple[Flag, ...] = ()
        if self.options.assign:
            divided = confidence.is_divided(state.sections)
            codes = [
                code.with_(stages=(*code.stages[:-1], self.name))
                for code in drafts(chosen, tools, state.language, divided=divided)
            ]
            there = getattr(state, CODE_SLOTS[kind]) if self.options.add else ()
            values[CODE_SLOTS[kind]] = ordered([*there, *codes])
            if lost and not self.options.add:
                flags = (Flag(code="JC601", step=self.name, message=f"{lost} {kind} wordings found no code"),)
        notes = {"terms": len(terms), "candidates": len(found), "uncoded": lost}
        return Update(values, flags, notes)

    def _chosen(self, term: Term, desk: Desk, tools: Tools, system: System) -> Chosen:
        taxonomy = Taxonomy(tools.book, system)
        codes: dict[str, str] = {}  # code → the wording that led to it
        for wording, lang in term.wordings(desk.state.language):
            for code in taxonomy.text_to_codes(wording, lang=lang):
                final = desk.stand_in(system, code) if taxonomy.is_category_or_subcategory(code) else None
                if final is not None:
                    codes.setdefault(final, wording)
        hits = tuple(
            Hit(system, code, desk.name(system, code), wording, desk.state.language, 1.0, (self.name,))
            for code, wording in codes.items()
        )
        return Chosen(term, hits, hits[0] if len(hits) == 1 else None, 1.0, False)


class TextOptions(HierarchyOptions):
    """``lang``: language of the names, by default the record's."""

    lang: str = Field(default="", pattern="^([a-z]{2})?$")


class CodeToText(HierarchyStep):
    """Every entry bears its printed name."""

    name: ClassVar[str] = "code_to_text"
    purpose: ClassVar[str] = "give every entry its printed name in the record's language"
    Options: ClassVar[type[base.StepOptions]] = TextOptions
    options: TextOptions

    def work(self, items: Sequence[Item], desk: Desk) -> Worked:
        lang = self.options.lang or desk.state.language
        named: list[Item] = []
        for item in items:
            name = desk.book.name(item.system, item.code, lang) or item.name
            named.append(item.model_copy(update={"name": name}))
        renamed = sum(new.name != old.name for new, old in zip(named, items, strict=True))
        return Worked(named, {"looked_at": len(items), "renamed": renamed})
