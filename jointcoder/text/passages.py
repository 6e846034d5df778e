"""A long course field → the notes in it and the parts of each, with their dates.

    passages("2024-05-02 10:20医师查房记录 患者…查房分析：…建议：…", "zh")
        [Passage("progress_note", …, on=2024-05-02), Passage("hospital_course", …), Passage("plan", …)]

Electronic records string dozens of notes together in one field, often without line breaks. What a consultant suggests
and what an admission note repeats of the history is no part of what was done in this stay: the parts tell which is
which. Titles and headings are data (``data/<language>/passages.toml``); without them a text is one passage.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise

from jointcoder.text.normalise import normalise
from jointcoder.text.resources import known_language, toml
from jointcoder.text.times import DATE, day_of

_NEAR = 14  # characters between a title and its date
_DATED = re.compile(DATE)


@dataclass(frozen=True)
class Passage:
    """A part of a text, named as a section is; ``on``: the day of the note, where it has one."""

    name: str
    start: int
    end: int
    on: dt.date | None = None


@dataclass(frozen=True)
class _Marks:
    titles: re.Pattern[str]
    headings: re.Pattern[str]
    names: Mapping[str, str]


def passages(text: str, language: str, *, name: str = "", start: int = 0, end: int | None = None) -> list[Passage]:
    """The passages between ``start`` and ``end``, in order, without gaps. ``name``: of what stands before the first
    mark. Raises InputError JC105 for an unknown language.
    """
    last = len(text) if end is None else end
    marks = _marks(language)
    if marks is None:
        return [Passage(name, start, last)] if start < last else []
    plain = normalise(text[start:last], lower=False)
    found = sorted(_found(plain.text, marks))
    places = [(0, name, None), *found, (len(plain.text), "", None)]
    result: list[Passage] = []
    on: dt.date | None = None
    for (first, own, day), (stop, _, _) in pairwise(places):
        on = day or on
        if first < stop:
            one, other = plain.original_span(first, stop)
            result.append(Passage(own, start + one, start + other, on))
    return result


def _found(text: str, marks: _Marks) -> Iterator[tuple[int, str, dt.date | None]]:
    """Where a passage begins, what it is, and the day of its note if it is a note's beginning."""
    for match in marks.titles.finditer(text):
        before, after = text[max(0, match.start() - _NEAR - 16) : match.start()], text[match.end() :]
        dated = [m for m in _DATED.finditer(before) if len(before) - m.end() <= _NEAR]
        following = _DATED.match(after.lstrip()[:24])
        at_line = not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
        if dated or following or at_line:
            own = dated[-1] if dated else following
            yield match.start(), marks.names[match[0]], day_of(own) if own else None
    for match in marks.headings.finditer(text):
        yield match.start(), marks.names[match["heading"]], None


@cache
def _marks(language: str) -> _Marks | None:
    if not (files("jointcoder.text") / "data" / known_language(language) / "passages.toml").is_file():
        return None
    data = toml("passages", language)
    names = {word: name for table in ("headings", "titles") for name, words in data[table].items() for word in words}

    def any_of(table: str) -> str:
        words = [word for group in data[table].values() for word in group]
        return "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))

    return _Marks(re.compile(any_of("titles")), re.compile(rf"(?P<heading>{any_of('headings')})\s*:"), names)
