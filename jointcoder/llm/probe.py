"""Tries engine configurations in subprocesses and picks the fastest that survives and agrees.

    python -m jointcoder.llm.probe --child MODEL JSON      (one configuration; prints one line of JSON)

A subprocess each, because a wrong configuration does not fail, it dies: a default build of llama.cpp crashes at its
first decode on some machines. What is measured: a prefill of 256 tokens (1,024 where it is done thoroughly, so that
large batches show), and 16 tokens written one by one. The choice and all results are kept beside the machine's
description (options.py). The first configuration is the safe default; to be chosen instead, another must write the same
tokens, be as steady, and be clearly faster. Rates of the chosen one are bench.py's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from jointcoder.errors import ModelError
from jointcoder.llm.options import EngineOptions, load_options, save_options, usable_cores

PREFILL_TOKENS, THOROUGH_TOKENS, WRITTEN_TOKENS = 256, 1024, 16
CLEARLY = 0.92  # share of the default's time; anything above may be noise
TIME_LIMIT = 180.0  # seconds for one configuration; twice that where it is done thoroughly
PASSAGE = "0 1 2 3 5 8 13 21 34 55 89 144 233 377 610 987 "  # any text does; numbers belong to no language

Progress = Callable[[int, int, str], None]  # configurations done, in all, label of the next


@dataclass(frozen=True)
class ProbeResult:
    """One configuration: tokens a second, or what it died of (``failure``, e.g. ``SIGSEGV``)."""

    options: EngineOptions
    prefill: float = 0.0
    decode: float = 0.0
    written: tuple[int, ...] = ()
    failure: str = ""

    @property
    def seconds(self) -> float:
        """Time of a typical request at these rates: 1,000 tokens read, 100 written."""
        return 1000 / self.prefill + 100 / self.decode if self.prefill and self.decode else float("inf")


@dataclass(frozen=True)
class ProbeReport:
    """What was chosen, all results, and a reason for each in the same order."""

    chosen: EngineOptions
    results: tuple[ProbeResult, ...]
    reasons: tuple[str, ...]


def candidates(*, thorough: bool = False) -> list[EngineOptions]:
    """What is worth trying here; the safe default first. ``thorough``: more thread counts and batch sizes."""
    cores = usable_cores()
    safe = EngineOptions(threads=cores)
    tries = [
        safe,
        replace(safe, extra_buffers=True),
        replace(safe, flash_attention=False, steady=False),
        replace(safe, batch_tokens=256),
    ]
    physical = _physical_cores()
    if physical and physical != safe.threads:
        tries.append(replace(safe, threads=physical))
    if thorough:
        tries.append(replace(safe, batch_tokens=1024))
        # Writing is bound by memory: on many cores fewer threads may do.
        tries += [
            replace(safe, threads=n) for n in (cores // 2, cores - 1) if cores >= 4 and n not in (cores, physical)
        ]
    return tries


def probe_engine(
    model_path: Path,
    *,
    saved: Path,
    configurations: Sequence[EngineOptions] | None = None,
    thorough: bool = False,
    progress: Progress | None = None,
) -> ProbeReport:
    """Probe, choose, and keep the choice in ``saved``. ``thorough``: more configurations, longer prompts.

    Raises ModelError JC305 if no configuration survives (nothing is saved then), OSError if ``saved`` cannot be
    written.
    """
    results = probe(model_path, configurations=configurations, thorough=thorough, progress=progress)
    chosen, reasons = _choose(results)
    kept = [asdict(result) | {"reason": reason} for result, reason in zip(results, reasons, strict=True)]
    save_options(saved, model_path, chosen, kept)
    return ProbeReport(chosen, tuple(results), tuple(reasons))


def probe(
    model_path: Path,
    *,
    configurations: Sequence[EngineOptions] | None = None,
    thorough: bool = False,
    progress: Progress | None = None,
) -> list[ProbeResult]:
    """Run each configuration in a process of its own, one after the other."""
    tries = list(configurations) if configurations is not None else candidates(thorough=thorough)
    tokens = THOROUGH_TOKENS if thorough else PREFILL_TOKENS
    results = []
    for i, options in enumerate(tries):
        if progress is not None:
            progress(i, len(tries), options.label)
        results.append(_run(model_path, options, tokens))
    if progress is not None:
        progress(len(tries), len(tries), "")
    return results


def choose_options(results: Sequence[ProbeResult]) -> EngineOptions:
    """The configuration to use: survives, agrees, is the fastest. Raises ModelError JC305 if none did."""
    return _choose(results)[0]


def _choose(results: Sequence[ProbeResult]) -> tuple[EngineOptions, list[str]]:
    alive = [result for result in results if not result.failure]
    if not alive:
        raise ModelError(
            "JC305",
            f"no engine configuration works here: {', '.join(r.failure for r in results) or 'none was tried'}",
            hint="rebuild llama-cpp-python on this machine: pip install --force-reinstall --no-cache-dir "
            "llama-cpp-python",
        )
    safe = alive[0]
    fit = [r for r in alive if r.written == safe.written and r.options.steady >= safe.options.steady]
    best = min(fit, key=lambda r: r.seconds)
    if best.seconds > CLEARLY * safe.seconds:
        best = safe
    reasons = []
    for result in results:
        if result.failure:
            reasons.append(f"failed: {result.failure}")
        elif result.written != safe.written:
            reasons.append("writes other tokens than the default")
        elif result is best:
            reasons.append("chosen")
        elif result not in fit:
            reasons.append("its log-probabilities depend on the batch")
        else:
            reasons.append(f"{result.seconds / best.seconds:.2f} times the time of the chosen one")
    return best.options, reasons


def _run(model_path: Path, options: EngineOptions, tokens: int) -> ProbeResult:
    argument = {"options": options.to_json(), "tokens": tokens}
    limit_s = TIME_LIMIT * max(1.0, tokens / THOROUGH_TOKENS * 2)
    found = run_child("jointcoder.llm.probe", model_path, argument, limit_s=limit_s)
    try:
        if "failure" in found:
            return ProbeResult(options, failure=str(found["failure"]))
        return ProbeResult(options, found["prefill"], found["decode"], tuple(found["written"]))
    except KeyError:
        return ProbeResult(options, failure="an answer that is none")


def run_child(module: str, model_path: Path, argument: Any, *, limit_s: float = TIME_LIMIT) -> dict[str, Any]:
    """What ``python -m module --child MODEL JSON`` measured (see :func:`as_child`); ``{"failure": why}`` if it died,
    took longer than ``limit_s`` or could not."""
    command = [sys.executable, "-m", module, "--child", str(model_path)]
    # The child finds the package where this process found it, installed or not.
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    try:
        done = subprocess.run(
            [*command, json.dumps(argument)],
            capture_output=True,
            timeout=limit_s,
            env=os.environ | {"PYTHONPATH": path},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failure": f"no answer within {limit_s:.0f} s"}
    if done.returncode < 0:
        return {"failure": _signal_name(-done.returncode)}
    try:
        found = json.loads(done.stdout.decode("utf-8", "replace").strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {"failure": f"exit status {done.returncode}"}
    return found if isinstance(found, dict) else {"failure": "an answer that is none"}


def _signal_name(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _physical_cores() -> int | None:
    """Cores without hyper-threads, where Linux tells."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return None
    pairs = set()
    for block in text.split("\n\n"):
        entry = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in block.splitlines())}
        if "core id" in entry:
            pairs.add((entry.get("physical id"), entry["core id"]))
    return len(pairs) or None


def measure(model_path: Path, options: EngineOptions, prefill_tokens: int = PREFILL_TOKENS) -> dict[str, Any]:
    """Rates of one configuration, in this process: ``{"prefill", "decode", "written"}``."""
    import time

    from jointcoder.llm.engine import Engine, Row, Run

    chosen: list[int] = []

    def take(run: int, offset: int, row: Row) -> None:
        chosen.append(int(row.argmax()))

    threads = options.threads or usable_cores()
    engine = Engine(model_path, context_tokens=prefill_tokens + 256, options=options, gpu_layers=0, threads=threads)
    try:
        tokens = engine.tokenize(PASSAGE * 16)
        tokens = (tokens * (prefill_tokens // len(tokens) + 1))[:prefill_tokens]
        engine.decode([Run(0, 0, tokens[:16])])  # warm: the weights come into memory
        engine.clear()
        start = time.perf_counter()
        engine.prefill(0, 0, tokens[:-1])
        engine.decode([Run(0, len(tokens) - 1, tokens[-1:], "last")], on_logits=take)
        middle = time.perf_counter()
        for i in range(WRITTEN_TOKENS):
            step = Run(0, len(tokens) + i, [chosen[-1]], "last")
            engine.decode([step], fill=0, on_logits=take)
        end = time.perf_counter()
    finally:
        engine.close()
    return {
        "prefill": len(tokens) / (middle - start),
        "decode": WRITTEN_TOKENS / (end - middle),
        "written": chosen,
    }


def as_child(arguments: Sequence[str], work: Callable[[Path, Any], dict[str, Any]]) -> int:
    """The child process. Exit status 0 with a line of JSON, whatever the engine says; it may also just die."""
    if len(arguments) != 3 or arguments[0] != "--child":
        sys.stderr.write("usage: --child MODEL JSON\n")
        return 2
    from jointcoder.errors import JointCoderError

    try:
        found = work(Path(arguments[1]), json.loads(arguments[2]))
    except JointCoderError as error:
        found = {"failure": str(error)}
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _work(model_path: Path, argument: Any) -> dict[str, Any]:
    return measure(model_path, EngineOptions.from_json(argument["options"]), argument["tokens"])


__all__ = ["ProbeReport", "ProbeResult", "choose_options", "load_options", "probe", "probe_engine"]

if __name__ == "__main__":
    raise SystemExit(as_child(sys.argv[1:], _work))
