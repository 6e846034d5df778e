"""The backend for a model server that speaks OpenAI's wire format: llama-server, vLLM, SGLang, llama-cpp-python.

``generate`` goes through ``response_format`` or a grammar; where the server enforces neither, the prompt states the
schema. ``choose`` reads the log-probabilities of the answer's first token:

    among the likeliest tokens              as the server gives it
    one token, but not among the likeliest  a floor, less than the least likely one seen (likeliest.py)
    several tokens                          each option on its own: its tokens forced by a grammar (llama.cpp's
                                            servers), or read at the end of the prompt (vLLM)

``mass`` counts the floors as nothing, so it is a lower bound. What the server cannot do was found out at opening
(abilities.py) and is a coded error, JC309, when a request needs it. Greedy, with a fixed seed; that a server's
batching rounds otherwise from run to run is the server's.

The text and the instruction make one message and the server's own template is used, so tokens may differ at the seam
from the in-process engine's. Servers read control tokens anywhere: in a record's text they get a space and stay text.
This module knows nothing of codes or steps, of sockets and retries (wire.py).
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

from jointcoder.errors import ModelError, UsageError, name_list
from jointcoder.llm import abilities as wire_format
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
from jointcoder.llm.likeliest import Seen
from jointcoder.llm.structured import without_copies
from jointcoder.llm.wire import Call, Wire

if TYPE_CHECKING:
    from jointcoder.llm.load import Opening

KEY = "JOINTCODER_API_KEY"
TEXTS_KEPT = 512  # texts whose tokens are remembered
_CONTROL = re.compile(
    r"<(?=\|[^|<>]{1,40}\|>|｜[^｜<>]{1,40}｜>|/?s>|/?think>|(?:start|end)_of_turn>|(?:bos|eos|pad|unk)>)|\[(?=/?INST\])"
)


class Http(LanguageModel):
    """A model on a server. ``model``: its name there, "" if the server has one only; ``sha256``: the weights' hash, as
    the caller knows it. ``adapters``: adapter → model
    name, for those that the server names otherwise (vLLM's LoRA modules are models of their own).

    ``context_tokens`` bounds a request; a smaller limit that the server tells is respected. Raises UsageError JC001
    (no such URL), ModelError JC303 (client not installed), JC307 (unreachable), JC308 (key or model refused), JC309
    (not such a server), JC310 (not on the premises).
    """

    needs_file = False

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        sha256: str = "",
        api_key: str = "",
        context_tokens: int = 8192,
        timeout_s: float = 120.0,
        retries: int = 4,
        concurrency: int = 8,
        adapters: Mapping[str, str] | None = None,
        allow_remote: bool = False,
        pause_s: float = 0.5,
    ) -> None:
        self._wire = Wire(
            url,
            api_key=api_key,
            timeout_s=timeout_s,
            retries=retries,
            concurrency=concurrency,
            allow_remote=allow_remote,
            pause_s=pause_s,
        )
        try:
            entries = wire_format.listed(self._wire)
            self._model = _named(model, entries)
            self.abilities = wire_format.probe(self._wire, entries, self._model)
        except BaseException:
            self._wire.close()
            raise
        self._adapters = dict(adapters or {})
        self._tokens: dict[str, array[int]] = {}
        limit = min(context_tokens, self.abilities.context_tokens or context_tokens)
        self.info = ModelInfo(self._model, sha256, limit, {"engine": "http", **asdict(self.abilities)})

    @classmethod
    def open(cls, opening: Opening) -> Self:
        """Open as the settings ask; the key comes from the environment, ``JOINTCODER_API_KEY``."""
        server = opening.server
        return cls(
            server.url,
            model=opening.name,
            sha256=opening.sha256,
            api_key=os.environ.get(KEY, ""),
            context_tokens=opening.context_tokens,
            timeout_s=server.timeout_s,
            retries=server.retries,
            concurrency=server.concurrency,
            adapters=server.adapters,
            allow_remote=server.allow_remote,
        )

    @property
    def adapters(self) -> tuple[str, ...]:
        """Those named by the settings that are served, and the server's other models."""
        served = self.abilities.models
        named = [name for name, model in self._adapters.items() if model in served]
        return tuple(dict.fromkeys([*named, *(model for model in served if model != self._model)]))

    def adapter_version(self, name: str) -> str:
        return self._adapters.get(name, name)

    def count_tokens(self, text: str) -> int:
        """The server's count; without its tokenizer a cautious guess (:func:`guessed_tokens`)."""
        return self._counts([text])[0]

    def close(self) -> None:
        self._wire.close()

    # ----------------------------------------------------------------------------------------------- generate

    def _complete(
        self,
        prompts: Sequence[Prompt],
        schema: Schema | None,
        max_tokens: int,
        adapter: str | None,
        progress: Progress | None,
    ) -> list[Generation]:
        if max_tokens < 1:
            raise ValueError("max_tokens must be positive")
        if any(prompt.opening for prompt in prompts):
            raise ModelError("JC309", "a model server cannot be made to go on with a given beginning of an answer")
        stated, shape = self._shape(schema)
        model = self._model_for(adapter)
        instructions = [prompt.instruction + stated for prompt in prompts]
        self._check_room([(p.context, text, max_tokens) for p, text in zip(prompts, instructions, strict=True)])
        calls = [
            self._call(model, p.context, text, max_tokens=max_tokens, **shape)
            for p, text in zip(prompts, instructions, strict=True)
        ]
        done = 0

        def tell(index: int, answer: Any) -> None:
            nonlocal done
            self._check_overflow(answer, max_tokens)
            done += 1
            if progress is not None:
                progress(done, len(calls))

        return [_generation(answer) for answer in self._wire.ask_all(calls, tell)]

    def _shape(self, schema: Schema | None) -> tuple[str, dict[str, Any]]:
        """What a schema adds to the instruction and to the request."""
        if schema is None:
            return "", {}
        schema = without_copies(schema)  # the answer is checked for them
        if self.abilities.schema == "json_schema":
            return "", {"response_format": wire_format.json_schema(schema)}
        if self.abilities.schema == "grammar":
            from jointcoder.llm.grammar import gbnf

            return "", {"grammar": gbnf(schema)}
        import json

        return _wording().replace("{schema}", json.dumps(schema, ensure_ascii=False)).rstrip("\n"), {}

    # ------------------------------------------------------------------------------------------------- choose

    def _score(
        self, context: Context, questions: Sequence[Question], adapter: str | None, progress: Progress | None
    ) -> list[Choice]:
        can = self.abilities
        if not can.top_logprobs:
            raise ModelError(
                "JC309",
                "the model server gives no log-probabilities, which choosing among options needs",
                hint="start it with log-probabilities on, or use another server",
            )
        model = self._model_for(adapter)
        options = list({option for question in questions for option in question.options})
        lengths = dict(zip(options, self._option_tokens(options), strict=True))
        self._check_room([(context, q.text, max(lengths[option] for option in q.options)) for q in questions])
        scores = [Seen(question) for question in questions]
        usages = [Usage()] * len(questions)
        done: set[int] = set()

        def finish(index: int) -> None:
            done.add(index)
            if progress is not None:
                progress(len(done), len(questions))

        def first(index: int, answer: Any) -> None:
            tokens = wire_format.first_tokens(answer)
            if not tokens:
                raise ModelError("JC309", "the model server left out the log-probabilities")
            usages[index] = _usage(answer)
            scores[index].see(tokens)
            if not self._long(scores[index], lengths):
                finish(index)

        top: dict[str, Any] = {"max_tokens": 1, "logprobs": True, "top_logprobs": can.top_logprobs}
        self._wire.ask_all([self._call(model, context, q.text, **top) for q in questions], first)

        jobs = [(i, option) for i, score in enumerate(scores) for option in self._long(score, lengths)]
        left = {i: sum(1 for job in jobs if job[0] == i) for i, _ in jobs}

        def further(index: int, answer: Any) -> None:
            place, option = jobs[index]
            scores[place].force(option, self._forced(answer, option))
            usages[place] += _usage(answer)
            left[place] -= 1
            if not left[place]:
                finish(place)

        self._wire.ask_all([self._forcing(model, context, questions[i].text, option) for i, option in jobs], further)
        return [
            Choice(question.options, *score.result(), usage)
            for question, score, usage in zip(questions, scores, usages, strict=True)
        ]

    def _long(self, score: Seen, lengths: Mapping[str, int]) -> list[str]:
        """The options of a question that must be scored on their own."""
        long = [option for option in score.unseen if lengths[option] != 1]
        if long and not self.abilities.long_options:
            raise ModelError(
                "JC309",
                "an option of several tokens cannot be scored by this model server",
                hint="ask with options of one token (letters, yes and no), or use llama-server or vLLM",
            )
        # Read as a prompt, options are seen through another template: then all of a question go the same way.
        return list(score.options) if long and self.abilities.long_options == "prompt" else long

    def _option_tokens(self, options: Sequence[str]) -> list[int]:
        if self.abilities.tokenizer:
            return self._counts(options)
        # A guess: no tokenizer of today's models splits these.
        return [1 if len(o) == 1 or (len(o) <= 3 and o.isascii() and o.isalpha()) else 2 for o in options]

    def _forcing(self, model: str, context: Context, text: str, option: str) -> Call:
        if self.abilities.long_options == "tokens":
            return self._call(model, context, text, grouped=False, **wire_format.forcing(self._tokens[option]))
        return self._call(model, context, text, option, grouped=False, **wire_format.PROMPT_SCORES)

    def _forced(self, answer: Any, option: str) -> list[tuple[str, float]]:
        """The option's tokens and their log-probabilities. Raises ModelError JC309 if the answer is another."""
        if self.abilities.long_options == "tokens":
            written = wire_format.written_tokens(answer)
            if len(written) == len(self._tokens[option]):
                return written
        else:
            read = wire_format.prompt_tokens(answer)
            for start in range(len(read) - 1, -1, -1):
                if "".join(token for token, _ in read[start:]) == option:
                    return read[start:]
        raise ModelError("JC309", "the model server did not score an option of several tokens")

    # -------------------------------------------------------------------------------------------- calls, guards

    def _call(
        self, model: str, context: Context, instruction: str, answer: str = "", *, grouped: bool = True, **fields: Any
    ) -> Call:
        system, text = self._texts(context, instruction)
        turns = [("system", system)] * bool(system) + [("user", text)] + [("assistant", answer)] * bool(answer)
        messages = [{"role": role, "content": content} for role, content in turns]
        body = {"model": model, "messages": messages, **self.abilities.fixed, **fields}
        return Call(wire_format.CHAT, body, (model, context) if grouped else None)

    def _texts(self, context: Context, instruction: str) -> tuple[str, str]:
        """The system's and the user's message."""
        system, text = _plain(context.system), _plain(_joined(context.text, instruction))
        if system and not self.abilities.system:
            return "", f"{system}\n\n{text}"
        return system, text

    def _model_for(self, adapter: str | None) -> str:
        if adapter is None:
            return self._model
        name = self._adapters.get(adapter, adapter)
        if name not in self.abilities.models:
            known = name_list(self.abilities.models)
            raise UsageError("JC001", f"unknown adapter {adapter!r}; the model server serves: {known}")
        return name

    def _check_room(self, requests: Iterable[tuple[Context, str, int]]) -> None:
        """JC304 before anything is sent, where the server counts tokens; else it is the server that refuses."""
        if not self.abilities.tokenizer:
            return
        parts = [((c.system, _joined(c.text, "")), instruction, room) for c, instruction, room in requests]
        texts = {text for shared, instruction, _ in parts for text in (*shared, instruction) if text}
        counts = dict(zip(texts, self._counts(list(texts)), strict=True)) | {"": 0}
        for shared, instruction, room in parts:
            read = self.abilities.frame_tokens + sum(counts[text] for text in (*shared, instruction))
            self._require(read, room)

    def _check_overflow(self, answer: Any, room: int) -> None:
        """JC304 where the server cut the room for the answer in silence."""
        read, _, written = wire_format.usage_of(answer)
        if written < room and not _generation(answer).finished:
            self._require(read, room)

    def _require(self, read: int, room: int) -> None:
        if read + room > self.info.context_tokens:
            raise ModelError(
                "JC304",
                f"the request needs {read + room} tokens ({read} to read, {room} to write), "
                f"the context holds {self.info.context_tokens}",
                hint="split the text, or raise context_tokens in the settings and on the server",
            )

    def _counts(self, texts: Sequence[str]) -> list[int]:
        if not self.abilities.tokenizer:
            return [guessed_tokens(text) for text in texts]
        missing = list({text for text in texts if text not in self._tokens})
        if len(self._tokens) + len(missing) > TEXTS_KEPT:
            self._tokens.clear()
            missing = list(set(texts))
        path = self._wire.root + self.abilities.tokenizer
        calls = [Call(path, wire_format.tokenizing(self._model, _plain(text))) for text in missing]
        for text, answer in zip(missing, self._wire.ask_all(calls), strict=True):
            tokens = wire_format.token_ids(answer)
            if tokens is None:
                raise ModelError("JC309", "the model server's tokenizer does not answer in a known form")
            self._tokens[text] = array("i", tokens[self.abilities.opening_tokens :])
        return [len(self._tokens[text]) for text in texts]


def guessed_tokens(text: str) -> int:
    """A cautious guess for servers without a tokenizer: 3 Latin letters or spaces, 1 digit or sign, or two thirds of
    any other character make a token. Common tokenizers need fewer for prose."""
    latin = sum(c.isspace() or (c < "\u0250" and c.isalpha()) for c in text)
    other = sum(c >= "\u0250" and not c.isspace() for c in text)
    return 1 + latin // 3 + (len(text) - latin - other) + other * 3 // 2


def _named(wanted: str, entries: Sequence[Mapping[str, Any]]) -> str:
    """The name under which the server knows ``wanted``: the same, or one that ends in this file's name."""
    names = [str(entry["id"]) for entry in entries]
    if wanted in names:
        return wanted
    if not wanted:
        base = [str(entry["id"]) for entry in entries if not entry.get("parent")]  # adapters name their base model
        found = base if len(base) == 1 else names
    else:
        found = [name for name in names if wanted in (PurePath(name).name, PurePath(name).stem)]
    if len(found) == 1:
        return found[0]
    problem = f"does not serve the model {wanted!r}" if wanted else "serves several models"
    raise ModelError("JC308", f"the model server {problem}; it serves: {name_list(names)}", hint="name one: --model")


def _joined(text: str, instruction: str) -> str:
    if text and not text[-1].isspace():
        text += "\n\n"
    return text + instruction


def _plain(text: str) -> str:
    """Control tokens of chat templates, written in a text, made text: ``<|im_end|>`` → ``< |im_end|>``."""
    return _CONTROL.sub(lambda found: found.group() + " ", text)


def _generation(answer: Any) -> Generation:
    text = wire_format.text_of(answer)
    if text is None:
        raise ModelError("JC309", "the model server's answer holds no text in OpenAI's format")
    return Generation(text, finished=answer["choices"][0].get("finish_reason") == "stop", usage=_usage(answer))


def _usage(answer: Any) -> Usage:
    return Usage(*wire_format.usage_of(answer))


@cache
def _wording() -> str:
    return (files("jointcoder.llm") / "data" / "schema.txt").read_text("utf-8")
