"""The hierarchy of one code system in memory: a few bytes an entry, so that walking it takes microseconds.

Entries are numbered in printed order (pre-order), from 0. ``parent[i]`` is the entry above (-1 for a root) and
``last[i]`` the last entry below, so that *below* is a comparison of numbers: a stands above b where
``a < b <= last[a]``. Loaded once a book, at first use, in about twenty milliseconds per ten thousand entries.
This module knows codes and levels, but no names, notes or dates.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.model import LEVELS
from jointcoder.errors import AssetError

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.records import System

CHAPTER, BLOCK, CATEGORY, CODE = range(len(LEVELS))
REMEMBERED = 8192  # codes whose place is kept at hand
AT_ONCE = 4_000  # rows read at a time: what bounds the memory that loading takes


@dataclass(frozen=True, eq=False)
class Tree:
    """See the module. ``base``: row number of entry 0 in the book; ``codes`` as shown; ``keys`` sorted, the
    entry of the i-th key is ``order[i]``."""

    base: int
    parent: array[int]
    last: array[int]
    level: array[int]
    billable: array[int]
    codes: NDArray[np.bytes_]
    keys: NDArray[np.bytes_]
    order: array[int]
    _remembered: Any = field(repr=False)

    @classmethod
    def load(cls, book: CodeBook, system: System) -> Self:
        """Read the arrays. AssetError JC207 where the entries of the system are not stored in one run."""
        base, end, count = book.rows("SELECT min(id), max(id), count(*) FROM node WHERE system = ?", system)[0]
        base, end = base or 0, -1 if end is None else end
        if count and end - base + 1 != count:
            raise AssetError("JC207", f"the code book {book.path}: the entries of {system} are scattered")
        parent, last, level, billable, order = (array(kind) for kind in "iibbi")
        codes: list[NDArray[np.bytes_]] = []
        keys: list[NDArray[np.bytes_]] = []
        for first in range(base, end + 1, AT_ONCE):
            rows = book.rows(
                "SELECT parent, last, level, billable, code, key FROM node WHERE id BETWEEN ? AND ? ORDER BY id",
                first,
                min(first + AT_ONCE - 1, end),
            )
            parents, lasts, levels, billables, shown, filed = zip(*rows, strict=True)
            parent.extend(-1 if one is None else one - base for one in parents)
            last.extend(one - base for one in lasts)
            level.extend(map(LEVELS.index, levels))
            billable.extend(map(int, billables))
            named = (_shown(*pair).encode() for pair in zip(shown, levels, strict=True))
            codes.append(np.array(list(named), dtype=np.bytes_))
            keys.append(np.array([key.encode() for key in filed], dtype=np.bytes_))
        all_keys = np.concatenate(keys) if keys else np.empty(0, dtype="S1")
        # Of entries filed under one key a heading comes before a chapter, then the first in print.
        by_key = np.lexsort((np.arange(count), np.frombuffer(level, dtype=np.int8) == CHAPTER, all_keys))
        order.frombytes(by_key.astype(np.int32).tobytes())
        tree = cls(
            base=base,
            parent=parent,
            last=last,
            level=level,
            billable=billable,
            codes=np.concatenate(codes) if codes else np.empty(0, dtype="S1"),
            keys=all_keys[by_key],
            order=order,
            _remembered=lru_cache(REMEMBERED)(lambda code: tree.search(code)),
        )
        return tree

    def __len__(self) -> int:
        return len(self.parent)

    def find(self, code: str) -> int:
        """The entry of ``code`` (any case and width, with or without dot), -1 where there is none."""
        found: int = self._remembered(code)
        return found

    def search(self, code: str) -> int:
        """The same, without the memory of what was asked before."""
        key = normalise_code(code).encode("utf-8", "surrogatepass")
        if not key or key.endswith(b"\0"):  # a fixed-width array cannot tell trailing zero bytes from none
            return -1
        at = bisect_left(self.keys, key)
        return self.order[at] if at < len(self.keys) and self.keys[at] == key else -1

    def code(self, node: int) -> str:
        """How the entry is called. A block of one category is called as its category."""
        return bytes(self.codes[node]).decode()

    def spelt(self, first: int, last: int) -> list[str]:
        """The codes of the entries from ``first`` to ``last``, both included."""
        return [code.decode() for code in self.codes[first : last + 1].tolist()]

    def block_of(self, node: int) -> int:
        """The block of one category above ``node`` that bears its name, else ``node`` itself."""
        above = self.parent[node]
        same = above >= 0 and self.level[above] == BLOCK and self.codes[above] == self.codes[node]
        return above if same else node

    def ancestors(self, node: int) -> Iterator[int]:
        """From the parent up."""
        node = self.parent[node]
        while node >= 0:
            yield node
            node = self.parent[node]

    def children(self, node: int) -> Iterator[int]:
        """In printed order."""
        child, last = node + 1, self.last[node]
        while child <= last:
            yield child
            child = self.last[child] + 1

    def above(self, a: int, b: int) -> bool:
        """Whether ``a`` is an ancestor of ``b``."""
        return a < b <= self.last[a]

    def common(self, a: int, b: int) -> int:
        """The nearest entry that is each of the two or stands above it; -1 where they share none."""
        while a >= 0 and not a <= b <= self.last[a]:
            a = self.parent[a]
        return a


def _shown(code: str, level: str) -> str:
    """Of a block ``M17-M17`` → ``M17``: the book tells it from its category, the printed tabular list does not."""
    first, dash, last = code.partition("-")
    return first if dash and first == last and level == LEVELS[BLOCK] else code
