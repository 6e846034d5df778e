"""Lettered and yes/no questions that several components put to the model, and what their answers are worth.

Never an option "0"; options in an order fixed by the wording, so that a letter's pull does not follow the score; a
model's lean towards yes is measured with one question about nothing in particular and taken off (contextual
calibration, Zhao 2021). Components keep their own wordings in ``prompts``; this module holds none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jointcoder.llm.base import Choice, Context, Question
from jointcoder.records import AssignedCode
from jointcoder.steps.base import Choose, State, Tools
from jointcoder.steps.common import chunk_of, record_context, sentence_around
from jointcoder.steps.prompting import LETTERS
from jointcoder.steps.standardise import shuffled
from jointcoder.steps.validate import PLACEHOLDER, by_part
from jointcoder.text.chunks import Chunk

MOST = len(LETTERS)  # options of one question


@dataclass(frozen=True)
class Lettered:
    """A question among named options, and the answer's log-probabilities brought back into their order."""

    question: Question
    order: tuple[int, ...]

    def logprobs(self, choice: Choice) -> tuple[float, ...]:
        """One for each option, in the order in which they were given."""
        by_option = dict(zip(self.order, choice.logprobs, strict=False))
        return tuple(by_option[place] for place in range(len(self.order)))


def lettered(names: Sequence[str], text: Callable[[str], str], *, seed: str, last: Sequence[str] = ()) -> Lettered:
    """``text`` makes the question from its option lines. ``last``: options that stay at the end ("none of these")."""
    order = (*shuffled(len(names), seed), *range(len(names), len(names) + len(last)))
    every = [*names, *last]
    lines = "\n".join(f"{letter}. {every[place]}" for letter, place in zip(LETTERS, order, strict=False))
    return Lettered(Question(text(lines), LETTERS[: len(order)]), order)


@dataclass(frozen=True)
class Judged:
    """An answer about a draft. ``yes``: how far it affirms the draft, 0 to 1; ``baseline``: the same about nothing."""

    choice: Choice
    yes: float
    baseline: float


def ask_about(
    drafts: Sequence[AssignedCode],
    state: State,
    tools: Tools,
    text: Callable[[str, str], str],
    *,
    notes: bool = True,
    preface: str = "",
    options: Sequence[str] | None = None,
    lean: Callable[[Choice], float] | None = None,
) -> Generator[Choose, list[Any], dict[str, Judged]]:
    """Each draft's answer to ``text(name, evidence)``, by code; drafts of one part of the record are asked together.

    ``notes``: after that part of the record, else without it; ``preface``: what stands before all questions.
    ``options``: of the answer, default yes and no. ``lean``: how far an answer affirms, default the probability of the
    first option.
    """
    affirms = lean or (lambda choice: choice.probability(choice.options[0]))
    prompts = tools.prompts(state.language)
    answers = tuple(options or (prompts("shared", "yes"), prompts("shared", "no")))
    parts: list[tuple[Chunk | None, Sequence[AssignedCode]]] = [(None, drafts)]
    if notes:
        parts = [*by_part(drafts, state, None).items()]
    found: dict[str, Judged] = {}
    for part, members in parts:
        if not members:
            continue
        context = record_context(state, part, tools) if part else Context(system=prompts("shared", "system"))
        context = with_preface(context, preface)
        questions = [Question(text(draft.name, evidence_of(draft, state)), answers) for draft in members]
        questions.append(Question(text(PLACEHOLDER, PLACEHOLDER), answers))
        choices: list[Choice] = yield Choose(context, questions)
        baseline = affirms(choices[-1])
        for draft, choice in zip(members, choices, strict=False):
            found[draft.code] = Judged(choice, affirms(choice), baseline)
    return found


def with_preface(context: Context, preface: str) -> Context:
    """The context with words that every question after it shares, so that the engine reads them once."""
    return replace(context, text=f"{context.text}{preface}\n\n") if preface else context


def evidence_of(draft: AssignedCode, state: State) -> str:
    """The sentence around a draft's first evidence on one line; the placeholder where it has none."""
    if not draft.evidence:
        return PLACEHOLDER
    return sentence_around(draft.evidence[0], state.encounter.documents)


def part_of(drafts: Sequence[AssignedCode], state: State) -> Chunk:
    """The part of the record in which the first of the drafts has evidence; the first part where none has."""
    spans = [span for draft in drafts for span in draft.evidence]
    return state.chunks[chunk_of(spans[0], state.chunks) if spans else 0]


def mean_logprobs(choices: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The mean of several log-probabilities of the same options, normalised again."""
    means = [sum(values) / len(values) for values in zip(*choices, strict=True)]
    total = math.log(sum(math.exp(value) for value in means))
    return tuple(value - total for value in means)
