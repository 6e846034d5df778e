"""How an injury came about: codes of chapter 20 from the sentences that tell it.

Only beside an injury that is coded. Each rule of the language's table (``prompts/<language>/causes.toml``) asks for
words that stand in one sentence of the complaint or the history; what is denied, long past or a habit is passed over.
One cause and one activity at most, each with its sentence as evidence. A language without a table has none.
ICD-10-CM Official Guidelines, section I.C.20.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from jointcoder.records import Assertion, AssignedCode, Finding, Link, Severity, Span, System
from jointcoder.steps.base import State, Tools
from jointcoder.steps.common import span_at
from jointcoder.text.segment import sentences

TABLES = ("cause", "activity")
STAGE = "code_also"


def causes(codes: Sequence[AssignedCode], state: State, tools: Tools, *, confidence: float) -> list[AssignedCode]:
    """The cause and the activity that the record tells of the first injury among ``codes``; nothing without one."""
    table: Mapping[str, Any] = tools.prompts(state.language).table("causes")
    sure = [c for c in codes if c.system is System.ICD10CM and c.assertion is Assertion.PRESENT]
    injury = next((c for c in sure if table and c.code.startswith(tuple(table["injuries"]))), None)
    if injury is None:
        return []
    told = list(_told(state, table))
    found: list[AssignedCode] = []
    for name in TABLES:
        first = next(((rule, span) for rule in table[name] for span in told if _fits(rule, span.quote)), None)
        entry = tools.book.get(injury.system, first[0]["code"]) if first else None
        if first is None or entry is None or not entry.billable:
            continue
        citation = table["citation"]
        found.append(
            AssignedCode(
                system=entry.system,
                code=entry.code,
                name=entry.name,
                confidence=confidence,
                evidence=(first[1],),
                links=(Link(relation="companion_of", system=injury.system, code=injury.code),),
                checks=(
                    Finding(
                        rule=f"code_also.{name}",
                        severity=Severity.ADVICE,
                        codes=(entry.code, injury.code),
                        message=citation,
                        citation=citation,
                    ),
                ),
                stages=(STAGE,),
            )
        )
    return found


def _told(state: State, table: Mapping[str, Any]) -> Iterator[Span]:
    """The sentences that may tell the onset, in order."""
    for section in state.sections:
        if section.name not in table["sections"]:
            continue
        text = state.encounter.documents[section.document].text
        for first, last in sentences(text[section.start : section.end], state.language):
            span = span_at(state.encounter.documents, section.document, section.start + first, section.start + last)
            if not _any(tuple(table["not"])).search(span.quote):
                yield span


def _fits(rule: Mapping[str, Any], sentence: str) -> bool:
    if "none" in rule and _any(tuple(rule["none"])).search(sentence):
        return False
    return all(_any(tuple(group)).search(sentence) for group in rule["all"])


@cache
def _any(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)
