"""An adapter of peft becomes a file of the engine: names, shapes, rows, scales; and what is refused."""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from jointcoder.assets.gguf import read_header
from jointcoder.errors import AssetError
from jointcoder.finetune.gguf_lora import About, convert
from jointcoder.finetune.gguf_write import write_gguf
from jointcoder.finetune.peft_folder import read_peft
from tests.finetune import small

gguf_package = pytest.importorskip("gguf", reason="the package gguf is not installed (extra: finetune)")
pytest.importorskip("safetensors", reason="safetensors is not installed (extra: finetune)")

ARCHITECTURES = ("llama", "qwen2", "qwen3")


def exported(tmp_path: Path, folder: Path, architecture: str = "llama", kind: str = "f32", **about: str) -> Path:
    header = read_header(small.base(tmp_path / f"{architecture}.gguf", architecture))
    lora = convert(read_peft(folder), header, kind=kind, about=About(**about))  # type: ignore[arg-type]
    return write_gguf(tmp_path / "lora.gguf", lora.metadata, lora.tensors)


def tensors(path: Path) -> dict[str, NDArray[Any]]:
    return {tensor.name: tensor.data for tensor in gguf_package.GGUFReader(path).tensors}


def keys(path: Path) -> dict[str, Any]:
    fields = gguf_package.GGUFReader(path).fields
    return {name: field.contents() for name, field in fields.items() if not name.startswith("GGUF.")}


def effect(path: Path, module: str, layer: int = 0) -> NDArray[np.float64]:
    """What the engine will add to the weight: alpha / rank · b @ a (llama-adapter.h, get_scale)."""
    name = f"blk.{layer}.{small.MODULES[module][0]}.weight"
    held = tensors(path)
    a, b = (held[f"{name}.lora_{side}"].astype(np.float64) for side in "ab")
    return keys(path)["adapter.lora.alpha"] / b.shape[1] * (b @ a)


def trained(folder: Path, module: str, layer: int = 0) -> NDArray[np.float64]:
    """B @ A as peft has it, without any scale."""
    from safetensors.numpy import load_file

    held = load_file(folder / "adapter_model.safetensors")
    at = f"base_model.model.model.layers.{layer}.{module}"
    return held[f"{at}.lora_B.weight"].astype(np.float64) @ held[f"{at}.lora_A.weight"].astype(np.float64)


def interleaved(rows: NDArray[np.float64], heads: int) -> NDArray[np.float64]:
    """Written out: within a head row i of the first half and of the second come to stand side by side."""
    size = len(rows) // heads
    order = [h * size + half * (size // 2) + i for h in range(heads) for i in range(size // 2) for half in (0, 1)]
    return rows[order]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_weight_gets_what_peft_would_add(tmp_path: Path, architecture: str) -> None:
    folder = small.peft_folder(tmp_path / "peft")
    path = exported(tmp_path, folder, architecture)
    header = read_header(path)
    header.require_whole()
    assert (header.architecture, header.is_adapter) == (architecture, True)
    assert len(header.tensors) == 2 * small.LAYERS * len(small.MODULES)
    for layer in range(small.LAYERS):
        for module, (name, inward, outward) in small.MODULES.items():
            shapes = {t.name: t.shape for t in header.tensors}
            assert shapes[f"blk.{layer}.{name}.weight.lora_a"] == (inward, 4)
            assert shapes[f"blk.{layer}.{name}.weight.lora_b"] == (4, outward)
            wanted = 8 / 4 * trained(folder, module, layer)
            if architecture == "llama" and name in ("attn_q", "attn_k"):
                wanted = interleaved(wanted, small.HEADS if name == "attn_q" else small.KV_HEADS)
            np.testing.assert_allclose(effect(path, module, layer), wanted, rtol=1e-5, atol=1e-6)


@given(heads=st.integers(1, 5), half=st.integers(1, 4), rank=st.integers(1, 3))
def test_the_rotation_moves_rows_and_loses_none(heads: int, half: int, rank: int) -> None:
    from jointcoder.assets.gguf import GgufHeader
    from jointcoder.finetune.gguf_lora import rotated

    metadata = {"general.architecture": "llama", "llama.attention.head_count": heads}
    b = np.arange(heads * 2 * half * rank, dtype=np.float32).reshape(-1, rank)
    turned = rotated(b, "blk.0.attn_k", GgufHeader(Path("x"), 0, 0, metadata))
    np.testing.assert_array_equal(turned, interleaved(b.astype(np.float64), heads))
    assert sorted(map(tuple, turned)) == sorted(map(tuple, b))


def test_scales_that_one_alpha_cannot_say_go_into_b(tmp_path: Path) -> None:
    ranks = {"self_attn.v_proj": 2}
    folder = small.peft_folder(
        tmp_path / "a",
        small.matrices(ranks=ranks),
        rank_pattern={"v_proj": 2},
        alpha_pattern={"mlp.up_proj": 20},
    )
    path = exported(tmp_path, folder, "qwen2")
    for module, scale in (("self_attn.q_proj", 8 / 4), ("self_attn.v_proj", 8 / 2), ("mlp.up_proj", 20 / 4)):
        np.testing.assert_allclose(effect(path, module), scale * trained(folder, module), rtol=1e-5, atol=1e-6)
    assert keys(path)["adapter.lora.alpha"] == 8
    folder = small.peft_folder(tmp_path / "b", small.matrices(ranks=ranks), use_rslora=True, rank_pattern={"v_proj": 2})
    path = exported(tmp_path, folder, "qwen2")
    for module, rank in (("self_attn.q_proj", 4), ("self_attn.v_proj", 2)):
        wanted = 8 / math.sqrt(rank) * trained(folder, module)
        np.testing.assert_allclose(effect(path, module), wanted, rtol=1e-5, atol=1e-6)


def test_what_the_file_says_of_itself(tmp_path: Path) -> None:
    folder = small.peft_folder(tmp_path / "peft", alora_invocation_tokens=[7, 11, 7])
    said = keys(exported(tmp_path, folder, name="validate_dx", licence="Apache-2.0", base_sha256="ab" * 32))
    assert said["general.type"] == "adapter"
    assert said["adapter.type"] == "lora"
    assert said["adapter.alora.invocation_tokens"] == [7, 11, 7]
    assert said["jointcoder.base_sha256"] == "ab" * 32
    assert (said["general.name"], said["general.license"]) == ("validate_dx", "Apache-2.0")
    assert said["general.base_model.0.name"] == "Small"
    plain = keys(exported(tmp_path, small.peft_folder(tmp_path / "plain")))
    assert not {"adapter.alora.invocation_tokens", "jointcoder.base_sha256", "general.license"} & set(plain)


def test_half_precision_and_bf16_and_the_same_bytes_twice(tmp_path: Path) -> None:
    folder = small.peft_folder(tmp_path / "peft")
    path = exported(tmp_path, folder, kind="f16")
    assert read_header(path).quantisation == "F16"
    full = tensors(exported(tmp_path, folder))
    for name, values in tensors(exported(tmp_path, folder, kind="f16")).items():
        np.testing.assert_allclose(values.astype(np.float32), full[name], rtol=1e-3, atol=1e-6)
    assert path.read_bytes() == exported(tmp_path, folder, kind="f16").read_bytes()
    as_bf16(folder)
    for name, values in tensors(exported(tmp_path, folder)).items():
        np.testing.assert_allclose(values, full[name], rtol=2**-7, atol=1e-6)


def as_bf16(folder: Path) -> None:
    """Write the weights again as bfloat16, the upper halves of float32 (the format's own description, by hand)."""
    from safetensors.numpy import load_file

    path = folder / "adapter_model.safetensors"
    table: dict[str, Any] = {}
    data = b""
    for name, values in load_file(path).items():
        half = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
        table[name] = {"dtype": "BF16", "shape": values.shape, "data_offsets": [len(data), len(data) + len(half)]}
        data += half
    head = json.dumps(table).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)


# ------------------------------------------------------------------------------------------------------ refused


@pytest.mark.parametrize(
    ("config", "code", "named"),
    [
        ({"use_dora": True}, "JC222", "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "JC222", "whole modules"),
        ({"bias": "all"}, "JC222", "biases"),
        ({"trainable_token_indices": [3]}, "JC222", "tokens"),
        ({"lora_alpha": 0}, "JC222", "alpha"),
        ({"peft_type": "LOHA"}, "JC221", "LOHA"),
        ({"r": None}, "JC221", "rank"),
        ({"alora_invocation_tokens": [-1]}, "JC221", "tokens"),
    ],
)
def test_more_or_less_than_lora_is_refused(tmp_path: Path, config: dict[str, Any], code: str, named: str) -> None:
    folder = small.peft_folder(tmp_path / "peft", **config)
    with pytest.raises(AssetError, match=rf"{code}.*{named}"):
        read_peft(folder)


def test_what_is_no_peft_folder(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"JC221.*no such folder"):
        read_peft(tmp_path / "absent")
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(AssetError, match=r"JC221.*pytorch_model"):
        read_peft(tmp_path)
    folder = small.peft_folder(tmp_path / "peft")
    weights = folder / "adapter_model.safetensors"
    whole = weights.read_bytes()
    for damaged in (b"", whole[:5], whole[: len(whole) // 2], b"\xff" * 64):
        weights.write_bytes(damaged)
        with pytest.raises(AssetError, match="JC221"):
            read_peft(folder)
    weights.unlink()
    with pytest.raises(AssetError, match=r"JC221.*missing"):
        read_peft(folder)
    (folder / "adapter_config.json").write_text("{", "utf-8")
    with pytest.raises(AssetError, match="JC221"):
        read_peft(folder)


def test_matrices_that_do_not_go_together_or_are_no_numbers(tmp_path: Path) -> None:
    found = small.matrices()
    first = next(name for name in found if "lora_B" in name)
    with pytest.raises(AssetError, match=r"JC221.*do not go together"):
        read_peft(small.peft_folder(tmp_path / "a", {k: v for k, v in found.items() if k != first}))
    broken = found | {first: np.full_like(found[first], np.nan)}
    with pytest.raises(AssetError, match=r"JC221.*diverged"):
        read_peft(small.peft_folder(tmp_path / "b", broken))
    large = found | {first: np.full_like(found[first], 1e6)}
    with pytest.raises(AssetError, match=r"JC222.*too large for f16"):
        exported(tmp_path, small.peft_folder(tmp_path / "c", large), kind="f16")


@pytest.mark.parametrize("module", ["lm_head", "model.embed_tokens"])
def test_embedding_and_output_are_refused(tmp_path: Path, module: str) -> None:
    pair = {
        f"base_model.model.{module}.lora_A.weight": np.ones((4, 64), np.float32),
        f"base_model.model.{module}.lora_B.weight": np.ones((2, 4), np.float32),
    }
    with pytest.raises(AssetError, match=r"JC222.*embedding"):
        exported(tmp_path, small.peft_folder(tmp_path / "peft", small.matrices() | pair))
    as_embedding = {"base_model.model.model.embed_tokens.lora_embedding_A": np.ones((4, 2), np.float32)}
    with pytest.raises(AssetError, match=r"JC222.*embedding"):
        exported(tmp_path, small.peft_folder(tmp_path / "other", small.matrices() | as_embedding))


def test_another_base_or_an_unknown_architecture(tmp_path: Path) -> None:
    adapter = read_peft(small.peft_folder(tmp_path / "peft"))
    unknown = small.base(tmp_path / "mamba.gguf", "mamba")
    with pytest.raises(AssetError, match=r"JC222.*mamba") as error:
        convert(adapter, read_header(unknown))
    assert "qwen3" in (error.value.hint or "")
    wide = {name: np.pad(v, ((0, 0), (0, 8))) if "lora_A" in name else v for name, v in small.matrices().items()}
    with pytest.raises(AssetError, match=r"JC210.*layers\.0\.mlp\.down_proj maps 104 to 64"):
        exported(tmp_path, small.peft_folder(tmp_path / "wide", wide))
    deep = {name.replace("layers.1.", "layers.7."): v for name, v in small.matrices().items()}
    with pytest.raises(AssetError, match=r"JC210.*no such weight"):
        exported(tmp_path, small.peft_folder(tmp_path / "deep", deep))


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    folder = small.peft_folder(tmp_path / "peft")
    path = exported(tmp_path, folder)
    before = path.read_bytes()
    adapter, header = read_peft(folder), read_header(small.base(tmp_path / "base.gguf"))
    lora = convert(adapter, header, kind="f16")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(AssetError, match=r"JC205.*no room"):
            write_gguf(path, lora.metadata, lora.tensors)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


# ------------------------------------------------------------------------------------------------------- oracle


def test_llama_cpps_own_converter_writes_the_same(tmp_path: Path) -> None:
    """Tensor for tensor and key for key. ``JOINTCODER_LLAMA_CPP``: the folder of llama.cpp's source, as in the source
    package of llama-cpp-python (vendor/llama.cpp)."""
    source = os.environ.get("JOINTCODER_LLAMA_CPP", "")
    script = Path(source) / "convert_lora_to_gguf.py"
    if not source or not script.is_file():
        pytest.skip("JOINTCODER_LLAMA_CPP names no source of llama.cpp")
    pytest.importorskip("torch", reason="torch is not installed (extra: finetune)")
    folder = small.peft_folder(tmp_path / "peft", alora_invocation_tokens=[5, 9])
    calls = []
    for architecture in ARCHITECTURES:
        config = tmp_path / architecture
        config.mkdir()
        (config / "config.json").write_text(json.dumps(small.config(architecture)), "utf-8")
        out = tmp_path / f"oracle-{architecture}.gguf"
        calls.append(["--base", str(config), "--outfile", str(out), "--outtype", "f32", str(folder)])
    driver = (
        "import json, runpy, sys\n"
        "script, calls = sys.argv[1], json.loads(sys.argv[2])\n"
        "for arguments in calls:\n"
        "    sys.argv = [script, *arguments]\n"
        "    runpy.run_path(script, run_name='__main__')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(script.parent), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", driver, str(script), json.dumps(calls)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    for architecture in ARCHITECTURES:
        own, other = exported(tmp_path, folder, architecture), tmp_path / f"oracle-{architecture}.gguf"
        ours, theirs = tensors(own), tensors(other)
        assert set(ours) == set(theirs)
        for name, values in theirs.items():
            assert ours[name].dtype == values.dtype
            np.testing.assert_array_equal(ours[name], values, err_msg=f"{architecture} {name}")
        said, expected = keys(own), keys(other)
        described = {"general.name", "general.tags", "general.size_label"}  # from the names of folders
        described |= {key for key in {*expected, *said} if key.startswith("general.base_model.")}
        assert {k: v for k, v in expected.items() if k not in described} == {
            k: v for k, v in said.items() if k not in described
        }
