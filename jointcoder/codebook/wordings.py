"""Wordings of a printed title under which people look for it.

Brackets of the tabular list hold non-essential modifiers: "Essential (primary) hypertension" is also looked for
without them. "Pneumonia, viral" is also "viral pneumonia". The rules come from the conventions of ICD-10-CM (section
I.A.7, punctuation). This module knows no codes and no index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_BRACKETS = re.compile(r"\s*(?:\([^()]*\)|\[[^\[\]]*\])")
_MODIFIERS = re.compile(r"\(([^()]*)\)")
_CODES = re.compile(r"\s*\((?:[A-Z]\d[0-9A-Z.\-]*[,\s]*)+\)")
_HAN_BRACKETS = re.compile(r"[（(\[【][^（()）\[\]【】]*[）)\]】]")
INDEX, EXTERNAL = INDEX_KINDS = ("index", "external")
"""Kinds of wordings that come from the alphabetic index and from the index of external causes."""

_LONGEST = 14  # words of an includes note beyond which it is a sentence, not a wording


def variants(text: str, *, kind: str, language: str, connectives: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    """(wording, whether it is only a part of the title), the printed wording first.

    "Hypo-osmolality and hyponatremia" is looked for by either part: "and" means "and/or" in titles (I.A.14). An
    ``include`` note that is a sentence yields nothing. "Osteoarthritis of knee" is also "knee osteoarthritis".
    A line of the index ("Angina, unstable (accelerated)") is looked for as it is spoken, and with each of its
    modifiers.
    ``connectives``: word → ``either`` or ``inverse`` (`data/<language>/connectives.tsv`).
    """
    text = _CODES.sub("", text)
    if language == "zh":
        yield text, False
        bare = _HAN_BRACKETS.sub("", text)
        if bare.strip() and bare != text:
            yield bare, False
        return
    if kind in INDEX_KINDS:
        yield from _of_index(text)
        return
    if kind == "include" and len(text.split()) > _LONGEST:
        return
    yield text, False
    bare = _BRACKETS.sub("", text).strip(" ,")
    if bare and bare != text:
        yield bare, False
    first, *rest = (part.strip() for part in bare.split(","))
    if len(rest) == 1 and first and rest[0] and len(rest[0].split()) <= 3:
        yield f"{rest[0]} {first}", False
    words = first.split()
    for place, word in enumerate(words):
        before, after = " ".join(words[:place]), " ".join(words[place + 1 :])
        role = connectives.get(word)
        if role == "either" and len(words) == 3 and place == 1 and not rest:
            yield before, True
            yield after, True
        elif role == "inverse" and place and after and not connectives.keys() & {*words[:place], *words[place + 1 :]}:
            yield ", ".join((f"{after} {before}", *rest)), False
            return


def _of_index(text: str) -> Iterator[tuple[str, bool]]:
    """The path as it is spoken, then with each non-essential modifier: any of them may be said (I.A.7)."""
    bare = _BRACKETS.sub("", text).strip(" ,")
    main, *subterms = (part.strip() for part in bare.split(","))
    spoken = f"{subterms[0]} {main}" if len(subterms) == 1 else bare
    yield spoken, False
    for modifier in _MODIFIERS.findall(text):
        yield f"{modifier} {spoken}", False
