"""A model that answers from a script: for tests of everything above the engine, and for trying out workflows.

It keeps every request in ``requests`` and goes through the same validation, repair and context check as an engine.
It is no stand-in for the engine's own tests: it counts tokens by a simple rule and knows no grammar.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from jointcoder.errors import AssetError, ModelError
from jointcoder.llm.base import (
    Choice,
    Context,
    Generation,
    LanguageModel,
    ModelInfo,
    Progress,
    Prompt,
    Question,
    Schema,
    Usage,
)

if TYPE_CHECKING:
    from jointcoder.llm.load import Opening

Asked = Prompt | tuple[Context, Question]
Script = Sequence[Any] | Mapping[str, Any] | Callable[[Asked], Any]

SURE = 0.97  # probability of an option that the script names without one
_TOKEN = re.compile(r"\s*(?:[A-Za-z0-9]{1,4}|\S)")


@dataclass(frozen=True)
class Request:
    """One request as it came in; ``question`` is None for text, ``prompt`` is None for a choice."""

    prompt: Prompt | None = None
    context: Context | None = None
    question: Question | None = None
    schema: Schema | None = None
    max_tokens: int = 0
    adapter: str | None = None


class Scripted(LanguageModel):
    """Answers from ``answers``:

    - a sequence: one answer a request, in order;
    - a mapping: the answer of the first key that occurs in the instruction or question, else in the context;
    - a function of the :class:`Prompt` or ``(Context, Question)``.

    An answer to a prompt is text, or a value that is written as JSON. An answer to a question is an option, a
    mapping of options to probabilities, or a sequence of probabilities in the options' order. Text longer than
    ``max_tokens`` is cut. ``adapters``: the names it says it has; any other is taken, too. Raises ModelError JC305
    for a request that the script does not answer.
    """

    def __init__(
        self,
        answers: Script,
        *,
        name: str = "scripted",
        context_tokens: int = 8192,
        adapters: Iterable[str] = (),
    ) -> None:
        self._answers = answers
        self._adapters = tuple(adapters)
        self._next = 0
        self.requests: list[Request] = []
        self.info = ModelInfo(name, context_tokens=context_tokens, facts={"architecture": "scripted"})

    @classmethod
    def open(cls, opening: Opening) -> Self:
        """A script from a JSON file (a list or an object). Raises AssetError JC201, ModelError JC301."""
        try:
            answers = json.loads(opening.path.read_text("utf-8"))
        except OSError:
            raise AssetError("JC201", f"the script {opening.path} cannot be read") from None
        except ValueError:
            raise ModelError("JC301", f"{opening.path.name} is not a JSON script") from None
        if not isinstance(answers, list | dict):
            raise ModelError("JC301", f"{opening.path.name}: a script is a JSON list or object")
        return cls(answers, name=opening.name, context_tokens=opening.context_tokens, adapters=opening.adapters)

    @property
    def adapters(self) -> tuple[str, ...]:
        return self._adapters

    def count_tokens(self, text: str) -> int:
        """A run of up to four Latin letters or digits, or any other character, is a token."""
        return len(_TOKEN.findall(text))

    def _complete(
        self,
        prompts: Sequence[Prompt],
        schema: Schema | None,
        max_tokens: int,
        adapter: str | None,
        progress: Progress | None,
    ) -> list[Generation]:
        read = [self._read([p.context.system, p.context.text, p.instruction, p.opening]) for p in prompts]
        self._check(n + max_tokens for n in read)
        results = []
        for i, (prompt, tokens) in enumerate(zip(prompts, read, strict=True)):
            self.requests.append(Request(prompt, prompt.context, None, schema, max_tokens, adapter))
            answer = self._answer(prompt, prompt.instruction, prompt.context)
            text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
            ends = [found.end() for found in _TOKEN.finditer(text)]
            cut = len(ends) > max_tokens
            text = text[: ends[max_tokens - 1]] if cut else text
            usage = Usage(tokens, 0, min(len(ends), max_tokens))
            results.append(Generation(text, finished=not cut, usage=usage))
            if progress is not None:
                progress(i + 1, len(prompts))
        return results

    def _score(
        self, context: Context, questions: Sequence[Question], adapter: str | None, progress: Progress | None
    ) -> list[Choice]:
        shared = self._read([context.system, context.text])
        own = [self._read([question.text]) for question in questions]
        self._check(shared + n for n in own)
        results = []
        for i, (question, tokens) in enumerate(zip(questions, own, strict=True)):
            self.requests.append(Request(None, context, question, adapter=adapter))
            answer = self._answer((context, question), question.text, context)
            logprobs = _logprobs(question.options, answer)
            results.append(Choice(question.options, logprobs, 1.0, Usage(shared + tokens, shared if i else 0, 0)))
            if progress is not None:
                progress(i + 1, len(questions))
        return results

    def _answer(self, asked: Asked, text: str, context: Context) -> Any:
        answers = self._answers
        if callable(answers):
            return answers(asked)
        if isinstance(answers, Mapping):
            for place in (text, context.text):
                for key, answer in answers.items():
                    if key in place:
                        return answer
            raise ModelError("JC305", f"none of the script's {len(answers)} keys occurs in request {self._count}")
        if self._next >= len(answers):
            raise ModelError("JC305", f"the script has {len(answers)} answers; request {self._count} finds none left")
        self._next += 1
        return answers[self._next - 1]

    @property
    def _count(self) -> int:
        return len(self.requests)

    def _read(self, parts: Iterable[str]) -> int:
        return sum(map(self.count_tokens, parts))

    def _check(self, needs: Iterable[int]) -> None:
        for need in needs:
            if need > self.info.context_tokens:
                raise ModelError(
                    "JC304", f"the request needs {need} tokens, the context holds {self.info.context_tokens}"
                )


def _logprobs(options: tuple[str, ...], answer: Any) -> tuple[float, ...]:
    """An answer of the script as normalised log-probabilities."""
    if isinstance(answer, str):
        if answer not in options:
            raise ModelError("JC305", "the script answers a question with something that is none of its options")
        rest = (1.0 - SURE) / (len(options) - 1)
        weights = [SURE if option == answer else rest for option in options]
    elif isinstance(answer, Mapping):
        if not set(answer) <= set(options):
            raise ModelError("JC305", "the script gives probabilities to something that is none of the options")
        weights = [float(answer.get(option, 0.0)) for option in options]
    else:
        weights = [float(weight) for weight in answer]
    if len(weights) != len(options) or min(weights) < 0 or not sum(weights) > 0:
        raise ModelError("JC305", "the script's probabilities do not fit the question's options")
    floor = 1e-9  # an impossible option stays comparable
    weights = [max(weight / sum(weights), floor) for weight in weights]
    total = sum(weights)
    return tuple(math.log(weight / total) for weight in weights)
