"""How many vessels of the heart were treated and how many stents were put in, as the operation note tells.

    "于前降支植入支架2枚，球囊扩张对角支开口。"     vessels 2 (前降支, 对角支), stents 2

Decides between the companions of coronary procedures (ICD-9-CM-3, 00.40–00.43 and 00.45–00.48: "code also"). A vessel
counts where a clause tells of its treatment, a finding of the angiography does not; a branch is a vessel of its own.
Operation notes are read where there are any, else the course; the passage that tells most counts. Names and verbs are
data of the text room (``procedures.toml``); knows no codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jointcoder.records import Assertion, Span
from jointcoder.steps.base import State
from jointcoder.steps.common import span_at
from jointcoder.steps.course import Told, telling
from jointcoder.text.normalise import normalise
from jointcoder.text.resources import toml
from jointcoder.text.told import done, tells

NOTE = "operation_note"
_CLAUSE = re.compile("[^,，。;；\n]+")


@dataclass(frozen=True)
class Treated:
    """The numbers that a passage tells, 0 where it tells none, and the clauses that tell them."""

    vessels: int = 0
    stents: int = 0
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class _Words:
    vessel: re.Pattern[str]
    row_of: Mapping[str, int]
    treated: re.Pattern[str]
    untreated: re.Pattern[str]
    stented: re.Pattern[str]
    unstented: re.Pattern[str]
    counted: re.Pattern[str]
    sized: re.Pattern[str]
    numbers: Mapping[str, int]


def treated(state: State) -> Treated:
    """What the record tells of treated vessels and stents; nothing for a language without the words."""
    if not tells(state.language):
        return Treated()
    parts = telling(state)
    notes = [part for part in parts if part.passage.name == NOTE]
    told = [_of_passage(part, state) for part in notes]
    if not any(one.vessels or one.stents for one in told):
        told = [_of_passage(part, state) for part in parts]
    return max(told, key=lambda one: (one.stents, one.vessels), default=Treated())


def _of_passage(part: Told, state: State) -> Treated:
    words = _words(state.language)
    documents = state.encounter.documents
    text = documents[part.document].text
    clauses = list(_clauses(text, part.passage.start, part.passage.end))
    said = done(clauses, text, state.language, section=part.passage.name)
    vessels: set[int] = set()
    stents, last = 0, None
    spans: list[Span] = []
    for (start, end), assertion in zip(clauses, said, strict=True):
        plain = normalise(text[start:end]).text
        if assertion is not Assertion.PRESENT or not words.treated.search(plain) or _passes(plain, words):
            continue
        named = [words.row_of[found] for found in words.vessel.findall(plain)]
        last = named[-1] if named else last
        put_in, told = _stents(plain, words)
        stents += put_in if told or named else 0  # the name of an operation tells no number
        vessels |= {*named} or ({last} if last is not None else set())
        if named or put_in:
            spans.append(span_at(documents, part.document, start, end))
    return Treated(len(vessels), stents, tuple(spans[:2]))


def _passes(clause: str, words: _Words) -> bool:
    """Whether the clause tells a finding rather than a treatment."""
    return words.untreated.search(clause) is not None and not words.stented.search(clause)


def _stents(clause: str, words: _Words) -> tuple[int, bool]:
    """Stents that a clause says were put in: the number told, else one for each size, else one; and whether number or
    size are told, as the name of an operation tells neither."""
    if not words.stented.search(clause) or words.unstented.search(clause):
        return 0, False
    counted = [words.numbers[match["n"]] for match in words.counted.finditer(clause)]
    sized = len(words.sized.findall(clause))
    return sum(counted) or max(1, sized), bool(counted or sized)


def _clauses(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    return (match.span() for match in _CLAUSE.finditer(text, start, end))


@cache
def _words(language: str) -> _Words:
    data = toml("procedures", language)["vessels"]
    han = toml("numerals", language)["han"]
    numbers = {str(n): n for n in range(1, 11)} | {written: n for n, written in enumerate(han, start=1)}
    numbers |= data["numbers"]
    row_of = {word: place for place, row in enumerate(data["rows"]) for word in row}
    number = "|".join(sorted(map(re.escape, numbers), key=len, reverse=True))

    def any_of(patterns: Sequence[str]) -> re.Pattern[str]:
        return re.compile("|".join(patterns), re.IGNORECASE)

    names = sorted(row_of, key=lambda word: (-len(word), word))
    vessel = any_of([rf"(?<![a-z]){re.escape(word)}(?![a-z])" for word in names])
    return _Words(
        vessel=vessel,
        row_of=row_of,
        treated=any_of(data["treated"]),
        untreated=any_of(data["untreated"]),
        stented=any_of([data["stented"]]),
        unstented=any_of([data["unstented"]]),
        counted=any_of([data["counted"].replace("{n}", f"(?P<n>{number})")]),
        sized=any_of([data["sized"]]),
        numbers=numbers,
    )
