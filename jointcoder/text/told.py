"""Procedures told in running text: where, and whether the text says that they were done.

    told("局麻下行右侧股静脉置管，家属拒绝气管插管。", "zh")
        [Told("cvc_femoral", 4, 11, PRESENT), Told("intubation", 16, 20, NEGATED)]

Patterns are data (``data/<language>/procedures.toml``), what the text says of a match is read by ConText with cues of
its own (``data/<language>/done.toml``): *present* means done in this stay, *possible* planned or weighed, *negated* not
done, *historical* before. A language without them tells nothing. Knows no codes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jointcoder.records import Assertion
from jointcoder.text.assertion import assert_spans
from jointcoder.text.normalise import normalise
from jointcoder.text.resources import known_language, toml

CUES = "done"
_WITHIN = "(?:[^,。;:\n]{0,8}?)"  # what … stands for


@dataclass(frozen=True)
class Told:
    """A procedure told at ``start:end`` of the text; ``id`` is its entry in the table."""

    id: str
    start: int
    end: int
    assertion: Assertion


@dataclass(frozen=True)
class _Procedure:
    id: str
    any: re.Pattern[str]
    unless: re.Pattern[str] | None


def tells(language: str) -> bool:
    """Whether the language has a table of procedures. Raises InputError JC105 for an unknown language."""
    return (files("jointcoder.text") / "data" / known_language(language) / "procedures.toml").is_file()


def told(text: str, language: str, *, start: int = 0, end: int | None = None, section: str | None = None) -> list[Told]:
    """The procedures told between ``start`` and ``end``, in order; ``section``: canonical name of what is read."""
    if not tells(language):
        return []
    part = text[start:end]
    plain = normalise(part)
    found: list[tuple[str, int, int]] = []
    for procedure in _procedures(language):
        others = [m.span() for m in procedure.unless.finditer(plain.text)] if procedure.unless else []
        for match in procedure.any.finditer(plain.text):
            if match.end() > match.start() and not any(a < match.end() and match.start() < b for a, b in others):
                found.append((procedure.id, *plain.original_span(*match.span(match.lastindex or 0))))
    found.sort(key=lambda one: (one[1], -one[2], one[0]))
    said = done([(first, last) for _, first, last in found], part, language, section=section)
    return [
        Told(id, start + first, start + last, assertion)
        for (id, first, last), assertion in zip(found, said, strict=True)
    ]


def done(spans: Sequence[tuple[int, int]], text: str, language: str, *, section: str | None = None) -> list[Assertion]:
    """What the text says of the procedures at ``spans``, in order: PRESENT where it says that they were done."""
    return assert_spans(text, spans, lang=language, sections=[section] * len(spans), cues=CUES)


def acts(language: str) -> tuple[str, ...]:
    """Words that say something was done, before the name of a procedure."""
    return tuple(toml("procedures", language)["acts"]) if tells(language) else ()


@cache
def _procedures(language: str) -> tuple[_Procedure, ...]:
    rows = toml("procedures", language)["procedure"]
    return tuple(_Procedure(row["id"], _pattern(row["any"]), _pattern(row["unless"])) for row in rows)  # type: ignore[arg-type]


def _pattern(alternatives: Sequence[str]) -> re.Pattern[str] | None:
    if not alternatives:
        return None
    return re.compile("|".join(f"(?:{one.replace('…', _WITHIN)})" for one in alternatives), re.IGNORECASE)
