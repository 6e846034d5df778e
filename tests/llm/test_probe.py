"""Probing in real subprocesses, on the smallest model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jointcoder.errors import ModelError
from jointcoder.llm.options import EngineOptions, load_options
from jointcoder.llm.probe import probe, probe_engine

pytestmark = pytest.mark.engine

SAFE = EngineOptions(threads=1)


def test_a_probe_measures_chooses_and_keeps(smallest: Path, tmp_path: Path) -> None:
    saved, told = tmp_path / "cache" / "engine.json", []
    tries = [SAFE, replace(SAFE, batch_tokens=256)]
    report = probe_engine(smallest, saved=saved, configurations=tries, progress=lambda *step: told.append(step))
    assert report.chosen in tries
    assert len(report.results) == len(report.reasons) == 2
    assert all(result.prefill > 0 and result.decode > 0 and not result.failure for result in report.results)
    assert report.results[0].written == report.results[1].written
    assert load_options(saved, smallest) == report.chosen
    assert [step[:2] for step in told] == [(0, 2), (1, 2), (2, 2)]


def test_what_dies_is_a_result_not_an_end(smallest: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(smallest.read_bytes()[:5000])
    assert "JC301" in probe(broken, configurations=[SAFE])[0].failure
    saved = tmp_path / "engine.json"
    with pytest.raises(ModelError, match="JC305"):
        probe_engine(broken, saved=saved, configurations=[SAFE])
    assert not saved.exists()


def test_repacked_weights_live_or_die_but_are_reported(smallest: Path) -> None:
    """On machines with AMX a default build crashes here; elsewhere it works. Either way there is a result."""
    result = probe(smallest, configurations=[replace(SAFE, extra_buffers=True)])[0]
    assert bool(result.failure) != bool(result.written)
