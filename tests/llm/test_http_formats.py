"""The HTTP backend against other servers, by the format of their answers: stubs, no engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from jointcoder.errors import ModelError
from jointcoder.llm.base import Prompt, Question
from jointcoder.llm.http import Http
from tests.llm.asked import FEVER, NOTE, SCHEMA
from tests.llm.faulty_proxy import Proxy

pytest.importorskip("openai", reason="the client for model servers is not installed")


def completion(text: str, tokens: list[tuple[str, float]] = (), top: dict[str, float] | None = None) -> Any:
    """An answer in OpenAI's format."""
    content = [
        {"token": t, "logprob": p, "top_logprobs": [{"token": k, "logprob": v} for k, v in (top or {}).items()]}
        for t, p in tokens
    ]
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 20, "completion_tokens": max(1, len(tokens))}
    return {"choices": [choice | {"logprobs": {"content": content} if tokens else None}], "usage": usage}


def like_vllm(path: str, body: Any) -> tuple[int, Any]:
    """Twenty log-probabilities at most, json_schema, no grammar, and the prompt's log-probabilities where asked."""
    if path == "/v1/models":
        base = {"id": "base", "owned_by": "vllm", "max_model_len": 4096, "parent": None}
        return 200, {"data": [base, {"id": "extract", "parent": "base"}]}
    if path == "/tokenize":
        return 200, {"tokens": [ord(c) for c in body["prompt"]], "count": len(body["prompt"])}
    if path != "/v1/chat/completions":
        return 404, {"error": "no such path"}
    if body.get("top_logprobs", 0) > 20:
        return 400, {"error": {"message": "top_logprobs must not exceed 20"}}
    if "prompt_logprobs" in body:
        said = body["messages"][-1]["content"]
        worth = {"no": -1.0, "flu": -0.5, "gout": -2.0}
        rows = [{"1": {"logprob": worth.get(said, -9.0) / len(said), "decoded_token": c}} for c in said]
        return 200, completion("") | {"prompt_logprobs": [None, {"5": {"logprob": -4, "decoded_token": ":"}}, *rows]}
    if "response_format" in body:
        return 200, completion('{"n": 7341}')
    if body.get("logprobs"):
        return 200, completion("A", [("A", -0.2)], {"A": -0.2, "B": -2.0, "n": -3.0})
    return 200, completion("2")


def like_nothing_more(path: str, body: Any) -> tuple[int, Any]:
    """Chats, and no more: fields it does not know are refused."""
    if path == "/v1/models":
        return 200, {"data": [{"id": "/models/plain.gguf"}]}
    if path != "/v1/chat/completions" or set(body) - {
        "model",
        "messages",
        "max_tokens",
        "temperature",
        "seed",
        "n",
        "stream",
    }:
        return 400, {"error": {"message": "unknown"}}
    return 200, completion('{"ok": true}')


def opened(answer: Callable[[str, Any], tuple[int, Any]], **options: Any) -> tuple[Proxy, Http]:
    stub = Proxy(answer=answer)
    return stub, Http(stub.url, **options)


def test_a_server_like_vllm() -> None:
    stub, model = opened(like_vllm)
    with model:
        assert (model.info.name, model.info.context_tokens) == ("base", 4096)
        facts = {name: model.info.facts[name] for name in ("schema", "long_options", "tokenizer")}
        assert facts == {"schema": "json_schema", "long_options": "prompt", "tokenizer": "/tokenize"}
        letters, words = model.choose(
            NOTE, [Question("Which?", ("A", "B", "C")), Question("What?", ("flu", "gout", "no"))]
        )
        assert letters.logprobs[0] - letters.logprobs[1] == pytest.approx(1.8)
        assert letters.logprobs[2] < letters.logprobs[1] - 2
        assert words.logprobs[0] - words.logprobs[1] == pytest.approx(1.5)
        model.generate([Prompt(NOTE, "Go on.")], SCHEMA, adapter="extract")
    assert stub.chats[-1].body["model"] == "extract"
    assert stub.chats[-1].body["response_format"]["json_schema"]["schema"] == SCHEMA
    stub.close()


def test_a_server_that_can_do_little() -> None:
    stub, model = opened(like_nothing_more, model="plain")
    with model:
        assert model.info.facts["extras"] is False
        schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
        assert model.generate([Prompt(NOTE, "Go on.")], schema)[0].value == {"ok": True}
        assert json.dumps(schema) in stub.chats[-1].body["messages"][-1]["content"]
        with pytest.raises(ModelError, match=r"JC309.*log-probabilities"):
            model.choose(NOTE, [FEVER])
        with pytest.raises(ModelError, match="JC309"):
            model.generate([Prompt(NOTE, "Go on.", "Yes")])
        assert model.count_tokens("community-acquired pneumonia, 39.5 degrees") > 10
    stub.close()


def test_a_server_that_thinks_aloud_is_refused() -> None:
    def thinking(path: str, body: Any) -> tuple[int, Any]:
        if path == "/v1/models":
            return 200, {"data": [{"id": "thinker"}]}
        return 200, completion("<think>", [("<think>", -0.01)], {"<think>": -0.01})

    stub = Proxy(answer=thinking)
    with pytest.raises(ModelError, match=r"JC309.*thinks"):
        Http(stub.url)
    stub.close()
