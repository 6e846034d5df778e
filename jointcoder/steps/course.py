"""What the course of a stay tells: procedures with place, day and whether they were done.

    events(state)   [Event("intubation", document, start, end, PRESENT, on=2024-05-02, at=2024-05-02 10:20), …]

Reads the sections that tell (operation notes, course, progress notes) note by note, so that neither the history that
an admission note repeats nor a consultant's advice counts as done. Phrases are data of the text room; this module
knows no codes.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jointcoder.records import Assertion, Encounter
from jointcoder.steps.base import State
from jointcoder.steps.common import step_data
from jointcoder.text.passages import Passage, passages
from jointcoder.text.times import Moment, moments
from jointcoder.text.told import tells, told

REACH = 40  # characters before a procedure in which its day or hour stands
STOPS = "。；;\n"


@dataclass(frozen=True)
class Event:
    """A procedure told at ``start:end`` of a document. ``on``: its day, from the sentence or the note; ``at``: with its
    hour, where the sentence tells it."""

    id: str
    document: int
    start: int
    end: int
    assertion: Assertion
    on: dt.date | None = None
    at: dt.datetime | None = None

    @property
    def done(self) -> bool:
        return self.assertion is Assertion.PRESENT


@dataclass(frozen=True)
class Told:
    """A passage that tells of this stay, in its document."""

    document: int
    passage: Passage


def telling(state: State) -> list[Told]:
    """The passages that tell what was done in this stay, in the order of the text."""
    table = step_data("mine")
    found: list[Told] = []
    sections = [section for section in state.sections if section.name in table["sections"]]
    for section in sections or [section for section in state.sections if section.name in table["otherwise"]]:
        text = state.encounter.documents[section.document].text
        start = section.start + len(section.heading) * text.startswith(section.heading, section.start)
        parts = [Passage(section.name, start, section.end)]
        if section.name in table["divided"]:
            parts = passages(text, state.language, name=section.name, start=start, end=section.end)
        found += [Told(section.document, part) for part in parts if part.name in table["passages"]]
    return found


def events(state: State) -> list[Event]:
    """Every procedure that those passages tell, in the order of the text; none for a language without a table."""
    if not tells(state.language):
        return []
    return [event for part in telling(state) for event in _events(state, part)]


def _events(state: State, part: Told) -> Iterator[Event]:
    passage = part.passage
    text = state.encounter.documents[part.document].text
    times: list[Moment] | None = None
    for one in told(text, state.language, start=passage.start, end=passage.end, section=passage.name):
        if times is None:
            times = _shifted(text, passage, year_of(state.encounter, passage))
        moment = _before(one.start, times, text)
        on = moment.at.date() if moment else passage.on
        at = moment.at if moment and moment.exact else None
        yield Event(one.id, part.document, one.start, one.end, one.assertion, on, at)


def year_of(encounter: Encounter, passage: Passage) -> int | None:
    """The year of days that are told without one."""
    day = passage.on or encounter.admitted or encounter.discharged
    return day.year if day else None


def _shifted(text: str, passage: Passage, year: int | None) -> list[Moment]:
    """The moments of a passage, offsets into its document. Where no note is dated, the first whole date of the passage
    gives the year."""
    found = moments(text[passage.start : passage.end], year=year)
    return [Moment(passage.start + m.start, passage.start + m.end, m.at, m.exact) for m in found]


def _before(place: int, times: Sequence[Moment], text: str) -> Moment | None:
    """The last moment before ``place``, in the same sentence and near."""
    index = bisect_right([moment.end for moment in times], place) - 1
    if index < 0 or place - times[index].end > REACH:
        return None
    between = text[times[index].end : place]
    return None if any(stop in between for stop in STOPS) else times[index]
