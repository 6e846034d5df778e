"""A few encounters in a file, and runs over them with the real coder on a small code book."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jointcoder.batch.executor import Executor, InProcess
from jointcoder.batch.folder import RunFolder
from jointcoder.batch.inputs import Inputs
from jointcoder.batch.progress import Tally
from jointcoder.batch.run import Options, Run
from jointcoder.codebook.book import CodeBook

from .batch_coders import Opener, text_of

ROOT = Path(__file__).resolve().parents[2]
PROBLEMS = ("pneumonia", "type 2 diabetes mellitus", "essential hypertension", "acute appendicitis")
Process = Callable[..., Tally]


def encounters(count: int, *, start: int = 0, remark: str = "") -> list[dict[str, Any]]:
    """Made encounters with two problems each."""
    return [
        {"id": f"E{n:04}", "text": text_of(PROBLEMS[n % 4], PROBLEMS[(n + 1) % 4], remark=remark)}
        for n in range(start, start + count)
    ]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """The results by id; fails where an id stands twice."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text("utf-8").splitlines()]
    found = {line["encounter"]: line for line in lines}
    assert len(found) == len(lines), "a result stands twice"
    return found


def failures(folder: Path) -> dict[str, dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "failed.jsonl").read_text("utf-8").splitlines()]
    found = {line["id"]: line for line in lines}
    assert len(found) == len(lines), "a failure stands twice"
    return found


@pytest.fixture
def opener(small_us: CodeBook, tmp_path: Path) -> Opener:
    return Opener(str(small_us.path), str(tmp_path / "cache"))


@pytest.fixture
def process(opener: Opener, tmp_path: Path) -> Process:
    """``process(path, …)``: one sitting in this process, into ``tmp_path/run`` unless told otherwise."""

    def go(
        *paths: Path,
        out: Path = tmp_path / "run",
        executor: Executor | None = None,
        policy: Any = None,
        worklist: Any = None,
        **options: Any,
    ) -> Tally:
        more = {"policy": lambda hello: policy} if policy is not None else {}
        run = Run(
            RunFolder(out),
            executor or InProcess(opener),
            Options(**{"batch": 4, **options}),
            worklist=worklist,
            **more,
        )
        with run:
            return run.process(Inputs(paths))

    return go


@pytest.fixture
def night(small_us: CodeBook) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``night(input, out, "--kill-at", 7)``: a sitting as a program of its own."""

    def go(source: Path, out: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.batch.batch_coders", source, out, small_us.path, *arguments]
        return subprocess.run(
            list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
        )

    return go
