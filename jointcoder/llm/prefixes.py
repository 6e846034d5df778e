"""Kept prefixes: which token sequences lie prefilled in the engine, and which to give up for room.

Each kept prefix has a sequence of its own ("home"); a branch begins as a copy of the part of a home that it
shares. Homes are keyed by adapter: the same tokens under another adapter have other keys and values. Accounting
counts a cell once a home, though copies share cells: it errs on the side of room. This module knows no questions
or prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jointcoder.llm.engine import Engine, Run


@dataclass
class Home:
    """A sequence and the tokens that lie in it."""

    sequence: int
    adapter: str | None
    tokens: list[int] = field(default_factory=list)
    used: int = 0


@dataclass(frozen=True)
class Kept:
    """Where a prefix lies, and how many of its tokens were there before."""

    sequence: int
    length: int
    reused: int


class Prefixes:
    """The homes of one engine: sequences ``0 … kept - 1``; the least recently used is given up first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._homes: list[Home] = []
        self._clock = 0

    @property
    def limit(self) -> int:
        """How many prefixes can be held at once."""
        return self._engine.options.kept

    def forget(self) -> None:
        """All homes are gone (the engine was cleared)."""
        self._homes.clear()

    def reserve(self, adapter: str | None, prefixes: list[list[int]], room: int) -> None:
        """Give up homes until the ``prefixes`` about to be held and ``room`` further cells fit together.

        They do if nothing else is kept: ``sum(len(prefix)) + room <= context_tokens`` and
        ``len(prefixes) <= limit`` are the caller's part.
        """
        self._clock += 1
        served: dict[int, int] = {}  # sequence → tokens of it that this wave needs
        new = [tokens for tokens in prefixes if not self._serves(adapter, tokens, served)]
        need = room + sum(map(len, new))
        while self._cells + need > self._engine.context_tokens or len(self._homes) + len(new) > self.limit:
            others = [home for home in self._homes if home.sequence not in served]
            if not others:
                break
            victim = min(others, key=lambda home: home.used)
            self._engine.remove(victim.sequence)
            self._homes.remove(victim)
        if self._cells + need > self._engine.context_tokens:
            for home in self._homes:  # only what is needed is left, but of a home perhaps only its beginning
                self._engine.truncate(home.sequence, served[home.sequence])
                del home.tokens[served[home.sequence] :]

    def _serves(self, adapter: str | None, tokens: list[int], served: dict[int, int]) -> bool:
        home, shared = self._nearest(adapter, tokens)
        if home is None or shared < len(tokens):
            return False
        served[home.sequence] = max(shared, served.get(home.sequence, 0))
        home.used = self._clock
        return True

    @property
    def _cells(self) -> int:
        return sum(len(home.tokens) for home in self._homes)

    def hold(
        self, adapter: str | None, tokens: list[int], *, between: Callable[[], None] | None = None
    ) -> Kept:
        """Make sure that a home begins with ``tokens``: decode what is missing, under the adapter that the engine
        applies now. Call :meth:`reserve` for all prefixes of a wave first. Raises ModelError JC305."""
        source, shared = self._nearest(adapter, tokens)
        if source is not None and shared == len(tokens):
            source.used = self._clock
            return Kept(source.sequence, shared, shared)
        if source is not None and shared == len(source.tokens):
            home = source  # the text grew: go on in place
        else:
            free = set(range(self.limit)) - {home.sequence for home in self._homes}
            home = Home(min(free), adapter)
            self._homes.append(home)
            if source is not None:
                self._engine.copy(source.sequence, home.sequence, shared)
        home.used = self._clock
        self._engine.decode([Run(home.sequence, shared, tokens[shared:])], between=between)
        home.tokens = list(tokens)
        return Kept(home.sequence, len(tokens), shared)

    def _nearest(self, adapter: str | None, tokens: list[int]) -> tuple[Home | None, int]:
        best: Home | None = None
        most = 0
        for home in self._homes:
            if home.adapter == adapter and (shared := _common(home.tokens, tokens)) > most:
                best, most = home, shared
        return best, most


def _common(a: list[int], b: list[int]) -> int:
    """Length of the longest common beginning."""
    length = min(len(a), len(b))
    if a[:length] == b[:length]:
        return length
    return next(i for i in range(length) if a[i] != b[i])
