"""How the engine runs on this machine: the options, and the file in which a machine's choice is kept.

``doctor`` and ``models bench`` write the file; opening a model reads it. This module imports no
engine.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

BLOCK = 64  # rows and cells of one tile of llama.cpp's flash attention on the CPU


@dataclass(frozen=True)
class EngineOptions:
    """Options that change speed and memory, never answers beyond the stated tolerance.

    ``extra_buffers``: llama.cpp's repacked weights; off, because a default build crashes at its first decode on
    machines with AMX. ``batch_tokens``: tokens of one engine call, also the grain of progress and interruption.
    ``parallel``: branches decoded together. ``kept``: prefixes held at once. ``logit_rows``: rows of logits that
    one call may return (each costs vocabulary × 4 bytes). ``steady``: keep every call within one family of the
    CPU's kernels, so that a request's log-probabilities do not depend on what else is in the batch or the cache
    (see engine.py); needs flash attention.
    """

    threads: int | None = None
    extra_buffers: bool = False
    flash_attention: bool = True
    kv_type: Literal["f16", "f32"] = "f16"
    batch_tokens: int = 512
    parallel: int = 32
    kept: int = 8
    logit_rows: int = 64
    steady: bool = True

    def __post_init__(self) -> None:
        if self.kv_type not in ("f16", "f32"):
            raise ValueError("kv_type must be f16 or f32")
        if min(self.batch_tokens, self.parallel, self.kept, self.logit_rows) < 1:
            raise ValueError("engine options must be positive")
        if self.threads is not None and self.threads < 1:
            raise ValueError("threads must be positive")
        if self.parallel < 2:
            raise ValueError("parallel must be 2 or more: a question and an option of it are branches")
        if self.batch_tokens % BLOCK:
            raise ValueError(f"batch_tokens must be a multiple of {BLOCK}")
        if self.sequences > min(256, self.batch_tokens, self.logit_rows):
            raise ValueError("kept + parallel + 2 may not exceed batch_tokens, logit_rows or 256 (llama.cpp's limits)")

    @property
    def sequences(self) -> int:
        """Sequences the engine needs: kept prefixes, branches, padding and filler."""
        return self.kept + self.parallel + 2

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Raises ValueError or TypeError on unknown names and bad values."""
        if not isinstance(value, dict):
            raise TypeError("engine options must be a JSON object")
        known = {field.name for field in fields(cls)}
        if unknown := set(value) - known:
            raise ValueError(f"unknown engine options: {', '.join(sorted(unknown))}")
        return cls(**value)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def label(self) -> str:
        """Short name for tables, e.g. ``2 threads, flash attention, batch 512``."""
        return ", ".join(
            [f"{self.threads or 'all'} threads"]
            + ["repacked weights"] * self.extra_buffers
            + ["flash attention"] * self.flash_attention
            + [f"{self.kv_type} cache", f"batch {self.batch_tokens}"]
        )


def usable_cores() -> int:
    """Cores this process may use (containers and taskset are respected)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def model_key(path: Path) -> str:
    """Name under which a model's choice is kept: size and name tell models apart without hashing a gigabyte."""
    return f"{path.name}:{path.stat().st_size}"


def load_options(saved: Path, model: Path) -> EngineOptions | None:
    """The options chosen for ``model`` on this machine, or None if there are none (or they no longer fit)."""
    try:
        return EngineOptions.from_json(_entry(saved, model)["options"])
    except (OSError, KeyError, TypeError, ValueError):
        return None


def load_rates(saved: Path, model: Path) -> dict[str, Any] | None:
    """What ``models bench`` measured of ``model`` on this machine (bench.py), or None."""
    try:
        found = _entry(saved, model)["bench"]
        return found if isinstance(found, dict) else None
    except (OSError, KeyError, TypeError, ValueError):
        return None


def save_options(saved: Path, model: Path, options: EngineOptions, results: list[dict[str, Any]]) -> None:
    """Keep a choice with the measurements behind it; other models' entries stay. Raises OSError."""
    _keep(saved, model, {"options": options.to_json(), "results": results})


def save_rates(saved: Path, model: Path, rates: dict[str, Any]) -> None:
    """Keep what was measured of a model beside the choice of its options. Raises OSError."""
    _keep(saved, model, {"bench": rates})


def _entry(saved: Path, model: Path) -> dict[str, Any]:
    """What is kept of ``model`` for this machine; {} for another. Raises OSError, KeyError, TypeError, ValueError."""
    entry: dict[str, Any] = json.loads(saved.read_text("utf-8"))[model_key(model)]
    return entry if entry["machine"] == machine() else {}


def _keep(saved: Path, model: Path, values: dict[str, Any]) -> None:
    try:
        entries = json.loads(saved.read_text("utf-8"))
    except (OSError, ValueError):
        entries = {}
    if not isinstance(entries, dict):
        entries = {}
    try:
        before = _entry(saved, model)
    except (OSError, KeyError, TypeError, ValueError):
        before = {}
    entries[model_key(model)] = {"machine": machine()} | before | values
    saved.parent.mkdir(parents=True, exist_ok=True)
    part = saved.with_name(saved.name + ".part")
    part.write_text(json.dumps(entries, indent=2), "utf-8")
    part.replace(saved)


def machine() -> dict[str, Any]:
    """What a choice depends on: a file carried to another machine, or a new engine, makes it void."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    try:
        engine = version("llama-cpp-python")
    except PackageNotFoundError:
        engine = ""
    return {"processor": _processor() or platform.machine(), "cores": usable_cores(), "engine": engine}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    keys = ("model name", "model", "stepping")
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    return " ".join(found.get(key, "") for key in keys).strip()
