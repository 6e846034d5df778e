"""Engine options, the file that keeps them, the choice among probes, and opening by settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jointcoder.errors import AssetError, ModelError, UsageError
from jointcoder.llm.load import backends, open_model
from jointcoder.llm.options import EngineOptions, load_options, save_options
from jointcoder.llm.probe import ProbeResult, candidates, choose_options
from jointcoder.llm.scripted import Scripted
from jointcoder.settings import Settings

SAFE = EngineOptions(threads=2)


def test_options_are_kept_a_model_and_do_not_disturb_each_other(tmp_path: Path) -> None:
    saved, one, two = tmp_path / "engine.json", tmp_path / "one.gguf", tmp_path / "two.gguf"
    one.write_bytes(b"1")
    two.write_bytes(b"22")
    save_options(saved, one, SAFE, [])
    save_options(saved, two, replace(SAFE, threads=1), [])
    assert load_options(saved, one) == SAFE
    assert load_options(saved, two) == replace(SAFE, threads=1)
    one.write_bytes(b"another model under the same name")
    assert load_options(saved, one) is None


def test_options_of_another_machine_or_of_nonsense_are_ignored(tmp_path: Path) -> None:
    saved, path = tmp_path / "engine.json", tmp_path / "one.gguf"
    path.write_bytes(b"1")
    assert load_options(saved, path) is None
    save_options(saved, path, SAFE, [])
    entries = json.loads(saved.read_text())
    key = next(iter(entries))
    for change in (
        {"machine": {"processor": "other"}},
        {"options": {"threads": 0}},
        {"options": {"wings": 2}},
    ):
        saved.write_text(json.dumps({key: entries[key] | change}))
        assert load_options(saved, path) is None
    saved.write_text("{")
    assert load_options(saved, path) is None
    save_options(saved, path, SAFE, [])
    assert load_options(saved, path) == SAFE


@pytest.mark.parametrize(
    "change",
    [
        {"threads": 0},
        {"kv_type": "q4"},
        {"batch_tokens": 100},
        {"parallel": 1},
        {"parallel": 400},
        {"logit_rows": 8},
    ],
)
def test_options_that_the_engine_would_die_of_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"kv_type|must be|may not"):
        EngineOptions(**change)  # type: ignore[arg-type]


def test_the_fastest_that_agrees_is_chosen() -> None:
    slow = ProbeResult(SAFE, 100, 10, (1, 2))
    fast = ProbeResult(replace(SAFE, batch_tokens=256), 200, 20, (1, 2))
    other = ProbeResult(replace(SAFE, kv_type="f32"), 400, 40, (1, 3))
    dead = ProbeResult(replace(SAFE, extra_buffers=True), failure="SIGSEGV")
    unsteady = ProbeResult(replace(SAFE, steady=False), 400, 40, (1, 2))
    assert choose_options([slow, other, dead, unsteady, fast]) == fast.options


def test_a_hair_faster_is_not_worth_leaving_the_default() -> None:
    slow = ProbeResult(SAFE, 100, 10, (1,))
    hair = ProbeResult(replace(SAFE, batch_tokens=256), 101, 10, (1,))
    assert choose_options([slow, hair]) == SAFE


def test_a_dead_default_gives_way_and_none_alive_is_an_error() -> None:
    dead = ProbeResult(SAFE, failure="SIGILL")
    alive = ProbeResult(replace(SAFE, flash_attention=False), 10, 1, (1,))
    assert choose_options([dead, alive]) == alive.options
    with pytest.raises(ModelError, match="SIGILL"):
        choose_options([dead])


def test_the_first_candidate_is_the_safe_one() -> None:
    first = candidates()[0]
    assert not first.extra_buffers
    assert first.steady


def test_an_unknown_backend_names_the_known_ones(tmp_path: Path) -> None:
    assert {"llamacpp", "scripted"} <= set(backends())
    with pytest.raises(UsageError, match=r"abacus.*llamacpp.*scripted"):
        open_model(Settings(cache=tmp_path), backend="abacus")


def test_backends_open_by_name(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text('["yes"]', "utf-8")
    with open_model(Settings(cache=tmp_path), path=path, name="mine", backend="scripted") as model:
        assert isinstance(model, Scripted)
        assert model.info.name == "mine"


def test_a_missing_model_is_jc201(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    with pytest.raises(AssetError, match="JC201"):
        open_model(Settings(cache=tmp_path))
