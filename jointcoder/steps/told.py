"""Procedures that the course tells as done → mentions under the names that the code book in use has for them.

Part of *mine*, the part that needs no model. Which entry a told procedure means is data
(``data/<language>/mine.toml``): a place in the classification and names of the national editions; the code comes from
the book alone. Some are decided by more than their name: coronary angiography by the catheters told, invasive
ventilation by its hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jointcoder.records import Assertion, Flag, Kind, Mention, System
from jointcoder.steps.base import State
from jointcoder.steps.common import entry_at, has_data, span_at, step_data
from jointcoder.steps.course import Event, events, telling
from jointcoder.steps.extract import section_at
from jointcoder.steps.ventilation import ventilation
from jointcoder.text.normalise import normalise
from jointcoder.text.told import acts, done

if TYPE_CHECKING:
    from jointcoder.codebook.model import Entry
    from jointcoder.steps.base import Tools

SOURCE = "told"  # of a mention whose name is that of the code book
IMPLIED = "implied"  # of one that the text does not tell
SHOWN = 3  # places of one procedure that become evidence
_STOPS = "[,，。;；:：\n]"
AROUND = 400  # characters around an angiography in which its catheters are told
STEP = "mine"

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """What was found: mentions, remarks on them, and how often each procedure is told as done."""

    mentions: tuple[Mention, ...] = ()
    flags: tuple[Flag, ...] = ()
    counts: Mapping[str, int] | None = None


def told_procedures(state: State, tools: Tools) -> Found:
    """The procedures that the record tells as done in this stay; nothing for a language or a system without data."""
    if not has_data(f"{state.language}/mine"):
        return Found()
    table = step_data(f"{state.language}/mine")
    system = tools.system(Kind.PROCEDURE)
    if system != table["system"]:
        return Found()
    told = events(state)
    by_id: dict[str, list[Event]] = {}
    for event in told:
        if event.done:
            by_id.setdefault(event.id, []).append(event)
    desk = _Desk(state, tools, System(table["system"]))
    mentions = [m for row in table["entry"] for m in desk.mentions(row, _own(row, by_id))]
    mentions += _angiography(desk, table["angiography"], by_id)
    mentions += _named(desk, table["named"], [event for own in by_id.values() for event in own])
    hours, flags = _ventilation(desk, table["ventilation"], told)
    mentions += hours
    for row in table["implied"]:
        implied = _implied(desk, row, table, by_id)
        mentions += implied
        flags += [_flag("JC614", f"{row['id']} is not told, but goes with {row['by'][0]}") for _ in implied[:1]]
    return Found(tuple(mentions), tuple(flags), {id: len(own) for id, own in by_id.items()})


def _own(row: Table, done: Mapping[str, list[Event]]) -> list[Event]:
    return [] if any(other in done for other in row.get("beside", ())) else done.get(row["id"], [])


def _angiography(desk: _Desk, table: Table, done: Mapping[str, list[Event]]) -> list[Mention]:
    own = done.get(table["id"], [])
    if not own:
        return []
    around = " ".join(desk.around(event) for event in own)
    fitting = (row for row in table["entry"] if not row["words"] or re.search("|".join(row["words"]), around))
    return desk.mentions(next(fitting), own)


def _named(desk: _Desk, table: Table, told: Sequence[Event]) -> list[Mention]:
    """Operations that the course says were done, under names of the code book; what the table tells is left out."""
    state, lookup = desk.state, desk.tools.lookup
    verbs = re.compile("|".join(map(re.escape, acts(state.language))))
    taken = {(event.document, place) for event in told for place in range(event.start, event.end)}
    found: list[Mention] = []
    for part in telling(state):
        passage = part.passage
        text = state.encounter.documents[part.document].text[passage.start : passage.end]
        spans = []
        for hit in lookup.spot(text, state.language, kinds=(Kind.PROCEDURE,)):
            clause = re.split(_STOPS, text[max(0, hit.start - table["reach"]) : hit.start])[-1]
            told_already = any((part.document, passage.start + at) in taken for at in range(hit.start, hit.end))
            small = hit.end - hit.start < table["shortest"] or hit.hits[0].code.startswith(tuple(table["unreported"]))
            if verbs.search(clause) and not told_already and not small:
                spans.append((hit.start, hit.end, hit.hits[0]))
        said = done([(start, end) for start, end, _ in spans], text, state.language, section=passage.name)
        for (start, end, first), assertion in zip(spans, said, strict=True):
            if assertion is Assertion.PRESENT:
                event = Event(first.code, part.document, passage.start + start, passage.start + end, assertion)
                found += desk.named(first.name, first.code, [event])
    return found


def _ventilation(desk: _Desk, table: Table, told: Sequence[Event]) -> tuple[list[Mention], list[Flag]]:
    found = ventilation(told, telling(desk.state), desk.state, table)
    if found is None:
        return [], []
    which = "untold" if found.hours is None else "long" if found.hours >= table["hours"] else "short"
    flags = []
    if found.how in ("inferred", "untold"):
        message = f"hours of invasive ventilation are not told; coded as {table[which]['code']}"
        flags = [_flag("JC613", message)]
    return desk.mentions(table[which], found.shown), flags


def _implied(desk: _Desk, row: Table, table: Table, done: Mapping[str, list[Event]]) -> list[Mention]:
    shown = [event for id in row["by"] for event in done.get(id, [])]
    if not shown or any(id in done for id in row["unless_told"]):
        return []
    text = " ".join(normalise(document.text).text for document in desk.state.encounter.documents)
    if any(word in text for word in row["unless_words"]):
        return []
    entry = next(one for one in table["entry"] if one["id"] == row["id"])
    return [m.model_copy(update={"source": IMPLIED}) for m in desk.mentions(entry, shown[:1])]


@dataclass(frozen=True)
class _Desk:
    """What rows of the table are read with."""

    state: State
    tools: Tools
    system: System

    def mentions(self, row: Table, own: Sequence[Event]) -> list[Mention]:
        """A mention for each place, under the name of the row's entry; none where the book lacks it."""
        entry = self.entry(row) if own else None
        return self.named(entry.name, entry.code, own) if entry else []

    def named(self, name: str, code: str, own: Sequence[Event]) -> list[Mention]:
        """A mention under that name for each place."""
        return list(self._mentions(name, code, own))

    def entry(self, row: Table) -> Entry | None:
        """The entry below the row's place that bears one of its names, the first name first; else the default."""
        below = self.tools.book.completions(self.system, row["code"])
        named = {_plain(entry.name): entry for entry in reversed(below)}
        known = (named[_plain(name)] for name in row["names"] if _plain(name) in named)
        return next(known, None) or entry_at(self.tools.book, self.system, row["code"])

    def around(self, event: Event) -> str:
        """The text around an event, levelled."""
        text = self.state.encounter.documents[event.document].text
        return normalise(text[max(0, event.start - AROUND) : event.end + AROUND]).text

    def _mentions(self, name: str, code: str, own: Sequence[Event]) -> Iterator[Mention]:
        for event in own[:SHOWN]:
            span = span_at(self.state.encounter.documents, event.document, event.start, event.end)
            section = section_at(self.state.sections, span)
            yield Mention(
                id=f"p{event.document}:{event.start}-{event.end}:{code}",
                kind=Kind.PROCEDURE,
                span=span,
                name=name,
                assertion=event.assertion,
                section=section,
                source=SOURCE,
            )


def _plain(name: str) -> str:
    return "".join(normalise(name).text.split())


def _flag(code: str, message: str) -> Flag:
    return Flag(code=code, step=STEP, message=message)
