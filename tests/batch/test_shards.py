"""Shards on several machines, put together; what would have been done, without doing it; a folder that fills."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from jointcoder.batch.conditions import conditions_of
from jointcoder.batch.dry import look, per_character
from jointcoder.batch.folder import RunFolder
from jointcoder.batch.inputs import Inputs, in_shard
from jointcoder.batch.merge import merge
from jointcoder.batch.watch import put_aside, settled
from jointcoder.errors import RunError

from .batch_coders import Opener
from .conftest import Process, encounters, failures, results, write


def test_shards_part_the_encounters_and_merge_into_one_run(process: Process, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [*encounters(40), {"id": "bad"}])
    shards = [tmp_path / f"shard{place}" for place in (1, 2, 3)]
    tallies = [process(source, out=out, shard=(place, 3)) for place, out in enumerate(shards, start=1)]
    assert sum(tally.done for tally in tallies) == 40
    assert all(0 < tally.done < 40 for tally in tallies)
    assert merge(shards, tmp_path / "all") == {"done": 40, "failed": 1}
    process(source, out=tmp_path / "run")
    one, merged = results(tmp_path / "run"), results(tmp_path / "all")
    assert {id: value["codes"] for id, value in merged.items()} == {id: value["codes"] for id, value in one.items()}
    assert set(failures(tmp_path / "all")) == set(failures(tmp_path / "run"))
    tally = process(source, out=tmp_path / "all")
    assert (tally.done, tally.already, tally.still) == (0, 40, 1)


def test_a_folder_keeps_its_shard(process: Process, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", encounters(4))
    process(source, shard=(1, 2))
    with pytest.raises(RunError, match="JC700"):
        process(source, shard=(2, 2))


def test_runs_that_do_not_belong_together_are_not_merged(process: Process, opener: Opener, tmp_path: Path) -> None:
    from dataclasses import replace

    from jointcoder.batch.executor import InProcess

    rows = encounters(4)
    source = write(tmp_path / "in.jsonl", rows)
    process(source, out=tmp_path / "a")
    process(source, out=tmp_path / "b", executor=InProcess(replace(opener, workflow="reconcile")))
    with pytest.raises(RunError, match=r"JC706.*workflow"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    rows[0]["text"] = "Discharge diagnosis: pneumonia"
    process(write(source, rows), out=tmp_path / "c")
    with pytest.raises(RunError, match=r"JC706.*E0000"):
        merge([tmp_path / "a", tmp_path / "c"], tmp_path / "ac")
    with pytest.raises(RunError, match="JC700"):
        merge([tmp_path / "a"], tmp_path / "c")


def test_every_id_is_in_one_shard() -> None:
    for id in map(str, range(200)):
        assert sum(in_shard(id, (place, 7)) for place in range(1, 8)) == 1


def test_a_plan_counts_what_is_to_do(process: Process, opener: Opener, tmp_path: Path) -> None:
    rows = encounters(6)
    source = write(tmp_path / "in.jsonl", [*rows[:4], {"id": "bad"}])
    process(source)
    rows[1]["text"] = "Discharge diagnosis: pneumonia"
    write(source, [*rows, {"id": "bad"}])
    before = (tmp_path / "run" / "results.jsonl").read_bytes()
    with opener() as coder, RunFolder(tmp_path / "run") as folder:
        plan = look(Inputs((source,)), index=folder.index, conditions=conditions_of(coder).digest)
        assert per_character(coder, plan.sample) > 0
    assert (plan.records, plan.to_do, plan.done, plan.changed, plan.recoded) == (7, 3, 3, 1, 0)
    assert plan.unread == {"JC101": 1}
    assert plan.characters == sum(len(row["text"]) for row in (rows[1], *rows[4:]))
    assert (tmp_path / "run" / "results.jsonl").read_bytes() == before


def test_files_are_taken_when_nobody_writes_to_them_any_more(tmp_path: Path) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    (inbox / "a.jsonl").write_text("{}")
    (inbox / "b.jsonl.part").write_text("{}")
    (inbox / "growing.jsonl").write_text("1")
    looks, taken = 0, []

    def wait() -> bool:
        """Between two looks a file grows, once."""
        nonlocal looks
        looks += 1
        if looks == 1:
            (inbox / "growing.jsonl").write_text("12")
        if looks == 2:
            (inbox / "b.jsonl.part").rename(inbox / "b.jsonl")
        return looks == 5

    for files in settled(inbox, wait=wait):
        taken.append([file.name for file in files])
        for file in files:
            put_aside(file, inbox, good=file.name != "b.jsonl")
    assert taken == [["a.jsonl"], ["growing.jsonl"], ["b.jsonl"]]
    assert sorted(path.relative_to(inbox).as_posix() for path in inbox.rglob("*.jsonl")) == [
        "done/a.jsonl",
        "done/growing.jsonl",
        "failed/b.jsonl",
    ]


def test_a_file_put_aside_takes_no_other_ones_place(tmp_path: Path) -> None:
    for content in ("one", "two"):
        (tmp_path / "a.txt").write_text(content)
        put_aside(tmp_path / "a.txt", tmp_path, good=True)
    assert {path.name: path.read_text() for path in (tmp_path / "done").iterdir()} == {"a.txt": "one", "a-2.txt": "two"}


def test_a_watched_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="JC710"):
        next(settled(tmp_path / "gone", wait=lambda: True))


def test_age_decides_the_order(tmp_path: Path) -> None:
    for place, name in enumerate(("z.jsonl", "a.jsonl")):
        (tmp_path / name).write_text("{}")
        os.utime(tmp_path / name, (1_000_000 + place, 1_000_000 + place))
    looks = iter([False, True])
    (files,) = settled(tmp_path, wait=lambda: next(looks))
    assert [file.name for file in files] == ["z.jsonl", "a.jsonl"]
    assert json.loads(files[0].read_text()) == {}
