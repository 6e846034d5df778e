"""Documents → typed sections, each document covered from end to end.

Headings are data (``data/<language>/sections.toml``: canonical name → spellings). A document whose title is itself
a section heading (a field of a structured record) is one section; in any other, headings are sought at the start
of lines and, where their writing leaves no doubt, inside them. Text that no heading claims is ``body``. Which
section a finding may be coded from is not decided here: :func:`section_kind` only says what a section is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from jointcoder.records import Document, Section
from jointcoder.text.normalise import normalise
from jointcoder.text.resources import LANGUAGES, known_language, toml

BODY = "body"
_LEAD = re.compile(  # bullets and a number before a heading
    r"[ \t\u3000]*(?:[#>*•●◆■▪·-]+[ \t]*)*"
    r"(?:[(（]?(?:\d{1,2}|[一二三四五六七八九十IVX]{1,4})[)）]?[.．、:：)]?[ \t]*)?\**"
)
_SENTENCE_END = "。；！？.;!?】）)\u3000\n\r"
_LAID_OUT = 3  # so many headings at the start of lines show a note to be laid out by lines
_ANYWHERE = 3  # a Chinese heading of so many characters with a colon needs nothing before it


def section_kind(name: str) -> str:
    """What a finding in the section is worth: ``definitive``, ``narrative``, ``exam``, ``history``, ``family`` or
    ``orders`` (see ``data/sections.toml``). Names that are not canonical count as narrative."""
    return _kinds().get(name, "narrative")


@cache
def _kinds() -> Mapping[str, str]:
    kinds = toml("sections")["kinds"]
    return MappingProxyType({name: kind for kind, names in kinds.items() for name in names})


def canonical_name(heading: str) -> str | None:
    """The canonical name of a heading in any of the languages, or None. ``Past Medical History:`` → past_history."""
    key = _key(heading)
    if key in _canonical_keys():
        return _canonical_keys()[key]
    for language in LANGUAGES:
        if key in _spellings(language):
            return _spellings(language)[key]
    return None


@cache
def _canonical_keys() -> Mapping[str, str]:
    return MappingProxyType({_key(name): name for name in _kinds()})


@cache
def _spellings(language: str) -> Mapping[str, str]:
    entries = toml("sections", language).items()
    return MappingProxyType({_key(spelling): name for name, spellings in entries for spelling in spellings})


def _key(heading: str) -> str:
    plain = normalise(heading, accents=True).text
    return re.sub(r"[\s_:\[\]【】()*#.]+", "", plain)


def find_sections(documents: Sequence[Document], language: str) -> tuple[Section, ...]:
    """The sections of all documents, in order: no gaps, no overlaps; an empty document has none.

    ``heading`` is what is written at ``start``, from the first character of the section up to and with its colon, so
    that the content begins at ``start + len(heading)``; it is the title where a title types the whole document.
    Raises InputError JC105 for an unknown language.
    """
    known_language(language)
    sections: list[Section] = []
    for index, document in enumerate(documents):
        if not document.text:
            continue
        named = canonical_name(document.title) if document.title.strip() else None
        if named is not None:
            whole = Section(name=named, heading=document.title, document=index, start=0, end=len(document.text))
            sections.append(whole)
            continue
        sections.extend(_cover(index, document.text, list(_headings(document.text, language))))
    return tuple(sections)


@dataclass(frozen=True)
class _Heading:
    start: int
    end: int
    name: str
    inline: bool = False


def _cover(document: int, text: str, headings: Sequence[_Heading]) -> Iterator[Section]:
    first = headings[0].start if headings else len(text)
    if first:
        yield Section(name=BODY, document=document, start=0, end=first)
    ends = [*(heading.start for heading in headings), len(text)][1:]
    for heading, end in zip(headings, ends, strict=True):
        written = text[heading.start : heading.end]
        yield Section(name=heading.name, heading=written, document=document, start=heading.start, end=end)


def _headings(text: str, language: str) -> Iterator[_Heading]:
    rules = _chinese if language == "zh" else _latin
    candidates = sorted(rules(text, language), key=lambda h: (h.start, -h.end))
    by_lines = sum(not found.inline for found in candidates) >= _LAID_OUT
    taken = 0
    for found in candidates:
        if by_lines and found.inline and section_kind(found.name) == "exam":
            continue  # "…, ECG: sinus rhythm, given aspirin …" is no section of a note that has its headings on lines
        if found.start >= taken:
            taken = found.end
            yield found


# ------------------------------------------------------------------------------------------------ Latin scripts


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


def _latin(text: str, language: str) -> Iterator[_Heading]:
    headings = _latin_pattern(language)
    for line in re.finditer(r"[^\n\r]+", text):
        lead = _LEAD.match(text, line.start(), line.end())
        begin = lead.end() if lead else line.start()
        match = headings.match(text, begin, line.end()) or headings.match(text, line.start(), line.end())
        if match and (end := _latin_end(text, match, line.end())):
            yield _heading(match, line.start(), end, language)
        elif unknown := _UNKNOWN.match(text, line.start(), line.end()):
            yield _Heading(line.start(), unknown.end(), "other")
        for inner in headings.finditer(text, line.start(), line.end()):
            if end := _inline_end(text, inner):
                yield _heading(inner, inner.start(), end, language, inline=True)


_UNKNOWN = re.compile(r"[ \t]*[^\W\d_a-zß-öø-ÿ][^a-zß-öø-ÿ:\n\r]{3,40}:[ \t]*$", re.MULTILINE)
_COLON = re.compile(r"\**[ \t]*(?:\([^()\n]{1,30}\))?[ \t]*[:：]\**")
_DASH = re.compile(r"[ \t]+[-–—][ \t]+")


def _heading(match: re.Match[str], start: int, end: int, language: str, *, inline: bool = False) -> _Heading:
    return _Heading(start, end, _spellings(language)[_key(match[0])], inline)


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


# ------------------------------------------------------------------------------------------------------ Chinese


@cache
def _chinese_pattern() -> re.Pattern[str]:
    entries = toml("sections", "zh").values()
    spellings = sorted({s for spellings in entries for s in spellings}, key=len, reverse=True)
    gap = "[ \\t\u3000]*"
    names = "|".join(gap.join(re.escape(char) for char in spelling) for spelling in spellings)
    return re.compile(
        rf"(?P<open>[【\[〖])?{gap}(?P<name>{names}){gap}(?P<close>[】\]〗])?{gap}(?P<colon>[:：])?", re.I
    )


def _chinese(text: str, language: str) -> Iterator[_Heading]:
    simplified = normalise(text, lower=False)
    plain = simplified.text
    place = 0
    while match := _chinese_pattern().search(plain, place):
        place = match.end()
        line = max(plain.rfind("\n", 0, match.start()), plain.rfind("\r", 0, match.start())) + 1
        lead = _LEAD.match(plain, line, match.start())
        at_line = lead is not None and lead.end() == match.start()
        if not _is_chinese_heading(plain, match, at_line):
            place = match.start() + 1 if match.end() - match.start() > 1 else match.end()
            continue
        name = _spellings(language)[_key(match["name"])]
        first = line if at_line else match.start()
        start, end = simplified.original_span(first, match.end())
        yield _Heading(start, end, name, inline=not at_line)


def _is_chinese_heading(text: str, match: re.Match[str], at_line: bool) -> bool:
    if match["open"] and match["close"]:
        return True
    before = text[match.start() - 1] if match.start() else "\n"
    rest = re.compile(r"[^\n\r]*").match(text, match.end())
    line = rest[0] if rest else ""
    if match["colon"]:
        free = at_line or before in _SENTENCE_END or before.isspace()
        return free or (len(re.sub(r"\s", "", match["name"])) >= _ANYWHERE and not before.isascii())
    if not at_line:
        return False
    return not line.strip() or match[0] != match[0].rstrip()  # alone on its line, or set off by a blank
