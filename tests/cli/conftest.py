"""The program in this process, for tests that script its model or need no process of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jointcoder.cli import main

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run the program as the shell would: (exit code, stdout, stderr)."""
    monkeypatch.setenv("JOINTCODER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JOINTCODER_CONFIG", str(tmp_path / "settings.toml"))
    (tmp_path / "settings.toml").write_text("", "utf-8")

    def run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["jointcoder", *map(str, arguments)])
        code = 0
        try:
            main.run()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run
