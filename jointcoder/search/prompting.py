"""The words that designing and reflecting models read, and how they are made to fit a context.

    words = Words("en")                         prompts/<language>/<role>.toml; English where a language has none
    fitted(model, ways, max_tokens)             the first of several ever shorter prompts that fits

A prompt is never cut silently: each shorter way has a name, which goes into the candidate's log, and what is left out
is said in the prompt itself where it could be taken for all there is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jointcoder.errors import ModelError
from jointcoder.llm.base import LanguageModel, Prompt
from jointcoder.steps.literals import without_literals

LANGUAGES = ("en", "zh")
TEMPLATE_TOKENS = 48  # what a chat template may add


class Words:
    """The words in one language: ``words("designer", "ask")``. Languages without words of their own get English."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else LANGUAGES[0]

    def __call__(self, role: str, key: str, **values: Any) -> str:
        """A template, filled. Braces in values are left alone."""
        text: str = _load(self.language, role)[key]
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        return text


@dataclass(frozen=True)
class Way:
    """One way to put a request: a prompt, and what it leaves out ("" for nothing)."""

    leaves_out: str
    prompt: Callable[[], Prompt]


@dataclass(frozen=True)
class Fitted:
    """The prompt that fits, what it leaves out, and its tokens."""

    prompt: Prompt
    leaves_out: str
    tokens: int


def fitted(model: LanguageModel, ways: Iterable[Way], *, max_tokens: int) -> Fitted:
    """The first way whose prompt, with ``max_tokens`` of answer, fits the model's context. Raises ModelError JC440,
    with the arithmetic, where even the last does not."""
    room = model.info.context_tokens - max_tokens - TEMPLATE_TOKENS
    need = 0
    for way in ways:
        prompt = way.prompt()
        need = sum(map(model.count_tokens, (prompt.context.system, prompt.context.text, prompt.instruction)))
        if need <= room:
            return Fitted(prompt, way.leaves_out, need)
    raise ModelError(
        "JC440",
        f"the shortest prompt takes {need} tokens and its answer {max_tokens}; {model.info.name} has a context of "
        f"{model.info.context_tokens}",
        hint="give the model a longer context (setting context_tokens), or name another one with --meta-model",
    )


def safe(text: str, *, most: int) -> str:
    """A text that a model wrote, fit to be shown to another: one line, no codes, at most so many characters."""
    plain = " ".join(without_literals(text).split())
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"


@cache
def _load(language: str, role: str) -> dict[str, Any]:
    path = files("jointcoder.search") / "prompts" / language / f"{role}.toml"
    return tomllib.loads(path.read_text("utf-8"))
