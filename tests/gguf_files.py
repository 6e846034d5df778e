"""Tiny GGUF files for the tests: a header by the specification, and tensors of zeros."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MODEL: Mapping[str, Any] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.license": "mit",
    "general.file_type": 0,
    "llama.block_count": 2,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 128,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.context_length": 2048,
    "tokenizer.chat_template": "{{ messages }}",
    "tokenizer.ggml.tokens": ["a", "b", "好"],
}
TENSORS: Mapping[str, tuple[int, ...]] = {
    "token_embd.weight": (64, 3),
    "blk.0.attn_q.weight": (64, 64),
    "blk.1.attn_q.weight": (64, 64),
}
ADAPTER: Mapping[str, Any] = {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora"}


def gguf(path: Path, metadata: Mapping[str, Any] = MODEL, tensors: Mapping[str, tuple[int, ...]] = TENSORS) -> Path:
    """Write a file; shapes with the fastest dimension first, all tensors F32."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += _text(key) + _value(value)
    offset, sizes = 0, []
    for name, shape in tensors.items():
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset)
        size = 4
        for length in shape:
            size *= length
        sizes.append(size)
        offset += -(-size // 32) * 32
    data = b"".join(bytes(-(-size // 32) * 32) for size in sizes)
    path.write_bytes(head + bytes(-len(head) % 32) + data)
    return path


def lora(path: Path, *, inward: int = 64, architecture: str = "llama", target: str = "blk.0.attn_q.weight") -> Path:
    """A LoRA of rank 4 for one weight."""
    shapes = {f"{target}.lora_a": (inward, 4), f"{target}.lora_b": (4, 64)}
    return gguf(path, {**ADAPTER, "general.architecture": architecture}, shapes)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if value and isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value))
    return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
