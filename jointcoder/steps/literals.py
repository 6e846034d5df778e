"""Codes written out in a text: models never write codes, and no prompt or plan may hold one.

A prompt that names a code gives the answer away (a critique that quotes gold codes would leak them into the next
plan), and a name that a model wrote with a code beside it is looked up without the code. What looks like a code
counts as one, whether or not a book holds it; a few ordinary words that look so are data (``data/literals.toml``).
Knows forms, no code book.
"""

from __future__ import annotations

import re
import unicodedata

from jointcoder.steps.common import step_data

_TOKEN = re.compile(r"(?<![A-Za-z0-9.])[A-Za-z0-9](?:[A-Za-z0-9.]*[A-Za-z0-9])?(?![A-Za-z0-9])")
_FORMS = (
    re.compile(r"(?i:[a-z]\d[0-9ab]\.[0-9a-z]{1,8})"),  # ICD-10 with its dot, the Chinese editions' x included
    re.compile(r"[A-Z]\d[0-9AB][0-9A-Z]{0,4}"),  # a category, or without the dot
    re.compile(r"(?=.*[A-Z])(?=(?:.*\d){2})[0-9BCDFGHX][0-9A-HJ-NP-Z]{6}"),  # ICD-10-PCS
    re.compile(r"(?i:\d\d\.\d{2,4}(?:x\d{2,4})?)"),  # ICD-9-CM-3
)
_LEFT_BEHIND = re.compile(r"[(\[（【]\s*[.+*†/,;:、，；：\-–—\s]*[)\]）】]")
_BLANKS = re.compile(r"[ \t]{2,}")
_BEFORE_STOP = re.compile(r"[ \t]+(?=[.,;:!?。，；：])")
_EDGES = " \t\n\r+*†/,;:、，；：.。-–—"


def code_literals(text: str) -> list[str]:
    """What stands in the text in the form of an ICD-10, ICD-10-PCS or ICD-9-CM-3 code, in order, each once."""
    plain = unicodedata.normalize("NFKC", text)
    return list(dict.fromkeys(m.group() for m in _TOKEN.finditer(plain) if _is_code(m.group())))


def without_literals(text: str) -> str:
    """The text without such codes and the brackets that held them; unchanged where it holds none."""
    plain = unicodedata.normalize("NFKC", text)
    bare = _TOKEN.sub(lambda m: "" if _is_code(m.group()) else m.group(), plain)
    if bare == plain:
        return text
    return _BEFORE_STOP.sub("", _BLANKS.sub(" ", _LEFT_BEHIND.sub(" ", bare))).strip()


def bare_name(text: str) -> str:
    """A name without the code that stands before or behind it, and without the dash between them."""
    bare = without_literals(text)
    return text.strip() if bare == text else bare.strip(_EDGES)


def _is_code(token: str) -> bool:
    return any(form.fullmatch(token) for form in _FORMS) and token not in step_data("literals")["words"]
