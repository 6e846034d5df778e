"""``jointcoder doctor``: whether everything is here, how fast this machine is, and which engine options suit it.

Each check says what it found and, where something is missing, the command that gets it. The engine is tried in
processes of its own (jointcoder.llm.probe), because a wrong build dies with a signal instead of an error. Exit code
5 if something is missing.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jointcoder.cli import common
from jointcoder.errors import JointCoderError

if TYPE_CHECKING:
    from rich.console import Console

    from jointcoder.assets import ResolvedModel
    from jointcoder.llm.probe import ProbeReport
    from jointcoder.settings import Settings

ENGINE = "llama-cpp-python"
ENGINE_INSTALL = 'CMAKE_ARGS="-DLLAVA_BUILD=OFF -DMTMD_BUILD=OFF" pip install "jointcoder[llamacpp]"'
ENGINE_REBUILD = "pip install --force-reinstall --no-cache-dir --no-deps llama-cpp-python"
MEMORY_NEEDED = 3e9  # bytes: the default model with a context of 8,192 tokens, and a code book
FEATURES = ("avx2", "avx512f", "avx512_vnni", "amx_int8", "asimd", "sve")

State = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Check:
    """One finding. ``fix`` is the command that mends it."""

    name: str
    state: State
    detail: str
    fix: str = ""
    code: str = ""


def doctor(
    json_out: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Try the engine's options with the model (about a minute).")
    ] = True,
) -> None:
    """Check the installation, pick the engine options that suit this machine, and say why."""
    from jointcoder.settings import Settings

    settings = Settings.load()
    engine = _engine()
    checks = [_python(), _machine(), _memory(), _disk(settings), engine]
    model, finding = _model(settings)
    checks += [finding, _book(settings)]
    probed: ProbeReport | None = None
    if model is not None and engine.state == "ok":
        if probe:
            finding, probed = _probe(settings, model)
        else:
            finding = _chosen(settings, model)
        checks.append(finding)
    if json_out:
        options = _probe_rows(probed) if probed else None
        common.put_json({"ok": _ok(checks), "checks": [asdict(check) for check in checks], "probe": options})
    else:
        _show(checks, probed)
    if not _ok(checks):
        raise typer.Exit(5)


def _ok(checks: list[Check]) -> bool:
    return all(check.state != "missing" for check in checks)


# ---------------------------------------------------------------------------------------------------------- checks


def _python() -> Check:
    from jointcoder import __version__

    return Check("program", "ok", f"jointcoder {__version__}, Python {platform.python_version()}, {sys.executable}")


def _machine() -> Check:
    from jointcoder.llm.options import usable_cores

    flags = _processor_flags()
    known = [feature for feature in FEATURES if feature in flags]
    features = f", {' '.join(known)}" if known else ""
    return Check("machine", "ok", f"{platform.system()} {platform.machine()}, {usable_cores()} cores{features}")


def _processor_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return set()
    named = (line.partition(":") for line in lines)
    return next((set(value.split()) for key, _, value in named if key.strip() in ("flags", "Features")), set())


def _memory() -> Check:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return Check("memory", "note", "unknown on this platform")
    with suppress(OSError, ValueError):  # a container's limit
        size = min(size, int(Path("/sys/fs/cgroup/memory.max").read_text("ascii")))
    if size < MEMORY_NEEDED:
        needed = f"the default model wants {MEMORY_NEEDED / 1e9:.0f} GB; a smaller one: jointcoder models list"
        return Check("memory", "note", f"{size / 1e9:.1f} GB; {needed}")
    return Check("memory", "ok", f"{size / 1e9:.1f} GB")


def _disk(settings: Settings) -> Check:
    folder = settings.cache.expanduser()
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return Check(
            "disk", "missing", f"{folder} cannot be written", "export JOINTCODER_CACHE=/a/folder/of/yours", "JC205"
        )
    free = shutil.disk_usage(existing).free
    return Check("disk", "ok", f"{free / 1e9:,.1f} GB free at {folder}")


def _engine() -> Check:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Check("engine", "ok", f"{ENGINE} {version(ENGINE)}")
    except PackageNotFoundError:
        return Check("engine", "missing", f"{ENGINE} is not installed", ENGINE_INSTALL, "JC303")


def _model(settings: Settings) -> tuple[ResolvedModel | None, Check]:
    from jointcoder.assets import resolve_model

    try:
        model = resolve_model(settings)
    except JointCoderError as error:
        fix = f"jointcoder setup --model {settings.model}" if error.code != "JC206" else "jointcoder models list"
        return None, Check("model", "missing", error.message, fix, error.code)
    remark = "sha256 as in the manifest" if model.entry else f"not in the manifest, sha256 {model.sha256[:12]}…"
    return model, Check("model", "ok", f"{model.name}, {remark}")


def _book(settings: Settings) -> Check:
    from jointcoder.codebook.store import open_book

    try:
        info = open_book(settings).info
    except JointCoderError as error:
        return Check("code book", "missing", error.message, "jointcoder setup --no-model", error.code)
    counts = ", ".join(f"{system} {n['billable']:,}" for system, n in info.counts.items())
    return Check("code book", "ok", f"{info.id}: {info.edition}; {counts}; names in {', '.join(info.languages)}")


def _probe(settings: Settings, model: ResolvedModel) -> tuple[Check, ProbeReport | None]:
    """Let the engine run with each set of options in a process of its own; the fastest that works is kept."""
    from jointcoder.cli.sources import say
    from jointcoder.llm.load import OPTIONS_FILE
    from jointcoder.llm.probe import probe_engine

    def told(done: int, total: int, label: str) -> None:
        if label:
            say(f"trying the engine, {done + 1} of {total}: {label}")

    saved = settings.cache.expanduser() / OPTIONS_FILE
    try:
        report = probe_engine(model.path, saved=saved, progress=told)
    except JointCoderError as error:
        return Check("engine options", "missing", error.message, ENGINE_REBUILD, error.code), None
    except OSError as error:
        fix = "export JOINTCODER_CACHE=/a/folder/of/yours"
        return Check("engine options", "missing", f"{saved} cannot be written ({error.strerror})", fix, "JC205"), None
    return Check("engine options", "ok", f"{report.chosen.label}; kept in {saved}"), report


def _chosen(settings: Settings, model: ResolvedModel) -> Check:
    """What an earlier probe chose."""
    from jointcoder.llm.load import OPTIONS_FILE
    from jointcoder.llm.options import load_options

    options = load_options(settings.cache.expanduser() / OPTIONS_FILE, model.path)
    if options is None:
        return Check(
            "engine options", "note", "the safe defaults; nothing was tried on this machine", "jointcoder doctor"
        )
    return Check("engine options", "ok", f"{options.label}; chosen earlier")


# --------------------------------------------------------------------------------------------------------- showing


def _show(checks: list[Check], probed: ProbeReport | None) -> None:
    from rich.markup import escape
    from rich.table import Table

    console = common.stdout()
    marks: dict[State, str] = {
        "ok": "[green]ok[/green]",
        "note": "[yellow]note[/yellow]",
        "missing": "[red]missing[/red]",
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        table.add_row(marks[check.state], check.name, escape(f"{check.code} {check.detail}".strip()))
    console.print(table)
    if probed:
        _show_probe(probed, console)
    for check in checks:
        if check.fix:
            console.print(escape(f"{check.name}: {check.fix}"), highlight=False, soft_wrap=True)


def _show_probe(report: ProbeReport, console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title="engine options, tokens a second", title_justify="left")
    table.add_column("options", overflow="fold")
    table.add_column("read", justify="right")
    table.add_column("write", justify="right")
    table.add_column("why", overflow="fold")
    for row in _probe_rows(report):
        rates = [f"{rate:.1f}" if rate else "–" for rate in (row["prefill"], row["decode"])]
        table.add_row(escape(row["label"]), *rates, escape(row["reason"]))
    console.print(table)


def _probe_rows(report: ProbeReport) -> list[dict[str, Any]]:
    """What was tried: options, tokens a second read (``prefill``) and written (``decode``), and the reason."""
    return [
        {
            "label": result.options.label,
            "options": result.options.to_json(),
            "prefill": round(result.prefill, 1),
            "decode": round(result.decode, 1),
            "failure": result.failure,
            "chosen": result.options == report.chosen,
            "reason": reason,
        }
        for result, reason in zip(report.results, report.reasons, strict=True)
    ]
