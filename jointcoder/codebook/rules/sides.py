"""Left, right and both: conflicts of laterality (ICD-10-CM Official Guidelines I.B.13).

Titles are taken apart into a side and the rest; two codes of one category with the same rest are one condition on
different sides. The words are data (``sides.toml``). Rules: laterality-bilateral, laterality-unspecified,
laterality-procedure. English titles only: the Chinese editions seldom code the side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from jointcoder.codebook.rules.case import Case, Item
from jointcoder.codebook.rules.catalogue import cues
from jointcoder.records import Finding, System

_WORD = re.compile(r"[^\W_]+")
RIGHT, LEFT, BOTH = "right", "left", "both"
OPPOSITE = {RIGHT: LEFT, LEFT: RIGHT}


@dataclass(frozen=True, slots=True)
class Sided:
    """A title: its side (empty: none named), the other words in order of the alphabet, the parts that follow a side,
    and the rest once for every "unspecified" that may mean the side."""

    side: str
    rest: tuple[str, ...]
    parts: frozenset[str]
    open: tuple[tuple[str, ...], ...]


@lru_cache(maxsize=16_384)
def sided(title: str) -> Sided:
    """The side and the rest of an English title."""
    words = [word.casefold() for word in _WORD.findall(title)]
    side = next((name for name in (BOTH, RIGHT, LEFT) if any(word in cues("sides", name) for word in words)), "")
    if side != BOTH and {RIGHT, LEFT} <= set(words):
        side = ""  # names both sides in another sense
    dropped = {*cues("sides", "dropped"), *cues("sides", RIGHT), *cues("sides", LEFT), *cues("sides", BOTH)}
    rest = sorted(word for word in words if word not in dropped)
    vague = [word for word in rest if word in cues("sides", "unspecified")]
    lessened = []
    if not side and vague:
        lessened = list(rest)
        lessened.remove(vague[0])
    return Sided(side, tuple(rest), _parts(title) if side else frozenset(), (tuple(lessened),) if lessened else ())


def _parts(title: str) -> frozenset[str]:
    """The part of the body behind the side: "Pain in right knee" → knee, "Repair Left Upper Femur, Open" → femur."""
    found: set[str] = set()
    qualifiers = cues("sides", "qualifiers")
    for piece in title.casefold().split(","):
        words = _WORD.findall(piece)
        for at, word in enumerate(words):
            if word in (RIGHT, LEFT):
                found.update(w for w in words[at + 1 : at + 4] if w not in qualifiers)
    return frozenset(found)


def findings(case: Case) -> Iterator[Finding]:
    """Findings about sides, condition by condition."""
    codes = [
        (item, sided(item.facts.name)) for item in case.diagnoses if item.system is System.ICD10CM and item.facts.known
    ]
    by_rest: dict[tuple[str, tuple[str, ...]], dict[str, Item]] = {}
    for item, title in codes:
        if title.side:
            by_rest.setdefault((item.key[:3], title.rest), {})[title.side] = item
    if not by_rest:
        return
    for (category, rest), sides in by_rest.items():
        yield from _two_sides(case, category, rest, sides)
    for item, title in codes:
        for rest in title.open:
            clear = by_rest.get((item.key[:3], rest))
            if clear:
                other = next(iter(clear.values()))
                message = f"leaves the side open that {other.shown} names"
                yield case.finding("laterality-unspecified", item, other, message=message, remedy=f"keep {other.shown}")
    yield from _procedures(case, [title for _, title in codes])


def _two_sides(case: Case, category: str, rest: tuple[str, ...], sides: dict[str, Item]) -> Iterator[Finding]:
    both, right, left = sides.get(BOTH), sides.get(RIGHT), sides.get(LEFT)
    if both is not None:
        for one in (right, left):
            if one is not None:
                message = f"is one side of {both.shown}, which names both"
                yield case.finding("laterality-bilateral", one, both, message=message, remedy=f"leave {one.shown} out")
    elif right is not None and left is not None:
        code = case.book.remembered((category, *rest), lambda: _bilateral(case, category, rest))
        if code:
            message = f"and {left.shown} are the two sides of a condition that has a bilateral code"
            remedy = f"code {code} in place of the two"
            yield case.finding("laterality-bilateral", right, left, message=message, remedy=remedy)


def _bilateral(case: Case, category: str, rest: tuple[str, ...]) -> str:
    place = case.book.place(System.ICD10CM, category)
    for below in case.book.codes_below(place) if place else ():
        title = sided(below.name)
        if title.side == BOTH and title.rest == rest:
            return below.code
    return ""


def _procedures(case: Case, titles: list[Sided]) -> Iterator[Finding]:
    """A procedure on a side of a part of which the diagnoses name the other side only."""
    for item in case.procedures:
        if item.system is not System.ICD10PCS or not item.facts.known:
            continue
        done = sided(item.facts.name)
        if done.side not in OPPOSITE:
            continue
        same = {title.side for title in titles if title.parts & done.parts}
        if same == {OPPOSITE[done.side]}:
            other = next(
                one
                for one in case.diagnoses
                if one.system is System.ICD10CM and sided(one.facts.name).parts & done.parts
            )
            message = f"is on the {done.side} side; the diagnoses of that part name the other"
            remedy = "see the record for the side of each"
            yield case.finding("laterality-procedure", item, other, message=message, remedy=remedy)
