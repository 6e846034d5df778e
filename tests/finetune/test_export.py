"""From a training's folder to a file with its card, registered or published; and merged into the base."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jointcoder.assets import adapters_of, resolve_model
from jointcoder.assets.gguf import read_header
from jointcoder.assets.manifest import Manifest, ModelAsset, ShippedAdapter
from jointcoder.assets.models import ResolvedModel
from jointcoder.assets.register import Wish, register
from jointcoder.errors import AssetError, InputError
from jointcoder.finetune import export as work
from jointcoder.finetune.card import LOCAL_ONLY, card, distribution
from jointcoder.finetune.gguf_lora import delta
from jointcoder.finetune.merge import merge
from jointcoder.finetune.peft_folder import read_peft
from jointcoder.settings import Settings
from tests.carriers import sha256
from tests.cli.command import ROOT
from tests.finetune import small
from tests.finetune.test_gate import finetune

gguf_package = pytest.importorskip("gguf", reason="the package gguf is not installed (extra: finetune)")
pytest.importorskip("safetensors", reason="safetensors is not installed (extra: finetune)")

NAME = "validate_dx"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(cache=tmp_path / "cache")
    register(small.base(tmp_path / "base.gguf"), settings, Wish(name="small", licence="Apache-2.0"))
    return settings


@pytest.fixture
def base(settings: Settings) -> ResolvedModel:
    return resolve_model(settings, "small")


def run(tmp_path: Path, base: ResolvedModel, **more: Any) -> work.Run:
    """A training's folder with what it says of itself."""
    folder = tmp_path / "run"
    small.peft_folder(folder / "adapter")
    small.training(folder / "training.json", **({"base_sha256": base.sha256} | more))
    return work.load_run(folder)


def agreed(exported: work.Exported, *, passed: bool = True) -> dict[str, Any]:
    """A report of the agreement check."""
    figures = {"over": "f16", "prompts": 12, "tokens": 99, "mean": 0.001, "worst": 0.01, "kl": 1e-5, "effect": 0.3}
    return {
        "adapter": {"name": exported.name, "sha256": exported.sha256},
        "runs": [figures | {"same": 11, "ties": 1}],
        "passed": passed,
    }


def test_the_card_tells_what_a_reader_must_know(tmp_path: Path, base: ResolvedModel) -> None:
    done = work.export(run(tmp_path, base), base, tmp_path / "out.gguf")
    evaluation = {
        "data": "dev.jsonl",
        "n": 50,
        "metrics": {
            "systems": {
                "ICD-10-CM": {
                    "precision": 0.8,
                    "recall": 0.7,
                    "micro_f1": 0.747,
                    "interval": [0.701, 0.79],
                    "frequency": {"0": {"gold": 12, "micro_f1": 0.1}},
                }
            }
        },
    }
    gate = {
        "adapter": {"sha256": done.sha256},
        "data": "dev.jsonl",
        "rule": "No fall.",
        "slices": [
            {
                "system": "ICD-10-CM",
                "slice": "language es",
                "encounters": 50,
                "before": 0.7,
                "after": 0.75,
                "difference": 0.05,
                "interval": [0.01, 0.09],
            }
        ],
    }
    told = work.facts(done, evaluations=[evaluation], gate=gate, agreement=agreed(done))
    text = work.write_card(done, told).read_text("utf-8")
    assert text == card(told)
    for wanted in (
        "# validate_dx, an adapter of small",
        base.sha256,
        done.sha256,
        "5" * 64,
        "CC BY 4.0 (Nobody, 2026)",
        "lr = 0.0002",
        "| accuracy | 0.500 | 0.800 |",
        "0.747 [0.701, 0.790]",
        "seen 0 times in training",
        "| ICD-10-CM: language es | 50 | 0.700 | 0.750 | +0.050 [+0.010, +0.090] |",
        "11 of 12, 1 near ties",
        "## Limits",
        "judges whether a drafted code",
        "May be passed on",
    ):
        assert wanted in text, wanted
    assert "/somewhere" not in text, "no paths of the machine"
    bare = card(work.facts(work.export(work.Run(done.path, done.run.adapter), base, tmp_path / "b.gguf", name="b")))
    assert bare.count("Not recorded.") == 2
    assert "Not measured." in bare
    assert "Not checked." in bare
    assert "**Local only, not for distribution**: nothing is known of its training data." in bare


@pytest.mark.parametrize(
    ("training", "licence", "free"),
    [
        ({"sources": [{"name": "a", "shippable": True}], "shippable": True}, "Apache-2.0", True),
        ({"sources": [{"name": "a", "shippable": True}], "shippable": True}, "", False),
        ({"sources": [{"name": "a", "shippable": True}], "shippable": True}, "Llama-3", False),
        ({"sources": [{"name": "a", "shippable": True}], "shippable": False}, "MIT", False),
        ({"sources": [{"name": "a", "shippable": True}, {"name": "b"}], "shippable": True}, "MIT", False),
        ({"sources": [{"name": "a", "shippable": "yes"}], "shippable": True}, "MIT", False),
        ({"sources": [], "shippable": True}, "MIT", False),
        (None, "MIT", False),
    ],
)
def test_free_only_where_everything_is_known_to_be(training: Any, licence: str, free: bool) -> None:
    found = distribution(training, licence)
    assert found.free is free
    assert bool(found.obstacles) is not free
    assert found.licence == (licence if free else LOCAL_ONLY)


def test_trained_on_other_weights(tmp_path: Path, base: ResolvedModel) -> None:
    other = run(tmp_path, base, base_sha256="0" * 64)
    with pytest.raises(AssetError, match=r"JC210.*0000"):
        work.export(other, base, tmp_path / "out.gguf")
    assert not (tmp_path / "out.gguf").exists()
    done = work.export(other, base, tmp_path / "out.gguf", other_weights=True)
    assert read_header(done.path).metadata["jointcoder.base_sha256"] == "0" * 64


def test_registered_under_its_agents_name(tmp_path: Path, base: ResolvedModel, settings: Settings) -> None:
    done = work.export(run(tmp_path, base, shippable=False), base, tmp_path / "out.gguf")
    entry = work.enrol(done, settings).entry
    assert (entry.name, entry.licence) == (NAME, LOCAL_ONLY)
    found = adapters_of(settings, "small")[NAME]
    assert found.path.read_bytes() == done.path.read_bytes()
    assert read_header(found.path).metadata["general.license"] == LOCAL_ONLY


def test_reports_of_another_adapter_are_refused(tmp_path: Path, base: ResolvedModel) -> None:
    done = work.export(run(tmp_path, base), base, tmp_path / "out.gguf")
    with pytest.raises(AssetError, match=r"JC226.*agreement"):
        work.facts(done, agreement=agreed(done) | {"adapter": {"sha256": "0" * 64}})
    with pytest.raises(InputError, match="JC104"):
        work.read_json(done.path.with_suffix(".gguf").rename(tmp_path / "not.json"))


# ------------------------------------------------------------------------------------------------------ published


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The folder of shipped adapters of a checkout."""
    folder = tmp_path / "checkout" / "models" / "adapters"
    folder.mkdir(parents=True)
    text = (ROOT / "models" / "manifest.toml").read_text("utf-8").split("\n[[adapter]]")[0]
    own = '\n[[model]]\nname = "small"\nfile = "small.gguf"\nsize = 1\nsha256 = "%s"\nquantisation = "F32"\n' % (
        "1" * 64
    )
    text += own + 'architecture = "llama"\nparameters = 1\nlicence = "Apache-2.0"\n'
    (folder.parent / "manifest.toml").write_text(text, "utf-8")
    return folder


def shipped(checkout: Path) -> tuple[ShippedAdapter, ...]:
    text = (checkout.parent / "manifest.toml").read_text("utf-8")
    return Manifest.read(text, ModelAsset, "model", "m").adapters


def test_published_with_card_and_entry_and_replaced_by_the_next(
    tmp_path: Path, base: ResolvedModel, checkout: Path
) -> None:
    trained = run(tmp_path, base)
    before = (checkout.parent / "manifest.toml").read_text("utf-8")
    shas = []
    for kind in ("f32", "f16"):
        done = work.export(trained, base, tmp_path / "out.gguf", kind=kind)  # type: ignore[arg-type]
        target = work.publish(done, work.facts(done, agreement=agreed(done)), folder=checkout)
        shas.append(done.sha256)
        (entry,) = shipped(checkout)
        assert (entry.base, entry.name, entry.licence, entry.sha256) == ("small", NAME, "Apache-2.0", shas[-1])
        assert sha256(target.read_bytes()) == entry.sha256
        assert entry.size == target.stat().st_size
        assert "May be passed on" in target.with_suffix(".md").read_text("utf-8")
    assert shas[0] != shas[1]
    other = work.export(trained, base, tmp_path / "other.gguf", name="validate_px")
    work.publish(other, work.facts(other, agreement=agreed(other)), folder=checkout)
    assert [entry.name for entry in shipped(checkout)] == [NAME, "validate_px"]
    after = (checkout.parent / "manifest.toml").read_text("utf-8")
    assert after.startswith(before.rstrip("\n")), "the rest of the manifest is untouched"
    assert tomllib.loads(after)["model"] == tomllib.loads(before)["model"]


def test_what_may_not_be_published(tmp_path: Path, base: ResolvedModel, checkout: Path) -> None:
    before = (checkout.parent / "manifest.toml").read_bytes()
    closed = work.export(run(tmp_path, base, shippable=False), base, tmp_path / "a.gguf")
    with pytest.raises(AssetError, match=r"JC224.*local use only.*made_up"):
        work.publish(closed, work.facts(closed, agreement=agreed(closed)), folder=checkout)
    free = work.export(run(tmp_path, base), base, tmp_path / "b.gguf")
    for report in (None, agreed(free, passed=False)):
        with pytest.raises(AssetError, match=r"JC224.*not shown"):
            work.publish(free, work.facts(free, agreement=report), folder=checkout)
    with pytest.raises(AssetError, match=r"JC224.*manifest"):
        work.publish(free, work.facts(free, agreement=agreed(free)), folder=tmp_path / "elsewhere" / "adapters")
    assert (checkout.parent / "manifest.toml").read_bytes() == before
    assert not list(checkout.iterdir())


def test_from_the_command_line(tmp_path: Path, base: ResolvedModel, settings: Settings) -> None:
    trained = run(tmp_path, base, shippable=False)
    command = ("export", str(trained.folder), "--of", "small")
    ran = finetune(*command, "--register", "--json", cache=settings.cache)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["licence"] == LOCAL_ONLY
    assert Path(told["card"]).read_text("utf-8").startswith(f"# {NAME}, an adapter of small")
    assert told["sha256"] == adapters_of(settings, "small")[NAME].sha256
    refused = finetune(*command, "--publish", cache=settings.cache)
    assert (refused.returncode, "JC224" in refused.stderr, "Traceback" in refused.stderr) == (5, True, False)
    absent = finetune("export", str(tmp_path / "absent"), "--of", "small", cache=settings.cache)
    assert (absent.returncode, "JC221" in absent.stderr) == (5, True)


# --------------------------------------------------------------------------------------------------------- merged


def quantised(path: Path, *, architecture: str = "llama") -> Path:
    """The small base with real numbers: Q8_0 weights, F32 norms, a vocabulary and a key of every type."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    random, kind = np.random.default_rng(5), GGMLQuantizationType.Q8_0
    writer = GGUFWriter(path, architecture)
    writer.add_name("Small")
    writer.add_file_type(7)
    writer.add_block_count(small.LAYERS)
    writer.add_head_count(small.HEADS)
    writer.add_head_count_kv(small.KV_HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "é", "好"])
    writer.add_token_types([1, 1, 3])
    writer.add_add_bos_token(False)
    for layer in range(small.LAYERS):
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", np.ones(small.WIDTH, np.float32))
        for name, inward, outward in small.MODULES.values():
            plain = random.normal(0, 0.1, (outward, inward)).astype(np.float32)
            writer.add_tensor(f"blk.{layer}.{name}.weight", quants.quantize(plain, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(("kind", "relative"), [("f32", 1e-6), ("f16", 2**-10), ("bf16", 2**-7)])
def test_merged_is_the_dequantised_base_with_the_adapter(tmp_path: Path, kind: Any, relative: float) -> None:
    from gguf import GGUFReader, quants

    source = quantised(tmp_path / "base.gguf")
    adapter, header = read_peft(small.peft_folder(tmp_path / "peft")), read_header(source)
    path = merge(source, tmp_path / "merged.gguf", adapter, kind=kind, name="Merged")
    before, after = GGUFReader(source), GGUFReader(path)
    assert {t.name for t in before.tensors} == {t.name for t in after.tensors}
    changed = 0
    for old, new in zip(before.tensors, after.tensors, strict=True):
        values = quants.dequantize(old.data, old.tensor_type)
        got = quants.dequantize(new.data, new.tensor_type)
        module = next((m for m, (name, _, _) in small.MODULES.items() if f".{name}." in new.name), None)
        if module is None:
            assert new.tensor_type.name == "F32", "norms stay as they are"
        else:
            layer = new.name.split(".")[1]
            pair = adapter.pairs[f"model.layers.{layer}.{module}"]
            values = values + delta(pair, new.name.removesuffix(".weight"), header)
            changed += 1
        np.testing.assert_allclose(got, values, rtol=relative, atol=relative)
    assert changed == small.LAYERS * len(small.MODULES)
    fields = {name: field.contents() for name, field in after.fields.items() if not name.startswith("GGUF.")}
    kept = {name: field.contents() for name, field in before.fields.items() if not name.startswith("GGUF.")}
    assert fields["general.name"] == "Merged"
    assert read_header(path).quantisation == kind.upper()
    for key in set(kept) - {"general.name", "general.file_type"}:
        assert fields[key] == kept[key], key


def test_merging_without_room_or_with_another_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = quantised(tmp_path / "base.gguf")
    wide = {name: np.pad(v, ((0, 0), (0, 8))) if "lora_A" in name else v for name, v in small.matrices().items()}
    other = read_peft(small.peft_folder(tmp_path / "wide", wide))
    with pytest.raises(AssetError, match="JC210"):
        merge(source, tmp_path / "merged.gguf", other)
    monkeypatch.setattr("jointcoder.finetune.merge.free_bytes", lambda folder: 1000)
    with pytest.raises(AssetError, match="JC205"):
        merge(source, tmp_path / "merged.gguf")
    assert not list(tmp_path.glob("merged*"))
