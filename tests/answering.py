"""Two models for trying whole workflows: one that answers anything valid, one that answers rubbish. No engine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jointcoder.llm.base import Choice, Context, Generation, Progress, Prompt, Question, Schema, Usage
from jointcoder.llm.scripted import Scripted

WORDS = re.compile(r"[^\W\d_]+(?:[ -][^\W\d_]+){0,3}")


class Valid(Scripted):
    """Fills every schema with words of the request's context (``named`` first, where they stand in it), prefers the
    first option of every question, and writes a short text where there is no schema."""

    def __init__(self, *, named: Sequence[str] = (), lean: float = 0.6, **options: Any) -> None:
        super().__init__([], **options)
        self.named = tuple(named)
        self.lean = lean

    def _complete(
        self,
        prompts: Sequence[Prompt],
        schema: Schema | None,
        max_tokens: int,
        adapter: str | None,
        progress: Progress | None,
    ) -> list[Generation]:
        self._answers = lambda asked: self._value(schema, asked) if schema else "A short text."
        return super()._complete(prompts, schema, max_tokens, adapter, progress)

    def _value(self, schema: Schema, prompt: Prompt) -> Any:
        kind = schema.get("type")
        if kind == "object":
            return {name: self._value(part, prompt) for name, part in schema["properties"].items()}
        if kind == "array":
            items: Mapping[str, Any] = schema["items"]
            words = self._words(prompt)[: min(4, int(schema.get("maxItems", 4)))]
            if items.get("type") == "object":
                return [dict.fromkeys(items["properties"], word) for word in words]
            return words
        return self._words(prompt)[0] if kind == "string" else 1

    def _words(self, prompt: Prompt) -> list[str]:
        held = [word for word in self.named if word in prompt.context.text]
        return held or WORDS.findall(prompt.context.text or prompt.instruction) or ["x"]

    def _score(
        self, context: Context, questions: Sequence[Question], adapter: str | None, progress: Progress | None
    ) -> list[Choice]:
        self._answers = lambda asked: [
            self.lean if place == 0 else (1 - self.lean) / (len(asked[1].options) - 1)
            for place in range(len(asked[1].options))
        ]
        return super()._score(context, questions, adapter, progress)


class Rubbish(Scripted):
    """Never answers what it is asked: no JSON, codes in running text, every option alike."""

    TEXT = "I10 E11.9 {]} \x00 sorry"

    def __init__(self, **options: Any) -> None:
        super().__init__(lambda asked: self.TEXT, **options)

    def _score(
        self, context: Context, questions: Sequence[Question], adapter: str | None, progress: Progress | None
    ) -> list[Choice]:
        import math

        return [
            Choice(one.options, (math.log(1 / len(one.options)),) * len(one.options), 1e-6, Usage(1, 0, 0))
            for one in questions
        ]
