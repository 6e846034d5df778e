"""A machine on which nothing can be written, as a container with a read-only file system: it codes all the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook

from .command import ROOT

NOTES = {
    "en": "Discharge diagnosis:\n1. Pneumonia\n2. Essential hypertension\n",
    "es": "Diagnóstico al alta: el paciente presenta una neumonía adquirida en la comunidad desde hace tres días.\n",
    "zh": "出院诊断：\n1. 肺炎\n2. 高血压病\n",
}


@pytest.mark.parametrize("language", NOTES)
def test_coding_writes_nothing(language: str, small_us: CodeBook, tmp_path: Path) -> None:
    jail = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    if shutil.which(jail[0]) is None or subprocess.run([*jail, "true"], capture_output=True, check=False).returncode:
        pytest.skip("bubblewrap is not installed, or may not be used here")
    note = tmp_path / "note.txt"
    note.write_text(NOTES[language], "utf-8")
    settings = {
        "JOINTCODER_CACHE": str(tmp_path / "never" / "made"),
        "JOINTCODER_CONFIG": os.devnull,
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(ROOT),
    }
    command = ["-m", "jointcoder", "code", note, "--json", "--workflow", "lexical", "--book", small_us.path]
    done = subprocess.run(
        [*jail, sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | settings,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    record = json.loads(done.stdout)
    assert record["language"] == language
    assert not [flag for flag in record["flags"] if flag["code"] == "JC999"]
    assert not (tmp_path / "never").exists()
