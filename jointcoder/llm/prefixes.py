"""Kept prefixes: which token sequences lie prefilled in the engine, and which to give up for room.

Each kept prefix has a sequence of its own ("home"); a branch begins as a copy of the part of a home that it
shares. Homes are keyed by adapter: the same tokens under another adapter have other keys and values. Accounting
counts a cell once a home, though copies share cells: it errs on the side of room. This module knows no questions
or prompts.
"""

from __future__ import annotations

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
        """Give up homes until the ``prefixes`` about to be held and ``room`` further cells fit together."""
        self._clock += 1
        need = room
        for tokens in prefixes:
            source, shared = self._nearest(adapter, tokens)
            if source is not None and shared == len(tokens):
                source.used = self._clock
            else:
                need += len(tokens)
                if source is not None and shared:
                    source.used = max(source.used, self._clock - 1)
        fresh = {home.sequence for home in self._homes if home.used == self._clock}
        missing = len(prefixes) - len(fresh)
        while self._homes and (
            sum(len(home.tokens) for home in self._homes) + need > self._engine.context_tokens
            or len(self._homes) + missing > self.limit
        ):
            victim = min(self._homes, key=lambda home: home.used)
            if victim.used == self._clock:
                break  # only what is needed is left: the caller's plan fits by construction
            self._drop(victim)

    def hold(self, adapter: str | None, tokens: list[int]) -> tuple[Kept, Run | None]:
        """A home that begins with ``tokens``, and the run that must be decoded before it does (None: nothing).

        Call :meth:`reserve` for all prefixes of a wave first. If decoding fails, :meth:`forget`.
        """
        source, shared = self._nearest(adapter, tokens)
        if source is not None and shared == len(tokens):
            source.used = self._clock
            return Kept(source.sequence, shared, shared), None
        if source is not None and shared == len(source.tokens):
            home = source  # the text grew: go on in place
        else:
            free = set(range(self.limit)) - {home.sequence for home in self._homes}
            home = Home(min(free), adapter)
            self._homes.append(home)
            if source is not None and shared:
                self._engine.copy(source.sequence, home.sequence, shared)
        home.tokens, home.used = list(tokens), self._clock
        return Kept(home.sequence, len(tokens), shared), Run(home.sequence, shared, tokens[shared:])

    def _nearest(self, adapter: str | None, tokens: list[int]) -> tuple[Home | None, int]:
        best: Home | None = None
        most = 0
        for home in self._homes:
            if home.adapter == adapter and (shared := _common(home.tokens, tokens)) > most:
                best, most = home, shared
        return best, most

    def _drop(self, home: Home) -> None:
        self._engine.remove(home.sequence)
        self._homes.remove(home)


def _common(a: list[int], b: list[int]) -> int:
    """Length of the longest common beginning."""
    length = min(len(a), len(b))
    if a[:length] == b[:length]:
        return length
    return next(i for i in range(length) if a[i] != b[i])
