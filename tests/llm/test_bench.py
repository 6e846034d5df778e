"""Measuring a model in a process of its own, on the smallest model."""

from __future__ import annotations

from pathlib import Path

import pytest

from jointcoder.errors import ModelError
from jointcoder.llm.bench import BRANCHES, bench, read_bandwidth
from jointcoder.llm.options import EngineOptions, load_options, load_rates, save_options

pytestmark = pytest.mark.engine


def test_rates_are_measured_with_the_chosen_options_and_kept_beside_them(smallest: Path, tmp_path: Path) -> None:
    saved, told = tmp_path / "engine.json", []
    chosen = EngineOptions(threads=2, batch_tokens=256)
    save_options(saved, smallest, chosen, [])
    rates = bench(smallest, saved=saved, context_tokens=1024, quick=True, notice=told.append)
    assert rates.options == chosen
    assert set(rates.prefill) == {512}
    assert set(rates.decode) == set(BRANCHES)
    assert all(rate > 0 for rate in (*rates.prefill.values(), *rates.decode.values(), rates.choose, rates.share))
    assert rates.peak > rates.arithmetic["weights"] > rates.step_bytes / 2
    assert load_rates(saved, smallest) == rates.to_json()
    assert load_options(saved, smallest) == chosen
    save_options(saved, smallest, EngineOptions(threads=1), [])
    assert load_rates(saved, smallest) == rates.to_json(), "a later choice of options leaves the rates"
    assert told


def test_a_model_that_cannot_be_measured_is_a_coded_error(smallest: Path, tmp_path: Path) -> None:
    broken, saved = tmp_path / "broken.gguf", tmp_path / "engine.json"
    broken.write_bytes(smallest.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"JC305.*JC301"):
        bench(broken, saved=saved, quick=True)
    assert not saved.exists()


def test_bandwidth_is_that_of_some_machine() -> None:
    assert 1e8 < read_bandwidth(1) < 1e14
