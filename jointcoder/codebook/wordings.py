"""Wordings of a printed title under which people look for it.

Brackets of the tabular list hold non-essential modifiers: "Essential (primary) hypertension" is also looked for
without them. "Pneumonia, viral" is also "viral pneumonia". The rules come from the conventions of ICD-10-CM (section
I.A.7, punctuation). This module knows no codes and no index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BRACKETS = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])")
_CODES = re.compile(r"\s*\((?:[A-Z]\d[0-9A-Z.\-]*[,\s]*)+\)")
_HAN_BRACKETS = re.compile(r"[（(\[【][^（()）\[\]【】]*[）)\]】]")
_AND = re.compile(r"([\w-]+(?: [\w-]+)?) and ([\w-]+(?: [\w-]+)?)")
_LONGEST = 14  # words of an includes note beyond which it is a sentence, not a wording


def variants(text: str, *, kind: str, language: str) -> Iterator[tuple[str, bool]]:
    """(wording, whether it is only a part of the title), the printed wording first.

    "Hypo-osmolality and hyponatremia" is looked for by either part: "and" means "and/or" in titles (I.A.14). An
    ``include`` note that is a sentence yields nothing.
    """
    text = _CODES.sub("", text)
    if language == "zh":
        yield text, False
        bare = _HAN_BRACKETS.sub("", text)
        if bare.strip() and bare != text:
            yield bare, False
        return
    if kind == "include" and len(text.split()) > _LONGEST:
        return
    yield text, False
    bare = _BRACKETS.sub("", text).strip(" ,")
    if bare and bare != text:
        yield bare, False
    parts = [part.strip() for part in bare.split(",")]
    if len(parts) == 2 and all(parts) and len(parts[1].split()) <= 3:
        yield f"{parts[1]} {parts[0]}", False
    if m := _AND.fullmatch(bare):
        yield m[1], True
        yield m[2], True
