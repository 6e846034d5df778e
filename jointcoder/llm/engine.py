"""One loaded model with one context: tokens in, rows of logits out, sequences copied and removed.

A thin, safe layer over llama.cpp's low-level interface. All sequences live in one unified key-value cache, so that
copying a prefix to a branch costs no memory.

Steadiness. On the CPU llama.cpp picks its kernels by the number of rows in a call: attention 1, 2-63, 64 and more;
quantised products 1-7, 8 and more. Kernels differ in the last bit, and the rounding of activations blows that up to
0.1-0.2 in a log-probability. Within one kernel a row does not depend on its neighbours, nor (attention 2-63) on
where its cells lie. So prefixes are decoded in whole blocks of 64, in cells that begin at a multiple of 64, and all
else in calls of 8 to 63 rows, filled up with a throw-away sequence where need be. Writing text would pay dearly for
eight rows, so its steps are filled up to two: what was decoded before does not matter then, but the same prompt may be
written otherwise at a near tie among more than seven others.

This module knows nothing of chats, JSON, questions or what a prefix is kept for.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jointcoder.assets.gguf import GgufError, GgufHeader, read_header
from jointcoder.errors import AssetError, ModelError, UsageError, name_list
from jointcoder.llm.adapters import Activation, Adapter
from jointcoder.llm.memory import SLACK, available, need, require
from jointcoder.llm.native import library
from jointcoder.llm.options import BLOCK, EngineOptions

FEWEST, MOST = 8, BLOCK - 1  # rows of a steady call
WRITING = 2  # rows of a step of writing, at least

Row = NDArray[np.float32]  # logits of one position, shape (vocabulary,); valid until the next engine call


@dataclass(frozen=True)
class Run:
    """Tokens to append to a sequence at position ``start``; logits wanted of the last, of all or of none."""

    sequence: int
    start: int
    tokens: Sequence[int]
    logits: Literal["none", "last", "all"] = "none"


class _Cell(NamedTuple):
    """One row of a call: where it goes, whether its logits are wanted, and whose it is."""

    sequence: int
    position: int
    token: int
    want: bool = False
    run: int = -1
    offset: int = -1


class Engine:
    """Loads on construction; ``close`` (or the finaliser) frees everything.

    Raises AssetError JC201 (file missing), ModelError JC301 (not a GGUF, truncated, unsupported, GPU asked for but
    absent), JC303 (engine not installed), JC311 (not enough memory).
    """

    def __init__(
        self, path: Path, *, context_tokens: int, options: EngineOptions, gpu_layers: int, threads: int
    ) -> None:
        _check_file(path)
        self._library = library()
        self.api = api = self._library.api
        if gpu_layers and not api.llama_supports_gpu_offload():
            raise ModelError(
                "JC301",
                "a GPU was asked for, but this build of llama-cpp-python has no GPU support",
                hint='rebuild it with CMAKE_ARGS="-DGGML_CUDA=on", or set gpu_layers to 0',
            )
        header = _whole(path)
        if found := need(header, context_tokens=context_tokens, options=options, gpu_layers=gpu_layers):
            require(found, available(), what=path.name)
        self.options = options
        self.cells = context_tokens + SLACK
        self.steady = options.steady and options.flash_attention and not gpu_layers
        self._padding, self._filler = options.sequences - 2, options.sequences - 1
        self._padded = 0  # tokens in the padding sequence
        self._library.lines.clear()
        params = api.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.use_extra_bufts = options.extra_buffers
        model = api.llama_model_load_from_file(os.fsencode(path), params)
        if not model:
            raise ModelError(
                "JC301",
                f"llama.cpp could not load {path.name}: damaged, or this build does not know its architecture "
                f"({header.architecture or 'none named'})",
                hint="run `jointcoder models verify`; with --debug the engine's log is shown",
            ) from self._library.log()
        context = api.llama_init_from_model(model, self._context_params(threads))
        if not context:
            api.llama_model_free(model)
            raise ModelError(
                "JC311",
                f"no memory for a context of {context_tokens} tokens with {path.name}{f': {found}' if found else ''}",
                hint="lower context_tokens in the settings",
            ) from self._library.log()
        batch = api.llama_batch_init(options.batch_tokens, 0, 1)
        self._model, self._context, self._batch = model, context, batch
        self._memory = api.llama_get_memory(context)
        self._vocab = api.llama_model_get_vocab(model)
        self.vocabulary = int(api.llama_vocab_n_tokens(self._vocab))
        self._adapters: dict[str, Any] = {}
        self._activations: dict[str | None, Activation] = {None: Activation()}
        self._adapter: str | None = None
        self._finalizer = weakref.finalize(self, _free, api, model, context, batch)

    def _context_params(self, threads: int) -> Any:
        api, options = self.api, self.options
        params = api.llama_context_default_params()
        params.n_ctx = self.cells
        params.n_batch = params.n_ubatch = options.batch_tokens
        params.n_outputs_max = min(options.logit_rows, options.batch_tokens)
        params.n_seq_max = options.sequences
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = threads
        flash = api.LLAMA_FLASH_ATTN_TYPE_ENABLED, api.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.flash_attn_type = flash[0] if options.flash_attention else flash[1]
        params.type_k = params.type_v = api.GGML_TYPE_F32 if options.kv_type == "f32" else api.GGML_TYPE_F16
        params.no_perf = True
        return params

    # -------------------------------------------------------------------------------------------------- facts

    @property
    def vocab(self) -> Any:
        """The native vocabulary handle (for grammar samplers)."""
        return self._vocab

    @property
    def trained_context(self) -> int:
        """Tokens of context the model was trained for."""
        return int(self.api.llama_model_n_ctx_train(self._model))

    def facts(self) -> dict[str, Any]:
        """Architecture, quantisation, parameters, bytes and training context of the loaded weights."""
        return {
            "architecture": self.metadata("general.architecture"),
            "description": self._text(self.api.llama_model_desc, self._model),
            "quantisation": _quantisation(self.api, self._model),
            "n_params": int(self.api.llama_model_n_params(self._model)),
            "bytes": int(self.api.llama_model_size(self._model)),
            "n_ctx_train": self.trained_context,
        }

    def metadata(self, key: str) -> str:
        """A value of the GGUF's metadata as text, "" if absent."""
        return self._text(self.api.llama_model_meta_val_str, self._model, key.encode())

    def special(self, name: Literal["bos", "eos"]) -> str:
        """Text of a special token, "" if the vocabulary has none."""
        token = getattr(self.api, f"llama_vocab_{name}")(self._vocab)
        text = self.api.llama_vocab_get_text(self._vocab, token) if token >= 0 else None
        return text.decode("utf-8", "replace") if text else ""

    def _text(self, function: Callable[..., int], *arguments: Any) -> str:
        size = 1024
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = function(*arguments, buffer, size)
            if length < size:
                return buffer.value.decode("utf-8", "replace") if length > 0 else ""
            size = length + 1

    # ------------------------------------------------------------------------------------------------- tokens

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Tokens of ``text``. ``special`` decides whether the text of control tokens becomes control tokens:
        True for templates only, so that a note cannot end a turn. No BOS is added."""
        raw = text.encode("utf-8", "replace")
        capacity = len(raw) + 8
        buffer = (ctypes.c_int32 * capacity)()
        count = self.api.llama_tokenize(self._vocab, raw, len(raw), buffer, capacity, False, special)
        if count < 0:
            raise ModelError("JC305", "the engine could not split a text into tokens")
        return list(buffer[:count])

    def begin(self, tokens: list[int]) -> list[int]:
        """``tokens`` behind BOS, if the model wants one and the template did not write it."""
        bos = int(self.api.llama_vocab_bos(self._vocab))
        wanted = self.api.llama_vocab_get_add_bos(self._vocab) and bos >= 0 and tokens[:1] != [bos]
        return [bos, *tokens] if wanted else tokens

    def piece(self, token: int) -> bytes:
        """Bytes that a token stands for (control tokens: none). A token may hold part of a character."""
        buffer = ctypes.create_string_buffer(256)
        length = self.api.llama_token_to_piece(self._vocab, token, buffer, 256, 0, False)
        return buffer.raw[: max(length, 0)]

    def ends(self, token: int) -> bool:
        """Whether a token ends the answer (end of text, end of turn)."""
        return bool(self.api.llama_vocab_is_eog(self._vocab, token))

    @property
    def end_token(self) -> int:
        """The token that ends an answer: end of turn where the vocabulary has one, else end of text."""
        token = int(self.api.llama_vocab_eot(self._vocab))
        return token if token >= 0 else int(self.api.llama_vocab_eos(self._vocab))

    # ----------------------------------------------------------------------------------------------- decoding

    def decode(
        self,
        runs: Sequence[Run],
        *,
        fill: int = FEWEST,
        on_logits: Callable[[int, int, Row], None] | None = None,
        between: Callable[[], None] | None = None,
    ) -> None:
        """Append all runs in few engine calls of ``fill`` rows or more.

        ``on_logits(run index, token index, row)`` is called for every row wanted, ``between()`` after every call.
        Raises ModelError JC305; the sequences' state is then unknown and :meth:`clear` is due.
        """
        limit = MOST if self.steady else self.options.batch_tokens
        rows = min(self.options.logit_rows, limit)
        pending: list[_Cell] = []
        wanted = 0
        for index, run in enumerate(runs):
            last = len(run.tokens) - 1
            for offset, token in enumerate(run.tokens):
                want = run.logits == "all" or (run.logits == "last" and offset == last)
                if len(pending) == limit or (want and wanted == rows):
                    self._call(pending, fill, on_logits, between)
                    pending, wanted = [], 0
                pending.append(_Cell(run.sequence, run.start + offset, token, want, index, offset))
                wanted += want
        if pending:
            self._call(pending, fill, on_logits, between)

    def prefill(
        self, sequence: int, start: int, tokens: Sequence[int], *, between: Callable[[], None] | None = None
    ) -> None:
        """Append a prefix in the largest calls there are. ``start`` must be a multiple of 64; the cells it takes
        are filled up to one, so that the next prefix begins at one, too. Raises ModelError JC305."""
        if start % BLOCK:
            raise ValueError(f"a prefix goes on at multiples of {BLOCK} only")
        whole = len(tokens) // BLOCK * BLOCK if self.steady else len(tokens)
        step = self.options.batch_tokens
        for at in range(0, whole, step):
            part = tokens[at : min(at + step, whole)]
            self._call([_Cell(sequence, start + at + i, t) for i, t in enumerate(part)], 0, None, between)
        if rest := tokens[whole:]:
            missing = BLOCK - len(rest)
            padding = Run(self._padding, self._padded, [rest[0]] * missing)
            self.decode([Run(sequence, start + whole, rest), padding], between=between)
            self._padded += missing

    def _call(
        self,
        pending: list[_Cell],
        fill: int,
        on_logits: Callable[[int, int, Row], None] | None,
        between: Callable[[], None] | None,
    ) -> None:
        filled = fill - len(pending) if self.steady else 0
        cells = pending + [_Cell(self._filler, i, pending[0].token) for i in range(filled)]
        batch = self._batch
        for i, cell in enumerate(cells):
            batch.token[i] = cell.token
            batch.pos[i] = cell.position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = cell.sequence
            batch.logits[i] = cell.want
        batch.n_tokens = len(cells)
        status = self.api.llama_decode(self._context, batch)
        if status:
            meaning = {1: "no room left in the key-value cache", 2: "aborted", -1: "invalid batch"}
            raise ModelError(
                "JC305", f"the engine failed while decoding ({meaning.get(status, f'status {status}')})"
            ) from self._library.log()
        if on_logits is not None:
            for i, cell in enumerate(pending):
                if cell.want:
                    pointer = self.api.llama_get_logits_ith(self._context, i)
                    on_logits(cell.run, cell.offset, np.ctypeslib.as_array(pointer, shape=(self.vocabulary,)))
        if filled > 0:
            self.remove(self._filler)
        if between is not None:
            between()

    # ------------------------------------------------------------------------------------- sequences, adapters

    def copy(self, source: int, target: int, length: int) -> None:
        """Make ``target`` begin with the first ``length`` positions of ``source``; the cells are shared."""
        self.api.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def remove(self, sequence: int) -> None:
        """Forget a sequence; cells that no other sequence shares become free."""
        self.api.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def clear(self) -> None:
        """Forget all sequences."""
        self.api.llama_memory_clear(self._memory, False)
        self._padded = 0

    def load_adapters(self, adapters: Mapping[str, Adapter]) -> None:
        """Load LoRA adapters (GGUF). Raises AssetError JC201, ModelError JC301 (damaged, or of another base)."""
        for name, wanted in adapters.items():
            path = wanted.path
            _check_file(path)
            self._library.lines.clear()
            adapter = self.api.llama_adapter_lora_init(self._model, os.fsencode(path))
            if not adapter:
                raise ModelError(
                    "JC301",
                    f"adapter {name} ({path.name}) could not be loaded: damaged, or trained for another base model",
                ) from self._library.log()
            self._adapters[name] = adapter  # freed with the model
            count = int(self.api.llama_adapter_get_alora_n_invocation_tokens(adapter))
            tokens = self.api.llama_adapter_get_alora_invocation_tokens(adapter)[:count] if count else ()
            self._activations[name] = Activation(not (wanted.activated or count), tuple(int(t) for t in tokens))

    def activation(self, name: str | None) -> Activation:
        """Where an adapter begins to act. Raises UsageError JC001 naming the known ones."""
        if name not in self._activations:
            raise UsageError("JC001", f"unknown adapter {name!r}; known: {name_list(self._adapters)}")
        return self._activations[name]

    def use_adapter(self, name: str | None) -> None:
        """Apply an adapter to what is decoded next, or none. Raises UsageError JC001 naming the known ones."""
        if name == self._adapter:
            return
        self.activation(name)
        if name is None:
            status = self.api.llama_set_adapters_lora(self._context, None, 0, None)
        else:
            handles = (self.api.llama_adapter_lora_p_ctypes * 1)(self._adapters[name])
            status = self.api.llama_set_adapters_lora(self._context, handles, 1, (ctypes.c_float * 1)(1.0))
        if status:
            raise ModelError("JC305", f"adapter {name!r} could not be applied") from self._library.log()
        self._adapter = name

    @property
    def closed(self) -> bool:
        return not self._finalizer.alive

    def close(self) -> None:
        """Free the context and the weights. Safe to call twice."""
        self._finalizer()


def _free(api: Any, model: Any, context: Any, batch: Any) -> None:
    api.llama_batch_free(batch)
    api.llama_free(context)
    api.llama_model_free(model)


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise AssetError(
            "JC201", f"model file {path} {reason}", hint="run `jointcoder setup`, or give --model PATH"
        ) from None
    if magic != b"GGUF":
        raise ModelError(
            "JC301", f"{path.name} is not a GGUF file", hint="the engine reads llama.cpp's GGUF format only"
        )


def _whole(path: Path) -> GgufHeader:
    """The header of a model that is all there. Raises ModelError JC301."""
    try:
        header = read_header(path)
        header.require_whole()
    except GgufError as error:
        raise ModelError(
            "JC301", f"{path.name}: {error}", hint="fetch it again: `jointcoder models pull`, or copy it again"
        ) from None
    if header.is_adapter:
        raise ModelError("JC301", f"{path.name} is an adapter, not a model", hint="name the model that it belongs to")
    return header


def _quantisation(api: Any, model: Any) -> str:
    name = api.llama_ftype_name(api.llama_model_ftype(model))
    return name.decode("utf-8", "replace") if name else ""
