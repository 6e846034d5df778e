"""A written diagnosis or procedure list → its items.

    1.高血压病3级 2.2型糖尿病   →  高血压病3级 | 2型糖尿病

Numbers are numbering only when they come in order, which is what tells the 2 of "2." from the 2 of "2型" and both
from "1.5cm"; in Chinese lists one or two may be missing. Delimiters part what is not numbered, full stops too where
names follow one another (``named.py``); where the language says so, blanks and plus signs part conditions of one item.
Items that run together with none of these stay one item. A paragraph below the list that tells what happened is none of
its items.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

from jointcoder.text.named import part_names, tells
from jointcoder.text.resources import known_language, toml

Span = tuple[int, int]

_BULLET = re.compile(r"[ \t]*[-*•●○◦▪■□◆◇·‣–—]+[ \t]+|[ \t]*[•●○◦▪■□◆◇‣]")
_CIRCLED = re.compile("[①-⑳⑴-⒇⒈-⒛❶-❿]")
_HAN_DIGITS = "一二三四五六七八九"
_MARKER = re.compile(
    rf"[(（](\d{{1,2}}|[{_HAN_DIGITS}十]{{1,3}})[)）][.、]?"  # (1) （一）
    r"|(?<![\d.．])(\d{1,2})\s?[.．、)）:：]-?"  # 1. 1、 1) 1.-
    rf"|([{_HAN_DIGITS}十]{{1,3}})、"  # 一、
)
_OPEN, _CLOSE = "(（[【「『“《", ")）]】」』”》"
_EDGE = " \t\r\n\f\v\u3000。；;、，,."
_HAN_BEFORE = re.compile("[\u3400-\u9fff）)】”」?？]\\s*$")
_SHORT_FORM = re.compile("(?:^|[\u3400-\u9fff\\s.．、）)])[A-Z]{2,5}$")  # DIC, COPD: before a number and Han text
_LAST_WORD = re.compile(r"([^\W\d_]+)\s*$")
_SKIPPED = 2  # numbers that a Chinese list may leave out
_GAP = re.compile(r"\n[ \t\r]*\n\s*")  # between paragraphs
_BLANKS = re.compile("[ \t\u3000]+")
_SHORTEST = 2  # characters on either side of a blank or plus sign that parts


def split_items(text: str, lang: str) -> list[Span]:
    """Offsets of the list's items, in order, without numbers, bullets, and punctuation at either end.

    Raises InputError JC105 for an unknown language.
    """
    data = toml("segment", known_language(lang))
    spans: list[Span] = []
    breaks = sorted(_breaks(text, data))
    edges = [(0, 0), *breaks, (len(text), len(text))]
    for (_, start), (end, _) in pairwise(edges):
        end = _told_below(text, start, end, lang)
        for piece in _delimited(text, start, end, data, lang, numbered=start > 0):
            first, last = _bare(text, *piece)
            if first < last:
                spans.append((first, last))
    return spans


def _told_below(text: str, start: int, end: int, lang: str) -> int:
    """Where the first paragraph below that tells something begins, else ``end``. Below a number or several lines: where
    each item is a paragraph, one that tells something of a disease still names it."""
    for gap in _GAP.finditer(text, start, end):
        if not tells(text, gap.end(), end, lang):
            continue
        above = text[start : gap.start()].strip()
        if above and (start or "\n" in above):
            return gap.end()
    return end


def _bare(text: str, start: int, end: int) -> Span:
    while start < end and text[start] in _EDGE:
        start += 1
    while end > start and text[end - 1] in _EDGE:
        end -= 1
    return start, end


def _breaks(text: str, data: Mapping[str, Any]) -> Iterator[Span]:
    """Where an item begins: (start of its marker, end of its marker), not overlapping."""
    depth = _depths(text)
    found: list[Span] = []
    for marker in _CIRCLED.finditer(text):
        found.append(marker.span())
    for marker in re.finditer(r"(?:^|(?<=\n))", text):
        if bullet := _BULLET.match(text, marker.start()):
            found.append(bullet.span())
    taken = 0
    for span in sorted([*found, *_numbers(text, data, depth)]):
        if span[0] >= taken:
            taken = span[1]
            yield span


def _depths(text: str) -> list[int]:
    """How many brackets are open before each character; unbalanced ones are closed at the line's end."""
    depths, depth = [], 0
    for char in text:
        depths.append(depth)
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth = max(0, depth - 1)
        elif char == "\n":
            depth = 0
    return depths


def _numbers(text: str, data: Mapping[str, Any], depth: list[int]) -> Iterator[Span]:
    """Numbers in order: 1, 2, 3 …, each the first fitting place after the one before; also at a line's start."""
    runs_on = "run_on" in data  # of a language that writes lists without blanks
    expected = 1
    place = 0
    while place < len(text):
        for skipped in range(_SKIPPED + 1 if place and runs_on else 1):
            marker = _next_marker(text, place, expected + skipped, data, depth, skipped=skipped > 0)
            if marker is not None:
                break
        else:
            return
        start, place, number = marker
        yield start, place
        expected = number + 1


def _next_marker(
    text: str, place: int, expected: int, data: Mapping[str, Any], depth: list[int], *, skipped: bool
) -> tuple[int, int, int] | None:
    """Start, end and number of the first marker from ``place`` on that continues the list."""
    for start, end, number in _number_markers(text, place):
        at_line = not text[text.rfind("\n", 0, start) + 1 : start].strip()
        # a list may begin in its middle, or leave the 1 of its first item out
        if number != expected and not (at_line and number) and not (number == 2 and place == 0):
            continue
        if skipped and not at_line and not _HAN_BEFORE.search(text, max(0, start - 4), start):
            continue
        short = place > 0 and "run_on" in data
        if depth[start] or not _may_follow(text, start, number, at_line=at_line, short=short):
            continue
        if not at_line and _last_word(text, start) in data["letter_terms"]:
            continue  # the 2 of "diabetes mellitus type 2."
        if text[end : end + 1].isdigit() and not _digit_term(text, end, data["digit_terms"]):
            continue
        return start, end, number
    return None


def _last_word(text: str, end: int) -> str:
    found = _LAST_WORD.search(text, max(0, end - 24), end)
    return found[1].lower() if found else ""


def _number_markers(text: str, place: int) -> Iterator[tuple[int, int, int]]:
    for match in _MARKER.finditer(text, place):
        digits = match[1] or match[2] or match[3]
        yield match.start(), match.end(), int(digits) if digits.isdecimal() else _han_number(digits)


def _han_number(digits: str) -> int:
    tens, ten, ones = digits.partition("十")
    if not ten:
        return _HAN_DIGITS.find(digits) + 1 if len(digits) == 1 else 0
    return 10 * (_HAN_DIGITS.find(tens) + 1 if tens else 1) + (_HAN_DIGITS.find(ones) + 1 if ones else 0)


def _may_follow(text: str, start: int, number: int, *, at_line: bool, short: bool) -> bool:
    """Whether a marker may begin at ``start``: the first must stand free, the others may touch Han text or, if
    ``short``, a short form in capitals."""
    if at_line:
        return True
    before = text[start - 1]
    if before.isspace() or before in "；;。.,，、:：":
        return True
    if number > 1 and not (before.isascii() and before.isalnum()):
        return True
    return short and number > 1 and _SHORT_FORM.search(text, max(0, start - 6), start) is not None


def _digit_term(text: str, end: int, digit_terms: list[str]) -> bool:
    rest = re.match(r"\d{1,2}", text[end:])
    following = text[end + rest.end() :] if rest else ""
    return any(following.startswith(term) for term in digit_terms)


def _delimited(
    text: str, start: int, end: int, data: Mapping[str, Any], lang: str, *, numbered: bool
) -> Iterator[Span]:
    """Part a stretch at line breaks and delimiters outside brackets; unnumbered names at full stops, too."""
    strong: str = data["strong_delimiters"]
    weak: str = data["weak_delimiters"]
    qualifiers: list[str] = data["qualifiers"]
    for first, last in _split_at(text, start, end, strong + "\n\r", ()):
        pieces = [(first, last)]
        for delimiter in "" if numbered else weak:
            pieces = list(_split_at(text, first, last, delimiter, qualifiers))
            if len(pieces) > 1:
                break
        for piece in pieces:
            for part in [piece] if numbered else part_names(text, *piece, lang):
                yield from _run_on(text, *part, data)


def _split_at(text: str, start: int, end: int, delimiters: str, qualifiers: list[str] | tuple[()]) -> Iterator[Span]:
    depth, begin = 0, start
    for place in range(start, end):
        char = text[place]
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth = max(0, depth - 1)
        elif char == "\n":
            depth = 0
        if depth or char not in delimiters:
            continue
        if qualifiers and (
            len(text[begin:place].strip()) < 2 or text[place + 1 :].lstrip().startswith(tuple(qualifiers))
        ):
            continue  # 肝、脾肿大 is one finding; a grade belongs to what it grades
        yield begin, place
        begin = place + 1
    yield begin, end


def _run_on(text: str, start: int, end: int, data: Mapping[str, Any]) -> Iterator[Span]:
    """Part an item at blanks and plus signs between conditions: 冠心病 心房颤动, 造影术+支架置入术. Not where the right
    side goes on with the left one (高血压病 3级) or the left side is only what comes before a name (急性 胃炎)."""
    rules = data.get("run_on")
    if rules is None:
        yield start, end
        return
    joints = [m.span() for m in _BLANKS.finditer(text, start, end)]
    joints += [
        (m.start(), m.end()) for m in re.finditer(rf"[{re.escape(rules['joints'])}]", text[:end]) if m.start() >= start
    ]
    depth, begin = _depths(text[start:end]), start
    stays, opens = goes_on(tuple(rules["stays"]), rules["graded"]), tuple(rules["opens"])
    for first, last in sorted(joints):
        left, right = text[begin:first].strip(), text[last:end].strip()
        if depth[first - start] or min(len(left), len(right)) < _SHORTEST:
            continue
        if stays.match(right) or left.endswith(opens) or not _is_word(left[-1]) or not _is_word(right[0]):
            continue
        yield begin, first
        begin = last
    yield begin, end


def _is_word(char: str) -> bool:
    return char.isalnum() or char in '）)】]”"“?？'


@cache
def goes_on(words: tuple[str, ...], graded: str) -> re.Pattern[str]:
    """Matches where the words before go on: at one of ``words``, at a side, at a grade that no name follows."""
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    any_word = "|".join(map(re.escape, longest_first))
    grade = rf"(?:{graded})(?!(?!{any_word})[\u3400-\u9fff]{{3}})"
    return re.compile(rf"(?:{any_word}|{grade}|[左右双两]侧?\s*$)", re.IGNORECASE)
