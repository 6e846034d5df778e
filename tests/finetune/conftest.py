"""A tiny model in a hub's folder, made up on the spot, and invented Spanish case reports with marked wordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NEEDED = ("torch", "transformers", "peft", "trl", "datasets", "accelerate", "gguf")

CASES = [
    (
        "uno",
        "Varón con diabetes tipo 2 conocida. Ingresa por neumonía. No fuma.",
        {"E11.9": ["diabetes tipo 2"], "J18.9": ["neumonía"]},
    ),
    ("dos", "Mujer con hipertensión. Presenta neumonía y fiebre.", {"J18.9": ["neumonía"], "I10": ["hipertensión"]}),
    ("tres", "Antecedente familiar de hipertensión. Consulta por tos.", {"R05.9": ["tos"]}),
    ("cuatro", "Refiere tos intensa. Tiene hipertensión tratada.", {"R05.9": ["tos"], "I10": ["hipertensión"]}),
    ("cinco", "Ingresa por neumonía bilateral. Niega tos.", {"J18.9": ["neumonía"]}),
    ("seis", "Paciente con diabetes tipo 2 e hipertensión.", {"E11.9": ["diabetes tipo 2"], "I10": ["hipertensión"]}),
]


def require_training() -> None:
    """Skip a test where the extra is not installed."""
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        pytest.skip(f"training is not installed ({', '.join(missing)}): pip install '.[finetune]'")


def row(
    identity: str, text: str, codes: dict[str, list[str]], *, system: str = "ICD-10-CM", lang: str = "es"
) -> dict[str, Any]:
    """A labelled record; the spans are where the quotes first stand."""
    return {
        "id": identity,
        "lang": lang,
        "text": text,
        "codes": [
            {"system": system, "code": code, "spans": [[text.index(q), text.index(q) + len(q)] for q in quotes]}
            for code, quotes in codes.items()
        ],
    }


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows), "utf-8")
    return path


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "cases.jsonl", [row(*case) for case in CASES])


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama of two layers with random weights, and a tokenizer that knows bytes."""
    require_training()
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    own = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate([*own, *alphabet])}, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.add_special_tokens(own)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<|im_end|>", pad_token="<|im_end|>")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(own) + len(alphabet),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
