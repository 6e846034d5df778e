"""Which full stops end a sentence: not those of numbers, of list numbers, of abbreviations, of a person's initials.

The abbreviations are data (``data/<language>/segment.toml``).
"""

from __future__ import annotations

import re
from typing import Any

from jointcoder.text.resources import toml

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_NUMBERING = re.compile(r"(?:^|[\s:：])\d{1,2}[.)]\s")
_TOKEN = re.compile(r"[^\s(\[（【]*$")
_LONGEST = 24  # characters of the word before a stop that are looked at


def word_before(text: str, start: int) -> str:
    """What stands before the stop at ``start``, up to a blank or bracket, in lower case."""
    found = _TOKEN.search(text, max(0, start - _LONGEST), start)
    return found[0].lower() if found else ""


def is_full_stop(text: str, start: int, end: int, lang: str) -> bool:
    """Whether the stop from ``start`` to ``end`` ends a sentence; ``end`` is behind closing quotes and brackets."""
    following = text[end : end + 1]
    if lang == "zh" and start and _HAN.match(text[start - 1]):
        return not following.isdigit()
    if following and not following.isspace():
        return False
    token = word_before(text, start)
    data = toml("segment", lang)
    if token in data["titles"]:
        return False
    if len(token) == 1 and token.isalpha() and _initial(text, start, data["letter_terms"]):
        return False
    if token.isdigit() and len(token) <= 2:
        line = text[text.rfind("\n", 0, start) + 1 : start - len(token)]
        if not line.strip() or _NUMBERING.search(line):
            return False  # "1. CHF 2. COPD"
    rest = text[end : end + 40].lstrip()
    if not rest:
        return True
    if token in data["abbreviations"]:
        return rest[0].isupper()
    return not rest[0].islower()


def _initial(text: str, start: int, letter_terms: Any) -> bool:
    """Whether the capital before a stop is a person's initial rather than, say, the C of hepatitis C."""
    if not text[start - 1].isupper() or not re.match(r"\.\s+[^\W\d_]{2,}", text[start : start + 30]):
        return False
    before = text[max(0, start - _LONGEST) : start - 1].split()
    return not before or before[-1].lower() not in letter_terms
