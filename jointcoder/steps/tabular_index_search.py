"""tabular_index_search: names → the entries of the code book that are nearest, by the alphabetic index and the list.

*Locate*, the second stage of Code Like Humans (Motzfeldt and Edin 2025), and MedDCR's ``TabularIndexSearch``. Each name
is sought among all printed wordings (by words, by meaning where the book has vectors) and, where the book holds the
alphabetic index, walked down from its main term: *see* is followed, *see also* offered (guideline I.A.16). The nearest
become candidates; with ``assign = "first"`` the best of each name becomes a draft code. Asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from jointcoder.codebook.index import SEE, Index
from jointcoder.codebook.model import Hit
from jointcoder.records import Assertion, AssignedCode, Candidate, Flag, System
from jointcoder.steps import base, seek
from jointcoder.steps.base import CANDIDATE_SLOTS, CODE_SLOTS, Run, State, Tools, Update, edition_date
from jointcoder.steps.both import KindsOptions, KindsStep
from jointcoder.steps.common import ranked, softmax
from jointcoder.steps.sought import CODABLE, Sought, Source, as_candidates, draft, mentions_of, merged, sought
from jointcoder.steps.standardise import StandardiseOptions, fits, sex_of
from jointcoder.text.expand import expand

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook

FORMS = 4  # written-out forms of one wording that are looked up
LINES = 3  # lines of the alphabetic index that are followed for one wording
INDEX_SYSTEM, INDEX_LANGUAGE = System.ICD10CM, "en"
ANSWERED = 0.95  # score of a line that answers every word of the name
OFFERED = 0.6  # what a "see also" line is worth against the line that offers it


class SearchOptions(KindsOptions):
    """``of``: whose wordings are looked up; ``by``: patterns of the proposers whose names are looked up (``revise*``);
    ``k``: how many entries for each; ``follow``: whether "see" and "see also" of the index are followed; ``assign``:
    the first entry of each name becomes a draft, or none does; ``least``: score below which it does not become one;
    ``add``: what is found joins the candidates and drafts that are there, instead of replacing them."""

    of: tuple[Source, ...] = Field(default=("proposals",), min_length=1)
    by: tuple[str, ...] = ("*",)
    k: int = Field(default=10, ge=1, le=25)
    follow: bool = True
    assign: Literal["first", "none"] = "first"
    least: float = Field(default=0.3, ge=0, le=1)
    add: bool = False
    codable: tuple[Assertion, ...] = CODABLE


class TabularIndexSearch(KindsStep):
    """Names → candidates and drafts."""

    name: ClassVar[str] = "tabular_index_search"
    purpose: ClassVar[str] = "names → the nearest entries of index and tabular list; see and see also followed"
    Options: ClassVar[type[base.StepOptions]] = SearchOptions
    options: SearchOptions

    @property
    def reads(self) -> frozenset[str]:
        slots = frozenset({"encounter", "language", "sections", *self.options.of})
        return slots | ((self.writes | {"mentions"}) if self.options.add else frozenset())

    @property
    def writes(self) -> frozenset[str]:
        slots = self.slots(CANDIDATE_SLOTS) | {"mentions"}
        return slots | (self.slots() if self.options.assign == "first" else frozenset())

    def run(self, state: State, tools: Tools) -> Run:
        yield from ()
        options = self.options
        kinds = self.coded(tools)
        terms = sought(state, tools, kinds, options.of, by=options.by, codable=options.codable)
        search = Search(state, tools, k=options.k, follow=options.follow)
        hits = [search.hits(term) for term in terms]
        values: dict[str, object] = {"mentions": mentions_of(terms, state)}
        lost = dict.fromkeys(kinds, 0)
        unplaced = 0
        for kind in options.kinds:
            own = [(term, found) for term, found in zip(terms, hits, strict=True) if term.kind is kind]
            candidates = [one for term, found in own for one in as_candidates(term, found)]
            values[CANDIDATE_SLOTS[kind]] = self._with(candidates, getattr(state, CANDIDATE_SLOTS[kind]))
            if options.assign == "first":
                codes = [
                    draft(term, found[0], state, tools, probability=first_share(found), step=self.name)
                    for term, found in own
                    if found and found[0].score >= options.least
                ]
                lost[kind] = len(own) - len(codes)
                before: Sequence[AssignedCode] = getattr(state, CODE_SLOTS[kind]) if options.add else ()
                joined = merged([*before, *codes])
                found_now = {code.code for code in codes}
                unplaced += sum(code.code in found_now and not code.evidence for code in joined)
                values[CODE_SLOTS[kind]] = ranked(joined)
        flags = tuple(
            Flag(code="JC601", step=self.name, message=f"{count} {kind} wordings found no code")
            for kind, count in lost.items()
            if count
        )
        if unplaced:
            message = f"{unplaced} codes rest on names that do not stand in the text"
            flags = (*flags, Flag(code="JC602", step=self.name, message=message))
        notes = {"terms": len(terms), "candidates": sum(map(len, hits)), "uncoded": sum(lost.values())}
        return Update(values, flags, notes)

    def _with(self, found: Sequence[Candidate], before: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """With what is there already, each code once a mention."""
        every = {(one.mention, one.code): one for one in ((*before, *found) if self.options.add else found)}
        return tuple(every.values())


class Search:
    """Looks terms up for one record: its language, its day, its patient's sex."""

    def __init__(self, state: State, tools: Tools, *, k: int, follow: bool = True) -> None:
        self.state, self.tools, self.k, self.follow = state, tools, k, follow
        self.on = edition_date(state.encounter)
        self.sex = sex_of(state)

    def hits(self, term: Sought) -> list[Hit]:
        """Up to ``k`` assignable entries, best first."""
        system = self.tools.system(term.kind)
        if system is None:
            return []
        best: dict[str, Hit] = {}
        for wording, language in dict.fromkeys(self._wordings(term)):
            for hit in (*self._listed(wording, language, system), *self._indexed(wording, language, system)):
                old = best.get(hit.code, hit)
                sources = tuple(dict.fromkeys((*old.sources, *hit.sources)))
                best[hit.code] = replace(hit if hit.score > old.score else old, sources=sources)
        order = sorted(best.values(), key=lambda hit: (-hit.score, hit.code))
        return [hit for hit in order if fits(hit, self.tools, self.on, self.sex)][: self.k]

    def _wordings(self, term: Sought) -> Iterator[tuple[str, str]]:
        for wording, language in term.names:
            forms = expand(wording, language)[:FORMS]
            yield from ((form, language) for form in (*forms, *seek.further(forms, language)[:FORMS]))

    def _listed(self, wording: str, language: str, system: System) -> list[Hit]:
        return seek.seek(wording, language, self.tools, system, self.k)

    def _indexed(self, wording: str, language: str, system: System) -> Iterator[Hit]:
        """What the alphabetic index says: the lines that answer most of the words, and those they refer to."""
        if not self.follow or system is not INDEX_SYSTEM or language != INDEX_LANGUAGE:
            return
        words = max(1, len(wording.split()))
        index = index_of(self.tools.book)
        for found in index.find(wording, k=LINES):
            score = ANSWERED * max(0.0, 1 - len(found.rest) / words)
            offered = [other for line in found.offered for other in (line, *index.links(line, SEE))]
            lines = [(found.line, score, "index"), *((line, score * OFFERED, "see also") for line in offered)]
            for line, worth, source in lines:
                entry = self.tools.book.default_billable(system, line.code.rstrip("-.")) if line.code else None
                if entry is not None and worth > 0:
                    yield Hit(system, entry.code, entry.name, line.path, language, round(worth, 4), (source,))


def index_of(book: CodeBook) -> Index:
    """The alphabetic index of a book, one for its life."""
    return book.kept("steps.index", lambda: Index(book))


def first_share(hits: Sequence[Hit]) -> float:
    """The probability of the first among the hits and "none of these", by their scores alone, as *standardise* weighs
    them."""
    weights = StandardiseOptions(kind=hits[0].system.kind)
    scores = [*(hit.score for hit in hits), weights.none_score]
    return softmax([weights.sharpness * score for score in scores])[0]
