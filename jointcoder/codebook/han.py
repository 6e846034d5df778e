"""Traditional characters → simplified ones, character by character: the length stays, and so do all offsets.

Characters are converted (opencc), never words: what Taiwan calls otherwise is the business of the word tables
(`data/zh/taiwan`). Knows no code book.
"""

from __future__ import annotations

from functools import cache
from typing import Any


def simplified(text: str) -> str:
    """``text`` with every traditional character that has one simplified form replaced by it."""
    return text if text.isascii() else text.translate(_table())


class _Table(dict[int, int]):
    """Code point → code point of its simplified form, converted when first met."""

    def __missing__(self, point: int) -> int:
        converted = _converter().convert(chr(point)) if _han(point) else chr(point)
        self[point] = ord(converted) if len(converted) == 1 else point
        return self[point]


def _han(point: int) -> bool:
    """Whether the code point may be a Chinese character; half of a surrogate pair, which JSON lets in, never is."""
    return 0x2E80 <= point < 0xD800 or 0xF900 <= point <= 0xFAFF or point >= 0x20000


@cache
def _table() -> _Table:
    return _Table()


@cache
def _converter() -> Any:
    import opencc

    return opencc.OpenCC("t2s")
