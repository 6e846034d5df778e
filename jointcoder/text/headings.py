"""How headings are written: their spellings, and the rules for the scripts with blanks.

Spellings are data (``data/<language>/sections.toml``: canonical name → spellings). A heading is one by the way it is
written: at the start of a line with a colon or alone, in capitals, or inside a line where nothing else is meant.
Chinese headings: :mod:`jointcoder.text.han_headings`. Knows no documents and what no section is worth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from jointcoder.text.normalise import normalise
from jointcoder.text.resources import toml

LEAD = re.compile(  # bullets and a number before a heading
    r"[ \t\u3000]*(?:[#>*•●◆■▪·-]+[ \t]*)*"
    r"(?:[(（]?(?:\d{1,2}|[一二三四五六七八九十IVX]{1,4})[)）]?[.．、:：)]?[ \t]*)?\**"
)


@dataclass(frozen=True)
class Heading:
    """A heading at ``start:end``, up to and with its colon, and its canonical name; ``inline``: inside a line."""

    start: int
    end: int
    name: str
    inline: bool = False


@cache
def spellings(language: str) -> Mapping[str, str]:
    """Key of a spelling → canonical name."""
    entries = toml("sections", language).items()
    return MappingProxyType({key(spelling): name for name, spellings in entries for spelling in spellings})


def key(heading: str) -> str:
    """What is left of a heading without blanks, brackets, colons and case: equal for all its spellings."""
    plain = normalise(heading, accents=True).text
    return re.sub(r"[\s_:\[\]【】()*#.]+", "", plain)


@cache
def _latin_pattern(language: str) -> re.Pattern[str]:
    entries = toml("sections", language).values()
    spellings = sorted({s for spellings in entries for s in spellings}, key=len, reverse=True)
    return re.compile("|".join(_letters(s) for s in spellings), re.IGNORECASE)


def _letters(spelling: str) -> str:
    """A pattern for a spelling with any white space between its words and with or without its accents."""
    accents = {"á": "[áa]", "é": "[ée]", "í": "[íi]", "ó": "[óo]", "ú": "[úu]", "ñ": "[ñn]"}
    words = ("".join(accents.get(c, re.escape(c)) for c in word) for word in spelling.split())
    return r"[ \t]+".join(words)


def latin_headings(text: str, language: str) -> Iterator[Heading]:
    """The headings of a text in a script with blanks, line by line; they may overlap."""
    headings = _latin_pattern(language)
    for line in re.finditer(r"[^\n\r]+", text):
        lead = LEAD.match(text, line.start(), line.end())
        begin = lead.end() if lead else line.start()
        match = headings.match(text, begin, line.end()) or headings.match(text, line.start(), line.end())
        if match and (end := _latin_end(text, match, line.end())):
            yield _heading(match, line.start(), end, language)
        elif unknown := _UNKNOWN.match(text, line.start(), line.end()):
            yield Heading(line.start(), unknown.end(), "other")
        for inner in headings.finditer(text, line.start(), line.end()):
            if end := _inline_end(text, inner):
                yield _heading(inner, inner.start(), end, language, inline=True)


_UNKNOWN = re.compile(r"[ \t]*[^\W\d_a-zß-öø-ÿ][^a-zß-öø-ÿ:\n\r]{3,40}:[ \t]*$", re.MULTILINE)
_COLON = re.compile(r"\**[ \t]*(?:\([^()\n]{1,30}\))?[ \t]*[:：]\**")
_DASH = re.compile(r"[ \t]+[-–—][ \t]+")


def _heading(match: re.Match[str], start: int, end: int, language: str, *, inline: bool = False) -> Heading:
    return Heading(start, end, spellings(language)[key(match[0])], inline)


def _latin_end(text: str, match: re.Match[str], line_end: int) -> int | None:
    """End of a heading at the start of a line, or None if the words are not used as one."""
    if colon := _COLON.match(text, match.end(), line_end):
        return colon.end()
    written = match[0]
    rest = text[match.end() : line_end]
    if not rest.strip(" \t*"):
        return line_end if written[0].isupper() else None
    if (dash := _DASH.match(text, match.end(), line_end)) and _titled(written):
        return dash.end()
    if written.isupper() and " " in written and rest[0].isspace() and not rest.isupper():
        return match.end()  # CHIEF COMPLAINT Chest pain
    return None


def _titled(written: str) -> bool:
    return all(word[0].isupper() for word in written.split() if len(word) > 3)


def _inline_end(text: str, match: re.Match[str]) -> int | None:
    """End of a heading inside a line: capitals and a colon, or title case after a sentence end."""
    start = match.start()
    colon = re.compile(r"[ \t]*:").match(text, match.end())
    if not colon or start == 0 or not text[start - 1].isspace() or not match[0][0].isupper():
        return None
    before = text[max(0, start - 3) : start]
    after_sentence = before.rstrip()[-1:] in (".", ";", "") or before.endswith(("  ", "\t"))
    if match[0].isupper() and len(match[0]) > 3:
        return colon.end()
    return colon.end() if after_sentence and _titled(match[0]) and len(match[0]) > 3 else None
