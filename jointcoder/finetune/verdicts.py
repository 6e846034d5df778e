"""Examples for *validate*: a draft code with its evidence, and whether a coder would have kept it.

Drafts come from where they come from at inference: what a pack that never saw the encounter is unsure of. Without such
a pack: wordings that coders have coded in other encounters, found again in this one (out of fold, with the share of
times they were right there as the prior); the marked evidence itself; what the lookup proposes for the same words (near
misses); wordings of the code book where a corpus marks no evidence; and the drafts that coders turned down. A draft is
right if the encounter has the code. The question is the step's own.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jointcoder.codebook.codes import normalise_code
from jointcoder.corpora.base import GoldCode
from jointcoder.finetune.asking import Desk, asks_of, fold_of, read_state, spans_of
from jointcoder.finetune.examples import Example
from jointcoder.finetune.sources import Case, Unseen
from jointcoder.packs.mentions.part import logit
from jointcoder.records import AssignedCode, Span, System
from jointcoder.steps.base import CODE_SLOTS, Choose, State, Update
from jointcoder.steps.validate import Validate, ValidateOptions

TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W_]+")
LONGEST = 8  # words, or Chinese characters, of a wording that is looked for
LEAST = 0.08  # share of times a wording was right below which it is no draft
SURE = (0.1, 0.8)  # outside: not unsure, so not a hard example
BAND = (0.1, 0.9)  # probability within which a pack is taken for unsure
NEAR_MISSES = 2  # of the lookup, for one wording
SMOOTHING = 1.0

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A code that might be right, the words it rests on, and what is known of it without the model."""

    system: System
    code: str
    name: str
    span: Span
    right: bool
    origin: str
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A known wording in a text."""

    words: Words
    span: Span


def words_of(text: str) -> list[tuple[str, int, int]]:
    """Words in small letters without accents, with their places."""
    found = []
    for match in TOKEN.finditer(text):
        plain = unicodedata.normalize("NFD", match[0].casefold())
        found.append(("".join(c for c in plain if not unicodedata.combining(c)), match.start(), match.end()))
    return found


class History:
    """The wordings of coded encounters: how often each occurred, and how often with which code, by fold."""

    def __init__(self, cases: Sequence[Case], system: System, desk: Desk) -> None:
        self._options = desk.options
        self._given: dict[tuple[Words, str], Counter[int]] = defaultdict(Counter)  # marked so, by fold
        self._seen: dict[Words, Counter[int]] = defaultdict(Counter)
        self._right: dict[tuple[Words, str], Counter[int]] = defaultdict(Counter)
        self._codes: dict[Words, set[str]] = defaultdict(set)
        self.labels = {normalise_code(gold.code) for case in cases for gold in case.gold if gold.system == system}
        for case in cases:
            fold = fold_of(case.id, desk.options)
            for gold in case.gold:
                if gold.system != system:
                    continue
                for span in spans_of(gold, case):
                    words = tuple(word for word, *_ in words_of(span.quote))
                    if 0 < len(words) <= LONGEST:
                        self._given[words, gold.code][fold] += 1
                        self._codes[words].add(gold.code)
        for case in cases:
            fold = fold_of(case.id, desk.options)
            codes = {gold.code for gold in case.gold if gold.system == system}
            for words in {found.words for found in self.occurrences(case)}:
                self._seen[words][fold] += 1
                for code in self._codes[words] & codes:
                    self._right[words, code][fold] += 1

    def occurrences(self, case: Case) -> Iterator[Found]:
        """Known wordings in an encounter, the longest at each place."""
        for number, document in enumerate(case.encounter.documents if case.encounter else ()):
            words = words_of(document.text)
            at = 0
            while at < len(words):
                for length in range(min(LONGEST, len(words) - at), 0, -1):
                    key = tuple(word for word, *_ in words[at : at + length])
                    if key in self._codes:
                        start, end = words[at][1], words[at + length - 1][2]
                        span = Span(document=number, start=start, end=end, quote=document.text[start:end])
                        yield Found(key, span)
                        at += length - 1
                        break
                at += 1

    def proposals(self, case: Case, *, held_out: bool) -> dict[str, tuple[float, Span]]:
        """Code → how often its wording was right elsewhere, and the place. ``held_out``: the case is not among those
        counted; else its own fold is left out."""
        own = None if held_out else fold_of(case.id, self._options)
        best: dict[str, tuple[float, Span]] = {}
        for found in self.occurrences(case):
            for code in self._codes[found.words]:
                if not _without(self._given[found.words, code], own):
                    continue
                right = _without(self._right.get((found.words, code), Counter()), own)
                share = (right + SMOOTHING / 2) / (_without(self._seen[found.words], own) + SMOOTHING)
                if share >= LEAST and share > best.get(code, (0.0, None))[0]:
                    best[code] = (share, found.span)
        return best


def _without(counts: Counter[int], fold: int | None) -> int:
    return sum(count for number, count in counts.items() if number != fold)


def drafts(case: Case, history: History, desk: Desk, *, held_out: bool) -> list[Draft]:
    """Drafts for one encounter, a code at most once a place of evidence. Where labels come from a closed set, a code
    outside it is unlabelled, not wrong, and no draft."""
    system = desk.system()
    right = {normalise_code(gold.code) for gold in case.gold if gold.system == system}
    proposed = history.proposals(case, held_out=held_out)
    found: list[Draft] = []

    def add(code: str, span: Span, origin: str, *, name: str = "", probability: float | None = None) -> None:
        name = desk.name(GoldCode(system, code, name=name), case.language) or ""
        if name:
            found.append(Draft(system, code, name, span, normalise_code(code) in right, origin, probability))

    for code, (share, span) in sorted(proposed.items()):
        add(code, span, "history", probability=share)
    marked = [(gold, spans_of(gold, case)) for gold in case.gold if gold.system == system]
    for gold, spans in marked:
        if spans and gold.code not in proposed:
            add(gold.code, spans[0], "marked", name=gold.name)
    for gold in case.rejected:
        if gold.system == system and (spans := spans_of(gold, case)):
            add(gold.code, spans[0], "rejected", name=gold.name)
    if any(spans for _, spans in marked):
        found += _near_misses([span for _, spans in marked for span in spans[:1]], right, case, desk)
    elif case.encounter is not None:
        spotted_codes: set[str] = set()
        for number, document in enumerate(case.encounter.documents):
            for spotted in desk.tools.lookup.spot(document.text, case.language, kinds=[system.kind]):
                span = Span(
                    document=number,
                    start=spotted.start,
                    end=spotted.end,
                    quote=document.text[spotted.start : spotted.end],
                )
                code = spotted.hits[0].code if spotted.hits and spotted.hits[0].system == system else ""
                if code and code not in spotted_codes:
                    spotted_codes.add(code)
                    add(code, span, "book")
    return [draft for draft in found if not case.closed or normalise_code(draft.code) in history.labels]


def doubts(case: Case, said: Sequence[Unseen], desk: Desk) -> list[Draft]:
    """The codes of which a pack that never saw the encounter is unsure, as it would ask about them."""
    system = desk.system()
    found = []
    for one in said:
        name = desk.name(GoldCode(system, one.code), case.language) if one.system == system else None
        if name and one.spans and case.encounter is not None and BAND[0] <= one.probability <= BAND[1]:
            number, start, end = one.spans[0]
            quote = case.encounter.documents[number].text[start:end]
            span = Span(document=number, start=start, end=end, quote=quote)
            found.append(Draft(system, one.code, name, span, one.right, "doubt", one.probability))
    return found


def _near_misses(spans: Sequence[Span], right: set[str], case: Case, desk: Desk) -> Iterator[Draft]:
    """Codes that the lookup proposes for a marked wording and that the encounter does not have, for some of them."""
    system = desk.system()
    chance = desk.chance(case.id, "near")
    for span in spans:
        if chance.random() >= desk.options.negatives / 2:
            continue
        hits = desk.tools.lookup.search(
            span.quote, kind=system.kind, lang=case.language, k=NEAR_MISSES, system=system, billable=True
        )
        for hit in hits[:1] if chance.random() < 0.7 else hits[1:2]:
            if normalise_code(hit.code) not in right:
                name = desk.tools.book.name(system, hit.code, case.language) or hit.name
                yield Draft(system, hit.code, name, span, False, "near")


def verdicts(
    case: Case, history: History | Mapping[str, Sequence[Unseen]], desk: Desk, *, held_out: bool
) -> Iterator[Example]:
    """The examples of one encounter: as many wrong drafts as ``negatives`` allows, those of history first; or, where a
    pack's own doubts are given instead of history, all of these."""
    if case.encounter is None:
        return
    if not isinstance(history, History):
        state = read_state(case, desk.tools)
        for draft in doubts(case, history.get(case.id, ()), desk):
            yield _verdict(draft, case, state, desk)
        return
    found = drafts(case, history, desk, held_out=held_out)
    right = [draft for draft in found if draft.right]
    wrong = sorted((d for d in found if not d.right), key=lambda draft: draft.origin not in ("history", "rejected"))
    if not held_out:
        wrong = wrong[: max(1, round(desk.options.negatives * len(right)))]
    state = read_state(case, desk.tools)
    seen: set[str] = set()
    for draft in [*right, *wrong]:
        example = _verdict(draft, case, state, desk)
        if example.id not in seen:  # two ways may lead to one draft
            seen.add(example.id)
            yield example


def _verdict(draft: Draft, case: Case, state: State, desk: Desk) -> Example:
    kind = draft.system.kind
    options = ValidateOptions(kind=kind, sentences=desk.options.sentences)
    code = AssignedCode(
        system=draft.system,
        code=draft.code,
        name=draft.name,
        confidence=options.keep,
        evidence=(draft.span,),
        mentions=("m",),
    )
    asked = asks_of(Validate(options).run(state.updated(Update({CODE_SLOTS[kind]: (code,)})), desk.tools))[0]
    assert isinstance(asked, Choose)
    question = asked.questions[0]
    p = draft.probability
    prior = (round(logit(p), 4), 0.0) if p is not None else (0.0, 0.0)
    return Example(
        id=f"{case.id}:{draft.code}:{draft.span.document}.{draft.span.start}",
        group=case.id,
        agent=desk.agent,
        language=state.language,
        system=asked.context.system,
        context=asked.context.text,
        question=question.text,
        options=question.options,
        answer=question.options[0 if draft.right else 1],
        prior=prior,
        facts={
            "system": draft.system.value,
            "code": draft.code,
            "origin": draft.origin,
            "p": p,
            "hard": _unsure(draft),
        },
    )


def _unsure(draft: Draft) -> bool:
    """Whether what is known without the model leaves the draft open."""
    if draft.probability is None:
        return draft.origin == "rejected"
    return SURE[0] <= draft.probability <= SURE[1]


def shares(examples: Sequence[Example]) -> Mapping[str, int]:
    """Examples by where their draft came from and whether it is right."""
    return Counter(f"{e.facts['origin']}, {'right' if e.right == 0 else 'wrong'}" for e in examples)
