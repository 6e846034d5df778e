"""``jointcoder doctor``: whether everything is here, how fast this machine is, and which engine options suit it.

Each check says what it found and, where something is missing, the command that gets it. The engine is tried in
processes of its own (jointcoder.llm.probe), because a wrong build dies with a signal instead of an error; what an
earlier run or ``jointcoder models bench`` found out is used again. With a model server it is the server that is asked
what it can do. Exit code 5 if something is missing.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from jointcoder.cli import common, language
from jointcoder.errors import JointCoderError

if TYPE_CHECKING:
    from rich.console import Console

    from jointcoder.assets import ResolvedModel
    from jointcoder.llm.probe import ProbeReport
    from jointcoder.settings import Settings

ENGINE = "llama-cpp-python"
ENGINE_INSTALL = 'CMAKE_ARGS="-DLLAVA_BUILD=OFF -DMTMD_BUILD=OFF" pip install "jointcoder[llamacpp]"'
ENGINE_REBUILD = "pip install --force-reinstall --no-cache-dir --no-deps llama-cpp-python"
BOOK_BYTES = 0.3e9  # what the program and a code book take beside the model
PATIENCE_S = 30.0  # for a model server
OWN_CACHE = "export JOINTCODER_CACHE=/a/folder/of/yours"
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
        bool | None,
        typer.Option(
            "--probe/--no-probe",
            help="Try the engine's options with the model (about a minute); default: if none were chosen yet.",
        ),
    ] = None,
) -> None:
    """Check the installation, pick the engine options that suit this machine, and say why."""
    from jointcoder.settings import Settings

    settings = Settings.load()
    checks = [_python(), _machine(), _disk(settings), _book(settings)]
    probed: ProbeReport | None = None
    needs_file, finding = _backend(settings)
    if not needs_file:
        checks += [finding] if finding else []
    else:
        engine = _engine()
        model, finding = _model(settings)
        checks += [engine, finding, _memory(settings, model)]
        if model is not None and engine.state == "ok":
            if probe or (probe is None and not _tried(settings, model)):
                finding, probed = _probe(settings, model)
            else:
                finding = _chosen(settings, model)
            checks.append(finding)
        if model is not None and (finding := _variants(settings, model)):
            checks.append(finding)
    checks.append(_sandbox())
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


def _memory(settings: Settings, model: ResolvedModel | None) -> Check:
    """What the model takes, beside what there is."""
    from jointcoder.assets.gguf import GgufError, read_header
    from jointcoder.llm import memory
    from jointcoder.llm.load import OPTIONS_FILE
    from jointcoder.llm.options import EngineOptions, load_options

    size, free = memory.installed(), memory.available()
    if size is None or free is None:
        return Check("memory", "note", "unknown on this platform")
    there = f"{size / 1e9:.1f} GB, {free / 1e9:.1f} GB of it free"
    if model is None:
        return Check("memory", "ok", there)
    options = load_options(settings.cache.expanduser() / OPTIONS_FILE, model.path) or EngineOptions()
    try:
        found = memory.need(
            read_header(model.path),
            context_tokens=settings.context_tokens,
            options=options,
            gpu_layers=settings.gpu_layers,
        )
    except (GgufError, OSError):
        found = None  # the engine will say what is wrong with the file
    if found is None:
        return Check("memory", "ok", there)
    detail = f"{there}; the model takes {found}"
    room = free if settings.memory_mb is None else min(free, settings.memory_mb * 10**6)
    if found.total + BOOK_BYTES <= room:
        return Check("memory", "ok", detail)
    tokens = memory.fitting(found, int(room - BOOK_BYTES))
    fix = f"export JOINTCODER_CONTEXT_TOKENS={tokens}" if tokens else "jointcoder models list"
    short = found.total > room and (settings.memory_mb is None or not tokens)
    return Check("memory", "missing" if short else "note", detail, fix, "JC311" if short else "")


def _sandbox() -> Check:
    """Whether generated Python, where a run allows it, can be isolated here."""
    from jointcoder.search.sandbox import available

    there = available()
    if there.ok:
        return Check("generated Python", "ok", f"can be isolated: {there.how}")
    return Check("generated Python", "note", f"cannot be isolated: {there.why}", code="JC450")


def _disk(settings: Settings) -> Check:
    folder = settings.cache.expanduser()
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return Check("disk", "missing", f"{folder} cannot be written", OWN_CACHE, "JC205")
    free = shutil.disk_usage(existing).free
    return Check("disk", "ok", f"{free / 1e9:,.1f} GB free at {folder}")


def _backend(settings: Settings) -> tuple[bool, Check | None]:
    """Whether the backend needs weights on this machine; if not, what it can do."""
    from jointcoder.llm.load import backends, needs_file

    try:
        if needs_file(settings.backend):
            return True, None
    except JointCoderError as error:
        return False, Check("backend", "missing", error.message, "export JOINTCODER_BACKEND=llamacpp", error.code)
    if settings.backend == "http":
        return False, _server(settings)
    return False, Check("backend", "ok", f"{settings.backend}: {backends()[settings.backend].value}")


def _server(settings: Settings) -> Check:
    """What the model server is and can do, found out with a dozen tiny requests."""
    from jointcoder.llm.load import open_model

    patience = min(PATIENCE_S, settings.server_timeout_s)
    impatient = settings.model_copy(update={"server_retries": 0, "server_timeout_s": patience})
    try:
        with open_model(impatient) as model:
            name, limit, facts = model.info.name, model.info.context_tokens, model.info.facts
    except JointCoderError as error:
        fix = error.hint or "start the server, or: export JOINTCODER_SERVER_URL=http://HOST:PORT/v1"
        return Check("model server", "missing", error.message, fix, error.code)
    top, longer = facts["top_logprobs"], facts["long_options"]
    told = [
        f"{settings.server_url} ({facts['owner'] or 'unnamed'}): {name}",
        f"context of {limit:,} tokens{'' if facts['context_tokens'] else ' (as set here; the server does not tell)'}",
        f"answers' form: {facts['schema']}",
        f"choices: {top} likeliest tokens, {f'longer options by {longer}' if longer else 'no longer options'}",
        f"tokenizer: {facts['tokenizer'] or 'none, tokens are guessed'}",
    ]
    if not top:
        fix = "start the server with log-probabilities: choices cannot be scored without"
        return Check("model server", "missing", "; ".join(told), fix, "JC309")
    lacking = facts["schema"] == "stated" or not longer or not facts["tokenizer"]
    return Check("model server", "note" if lacking else "ok", "; ".join(told))


def _engine() -> Check:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Check("engine", "ok", f"{ENGINE} {version(ENGINE)}")
    except PackageNotFoundError:
        return Check("engine", "missing", f"{ENGINE} is not installed", ENGINE_INSTALL, "JC303")


def _model(settings: Settings) -> tuple[ResolvedModel | None, Check]:
    from jointcoder.assets import LocalModel, resolve_model

    try:
        model = resolve_model(settings)
    except JointCoderError as error:
        fix = f"jointcoder setup --model {settings.model}" if error.code != "JC206" else "jointcoder models list"
        return None, Check("model", "missing", error.message, fix, error.code)
    if model.entry is None:
        remark = f"not in the manifest, sha256 {model.sha256[:12]}…"
    else:
        remark = "your own, sha256 as added" if isinstance(model.entry, LocalModel) else "sha256 as in the manifest"
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
        found = f"{saved} cannot be written ({error.strerror})"
        return Check("engine options", "missing", found, OWN_CACHE, "JC205"), None
    return Check("engine options", "ok", f"{report.chosen.label}; kept in {saved}"), report


def _tried(settings: Settings, model: ResolvedModel) -> bool:
    from jointcoder.llm.load import OPTIONS_FILE
    from jointcoder.llm.options import load_options

    return load_options(settings.cache.expanduser() / OPTIONS_FILE, model.path) is not None


def _chosen(settings: Settings, model: ResolvedModel) -> Check:
    """What an earlier probe, or ``models bench``, chose and measured."""
    from jointcoder.llm.load import OPTIONS_FILE
    from jointcoder.llm.options import load_options, load_rates

    saved = settings.cache.expanduser() / OPTIONS_FILE
    options, rates = load_options(saved, model.path), load_rates(saved, model.path)
    if options is None:
        return Check(
            "engine options", "note", "the safe defaults; nothing was tried on this machine", "jointcoder doctor"
        )
    detail = f"{options.label}; chosen earlier"
    if rates and rates.get("options") == options.to_json():
        read, written = rates["prefill"].get("512"), rates["decode"]
        detail += f"; reads {read} tokens/s, writes {written.get('1')}, in 16 branches {written.get('16')}"
    return Check("engine options", "ok", detail)


def _variants(settings: Settings, model: ResolvedModel) -> Check | None:
    """Which of the quantisations of this model that are here is the fastest, by ``models bench``."""
    from jointcoder.assets import ModelAsset, known_models, locate
    from jointcoder.llm.load import OPTIONS_FILE
    from jointcoder.llm.options import load_rates

    title = model.entry.title if model.entry else ""
    here = [entry for entry in known_models(settings) if title and entry.title == title and locate(entry, settings)]
    kinds = {entry.name: entry.quantisation for entry in here if isinstance(entry, ModelAsset)}
    if len(kinds) < 2:
        return None
    saved = settings.cache.expanduser() / OPTIONS_FILE
    seconds = {}
    for entry in here:
        if rates := load_rates(saved, entry.path(settings)):
            seconds[entry.name] = float(rates["seconds"])
    if unknown := [name for name in kinds if name not in seconds]:
        there = f"{', '.join(kinds.values())} are here; not measured: {', '.join(kinds[name] for name in unknown)}"
        return Check("quantisation", "note", there, f"jointcoder models bench {unknown[0]}")
    best = min(seconds, key=lambda name: seconds[name])
    listed = ", ".join(f"{kinds[name]} {seconds[name]:.1f} s" for name in sorted(seconds, key=lambda n: seconds[n]))
    detail = f"{kinds[best]} is the fastest here; 1,000 tokens read and 100 written: {listed}"
    if best == model.name:
        return Check("quantisation", "ok", detail)
    return Check("quantisation", "note", detail, f"export JOINTCODER_MODEL={best}")


# --------------------------------------------------------------------------------------------------------- showing


def _show(checks: list[Check], probed: ProbeReport | None) -> None:
    from rich.markup import escape
    from rich.table import Table

    console = common.stdout()
    colours: dict[State, str] = {"ok": "green", "note": "yellow", "missing": "red"}
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        mark = f"[{colours[check.state]}]{language.text(check.state)}[/{colours[check.state]}]"
        told = (
            f"{language.label(check.code)} {language.meaning(check.code, check.detail)}" if check.code else check.detail
        )
        table.add_row(mark, language.text(check.name), escape(language.text(told)))
    console.print(table)
    if probed:
        _show_probe(probed, console)
    for check in checks:
        if check.fix:
            fix = f"{language.text(check.name)}: {language.text(check.fix)}"
            console.print(escape(fix), highlight=False, soft_wrap=True)


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
        table.add_row(escape(row["label"]), *rates, escape(language.text(row["reason"])))
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
