"""Weights for measuring only: LoRA adapters and whole models with random numbers. Their answers mean nothing.

    python benchmarks/weights.py model OUT.gguf [--like qwen3-1.7b] [--type q8_0] [--vocabulary MODEL.gguf]
    python benchmarks/weights.py adapter BASE.gguf OUT.gguf [--rank 16] [--seed 1]

A random model has the shape of a known architecture and the tokenizer of ``--vocabulary``, so that the engine does the
work it would do. Models need the package ``gguf`` (extra: bench). Knows nothing of training.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from jointcoder.assets.gguf import read_header
from jointcoder.finetune.gguf_write import Matrix, write_gguf

SHAPES = {
    "qwen3-1.7b": {
        "arch": "qwen3",
        "layers": 28,
        "width": 2048,
        "feed_forward": 6144,
        "heads": 16,
        "kv_heads": 8,
        "head": 128,
        "context": 40960,
        "rope": 1_000_000.0,
    },
}
TARGETS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


def adapter(base: Path, out: Path, *, rank: int = 16, seed: int = 1, scale: float = 1e-3) -> Path:
    """A LoRA for all linear layers of ``base``."""
    header, random = read_header(base), np.random.default_rng(seed)
    tensors: dict[str, Matrix] = {}
    for tensor in header.tensors:
        if not tensor.name.startswith("blk.") or not tensor.name.endswith(".weight"):
            continue
        if tensor.name.split(".")[2] not in TARGETS:
            continue
        inward, outward = tensor.shape[:2]
        tensors[f"{tensor.name}.lora_a"] = random.normal(0, scale, (rank, inward)).astype(np.float32)
        tensors[f"{tensor.name}.lora_b"] = random.normal(0, scale, (outward, rank)).astype(np.float32)
    metadata = {"general.architecture": header.architecture, "general.type": "adapter", "adapter.type": "lora"}
    return write_gguf(out, {**metadata, "adapter.lora.alpha": float(rank)}, tensors)


def model(out: Path, vocabulary: Path, *, like: str = "qwen3-1.7b", kind: str = "q8_0", seed: int = 1) -> Path:
    """A model of random weights in the shape ``like``, quantised as ``kind`` (q8_0, q4_0 or f16)."""
    from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, quants

    shape, reader = SHAPES[like], GGUFReader(vocabulary)
    quantisation = GGMLQuantizationType[kind.upper()]
    random = np.random.default_rng(seed)
    writer = GGUFWriter(out, str(shape["arch"]))
    writer.add_name(f"random weights in the shape of {like}")
    writer.add_block_count(int(shape["layers"]))
    writer.add_context_length(int(shape["context"]))
    writer.add_embedding_length(int(shape["width"]))
    writer.add_feed_forward_length(int(shape["feed_forward"]))
    writer.add_head_count(int(shape["heads"]))
    writer.add_head_count_kv(int(shape["kv_heads"]))
    writer.add_key_length(int(shape["head"]))
    writer.add_value_length(int(shape["head"]))
    writer.add_rope_freq_base(float(shape["rope"]))
    writer.add_layer_norm_rms_eps(1e-6)
    for key, field in reader.fields.items():
        if key.startswith("tokenizer."):
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(key, field.contents(), field.types[0], inner)
    tokens = len(reader.fields["tokenizer.ggml.tokens"].data)

    def add(name: str, rows: int, columns: int) -> None:
        # One block of random rows, repeated: drawing a billion numbers would take longer than measuring.
        block = random.normal(0, 0.02, (min(rows, 256), columns)).astype(np.float32)
        plain = np.tile(block, (-(-rows // len(block)), 1))[:rows]
        if quantisation is GGMLQuantizationType.F16:
            writer.add_tensor(name, plain.astype(np.float16))
        else:
            writer.add_tensor(name, quants.quantize(plain, quantisation), raw_dtype=quantisation)

    def ones(name: str, length: int) -> None:
        writer.add_tensor(name, np.ones(length, dtype=np.float32))

    width, head = int(shape["width"]), int(shape["head"])
    queries, keys = int(shape["heads"]) * head, int(shape["kv_heads"]) * head
    add("token_embd.weight", tokens, width)
    ones("output_norm.weight", width)
    for layer in range(int(shape["layers"])):
        at = f"blk.{layer}"
        for name, rows, columns in (
            ("attn_q", queries, width),
            ("attn_k", keys, width),
            ("attn_v", keys, width),
            ("attn_output", width, queries),
            ("ffn_gate", int(shape["feed_forward"]), width),
            ("ffn_up", int(shape["feed_forward"]), width),
            ("ffn_down", width, int(shape["feed_forward"])),
        ):
            add(f"{at}.{name}.weight", rows, columns)
        for name, length in (("attn_norm", width), ("ffn_norm", width), ("attn_q_norm", head), ("attn_k_norm", head)):
            ones(f"{at}.{name}.weight", length)
    _write(writer)
    return out


def _write(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    whole = commands.add_parser("model")
    whole.add_argument("out", type=Path)
    whole.add_argument("--like", choices=SHAPES, default="qwen3-1.7b")
    whole.add_argument("--type", choices=("q8_0", "q4_0", "f16"), default="q8_0")
    whole.add_argument("--vocabulary", type=Path, required=True, help="a GGUF whose tokenizer is taken")
    part = commands.add_parser("adapter")
    part.add_argument("base", type=Path)
    part.add_argument("out", type=Path)
    part.add_argument("--rank", type=int, default=16)
    part.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    if chosen.command == "model":
        model(chosen.out, chosen.vocabulary, like=chosen.like, kind=chosen.type)
    else:
        adapter(chosen.base, chosen.out, rank=chosen.rank, seed=chosen.seed)
    print(chosen.out)


if __name__ == "__main__":
    main()
