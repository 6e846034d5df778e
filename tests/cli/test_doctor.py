"""``jointcoder doctor``: what is missing, how to get it, and an engine that dies."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from jointcoder.assets import Manifest, locate
from jointcoder.llm.load import OPTIONS_FILE
from jointcoder.llm.options import save_rates
from jointcoder.settings import Settings
from tests.carriers import noise
from tests.cli.command import jointcoder
from tests.gguf_files import MODEL, gguf


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


def test_an_engine_that_dies_is_reported_and_nothing_is_chosen(tmp_path: Path) -> None:
    """An engine package that kills its process the way a wrong build does: by a signal, at import."""
    pytest.importorskip("llama_cpp")
    package = tmp_path / "broken" / "llama_cpp"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    model = tmp_path / "mine.gguf"
    model.write_bytes(b"GGUF" + noise(100))
    ran = jointcoder(
        "doctor", "--json", cache=tmp_path / "cache", JOINTCODER_MODEL=str(model), PYTHONPATH=str(package.parent)
    )
    assert ran.returncode == 5, ran.stderr
    found = report(ran)["engine options"]
    assert (found["state"], found["code"]) == ("missing", "JC305")
    assert "SIGSEGV" in found["detail"]
    assert "llama-cpp-python" in found["fix"]
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "cache" / "engine.json").exists()


@pytest.mark.engine
def test_the_fastest_options_that_work_are_chosen_kept_and_explained(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    small = Manifest.models()["smollm2-135m-instruct-q4_1"]
    here = locate(small, Settings.load())
    if here is None:
        pytest.skip(f"get it with: {small.setup_command}")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / small.file).symlink_to(here)
    ran = jointcoder("doctor", "--json", cache=tmp_path, JOINTCODER_MODEL=small.name)
    assert ran.returncode == 5, "the code book is missing, and only that"
    checks = report(ran)
    assert [name for name, check in checks.items() if check["state"] == "missing"] == ["code book"]
    rows = json.loads(ran.stdout)["probe"]
    assert sum(row["chosen"] for row in rows) == 1
    assert all(row["reason"] for row in rows)
    chosen = next(row for row in rows if row["chosen"])
    assert chosen["prefill"] > 0
    assert checks["engine options"]["detail"].startswith(chosen["label"])
    again = report(jointcoder("doctor", "--json", "--no-probe", cache=tmp_path, JOINTCODER_MODEL=small.name))
    assert again["engine options"]["detail"] == f"{chosen['label']}; chosen earlier"


def test_a_server_that_is_not_there_is_missing_and_no_weights_are_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    with socket.socket() as reserved:  # bound but not listening: nobody answers there
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/v1"
        ran = jointcoder("doctor", "--json", cache=tmp_path, JOINTCODER_BACKEND="http", JOINTCODER_SERVER_URL=url)
    assert ran.returncode == 5
    checks = report(ran)
    assert (checks["model server"]["state"], checks["model server"]["code"]) == ("missing", "JC307")
    assert checks["model server"]["fix"]
    assert "model" not in checks
    assert "engine" not in checks


def test_the_fastest_quantisation_that_is_here_is_named(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    slow = gguf(tmp_path / "slow.gguf")
    fast = gguf(tmp_path / "fast.gguf", {**MODEL, "general.file_type": 2})
    for file in (slow, fast):
        assert jointcoder("models", "add", str(file), cache=cache).returncode == 0
    environment = {"JOINTCODER_MODEL": "slow"}
    unmeasured = report(jointcoder("doctor", "--json", "--no-probe", cache=cache, **environment))["quantisation"]
    assert unmeasured["fix"].startswith("jointcoder models bench")
    for name, seconds in (("slow", 20.0), ("fast", 10.0)):
        save_rates(cache / OPTIONS_FILE, cache / "models" / f"{name}.gguf", {"seconds": seconds})
    named = report(jointcoder("doctor", "--json", "--no-probe", cache=cache, **environment))["quantisation"]
    assert (named["state"], named["fix"]) == ("note", "export JOINTCODER_MODEL=fast")
    assert "Q4_0 is the fastest" in named["detail"]
    content = report(jointcoder("doctor", "--json", "--no-probe", cache=cache, JOINTCODER_MODEL="fast"))
    assert content["quantisation"]["state"] == "ok"


def test_a_model_that_needs_more_memory_than_there_is(tmp_path: Path) -> None:
    file = gguf(tmp_path / "mine.gguf")
    ran = jointcoder(
        "doctor",
        "--json",
        "--no-probe",
        cache=tmp_path / "cache",
        JOINTCODER_MODEL=str(file),
        JOINTCODER_CONTEXT_TOKENS=str(10**12),
    )
    found = report(ran)["memory"]
    assert (found["state"], found["code"]) == ("missing", "JC311")
    assert "1,000,000,000,256 tokens × 2 layers" in found["detail"]
    assert found["fix"].startswith("export JOINTCODER_CONTEXT_TOKENS=")
