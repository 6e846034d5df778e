"""Where generated Python cannot be isolated it does not run, and the reason is told."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jointcoder.errors import WorkflowError
from jointcoder.search.sandbox import available, run_python
from jointcoder.search.sandbox.jail import find
from tests.cli.command import jointcoder
from tests.cli.test_doctor import report
from tests.search.jails import isolated

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere it always refuses")
NEW = 'test "$1" = --version && echo "bubblewrap 0.8.0" && exit\n'


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What was found out of this machine is found out anew, before and after."""
    find.cache_clear()
    yield
    find.cache_clear()


def refusal() -> str:
    there = available()
    assert not there.ok
    with pytest.raises(WorkflowError, match="JC450") as caught:
        run_python("def run(i, t): return 1", inputs=None)
    assert there.why in caught.value.message
    return there.why


def bubblewrap(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name that does something else."""
    path = folder / "bwrap"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_without_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not installed" in refusal()


def test_with_an_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bubblewrap(tmp_path, 'echo "bubblewrap 0.6.1"', monkeypatch)
    assert "0.6.1 is too old" in refusal()


def test_with_one_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bubblewrap(tmp_path, "exit 1", monkeypatch)
    assert "too old" in refusal()


def test_where_namespaces_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "bwrap: No permissions to create a new namespace"
    bubblewrap(tmp_path, f"{NEW}echo '{said}' >&2; exit 1", monkeypatch)
    assert said in refusal()


def test_with_one_that_isolates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs the program outside, where it gives every answer but the right one."""
    child = Path(find.__module__.replace(".", "/")).parent / "inside.py"
    child = Path(__file__).parents[2] / child
    bubblewrap(tmp_path, f"{NEW}exec {sys.executable} {child}", monkeypatch)
    assert "does not isolate" in refusal()


def test_on_another_system_or_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "darwin")
        assert "Linux" in refusal()
    find.cache_clear()
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "riscv64" in refusal()


@isolated
def test_where_it_can_be_isolated_it_says_how() -> None:
    there = available()
    assert there.ok
    assert "bubblewrap" in there.how
    assert there.why == ""


def test_doctor_tells(tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    found = report(jointcoder("doctor", "--json", "--no-probe", cache=tmp_path, PATH=str(empty)))["generated Python"]
    assert (found["state"], found["code"]) == ("note", "JC450")
    assert "bubblewrap" in found["detail"]
