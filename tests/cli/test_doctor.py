"""``jointcoder doctor``: what is missing, how to get it, and an engine that dies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jointcoder.settings import Settings
from tests.carriers import noise
from tests.cli.command import jointcoder


def report(ran: Any) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(ran.stdout)["checks"]}


def test_what_is_missing_comes_with_the_command_that_gets_it(tmp_path: Path) -> None:
    ran = jointcoder("doctor", "--json", cache=tmp_path)
    assert ran.returncode == 5
    assert json.loads(ran.stdout)["ok"] is False
    checks = report(ran)
    assert checks["model"]["code"] == "JC201"
    assert checks["model"]["fix"] == f"jointcoder setup --model {Settings().model}"
    assert checks["code book"]["code"] == "JC203"
    assert checks["code book"]["fix"] == "jointcoder setup --no-model"
    assert checks["program"]["state"] == checks["disk"]["state"] == "ok"
    table = jointcoder("doctor", "--no-probe", cache=tmp_path)
    assert table.returncode == 5
    assert checks["model"]["fix"] in table.stdout
    assert checks["code book"]["fix"] in table.stdout
    assert "Traceback" not in table.stderr


def test_an_unknown_model_and_an_unwritable_cache_are_findings_not_crashes(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    ran = jointcoder("doctor", "--json", "--no-probe", cache=tmp_path / "cache", JOINTCODER_MODEL="gpt-7")
    assert ran.returncode == 5
    checks = report(ran)
    assert (checks["model"]["code"], checks["model"]["fix"]) == ("JC206", "jointcoder models list")
    assert checks["disk"]["code"] == "JC205"


def test_a_damaged_model_is_found(tmp_path: Path) -> None:
    path = tmp_path / "models" / f"{Settings().model}.gguf"
    path.parent.mkdir()
    path.write_bytes(noise(1000))
    checks = report(jointcoder("doctor", "--json", cache=tmp_path))
    assert checks["model"]["code"] == "JC202"
