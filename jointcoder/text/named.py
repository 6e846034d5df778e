"""Names written as if they were sentences, one after another on one line.

    Acute appendicitis. Type 2 diabetes. Hypertension    →  three names
    Coronary disease, s/p CABG x3. Stable. Gout          →  two: what is only remarked goes with the name before it

Such a row ends at the first sentence that tells something (*He was given insulin.*): what follows stays with the last
name, since what looks like a name there may be a finding; where it is as long as the row, all of it is a story and
nothing is parted. Which words tell, which only remark, and after which abbreviations a name goes on is data (``[row]``
of ``data/<language>/segment.toml``); languages without it part nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from jointcoder.text.resources import toml
from jointcoder.text.stops import is_full_stop, word_before

Span = tuple[int, int]

_STOP = re.compile(r"\.+")
_WORD = re.compile(r"[^\s,;:()\[\]/]+")
_NAMING = re.compile(r"[^\W\d_]{4}|[A-Z]{2}")  # a word of some length, or a short form
_LONGEST = 15  # words of a name


@dataclass(frozen=True)
class _Row:
    tells: frozenset[str]
    remarks: frozenset[str]
    leads: frozenset[str]
    shortened: frozenset[str]
    measure: re.Pattern[str]


@cache
def _row(lang: str) -> _Row | None:
    data = toml("segment", lang).get("row")
    if data is None:
        return None
    tells, remarks, leads, shortened = (frozenset(data[key]) for key in ("tells", "remarks", "leads", "shortened"))
    return _Row(tells, remarks, leads, shortened, re.compile(data["measure"]))


def part_names(text: str, start: int, end: int, lang: str) -> Iterator[Span]:
    """Part ``text[start:end]``, a stretch of a list that nothing else parts, where another name begins."""
    row = _row(lang)
    begins = [start] if row is None else _begins(text, start, end, lang, row)
    yield from pairwise([*begins, end])


def tells(text: str, start: int, end: int, lang: str) -> bool:
    """Whether the first sentence of ``text[start:end]``, or its first line where that is shorter, tells something
    instead of naming it. False in languages without such words."""
    row = _row(lang)
    if row is None:
        return False
    line = text.find("\n", start, end)
    last = end if line < 0 else line
    last = next(_stops(text, start, last, lang, row), last)
    return not row.tells.isdisjoint(word.casefold() for word in _WORD.findall(text[start:last].rstrip(". \t")))


def _begins(text: str, start: int, end: int, lang: str, row: _Row) -> list[int]:
    """Where the names of a row begin; only ``start`` where there is none, or less of it than of what follows."""
    sentences = list(pairwise([start, *_stops(text, start, end, lang, row), end]))
    begins: list[int] = []
    for number, (first, last) in enumerate(sentences):
        words = _WORD.findall(text[first:last].rstrip(". \t"))
        if begins and _remarks(words, row):
            continue
        if not _names(words, row):
            told = len(sentences) - number
            return begins if len(begins) > told else [start]
        begins.append(first)
    return begins


def _stops(text: str, start: int, end: int, lang: str, row: _Row) -> Iterator[int]:
    """Where sentences end, outside brackets."""
    depth, seen = 0, start
    for stop in _STOP.finditer(text, start, end):
        between = text[seen : stop.start()]
        depth = max(0, depth + sum(map(between.count, "([")) - sum(map(between.count, ")]")))
        seen = stop.start()
        if depth:
            continue
        if stop.end() == end or word_before(text, stop.start()) in row.shortened:
            continue
        if is_full_stop(text, stop.start(), stop.end(), lang):
            yield stop.end()


def _names(words: list[str], row: _Row) -> bool:
    """Whether the words may be the name of a disease or a procedure: some word that names, none that tells."""
    if not 0 < len(words) <= _LONGEST or not any(map(_NAMING.search, words)):
        return False
    return row.tells.isdisjoint(word.casefold() for word in words)


def _remarks(words: list[str], row: _Row) -> bool:
    """Whether the words only say how it is with the name before them: *Stable*, *Controlled on insulin*, *Stage 3*."""
    for word in words:
        if word.casefold() in row.leads:
            return True
        if word.casefold() not in row.remarks and not row.measure.fullmatch(word):
            return False
    return True
