"""Examples for *standardise*: a wording, its candidates in a drawn order, and the letter of the right one.

The lookup proposes as it does at inference, with the wordings of the other folds where aliases are used, so no
candidate list knows its own answer. Held-out examples keep the step's own order and whatever the lookup found; in
training letters are drawn afresh, the right candidate is put in for some wordings that the lookup missed and taken
away for some that it found, so that "none of these" is learnt as an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jointcoder.codebook.analysis import level
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.lookup.aliases import Alias
from jointcoder.codebook.model import Hit
from jointcoder.finetune.asking import Desk, spans_of
from jointcoder.finetune.examples import Example
from jointcoder.finetune.sources import Case, Source, Wording
from jointcoder.records import Kind, Mention, Span
from jointcoder.steps.common import sentence_around
from jointcoder.steps.runon import listed
from jointcoder.steps.standardise import StandardiseOptions, Term, candidates, question, shuffled

FEWEST = 4  # candidates of a shortened list
MARGIN = 0.05  # of lookup score: a right first candidate with less of it was nearly wrong


@dataclass(frozen=True, slots=True)
class Named:
    """A wording with the codes that are right for it."""

    id: str
    group: str
    term: Term
    language: str
    codes: frozenset[str]


def named(source: Source, desk: Desk) -> list[Named]:
    """The wordings of a source: spans of its encounters, or its term pairs."""
    found = [item for case in source.cases for item in _of_case(case, desk)]
    found += [item for wording in source.wordings for item in _of_wording(wording, desk)]
    return found


def _of_case(case: Case, desk: Desk) -> Iterator[Named]:
    """One term a different wording, with every code it was given in this encounter."""
    system, kind = desk.system(), desk.kind
    assert kind is not None
    codes: dict[str, set[str]] = {}
    first: dict[str, Span] = {}
    for gold in case.gold:
        if gold.system != system:
            continue
        for span in spans_of(gold, case):
            key = " ".join(span.quote.casefold().split())
            codes.setdefault(key, set()).add(gold.code)
            first.setdefault(key, span)
    for key, span in first.items():
        mention = Mention(id="t", kind=kind, span=span, name=span.quote)
        sentence = sentence_around(span, case.encounter.documents) if case.encounter else ""
        yield Named(
            f"{case.id}:{key}", case.id, Term(span.quote, (mention,), sentence), case.language, frozenset(codes[key])
        )


def _of_wording(wording: Wording, desk: Desk) -> Iterator[Named]:
    """The items of a wording, as ``Coder.normalise`` would ask about them; each has the codes of the whole."""
    if wording.kind is not desk.kind or not any(wording.codes):
        return
    places = listed(wording.text, wording.language, desk.tools, desk.system())
    items = [wording.text[start:end] for start, end in places] or [wording.text]
    codes = frozenset(code for code in wording.codes if code)
    for number, item in enumerate(items):
        yield Named(f"{wording.id}:{number}", level(wording.text), bare(item, wording.kind), wording.language, codes)


def bare(text: str, kind: Kind) -> Term:
    """A wording without surroundings."""
    span = Span(document=0, start=0, end=len(text), quote=text)
    return Term(text, (Mention(id="t", kind=kind, span=span, name=text, source="term"),))


def aliases(items: Sequence[Named]) -> list[Alias]:
    """What the lookup may learn from other folds: wordings with exactly one code."""
    seen: dict[tuple[str, str], int] = {}
    total: dict[str, int] = {}
    for item in items:
        text = item.term.name
        total[text] = total.get(text, 0) + 1
        if len(item.codes) == 1:
            (code,) = item.codes
            seen[text, code] = seen.get((text, code), 0) + 1
    return [Alias(text, code, weight=count / total[text], count=count) for (text, code), count in seen.items()]


def choice(item: Named, desk: Desk, *, training: bool) -> Example | None:
    """The example of one wording, or None where there is nothing to choose or more than one candidate is right."""
    system, options = desk.system(), desk.options
    hits = list(candidates(item.term, desk.tools, item.language, system, options.k, None))
    right = _right(item, hits, desk)
    if len(right) > 1 or not hits:
        return None
    chance = desk.chance(item.id)
    place = right[0] if right else None
    hard = place != 0 or (len(hits) > 1 and hits[0].score - hits[1].score < MARGIN)
    facts = {"rank": place, "top": round(hits[0].score, 4), "hard": hard, "codes": sorted(item.codes)}
    if training and place is None and chance.random() < options.inject:
        entry = next(
            (e for code in sorted(item.codes) for e in [desk.tools.book.get(system, code)] if e and e.billable), None
        )
        if entry is not None:
            last = hits[-1]
            hit = Hit(system, entry.code, entry.name, entry.name, last.lang, last.score, ("injected",))
            hits = [*hits[:-1], hit] if len(hits) >= options.k else [*hits, hit]
            place = len(hits) - 1
    elif training and place is not None and len(hits) > 2 and chance.random() < options.none_share:
        del hits[place]
        place = None
    if training:  # lists of several lengths, for the adapter should not learn one
        hits = hits[: max(chance.randint(FEWEST, max(FEWEST, options.k)), (place or 0) + 1)]
    order = shuffled(len(hits), item.term.name)
    if training:
        drawn = list(range(len(hits)))
        chance.shuffle(drawn)
        order = tuple(drawn)
    asked = question(item.term, hits, order, desk.tools, item.language, system.kind)
    prompts = desk.tools.prompts(item.language)
    defaults = StandardiseOptions(kind=system.kind)
    scores = [hits[i].score for i in order] + [defaults.none_score]
    return Example(
        id=item.id,
        group=item.group,
        agent=desk.agent,
        language=item.language,
        system=prompts("shared", "system"),
        context=prompts("standardise", "context"),
        question=asked.text,
        options=asked.options,
        answer=asked.options[len(hits) if place is None else order.index(place)],
        prior=tuple(round(defaults.sharpness * score, 4) for score in scores),
        facts=facts,
    )


def _right(item: Named, hits: Sequence[Hit], desk: Desk) -> list[int]:
    """Places of the right candidates; a heading in the data stands for the codes below it."""
    wanted = {normalise_code(code) for code in item.codes}
    exact = [place for place, hit in enumerate(hits) if normalise_code(hit.code) in wanted]
    if exact:
        return exact
    book, system = desk.tools.book, desk.system()
    headings = tuple(normalise_code(code) for code in item.codes if not book.is_billable(system, code))
    return [place for place, hit in enumerate(hits) if headings and normalise_code(hit.code).startswith(headings)]
