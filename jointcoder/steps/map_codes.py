"""map_codes: every code to full specificity in the edition of the discharge date.

A code that is not assignable is completed (7th character, unspecified subdivision); an unspecified side gives way to
the sibling whose side the evidence states; a code that is not valid on the date is dropped and said so. After this
step every code exists in the code book and is billable: the invalid-code rate is 0 by construction.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from jointcoder.records import AssignedCode, Flag, Kind, System
from jointcoder.steps import base
from jointcoder.steps.base import CODE_SLOTS, Run, State, Tools, Update, validity_date
from jointcoder.steps.common import ranked, sentence_around

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.codebook.model import Entry

Sides = Mapping[str, Sequence[str]]


class MapCodesOptions(base.StepOptions):
    """``sides``: give an unspecified side the one that the evidence states."""

    sides: bool = True


class MapCodes(base.Step):
    """Completes, sides and dates every code."""

    name: ClassVar[str] = "map_codes"
    purpose: ClassVar[str] = "full specificity in the edition of the discharge date"
    Options: ClassVar[type[base.StepOptions]] = MapCodesOptions
    options: MapCodesOptions
    reads = frozenset({"encounter", "language", "diagnoses", "procedures"})
    writes = frozenset({"diagnoses", "procedures", "suggestions"})

    def run(self, state: State, tools: Tools) -> Run:
        on = validity_date(state.encounter, tools.pack)
        lost: list[str] = []
        changed = 0
        values: dict[str, tuple[AssignedCode, ...]] = {}
        for kind in Kind:
            mapped = []
            for code in getattr(state, CODE_SLOTS[kind]):
                final = self._map(code, state, tools, on)
                if final is None:
                    lost.append(code.code)
                    continue
                changed += final.code != code.code
                mapped.append(final)
            values[CODE_SLOTS[kind]] = ranked(unique(mapped))
        if state.suggestions:
            values["suggestions"] = self._suggestions(state, tools, on, values)
        flags: tuple[Flag, ...] = ()
        if lost:
            message = f"not assignable in {tools.book.info.edition} on the date, dropped: {', '.join(sorted(lost))}"
            flags = (Flag(code="JC501", step=self.name, message=message),)
        if kept := headings(values, tools):
            message = f"{len(kept)} codes are headings, as the pack's training data code them; not billable"
            flags += (Flag(code="JC505", step=self.name, message=message),)
        yield from ()
        return Update(values, flags, {"changed": changed, "dropped": len(lost), "edition": tools.book.info.edition})

    def _map(self, code: AssignedCode, state: State, tools: Tools, on: dt.date | None) -> AssignedCode | None:
        book, final = tools.book, code.code
        if keeps_heading(code, tools) or is_former(code, tools, on):
            return code.with_(stages=(*code.stages, self.name))
        entry = book.get(code.system, final)
        if entry is None:
            return None
        if not entry.billable:
            completed = book.default_billable(code.system, final)
            if completed is None:
                return None
            final = completed.code
        if self.options.sides and code.system is System.ICD10CM:
            text = " ".join(sentence_around(s, state.encounter.documents, reach=40) for s in code.evidence)
            final = sided(book, code.system, final, text, tools.prompts(state.language).raw("map_codes", "sides"))
        if not book.is_billable(code.system, final) or not book.is_valid(code.system, final, on):
            return None
        name = book.name(code.system, final, state.language) or book.name(code.system, final, "en") or code.name
        return code.with_(code=final, name=name, stages=(*code.stages, self.name))

    def _suggestions(
        self, state: State, tools: Tools, on: dt.date | None, values: Mapping[str, tuple[AssignedCode, ...]]
    ) -> tuple[AssignedCode, ...]:
        """Suggestions at full specificity, without those that became a code of the record."""
        taken = {(code.system, code.code) for codes in values.values() for code in codes}
        mapped = [final for code in state.suggestions if (final := self._map(code, state, tools, on))]
        return tuple(code for code in unique(mapped) if (code.system, code.code) not in taken)


def keeps_heading(code: AssignedCode, tools: Tools) -> bool:
    """Whether the code is a heading of the book and comes from a pack whose training data code headings."""
    if tools.pack is None or not tools.pack.info.headings or "learned" not in code.stages:
        return False
    return not tools.book.is_billable(code.system, code.code) and tools.book.is_stem(code.system, code.code)


def is_former(code: AssignedCode, tools: Tools, on: dt.date | None) -> bool:
    """Whether a pack proposes a code that the edition no longer holds and that was valid on the date."""
    if on is None or "learned" not in code.stages or tools.book.get(code.system, code.code) is not None:
        return False
    return tools.book.is_valid(code.system, code.code, on)


def headings(values: Mapping[str, Sequence[AssignedCode]], tools: Tools) -> list[AssignedCode]:
    """The codes of the record that are headings."""
    return [code for slot in CODE_SLOTS.values() for code in values[slot] if keeps_heading(code, tools)]


def sided(book: CodeBook, system: System, code: str, text: str, sides: Sides) -> str:
    """The sibling of an "unspecified side" code whose side the text states; the code itself if it states none, or
    more than one."""
    name = (book.name(system, code, "en") or "").casefold()
    if not re.search(r"\bunspecified\b", name):
        return code
    stated = [side for side in ("left", "right", "bilateral") if states(text, sides[side])]
    if len(stated) != 1:
        return code
    wanted = _side_names(name, stated[0])
    for sibling in family(book, system, code):
        if sibling.billable and sibling.name.casefold() in wanted:
            return sibling.code
    return code


def family(book: CodeBook, system: System, code: str) -> list[Entry]:
    """The assignable entries below the code's parent and grandparent (the side stands one level above a 7th
    character), nearest first, never wider than the category."""
    above = [entry for entry in book.ancestors(system, code)[:2] if entry.level in ("category", "code")]
    return list({e.code: e for entry in above for e in book.completions(system, entry.code)}.values())


def _side_names(name: str, side: str) -> set[str]:
    """How the name would read with the side stated: only the words that stood for the missing side change."""
    return {name[: m.start()] + side + name[m.end() :] for m in re.finditer(r"\bunspecified\b", name)}


def states(text: str, words: Sequence[str]) -> bool:
    """Whether one of the words stands in the text (whole words for Latin scripts)."""
    pattern = "|".join(rf"(?<!\w){re.escape(word)}(?!\w)" if word.isascii() else re.escape(word) for word in words)
    return bool(words) and re.search(pattern, text, re.IGNORECASE) is not None


def unique(codes: Sequence[AssignedCode]) -> list[AssignedCode]:
    """Codes that became the same are one: evidence and stages joined, the higher confidence kept."""
    kept: dict[str, AssignedCode] = {}
    for code in codes:
        other = kept.get(code.code)
        if other is None:
            kept[code.code] = code
            continue
        kept[code.code] = other.with_(
            confidence=max(other.confidence, code.confidence),
            evidence=tuple(dict.fromkeys((*other.evidence, *code.evidence))),
            mentions=tuple(dict.fromkeys((*other.mentions, *code.mentions))),
            links=tuple(dict.fromkeys((*other.links, *code.links))),
            checks=tuple(dict.fromkeys((*other.checks, *code.checks))),
            verdicts=tuple(dict.fromkeys((*other.verdicts, *code.verdicts))),
            stages=tuple(dict.fromkeys((*other.stages, *code.stages))),
        )
    return list(kept.values())
