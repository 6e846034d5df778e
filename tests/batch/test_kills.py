"""Processes that die, are told to stop, or have a worker die: no record is lost, none stands twice."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jointcoder.batch.processes import Processes
from jointcoder.errors import AssetError

from .batch_coders import Opener
from .conftest import Process, encounters, failures, results, write

Night = Callable[..., subprocess.CompletedProcess[str]]


def test_killed_again_and_again(night: Night, tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", encounters(40)), tmp_path / "run"
    kept: set[str] = set()
    for at in (1, 7, 14, 6):
        assert night(source, out, "--kill-at", at).returncode == -signal.SIGKILL
        found = set(results(out))
        assert kept <= found  # what stood there stays
        assert len(found) - len(kept) == (at - 1) // 4 * 4  # only the group in flight is done again
        kept = found
    last = night(source, out)
    assert last.returncode == 0, last.stderr
    assert len(results(out)) == 40
    assert failures(out) == {}
    states = [one["state"] for one in json.loads((out / "manifest.json").read_text())["sittings"]]
    assert states == ["running"] * 4 + ["finished"]


def test_sigterm_drains(night: Night, tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", encounters(30)), tmp_path / "run"
    stopped = night(source, out, "--stop-at", 10)
    assert stopped.returncode == 128 + signal.SIGTERM
    assert "JC901" in stopped.stderr
    assert len(results(out)) == 12  # the group in flight was finished, no other begun
    assert json.loads((out / "manifest.json").read_text())["state"] == "drained"
    assert (out / "report.html").exists()
    assert night(source, out, "--workers", 2).returncode == 0
    assert len(results(out)) == 30


def test_several_workers_write_what_one_does(process: Process, opener: Opener, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", encounters(30))
    process(source)
    process(source, out=tmp_path / "several", executor=Processes(opener, 2))
    one, several = results(tmp_path / "run"), results(tmp_path / "several")
    assert {id: value["codes"] for id, value in several.items()} == {id: value["codes"] for id, value in one.items()}


def test_a_worker_that_dies_loses_nothing(process: Process, opener: Opener, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", encounters(30))
    tally = process(source, executor=Processes(replace(opener, kill_at=9), 2))  # each worker dies over its third group
    assert tally.lost >= 2
    assert len(results(tmp_path / "run")) == 30
    assert failures(tmp_path / "run") == {}


def test_an_encounter_that_kills_workers_is_given_up_alone(process: Process, opener: Opener, tmp_path: Path) -> None:
    rows = encounters(10)
    rows[4]["text"] += "POISON"
    process(write(tmp_path / "in.jsonl", rows), executor=Processes(opener, 2))
    assert {id: one["code"] for id, one in failures(tmp_path / "run").items()} == {"E0004": "JC703"}
    assert len(results(tmp_path / "run")) == 9


def test_workers_that_cannot_open_their_coder_say_why(process: Process, opener: Opener, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", encounters(3))
    with pytest.raises(AssetError, match="JC20"):
        process(source, executor=Processes(replace(opener, book=str(tmp_path / "no-book")), 2))


def test_workers_that_die_while_they_start(process: Process, tmp_path: Path) -> None:
    from jointcoder.errors import RunError

    source = write(tmp_path / "in.jsonl", encounters(3))
    with pytest.raises(RunError, match="JC708"):
        process(source, executor=Processes(die, 1))  # type: ignore[arg-type]


def die() -> None:
    """Opens no coder: the process ends."""
    import os

    os._exit(9)
