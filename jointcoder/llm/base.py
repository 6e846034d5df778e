"""The model interface: ``generate`` writes schema-bound JSON, ``choose`` scores short answers.

    LanguageModel
    ├── LlamaCpp   in process, one prefill, questions as branches     (llamacpp.py)
    ├── Http       a server that speaks OpenAI's wire format          (http.py)
    ├── Cached     another one, with its answers kept on disk         (cache.py)
    └── Scripted   answers from a table or a function, for tests      (scripted.py)

A request is a shared ``Context`` (system message plus the record or a part of it) followed by an instruction or a
question. Backends keep the context's prefix and reuse it, so callers put what changes *last*. A backend implements
``_complete`` and ``_score``; validation and the one repair attempt are done here, once for all (structured.py).
This module knows nothing of codes, languages or workflows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from jointcoder.errors import ModelError
from jointcoder.llm import structured

Schema = Mapping[str, Any]
Progress = Callable[[int, int], None]  # requests done, requests in all; called between engine batches


@dataclass(frozen=True)
class Context:
    """What many requests share. Backends prefill it once."""

    text: str = ""
    system: str = ""


@dataclass(frozen=True)
class Prompt:
    """A request for text: the context, then the instruction; ``opening`` is put into the answer's mouth."""

    context: Context
    instruction: str
    opening: str = ""


@dataclass(frozen=True)
class Question:
    """A question with two or more short answers, e.g. ``("A", "B", "C")`` or ``("yes", "no")``."""

    text: str
    options: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.options) < 2 or len(set(self.options)) != len(self.options):
            raise ValueError("a question needs two or more different options")


@dataclass(frozen=True)
class Usage:
    """Tokens of one request: read in all, of those taken from a kept prefix, and written."""

    prompt_tokens: int = 0
    reused_tokens: int = 0
    generated_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.reused_tokens + other.reused_tokens,
            self.generated_tokens + other.generated_tokens,
        )


@dataclass(frozen=True)
class Generation:
    """An answer; ``text`` begins with the prompt's ``opening``.

    With a schema, ``value`` is the parsed, valid JSON. ``error`` JC302: it is not valid, ``value`` is None and
    ``problem`` says why (structure only, no words of the answer). ``error`` JC306: it was cut at its token limit
    and ``value`` holds the complete items before the cut, or None if nothing valid remains.
    """

    text: str
    value: Any = None
    error: str | None = None
    problem: str = ""
    repaired: bool = False
    finished: bool = True
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Choice:
    """Scores of a question's options: natural log-probabilities, normalised over the options.

    ``mass`` is the probability that the model gave to all options together before normalising; a small mass
    means that it wanted to say something else.
    """

    options: tuple[str, ...]
    logprobs: tuple[float, ...]
    mass: float = 1.0
    usage: Usage = field(default_factory=Usage)

    @property
    def best(self) -> str:
        return self.options[max(range(len(self.options)), key=lambda i: (self.logprobs[i], -i))]

    def probability(self, option: str) -> float:
        import math

        return math.exp(self.logprobs[self.options.index(option)])


@dataclass(frozen=True)
class ModelInfo:
    """What answers: name, sha256 of the weights ("" if none), context limit in tokens."""

    name: str
    sha256: str = ""
    context_tokens: int = 8192
    facts: Mapping[str, Any] = field(default_factory=dict)


class LanguageModel(ABC):
    """A backend. Not for use by two threads at once."""

    info: ModelInfo

    def generate(
        self,
        prompts: Sequence[Prompt],
        schema: Schema | None = None,
        *,
        max_tokens: int = 512,
        adapter: str | None = None,
        progress: Progress | None = None,
    ) -> list[Generation]:
        """Answer each prompt, in order. With ``schema`` (flat JSON schema) each answer is parsed and validated;
        an invalid one is asked for once more with the problem stated, then returned with ``error`` set. A cut one
        is not asked for again, since the same limit would cut it again. Strings that the schema marks ``"x-copy":
        true`` must occur in their prompt's context text.

        Greedy: the same input gives the same output. Raises ModelError JC304 if a prompt plus ``max_tokens``
        exceeds the context, JC305 if the engine fails, ValueError if the schema holds a keyword that engines
        would skip silently.
        """
        if schema is not None:
            structured.lint_schema(schema)
        if not prompts:
            return []
        answers = self._complete(prompts, schema, max_tokens, adapter, progress)
        if schema is None:
            return answers
        texts = [prompt.context.text for prompt in prompts]
        answers = [structured.checked(answer, schema, text=text) for answer, text in zip(answers, texts, strict=True)]
        broken = [i for i, answer in enumerate(answers) if answer.error == "JC302"]
        if broken:
            again = [structured.repair_prompt(prompts[i], answers[i]) for i in broken]
            try:
                retries = self._complete(again, schema, max_tokens, adapter, None)
            except ModelError as error:
                if error.code != "JC304":
                    raise
                return answers  # no room to state the problem: the first answers stand, flagged
            for i, retry in zip(broken, retries, strict=True):
                second = structured.checked(retry, schema, text=texts[i])
                answers[i] = replace(second, repaired=True, usage=answers[i].usage + second.usage)
        return answers

    def choose(
        self,
        context: Context,
        questions: Sequence[Question],
        *,
        adapter: str | None = None,
        progress: Progress | None = None,
    ) -> list[Choice]:
        """Score every question's options after the same context, in order, by log-probability; nothing is
        sampled. Raises ModelError JC304 or JC305."""
        return self._score(context, questions, adapter, progress) if questions else []

    def choose_all(
        self,
        asks: Sequence[tuple[Context, Sequence[Question]]],
        *,
        adapter: str | None = None,
        progress: Progress | None = None,
    ) -> list[list[Choice]]:
        """:meth:`choose` for several contexts at once, in order. A backend that can decodes them together; the scores
        are those of one context after the other. ``progress`` counts questions. Raises ModelError JC304 or JC305 for
        all of them when one cannot be answered."""
        total, done = sum(len(questions) for _, questions in asks), 0
        answers: list[list[Choice]] = []
        for context, questions in asks:
            answers.append(self.choose(context, questions, adapter=adapter))
            done += len(questions)
            if progress is not None and questions:
                progress(done, total)
        return answers

    @property
    def adapters(self) -> tuple[str, ...]:
        """The adapters that requests may name."""
        return ()

    def adapter_version(self, name: str) -> str:
        """What an adapter is, for the record: the hash of its file, else the name under which it is served, "" if
        neither is known."""
        return str(self.info.facts.get("adapters", {}).get(name, ""))

    @abstractmethod
    def _complete(
        self,
        prompts: Sequence[Prompt],
        schema: Schema | None,
        max_tokens: int,
        adapter: str | None,
        progress: Progress | None,
    ) -> list[Generation]: ...

    @abstractmethod
    def _score(
        self, context: Context, questions: Sequence[Question], adapter: str | None, progress: Progress | None
    ) -> list[Choice]: ...

    @abstractmethod
    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` alone, without chat template."""

    def close(self) -> None:
        """Free the weights and caches. Safe to call twice."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
