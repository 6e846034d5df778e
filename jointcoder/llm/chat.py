"""Chat templates: one rendering, cut where the shared context ends.

    head  system  middle  context │ instruction  tail  opening
    └────────── prefix, kept ─────┘└───── suffix, per request ──┘

The template is the one in the GGUF (Jinja, run in a sandbox since it comes from a file), ChatML where there is
none. Template text is split into tokens with control tokens on, the record's and the caller's text with control
tokens off: a note that contains ``<|im_end|>`` stays a note. Text is cut at the same places in every request, so a
request has the same tokens whether its prefix is reused or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from jointcoder.errors import ModelError
from jointcoder.llm.base import Context

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SYSTEM, _USER = "\ue000system\ue001", "\ue000user\ue001"  # private use: no template contains them


class Tokenizer(Protocol):
    def tokenize(self, text: str, *, special: bool = False) -> list[int]: ...
    def begin(self, tokens: list[int]) -> list[int]: ...


@dataclass(frozen=True)
class _Frame:
    """The template's own text around the contents."""

    head: str
    middle: str
    tail: str


class Chat:
    """Turns contexts and instructions into tokens. ``template`` is Jinja source; "" means ChatML."""

    def __init__(self, tokenizer: Tokenizer, *, template: str = "", bos: str = "", eos: str = "") -> None:
        self._tokenizer = tokenizer
        self._source = template or CHATML
        self._specials = {"bos_token": bos, "eos_token": eos}

    def prefix(self, context: Context) -> list[int]:
        """Tokens that all requests on ``context`` begin with."""
        frame = self._with_system if context.system else self._without_system
        tokens = self._tokenizer.tokenize(frame.head, special=True)
        if context.system:
            tokens += self._plain(context.system) + self._tokenizer.tokenize(frame.middle, special=True)
        text = context.text
        if text and not text[-1].isspace():
            text += "\n\n"
        return self._tokenizer.begin(tokens + self._plain(text))

    def suffix(self, context: Context, instruction: str, opening: str = "") -> list[int]:
        """Tokens behind the prefix, up to where the answer goes on."""
        frame = self._with_system if context.system else self._without_system
        tail = self._tokenizer.tokenize(frame.tail, special=True)
        return self._plain(instruction) + tail + self._plain(opening)

    def _plain(self, text: str) -> list[int]:
        return self._tokenizer.tokenize(text) if text else []

    @cached_property
    def _with_system(self) -> _Frame:
        messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _USER}]
        text = self._render(messages)
        if text is None or _SYSTEM not in text.partition(_USER)[0]:
            # A template without a system role: the system message opens the user's turn.
            text = self._render([{"role": "user", "content": f"{_SYSTEM}\n\n{_USER}"}])
        return _frame(text)

    @cached_property
    def _without_system(self) -> _Frame:
        return _frame(self._render([{"role": "user", "content": _USER}]))

    def _render(self, messages: list[dict[str, str]]) -> str | None:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        def refuse(message: str) -> Any:
            raise TemplateError(message)

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = refuse
        environment.globals["strftime_now"] = lambda pattern: ""  # a date in the prompt would change answers
        try:
            template = environment.from_string(self._source)
            # Models that can think aloud are asked for the answer at once (Qwen3's switch; others ignore it).
            return template.render(
                messages=messages, add_generation_prompt=True, enable_thinking=False, **self._specials
            )
        except TemplateError:
            return None


def _frame(text: str | None) -> _Frame:
    if text is None or text.count(_USER) != 1:
        raise ModelError("JC301", "the model's chat template cannot be used", hint="use an instruction-tuned model")
    before, _, tail = text.partition(_USER)
    head, _, middle = before.partition(_SYSTEM)
    return _Frame(head, middle, tail)
