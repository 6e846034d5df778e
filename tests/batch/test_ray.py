"""Workers on a Ray cluster of this machine: the files of a local run, and workers killed while it is under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jointcoder.batch.ray import OnRay
from jointcoder.errors import AssetError

from .batch_coders import Opener
from .conftest import Process, encounters, failures, results, write

ray = pytest.importorskip("ray", reason="the extra ray is not installed")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two nodes of one core each, whatever the machine has."""
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_worker_niceness", "0")  # else a busy machine starves them
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    ray.init(address=nodes.address, log_to_driver=False)
    yield
    ray.shutdown()
    nodes.shutdown()
    patch.undo()


def test_two_nodes_write_what_one_process_does_though_workers_die(
    process: Process, opener: Opener, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.jsonl", encounters(30))
    process(source)
    # a worker dies over its thirteenth encounter, so that 30 need three lives: one begins when another ended
    tally = process(source, out=tmp_path / "ray", executor=OnRay(replace(opener, kill_at=13), 2))
    assert tally.lost >= 1
    one, other = results(tmp_path / "run"), results(tmp_path / "ray")
    assert {id: value["codes"] for id, value in other.items()} == {id: value["codes"] for id, value in one.items()}
    assert failures(tmp_path / "ray") == {}


def test_an_encounter_that_kills_workers_is_given_up_alone(process: Process, opener: Opener, tmp_path: Path) -> None:
    rows = encounters(6)
    rows[4]["text"] += "POISON"
    process(write(tmp_path / "in.jsonl", rows), executor=OnRay(opener, 1))
    assert {id: one["code"] for id, one in failures(tmp_path / "run").items()} == {"E0004": "JC703"}
    assert len(results(tmp_path / "run")) == 5


def test_what_keeps_a_coder_from_opening_is_said(process: Process, opener: Opener, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", encounters(2))
    with pytest.raises(AssetError, match="JC20"):
        process(source, executor=OnRay(replace(opener, book=str(tmp_path / "none")), 2))
