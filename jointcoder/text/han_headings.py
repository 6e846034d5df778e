"""Headings of Chinese records, however they are written.

    【主诉】胸痛      主  诉：胸痛      一、主诉 胸痛      2024-05-02 查房记录      |主诉|胸痛|      主诉胸痛

Sought in the text with simplified characters and half-width marks, found in the original. A heading with a colon (a
remark in brackets may stand before it) needs little else; in brackets, in the cell of a drawn table, or alone on its
line it needs none. Headings glued to their text are told from words of a sentence by what follows and by the company of
others. Spellings and marks are data (``data/zh/sections.toml``, ``headings.toml``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from jointcoder.text.headings import LEAD, Heading, key, spellings
from jointcoder.text.normalise import normalise
from jointcoder.text.resources import toml
from jointcoder.text.times import DATE

_SENTENCE_END = "。；！？.;!?】）)\u3000\n\r"
_PAUSES = ",、"
_ANYWHERE = 3  # a heading of so many characters with a colon needs nothing before it
_LINE = re.compile(r"[^\n\r]*")
_GAP = "[ \\t\u3000]*"
_BLANK = " \t\u3000"
_NEAR = 8  # characters before a name among which its bracket is sought


@dataclass(frozen=True)
class _Marks:
    """The marks of headings, compiled. ``names``: the spellings; ``opening``, ``closing``: what may stand around
    one."""

    names: re.Pattern[str]
    opening: re.Pattern[str]
    closing: re.Pattern[str]
    leads: tuple[re.Pattern[str], ...]
    pairs: frozenset[str]
    line_pairs: frozenset[str]
    line_marks: str
    borders: str
    glued: frozenset[str]
    not_before: str
    least: int


@dataclass(frozen=True)
class _Words:
    """A spelling in the text with what stands around it: the whole at ``start:end``, the name before ``name_end``;
    ``pair``: its brackets, ``closed``: where they end, ``colon``: whether the whole ends with one."""

    start: int
    end: int
    key: str
    name_end: int
    pair: str
    closed: int
    colon: bool


@dataclass(frozen=True)
class _Found:
    """A heading, or what may be one: glued to its text at ``at_line`` or after a sentence."""

    start: int
    end: int
    name: str
    at_line: bool
    glued: bool = False


def han_headings(text: str, language: str) -> Iterator[Heading]:
    """The headings of ``text``, in order, never overlapping."""
    simplified = normalise(text, lower=False)
    found = list(_found(simplified.text, spellings(language)))
    sure = {one.name for one in found if one.at_line or not one.glued}
    enough = len(sure) >= _marks().least
    for one in found:
        if enough or not one.glued:
            start, end = simplified.original_span(one.start, one.end)
            yield Heading(start, end, one.name, inline=not one.at_line)


def _found(text: str, names: Mapping[str, str]) -> Iterator[_Found]:
    marks = _marks()
    place = 0
    while match := marks.names.search(text, place):
        words = _words(text, match)
        line = max(text.rfind("\n", 0, words.start), text.rfind("\r", 0, words.start)) + 1
        at_line = any(m and m.end() == words.start for m in (lead.match(text, line) for lead in marks.leads))
        end = _heading_end(text, words, at_line)
        glued = end is None and _is_glued(text, words, at_line)
        if end is None and not glued:
            place = match.start() + 1
            continue
        place = words.name_end if end is None else end
        yield _Found(line if at_line else words.start, place, names[words.key], at_line, glued)


def _words(text: str, match: re.Match[str]) -> _Words:
    marks = _marks()
    opening = marks.opening.search(text, max(0, match.start() - _NEAR), match.start())
    closing = marks.closing.match(text, match.end())
    assert closing is not None  # all of it is optional
    return _Words(
        start=opening.start() if opening else match.start(),
        end=closing.end(),
        key=key(match[0]),
        name_end=match.end(),
        pair=(opening["open"] if opening else "") + (closing["close"] or ""),
        closed=closing.end("close") if closing["close"] else match.end(),
        colon=closing["colon"] is not None,
    )


def _heading_end(text: str, words: _Words, at_line: bool) -> int | None:
    """Where the heading ends; None where its name is used as words of a sentence."""
    marks = _marks()
    if words.pair in marks.pairs or (words.pair in marks.line_pairs and at_line):
        return words.end if words.colon else words.closed
    before = text[words.start - 1] if words.start else "\n"
    if words.colon:
        free = at_line or before in _SENTENCE_END or before in marks.borders or before.isspace()
        named = len(words.key) >= _ANYWHERE and (before in _PAUSES or not before.isascii())
        return words.end if free or named else None
    rest = _LINE.match(text, words.closed)
    line = rest[0] if rest else ""
    following = line.lstrip(_BLANK)[:1]
    if (at_line or before in marks.borders) and following and following in marks.borders.strip():
        return words.closed + line.index(following) + 1
    if not at_line:
        return None
    if following and following in marks.line_marks and len(words.key) > 1:
        return words.closed + line.index(following) + 1
    if not line.strip() or line[0] in _BLANK:  # alone on its line, or set off by a blank
        return words.closed + len(line) - len(line.lstrip(_BLANK))
    return None


def _is_glued(text: str, words: _Words, at_line: bool) -> bool:
    """Whether the text of a section may follow its heading without any mark."""
    marks = _marks()
    if words.pair or words.key not in marks.glued:
        return False
    before = text[words.start - 1] if words.start else "\n"
    following = text[words.name_end : words.name_end + 1]
    return (at_line or before in _SENTENCE_END) and following.isalnum() and following not in marks.not_before


@cache
def _marks() -> _Marks:
    data = toml("headings", "zh")
    words = {word for group in toml("sections", "zh").values() for word in group}
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    names = "|".join(_GAP.join(re.escape(char) for char in word) for word in longest_first)
    first = re.escape("".join(sorted({char for word in words for char in word[0].lower() + word[0].upper()})))
    pairs: Sequence[str] = [*data["brackets"], *data["line_brackets"]]
    opens, closes = (re.escape("".join(pair[i] for pair in pairs)) for i in (0, 1))
    colons = re.escape(data["colons"])
    return _Marks(
        names=re.compile(rf"(?=[{first}])(?:{names})", re.IGNORECASE),
        opening=re.compile(rf"(?P<open>[{opens}]){_GAP}\**$"),
        closing=re.compile(
            rf"\**(?:{_GAP}(?P<close>[{closes}]))?(?P<colon>{_GAP}(?:\([^()\n]{{1,30}}\))?{_GAP}\**[{colons}]\**)?"
        ),
        leads=(LEAD, re.compile(rf"[ \t]*{DATE}(?::[0-5]\d)?[ \t]*")),
        pairs=frozenset(data["brackets"]),
        line_pairs=frozenset(data["line_brackets"]),
        line_marks=data["line_marks"],
        borders=data["borders"],
        glued=frozenset(map(key, data["glued"])),
        not_before=data["not_before"],
        least=data["least"],
    )
