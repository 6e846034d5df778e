"""Examples for *extract* and *mine*: a part of the record, and the wordings in it as the step's JSON asks for them.

The step writes the prompt and the schema; the answer holds the marked wordings of that part, in order of the text,
each once, with the code book's name beside it where the step asks for one. For *mine* some of the encounter's
procedures are told as listed, the others are the answer. Needs spans: codes alone do not say which words they rest on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jointcoder.finetune.asking import Desk, asks_of, read_state, spans_of
from jointcoder.finetune.examples import Example
from jointcoder.finetune.sources import Case
from jointcoder.records import Kind, Mention, Section, Span, System
from jointcoder.steps.base import Generate, State
from jointcoder.steps.common import step_data
from jointcoder.steps.extract import FIELDS, Extract, ExtractOptions
from jointcoder.steps.mine import Mine, MineOptions
from jointcoder.steps.told import told_procedures

Marked = tuple[Kind, Span, str]  # what, where, and its official name


def marked(case: Case, desk: Desk) -> list[Marked]:
    """The marked wordings of an encounter that the desk's systems code, in order of the text."""
    found: list[Marked] = []
    for gold in case.gold:
        kind = System(gold.system).kind
        if desk.tools.system(kind) != gold.system:
            continue
        name = desk.name(gold, case.language)
        found += [(kind, span, name or span.quote) for span in spans_of(gold, case, longest=120)]
    return sorted(found, key=lambda one: (one[1].document, one[1].start, one[1].end))


def extracted(case: Case, desk: Desk) -> Iterator[Example]:
    """What extract asks of the model about one encounter, a part at a time."""
    wordings = marked(case, desk) if case.encounter is not None else []
    if not wordings:
        return
    state = read_state(case, desk.tools)
    step = Extract(ExtractOptions(sources=("model",), trust_lists=False, conclusions=False))
    yield from _answered(step.run(state, desk.tools), wordings, state, case, desk)


def mined(case: Case, desk: Desk) -> Iterator[Example]:
    """What mine asks: procedures beside those that are listed, which are a drawn half of the encounter's."""
    wordings = [one for one in marked(case, desk) if one[0] is Kind.PROCEDURE] if case.encounter is not None else []
    quotes = list(dict.fromkeys(span.quote for _, span, _ in wordings))
    if len(quotes) < 2:
        return
    chance = desk.chance(case.id)
    listed = set(chance.sample(quotes, len(quotes) // 2))
    mentions = tuple(
        Mention(id=f"p{span.document}:{span.start}", kind=kind, span=span, name=span.quote, source="list")
        for kind, span, _ in wordings
        if span.quote in listed
    )
    state = replace(_narrative(read_state(case, desk.tools)), mentions=mentions)
    told = [mention.span for mention in told_procedures(state, desk.tools).mentions]  # the prompt names them as known
    rest = [one for one in wordings if one[1].quote not in listed and not any(_share(one[1], span) for span in told)]
    yield from _answered(Mine(MineOptions()).run(state, desk.tools), rest, state, case, desk)


def _share(one: Span, other: Span) -> bool:
    return one.document == other.document and one.start < other.end and other.start < one.end


def _narrative(state: State) -> State:
    """The state, its documents taken for the course of the stay where no section is one: a case report is."""
    names = list(step_data("mine")["sections"])
    if any(section.name in names for section in state.sections):
        return state
    documents = state.encounter.documents
    told = tuple(
        Section(name="hospital_course", document=number, start=0, end=len(document.text))
        for number, document in enumerate(documents)
    )
    return replace(state, sections=told)


def _answered(run: Any, wordings: Sequence[Marked], state: State, case: Case, desk: Desk) -> Iterator[Example]:
    number = 0
    for ask in asks_of(run):
        if not isinstance(ask, Generate) or ask.schema is None:
            continue
        for prompt in ask.prompts:
            yield Example(
                id=f"{case.id}:{number}",
                group=case.id,
                agent=desk.agent,
                language=state.language,
                system=prompt.context.system,
                context=prompt.context.text,
                question=prompt.instruction,
                answer=json.dumps(_answer(prompt.context.text, wordings, ask.schema), ensure_ascii=False),
            )
            number += 1


def _answer(text: str, wordings: Sequence[Marked], schema: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The wordings that stand in this part, as the schema wants them and no more than it allows."""
    answer: dict[str, list[Any]] = {}
    for field, wanted in schema["properties"].items():
        kind = next(kind for kind, name in FIELDS.items() if name == field)
        quotes: dict[str, str] = {}
        for other, span, name in wordings:
            if other is kind and span.quote in text:
                quotes.setdefault(span.quote, name)
        pairs = list(quotes.items())[: wanted["maxItems"]]
        named = wanted["items"]["type"] == "object"
        answer[field] = [{"quote": quote, "name": name} if named else quote for quote, name in pairs]
    return answer
