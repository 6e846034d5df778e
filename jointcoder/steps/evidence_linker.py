"""evidence_linker: each code's evidence is found again in the text, and how strong it is. MedDCR's ``EvidenceLinker``.

A code that rests on words of the record keeps those that are there; for a code without any, the book's wordings of it
are sought, else the clause that carries most of its name. Strength is how alike the words are to a wording of the code;
words that only deny the code, or tell of a relative, carry nothing. It is kept as a verdict of the step (``judge`` and
``rerank`` weigh it). Asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from jointcoder.records import Assertion, AssignedCode, Flag, Kind, Mention, Span, Verdict
from jointcoder.steps import base
from jointcoder.steps.base import CODE_SLOTS, Run, State, Tools, Update
from jointcoder.steps.both import CodesStep, KindsOptions
from jointcoder.steps.common import span_at
from jointcoder.steps.confidence import strongest
from jointcoder.steps.desc_match import clauses_of, letters, narrowed
from jointcoder.steps.extract import mention as mention_at
from jointcoder.steps.likeness import Likeness
from jointcoder.steps.sought import CODABLE
from jointcoder.text.locate import locate_all

WORDINGS = 12  # printed wordings of a code that are sought
PLACES = 3  # places of one wording that are kept
SHORT = 4  # letters below which a wording is not sought in the text
QUESTION = "evidence"


class EvidenceOptions(KindsOptions):
    """``least``: strength below which a code is dropped (0: none is); ``seek``: whether evidence is sought for codes
    without any; ``alike``: how much of a code's name a clause must carry to count as evidence."""

    least: float = Field(default=0.0, ge=0, le=1)
    seek: bool = True
    alike: float = Field(default=0.5, ge=0, le=1)


class EvidenceLinker(CodesStep):
    """Evidence with its strength."""

    name: ClassVar[str] = "evidence_linker"
    purpose: ClassVar[str] = "each code's evidence found again in the text, with its strength"
    Options: ClassVar[type[base.StepOptions]] = EvidenceOptions
    options: EvidenceOptions
    also_reads = frozenset({"encounter", "language", "sections", "mentions"})

    @property
    def writes(self) -> frozenset[str]:
        return super().writes | {"mentions"}

    def run(self, state: State, tools: Tools) -> Run:
        yield from ()
        mentions = {mention.id: mention for mention in state.mentions}
        values: dict[str, object] = {}
        without = dropped = sought = 0
        for kind, codes in self.drafts(state, tools):
            kept: list[AssignedCode] = []
            for code in codes:
                spans = [span for span in code.evidence if span.reproduces(state.encounter)]
                if not spans and self.options.seek:
                    spans = list(self._found(code, state, tools))
                    sought += bool(spans)
                own = [mention_of(span, code, kind, state, mentions) for span in spans]
                strength = self._strength(code, own, state, tools)
                without += not own
                if strength < self.options.least:
                    dropped += 1
                    continue
                mentions |= {mention.id: mention for mention in own}
                kept.append(linked(code, own, strength, step=self.name))
            values[CODE_SLOTS[kind]] = self.passed(kept)
        flags: tuple[Flag, ...] = ()
        if without:
            flags = (Flag(code="JC602", step=self.name, message=f"{without} codes have no evidence in the text"),)
        placed = sorted(mentions.values(), key=lambda m: (m.span.document, m.span.start, m.kind, m.id))
        notes = {"found": sought, "without": without, "dropped": dropped}
        return Update({**values, "mentions": tuple(placed)}, flags, notes)

    def _strength(self, code: AssignedCode, own: list[Mention], state: State, tools: Tools) -> float:
        """How alike the best of the code's words are to a wording of the code."""
        affirmed = [mention for mention in own if mention.assertion in CODABLE]
        if not affirmed:
            return 0.0
        likeness = Likeness(tools.lookup, state.language, code.kind is Kind.PROCEDURE)
        names = list(dict.fromkeys([code.name, *wordings_of(code, state, tools)]))[:WORDINGS]
        return max(
            (likeness.of(mention.span.quote, name) for mention in affirmed for name in names),
            default=0.0,
        )

    def _found(self, code: AssignedCode, state: State, tools: Tools) -> Iterator[Span]:
        """Places where a wording of the code stands, else the clause that is most like its name."""
        documents = state.encounter.documents
        for wording in wordings_of(code, state, tools):
            places = [
                span_at(documents, number, *place)
                for number, document in enumerate(documents)
                for place in locate_all(wording, document.text)[:PLACES]
            ]
            if places:
                yield from places[:PLACES]
                return
        likeness = Likeness(tools.lookup, state.language, code.kind is Kind.PROCEDURE)
        scored = [(likeness.covered(clause.quote, code.name), clause) for clause in clauses_of(state)]
        best = max(scored, key=lambda pair: pair[0], default=None)
        if best is not None and best[0] >= self.options.alike:
            yield narrowed(best[1], code.name, likeness, state)


def wordings_of(code: AssignedCode, state: State, tools: Tools) -> list[str]:
    """The code's name and the book's wordings in the record's language, long enough to be sought."""
    terms = [term.text for term in tools.book.terms(code.system, code.code) if term.lang == state.language]
    return [word for word in dict.fromkeys([code.name, *terms]) if letters(word) >= SHORT][:WORDINGS]


def mention_of(span: Span, code: AssignedCode, kind: Kind, state: State, known: dict[str, Mention]) -> Mention:
    """The mention at that place: the one that is there, else a new one under the code's name."""
    made = mention_at(state, kind, span, name=code.name, source="dictionary")
    return known.get(made.id, made)


def linked(code: AssignedCode, own: list[Mention], strength: float, *, step: str) -> AssignedCode:
    """The code with its evidence, its mentions and the verdict about them."""
    verdict = Verdict(
        step=step, question=QUESTION, answer="found" if own else "none", probability=min(1.0, strength), by="text"
    )
    return code.with_(
        evidence=tuple(dict.fromkeys(mention.span for mention in own)),
        mentions=tuple(dict.fromkeys((*code.mentions, *(mention.id for mention in own)))),
        assertion=strongest(own) if own else Assertion.PRESENT,
        verdicts=(*(v for v in code.verdicts if v.step != step), verdict),
    )


def strength_of(code: AssignedCode) -> float | None:
    """The strength that the step found, None where it has not looked."""
    return next((v.probability for v in code.verdicts if v.step == EvidenceLinker.name), None)
