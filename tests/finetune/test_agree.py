"""transformers and peft against the engine: a right export agrees, a wrong one is found out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jointcoder.assets.gguf import read_header
from jointcoder.errors import InputError, ModelError
from jointcoder.finetune import agree as work
from jointcoder.finetune.agree import QUANTISED, SAME_WEIGHTS, Agreement
from jointcoder.finetune.gguf_lora import ROTATED, convert
from jointcoder.finetune.gguf_write import write_gguf
from jointcoder.finetune.merge import answers, merge, quantise
from jointcoder.finetune.peft_folder import read_peft
from jointcoder.llm.adapters import Adapter
from tests.finetune import small
from tests.llm.conftest import SMALLEST, weights

PROMPTS = ("The patient was admitted with fever and", "El diagnóstico principal fue", "患者因咳嗽入院，")
GOOD = Agreement("f16", 3, 18, 0.001, 0.01, 1e-5, 1.0, 3, 0, 0.3, SAME_WEIGHTS)


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({}, True),
        ({"mean": 0.011}, False),
        ({"worst": 0.11}, False),
        ({"kl": 0.01}, False),
        ({"mean": float("nan")}, False),
        ({"same": 2}, False),
        ({"same": 2, "ties": 1}, True),
        ({"effect": 1e-5}, False),
    ],
)
def test_what_counts_as_agreement(changes: dict[str, Any], passed: bool) -> None:
    found = replace(GOOD, **changes)
    assert found.passed is passed
    assert bool(found.failures) is not passed
    assert found.to_json()["passed"] is passed


def test_without_prompts_nothing_is_compared() -> None:
    with pytest.raises(InputError, match="JC101"):
        work.write(None, [], most=3)  # type: ignore[arg-type]


def test_divergence_of_equal_rows_is_nothing() -> None:
    row = np.log(np.array([0.5, 0.25, 0.25], dtype=np.float32))
    other = np.log(np.array([0.25, 0.5, 0.25], dtype=np.float32))
    assert work.kl(row, row) == pytest.approx(0, abs=1e-7)
    assert work.kl(row, other) == pytest.approx(0.25 * np.log(2), abs=1e-6)


# ------------------------------------------------------------------------------------------------ with both engines


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Random models of each architecture, made once."""
    for package in ("torch", "transformers", "peft", "gguf", "llama_cpp"):
        pytest.importorskip(package, reason=f"{package} is not installed (extras: finetune, llamacpp)")
    folder, made = tmp_path_factory.mktemp("bases"), dict[str, Path]()

    def of(architecture: str) -> Path:
        if architecture not in made:
            made[architecture] = small.runnable(folder / f"{architecture}.gguf", architecture)
        return made[architecture]

    return of


def adapted(base: Path, folder: Path, *, scale: float, **config: Any) -> Path:
    """An adapter that peft itself builds on ``base`` and saves, with numbers at random."""
    import torch
    from peft import LoraConfig, get_peft_model

    from jointcoder.finetune.base_model import load_model

    torch.manual_seed(4)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"} | config
    model = get_peft_model(load_model(opened(base), dtype="float32"), LoraConfig(**settings))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, 0, scale)
    model.save_pretrained(folder)
    return folder


def random_adapter(base: Path, folder: Path, *, scale: float) -> Path:
    """The same without loading the base: matrices for every linear layer of its blocks."""
    random, found = np.random.default_rng(6), {}
    names = {name: module for module, (name, _, _) in small.MODULES.items()}
    for tensor in read_header(base).tensors:
        parts = tensor.name.split(".")
        if len(parts) == 4 and parts[2] in names and parts[3] == "weight":
            at = f"base_model.model.model.layers.{parts[1]}.{names[parts[2]]}"
            inward, outward = tensor.shape
            found[f"{at}.lora_A.weight"] = random.normal(0, scale, (4, inward)).astype(np.float32)
            found[f"{at}.lora_B.weight"] = random.normal(0, scale, (outward, 4)).astype(np.float32)
    modules = sorted({module.rpartition(".")[2] for module in names.values()})
    return small.peft_folder(folder, found, target_modules=modules, task_type="CAUSAL_LM")


def opened(path: Path) -> Any:
    from jointcoder.finetune.base_model import Base

    return Base(path, path.stem, "", header=read_header(path))


def written(base: Path, folder: Path, out: Path, *, alpha: float = 1.0) -> Path:
    lora = convert(read_peft(folder), read_header(base), kind="f32")
    metadata = dict(lora.metadata)
    metadata["adapter.lora.alpha"] = alpha * metadata["adapter.lora.alpha"]  # type: ignore[operator]
    return write_gguf(out, metadata, lora.tensors)


def compared(
    base: Path,
    folder: Path,
    files: Sequence[Path],
    scratch: Path,
    *,
    activated: bool = False,
    prompts: Sequence[str] = PROMPTS,
    most: int = 6,
    first_only: bool = False,
) -> list[list[Agreement]]:
    """For each of ``files``: over the same weights and over the quantised base (``first_only``: the first file only).
    The trained side writes once."""
    from jointcoder.finetune.trained_side import TrainedSide

    models = {"f16": (merge(base, scratch / "f16.gguf"), SAME_WEIGHTS), "base": (base, QUANTISED)}
    with work.EngineSide(base, context_tokens=256, threads=1) as engine:
        given, end = [engine.tokens(prompt) for prompt in prompts], engine.endings()
    expected = work.write(TrainedSide(opened(base), folder, threads=1), given, most=most, end=end)
    found: list[list[Agreement]] = []
    for file in files:
        found.append([])
        for label, (path, tolerance) in models.items():
            if label == "base" and first_only and file != files[0]:
                continue
            adapters = {work.NAME: Adapter(file, activated=activated)}
            with work.EngineSide(path, adapters, threads=1) as engine:
                found[-1].append(work.compare(label, engine, expected, tolerance))
    return found


@pytest.mark.engine
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_every_architecture_agrees_and_wrong_files_do_not(
    bases: Callable[[str], Path], architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows in the wrong order, a scale twice as large: both are far beyond the tolerances."""
    base = bases(architecture)
    folder = adapted(base, tmp_path / "peft", scale=0.15)
    right = written(base, folder, tmp_path / "right.gguf")
    scaled = written(base, folder, tmp_path / "scaled.gguf", alpha=2.0)
    turned = {"llama": (), "qwen2": ("attn_q", "attn_k"), "qwen3": ("attn_q", "attn_k")}[architecture]
    monkeypatch.setitem(ROTATED, architecture, turned)  # type: ignore[misc]
    permuted = written(base, folder, tmp_path / "permuted.gguf")
    good, twice, rows = compared(base, folder, [right, scaled, permuted], tmp_path)
    assert [one.failures for one in good] == [(), ()]
    assert good[0].effect > 0.05
    for wrong in (twice, rows):
        assert not wrong[0].passed, "over the same weights"
        assert not wrong[1].passed, "over the quantised base"


@pytest.mark.engine
def test_an_activated_adapter_acts_from_its_tokens_on(bases: Callable[[str], Path], tmp_path: Path) -> None:
    base = bases("qwen2")
    with work.EngineSide(base, context_tokens=256) as engine:
        calls = engine.plain_tokens(" and")
    folder = adapted(base, tmp_path / "peft", scale=0.15, alora_invocation_tokens=calls)
    file = written(base, folder, tmp_path / "alora.gguf")
    prompts = ("The patient was admitted with fever and cough", "Fever and cough and pain")
    ((same, quantised),) = compared(base, folder, [file], tmp_path, activated=True, prompts=prompts)
    assert (same.failures, quantised.failures) == ((), ())
    plain = read_peft(folder)
    lora = convert(replace(plain, invocation=()), read_header(base), kind="f32")
    always = write_gguf(tmp_path / "plain.gguf", lora.metadata, lora.tensors)
    ((wrong, _),) = compared(base, folder, [always], tmp_path, prompts=prompts)
    assert not wrong.passed, "acting from the first token is another adapter"
    with pytest.raises(ModelError, match="JC305"):
        compared(base, folder, [file], tmp_path, activated=True, prompts=("No invocation",))


@pytest.mark.engine
def test_the_smallest_real_model_agrees_and_wrong_files_do_not(
    bases: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SmolLM2-135M, every linear layer of its thirty blocks adapted."""
    base = weights(SMALLEST)
    folder = random_adapter(base, tmp_path / "peft", scale=0.05)
    right = written(base, folder, tmp_path / "right.gguf")
    scaled = written(base, folder, tmp_path / "scaled.gguf", alpha=1.5)
    monkeypatch.setitem(ROTATED, "llama", ())  # type: ignore[misc]
    permuted = written(base, folder, tmp_path / "permuted.gguf")
    files = [right, scaled, permuted]
    good, twice, rows = compared(base, folder, files, tmp_path, prompts=PROMPTS[:2], most=4, first_only=True)
    assert [one.failures for one in good] == [(), ()]
    for wrong in (twice, rows):
        assert not wrong[0].passed
        assert wrong[0].kl > 100 * good[0].kl, "not by a hair"


@pytest.mark.engine
def test_from_the_command_line(bases: Callable[[str], Path], tmp_path: Path) -> None:
    """Export, dequantised base, both comparisons, tokenizer, report, exit code."""
    from typer.testing import CliRunner

    from jointcoder.finetune.__main__ import build

    base = bases("llama")
    folder = adapted(base, tmp_path / "peft", scale=0.15)
    arguments = ["agree", str(folder), "--of", str(base), "--limit", "3", "--tokens", "4", "--json"]
    arguments += ["-o", str(tmp_path / "report.json"), "--scratch", str(tmp_path)]
    ran = CliRunner(env={"JOINTCODER_THREADS": "1"}).invoke(build(), arguments)
    assert ran.exit_code == 0, ran.output
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["passed"] is True
    assert [run["over"] for run in report["runs"]] == ["f16", "llama"]
    assert report["tokenizer"] == {"prompts": 3, "same": 3}
    assert not list(tmp_path.glob("jointcoder-agree-*")), "the dequantised base is gone"
    other = written(base, folder, tmp_path / "other.gguf", alpha=2.0)
    again = CliRunner(env={"JOINTCODER_THREADS": "1"}).invoke(
        build(), [*arguments, "--over", "base", "--gguf", str(other)]
    )
    assert isinstance(again.exception, ModelError)
    assert again.exception.code == "JC312"
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["passed"] is False


@pytest.mark.engine
def test_merged_and_quantised_models_load_and_answer(bases: Callable[[str], Path], tmp_path: Path) -> None:
    base = bases("qwen2")
    folder = small.peft_folder(tmp_path / "peft")
    merged = merge(base, tmp_path / "merged.gguf", read_peft(folder))
    for kind in ("q8_0", "q4_k_m"):
        path = quantise(merged, tmp_path / f"{kind}.gguf", kind, threads=1)
        assert read_header(path).quantisation == kind.upper()
        assert path.stat().st_size < merged.stat().st_size
        assert answers(path, threads=1)
    with (
        work.EngineSide(merged, threads=1) as whole,
        work.EngineSide(base, {"x": Adapter(written(base, folder, tmp_path / "lora.gguf"))}, threads=1) as two,
    ):
        prompt = whole.tokens(PROMPTS[0])
        text, rows = two.greedy(prompt, 6, "x")
        for token, apart, one in zip(text, rows, whole.forced(prompt, text), strict=True):
            assert one[token] == pytest.approx(apart[token], abs=0.2), "merged or beside: the same"
    with pytest.raises(ModelError, match="JC301"):
        quantise(folder / "adapter_model.safetensors", tmp_path / "x.gguf", "q8_0")
    assert not list(tmp_path.glob("*.part"))
