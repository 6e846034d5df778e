"""Days and times as notes write them: 2024-05-02 10:20, 2024.5.2, 5月2日, 05-02, 2024-05-0210:20 (run together).

    moments("于2024-05-02 10:20行…，05-09拔除", year=None)   [(1, 17, 2024-05-02 10:20), (20, 25, 2024-05-09)]

Reads digits and their marks only, of any language; knows no calendar words.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass

_CLOCK = r"(?:\s*(?P<hour>[01]?\d|2[0-3])\s*[:：时]\s*(?P<minute>[0-5]\d))"
_MONTH, _DAY = "1[0-2]|0?[1-9]", r"3[01]|[12]\d|0?[1-9]"
DATE = rf"(?<!\d)(?P<year>(?:19|20)\d\d)\s*[-./年]\s*(?P<month>{_MONTH})\s*[-./月]\s*(?P<day>{_DAY})日?{_CLOCK}?"
_SHORT = (
    r"(?<![\d./-])(?:(?P<m>1[0-2]|0[1-9])-(?P<d>3[01]|[12]\d|0[1-9])(?![\d-]*[./\d%])"
    rf"|(?P<mm>{_MONTH})月(?P<dd>{_DAY})日?)"
    r"(?:\s*(?P<h>[01]?\d|2[0-3])[:：](?P<min>[0-5]\d))?"
)
_ANY = re.compile(f"{DATE}|{_SHORT}")


@dataclass(frozen=True)
class Moment:
    """A time at ``start:end`` of a text; ``exact``: with its hour, else midnight stands for the day."""

    start: int
    end: int
    at: dt.datetime
    exact: bool


def day_of(match: re.Match[str]) -> dt.date | None:
    """The day of a match of :data:`DATE`; None for one that no calendar has (30 February)."""
    try:
        return dt.date(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        return None


def moments(text: str, *, year: int | None = None) -> list[Moment]:
    """The days and times in ``text``, in order. One without a year has that of the one before it, else ``year``; it is
    left out where neither is known."""
    return list(_moments(text, year))


def _moments(text: str, year: int | None) -> Iterator[Moment]:
    for match in _ANY.finditer(text):
        whole = match["year"] is not None
        if not whole and year is None:
            continue
        year = int(match["year"]) if whole else year
        month, day = (match["month"], match["day"]) if whole else (match["m"] or match["mm"], match["d"] or match["dd"])
        hour, minute = (match["hour"], match["minute"]) if whole else (match["h"], match["min"])
        try:
            at = dt.datetime(int(year or 1), int(month), int(day), int(hour or 0), int(minute or 0))
        except ValueError:
            continue
        yield Moment(match.start(), match.end(), at, hour is not None)
