"""Small bases and adapters for the tests of export: shapes of real architectures, numbers at random."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.gguf_files import gguf

LAYERS, WIDTH, HEADS, KV_HEADS, HEAD, FEED = 2, 64, 4, 2, 16, 96
QUERIES, KEYS = HEADS * HEAD, KV_HEADS * HEAD
MODULES: Mapping[str, tuple[str, int, int]] = {  # in transformers: in the engine, inputs, outputs
    "self_attn.q_proj": ("attn_q", WIDTH, QUERIES),
    "self_attn.k_proj": ("attn_k", WIDTH, KEYS),
    "self_attn.v_proj": ("attn_v", WIDTH, KEYS),
    "self_attn.o_proj": ("attn_output", QUERIES, WIDTH),
    "mlp.gate_proj": ("ffn_gate", WIDTH, FEED),
    "mlp.up_proj": ("ffn_up", WIDTH, FEED),
    "mlp.down_proj": ("ffn_down", FEED, WIDTH),
}
CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}


def base(path: Path, architecture: str = "llama") -> Path:
    """A base of zeros: only its header is looked at."""
    metadata = {
        "general.architecture": architecture,
        "general.name": "Small",
        f"{architecture}.block_count": LAYERS,
        f"{architecture}.embedding_length": WIDTH,
        f"{architecture}.feed_forward_length": FEED,
        f"{architecture}.attention.head_count": HEADS,
        f"{architecture}.attention.head_count_kv": KV_HEADS,
        f"{architecture}.attention.key_length": HEAD,
        "tokenizer.ggml.tokens": ["a", "b"],
    }
    shapes = {
        f"blk.{layer}.{name}.weight": (inward, outward)
        for layer in range(LAYERS)
        for name, inward, outward in MODULES.values()
    }
    return gguf(path, metadata, {"token_embd.weight": (WIDTH, 2), **shapes})


def config(architecture: str) -> dict[str, Any]:
    """The same as transformers describes it."""
    return {
        "architectures": [CLASSES[architecture]],
        "model_type": architecture,
        "vocab_size": 2,
        "hidden_size": WIDTH,
        "intermediate_size": FEED,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
    }


def matrices(
    rank: int = 4, *, seed: int = 1, modules: Sequence[str] = tuple(MODULES), ranks: Mapping[str, int] | None = None
) -> dict[str, NDArray[np.float32]]:
    """LoRA matrices under peft's names; ``ranks``: of single modules."""
    random = np.random.default_rng(seed)
    found = {}
    for layer in range(LAYERS):
        for module in modules:
            _, inward, outward = MODULES[module]
            own = (ranks or {}).get(module, rank)
            at = f"base_model.model.model.layers.{layer}.{module}"
            found[f"{at}.lora_A.weight"] = random.normal(0, 0.3, (own, inward)).astype(np.float32)
            found[f"{at}.lora_B.weight"] = random.normal(0, 0.3, (outward, own)).astype(np.float32)
    return found


def peft_folder(
    folder: Path, tensors: Mapping[str, NDArray[Any]] | None = None, *, rank: int = 4, alpha: float = 8, **more: Any
) -> Path:
    """A folder as peft's ``save_pretrained`` writes it."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    settings = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "bias": "none", "base_model_name_or_path": "small"}
    (folder / "adapter_config.json").write_text(json.dumps(settings | more), "utf-8")
    save_file(dict(matrices(rank) if tensors is None else tensors), folder / "adapter_model.safetensors")
    return folder


def training(path: Path, *, base_sha256: str = "", shippable: bool = True, **more: Any) -> Path:
    """A ``training.json`` as a training writes it."""
    told = {
        "name": "validate-dx-made-up",
        "agent": "validate_dx",
        "recipe": {"rank": 4, "lr": 2e-4, "method": "lora", "data": ["/somewhere/data"]},
        "base": {"name": "small", "sha256": base_sha256, "licence": "Apache-2.0"},
        "sources": [
            {
                "name": "made_up",
                "file": "train.jsonl",
                "sha256": "5" * 64,
                "licence": "CC BY 4.0 (Nobody, 2026)" if shippable else "local use only",
                "shippable": shippable,
                "records": 12,
            }
        ],
        "shippable": shippable,
        "examples": {"train": 40, "dev": 9, "too_long": 0},
        "dev_before": {"step": 0, "dev_loss": 0.9, "dev_accuracy": 0.5},
        "dev_after": {"rows": 9, "loss": 0.4, "accuracy": 0.8},
        "steps": 30,
        "seconds": 120.0,
        "versions": {"peft": "0.21.2", "torch": "2.13.0", "threads": ""},
    }
    path.write_text(json.dumps(told | more), "utf-8")
    return path


# ------------------------------------------------------------------------------------- models that can be run


def vocabulary() -> list[str]:
    """One token a byte, as byte-level BPE writes them, then one merged pair and two control tokens."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    written = {byte: chr(byte) for byte in plain} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [*(written[byte] for byte in range(256)), "an", "<|endoftext|>", "<|im_end|>"]


def runnable(path: Path, architecture: str, *, seed: int = 3) -> Path:
    """A model of random weights, Q8_0: its answers mean nothing, but it has many."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    random, tokens, kind = np.random.default_rng(seed), vocabulary(), GGMLQuantizationType.Q8_0
    head = 128 if architecture == "qwen3" else HEAD  # what transformers takes Qwen3 to have, whatever the file says
    queries, keys = HEADS * head, KV_HEADS * head
    writer = GGUFWriter(path, architecture)
    writer.add_name("Random")
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (len(tokens) - 2) + [3, 3])
    writer.add_token_merges(["a n"])
    writer.add_bos_token_id(len(tokens) - 2)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)

    def add(name: str, rows: int, columns: int, scale: float) -> None:
        plain = random.normal(0, scale, (rows, columns)).astype(np.float32)
        writer.add_tensor(name, quants.quantize(plain, kind), raw_dtype=kind)

    def flat(name: str, length: int, value: float | None = 1.0) -> None:
        values = random.normal(0, 0.3, length) if value is None else np.full(length, value)
        writer.add_tensor(name, values.astype(np.float32))

    add("token_embd.weight", len(tokens), WIDTH, 0.4)
    flat("output_norm.weight", WIDTH)
    own = {
        "attn_q": (WIDTH, queries),
        "attn_k": (WIDTH, keys),
        "attn_v": (WIDTH, keys),
        "attn_output": (queries, WIDTH),
    }
    for layer in range(LAYERS):
        for name, inward, outward in MODULES.values():
            inward, outward = own.get(name, (inward, outward))
            add(f"blk.{layer}.{name}.weight", outward, inward, 0.2)
        flat(f"blk.{layer}.attn_norm.weight", WIDTH)
        flat(f"blk.{layer}.ffn_norm.weight", WIDTH)
        if architecture == "qwen2":
            for name, length in (("attn_q", queries), ("attn_k", keys), ("attn_v", keys)):
                flat(f"blk.{layer}.{name}.bias", length, None)
        if architecture == "qwen3":
            flat(f"blk.{layer}.attn_q_norm.weight", head)
            flat(f"blk.{layer}.attn_k_norm.weight", head)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
