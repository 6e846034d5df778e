"""Versions of an adapter: put in force, rolled back, interrupted; shipped ones behind the user's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jointcoder.assets import adapters_of
from jointcoder.assets import manifest as manifest_module
from jointcoder.assets.local import FILE, Registry
from jointcoder.assets.register import Wish, register
from jointcoder.assets.versions import in_force, roll_back, versions
from jointcoder.errors import AssetError, UsageError
from jointcoder.settings import Settings
from tests.carriers import sha256
from tests.cli.command import ROOT, jointcoder
from tests.gguf_files import ADAPTER, gguf, lora

BASE, NAME = "base", "validate_dx"


def adapter_file(folder: Path, number: int, **keys: object) -> Path:
    """The n-th of several adapters that fit the tiny base and differ in one key."""
    shapes = {"blk.0.attn_q.weight.lora_a": (64, 4), "blk.0.attn_q.weight.lora_b": (4, 64)}
    return gguf(folder / f"v{number}.gguf", {**ADAPTER, "adapter.lora.alpha": float(number), **keys}, shapes)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A cache with the tiny base registered."""
    settings = Settings(cache=tmp_path / "cache")
    register(gguf(tmp_path / "base.gguf"), settings, Wish(name=BASE))
    return settings


def add(settings: Settings, file: Path, **wish: object) -> str:
    """Register the file as the adapter; its sha256."""
    done = register(file, settings, Wish(name=NAME, adapter_of=BASE, replace=True, **wish))  # type: ignore[arg-type]
    return done.entry.sha256


def content(settings: Settings) -> bytes:
    """The file that a workflow would load."""
    return adapters_of(settings, BASE)[NAME].path.read_bytes()


def test_a_new_version_supersedes_and_rollback_restores_bytes(settings: Settings, tmp_path: Path) -> None:
    files = [adapter_file(tmp_path, n) for n in (1, 2, 3)]
    shas = [add(settings, file) for file in files]
    assert content(settings) == files[2].read_bytes()
    assert [(v.entry.sha256, v.state) for v in versions(settings, BASE, NAME)] == [
        (shas[2], "in force"),
        (shas[1], "superseded"),
        (shas[0], "superseded"),
    ]
    assert in_force(settings, BASE, NAME).predecessor == shas[1]  # type: ignore[union-attr]
    before, now = roll_back(settings, BASE, NAME)
    assert (before.sha256, now.sha256) == (shas[2], shas[1])
    assert content(settings) == files[1].read_bytes()
    roll_back(settings, BASE, NAME)
    assert content(settings) == files[0].read_bytes()
    with pytest.raises(AssetError, match=r"JC223.*took the place of none") as error:
        roll_back(settings, BASE, NAME)
    assert shas[2][:12] in (error.value.hint or "")
    roll_back(settings, BASE, NAME, to=shas[2][:8])
    assert content(settings) == files[2].read_bytes()
    assert {v.entry.sha256 for v in versions(settings, BASE, NAME)} == set(shas), "nothing is lost"


def test_the_same_file_again_is_no_new_version(settings: Settings, tmp_path: Path) -> None:
    first, second = adapter_file(tmp_path, 1), adapter_file(tmp_path, 2)
    sha_first = add(settings, first)
    add(settings, second)
    entry = in_force(settings, BASE, NAME)
    add(settings, second)
    assert in_force(settings, BASE, NAME) == entry
    assert entry is not None
    assert entry.predecessor == sha_first


def test_another_file_needs_replace(settings: Settings, tmp_path: Path) -> None:
    first = adapter_file(tmp_path, 1)
    add(settings, first)
    with pytest.raises(UsageError, match=r"JC001.*taken"):
        register(adapter_file(tmp_path, 2), settings, Wish(name=NAME, adapter_of=BASE))
    assert content(settings) == first.read_bytes()


def test_a_damaged_predecessor_is_not_put_in_force(settings: Settings, tmp_path: Path) -> None:
    add(settings, adapter_file(tmp_path, 1))
    second = adapter_file(tmp_path, 2)
    add(settings, second)
    old = versions(settings, BASE, NAME)[1].entry.path(settings)
    whole = old.read_bytes()
    old.write_bytes(whole[:-1] + b"x")
    with pytest.raises(AssetError, match="JC202"):
        roll_back(settings, BASE, NAME)
    old.unlink()
    with pytest.raises(AssetError, match="JC201"):
        roll_back(settings, BASE, NAME)
    assert content(settings) == second.read_bytes()


def test_a_file_changed_behind_the_registers_back_is_refused(settings: Settings, tmp_path: Path) -> None:
    add(settings, adapter_file(tmp_path, 1))
    path = in_force(settings, BASE, NAME).path(settings)  # type: ignore[union-attr]
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(AssetError, match="JC202"):
        adapters_of(settings, BASE)
    assert adapters_of(settings, BASE, only=("another",)) == {}, "what no step names is not looked at"


def test_unknown_names_are_named(settings: Settings, tmp_path: Path) -> None:
    add(settings, adapter_file(tmp_path, 1))
    with pytest.raises(AssetError, match="JC223") as error:
        roll_back(settings, BASE, "other")
    assert NAME in (error.value.hint or "")
    with pytest.raises(AssetError, match=r"JC223.*no earlier version abc"):
        roll_back(settings, BASE, NAME, to="abc")


def test_an_adapter_for_other_weights_is_refused_unless_accepted(settings: Settings, tmp_path: Path) -> None:
    own = in_base(settings)
    fitting = adapter_file(tmp_path, 1, **{"jointcoder.base_sha256": own})
    other = adapter_file(tmp_path, 2, **{"jointcoder.base_sha256": "0" * 64})
    add(settings, fitting)
    with pytest.raises(AssetError, match=r"JC210.*0000") as error:
        add(settings, other)
    assert "--other-weights" in (error.value.hint or "")
    assert content(settings) == fitting.read_bytes()
    add(settings, other, other_weights=True)
    assert content(settings) == other.read_bytes()


def in_base(settings: Settings) -> str:
    return Registry.read(settings).models[0].sha256


# ------------------------------------------------------------------------------------------------- interrupted

KILLED = """
import os, sys
from pathlib import Path
step, when = int(sys.argv[1]), sys.argv[2]
count = 0
def killing(function):
    def wrapped(*arguments, **options):
        global count
        count += 1
        if count == step and when == "before":
            os._exit(9)
        done = function(*arguments, **options)
        if count == step:
            os._exit(9)
        return done
    return wrapped
Path.replace, os.fsync, Path.unlink = killing(Path.replace), killing(os.fsync), killing(Path.unlink)
from jointcoder.settings import Settings
settings = Settings(cache=Path(sys.argv[3]))
if sys.argv[4] == "rollback":
    from jointcoder.assets.versions import roll_back
    roll_back(settings, "base", "validate_dx")
else:
    from jointcoder.assets.register import Wish, register
    register(Path(sys.argv[4]), settings, Wish(name="validate_dx", adapter_of="base", replace=True))
print(count)
"""


def killed(settings: Settings, what: str, step: int, when: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-c", KILLED, str(step), when, str(settings.cache), what]
    return subprocess.run(
        arguments, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )


def test_killed_anywhere_leaves_one_whole_version_in_force(settings: Settings, tmp_path: Path) -> None:
    """Every rename and every flush is a place to die, before and after; what is in force is whole and known."""
    old, new = adapter_file(tmp_path, 1), adapter_file(tmp_path, 2)
    add(settings, old)
    register_file = settings.models_dir / FILE
    untouched = register_file.read_text()
    seen = set()
    for step in range(1, 20):
        for when in ("before", "after"):
            ran = killed(settings, str(new), step, when)
            now = content(settings)
            assert now in (old.read_bytes(), new.read_bytes()), (step, when)
            if register_file.read_text() == untouched:
                assert now == old.read_bytes()
            seen.add(now == new.read_bytes())
            if ran.returncode == 0:
                break
            assert ran.returncode == 9, ran.stderr
            if now == new.read_bytes():  # so far it came: begin again from the old state
                roll_back(settings, BASE, NAME)
                register_file.write_text(untouched)
        if ran.returncode == 0:
            break
    assert ran.returncode == 0, "the last run was let through"
    assert seen == {True, False}
    assert content(settings) == new.read_bytes()


def test_a_killed_rollback_leaves_one_whole_version_in_force(settings: Settings, tmp_path: Path) -> None:
    old, new = adapter_file(tmp_path, 1), adapter_file(tmp_path, 2)
    add(settings, old)
    add(settings, new)
    assert killed(settings, "rollback", 2, "before").returncode == 9
    assert content(settings) == new.read_bytes()
    assert roll_back(settings, BASE, NAME)[1].sha256 == sha256(old.read_bytes())


# ----------------------------------------------------------------------------------------------------- shipped


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A checkout whose manifest ships one adapter of the default model; its file."""
    folder = tmp_path / "checkout" / "models" / "adapters"
    folder.mkdir(parents=True)
    (tmp_path / "checkout" / "pyproject.toml").touch()
    file = lora(folder / "shipped.gguf")
    real = (ROOT / "models" / "manifest.toml").read_text("utf-8").split("\n[[adapter]]")[0]
    entry = f'name = "{NAME}"\nbase = "{Settings().model}"\nlicence = "Apache-2.0"\nfile = "{file.name}"\n'
    entry += f'size = {file.stat().st_size}\nsha256 = "{sha256(file.read_bytes())}"\nactivated = true\n'
    (folder.parent / "manifest.toml").write_text(f"{real}\n[[adapter]]\n{entry}", "utf-8")
    monkeypatch.setattr(manifest_module, "_ROOT", tmp_path / "checkout")
    return file


def test_shipped_adapters_are_found_and_verified(shipped: Path, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache")
    found = adapters_of(settings, settings.model)
    assert (found[NAME].path, found[NAME].activated) == (shipped, True)
    shipped.write_bytes(shipped.read_bytes() + b"x")
    with pytest.raises(AssetError, match="JC202"):
        adapters_of(settings, settings.model)
    shipped.unlink()
    with pytest.raises(AssetError, match="JC201"):
        adapters_of(settings, settings.model)


def test_ones_own_goes_before_the_shipped_one_and_rollback_brings_it_back(shipped: Path, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache")
    own = lora(tmp_path / "own.gguf", architecture="qwen2")
    register(own, settings, Wish(name=NAME, adapter_of=settings.model, replace=True))
    assert adapters_of(settings, settings.model)[NAME].path.read_bytes() == own.read_bytes()
    assert [v.shipped for v in versions(settings, settings.model, NAME)] == [False, True]
    _, now = roll_back(settings, settings.model, NAME)
    assert now.path(settings) == shipped
    assert adapters_of(settings, settings.model)[NAME].path == shipped
    roll_back(settings, settings.model, NAME, to=sha256(own.read_bytes()))
    assert adapters_of(settings, settings.model)[NAME].path.read_bytes() == own.read_bytes()


def test_a_manifest_with_an_adapter_of_an_unknown_model_is_invalid(shipped: Path) -> None:
    manifest = shipped.parents[1] / "manifest.toml"
    manifest.write_text(manifest.read_text("utf-8").replace(f'base = "{Settings().model}"', 'base = "x"'), "utf-8")
    with pytest.raises(AssetError, match="JC208"):
        manifest_module.Manifest.models()


def test_the_real_manifests_adapters_are_whole() -> None:
    settings = Settings()
    for adapter in manifest_module.Manifest.models().adapters:
        path = adapter.path(settings)
        assert sha256(path.read_bytes()) == adapter.sha256, adapter.name
        assert path.with_suffix(".md").is_file(), "a card beside it"


# -------------------------------------------------------------------------------------------------- the command


def test_rollback_from_the_command_line(settings: Settings, tmp_path: Path) -> None:
    files = [adapter_file(tmp_path, n) for n in (1, 2)]
    shas = [add(settings, file) for file in files]
    command = ("models", "rollback", BASE, "--adapter", NAME)
    ran = jointcoder(*command, "--list", "--json", cache=settings.cache)
    assert [(row["sha256"], row["state"]) for row in json.loads(ran.stdout)] == [
        (shas[1], "in force"),
        (shas[0], "superseded"),
    ]
    table = jointcoder(*command, "--list", cache=settings.cache).stdout
    assert all(sha[:12] in table for sha in shas)
    ran = jointcoder(*command, cache=settings.cache)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"adapter {NAME} of {BASE}: ")
    assert content(settings) == files[0].read_bytes()
    ran = jointcoder(*command, cache=settings.cache)
    assert (ran.returncode, "JC223" in ran.stderr, "Traceback" in ran.stderr) == (5, True, False)
