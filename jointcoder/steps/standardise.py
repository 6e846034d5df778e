"""standardise: a mention's wording → labelled candidates from the code book → the chosen canonical entry.

The code book proposes, the model chooses among lettered candidates (with an explicit "none of these", never a "0";
in an order that does not follow the score), and the log-probability is added to the lookup score: it is one
voice among several. Sure lookup hits are not asked about. Codes come only from the code book.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from jointcoder.llm.base import Context, Question
from jointcoder.records import Assertion, AssignedCode, Candidate, Flag, Kind, Mention, Span, System
from jointcoder.steps import base, confidence, seek
from jointcoder.steps.base import CANDIDATE_SLOTS, CODE_SLOTS, Choose, Run, State, Tools, Update
from jointcoder.steps.common import ranked, sentence_around, softmax
from jointcoder.steps.prompting import LETTERS
from jointcoder.steps.sides import with_sides
from jointcoder.steps.status import status_hits
from jointcoder.steps.taught import Answered, as_hit, doubts, entries, part_of
from jointcoder.steps.told import IMPLIED, SOURCE
from jointcoder.text.expand import expand
from jointcoder.text.patient import UNKNOWN, stated_sex
from jointcoder.text.problems import problem_parts
from jointcoder.text.told import tells
from jointcoder.text.wordings import past, past_forms, reworded

if TYPE_CHECKING:
    import datetime as dt

    from jointcoder.codebook.model import Hit

AS_WRITTEN = 0.85  # lookup score from which a term counts as found under its own wording
SPOTTED = 0.6  # least score for a wording that was only spotted as the book's own: below it means something else
LOOSER = 0.9  # what a hit under a part of the wording is worth, against one under the whole
NAMED = (SOURCE, IMPLIED)  # sources whose mentions bear a name of the code book
OTHER_SEX = {"male": "female", "female": "male"}
APPROACH = 4  # place of the approach in an ICD-10-PCS code
NEW_TECHNOLOGY = "X"
TRANSLATION = "en"  # the language of the names that extraction delivers beside a wording in another language


class StandardiseOptions(base.KindOptions):
    """``sure``: lookup score from which the model is not asked; ``sharpness``: how fast the lookup score counts;
    ``model_weight``: how much a unit of log-probability counts; ``none_score``: the lookup score that "none of
    these" stands for; ``codable``: assertions that are coded at all."""

    k: int = Field(default=6, ge=2, le=20)
    ask_model: bool = True
    sure: float = Field(default=0.9, ge=0, le=1.01)
    sharpness: float = Field(default=8.0, ge=0, le=50)
    model_weight: float = Field(default=0.7, ge=0, le=5)
    none_score: float = Field(default=0.3, ge=0, le=1)
    codable: tuple[Assertion, ...] = (Assertion.PRESENT, Assertion.POSSIBLE, Assertion.HISTORICAL)


@dataclass(frozen=True)
class Term:
    """Mentions of one wording, asked about once. ``name`` is the wording or, where extraction translated it, its
    English name; ``sentence`` gives the model the surroundings."""

    name: str
    mentions: tuple[Mention, ...]
    sentence: str = ""

    @property
    def written(self) -> str:
        """The wording; the name, for what the text tells in other words than names (:mod:`.told`)."""
        return self.name if self.mentions[0].source in NAMED else self.mentions[0].span.quote

    @property
    def spotted(self) -> bool:
        """Whether nothing but the book says that this is a term: no list names it, no model."""
        return all(mention.source == "dictionary" for mention in self.mentions)

    def wordings(self, language: str) -> list[tuple[str, str]]:
        """What to look up, each with its language: as written, expanded, and by its translated name."""
        written = self.written
        if self.mentions[0].source in NAMED:
            return [(self.name, language)]
        joined = any(not written.endswith(member) for member in self.members(language))
        others = [] if joined else reworded(written, language)  # else what is said of one would be said of all
        wordings = [*expand(written, language), *others]
        found = [(wording, language) for wording in (*wordings, *seek.further(wordings, language))]
        if self.name != written:
            found += [(wording, TRANSLATION) for wording in expand(self.name, TRANSLATION)]
        return found

    def members(self, language: str) -> list[str]:
        """The parts of a wording that joins several conditions, and what it says without words in front."""
        written = self.written
        return [written[first:last] for first, last in problem_parts(written, (0, len(written)), language)]

    def looser(self, language: str) -> list[tuple[str, str]]:
        """Further wordings, for a term that is not in the book as it is written: what remains without words in front
        that add nothing, the members of a phrase that joins several, and the states that past events leave."""
        written = self.written
        # The parts of a heading are mentions of their own; of another phrase its first member is what it is about.
        found = [] if self.mentions[0].source == "problem" else self.members(language)
        found = [one for one in found if found[0].endswith(one)]
        if over := past(written, language):
            found += [form.format(name=name) for form in past_forms(language) for name in expand(over, language)]
        found += seek.looser(written, language)
        more = [other for wording in found for other in (*expand(wording, language), *reworded(wording, language))]
        return [(wording, language) for wording in dict.fromkeys(more) if wording != written]


@dataclass(frozen=True)
class Chosen:
    """What a term became: the hit and the probability of the choice, or no hit."""

    term: Term
    hits: tuple[Hit, ...]
    hit: Hit | None
    probability: float
    asked: bool


class Standardise(base.Step):
    """Candidates by lookup, choice by lookup score and model together."""

    name: ClassVar[str] = "standardise"
    purpose: ClassVar[str] = "mention → candidates → canonical entry"
    Options: ClassVar[type[base.StepOptions]] = StandardiseOptions
    options: StandardiseOptions
    reads = frozenset({"encounter", "language", "sections", "mentions"})

    @property
    def writes(self) -> frozenset[str]:
        kind = self.options.kind
        return frozenset({CANDIDATE_SLOTS[kind], CODE_SLOTS[kind]})

    @property
    def asks(self) -> bool:
        return self.options.ask_model

    def run(self, state: State, tools: Tools) -> Run:
        kind = self.options.kind
        if tools.system(kind) is None:
            return Update({CANDIDATE_SLOTS[kind]: (), CODE_SLOTS[kind]: ()})
        terms = group(state, kind, self.options.codable)
        on = base.edition_date(state.encounter)
        chosen = yield from choose_entries(terms, tools, state.language, self.options, on, sex=sex_of(state))
        codes = drafts(chosen, tools, state.language, divided=confidence.is_divided(state.sections))
        codes = with_sides(codes, state, tools)
        lost = sum(choice.hit is None and not choice.term.spotted for choice in chosen)
        flags = (Flag(code="JC601", step=self.name, message=f"{lost} {kind} wordings found no code"),) if lost else ()
        candidates = tuple(
            Candidate(
                mention=choice.term.mentions[0].id,
                system=hit.system,
                code=hit.code,
                name=hit.name,
                score=hit.score,
                sources=tuple(hit.sources),
            )
            for choice in chosen
            for hit in choice.hits
        )
        notes = {"terms": len(terms), "asked": sum(choice.asked for choice in chosen), "uncoded": lost}
        return Update({CANDIDATE_SLOTS[kind]: candidates, CODE_SLOTS[kind]: ranked(codes)}, flags, notes)


def group(state: State, kind: Kind, codable: Sequence[Assertion]) -> list[Term]:
    """One term per different wording, in order of first mention. A wording that is only ever denied is left out."""
    by_name: dict[str, list[Mention]] = {}
    if kind is Kind.PROCEDURE and tells(state.language):
        codable = (Assertion.PRESENT,)  # the language tells what was done from what was planned or is past
    for mention in state.mentions:
        if mention.kind is kind and mention.assertion in codable:
            by_name.setdefault(" ".join(mention.name.casefold().split()), []).append(mention)
    documents = state.encounter.documents
    return [
        Term(mentions[0].name, tuple(mentions), sentence_around(mentions[0].span, documents))
        for mentions in by_name.values()
    ]


def choose_entries(
    terms: Sequence[Term],
    tools: Tools,
    language: str,
    options: StandardiseOptions,
    on: dt.date | None,
    *,
    sex: str = UNKNOWN,
) -> Generator[Choose, list[Any], list[Chosen]]:
    """For each term its hits and the one chosen; several for a term that a pack in use says holds several.

    A pack that learnt from term pairs speaks first, the lookup where it names nothing. One ask for all terms of which
    the pack is unsure, one for those that lookup alone does not settle.
    """
    system = tools.system(options.kind)
    assert system is not None
    part = part_of(tools, system)
    wordings = [term.written for term in terms]
    opened = doubts(wordings, part, options.adapter) if part and options.ask_model else {}
    hits = {i: [as_hit(choice, system, language) for choice in choices] for i, choices in opened.items()}
    said = yield from put(terms, hits, tools, language, options.kind)
    chosen: dict[int, list[Chosen]] = {}
    for i, (term, wording) in enumerate(zip(terms, wordings, strict=True)):
        answer = said.get(i)
        held = entries(wording, part, tools, system, language, opened=opened.get(i, ()), answer=answer) if part else ()
        chosen[i] = [
            Chosen(term, (entry.hit,), entry.hit, entry.probability, answer is not None)
            for entry in held
            if fits(entry.hit, tools, on, sex)
        ]
    rest = [i for i in range(len(terms)) if not chosen[i]]
    found = {i: candidates(terms[i], tools, language, system, options.k, on, sex=sex) for i in rest}
    unsure = {i: own for i, own in found.items() if options.ask_model and own and own[0].score < options.sure}
    said = yield from put(terms, unsure, tools, language, options.kind)
    chosen |= {i: [settle(terms[i], own, said.get(i), options)] for i, own in found.items()}
    return [choice for i in range(len(terms)) for choice in chosen[i]]


def put(
    terms: Sequence[Term], hits: Mapping[int, Sequence[Hit]], tools: Tools, language: str, kind: Kind
) -> Generator[Choose, list[Any], dict[int, Answered]]:
    """Place of a term → the model's answer among its hits. One ask for all of them, none where there are no hits."""
    if not hits:
        return {}
    orders = {i: shuffled(len(own), terms[i].name) for i, own in hits.items()}
    questions = [question(terms[i], own, orders[i], tools, language, kind) for i, own in hits.items()]
    prompts = tools.prompts(language)
    replies = yield Choose(Context(prompts("standardise", "context"), prompts("shared", "system")), questions)
    found = {}
    for (i, order), reply in zip(orders.items(), replies, strict=True):
        by_hit = dict(zip(order, reply.logprobs, strict=False))
        found[i] = Answered(tuple(by_hit[place] for place in range(len(order))), reply.logprobs[len(order)])
    return found


def candidates(
    term: Term, tools: Tools, language: str, system: System, k: int, on: dt.date | None, *, sex: str = UNKNOWN
) -> tuple[Hit, ...]:
    """Up to ``k`` assignable entries of ``system`` for all wordings of a term, valid on the date and for the patient's
    sex, best first; of equally good ones that of the wording named first. Of procedures see :func:`told_apart`."""
    written = term.written
    if states := status_hits(written, language, tools, system, k):
        return tuple(hit for hit in states if fits(hit, tools, on, sex))
    best: dict[str, tuple[Hit, int]] = {}
    for wordings, weight in ((term.wordings(language), 1.0), (term.looser(language), LOOSER)):
        if max((hit.score for hit, _ in best.values()), default=0.0) >= AS_WRITTEN:
            break
        for place, (wording, lang) in enumerate(wordings):
            for hit in seek.seek(wording, lang, tools, system, k):
                score = round(hit.score * weight, 4)
                if hit.code not in best or score > best[hit.code][0].score:
                    best[hit.code] = (hit if weight == 1 else replace(hit, score=score), place)
    if term.spotted:
        best = {code: found for code, found in best.items() if found[0].score >= SPOTTED}
    order = sorted(best.values(), key=lambda found: (-found[0].score, found[1], *seek.place(found[0], language)))
    return tuple(told_apart(hit for hit, _ in order if fits(hit, tools, on, sex)))[:k]


def told_apart(hits: Iterable[Hit]) -> Iterator[Hit]:
    """ICD-10-PCS, best first: of codes that differ in the approach alone the first, and no new technology that is not
    named as such. The approach that a wording tells, or that its operation goes by, has been heard by the lookup;
    where it tells none a choice among letters knows no better. Section X holds single products (ICD-10-PCS guideline
    D1): a part of such a title is the name of something else. Hits of other systems pass as they are."""
    approached: set[str] = set()
    for hit in hits:
        if hit.system is System.ICD10PCS:
            alike = hit.code[:APPROACH] + hit.code[APPROACH + 1 :]
            if alike in approached or (hit.code[0] == NEW_TECHNOLOGY and hit.score < AS_WRITTEN):
                continue
            approached.add(alike)
        yield hit


def fits(hit: Hit, tools: Tools, on: dt.date | None, sex: str) -> bool:
    """Whether an entry is valid on the date and can be coded for a patient of this sex."""
    other = OTHER_SEX.get(sex)
    return (on is None or tools.book.is_valid(hit.system, hit.code, on)) and (
        other is None or other not in tools.book.edits(hit.system, hit.code, on)
    )


def sex_of(state: State) -> str:
    """The patient's sex as the record gives it, else as its text states it with the age."""
    if state.encounter.patient.sex != UNKNOWN:
        return state.encounter.patient.sex
    text = "\n".join(document.text for document in state.encounter.documents)
    return stated_sex(text, state.language)


def shuffled(count: int, seed: str) -> tuple[int, ...]:
    """An order of the options that is fixed by the wording, so that a letter's pull does not follow the score."""
    order = list(range(count))
    random.Random(hashlib.sha256(seed.encode("utf-8", "surrogatepass")).digest()).shuffle(order)
    return tuple(order)


def question(
    term: Term, hits: Sequence[Hit], order: Sequence[int], tools: Tools, language: str, kind: Kind
) -> Question:
    """The lettered question for one term, in its sentence where it stands in one; "none" is the last letter."""
    prompts = tools.prompts(language)
    names = [hits[i].name for i in order] + [prompts("standardise", "none")]
    lines = "\n".join(f"{letter}. {name}" for letter, name in zip(LETTERS, names, strict=False))
    mention = term.mentions[0].span.quote if term.mentions else term.name
    text = prompts(
        "standardise",
        "question" if term.sentence and term.sentence != mention else "alone",
        kind=prompts("standardise", kind.value),
        options=lines,
        sentence=term.sentence,
        mention=mention,
    )
    return Question(text, LETTERS[: len(names)])


def settle(term: Term, hits: Sequence[Hit], answer: Answered | None, options: StandardiseOptions) -> Chosen:
    """Lookup score and model log-probability added up; the best wins, or none."""
    if not hits:
        return Chosen(term, (), None, 0.0, False)
    scores = [options.sharpness * hit.score for hit in hits]
    if answer is None:
        probabilities = softmax([*scores, options.sharpness * options.none_score])
        return Chosen(term, tuple(hits), hits[0], probabilities[0], False)
    scores = [score + options.model_weight * own for score, own in zip(scores, answer.logprobs, strict=True)]
    none = options.sharpness * options.none_score + options.model_weight * answer.none
    probabilities = softmax([*scores, none])
    best = max(range(len(probabilities)), key=lambda i: (probabilities[i], -i))
    return Chosen(term, tuple(hits), hits[best] if best < len(hits) else None, probabilities[best], True)


def drafts(chosen: Sequence[Chosen], tools: Tools, language: str, *, divided: bool) -> list[AssignedCode]:
    """Draft codes, terms that became the same code merged: evidence joined, confidence from all mentions."""
    by_code: dict[str, list[Chosen]] = {}
    for choice in chosen:
        if choice.hit is not None:
            by_code.setdefault(choice.hit.code, []).append(choice)
    codes = []
    for choices in by_code.values():
        best = max(choices, key=lambda choice: (choice.hit.score if choice.hit else 0.0, choice.probability))
        hit = best.hit
        assert hit is not None
        mentions = [mention for choice in choices for mention in choice.term.mentions]
        name = tools.book.name(hit.system, hit.code, language) or hit.name
        codes.append(
            AssignedCode(
                system=hit.system,
                code=hit.code,
                name=name,
                confidence=confidence.draft(mentions, hit, choice=best.probability, divided=divided),
                evidence=unique_spans(mention.span for mention in mentions),
                assertion=confidence.strongest(mentions),
                mentions=tuple(dict.fromkeys(mention.id for mention in mentions)),
                stages=tuple(dict.fromkeys([*(f"extract:{m.source}" for m in mentions), "standardise"])),
            )
        )
    return codes


def unique_spans(spans: Any) -> tuple[Span, ...]:
    """The spans in order, each once."""
    return tuple(dict.fromkeys(spans))
