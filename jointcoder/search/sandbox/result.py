"""What goes into a run of generated Python besides the source, and what comes out: limits, a result, a fault.

Frozen; a fault holds no text of the generated program or of its inputs, so it may go into a log. Knows nothing of
processes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from jointcoder.errors import UsageError, WorkflowError

MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What one run may take. Each is enforced by the kernel or by the parent, none by the program's good will.

    ``wall_s``: seconds from start to result, time spent inside tools left out; ``cpu_s``: seconds of processor time;
    ``memory_mb``: address space, some 15 MB of it the interpreter's; ``scratch_mb``: size of a private /tmp in memory
    (0: there is none and nothing can be written); ``calls``: requests to tools; ``call_bytes``: size of one request;
    ``output_bytes``: size of the result and of one answer of a tool, as JSON; ``traffic_bytes``: all requests and
    answers together.
    """

    wall_s: float = 20.0
    cpu_s: int = 5
    memory_mb: int = 512
    scratch_mb: int = 0
    calls: int = 2_000
    call_bytes: int = 64_000
    output_bytes: int = 2_000_000
    traffic_bytes: int = 32_000_000

    def __post_init__(self) -> None:
        """UsageError JC001 for a limit that is none."""
        for limit in fields(self):
            value = getattr(self, limit.name)
            least = 0 if limit.name in ("scratch_mb", "calls") else 1e-9
            if not isinstance(value, (int, float)) or not math.isfinite(value) or value < least:
                raise UsageError("JC001", f"limit {limit.name} of the sandbox: {value!r} is not a number above zero")


@dataclass(frozen=True)
class Availability:
    """Whether generated Python can be isolated here; if not, ``why``; if so, ``how``."""

    ok: bool
    why: str = ""
    how: str = ""


@dataclass(frozen=True)
class Fault:
    """Why there is no value: ``code`` is JC452–JC459. ``type`` is the exception's nearest built-in class and ``line``
    a line of the source, where they are known ("" and 0 where not); both are what the generated program says."""

    code: str
    message: str
    type: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(frozen=True)
class Result:
    """What a run came to: ``value`` (JSON) or ``fault``.

    ``seconds`` from start to end, tools included; ``peak_memory_mb`` resident, as the kernel told when last asked,
    None where the process was gone before that; ``calls``: tool → requests answered.
    """

    value: Any = None
    fault: Fault | None = None
    seconds: float = 0.0
    peak_memory_mb: float | None = None
    calls: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def unwrap(self) -> Any:
        """The value. WorkflowError with the fault's code where there is none."""
        if self.fault is not None:
            raise WorkflowError(self.fault.code, self.fault.message)
        return self.value
