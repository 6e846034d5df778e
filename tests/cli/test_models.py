"""``jointcoder models``: what is known, what is here, what is damaged, what is one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jointcoder.assets import Manifest, adapters_of, locate, resolve_model
from jointcoder.settings import Settings
from tests.carriers import noise, sha256
from tests.cli.command import jointcoder
from tests.gguf_files import MODEL, TENSORS, gguf, lora

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


# ------------------------------------------------------------------------------------------------------ one's own


def rows(cache: Path) -> dict[str, dict[str, object]]:
    ran = jointcoder("models", "list", "--json", cache=cache)
    assert ran.returncode == 0, ran.stderr
    return {row["name"]: row for row in json.loads(ran.stdout)}


def test_a_file_of_ones_own_is_known_by_its_name(tmp_path: Path) -> None:
    file, cache = gguf(tmp_path / "My model (v2).gguf"), tmp_path / "cache"
    ran = jointcoder("models", "add", str(file), cache=cache)
    assert ran.returncode == 0, ran.stderr
    placed = cache / "models" / "My-model-v2.gguf"
    assert ran.stdout == f"model My-model-v2: {placed}  (mit)\n"
    assert placed.read_bytes() == file.read_bytes()
    row = rows(cache)["My-model-v2"]
    assert (row["state"], row["own"], row["quantisation"], row["architecture"]) == ("verified", True, "F32", "llama")
    assert row["sha256"] == sha256(file.read_bytes())
    assert jointcoder("models", "path", "My-model-v2", cache=cache).stdout == f"{placed}\n"
    assert resolve_model(Settings(cache=cache), "My-model-v2").path == placed
    assert "My-model-v2" in jointcoder("models", "list", cache=cache).stdout
    placed.write_bytes(noise(100))
    damaged = jointcoder("models", "verify", cache=cache)
    assert damaged.returncode == 5
    assert "jointcoder models add FILE --name My-model-v2" in damaged.stderr
    refused = jointcoder("models", "pull", "My-model-v2", cache=cache)
    assert refused.returncode == 2
    assert "JC001" in refused.stderr


def test_copies_moves_and_links(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    moved, linked = gguf(tmp_path / "moved.gguf"), gguf(tmp_path / "linked.gguf", {**MODEL, "general.name": "Other"})
    assert jointcoder("models", "add", str(moved), "--move", cache=cache).returncode == 0
    assert not moved.exists()
    ran = jointcoder("models", "add", str(linked), "--link", "--licence", "none", "--json", cache=cache)
    assert ran.returncode == 0, ran.stderr
    facts = json.loads(ran.stdout)
    assert Path(facts["path"]).is_symlink()
    assert (facts["name"], facts["licence"], facts["own"]) == ("linked", "none", True)
    by_hand = gguf(cache / "models" / "by hand.gguf", {**MODEL, "general.name": "By hand"})
    ran = jointcoder("models", "add", str(by_hand), "--name", "mine", cache=cache)
    assert ran.stdout.startswith(f"model mine: {by_hand} ")
    assert jointcoder("models", "verify", cache=cache).stdout.count("verified") == 3


def test_a_name_that_is_taken_is_given_away_only_when_asked(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second = gguf(tmp_path / "a.gguf"), gguf(tmp_path / "b.gguf", {**MODEL, "general.name": 'Other "b"'})
    for _ in range(2):  # the same file twice is no clash
        assert jointcoder("models", "add", str(first), "--name", "mine", cache=cache).returncode == 0
    ran = jointcoder("models", "add", str(second), "--name", "mine", cache=cache)
    assert (ran.returncode, "JC001" in ran.stderr, "--replace" in ran.stderr) == (2, True, True)
    ran = jointcoder("models", "add", str(second), "--name", "mine", "--replace", cache=cache)
    assert ran.returncode == 0, ran.stderr
    assert rows(cache)["mine"]["title"] == 'Other "b"'
    ran = jointcoder("models", "add", str(second), "--name", Settings().model, cache=cache)
    assert (ran.returncode, "JC001" in ran.stderr) == (2, True)


@pytest.mark.parametrize("length", [0, 3, 200, -1])
def test_what_is_not_a_whole_model_is_refused(tmp_path: Path, length: int) -> None:
    file = gguf(tmp_path / "cut.gguf")
    file.write_bytes(file.read_bytes()[:length])
    ran = jointcoder("models", "add", str(file), cache=tmp_path / "cache")
    assert ran.returncode == 5
    assert ran.stderr.startswith("JC209 cut.gguf: ")
    assert not (tmp_path / "cache" / "models").exists()


def test_a_part_of_a_model_is_refused_and_a_missing_file_named(tmp_path: Path) -> None:
    part = gguf(tmp_path / "part.gguf", {**MODEL, "split.count": 3})
    ran = jointcoder("models", "add", str(part), cache=tmp_path / "cache")
    assert (ran.returncode, "JC209" in ran.stderr, "--merge" in ran.stderr) == (5, True, True)
    ran = jointcoder("models", "add", str(tmp_path / "absent.gguf"), cache=tmp_path / "cache")
    assert (ran.returncode, "JC201" in ran.stderr) == (5, True)


def test_adapters_are_kept_with_their_base_and_compared_with_it(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert jointcoder("models", "add", str(gguf(tmp_path / "base.gguf")), cache=cache).returncode == 0
    adapter = lora(tmp_path / "lora.gguf")
    add = ["models", "add", str(adapter)]
    plain = jointcoder(*add, cache=cache)
    assert (plain.returncode, "--adapter-of" in plain.stderr) == (2, True)
    ran = jointcoder(*add, "--adapter-of", "base", "--name", "standardise_dx", "--activated", cache=cache)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("adapter standardise_dx of base: ")
    found = adapters_of(Settings(cache=cache), "base")
    assert list(found) == ["standardise_dx"]
    assert found["standardise_dx"].activated
    assert found["standardise_dx"].path.read_bytes() == adapter.read_bytes()
    assert adapters_of(Settings(cache=cache), "other") == {}
    listed = rows(cache)["base"]["adapters"]
    assert isinstance(listed, list)
    assert [(a["name"], a["activated"], a["state"]) for a in listed] == [("standardise_dx", True, "verified")]
    assert "+ standardise_dx" in jointcoder("models", "list", cache=cache).stdout


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"inward": 32}, "JC210"),
        ({"architecture": "qwen2"}, "JC210"),
        ({"target": "blk.7.attn_q.weight"}, "JC210"),
    ],
)
def test_an_adapter_for_another_base_is_refused(tmp_path: Path, options: dict[str, object], code: str) -> None:
    cache = tmp_path / "cache"
    assert jointcoder("models", "add", str(gguf(tmp_path / "base.gguf")), cache=cache).returncode == 0
    adapter = lora(tmp_path / "lora.gguf", **options)  # type: ignore[arg-type]
    ran = jointcoder("models", "add", str(adapter), "--adapter-of", "base", "--name", "mine", cache=cache)
    assert (ran.returncode, code in ran.stderr) == (5, True)
    assert adapters_of(Settings(cache=cache), "base") == {}
    whole = gguf(tmp_path / "model.gguf", MODEL, TENSORS)
    ran = jointcoder("models", "add", str(whole), "--adapter-of", "base", "--name", "mine", cache=cache)
    assert (ran.returncode, "JC210" in ran.stderr) == (5, True)


def test_a_damaged_list_of_ones_own_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "local.toml").write_text("[[model]]\nname = 3\n", "utf-8")
    ran = jointcoder("models", "list", cache=tmp_path)
    assert ran.returncode == 5
    assert "JC208" in ran.stderr
    assert "local.toml" in ran.stderr


def test_a_file_of_the_manifest_gets_its_place(tmp_path: Path) -> None:
    small = Manifest.models()[SMALL]
    here = locate(small, Settings.load())
    if here is None:
        pytest.skip(f"get it with: jointcoder models pull {SMALL}")
    (tmp_path / "whatever.gguf").symlink_to(here)
    ran = jointcoder("models", "add", str(tmp_path / "whatever.gguf"), "--link", cache=tmp_path / "cache")
    assert ran.returncode == 0, ran.stderr
    assert "byte for byte" in ran.stderr
    assert small.path(Settings(cache=tmp_path / "cache")).resolve() == here.resolve()
    assert rows(tmp_path / "cache")[SMALL]["state"] == "verified"
    ran = jointcoder("models", "pull", SMALL, cache=tmp_path / "cache")
    assert "already there, verified" in ran.stderr
    assert ran.stdout.startswith(f"model {SMALL}: ")


def test_what_cannot_be_pulled_or_measured_is_named(tmp_path: Path) -> None:
    ran = jointcoder("models", "pull", "gpt-7", cache=tmp_path)
    assert (ran.returncode, "JC206" in ran.stderr, SMALL in ran.stderr) == (5, True, True)
    ran = jointcoder("models", "bench", SMALL, cache=tmp_path)
    assert (ran.returncode, "JC201" in ran.stderr) == (5, True)
