"""Kept prefixes: which token sequences lie prefilled in the engine's cache.

    cells:  [ home 0, whole blocks | home 1 | home 2 | …  top )  branches of the current wave …

Each kept prefix has a sequence of its own ("home"); a branch begins as a copy of the part of a home that it shares.
Homes are appended at block boundaries and given up all at once when there is no room: giving up single ones would
scatter the cells of the next, and then its numbers would depend on history (see engine.py). Homes are keyed by
adapter: the same tokens under another adapter have other keys and values. This module knows no questions or prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jointcoder.llm.engine import Engine
from jointcoder.llm.options import BLOCK


@dataclass(frozen=True)
class Home:
    """A sequence and the tokens that lie in it."""

    sequence: int
    adapter: str | None
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Kept:
    """The sequence in which a prefix lies, and how many of its tokens were there before."""

    sequence: int
    reused: int


class Prefixes:
    """The homes of one engine, in sequences ``0 … limit - 1``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._homes: list[Home] = []
        self._top = 0

    @property
    def limit(self) -> int:
        """How many prefixes can be held at once."""
        return self._engine.options.kept

    def forget(self) -> None:
        """Empty the engine: no prefix is kept."""
        self._engine.clear()
        self._homes.clear()
        self._top = 0

    def reserve(self, adapter: str | None, prefixes: Sequence[Sequence[int]], room: int) -> None:
        """Make sure that ``prefixes`` can be held and ``room`` further cells are left; forget all if they cannot.

        The caller's part: they can where nothing else is kept (:func:`cells` of each, and ``limit``).
        """
        new = [tokens for tokens in prefixes if not self._holds(adapter, tokens)]
        need = sum(cells(len(tokens)) for tokens in new)
        if self._top + need + room > self._engine.cells or len(self._homes) + len(new) > self.limit:
            self.forget()

    def hold(self, adapter: str | None, tokens: Sequence[int], *, between: Callable[[], None] | None = None) -> Kept:
        """A home that begins with ``tokens``: decode what is missing, under the adapter that the engine applies
        now. Call :meth:`reserve` for all prefixes of a wave first. Raises ModelError JC305."""
        home, shared = self._nearest(adapter, tokens)
        if home is not None and self._holds(adapter, tokens):
            return Kept(home.sequence, len(tokens))
        shared = shared // BLOCK * BLOCK
        sequence = len(self._homes)
        if home is not None and shared:
            self._engine.copy(home.sequence, sequence, shared)
        self._engine.prefill(sequence, shared, tokens[shared:], between=between)
        self._homes.append(Home(sequence, adapter, tuple(tokens)))
        self._top += cells(len(tokens) - shared)
        return Kept(sequence, shared)

    def _holds(self, adapter: str | None, tokens: Sequence[int]) -> bool:
        """Whether ``tokens`` lie there as they would be decoded afresh: a home's beginning counts up to its last
        whole block; what lies in an unfinished block was decoded by another kernel than whole ones."""
        home, shared = self._nearest(adapter, tokens)
        if home is None or shared < len(tokens):
            return False
        return len(tokens) == len(home.tokens) or (len(tokens) % BLOCK == 0)

    def _nearest(self, adapter: str | None, tokens: Sequence[int]) -> tuple[Home | None, int]:
        best: Home | None = None
        most = 0
        for home in self._homes:
            shared = _common(home.tokens, tokens) if home.adapter == adapter else 0
            # A home of just these tokens is better than a longer one that begins with them.
            if shared > most or (shared == most > 0 and len(home.tokens) == len(tokens)):
                best, most = home, shared
        return best, most


def cells(length: int) -> int:
    """Cells that a prefix of ``length`` tokens takes: whole blocks."""
    return -(-length // BLOCK) * BLOCK


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
