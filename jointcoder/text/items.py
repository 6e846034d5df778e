"""A written diagnosis or procedure list → its items.

    1.高血压病3级 2.2型糖尿病   →  高血压病3级 | 2型糖尿病

Numbers are numbering only when they come in order, which is what tells the 2 of "2." from the 2 of "2型" and both
from "1.5cm". Delimiters part what is not numbered. Items that run together with neither stay one item.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

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


def split_items(text: str, lang: str) -> list[Span]:
    """Offsets of the list's items, in order, without numbers, bullets, and punctuation at either end.

    Raises InputError JC105 for an unknown language.
    """
    data = toml("segment", known_language(lang))
    spans: list[Span] = []
    breaks = sorted(_breaks(text, data["digit_terms"]))
    edges = [(0, 0), *breaks, (len(text), len(text))]
    for (_, start), (end, _) in pairwise(edges):
        for piece in _delimited(text, start, end, data, numbered=start > 0):
            first, last = _bare(text, *piece)
            if first < last:
                spans.append((first, last))
    return spans


def _bare(text: str, start: int, end: int) -> Span:
    while start < end and text[start] in _EDGE:
        start += 1
    while end > start and text[end - 1] in _EDGE:
        end -= 1
    return start, end


def _breaks(text: str, digit_terms: list[str]) -> Iterator[Span]:
    """Where an item begins: (start of its marker, end of its marker), not overlapping."""
    depth = _depths(text)
    found: list[Span] = []
    for marker in _CIRCLED.finditer(text):
        found.append(marker.span())
    for marker in re.finditer(r"(?:^|(?<=\n))", text):
        if bullet := _BULLET.match(text, marker.start()):
            found.append(bullet.span())
    taken = 0
    for span in sorted([*found, *_numbers(text, digit_terms, depth)]):
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


def _numbers(text: str, digit_terms: list[str], depth: list[int]) -> Iterator[Span]:
    """Numbers in order: 1, 2, 3 …, each the first fitting place after the one before; also at a line's start."""
    expected = 1
    place = 0
    while place < len(text):
        for marker in _number_markers(text, place):
            start, end, number = marker
            at_line = not text[text.rfind("\n", 0, start) + 1 : start].strip()
            # a list may begin in its middle, or leave the 1 of its first item out
            if number != expected and not (at_line and number) and not (number == 2 and place == 0):
                continue
            if depth[start] or not _may_follow(text, start, number, at_line):
                continue
            if text[end : end + 1].isdigit() and not _digit_term(text, end, digit_terms):
                continue
            yield start, end
            expected, place = number + 1, end
            break
        else:
            return


def _number_markers(text: str, place: int) -> Iterator[tuple[int, int, int]]:
    for match in _MARKER.finditer(text, place):
        digits = match[1] or match[2] or match[3]
        yield match.start(), match.end(), int(digits) if digits.isdecimal() else _han_number(digits)


def _han_number(digits: str) -> int:
    tens, ten, ones = digits.partition("十")
    if not ten:
        return _HAN_DIGITS.find(digits) + 1 if len(digits) == 1 else 0
    return 10 * (_HAN_DIGITS.find(tens) + 1 if tens else 1) + (_HAN_DIGITS.find(ones) + 1 if ones else 0)


def _may_follow(text: str, start: int, number: int, at_line: bool) -> bool:
    """Whether a marker may begin at ``start``: the first must stand free, the others may touch Han text."""
    if at_line:
        return True
    before = text[start - 1]
    if before.isspace() or before in "；;。.,，、:：":
        return True
    return number > 1 and not (before.isascii() and before.isalnum())


def _digit_term(text: str, end: int, digit_terms: list[str]) -> bool:
    rest = re.match(r"\d{1,2}", text[end:])
    following = text[end + rest.end() :] if rest else ""
    return any(following.startswith(term) for term in digit_terms)


def _delimited(text: str, start: int, end: int, data: Mapping[str, Any], *, numbered: bool) -> Iterator[Span]:
    """Part a stretch at line breaks and delimiters outside brackets."""
    strong: str = data["strong_delimiters"]
    weak: str = data["weak_delimiters"]
    qualifiers: list[str] = data["qualifiers"]
    for first, last in _split_at(text, start, end, strong + "\n\r", ()):
        pieces = [(first, last)]
        for delimiter in "" if numbered else weak:
            pieces = list(_split_at(text, first, last, delimiter, qualifiers))
            if len(pieces) > 1:
                break
        yield from pieces


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
