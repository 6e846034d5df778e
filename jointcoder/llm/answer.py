"""One answer being written: its tokens, its grammar, and when it ends. Greedy; nothing is drawn by lot.

Knows nothing of batches or sequences: :meth:`Answer.step` takes a row of logits and says what to decode next.
"""

from __future__ import annotations

import numpy as np

from jointcoder.llm.copying import Copying, Pieces
from jointcoder.llm.engine import Engine, Row
from jointcoder.llm.grammar import Constraint

LONGEST_PERIOD = 64
RUNAWAY_TOKENS = 48  # a repetition this long …
RUNAWAY_TIMES = 4  # … of a period repeated at least so often is a runaway, not an answer


class Runaway:
    """Watches for the same tokens coming over and over: small models fall into loops and fill their limit."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._matches = np.zeros(LONGEST_PERIOD, dtype=np.int64)  # [p - 1]: tokens equal to the one p before

    def add(self, token: int) -> bool:
        """Take the next token; True once the last ones repeat a period p ≤ 64 for 48 tokens and 4 times or more."""
        before = self._tokens[-LONGEST_PERIOD:][::-1]
        self._tokens.append(token)
        equal = np.zeros(LONGEST_PERIOD, dtype=bool)
        equal[: len(before)] = np.array(before, dtype=np.int64) == token
        self._matches = np.where(equal, self._matches + 1, 0)
        periods = np.arange(1, LONGEST_PERIOD + 1)
        wanted = np.maximum(RUNAWAY_TOKENS, RUNAWAY_TIMES * periods) - periods
        return bool((self._matches >= wanted).any())


class Answer:
    """The state of one answer. ``opening`` is text that the prompt put into its mouth; ``copying`` holds the copies of
    an answer with a grammar to their text."""

    def __init__(
        self,
        engine: Engine,
        *,
        opening: str,
        grammar: str | None,
        max_tokens: int,
        copying: Copying | None = None,
        pieces: Pieces | None = None,
    ) -> None:
        self._engine = engine
        self._opening = opening.encode("utf-8", "replace")
        self._written = bytearray()
        self._limit = max_tokens
        self._runaway = Runaway()
        self.tokens = 0
        self.finished = False  # ended by itself
        self.done = False  # ended, by itself or not
        self._constraint: Constraint | None = None
        if grammar is not None:
            self._constraint = Constraint(engine, grammar, copying=copying, pieces=pieces)
        if self._constraint is not None:
            for token in engine.tokenize(opening):
                if not self._constraint.allows(token):
                    self.close()
                    raise ValueError("the prompt's opening does not begin an answer that fits the schema")
                self._constraint.accept(token)

    def step(self, row: Row) -> int | None:
        """Choose the next token from its logits; None when the answer has ended."""
        token = int(row.argmax()) if self._constraint is None else self._constraint.choose(row)
        if token is None or self._engine.ends(token):
            self.finished = token is not None
            self._end()
            return None
        if self._constraint is not None:
            self._constraint.accept(token)
        self._written += self._engine.piece(token)
        self.tokens += 1
        if self.tokens >= self._limit or self._runaway.add(token):
            # A last look: the answer may be complete at the very limit.
            self.finished = self._constraint is not None and self._constraint.allows(self._engine.end_token)
            self._end()
            return None
        return token

    @property
    def text(self) -> str:
        """Opening and answer; a character cut in its middle is left out."""
        return (self._opening + bytes(self._written)).decode("utf-8", "ignore")

    def _end(self) -> None:
        self.done = True
        self.close()

    def close(self) -> None:
        if self._constraint is not None:
            self._constraint.close()
