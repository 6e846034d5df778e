"""The run folder: torn lines, a lost or damaged index, a lock, a full disk; what stands there stays good."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jointcoder.batch.folder import RunFolder
from jointcoder.batch.index import Index
from jointcoder.errors import RunError

from .conftest import Process, encounters, failures, results, write

Night = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def done(process: Process, tmp_path: Path) -> Path:
    """A finished run of six encounters and a failure, with its input beside it."""
    process(write(tmp_path / "in.jsonl", [*encounters(6), {"id": "bad"}]))
    return tmp_path / "run"


def again(process: Process, done: Path) -> tuple[int, int]:
    tally = process(done.parent / "in.jsonl")
    assert len(results(done)) == 6
    assert len(failures(done)) == 1
    return tally.done, tally.already


def test_a_torn_last_line_is_cut_off_and_its_encounter_coded_again(process: Process, done: Path) -> None:
    path = done / "results.jsonl"
    whole = path.read_bytes()
    (done / "index.sqlite").unlink()
    path.write_bytes(whole[:-40])
    assert again(process, done) == (1, 5)


def test_a_torn_line_behind_a_good_index(process: Process, done: Path) -> None:
    with (done / "results.jsonl").open("ab") as file:
        file.write(b'{"encounter": "E0099", "codes": [')
    with (done / "failed.jsonl").open("ab") as file:
        file.write(b'{"id')
    assert again(process, done) == (0, 6)


def test_lines_that_the_index_has_not_heard_of(process: Process, done: Path) -> None:
    saved = (done / "index.sqlite").read_bytes()
    process(write(done.parent / "more.jsonl", encounters(3, start=6)))
    (done / "index.sqlite").write_bytes(saved)  # as if the process had died before its commit
    tally = process(done.parent / "more.jsonl")
    assert (tally.done, tally.already) == (0, 3)
    assert len(results(done)) == 9


@pytest.mark.parametrize("damage", [None, b"", b"this is no database at all, and never was one" * 50])
def test_the_index_is_made_anew(process: Process, done: Path, damage: bytes | None) -> None:
    path = done / "index.sqlite"
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    assert again(process, done) == (0, 6)


def test_the_index_is_made_anew_where_a_file_became_shorter(process: Process, done: Path) -> None:
    lines = (done / "results.jsonl").read_bytes().splitlines(keepends=True)
    (done / "results.jsonl").write_bytes(b"".join(lines[:4]))
    assert again(process, done) == (2, 4)


def test_a_run_that_died_while_it_tidied(process: Process, done: Path) -> None:
    index = Index(done / "index.sqlite")
    index.set("tidying", 1)
    index.move("E0003", 7)
    index.close()
    (done / ".results.jsonl.tidy").write_bytes(b"half of it")
    assert again(process, done) == (0, 6)


def test_a_line_in_the_middle_that_is_no_record_is_not_passed_over(process: Process, done: Path) -> None:
    lines = (done / "results.jsonl").read_bytes().splitlines(keepends=True)
    (done / "results.jsonl").write_bytes(b"".join([*lines[:2], b"\x00" * 100 + b"\n", *lines[2:]]))
    (done / "index.sqlite").unlink()
    before = (done / "results.jsonl").read_bytes()
    with pytest.raises(RunError, match="JC705"):
        process(done.parent / "in.jsonl")
    assert (done / "results.jsonl").read_bytes() == before


def test_two_runs_do_not_share_a_folder(process: Process, done: Path) -> None:
    with RunFolder(done), pytest.raises(RunError, match="JC702"):
        process(done.parent / "in.jsonl")
    assert again(process, done) == (0, 6)


def test_a_folder_of_something_else_is_left_alone(process: Process, tmp_path: Path) -> None:
    other = tmp_path / "photographs"
    other.mkdir()
    (other / "cat.jpg").write_bytes(b"x")
    with pytest.raises(RunError, match="JC700"):
        process(write(tmp_path / "in.jsonl", encounters(1)), out=other)
    assert [path.name for path in other.iterdir()] == ["cat.jpg"]


def test_a_manifest_of_another_program_is_refused(process: Process, done: Path) -> None:
    (done / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(RunError, match="JC700"):
        process(done.parent / "in.jsonl")


def test_only_the_owner_reads_results(done: Path) -> None:
    assert [path.name for path in done.iterdir() if path.name.endswith("json") and path.stat().st_mode & 0o077] == []
    assert (done / "results.jsonl").stat().st_mode & 0o077 == 0


def test_a_full_disk_tears_nothing_and_the_run_goes_on(night: Night, tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", encounters(40)), tmp_path / "run"
    full = night(source, out, "--file-limit", 60_000)  # as a disk that takes no more
    assert full.returncode == 1
    assert "JC704" in full.stderr
    written = (out / "results.jsonl").read_bytes()
    assert 0 < len(written) <= 60_000
    assert written.endswith(b"\n")
    kept = results(out)
    assert 0 < len(kept) < 40
    assert night(source, out).returncode == 0
    assert {id: results(out)[id] for id in kept} == kept
    assert len(results(out)) == 40


def test_a_write_that_fails_takes_nothing_along(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    before = (done / "results.jsonl").read_bytes()
    with RunFolder(done) as folder:
        row = folder.index.get("E0000")
        assert row is not None
        file = folder._files["done"]

        class Full:
            """Takes half of what it is given, then nothing."""

            def __init__(self) -> None:
                self.taken = False

            def write(self, data: memoryview) -> int:
                if self.taken:
                    raise OSError(28, "No space left on device")
                self.taken = True
                return file.write(data[: len(data) // 2])

            def __getattr__(self, name: str) -> object:
                return getattr(file, name)

        folder._files["done"] = Full()  # type: ignore[assignment]
        with pytest.raises(RunError, match="JC704"):
            folder.append([(replace(row, seq=99), b"x" * 1000)])
        folder._files["done"] = file
    assert (done / "results.jsonl").read_bytes() == before


def test_memory_of_the_folder_is_its_files(done: Path) -> None:
    with RunFolder(done) as folder:
        assert folder.index.counts() == {"done": 6, "failed": 1}
        assert folder.index.codes() == {"JC101": 1}
        assert [value["encounter"] for value in folder.lines()] == [f"E{n:04}" for n in range(6)]
        row = folder.index.get("E0004")
        assert row is not None
        assert json.loads(folder.line_at(row))["encounter"] == "E0004"
