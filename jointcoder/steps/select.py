"""select: for each wording the entry it means, chosen among its candidates, or none.

The *re-rank* of retrieve-and-rank (Kwan 2024: the model re-ranks what retrieval found and takes the first) and, with
``notes``, the *verify* of Code Like Humans (Motzfeldt and Edin 2025: entries are picked in view of the notes that the
tabular list prints for their branch). Lookup score and log-probability are added up as in *standardise*. Draft codes
come from candidates only.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from jointcoder.codebook.model import Hit
from jointcoder.llm.base import Choice, Context
from jointcoder.records import AssignedCode, Candidate, Kind
from jointcoder.steps import base
from jointcoder.steps.base import CANDIDATE_SLOTS, CODE_SLOTS, Choose, Run, State, Tools, Update
from jointcoder.steps.both import KindsOptions, KindsStep
from jointcoder.steps.choosing import MOST, Lettered, lettered, mean_logprobs, with_preface
from jointcoder.steps.common import chunk_of, ranked, record_context, sentence_around
from jointcoder.steps.literals import without_literals
from jointcoder.steps.prompting import Prompts
from jointcoder.steps.sought import Sought, draft, merged, terms_of
from jointcoder.steps.standardise import StandardiseOptions, Term, settle
from jointcoder.steps.taught import Answered

Text = Callable[[str, str, str], str]  # (wording, its sentence, option lines) → question
NOTES = {"includes": ("inclusion_terms", "includes"), "excludes": ("excludes1",)}
NOTE_LENGTH = 90  # characters of the notes shown beside one entry


class SelectOptions(KindsOptions):
    """``ask_model``: the model chooses; without it the best candidate is taken; ``sure``: score of the best candidate
    from which the model is not asked; ``shown``: candidates among which it chooses; ``notes``: whether the tabular
    notes stand beside them; ``record``: whether the question follows the part of the record, or the sentence alone;
    ``sharpness``: how fast the candidates' scores count; ``model_weight``: how much a unit of log-probability counts;
    ``none_score``: the score that "none of these" stands for."""

    ask_model: bool = True
    sure: float = Field(default=1.01, ge=0, le=1.01)
    shown: int = Field(default=10, ge=2, le=MOST - 1)
    notes: bool = False
    record: bool = False
    sharpness: float = Field(default=8.0, ge=0, le=50)
    model_weight: float = Field(default=0.7, ge=0, le=5)
    none_score: float = Field(default=0.3, ge=0, le=1)

    def weights(self, kind: Kind) -> StandardiseOptions:
        """The same weights in the form that *standardise* settles by."""
        return StandardiseOptions(
            kind=kind, sharpness=self.sharpness, model_weight=self.model_weight, none_score=self.none_score
        )


@dataclass(frozen=True)
class Picked:
    """What a term became: the hit and the probability of the choice, or no hit; ``asked``: by the model."""

    term: Sought
    hit: Hit | None
    probability: float
    asked: bool


class Select(KindsStep):
    """Candidates → drafts."""

    name: ClassVar[str] = "select"
    purpose: ClassVar[str] = "for each wording the entry it means, among its candidates, or none"
    Options: ClassVar[type[base.StepOptions]] = SelectOptions
    options: SelectOptions

    @property
    def reads(self) -> frozenset[str]:
        shared = frozenset({"encounter", "language", "sections", "chunks", "mentions"})
        return shared | self.slots(CANDIDATE_SLOTS)

    @property
    def writes(self) -> frozenset[str]:
        return self.slots()

    @property
    def asks(self) -> bool:
        return self.options.ask_model

    def run(self, state: State, tools: Tools) -> Run:
        prompts = tools.prompts(state.language)
        values: dict[str, tuple[AssignedCode, ...]] = {}
        terms = asked = 0
        for kind in self.coded(tools):

            def text(wording: str, sentence: str, lines: str, kind: Kind = kind) -> str:
                named = prompts("standardise", kind.value)
                return prompts("select", "question", kind=named, options=lines, sentence=sentence, mention=wording)

            picked = yield from ask_candidates(
                state,
                tools,
                kind,
                text,
                notes=self.options.record,
                shown=self.options.shown,
                ask_model=self.options.ask_model,
                sure=self.options.sure,
                printed=self.options.notes,
                weights=self.options.weights(kind),
            )
            values[CODE_SLOTS[kind]] = ranked(chosen_drafts(picked, state, tools, step=self.name))
            terms += len(picked)
            asked += sum(one.asked for one in picked)
        return Update(values, notes={"terms": terms, "asked": asked})


def ask_candidates(
    state: State,
    tools: Tools,
    kind: Kind,
    text: Text,
    *,
    notes: bool,
    preface: str = "",
    times: int = 1,
    shown: int = 10,
    ask_model: bool = True,
    sure: float = 1.01,
    printed: bool = False,
    weights: StandardiseOptions | None = None,
) -> Generator[Choose, list[Any], list[Picked]]:
    """For each term with candidates of this kind its pick. ``notes``: questions follow the part of the record in which
    the term stands; ``preface``: what stands before all questions; ``times``: asked so often, each time with the
    options in another order, and averaged; ``printed``: tabular notes beside the names."""
    groups = candidates_by_term(state, tools, kind)
    weights = weights or StandardiseOptions(kind=kind)
    asked = [i for i, (_, found) in enumerate(groups) if ask_model and found[0].score < sure]
    logprobs: dict[int, list[tuple[float, ...]]] = {i: [] for i in asked}
    for turn in range(times):
        for context, members in _contexts(groups, asked, state, tools, notes).items():
            put = {i: _lettered(*groups[i], state, tools, text, shown, turn, printed) for i in members}
            answers: list[Choice] = yield Choose(with_preface(context, preface), [one.question for one in put.values()])
            for (i, one), choice in zip(put.items(), answers, strict=True):
                logprobs[i].append(one.logprobs(choice))
    picked = []
    for i, (term, found) in enumerate(groups):
        hits = [_hit(candidate, state) for candidate in (found[:shown] if i in logprobs else found)]
        answer = None
        if logprobs.get(i):
            *own, none = mean_logprobs(logprobs[i])
            answer = Answered(tuple(own), none)
        chosen = settle(Term(term.wording, term.mentions), hits, answer, weights)
        picked.append(Picked(term, chosen.hit, chosen.probability, answer is not None))
    return picked


def candidates_by_term(state: State, tools: Tools, kind: Kind) -> list[tuple[Sought, list[Candidate]]]:
    """The candidates of a kind by the term that they belong to, best first, terms in their order."""
    terms = terms_of(state, tools, (kind,))
    groups: dict[str, tuple[Sought, dict[str, Candidate]]] = {}
    for candidate in getattr(state, CANDIDATE_SLOTS[kind]):
        term = terms.get(candidate.mention)
        if term is None:  # of a mention that a later step took away
            continue
        _, codes = groups.setdefault(term.id, (term, {}))
        if candidate.code not in codes or candidate.score > codes[candidate.code].score:
            codes[candidate.code] = candidate
    return [(term, sorted(codes.values(), key=lambda c: (-c.score, c.code))) for term, codes in groups.values()]


def chosen_drafts(picked: Sequence[Picked], state: State, tools: Tools, *, step: str) -> list[AssignedCode]:
    """The picks as drafts, equal codes joined."""
    return merged(
        draft(one.term, one.hit, state, tools, probability=one.probability, step=step)
        for one in picked
        if one.hit is not None
    )


def _contexts(
    groups: Sequence[tuple[Sought, list[Candidate]]], asked: Sequence[int], state: State, tools: Tools, notes: bool
) -> dict[Context, list[int]]:
    """What questions follow → the places of the terms asked about after it."""
    prompts = tools.prompts(state.language)
    found: dict[Context, list[int]] = {}
    for i in asked:
        mentions = groups[i][0].mentions
        if notes:
            number = chunk_of(mentions[0].span, state.chunks) if mentions else 0
            context = record_context(state, state.chunks[number], tools)
        else:
            context = Context(prompts("standardise", "context"), prompts("shared", "system"))
        found.setdefault(context, []).append(i)
    return found


def _lettered(
    term: Sought,
    found: Sequence[Candidate],
    state: State,
    tools: Tools,
    text: Text,
    shown: int,
    turn: int,
    printed: bool,
) -> Lettered:
    documents, prompts = state.encounter.documents, tools.prompts(state.language)
    sentence = sentence_around(term.mentions[0].span, documents) if term.mentions else term.wording
    names = [_with_notes(one, tools, prompts) if printed else one.name for one in found[:shown]]
    none = prompts("standardise", "none")
    seed = f"{term.wording}\n{turn}" if turn else term.wording
    return lettered(names, lambda lines: text(term.wording, sentence, lines), seed=seed, last=[none])


def _with_notes(candidate: Candidate, tools: Tools, prompts: Prompts) -> str:
    """The entry's name with what the tabular list prints to it and its headings, codes left out."""
    notes = tools.book.notes(candidate.system, candidate.code, inherited=True)
    said = []
    for label, kinds in NOTES.items():
        lines = [without_literals(note.text) for kind in kinds for note in getattr(notes, kind)]
        if text := "; ".join(dict.fromkeys(line for line in lines if line)):
            said.append(prompts("select", label, text=text[:NOTE_LENGTH]))
    return f"{candidate.name} [{' '.join(said)}]" if said else candidate.name


def _hit(candidate: Candidate, state: State) -> Hit:
    return Hit(
        candidate.system,
        candidate.code,
        candidate.name,
        candidate.name,
        state.language,
        candidate.score,
        candidate.sources,
    )
