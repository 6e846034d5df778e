"""The engine's side of a comparison: next-token log-probabilities over the whole vocabulary, with and without adapter.

    with EngineSide(model, {"x": Adapter(path)}) as side:
        tokens, rows = side.greedy(side.tokens("Fever and"), 16, adapter="x")
        rows = side.forced(prompt, continuation, adapter="x")

An activated adapter acts from its invocation tokens on, as in training. A sequence of its own each time: nothing is
kept between calls. This module knows nothing of chats, codes and of the other side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.llm.adapters import Adapter
from jointcoder.llm.options import EngineOptions, usable_cores

Row = NDArray[np.float32]  # log-probabilities, shape (vocabulary,)


class EngineSide:
    """A model in llama.cpp. Raises as :class:`jointcoder.llm.engine.Engine` does."""

    def __init__(
        self,
        model: Path,
        adapters: Mapping[str, Adapter] | None = None,
        *,
        context_tokens: int = 1024,
        options: EngineOptions | None = None,
        threads: int | None = None,
    ) -> None:
        from jointcoder.llm.engine import Engine

        self._engine = Engine(
            model,
            context_tokens=context_tokens,
            options=options or EngineOptions(),
            gpu_layers=0,
            threads=threads or usable_cores(),
        )
        self._engine.load_adapters(adapters or {})

    def tokens(self, text: str) -> list[int]:
        """``text`` as tokens, control tokens recognised, behind BOS where the model wants one."""
        return self._engine.begin(self._engine.tokenize(text, special=True))

    def plain_tokens(self, text: str) -> list[int]:
        """``text`` as tokens, the names of control tokens taken for text."""
        return self._engine.tokenize(text)

    def text(self, tokens: Sequence[int]) -> str:
        return b"".join(self._engine.piece(token) for token in tokens).decode("utf-8", "replace")

    def endings(self) -> tuple[int, ...]:
        """The tokens that end an answer."""
        return tuple(token for token in range(self._engine.vocabulary) if self._engine.ends(token))

    def forced(self, prompt: Sequence[int], continuation: Sequence[int], adapter: str | None = None) -> list[Row]:
        """The log-probabilities from which each token of ``continuation`` would be drawn."""
        rows = self._decode(prompt, continuation[:-1], adapter)
        return rows[: len(continuation)]

    def greedy(self, prompt: Sequence[int], most: int, adapter: str | None = None) -> tuple[list[int], list[Row]]:
        """The likeliest continuation, up to ``most`` tokens or the end of the answer, and the rows behind it."""
        from jointcoder.llm.engine import WRITING, Run

        rows = self._decode(prompt, (), adapter)
        written = [int(rows[-1].argmax())]
        while len(written) < most and not self._engine.ends(written[-1]):
            run = Run(0, len(prompt) + len(written) - 1, written[-1:], "last")
            self._engine.decode([run], fill=WRITING, on_logits=lambda _, __, row: rows.append(log_softmax(row)))
            written.append(int(rows[-1].argmax()))
        return written, rows

    def close(self) -> None:
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _decode(self, prompt: Sequence[int], more: Sequence[int], adapter: str | None) -> list[Row]:
        """Rows of the last token of the prompt and of all of ``more``; the adapter stays on."""
        from jointcoder.llm.engine import Run

        engine, rows = self._engine, dict[int, Row]()
        activation = engine.activation(adapter)
        before, after = activation.split(list(prompt), adapter=adapter or "")
        tokens = [*after, *more]
        engine.clear()
        engine.use_adapter(None)
        if before:
            engine.decode([Run(0, 0, before)])
        engine.use_adapter(adapter)

        def keep(_: int, offset: int, row: Row) -> None:
            if offset >= len(after) - 1:
                rows[offset] = log_softmax(row)

        engine.decode([Run(0, len(before), tokens, "all")], on_logits=keep)
        return [rows[offset] for offset in sorted(rows)]


def log_softmax(logits: NDArray[np.float32]) -> Row:
    """Log-probabilities of a row of logits; a new array."""
    wide = logits.astype(np.float64)
    wide -= wide.max()
    wide -= np.log(np.exp(wide).sum())
    return wide.astype(np.float32)
