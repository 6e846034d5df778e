"""A wording without what only says how sure it is: 肺结核待排？ → 肺结核, 考虑急性胰腺炎 → 急性胰腺炎.

The cues are those of assertion (``data/<language>/assertion.toml``); only languages whose cues reach by characters join
them to names without a blank, the others have nothing to take off. Says nothing about the assertion itself.
"""

from __future__ import annotations

import re

from jointcoder.records import Assertion
from jointcoder.text.cues import Found, cue_table
from jointcoder.text.normalise import normalise

_BRACKETED = re.compile(r"[(（\[【][^()（）\[\]【】]*[)）\]】]")
_EDGE = " \t\u3000,，、;；:：.。?？()（）"


def bare(term: str, language: str) -> str:
    """``term`` without cues of doubt at either end; the term itself where there are none. Raises InputError JC105."""
    table = cue_table(language)
    if table.by_words:
        return term
    rest = term
    while True:
        normal = normalise(rest, accents=True)
        start, end = 0, len(normal.text)
        for found in table.find(normal.text):
            if _doubts(found, forward=True) and found.start == start and found.end < end:
                start = found.end
            elif _doubts(found, forward=False) and found.end == end and found.start > start:
                end = found.start
        first, last = normal.original_span(start, end)
        shorter = rest[first:last].strip(_EDGE)
        if shorter == rest or not shorter:
            return rest
        rest = shorter


def unbracketed(term: str) -> str:
    """``term`` without what stands in brackets; the term itself where nothing would be left."""
    return " ".join(_BRACKETED.sub(" ", term).split()) or term


def _doubts(found: Found, *, forward: bool) -> bool:
    return any(cue.category is Assertion.POSSIBLE and cue.forward is forward for cue in found.cues)
