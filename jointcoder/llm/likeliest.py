"""Scores of a question's options from a server's list of the likeliest tokens. Pure arithmetic.

Servers list few tokens, so an option may be missing: it gets a floor, below the least likely token seen and below
what all of them leave of the probability. Options of several tokens come scored on their own. An option that is the
beginning of another ("1", "10") keeps what the longer one leaves of its probability; in the process, where all tokens
are at hand, the end of the answer is counted instead (scoring.py). This module knows nothing of servers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from jointcoder.llm.base import Question

LOWEST = -200.0  # a log-probability; servers write -inf, -9999 or null
FLOOR = 1.0  # natural log-probability that a floor lies below what is known


class Seen:
    """The log-probabilities of one question's options as they come in."""

    def __init__(self, question: Question) -> None:
        self.options = question.options
        self._sums: dict[str, float] = {}
        self._tokens: dict[str, tuple[str, ...]] = {}
        self._floor = 0.0

    @property
    def unseen(self) -> list[str]:
        return [option for option in self.options if option not in self._sums]

    def see(self, tokens: Mapping[str, float]) -> None:
        """The likeliest first tokens."""
        for option in self.options:
            if option in tokens:
                self._sums[option], self._tokens[option] = tokens[option], (option,)
        rest = 1.0 - sum(map(math.exp, tokens.values()))
        least = min(tokens.values())
        self._floor = max(LOWEST, min(least, math.log(rest) if rest > 1e-9 else math.log(1e-9)) - FLOOR)

    def force(self, option: str, tokens: Sequence[tuple[str, float]]) -> None:
        """An option scored on its own."""
        self._sums[option] = max(LOWEST, sum(score for _, score in tokens))
        self._tokens[option] = tuple(token for token, _ in tokens)

    def result(self) -> tuple[tuple[float, ...], float]:
        """Log-probabilities normalised over the options, and the probability of the scored ones before that."""
        own: dict[str, float] = {}
        for option in sorted(self._sums, key=lambda o: -len(self._tokens[o])):
            longer = [o for o in own if self._tokens[o][: len(self._tokens[option])] == self._tokens[option]]
            whole = math.exp(self._sums[option])
            own[option] = max(whole * 1e-9, whole - sum(own[o] for o in longer), math.exp(LOWEST))
        mass = sum(own.values())
        sums = [math.log(own[o]) if o in own else self._floor for o in self.options]
        top = max(sums)
        total = top + math.log(sum(math.exp(x - top) for x in sums))
        return tuple(x - total for x in sums), min(1.0, mass)
