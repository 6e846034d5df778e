"""Text → comparable text, with an exact way back.

NFKC (full-width forms, ligatures, composed or decomposed accents), lower case, traditional → simplified by
character, and on request accents stripped and white space collapsed. Every character of the result knows the
stretch of the original it came from, so what is found in the one is quoted from the other. Converts characters,
never vocabulary: Taiwanese terms stay Taiwanese.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any


@dataclass(frozen=True)
class Normalised:
    """The normalised ``text``; character ``i`` of it stands for ``original[starts[i]:ends[i]]``."""

    text: str
    starts: tuple[int, ...] | range
    ends: tuple[int, ...] | range
    length: int  # of the original, in code points

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """Offsets into the normalised text → offsets into the original.

        Monotone; a non-empty span gives a non-empty one; the whole gives the whole. Raises ValueError when the
        offsets lie outside the text.
        """
        if not 0 <= start <= end <= len(self.text):
            raise ValueError("the span lies outside the normalised text")
        if start == end:
            place = self.starts[start] if start < len(self.text) else self.length
            return place, place
        return self.starts[start], self.ends[end - 1]

    def normalised_span(self, start: int, end: int) -> tuple[int, int]:
        """Offsets into the original → the smallest span of the normalised text that stands for all of it."""
        if not 0 <= start <= end <= self.length:
            raise ValueError("the span lies outside the original text")
        first = bisect_right(self.ends, start)
        if start == end:
            return first, first
        return first, max(first, bisect_left(self.starts, end))


def normalise(
    text: str, *, lower: bool = True, accents: bool = False, simplify: bool = True, spaces: bool = False
) -> Normalised:
    """Normalise ``text``. Each option names what is done: ``lower`` lowers case, ``accents`` removes accents,
    ``simplify`` turns traditional into simplified characters, ``spaces`` makes a run of white space one blank.

    Works piece by piece (a base character and its marks), so a letter's case never depends on its neighbours.
    """
    length = len(text)
    if text.isascii() and not spaces:
        return Normalised(text.lower() if lower else text, range(length), range(1, length + 1), length)
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    blank = False
    for start, end in _clusters(text):
        piece = _fold(text[start:end], lower, accents, simplify)
        if spaces and piece.isspace():
            if blank:
                ends[-1] = end
                continue
            piece, blank = " ", True
        else:
            blank = False
        pieces.append(piece)
        starts.extend([start] * len(piece))
        ends.extend([end] * len(piece))
    return Normalised("".join(pieces), tuple(starts), tuple(ends), length)


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Stretches whose normal forms, put together, are the normal form of the whole text."""
    start = 0
    for place in range(1, len(text)):
        if _opens(text[place]):
            yield start, place
            start = place
    if text:
        yield start, len(text)


@lru_cache(maxsize=1 << 16)
def _opens(char: str) -> bool:
    """Whether a character never joins the one before it under NFKC: neither a mark nor a Hangul or Kirat Rai
    vowel. (Errs on the side of longer clusters, which costs precision of the map, never correctness.)"""
    if char < "\u0300":
        return True
    first = unicodedata.normalize("NFKD", char)[0]
    if unicodedata.combining(first) or unicodedata.category(first).startswith("M"):
        return False
    return not ("\u1160" <= first <= "\u11ff" or "\U00016d63" <= first <= "\U00016d6a")


@lru_cache(maxsize=1 << 16)
def _fold(cluster: str, lower: bool, accents: bool, simplify: bool) -> str:
    piece = unicodedata.normalize("NFKC", cluster)
    if lower:
        piece = unicodedata.normalize("NFKC", piece.lower())
    if accents:
        bare = "".join(c for c in unicodedata.normalize("NFKD", piece) if unicodedata.category(c) != "Mn")
        piece = unicodedata.normalize("NFKC", bare) or piece  # a mark that stands alone is kept
    if simplify:
        piece = "".join(_simplified(c) if _is_han(c) else c for c in piece)
    return piece


def _is_han(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff" or "\U00020000" <= char <= "\U0003ffff"


@lru_cache(maxsize=1 << 16)
def _simplified(char: str) -> str:
    converted = str(_converter().convert(char))
    return converted if len(converted) == 1 else char


@cache
def _converter() -> Any:
    import opencc

    return opencc.OpenCC("t2s")
