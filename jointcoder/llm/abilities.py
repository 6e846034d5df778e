"""What a model server can do, found out once by asking it.

The OpenAI wire format leaves much open, and servers skip silently what they do not know, so nothing is taken from a
server's name: each ability is tried with a tiny request whose answer shows whether it was heeded. Known so far:

    server              schema        longer options   tokenizer          context
    llama-server        json_schema   tokens           /tokenize          /props
    llama-cpp-python    grammar       tokens           /extras/tokenize   (not told)
    vLLM                json_schema   prompt           /tokenize          /v1/models
    SGLang              json_schema   (none)           /tokenize          /v1/models

This module sends no note text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jointcoder.errors import ModelError
from jointcoder.llm.likeliest import LOWEST
from jointcoder.llm.wire import Wire

CHAT = "/chat/completions"
TOP = (100, 20, 5)  # likeliest tokens asked for; servers have limits of their own (vLLM: 20)
TOKENIZERS = ("/tokenize", "/extras/tokenize")
EXTRAS: Mapping[str, Any] = {
    # Defaults of servers that would change answers: llama-cpp-python repeats at 1.1, vLLM obeys the model's own.
    "repeat_penalty": 1.0,
    "repetition_penalty": 1.0,
    # Models that can think aloud are asked for the answer at once.
    "chat_template_kwargs": {"enable_thinking": False},
}
STEADY: Mapping[str, Any] = {"temperature": 0, "seed": 0, "n": 1, "stream": False}

_ASKED = "1 + 1 ="
_FORCED = "7341 zq"  # what no model answers to that


@dataclass(frozen=True)
class Abilities:
    """What was found out.

    ``owner``: who the server says it is. ``models``: the names it serves. ``context_tokens``: None if not told.
    ``top_logprobs``: likeliest tokens an answer lists, 0 if none. ``schema``: how an answer's form is enforced;
    "stated": not at all, the prompt states it. ``long_options``: how options of several tokens are scored, "" if
    they cannot be: written under a grammar of just these "tokens", or read at the end of the "prompt". ``system``:
    whether the chat template has a system role. ``extras``: whether fields beyond the wire format are taken.
    ``tokenizer``: its path, "" if none; ``opening_tokens`` are those it adds to any text. ``frame_tokens``: what the
    chat template adds to a request, at most.
    """

    owner: str
    models: tuple[str, ...]
    context_tokens: int | None
    top_logprobs: int
    schema: Literal["json_schema", "grammar", "stated"]
    long_options: Literal["tokens", "prompt", ""]
    system: bool
    extras: bool
    tokenizer: str
    opening_tokens: int
    frame_tokens: int

    @property
    def fixed(self) -> dict[str, Any]:
        """Fields that every chat request carries."""
        return dict(STEADY) | (dict(EXTRAS) if self.extras else {})


def listed(wire: Wire) -> list[dict[str, Any]]:
    """The entries of the server's list of models. Raises ModelError as ``Wire.ask``, JC309 for a list of none."""
    answer = wire.ask("/models")
    entries = answer.get("data") if isinstance(answer, dict) else None
    found = [e for e in entries or () if isinstance(e, dict) and isinstance(e.get("id"), str)]
    if not found:
        raise ModelError("JC309", f"the model server at {wire.root} names no models")
    return found


def probe(wire: Wire, entries: Sequence[Mapping[str, Any]], model: str) -> Abilities:
    """Find out with a dozen tiny requests to ``model``, one of ``entries``. Raises ModelError as ``Wire.ask``."""
    answer, extras, tops = _first(wire, model)
    likeliest = _content(answer)
    if any(entry.get("token", "").strip() == "<think>" for entry in likeliest[:1]):
        raise ModelError(
            "JC309", "the model server's model thinks aloud before it answers", hint="start the server without thinking"
        )
    fixed = dict(STEADY) | (dict(EXTRAS) if extras else {})

    def offer(messages: Sequence[Mapping[str, str]] = _messages(_ASKED), **fields: Any) -> Any:
        return wire.offer(CHAT, {"model": model, "messages": list(messages), **fixed, **fields})

    tokenizer, opening, asked = _tokenizer(wire, model)
    obeyed = text_of(offer(grammar=f'root ::= "{_FORCED}"', max_tokens=12)) == _FORCED
    tokens = token_ids(wire.ask(wire.root + tokenizer, tokenizing(model, _FORCED))) if obeyed and tokenizer else None
    scored = offer(**forcing(tokens[opening:])) if tokens else None
    raw = sum(score for _, score in written_tokens(scored)) < -1.0  # a masked distribution would give 0
    schema = {"type": "object", "properties": {"n": {"enum": [7341]}}, "required": ["n"], "additionalProperties": False}
    shaped = offer(response_format=json_schema(schema), max_tokens=24)
    with_system = offer([{"role": "system", "content": "."}, *_messages(_ASKED)], max_tokens=1)
    read = usage_of(answer)[0]
    return Abilities(
        owner=str(entries[0].get("owned_by", "")),
        models=tuple(entry["id"] for entry in entries),
        context_tokens=_context(wire, next((e for e in entries if e["id"] == model), {})),
        top_logprobs=min(tops, len(likeliest[0].get("top_logprobs") or ())) if likeliest else 0,
        schema="json_schema" if _is_forced(text_of(shaped)) else "grammar" if obeyed else "stated",
        long_options="tokens"
        if raw and text_of(scored) == _FORCED
        else "prompt"
        if _reads_prompts(wire, model, fixed)
        else "",
        system=with_system is not None,
        extras=extras,
        tokenizer=tokenizer,
        opening_tokens=opening,
        frame_tokens=max(0, read - asked) if read else 16,
    )


# ---------------------------------------------------------------------------------------- the wire format, read


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The ``response_format`` field for a schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema), "strict": True}}


def text_of(answer: Any) -> str | None:
    """The text of a chat answer, "" for an empty one; None if it is not one."""
    try:
        message = answer["choices"][0]["message"]
        text = message.get("content")
    except (TypeError, KeyError, IndexError, AttributeError):
        return None
    return "" if text is None else text if isinstance(text, str) else None


def usage_of(answer: Any) -> tuple[int, int, int]:
    """Tokens read, of those taken from a kept prefix, and written; 0 where the server does not say."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict):
        return 0, 0, 0
    details = usage.get("prompt_tokens_details")
    kept = details.get("cached_tokens") if isinstance(details, dict) else 0
    return _count(usage.get("prompt_tokens")), _count(kept), _count(usage.get("completion_tokens"))


def first_tokens(answer: Any) -> dict[str, float]:
    """The likeliest first tokens of an answer and their log-probabilities; empty if the answer has none."""
    content = _content(answer)
    entries = [*(content[0].get("top_logprobs") or ()), content[0]] if content else []
    found: dict[str, float] = {}
    for entry in entries:
        token = entry.get("token")
        if isinstance(token, str):
            found[token] = max(found.get(token, LOWEST), logprob_of(entry))
    return found


def written_tokens(answer: Any) -> list[tuple[str, float]]:
    """The tokens of an answer with their log-probabilities."""
    return [(str(entry.get("token", "")), logprob_of(entry)) for entry in _content(answer)]


def prompt_tokens(answer: Any) -> list[tuple[str, float]]:
    """The tokens of the *prompt* with their log-probabilities, as vLLM gives them; empty if it did not."""
    rows = answer.get("prompt_logprobs") if isinstance(answer, dict) else None
    found = []
    for row in rows or ():
        if not isinstance(row, dict) or not row:
            found.append(("", 0.0))  # the first token has none
            continue
        entry = next(iter(row.values()))
        if not isinstance(entry, dict):
            return []
        found.append((str(entry.get("decoded_token", "")), logprob_of(entry)))
    return found


def logprob_of(entry: Mapping[str, Any]) -> float:
    value = entry.get("logprob")
    return max(LOWEST, float(value)) if isinstance(value, int | float) else LOWEST


def _content(answer: Any) -> list[dict[str, Any]]:
    try:
        content = answer["choices"][0]["logprobs"]["content"]
    except (TypeError, KeyError, IndexError):
        return []
    return [entry for entry in content or () if isinstance(entry, dict)]


# --------------------------------------------------------------------------------------------- the small questions


def _first(wire: Wire, model: str) -> tuple[Any, bool, int]:
    """The plainest request with as much as the server takes: its answer, whether extras were taken, tokens listed."""
    plain = {"model": model, "messages": _messages(_ASKED), "max_tokens": 1, **STEADY}
    for extras in (True, False):
        for top in TOP:
            body = plain | (dict(EXTRAS) if extras else {}) | {"logprobs": True, "top_logprobs": top}
            answer = wire.offer(CHAT, body)
            if answer is not None and text_of(answer) is not None:
                return answer, extras, top
    answer = wire.ask(CHAT, plain)  # now a refusal is an error that says why
    if text_of(answer) is None:
        raise ModelError("JC309", f"the model server at {wire.root} does not answer chats in OpenAI's format")
    return answer, False, 0


def _reads_prompts(wire: Wire, model: str, fixed: Mapping[str, Any]) -> bool:
    answer = wire.offer(CHAT, {"model": model, "messages": _messages(_ASKED, "2"), **fixed, **PROMPT_SCORES})
    tokens = prompt_tokens(answer)
    return bool(tokens) and tokens[-1][0] == "2"


# A given answer is read as the end of the prompt, and the prompt's log-probabilities are returned.
PROMPT_SCORES: Mapping[str, Any] = {
    "prompt_logprobs": 0,
    "continue_final_message": True,
    "add_generation_prompt": False,
    "max_tokens": 1,
}


def _tokenizer(wire: Wire, model: str) -> tuple[str, int, int]:
    """The tokenizer's path, the tokens it adds to any text, and those of the small question."""
    for path in TOKENIZERS:
        one, asked = (token_ids(wire.offer(wire.root + path, tokenizing(model, text))) for text in ("x", _ASKED))
        if one and asked:
            return path, len(one) - 1, len(asked) - (len(one) - 1)
    return "", 0, 2


def tokenizing(model: str, text: str) -> dict[str, Any]:
    """One request that all known servers' tokenizers understand: each reads the fields it knows."""
    return {"model": model, "content": text, "prompt": text, "input": text} | {
        "add_special": False,
        "add_special_tokens": False,
    }


def token_ids(answer: Any) -> list[int] | None:
    """The tokens in a tokenizer's answer; None if it is none."""
    tokens = answer.get("tokens") if isinstance(answer, dict) else None
    return tokens if isinstance(tokens, list) and all(isinstance(token, int) for token in tokens) else None


def forcing(tokens: Sequence[int]) -> dict[str, Any]:
    """Fields that make the server write exactly these tokens and tell what they would have been worth."""
    grammar = "root ::= " + " ".join(f"<[{token}]>" for token in tokens)
    return {"grammar": grammar, "max_tokens": len(tokens) + 1, "logprobs": True, "top_logprobs": 1}


def _context(wire: Wire, entry: Mapping[str, Any]) -> int | None:
    if told := _count(entry.get("max_model_len")):
        return told
    props = wire.offer(wire.root + "/props")
    settings = props.get("default_generation_settings") if isinstance(props, dict) else None
    meta = entry.get("meta")
    for place, key in ((settings, "n_ctx"), (meta, "n_ctx"), (meta, "n_ctx_train")):
        if isinstance(place, dict) and (told := _count(place.get(key))):
            return told
    return None


def _is_forced(text: str | None) -> bool:
    import json

    try:
        return bool(json.loads(text or "") == {"n": 7341})
    except ValueError:
        return False


def _messages(user: str, assistant: str = "") -> list[dict[str, str]]:
    turns = [{"role": "user", "content": user}]
    return [*turns, {"role": "assistant", "content": assistant}] if assistant else turns


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
