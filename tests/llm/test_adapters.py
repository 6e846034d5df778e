"""LoRA adapters: loaded, applied, taken off; a prefix is never shared across adapters.

The adapters are written here, with random weights: what is tested is that they act, on their own requests only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.errors import AssetError, ModelError
from jointcoder.llm.adapters import Activation, Adapter
from jointcoder.llm.base import Choice, Context, Prompt, Question
from jointcoder.llm.llamacpp import LlamaCpp

pytestmark = pytest.mark.engine

NOTE = Context("Record: " + "fever and cough for three days. " * 12)
QUESTIONS = [Question(f"Is there {word}?", ("yes", "no")) for word in ("fever", "a fracture", "gout")]
WIDTH, RANK = 576, 4


def write_adapter(
    path: Path, seed: int, *, width: int = WIDTH, scale: float = 0.05, invocation: Sequence[int] = ()
) -> Path:
    """A GGUF with one pair of LoRA matrices for the first layer's output projection."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def entry(key: str, value: Any) -> bytes:
        if isinstance(value, tuple):
            return text(key) + struct.pack(f"<IIQ{len(value)}I", 9, 4, len(value), *value)
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
    if invocation:
        pairs["adapter.alora.invocation_tokens"] = tuple(invocation)
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
    files = {name: write_adapter(folder / f"{name}.gguf", seed) for seed, name in enumerate("ab")}
    with LlamaCpp(smallest, context_tokens=256) as model:
        turn = model._engine.tokenize("<|im_start|>assistant\n", special=True)
        never = model._engine.tokenize("<|im_start|>system\n<|im_end|>", special=True)
    adapters: dict[str, Path | Adapter] = {
        **files,
        "late a": Adapter(files["a"], activated=True),
        "late b": Adapter(files["b"], activated=True),
        "turn a": write_adapter(folder / "turn.gguf", 0, invocation=turn),
        "never a": write_adapter(folder / "never.gguf", 0, invocation=never),
    }
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


# ------------------------------------------------------------------------------------------------------- activated


def test_activated_adapters_share_the_prefix_of_the_base_model(tuned: LlamaCpp) -> None:
    tuned._prefixes.forget()
    base = tuned.choose(NOTE, QUESTIONS)
    late_a = tuned.choose(NOTE, QUESTIONS, adapter="late a")
    late_b = tuned.choose(NOTE, QUESTIONS, adapter="late b")
    own = base[0].usage.prompt_tokens - base[1].usage.reused_tokens
    for first in (late_a[0], late_b[0]):
        assert first.usage.prompt_tokens - first.usage.reused_tokens <= own, "the context is not decoded again"
    plain = tuned.choose(NOTE, QUESTIONS, adapter="a")
    assert min(apart(base, late_a), apart(late_a, late_b), apart(late_a, plain)) > 0.01
    assert apart(base, tuned.choose(NOTE, QUESTIONS)) <= 1e-6, "the shared prefix is still the base model's"


@pytest.mark.parametrize("name", ["late a", "turn a"])
def test_an_activated_adapter_answers_alike_whatever_ran_before(tuned: LlamaCpp, name: str) -> None:
    tuned._prefixes.forget()
    alone = tuned.choose(NOTE, QUESTIONS, adapter=name)
    words = tuned.generate([Prompt(NOTE, "Go on.")], max_tokens=6, adapter=name)[0].text
    tuned._prefixes.forget()
    for other in ("late b", "b", "a", None):
        tuned.choose(NOTE, QUESTIONS[:2], adapter=other)
    assert apart(alone, tuned.choose(NOTE, QUESTIONS, adapter=name)) <= 1e-6
    assert tuned.generate([Prompt(NOTE, "Go on.")], max_tokens=6, adapter=name)[0].text == words


def test_invocation_tokens_say_where_an_adapter_begins(tuned: LlamaCpp) -> None:
    """The question itself is read by the base model, so the answer differs from that of an adapter acting at once."""
    turn = tuned.choose(NOTE, QUESTIONS, adapter="turn a")
    assert apart(turn, tuned.choose(NOTE, QUESTIONS)) > 1e-3
    assert apart(turn, tuned.choose(NOTE, QUESTIONS, adapter="late a")) > 1e-3
    assert [c.usage.prompt_tokens for c in turn] == [c.usage.prompt_tokens for c in tuned.choose(NOTE, QUESTIONS)]


def test_an_adapter_that_would_never_act_is_an_error(tuned: LlamaCpp) -> None:
    with pytest.raises(ModelError, match=r"JC305.*never a"):
        tuned.choose(NOTE, QUESTIONS, adapter="never a")
    assert tuned.choose(NOTE, QUESTIONS), "the model stays usable"


@given(
    suffix=st.lists(st.integers(0, 3), max_size=12),
    invocation=st.lists(st.integers(0, 3), min_size=1, max_size=3),
)
def test_splitting_loses_no_token(suffix: list[int], invocation: list[int]) -> None:
    activation = Activation(plain=False, invocation=tuple(invocation))
    held = any(suffix[i : i + len(invocation)] == invocation for i in range(len(suffix)))
    if not held:
        with pytest.raises(ModelError, match="JC305"):
            activation.split(suffix, adapter="x")
        return
    before, after = activation.split(suffix, adapter="x")
    assert before + after == suffix
    assert after[: len(invocation)] == invocation
    rest = after[1:]
    assert not any(rest[i : i + len(invocation)] == invocation for i in range(len(rest))), "the last occurrence"


def test_bad_adapters_are_coded_errors(smallest: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="JC201"):
        LlamaCpp(smallest, context_tokens=256, adapters={"x": tmp_path / "absent.gguf"})
    other = write_adapter(tmp_path / "other.gguf", 1, width=WIDTH * 2)
    with pytest.raises(ModelError, match=r"JC301.*other base"):
        LlamaCpp(smallest, context_tokens=256, adapters={"x": other})
