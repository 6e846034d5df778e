"""How a wording is taken apart so that two of them can be compared.

    Wording.of("Fracture of left wrist")  →  units ("fracture", "of", "left", "wrist"), places, grams

A unit is a Han character, a run of letters or a run of digits, levelled in case, width and accents; punctuation parts
units and is no unit. Grams are single units, pairs and threes of neighbours, and for written-out words the letters in
threes, so that inflections and misspellings still meet. Knows no language, no code and no word list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from jointcoder.codebook.analysis import level

_UNIT = re.compile(r"[㐀-鿿豈-﫿]|\d+|[^\W\d_㐀-鿿豈-﫿]+")
_LETTERS = 3
LONGEST = 400  # characters of a mention that are read: a term, not a note

Span = tuple[int, int]


@dataclass(frozen=True)
class Wording:
    """A text with its units and where each stands in the text as given (code-point offsets)."""

    text: str
    units: tuple[str, ...]
    places: tuple[Span, ...] = field(repr=False)

    @classmethod
    def of(cls, text: str) -> Wording:
        text = text[:LONGEST]
        units: list[str] = []
        places: list[Span] = []
        plain: list[str] = []
        origin: list[int] = []
        for at, character in enumerate(text):
            levelled = level(character)
            plain.append(levelled)
            origin += [at] * len(levelled)
        for match in _UNIT.finditer("".join(plain)):
            units.append(match.group())
            places.append((origin[match.start()], origin[match.end() - 1] + 1))
        return cls(text, tuple(units), tuple(places))

    def part(self, first: int, last: int) -> Wording:
        """The units from ``first`` to ``last`` (exclusive) as a wording of their own, places those of the whole."""
        return Wording(self.text, self.units[first:last], self.places[first:last])

    @property
    def key(self) -> str:
        """Equal keys are equal wordings."""
        return " ".join(self.units)

    @cached_property
    def grams(self) -> tuple[str, ...]:
        """Each gram once, in order of first appearance."""
        return tuple(dict.fromkeys(_grams(self.units)))

    @cached_property
    def short(self) -> tuple[str, ...]:
        """Units and pairs of neighbours, each once."""
        return tuple(dict.fromkeys((*self.units, *(f"{one} {other}" for one, other in pairwise(self.units)))))

    @cached_property
    def gram_set(self) -> frozenset[str]:
        return frozenset(self.grams)


def _grams(units: Sequence[str]) -> Iterator[str]:
    yield from units
    for left, right in pairwise(units):
        yield f"{left} {right}"
    for at in range(len(units) - 2):
        yield " ".join(units[at : at + 3])
    for unit in units:
        if len(unit) > _LETTERS and not unit.isdigit():
            padded = f"<{unit}>"
            for at in range(len(padded) - _LETTERS + 1):
                yield f"~{padded[at : at + _LETTERS]}"
