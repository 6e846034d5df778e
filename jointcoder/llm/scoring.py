"""Scores of a question's options by log-probability. Pure arithmetic on rows of logits.

Where every option is one token, the row behind the question decides. Longer options are scored by teacher
forcing: the sum of their tokens' log-probabilities; if an option is the beginning of another ("1", "10"), each is
taken with the end of the answer behind it, else the shorter one would always win.

The answer stands at the beginning of a turn, where instruction-tuned models write no space before it, so only the
options as written are counted; variants with a leading space are not. This module knows nothing of batches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from jointcoder.errors import ModelError
from jointcoder.llm.engine import Engine, Row


class Scores:
    """Collects the log-probabilities of one question's options as rows come in."""

    def __init__(self, engine: Engine, options: Sequence[str]) -> None:
        self._tokens = [engine.tokenize(option) for option in options]
        if not all(self._tokens) or len({tuple(tokens) for tokens in self._tokens}) != len(options):
            raise ModelError("JC305", "the options of a question cannot be told apart by their tokens")
        if _overlapping(self._tokens):
            self._tokens = [[*tokens, engine.end_token] for tokens in self._tokens]
        self._sums = [math.nan] * len(options)

    @property
    def longest(self) -> int:
        """Cells of the cache that scoring the longest option takes beyond the question."""
        return max(len(tokens) for tokens in self._tokens) - 1

    @property
    def forced(self) -> list[int]:
        """Options that need more than the row behind the question."""
        return [i for i, tokens in enumerate(self._tokens) if len(tokens) > 1]

    def forcing(self, option: int) -> list[int]:
        """The tokens to decode behind the question; a row is wanted of each."""
        return self._tokens[option][:-1]

    def first(self, row: Row) -> None:
        """The row behind the question."""
        firsts = [tokens[0] for tokens in self._tokens]
        self._sums = [float(x) for x in log_softmax(row, firsts)]

    def further(self, option: int, offset: int, row: Row) -> None:
        """The row behind token ``offset`` of :meth:`forcing`."""
        self._sums[option] += float(log_softmax(row, [self._tokens[option][offset + 1]])[0])

    def result(self) -> tuple[tuple[float, ...], float]:
        """Log-probabilities normalised over the options, and the probability of all options before that."""
        sums = np.array(self._sums, dtype=np.float64)
        top = sums.max()
        total = top + math.log(np.exp(sums - top).sum())
        return tuple(float(x) for x in sums - total), min(1.0, math.exp(total))


def log_softmax(row: Row, tokens: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Natural log-probabilities of ``tokens``; logits shape (vocabulary,); summed in double precision."""
    wide = row.astype(np.float64)
    top = wide.max()
    return np.asarray(wide[list(tokens)] - (top + math.log(np.exp(wide - top).sum())))


def _overlapping(options: Sequence[list[int]]) -> bool:
    """Whether one option is the beginning of another."""
    ordered = sorted(options)
    return any(longer[: len(shorter)] == shorter for shorter, longer in pairwise(ordered))
