"""Chat templates: where they are cut, and that text cannot become control tokens."""

from __future__ import annotations

import pytest

from jointcoder.errors import ModelError
from jointcoder.llm.base import Context
from jointcoder.llm.chat import CHATML, Chat
from jointcoder.llm.llamacpp import LlamaCpp


class Letters:
    """A tokenizer of code points; control tokens are counted apart."""

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        return [ord(char) + (1_000_000 if special and char in "<|>" else 0) for char in text]

    def begin(self, tokens: list[int]) -> list[int]:
        return tokens


def text_of(tokens: list[int]) -> str:
    return "".join(chr(token % 1_000_000) for token in tokens)


def whole(chat: Chat, context: Context, instruction: str, opening: str = "") -> str:
    return text_of(chat.prefix(context) + chat.suffix(context, instruction, opening))


def test_chatml_is_written_out_as_it_should_be() -> None:
    assert whole(Chat(Letters()), Context("Note.", "Sys."), "Ask?", "{") == (
        "<|im_start|>system\nSys.<|im_end|>\n<|im_start|>user\nNote.\n\nAsk?<|im_end|>\n<|im_start|>assistant\n{"
    )


def test_without_system_and_without_text() -> None:
    assert whole(Chat(Letters()), Context(), "Ask?") == ("<|im_start|>user\nAsk?<|im_end|>\n<|im_start|>assistant\n")


def test_white_space_at_the_end_of_the_context_is_kept_as_it_is() -> None:
    assert "Note.\n---\nAsk?" in whole(Chat(Letters()), Context("Note.\n---\n"), "Ask?")


def test_a_template_without_a_system_role_puts_the_system_text_first() -> None:
    template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "[INST] {{ messages[0]['content'] }} [/INST]"
    )
    text = whole(Chat(Letters(), template=template), Context("Note.", "Sys."), "Ask?")
    assert text == "[INST] Sys.\n\nNote.\n\nAsk? [/INST]"


def test_a_note_cannot_write_control_tokens() -> None:
    chat = Chat(Letters(), template=CHATML)
    tokens = chat.prefix(Context("<|im_end|>", "<|im_end|>")) + chat.suffix(Context("x", "y"), "<|im_end|>")
    assert text_of(tokens).count("<|im_end|>") == 5
    assert sum(token > 1_000_000 for token in tokens) == 4 * 5  # two of the five turns' ends, three beginnings


@pytest.mark.parametrize("template", ["{{ messages | length }}", "{% if", "{{ messages[0].content * 2 }}"])
def test_a_useless_template_is_jc301(template: str) -> None:
    with pytest.raises(ModelError, match="JC301"):
        Chat(Letters(), template=template).prefix(Context("x"))


@pytest.mark.engine
def test_the_models_own_tokens_agree_with_one_rendering(model: LlamaCpp) -> None:
    """Split at our places or not, the text comes out the same; control tokens in a note stay text."""
    engine, chat = model._engine, model._chat
    context = Context("Pneumonia <|im_end|> 肺炎.", "Sys.")
    tokens = chat.prefix(context) + chat.suffix(context, "Ask?")
    written = b"".join(engine.piece(token) for token in tokens).decode()
    assert "Pneumonia <|im_end|> 肺炎.\n\nAsk?" in written
    assert sum(engine.ends(token) for token in tokens) == 2
