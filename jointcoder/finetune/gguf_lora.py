"""An adapter of peft → a LoRA file of llama.cpp (GGUF).

    read_peft(folder) ──► convert(adapter, header of the base) ──► Lora(metadata, tensors) ──► write_gguf(path, …)

What changes on the way: the names; the rows of ``b`` for queries and keys of the architecture ``llama``, whose rotary
embedding the engine computes on neighbouring pairs where transformers takes halves; scales that one alpha cannot say,
which go into ``b``. The engine computes ``alpha / rank · b @ a``. Oracle: llama.cpp's convert_lora_to_gguf.py. The
base is only looked at: its architecture, heads and shapes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jointcoder.assets.gguf import GgufHeader
from jointcoder.assets.register import BASE_SHA256
from jointcoder.errors import AssetError, UsageError, name_list
from jointcoder.finetune.gguf_write import Matrix, Value
from jointcoder.finetune.peft_folder import Pair, PeftAdapter

Kind = Literal["f16", "f32"]
QUANTISATION_VERSION = 2  # ggml.h, GGML_QNT_VERSION

# Architectures whose linear layers go from transformers to GGUF as they are, but for the rotated rows named here.
ROTATED: Mapping[str, tuple[str, ...]] = {"llama": ("attn_q", "attn_k"), "qwen2": (), "qwen3": ()}
_EMBEDDINGS = ("token_embd", "output")


@dataclass(frozen=True)
class Lora:
    """What the file will hold. ``tensors``: ``blk.N.attn_q.weight.lora_a`` of shape (rank, in), ``….lora_b`` (out,
    rank)."""

    metadata: Mapping[str, Value]
    tensors: Mapping[str, Matrix]


@dataclass(frozen=True)
class About:
    """What the file says of itself. ``base_sha256``: of the weights that it was trained for."""

    name: str = ""
    licence: str = ""
    base_name: str = ""
    base_sha256: str = ""


def convert(adapter: PeftAdapter, base: GgufHeader, *, kind: Kind = "f16", about: About | None = None) -> Lora:
    """The adapter as the engine wants it.

    Raises AssetError JC222 (unknown architecture, embedding or output adapted, values too large for ``kind``), JC210
    (made for another base: names or shapes differ).
    """
    about = about or About()
    alpha = adapter.alpha * (math.sqrt(adapter.rank) if adapter.rslora else 1.0)
    names, largest = engine_names(adapter, base), np.finfo(np.float32 if kind == "f32" else np.float16).max
    tensors: dict[str, Matrix] = {}
    for module, target in sorted(names.items(), key=lambda item: _order(item[1])):
        pair = adapter.pairs[module]
        factor = pair.scale * pair.rank / alpha
        b = rotated(pair.b, target, base)
        halves = {"a": pair.a, "b": b if math.isclose(factor, 1.0, rel_tol=1e-9) else b * np.float32(factor)}
        for side, values in halves.items():
            if np.abs(values).max(initial=0.0) > largest:
                raise AssetError("JC222", f"{module} holds values too large for {kind}", hint="export it as f32")
            matrix: Matrix = values.astype(np.float32) if kind == "f32" else values.astype(np.float16)
            tensors[f"{target}.weight.lora_{side}"] = matrix
    return Lora(_metadata(adapter, base, alpha, about), tensors)


def engine_names(adapter: PeftAdapter, base: GgufHeader) -> dict[str, str]:
    """The module's name in transformers → ``blk.N.attn_q``, each checked against the base. Raises AssetError JC222,
    JC210 as :func:`convert`."""
    lookup = _tensor_names(base)
    shapes = {tensor.name: tensor.shape for tensor in base.tensors}
    found = {}
    for module, pair in sorted(adapter.pairs.items()):  # the same complaint whatever the order in the file
        target = lookup.get_name(module)
        if target in _EMBEDDINGS:
            raise AssetError(
                "JC222",
                f"the adapter changes {module}: the token embedding and the output are one table in many models, and "
                "the engine applies no adapter to it",
                hint="train without it: target_modules = 'all-linear' leaves it out",
            )
        shape = shapes.get(f"{target}.weight") if target else None
        if shape is None or shape != (pair.a.shape[1], pair.b.shape[0]):
            raise AssetError(
                "JC210",
                f"the adapter does not fit {base.path.name}: its {module} maps {pair.a.shape[1]} to {pair.b.shape[0]}, "
                f"where the base {f'maps {shape[0]} to {shape[1]}' if shape else 'has no such weight'}",
                hint="name the model that it was trained on",
            )
        assert target is not None
        found[module] = target
    return found


def rotated(b: NDArray[np.float32], target: str, base: GgufHeader) -> NDArray[np.float32]:
    """``b`` with its rows in the engine's order: within each head the halves of transformers become pairs."""
    block, _, part = target.removeprefix("blk.").partition(".")
    if part not in ROTATED[base.architecture]:
        return b
    heads = _heads(base, int(block), queries=part == "attn_q")
    if len(b) % (2 * heads):
        raise AssetError("JC210", f"the adapter does not fit {base.path.name}: {len(b)} rows for {heads} heads")
    return b.reshape(heads, 2, -1, b.shape[1]).swapaxes(1, 2).reshape(b.shape)


def delta(pair: Pair, target: str, base: GgufHeader) -> NDArray[np.float32]:
    """What the adapter adds to the base's weight, in the engine's order of rows: shape (out, in)."""
    change: NDArray[np.float32] = np.float32(pair.scale) * (rotated(pair.b, target, base) @ pair.a)
    return change


def _heads(base: GgufHeader, block: int, *, queries: bool) -> int:
    heads = base.own("attention.head_count")
    found = heads if queries else base.own("attention.head_count_kv", heads)
    count = found[block] if isinstance(found, tuple) and block < len(found) else found
    if not isinstance(count, int) or count < 1:
        raise AssetError("JC222", f"{base.path.name} does not say how many attention heads it has")
    return count


def _tensor_names(base: GgufHeader) -> Any:
    """The package gguf's map of names for the base's architecture."""
    if base.architecture not in ROTATED:
        raise AssetError(
            "JC222",
            f"adapters for the architecture {base.architecture or '(none named)'} are not known here",
            hint=f"known: {name_list(ROTATED)}; llama.cpp's convert_lora_to_gguf.py knows more",
        )
    try:
        from gguf import MODEL_ARCH_NAMES, get_tensor_name_map
    except ImportError:
        raise UsageError("JC002", "gguf is not installed", hint="pip install 'jointcoder[finetune]'") from None
    by_name = {name: arch for arch, name in MODEL_ARCH_NAMES.items()}
    return get_tensor_name_map(by_name[base.architecture], int(base.own("block_count", 0)))


def _metadata(adapter: PeftAdapter, base: GgufHeader, alpha: float, about: About) -> dict[str, Value]:
    metadata: dict[str, Value] = {
        "general.architecture": base.architecture,
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": float(alpha),
        "general.name": about.name,
        "general.license": about.licence,
        "general.base_model.count": 1,
        "general.base_model.0.name": about.base_name or base.name,
        "general.quantization_version": QUANTISATION_VERSION,
        "adapter.alora.invocation_tokens": adapter.invocation,
        BASE_SHA256: about.base_sha256,
    }
    return {key: value for key, value in metadata.items() if value not in ("", ())}


def _order(target: str) -> tuple[int, str]:
    block, _, part = target.removeprefix("blk.").partition(".")
    return int(block), part
