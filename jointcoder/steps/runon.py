"""Conditions that run together in one item of a list, parted by what the code book holds.

    心律失常房室传导阻滞      心律失常 | 房室传导阻滞
    胸腔积液伴肺炎           胸腔积液 | 肺炎
    胆囊结石伴慢性胆囊炎      one item: the book has a name for the whole

An item that the book holds as it is written stays whole. Any other is cut where a name may end (data:
``text/data/<language>/segment.toml``) if its parts are found clearly better than the whole; a part that only repeats
another is no part. Languages without that data keep every item. Chooses no codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from jointcoder.records import System
from jointcoder.steps import seek
from jointcoder.steps.status import status_hits
from jointcoder.text.expand import expand
from jointcoder.text.items import goes_on, split_items
from jointcoder.text.resources import known_language, toml

if TYPE_CHECKING:
    from jointcoder.steps.base import Tools

Part = tuple[int, int]

WHOLE = 0.95  # score from which an item, or a part, is found as it is written
LEAST = 0.45  # score of each part
BETTER = 0.12  # by which the parts, weighed by length, are found better than the whole
LONGEST = 60  # characters of an item that is looked at: longer ones are sentences
MOST_CUTS = 8
SHORTEST = 2  # characters of a part


@dataclass(frozen=True)
class _Marks:
    heads: re.Pattern[str]
    connectives: re.Pattern[str]
    goes_on: re.Pattern[str]


@cache
def _marks(language: str) -> _Marks | None:
    rules: Mapping[str, Any] | None = toml("segment", known_language(language)).get("run_on")
    if rules is None or "heads" not in rules:
        return None

    def any_of(words: list[str]) -> str:
        return "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word)))

    return _Marks(
        re.compile(f"(?:{any_of(rules['heads'])}|[)）\\]】])"),
        re.compile(f"(?:{any_of(rules['connectives'])})+"),
        goes_on((*rules["goes_on"], *rules["stays"]), rules["graded"]),
    )


def listed(text: str, language: str, tools: Tools, system: System | None) -> list[Part]:
    """Offsets of all conditions in a list: its items, and the parts of those that run together. Raises InputError
    JC105."""
    return [
        (start + first, start + last)
        for start, end in split_items(text, language)
        for first, last in parts(text[start:end], language, tools, system)
    ]


def parts(item: str, language: str, tools: Tools, system: System | None) -> list[Part]:
    """Offsets of the conditions in ``item``, in order; the whole item where it is one. Raises InputError JC105."""
    marks = _marks(language)
    whole = [(0, len(item))]
    if marks is None or system is None or not 2 * SHORTEST <= len(item) <= LONGEST:
        return whole
    cuts = _cuts(item, marks)
    if not cuts:
        return whole
    found: dict[str, float] = {}

    def score(text: str) -> float:
        if text not in found:
            whole_state = not _cuts(text, marks)  # else the state would swallow the diseases before it
            found[text] = _score(text, language, tools, system, state=whole_state)
        return found[text]

    own = score(item)
    if own >= WHOLE:
        return whole
    best = _best(item, cuts, marks, score)
    if len(best) < 2:
        return whole
    joined = all(end < start for (_, end), (start, _) in pairwise(best))  # a connective stands between the parts
    written = joined and all(score(item[start:end]) >= WHOLE for start, end in best)
    return best if written or _weighed(item, best, score) >= own + BETTER else whole


def _score(text: str, language: str, tools: Tools, system: System, *, state: bool) -> float:
    """Of the best entry for a wording in any of its forms, or for the ``state`` of an operation that it names."""
    if state and (states := status_hits(text, language, tools, system, 1)):
        return states[0].score
    wordings = expand(text, language)
    scores = (
        hits[0].score
        for wording in [*wordings, *seek.further(wordings, language)]
        if (hits := seek.seek(wording, language, tools, system, 1))
    )
    return max(scores, default=0.0)


def _cuts(item: str, marks: _Marks) -> list[int]:
    """Where a part may begin, in order: behind the end of a name or at a connective, outside brackets."""
    places = {match.end() for match in marks.heads.finditer(item)} | {
        m.start() for m in marks.connectives.finditer(item)
    }
    closed = [place for place in sorted(places) if _depth(item[:place]) == 0]
    inside = [place for place in closed if SHORTEST <= place <= len(item) - SHORTEST]
    begins = ((place, _begin(item, place, len(item), marks)) for place in inside)
    return [place for place, begin in begins if not marks.goes_on.match(item, begin)][:MOST_CUTS]


def _depth(text: str) -> int:
    return sum(text.count(mark) for mark in "(（[【") - sum(text.count(mark) for mark in ")）]】")


def _best(item: str, cuts: list[int], marks: _Marks, score: Callable[[str], float]) -> list[Part]:
    """The parts that are found best: dynamic programming over the cuts, Σ length × score, each at least ``LEAST``."""
    edges = [0, *cuts, len(item)]
    best: dict[int, tuple[float, list[Part]]] = {0: (0.0, [])}
    for last in edges[1:]:
        for first in (edge for edge in edges if edge < last and edge in best):
            start = _begin(item, first, last, marks)
            text = item[start:last]
            if len(text) < SHORTEST or (first == 0 and last == len(item)) or marks.goes_on.fullmatch(text):
                continue
            value = score(text)
            total = best[first][0] + value * _length(text)
            if value >= LEAST and total > best.get(last, (0.0, []))[0]:
                best[last] = total, [*best[first][1], (start, last)]
    chosen = best.get(len(item), (0.0, []))[1]
    texts = [item[start:end] for start, end in chosen]
    repeated = any(one != other and one in other for one in texts for other in texts) or len(set(texts)) < len(texts)
    return [] if repeated else chosen


def _begin(item: str, first: int, last: int, marks: _Marks) -> int:
    """Where a part begins without the connective before it."""
    found = marks.connectives.match(item, first, last) if first else None
    return found.end() if found else first


def _weighed(item: str, chosen: list[Part], score: Callable[[str], float]) -> float:
    texts = [item[start:end] for start, end in chosen]
    return sum(score(text) * _length(text) for text in texts) / max(1, sum(map(_length, texts)))


def _length(text: str) -> int:
    """Characters that are not marks."""
    return sum(char.isalnum() for char in text)
