"""A written term → the stretches of it that may be terms of their own.

    pieces(wording, language)  →  ((0, 9), (0, 4), (5, 9))      # units; the whole first

Split points are punctuation and joining words, both data (`data/<language>/split.toml`). Nothing is decided here: all
stretches are looked up and what they find competes. Knows no codes and no scores.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import pairwise

from jointcoder.codebook.analysis import level
from jointcoder.packs.terms.wording import Span, Wording
from jointcoder.text.resources import known_language

MOST = 12  # stretches looked up besides the whole
SHORTEST = 2  # characters of a stretch


@cache
def _cues(language: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Marks; marks and words."""
    path = files("jointcoder.packs.terms") / "data" / known_language(language) / "split.toml"
    data = tomllib.loads(path.read_text("utf-8"))
    marks = "|".join(re.escape(mark) for mark in data["marks"])
    words = sorted((level(word) for word in data["words"]), key=lambda word: (-len(word), word))
    # a word written in letters stands alone; one in Han characters has no edges to stand between
    bounded = [rf"(?<!\w){re.escape(w)}(?!\w)" if w.isascii() else re.escape(w) for w in words]
    return re.compile(marks), re.compile("|".join([marks, *bounded]))


def pieces(wording: Wording, language: str) -> tuple[Span, ...]:
    """The whole, then what lies between marks, then what lies between marks or words; each stretch once."""
    whole = (0, len(wording.units))
    found = [whole]
    # character by character, and only where one stays one: the places are those of the text as given
    text = "".join(plain if len(plain := level(character)) == 1 else character for character in wording.text)
    for pattern in _cues(language):
        cuts = [match.span() for match in pattern.finditer(text)]
        found += [span for span in _between(wording.places, cuts, len(wording.text)) if span != whole]
    long_enough = [s for s in found if sum(map(len, wording.units[s[0] : s[1]])) >= SHORTEST or s == whole]
    return tuple(dict.fromkeys(long_enough))[: MOST + 1]


def _between(places: Sequence[Span], cuts: Sequence[Span], end: int) -> list[Span]:
    """Stretches of text without the cuts, as stretches of units."""
    spans = []
    for (_, start), (stop, _) in pairwise([(0, 0), *cuts, (end, end)]):
        inside = [i for i, (first, last) in enumerate(places) if first >= start and last <= stop]
        if inside:
            spans.append((inside[0], inside[-1] + 1))
    return spans
