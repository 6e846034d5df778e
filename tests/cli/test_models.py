"""``jointcoder models``: what is known, what is here, what is damaged."""

from __future__ import annotations

import json
from pathlib import Path

from jointcoder.assets import Manifest
from jointcoder.settings import Settings
from tests.carriers import noise, sha256
from tests.cli.command import jointcoder

SMALL = "smollm2-135m-instruct-q4_1"


def place(cache: Path, data: bytes) -> Path:
    """Put ``data`` where the small model belongs."""
    path = Manifest.models()[SMALL].path(Settings(cache=cache))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_list_names_every_model_its_licence_and_whether_it_is_here(tmp_path: Path) -> None:
    place(tmp_path, noise(100))
    ran = jointcoder("models", "list", "--json", cache=tmp_path)
    assert ran.returncode == 0, ran.stderr
    rows = {row["name"]: row for row in json.loads(ran.stdout)}
    assert set(rows) == set(Manifest.models().names())
    assert rows[SMALL]["state"] == "wrong size"
    default = [row for row in rows.values() if row["default"]]
    assert [(row["name"], row["state"], row["licence"]) for row in default] == [
        (Settings().model, "missing", "Apache-2.0")
    ]
    table = jointcoder("models", "list", cache=tmp_path).stdout
    assert all(name in table for name in rows)
    assert f"{Settings().model} *" in table


def test_verify_names_both_hashes_of_a_damaged_file(tmp_path: Path) -> None:
    data = noise(5000)
    place(tmp_path, data)
    ran = jointcoder("models", "verify", cache=tmp_path)
    assert ran.returncode == 5
    assert "JC202 " in ran.stderr
    assert sha256(data) in ran.stderr
    assert Manifest.models()[SMALL].sha256 in ran.stderr
    assert f"jointcoder setup --model {SMALL}" in ran.stderr
    assert ran.stdout.startswith(f"mismatch  {SMALL}")


def test_verify_json_is_complete_even_when_a_file_is_damaged(tmp_path: Path) -> None:
    place(tmp_path, noise(5000))
    ran = jointcoder("models", "verify", SMALL, Settings().model, "--json", cache=tmp_path)
    assert ran.returncode == 5
    assert [row["state"] for row in json.loads(ran.stdout)] == ["mismatch", "missing"]


def test_verify_without_any_model_names_the_command(tmp_path: Path) -> None:
    ran = jointcoder("models", "verify", cache=tmp_path)
    assert ran.returncode == 5
    assert "JC201" in ran.stderr
    assert "jointcoder setup" in ran.stderr


def test_path_prints_the_path_only(tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(noise(10))
    ran = jointcoder("models", "path", str(mine), cache=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{mine}\n", "")


def test_path_of_a_missing_or_unknown_model_is_a_coded_error(tmp_path: Path) -> None:
    missing = jointcoder("models", "path", cache=tmp_path)
    assert (missing.returncode, missing.stdout) == (5, "")
    assert f"jointcoder setup --model {Settings().model}" in missing.stderr
    unknown = jointcoder("models", "path", "gpt-7", cache=tmp_path)
    assert unknown.returncode == 5
    assert "JC206" in unknown.stderr
    assert SMALL in unknown.stderr
    assert "Traceback" not in unknown.stderr
