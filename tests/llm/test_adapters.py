"""LoRA adapters: loaded, applied, taken off; a prefix is never shared across adapters.

The adapters are written here, with random weights: what is tested is that they act, on their own requests only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jointcoder.errors import AssetError, ModelError
from jointcoder.llm.base import Choice, Context, Prompt, Question
from jointcoder.llm.llamacpp import LlamaCpp

pytestmark = pytest.mark.engine

NOTE = Context("Record: " + "fever and cough for three days. " * 12)
QUESTIONS = [Question(f"Is there {word}?", ("yes", "no")) for word in ("fever", "a fracture", "gout")]
WIDTH, RANK = 576, 4


def write_adapter(path: Path, seed: int, *, width: int = WIDTH, scale: float = 0.05) -> Path:
    """A GGUF with one pair of LoRA matrices for the first layer's output projection."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def entry(key: str, value: Any) -> bytes:
        body = struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<I", 8) + text(value)
        return text(key) + body

    random = np.random.default_rng(seed)
    name = "blk.0.attn_output.weight"
    tensors = [
        (f"{name}.lora_a", random.normal(0, scale, (RANK, width)).astype(np.float32)),
        (f"{name}.lora_b", random.normal(0, scale, (width, RANK)).astype(np.float32)),
    ]
    pairs = {
        "general.type": "adapter",
        "general.architecture": "llama",
        "adapter.type": "lora",
        "adapter.lora.alpha": 64.0,
    }
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs))
    head += b"".join(entry(key, value) for key, value in pairs.items())
    offset, data = 0, b""
    for tensor_name, matrix in tensors:
        rows, columns = matrix.shape
        head += text(tensor_name) + struct.pack("<IQQIQ", 2, columns, rows, 0, offset)
        data += matrix.tobytes() + b"\0" * (-matrix.nbytes % 32)
        offset = len(data)
    path.write_bytes(head + b"\0" * (-len(head) % 32) + data)
    return path


@pytest.fixture(scope="module")
def tuned(smallest: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCpp]:
    folder = tmp_path_factory.mktemp("adapters")
    adapters = {name: write_adapter(folder / f"{name}.gguf", seed) for seed, name in enumerate("ab")}
    with LlamaCpp(smallest, context_tokens=1024, adapters=adapters) as model:
        yield model


def apart(a: list[Choice], b: list[Choice]) -> float:
    return max(abs(x - y) for c, d in zip(a, b, strict=True) for x, y in zip(c.logprobs, d.logprobs, strict=True))


def test_adapters_act_and_can_be_taken_off(tuned: LlamaCpp) -> None:
    base = tuned.choose(NOTE, QUESTIONS)
    with_a = tuned.choose(NOTE, QUESTIONS, adapter="a")
    with_b = tuned.choose(NOTE, QUESTIONS, adapter="b")
    assert min(apart(base, with_a), apart(base, with_b), apart(with_a, with_b)) > 0.01
    assert apart(base, tuned.choose(NOTE, QUESTIONS)) <= 1e-6


def test_what_ran_before_under_another_adapter_changes_nothing(tuned: LlamaCpp) -> None:
    tuned._prefixes.forget()
    alone = tuned.choose(NOTE, QUESTIONS, adapter="a")
    assert alone[0].usage.reused_tokens == 0
    tuned._prefixes.forget()
    tuned.choose(NOTE, QUESTIONS, adapter="b")
    tuned.generate([Prompt(NOTE, "Go on.")], max_tokens=3)
    after = tuned.choose(NOTE, QUESTIONS, adapter="a")
    assert after[0].usage.reused_tokens == 0
    assert apart(alone, after) <= 1e-6
    again = tuned.choose(NOTE, QUESTIONS, adapter="a")
    assert again[0].usage.reused_tokens > 0
    assert apart(alone, again) <= 1e-6


def test_bad_adapters_are_coded_errors(smallest: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="JC201"):
        LlamaCpp(smallest, context_tokens=256, adapters={"x": tmp_path / "absent.gguf"})
    other = write_adapter(tmp_path / "other.gguf", 1, width=WIDTH * 2)
    with pytest.raises(ModelError, match=r"JC301.*other base"):
        LlamaCpp(smallest, context_tokens=256, adapters={"x": other})
