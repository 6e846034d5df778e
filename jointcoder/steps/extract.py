"""extract: conditions and procedures as the text words them, with spans and assertion. Second of the flow.

Four sources, each of which can be switched off: *list* (the items of a discharge-diagnosis or operation section),
*problem* (the headings under which an assessment is ordered, and their parts), *model* (copies wordings chunk by chunk;
its copies are re-found in the original and dropped when they are not there), *dictionary* (code-book wordings found in
the text). Assigns no codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from jointcoder.llm.base import Generation, Prompt
from jointcoder.records import Flag, Kind, Mention, Section, Span
from jointcoder.steps import base, confidence, runon
from jointcoder.steps.base import Generate, Run, State, Tools, Update
from jointcoder.steps.common import find_span, record_context, span_at, step_data
from jointcoder.text.assertion import FINDINGS, assert_spans
from jointcoder.text.chunks import Chunk
from jointcoder.text.problems import problem_headings, problem_parts
from jointcoder.text.sections import section_kind
from jointcoder.text.told import CUES, tells

Source = Literal["list", "problem", "model", "dictionary"]
FIELDS = {Kind.DIAGNOSIS: "diagnoses", Kind.PROCEDURE: "procedures"}


class ExtractOptions(base.StepOptions):
    """Which sources are used, and how much the model may write.

    ``trust_lists``: a kind that the record itself lists is not searched for elsewhere (0.8 % of diagnoses are missing
    from discharge lists; procedures told elsewhere are mined). ``conclusions``: where the record has assessment or
    discharge sections, the model reads those for diagnoses. ``max_items``: of each kind, per part of the record.
    ``verbatim``: the model's quotes are held to the record's text as it writes them (a model server's answer with other
    words is asked for again, once), instead of being dropped afterwards when they are not found. Off: accuracy with it
    is not measured.
    """

    sources: tuple[Source, ...] = ("list", "problem", "model", "dictionary")
    trust_lists: bool = True
    conclusions: bool = True
    max_items: int = Field(default=16, ge=1, le=60)
    max_tokens: int = Field(default=480, ge=32, le=4096)
    verbatim: bool = False


class Extract(base.Step):
    """Mentions from lists, model and dictionary, merged; assertion by ConText."""

    name: ClassVar[str] = "extract"
    purpose: ClassVar[str] = "conditions and procedures as worded, with spans and assertion"
    Options: ClassVar[type[base.StepOptions]] = ExtractOptions
    options: ExtractOptions
    reads = frozenset({"encounter", "language", "sections", "chunks"})
    writes = frozenset({"mentions"})

    @property
    def asks(self) -> bool:
        return "model" in self.options.sources

    def run(self, state: State, tools: Tools) -> Run:
        kinds = tuple(kind for kind in Kind if tools.system(kind))
        found: list[Mention] = []
        flags: list[Flag] = []
        if "list" in self.options.sources:
            for kind in kinds:
                found += listed(state, kind, tools)
        if self.options.trust_lists:
            kinds = tuple(kind for kind in kinds if not any(m.kind is kind for m in found))
        if "problem" in self.options.sources and Kind.DIAGNOSIS in kinds:
            found += problems(state)
        if "model" in self.options.sources and kinds:
            copied, flags = yield from self._ask_model(state, tools, kinds)
            found += copied
        if "dictionary" in self.options.sources and kinds:
            found += spotted(state, tools, kinds)
        mentions = merge(found)
        notes: dict[str, int] = {source: sum(m.source == source for m in mentions) for source in self.options.sources}
        return Update({"mentions": mentions}, tuple(flags), notes)

    def _ask_model(self, state: State, tools: Tools, kinds: Sequence[Kind]) -> Any:
        """Where the record says itself what counts, its conclusions are read for diagnoses, the whole for the rest."""
        found: list[Mention] = []
        flags: list[Flag] = []
        conclusions = self._conclusions(state, tools) if Kind.DIAGNOSIS in kinds else None
        parts = [(kinds, state.chunks)]
        if conclusions:
            rest = tuple(kind for kind in kinds if kind is not Kind.DIAGNOSIS)
            parts = [((Kind.DIAGNOSIS,), (conclusions,))] + ([(rest, state.chunks)] if rest else [])
        for asked, chunks in parts:
            fields = {FIELDS[kind]: kind for kind in asked}
            named, verbatim = state.language == "es", self.options.verbatim
            schema = list_schema(tuple(fields), self.options.max_items, named=named, verbatim=verbatim)
            instruction = tools.prompts(state.language)("extract", "both" if len(asked) > 1 else next(iter(fields)))
            requests = [Prompt(record_context(state, chunk, tools), instruction) for chunk in chunks]
            answers: list[Generation] = yield Generate(requests, schema, self.options.max_tokens)
            mentions, remarks = copied_mentions(replace(state, chunks=chunks), answers, fields, self.name)
            found += mentions
            flags += remarks
        return found, flags

    def _conclusions(self, state: State, tools: Tools) -> Chunk | None:
        """The assessment, impression or discharge sections as one part, if there are any and they fit."""
        sections = [s for s in state.sections if section_kind(s.name) == confidence.DEFINITIVE]
        if not self.options.conclusions or not sections:
            return None
        pieces = tuple((s.document, s.start, s.end) for s in sections)
        tokens = sum(tools.count_tokens(state.encounter.documents[i].text[a:b]) for i, a, b in pieces)
        return Chunk(pieces, tuple(s.name for s in sections), tokens) if tokens < tools.context_tokens // 3 else None


def list_schema(fields: Sequence[str], max_items: int, *, named: bool, verbatim: bool = False) -> dict[str, Any]:
    """Flat schema of the model's answer: a list a kind, of quotes or of {quote, name} where names are foreign.
    ``verbatim``: the quotes must stand in the request's text."""
    item: dict[str, Any] = {"type": "string"} | ({"x-copy": True} if verbatim else {})
    if named:
        pair = {"quote": item, "name": {"type": "string"}}
        item = {
            "type": "object",
            "properties": pair,
            "required": ["quote", "name"],
            "additionalProperties": False,
        }
    lists = {field: {"type": "array", "items": item, "maxItems": max_items} for field in fields}
    return {"type": "object", "properties": lists, "required": list(fields), "additionalProperties": False}


def copied_mentions(
    state: State, answers: Sequence[Generation], kinds: dict[str, Kind], step: str
) -> tuple[list[Mention], list[Flag]]:
    """The model's quotes as mentions, re-found in the original; what cannot be found is dropped and counted."""
    mentions: list[Mention] = []
    lost = cut = broken = 0
    for chunk, answer in zip(state.chunks, answers, strict=True):
        cut += answer.error == "JC306"
        broken += answer.value is None
        for field, kind in kinds.items():
            seen: set[str] = set()
            for item in (answer.value or {}).get(field, []):
                quote, name = (item, item) if isinstance(item, str) else (item["quote"], item["name"])
                if not quote.strip() or quote in seen:
                    continue
                seen.add(quote)
                span = find_span(quote, chunk, state.encounter.documents)
                if span is None:
                    lost += 1
                    continue
                mentions.append(mention(state, kind, span, name=name.strip() or quote, source="model"))
    flags = []
    if lost:
        flags.append(Flag(code="JC602", step=step, message=f"{lost} wordings not found in the text were dropped"))
    if cut:
        flags.append(Flag(code="JC306", step=step, message=f"{cut} of {len(answers)} answers were cut"))
    if broken:
        flags.append(Flag(code="JC302", step=step, message=f"{broken} of {len(answers)} parts gave no usable answer"))
    return mentions, flags


def listed(state: State, kind: Kind, tools: Tools) -> list[Mention]:
    """The items of the sections that are lists of this kind (the first group that is present), run-together ones
    parted."""
    for group in step_data("extract")["lists"][kind.value]:
        sections = [section for section in state.sections if section.name in group]
        if sections:
            return [m for section in sections for m in _items(state, section, kind, tools)]
    return []


def _items(state: State, section: Section, kind: Kind, tools: Tools) -> Iterator[Mention]:
    text = state.encounter.documents[section.document].text
    start = section.start
    body = text[start : section.end]
    if section.heading and body.startswith(section.heading):
        start += len(section.heading)
        body = text[start : section.end]
    for first, last in runon.listed(body, state.language, tools, tools.system(kind)):
        if any(character.isalnum() for character in body[first:last]):
            span = span_at(state.encounter.documents, section.document, start + first, start + last)
            yield mention(state, kind, span, name=span.quote, source="list")


def problems(state: State) -> list[Mention]:
    """The headings of the assessment, and the parts of those that join several. Where the sections that conclude hold
    none, the plan is read for them: some notes order only that."""
    table = step_data("extract")["problems"]
    for group in table["sections"]:
        found: dict[tuple[int, int, int], Mention] = {}
        for section in state.sections:
            if section.name not in group:
                continue
            text = state.encounter.documents[section.document].text
            start = section.start + len(section.heading) * text.startswith(section.heading, section.start)
            for heading in problem_headings(text, state.language, start=start, end=section.end):
                for first, last in (heading, *problem_parts(text, heading, state.language)):
                    span = span_at(state.encounter.documents, section.document, first, last)
                    named = mention(state, Kind.DIAGNOSIS, span, name=span.quote, source="problem")
                    found[section.document, first, last] = named.model_copy(update={"id": f"{named.id}h"})
        if found:
            return list(found.values())
    return []


def spotted(state: State, tools: Tools, kinds: Sequence[Kind]) -> list[Mention]:
    """Code-book wordings found in the text. Procedures of a language that tells what was done are left to *mine*."""
    kinds = tuple(kind for kind in kinds if kind is Kind.DIAGNOSIS or not tells(state.language))
    found: list[Mention] = []
    if not kinds:
        return found
    skipped = set(step_data("extract")["dictionary"]["skip_kinds"])
    for section in state.sections:
        if section_kind(section.name) in skipped:
            continue
        text = state.encounter.documents[section.document].text[section.start : section.end]
        for hit in tools.lookup.spot(text, state.language, kinds=kinds):
            if not same_word(text[hit.start : hit.end], hit.hits[0].term):
                continue
            span = span_at(
                state.encounter.documents,
                section.document,
                section.start + hit.start,
                section.start + hit.end,
            )
            found.append(mention(state, hit.hits[0].system.kind, span, name=span.quote, source="dictionary"))
    return found


def same_word(quote: str, term: str) -> bool:
    """Whether a single Latin word stands for a wording beyond its stem: *allergies* for "Allergy", not *sinus* for
    "Sinusitis", *burning* for "Burn". Quotes of several words carry enough by themselves."""
    word = quote.casefold()
    if not word.isascii() or not word.isalpha():
        return True
    alike = [w for w in re.findall(r"[a-z]+", term.casefold()) if w[:4] == word[:4]]
    return not alike or any(abs(len(w) - len(word)) <= 2 for w in alike)


def mention(state: State, kind: Kind, span: Span, *, name: str, source: str) -> Mention:
    """A mention with its section and assertion; its id is its place, so the same place has the same id."""
    section = section_at(state.sections, span)
    text = state.encounter.documents[span.document].text
    cues = CUES if kind is Kind.PROCEDURE and tells(state.language) else FINDINGS
    (assertion,) = assert_spans(text, [(span.start, span.end)], lang=state.language, sections=[section], cues=cues)
    identity = f"{'d' if kind is Kind.DIAGNOSIS else 'p'}{span.document}:{span.start}-{span.end}"
    return Mention(id=identity, kind=kind, span=span, name=name, assertion=assertion, section=section, source=source)


def section_at(sections: Sequence[Section], span: Span) -> str:
    """Name of the section in which the span begins."""
    for section in sections:
        if section.document == span.document and section.start <= span.start < section.end:
            return section.name
    return ""


def merge(mentions: Sequence[Mention]) -> tuple[Mention, ...]:
    """One mention a place: of overlapping ones the longer stays, if a list did not name the shorter as an item.
    Headings of problems and their parts are readings of one line, and stay beside what others found there."""
    priority = step_data("extract")["priority"]

    def weight(m: Mention) -> tuple[bool, int, int]:
        return (m.source == "list", m.span.end - m.span.start, priority[m.source])

    layered = [m for m in mentions if m.source == "problem"]
    kept: list[Mention] = []
    for candidate in sorted(
        (m for m in mentions if m.source != "problem"), key=lambda m: (weight(m), m.id), reverse=True
    ):
        if not any(_overlap(candidate, other) for other in kept):
            kept.append(candidate)
    return tuple(sorted([*layered, *kept], key=lambda m: (m.span.document, m.span.start, m.kind, m.id)))


def _overlap(one: Mention, other: Mention) -> bool:
    a, b = one.span, other.span
    return one.kind is other.kind and a.document == b.document and a.start < b.end and b.start < a.end
