"""Whether the rest of the record bears out what its own list of diagnoses says. Part of *reconcile*.

    list: 糖尿病          record: 否认糖尿病, nothing else     JC610, a warning on the code, less confidence
    list, first: 胃癌     record: never named                  JC611

A physician's list is not overruled: nothing is dropped here, a person is shown where to look. Wordings are sought as
listed, without grades in brackets, written out, and by the code book's name. Only for the Chinese code sets, whose
records name their diagnoses word for word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jointcoder.records import Assertion, AssignedCode, Finding, Flag, Mention, Severity, System
from jointcoder.steps.base import State
from jointcoder.steps.common import logit, sigmoid, step_data
from jointcoder.text.assertion import assert_spans
from jointcoder.text.bare import bare, unbracketed
from jointcoder.text.expand import abbreviations, expand
from jointcoder.text.fit import sites
from jointcoder.text.normalise import Normalised, normalise

STEP = "reconcile"
LIST = "list"
LOST = 1.5  # log-odds that a diagnosis loses when the record only denies it
SHORTEST = 2  # characters of a wording that is sought
GRAM = 4  # characters in a row that count as a trace of a wording
DENIED = frozenset({Assertion.NEGATED, Assertion.FAMILY})


@dataclass(frozen=True)
class _Part:
    """A part of a document outside the lists, levelled."""

    document: int
    start: int
    section: str
    text: Normalised


def supported(diagnoses: Sequence[AssignedCode], state: State) -> tuple[list[AssignedCode], tuple[Flag, ...]]:
    """The diagnoses, those that the record only denies marked; and flags for these and for a principal one that nothing
    else names."""
    mentions = {mention.id: mention for mention in state.mentions}
    listed = [code for code in diagnoses if code.system is System.ICD10CN and _listed(code, mentions)]
    parts = _parts(state) if listed else []
    if not parts:
        return list(diagnoses), ()
    wordings = {code.code: _wordings(code, mentions, state.language) for code in listed}
    said = _said(wordings, parts, state)
    denied = [code for code in listed if said[code.code] and said[code.code] <= DENIED]
    flags = []
    if denied:
        names = ", ".join(code.code for code in denied)
        flags.append(Flag(code="JC610", step=STEP, message=f"listed, and only denied elsewhere: {names}"))
    first = diagnoses[0]
    if first in listed and not said[first.code] and not _traced(wordings[first.code], parts, state.language):
        message = f"{first.code} stands in the list of diagnoses only; nothing else in the record names it"
        flags.append(Flag(code="JC611", step=STEP, message=message))
    return [_doubted(code) if code in denied else code for code in diagnoses], tuple(flags)


def _listed(code: AssignedCode, mentions: Mapping[str, Mention]) -> bool:
    return any(mentions[m].source == LIST for m in code.mentions if m in mentions)


def _parts(state: State) -> list[_Part]:
    lists = {name for group in step_data("extract")["lists"]["diagnosis"][:1] for name in group}
    parts = []
    for section in state.sections:
        text = state.encounter.documents[section.document].text[section.start : section.end]
        if section.name not in lists and text.strip():
            parts.append(_Part(section.document, section.start, section.name, normalise(text)))
    return parts


def _wordings(code: AssignedCode, mentions: Mapping[str, Mention], language: str) -> list[str]:
    own = [mentions[m].span.quote for m in code.mentions if m in mentions and mentions[m].source == LIST]
    plain = [form for quote in own for form in (quote, bare(quote, language), unbracketed(bare(quote, language)))]
    written = [form for quote in plain for form in expand(quote, language)]
    spelt = {*plain, *written, code.name}
    short = [row.form for row in abbreviations(language) if row.expansion in spelt and not row.caution]
    levelled = (normalise(form).text.strip() for form in [*plain, *written, code.name, *short])
    return [form for form in dict.fromkeys(levelled) if len(form) >= SHORTEST]


def _said(wordings: Mapping[str, Sequence[str]], parts: Sequence[_Part], state: State) -> dict[str, set[Assertion]]:
    """What the parts say of each code, wherever they name it."""
    found: dict[str, set[Assertion]] = {code: set() for code in wordings}
    for part in parts:
        places = [
            (code, *part.text.original_span(at, at + len(form)))
            for code, forms in wordings.items()
            for form in forms
            for at in _places(form, part.text.text)
        ]
        text = state.encounter.documents[part.document].text[part.start : part.start + part.text.length]
        spans = [(start, end) for _, start, end in places]
        said = assert_spans(text, spans, lang=state.language, sections=[part.section] * len(spans))
        for (code, _, _), assertion in zip(places, said, strict=True):
            found[code].add(assertion)
    return found


def _places(form: str, text: str) -> list[int]:
    places, at = [], text.find(form)
    while at >= 0:
        places.append(at)
        at = text.find(form, at + 1)
    return places


def _traced(wordings: Sequence[str], parts: Sequence[_Part], language: str) -> bool:
    """Whether four characters in a row of a wording stand anywhere, a shorter wording as a whole, or the part of the
    body that it names in two characters or more."""
    grams = {form[i : i + GRAM] for form in wordings for i in range(max(1, len(form) - GRAM + 1))}
    grams |= {site for form in wordings for site in sites(form, language) if len(site) >= SHORTEST}
    return any(gram in part.text.text for gram in grams for part in parts)


def _doubted(code: AssignedCode) -> AssignedCode:
    finding = Finding(
        rule="record.denied",
        severity=Severity.WARNING,
        codes=(code.code,),
        message=f"{code.code} is listed as a diagnosis; the rest of the record only denies it",
        remedy="ask the physician who wrote the list",
    )
    return code.with_(confidence=sigmoid(logit(code.confidence) - LOST), checks=(*code.checks, finding))
