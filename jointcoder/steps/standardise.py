"""standardise: a mention's wording → labelled candidates from the code book → the chosen canonical entry.

The code book proposes, the model chooses among lettered candidates (with an explicit "none of these", never a "0";
in an order that does not follow the score), and the log-probability is added to the lookup score: it is one
voice among several. Sure lookup hits are not asked about. Codes come only from the code book.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from jointcoder.llm.base import Choice, Context, Question
from jointcoder.records import Assertion, AssignedCode, Candidate, Flag, Kind, Mention, Span, System
from jointcoder.steps import base, confidence
from jointcoder.steps.base import CANDIDATE_SLOTS, CODE_SLOTS, Choose, Run, State, Tools, Update
from jointcoder.steps.common import ranked, sentence_around, softmax
from jointcoder.steps.prompting import LETTERS
from jointcoder.steps.sides import with_sides
from jointcoder.text.expand import expand
from jointcoder.text.patient import UNKNOWN, stated_sex
from jointcoder.text.problems import problem_parts
from jointcoder.text.wordings import past, past_forms, reworded

if TYPE_CHECKING:
    import datetime as dt

    from jointcoder.codebook.model import Hit

AS_WRITTEN = 0.85  # lookup score from which a term counts as found under its own wording
LOOSER = 0.9  # what a hit under a part of the wording is worth, against one under the whole
OTHER_SEX = {"male": "female", "female": "male"}
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

    def wordings(self, language: str) -> list[tuple[str, str]]:
        """What to look up, each with its language: as written, expanded, and by its translated name."""
        written = self.mentions[0].span.quote
        joined = any(not written.endswith(member) for member in self.members(language))
        others = [] if joined else reworded(written, language)  # else what is said of one would be said of all
        found = [(wording, language) for wording in (*expand(written, language), *others)]
        if self.name != written:
            found += [(wording, TRANSLATION) for wording in expand(self.name, TRANSLATION)]
        return found

    def members(self, language: str) -> list[str]:
        """The parts of a wording that joins several conditions, and what it says without words in front."""
        written = self.mentions[0].span.quote
        return [written[first:last] for first, last in problem_parts(written, (0, len(written)), language)]

    def looser(self, language: str) -> list[tuple[str, str]]:
        """Further wordings, for a term that is not in the book as it is written: what remains without words in front
        that add nothing, the members of a phrase that joins several, and the states that past events leave."""
        written = self.mentions[0].span.quote
        # The parts of a heading are mentions of their own; of another phrase its first member is what it is about.
        found = [] if self.mentions[0].source == "problem" else self.members(language)
        found = [one for one in found if found[0].endswith(one)]
        if over := past(written, language):
            found += [form.format(name=name) for form in past_forms(language) for name in expand(over, language)]
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
        lost = sum(choice.hit is None for choice in chosen)
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
    """For each term its hits and the one chosen. One ask for all terms that lookup alone does not settle."""
    system = tools.system(options.kind)
    assert system is not None
    found = [candidates(term, tools, language, system, options.k, on, sex=sex) for term in terms]
    open_terms = [i for i, hits in enumerate(found) if options.ask_model and hits and hits[0].score < options.sure]
    orders = {i: shuffled(len(found[i]), terms[i].name) for i in open_terms}
    questions = [question(terms[i], found[i], orders[i], tools, language, options.kind) for i in open_terms]
    answers: dict[int, Choice] = {}
    if questions:
        prompts = tools.prompts(language)
        context = Context(prompts("standardise", "context"), prompts("shared", "system"))
        replies = yield Choose(context, questions)
        answers = dict(zip(open_terms, replies, strict=True))
    return [
        settle(term, hits, answers.get(i), orders.get(i, ()), options)
        for i, (term, hits) in enumerate(zip(terms, found, strict=True))
    ]


def candidates(
    term: Term, tools: Tools, language: str, system: System, k: int, on: dt.date | None, *, sex: str = UNKNOWN
) -> tuple[Hit, ...]:
    """Up to ``k`` assignable entries of ``system`` for all wordings of a term, valid on the date and for the patient's
    sex, best first; of equally good ones that of the wording named first."""
    best: dict[str, tuple[Hit, int]] = {}
    for wordings, weight in ((term.wordings(language), 1.0), (term.looser(language), LOOSER)):
        if max((hit.score for hit, _ in best.values()), default=0.0) >= AS_WRITTEN:
            break
        for place, (wording, lang) in enumerate(wordings):
            for hit in tools.lookup.search(wording, kind=system.kind, lang=lang, k=k, system=system, billable=True):
                score = round(hit.score * weight, 4)
                if hit.code not in best or score > best[hit.code][0].score:
                    best[hit.code] = (hit if weight == 1 else replace(hit, score=score), place)
    order = sorted(best.values(), key=lambda found: (-found[0].score, found[1], found[0].code))
    valid = [hit for hit, _ in order if on is None or tools.book.is_valid(system, hit.code, on)]
    other = OTHER_SEX.get(sex)
    return tuple(hit for hit in valid if other is None or other not in tools.book.edits(system, hit.code, on))[:k]


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
    """The lettered question for one term; "none" is the last letter."""
    prompts = tools.prompts(language)
    names = [hits[i].name for i in order] + [prompts("standardise", "none")]
    lines = "\n".join(f"{letter}. {name}" for letter, name in zip(LETTERS, names, strict=False))
    text = prompts(
        "standardise",
        "question",
        kind=prompts("standardise", kind.value),
        options=lines,
        sentence=term.sentence or term.name,
        mention=term.mentions[0].span.quote if term.mentions else term.name,
    )
    return Question(text, LETTERS[: len(names)])


def settle(
    term: Term, hits: Sequence[Hit], answer: Choice | None, order: Sequence[int], options: StandardiseOptions
) -> Chosen:
    """Lookup score and model log-probability added up; the best wins, or none."""
    if not hits:
        return Chosen(term, (), None, 0.0, False)
    scores = [options.sharpness * hit.score for hit in hits]
    if answer is None:
        probabilities = softmax([*scores, options.sharpness * options.none_score])
        return Chosen(term, tuple(hits), hits[0], probabilities[0], False)
    for place, index in enumerate(order):
        scores[index] += options.model_weight * answer.logprobs[place]
    none = options.sharpness * options.none_score + options.model_weight * answer.logprobs[len(order)]
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
