"""How long a patient was ventilated through a tube, which decides between 96.71 and 96.72.

ICD-9-CM-3, 96.7 (continuous invasive mechanical ventilation): counted from intubation, or from the beginning of
ventilation where the patient came with a tube, to extubation, the end of weaning, death or discharge. In this order:

    hours or days that the text tells                                   told
    from the first event that begins it to the first that ends it       counted
    notes of ventilation on the fourth day after its first, or later    counted, at least
    to the day on which the stay ended                                   inferred, and flagged
    weaning that fails                                                   inferred, and flagged
    nothing                                                              untold, and flagged

Phrases are data of the text room, the codes data of this one (``data/<language>/mine.toml``).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jointcoder.steps.base import State, edition_date
from jointcoder.steps.course import Event, Told
from jointcoder.text.normalise import normalise
from jointcoder.text.resources import toml

DAY = 24.0  # hours
_NUMBER = r"(?P<n>\d{1,4}(?:\.\d)?)"


@dataclass(frozen=True)
class Ventilation:
    """Invasive ventilation in this stay: ``hours`` at least, None where they are not told; ``how`` they are known
    (told, counted, inferred, untold); the events that show it."""

    hours: float | None
    how: str
    shown: tuple[Event, ...]


def ventilation(
    events: Sequence[Event], parts: Sequence[Told], state: State, table: Mapping[str, Any]
) -> Ventilation | None:
    """Invasive ventilation as the course tells it, None where it tells of none. ``table``: ``[ventilation]`` of the
    language's data."""
    done = [event for event in events if event.done]
    tube = [event for event in done if event.id == table["through_tube"]]
    tubed = tube or [event for event in done if event.id in table["begins"]]
    machine = [event for event in done if event.id == table["machine"]]
    if not tube and not (tubed and machine):
        return None
    shown = tuple((tube or machine)[:2])
    rules = _rules(state.language)
    texts = [_plain(state, part) for part in parts]
    if told := max(_told(texts, rules), default=0.0):
        return Ventilation(told, "told", shown)
    counted = _counted(done, machine + tube, table)
    if counted is not None:
        return Ventilation(counted, "counted", shown)
    left = _until(done, table, _end(parts, texts, rules) or edition_date(state.encounter))
    if left is not None:
        return Ventilation(left, "inferred", shown)
    if any(rules.prolonged.search(text) for text in texts):
        return Ventilation(float(table["hours"]), "inferred", shown)
    return Ventilation(None, "untold", shown)


@dataclass(frozen=True)
class _Rules:
    told: tuple[tuple[re.Pattern[str], float], ...]  # with the hours of its unit
    prolonged: re.Pattern[str]
    ended: re.Pattern[str]


@cache
def _rules(language: str) -> _Rules:
    data = toml("procedures", language)["duration"]
    rows = [(one, 1.0) for one in data["hours"]] + [(one, DAY) for one in data["days"]]
    told = tuple((re.compile(one.replace("{n}", _NUMBER), re.IGNORECASE), unit) for one, unit in rows)
    return _Rules(told, re.compile("|".join(data["prolonged"])), re.compile("|".join(data["ended"])))


def _plain(state: State, part: Told) -> str:
    text = state.encounter.documents[part.document].text
    return normalise(text[part.passage.start : part.passage.end]).text


def _told(texts: Iterable[str], rules: _Rules) -> Iterable[float]:
    for text in texts:
        for pattern, unit in rules.told:
            yield from (float(match["n"]) * unit for match in pattern.finditer(text))


def _counted(done: Sequence[Event], machine: Sequence[Event], table: Mapping[str, Any]) -> float | None:
    """Hours from the first beginning to the first end after it; where no end is told, to the last note that tells of
    ventilation if that is long enough. Days without their hour count as whole days."""
    begins = _begins(done, table)
    if not begins:
        return None
    start, exact = begins[0]
    ends = [(_time(e), e.at is not None) for e in done if e.id == table["ends"] and e.on and _time(e) >= start]
    if ends:
        end, also = min(ends)
        hours = (end - start).total_seconds() / 3600
        return hours if exact and also else max(hours, (end.date() - start.date()).days * DAY)
    seen = max((e.on for e in machine if e.on and e.on >= start.date()), default=start.date())
    hours = (seen - start.date()).days * DAY
    return hours if hours >= table["hours"] else None


def _until(done: Sequence[Event], table: Mapping[str, Any], last: dt.date | None) -> float | None:
    """Hours to the day on which the stay ended, for ventilation whose end is not told."""
    begins = _begins(done, table)
    if not begins or last is None or last < begins[0][0].date():
        return None
    return (last - begins[0][0].date()).days * DAY


def _begins(done: Sequence[Event], table: Mapping[str, Any]) -> list[tuple[dt.datetime, bool]]:
    """When it began, the first first, and whether the hour is told."""
    return sorted((_time(e), e.at is not None) for e in done if e.id in table["begins"] and e.on)


def _time(event: Event) -> dt.datetime:
    assert event.on is not None
    return event.at or dt.datetime.combine(event.on, dt.time())


def _end(parts: Sequence[Told], texts: Sequence[str], rules: _Rules) -> dt.date | None:
    """The day of the note that tells of death."""
    days = (part.passage.on for part, text in zip(parts, texts, strict=True) if rules.ended.search(text))
    return next((day for day in days if day), None)
