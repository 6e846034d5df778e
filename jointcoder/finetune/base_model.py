"""A base model for training: from the GGUF file that is served (dequantised), or from a hub's folder.

    base = resolve_base("qwen2.5-coder-1.5b-instruct-q4_k_m", settings)     # a name, a .gguf file, a folder
    base.shape                                                              # layers, widths, parameters: nothing loaded
    tokens = open_tokens(...)                                               # texts → tokens as the engine cuts them
    model = load_model(base, dtype="bfloat16")

Training on the dequantised weights lets the adapter learn around what quantisation did to them. The tokenizer cuts
text like the engine's, control tokens in records kept as text. Nothing here knows adapters, examples or recipes.
"""

from __future__ import annotations

import importlib
import json
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointcoder.assets import known_models, resolve_model
from jointcoder.assets.gguf import GgufError, GgufHeader, read_header
from jointcoder.errors import AssetError, ModelError
from jointcoder.settings import Settings

if TYPE_CHECKING:
    from jointcoder.llm.chat import Chat

EXTRA = "pip install 'jointcoder[finetune]'"
DTYPES = ("bfloat16", "float32", "float16")


@dataclass(frozen=True)
class Shape:
    """What arithmetic needs to know of a decoder."""

    architecture: str
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    parameters: int

    @property
    def linear(self) -> dict[str, tuple[int, int]]:
        """The layers' linear maps by peft's names: inputs and outputs."""
        query, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "q_proj": (self.hidden, query),
            "k_proj": (self.hidden, keys),
            "v_proj": (self.hidden, keys),
            "o_proj": (query, self.hidden),
            "gate_proj": (self.hidden, self.feed_forward),
            "up_proj": (self.hidden, self.feed_forward),
            "down_proj": (self.feed_forward, self.hidden),
        }

    @property
    def body(self) -> int:
        """Weights that every token passes through: those of the layers' linear maps."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linear.values())


@dataclass(frozen=True)
class Base:
    """Weights on disk: a GGUF file, or a folder with config.json and safetensors."""

    path: Path
    name: str
    sha256: str
    licence: str = ""
    gguf: bool = True
    header: GgufHeader | None = field(default=None, repr=False)

    @cached_property
    def shape(self) -> Shape:
        """Raises ModelError JC301 where the file does not tell."""
        try:
            return _gguf_shape(self.header) if self.header is not None else _folder_shape(self.path)
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise ModelError("JC301", f"{self.path.name} does not tell its shape ({type(error).__name__})") from None


def resolve_base(named: str, settings: Settings) -> Base:
    """The base for a known model's name, a GGUF file or a hub's folder.

    Raises AssetError JC201 (missing), JC206 (unknown name), JC202, JC209 (not a whole GGUF file).
    """
    folder = Path(named).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise AssetError(
                "JC201", f"{folder} holds no config.json", hint="give a model's folder, a .gguf file or a name"
            )
        return Base(folder, folder.name, "", gguf=False)
    found = resolve_model(settings, named)
    try:
        header = read_header(found.path)
        header.require_whole()
    except GgufError as error:
        raise AssetError("JC209", f"{found.path.name}: {error}") from None
    known = known_models(settings)
    licence = getattr(found.entry, "licence", "") if found.name in known.names() else ""
    return Base(found.path, found.name, found.sha256, licence, header=header)


def require_extra() -> None:
    """Raises AssetError JC215 naming what is missing and how to get it."""
    from importlib.util import find_spec

    wanted = ("torch", "transformers", "peft", "trl", "datasets", "accelerate", "gguf")
    if missing := [name for name in wanted if find_spec(name) is None]:
        raise AssetError(
            "JC215",
            f"training needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            hint=f"{EXTRA}   (without a GPU first: pip install torch --index-url https://download.pytorch.org/whl/cpu)",
        )


# ------------------------------------------------------------------------------------------------------- tokens


class Tokens:
    """A tokenizer that cuts text as the engine does. It is what :class:`jointcoder.llm.chat.Chat` asks for."""

    def __init__(self, tokenizer: Any, name: str, *, begins: bool) -> None:
        self.tokenizer = tokenizer
        self.name = name
        self._begins = begins

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Tokens of ``text``; the names of control tokens become control tokens only with ``special``."""
        found = self.tokenizer(text, add_special_tokens=False, split_special_tokens=not special)
        return list(found["input_ids"])

    def begin(self, tokens: list[int]) -> list[int]:
        """``tokens`` behind the beginning-of-text token, if the model wants one and it is not there."""
        first = self.tokenizer.bos_token_id
        wanted = self._begins and first is not None and tokens[:1] != [first]
        return [first, *tokens] if wanted else tokens

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        return int(self.tokenizer.eos_token_id)

    @cached_property
    def chat(self) -> Chat:
        """The chat template over this tokenizer, as the engine's backend uses it."""
        from jointcoder.llm.chat import Chat

        tokenizer = self.tokenizer
        return Chat(
            self,
            template=tokenizer.chat_template or "",
            bos=tokenizer.bos_token or "",
            eos=tokenizer.eos_token or "",
        )


def open_tokens(named: str | Base, settings: Settings | None = None) -> Tokens:
    """The tokenizer of a base. Raises AssetError JC215 without the extra, and as :func:`resolve_base`."""
    require_extra()
    base = named if isinstance(named, Base) else resolve_base(named, settings or Settings.load())
    _quiet()
    from transformers import AutoTokenizer

    if not base.gguf:
        tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
        plain = tokenizer("a", add_special_tokens=True)["input_ids"]
        return Tokens(tokenizer, base.name, begins=plain[:1] == [tokenizer.bos_token_id])
    tokenizer = AutoTokenizer.from_pretrained(base.path.parent, gguf_file=base.path.name, local_files_only=True)
    assert base.header is not None
    template = base.header.metadata.get("tokenizer.chat_template")
    tokenizer.chat_template = template if isinstance(template, str) else None
    ends = base.header.metadata.get("tokenizer.ggml.eos_token_id")
    if isinstance(ends, int):
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ends)
    return Tokens(tokenizer, base.name, begins=bool(base.header.metadata.get("tokenizer.ggml.add_bos_token", False)))


def load_model(base: Base, *, dtype: str = "bfloat16", device: str = "cpu") -> Any:
    """The model in torch, dequantised where it comes from a GGUF file. Raises AssetError JC215, ModelError JC301."""
    require_extra()
    _quiet()
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "local_files_only": True}
    try:
        if base.gguf:
            model = AutoModelForCausalLM.from_pretrained(
                base.path.parent,
                gguf_file=base.path.name,
                quantization_config=GgufConfig(dequantize=True),
                **options,
            )
        else:
            model = AutoModelForCausalLM.from_pretrained(base.path, **options)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            "JC301",
            f"transformers could not load {base.path.name} ({type(error).__name__})",
            hint="it must be of an architecture that transformers reads from GGUF (llama, qwen2, qwen3 …)",
        ) from error
    model.get_output_embeddings().register_forward_pre_hook(_in_one_piece)
    return model.to(device)


def _in_one_piece(_: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The last rows of a batch lie apart in memory; a product with them would copy the whole vocabulary's weights for
    every sequence, which on a CPU took two fifths of a training step."""
    return (inputs[0].contiguous(), *inputs[1:])


def device_of(wanted: str = "auto") -> str:
    """``cuda`` where there is one, unless told otherwise. Needs torch."""
    import torch

    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def _quiet() -> None:
    """Progress bars of the loaders draw into logs; warnings about them do not help a person either."""
    import os

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    for text in (".*is_gradient_checkpointing.*", ".*Could not find a config file.*"):
        warnings.filterwarnings("ignore", message=text)
    logger = importlib.import_module("transformers.modeling_gguf_pytorch_utils")
    if hasattr(logger, "tqdm"):
        setattr(logger, "tqdm", lambda rows, *_, **__: rows)  # noqa: B010


# ------------------------------------------------------------------------------------------------------- shapes


def _gguf_shape(header: GgufHeader) -> Shape:
    def number(key: str, default: int | None = None) -> int:
        value = header.own(key, default)
        value = max(value) if isinstance(value, tuple) else value
        return int(value)

    heads, hidden = number("attention.head_count"), number("embedding_length")
    return Shape(
        architecture=header.architecture,
        layers=number("block_count"),
        hidden=hidden,
        feed_forward=number("feed_forward_length"),
        heads=heads,
        kv_heads=number("attention.head_count_kv", heads),
        head_size=number("attention.key_length", hidden // heads),
        vocabulary=int(header.lengths["tokenizer.ggml.tokens"]),
        parameters=header.parameters,
    )


def _folder_shape(folder: Path) -> Shape:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
    shape = Shape(
        architecture=str(config["model_type"]),
        layers=int(config["num_hidden_layers"]),
        hidden=hidden,
        feed_forward=int(config["intermediate_size"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads", heads)),
        head_size=int(config.get("head_dim") or hidden // heads),
        vocabulary=int(config["vocab_size"]),
        parameters=0,
    )
    embeddings = shape.vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    from dataclasses import replace

    return replace(shape, parameters=shape.body + embeddings)
