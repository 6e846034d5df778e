"""The program inside the sandbox: takes source and inputs from its pipe, runs them, sends the result back.

It runs alone, with the standard library and nothing of this package, under an interpreter that sees an empty machine.
It sets its own resource limits before it looks at the source; the kernel never lets a process without rights raise them
again. It protects nothing beyond that: source that takes this module apart gains what it had, a pipe to a parent that
checks every byte. See the package for what holds it.

    in   {"source", "entry", "inputs", "tools": [name], "limits"}      then, after each call, {"value"} or {"error"}
    out  {"ready"}, then {"call", "args", "named"} …, then {"value"} or {"fault": {"kind", "type", "line"}}
"""

from __future__ import annotations

import builtins
import json
import os
import resource
import struct
import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace, TracebackType
from typing import Any

NAME = "<generated>"
IN, OUT = 0, 1
HEADER = struct.Struct(">I")
# A dump that goes to a program of the host is stopped by a limit of 1, not by 0 (man 5 core).
NO_DUMP = 1
FEW_FILES = 32


class ToolError(Exception):
    """A tool could not do what was asked; the text is the tool's."""


class UnsendableError(Exception):
    """What the source returned is no JSON, or too much of it: ``args[0]`` is the kind of fault."""


class Sink:
    """Takes what is printed, and forgets it."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def main() -> None:
    order = receive()
    restrict(order["limits"])
    sys.stdout = sys.stderr = Sink()
    os.environ.clear()
    send({"ready": True})
    exhausted = packed(fault("memory", MemoryError()))  # made while there is memory
    try:
        emit(packed(result_of(order)))
    except MemoryError:
        emit(exhausted)
    taken(1)  # until the parent, which looks at what this took, ends it


def restrict(limits: Mapping[str, Any]) -> None:
    """Limits of the kernel on this process, which starts no other."""
    memory, seconds = int(limits["memory_mb"]) * 1_000_000, int(limits["cpu_s"])
    scratch = int(limits["scratch_mb"]) * 1_000_000
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, scratch),
        (resource.RLIMIT_NOFILE, FEW_FILES),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, FEW_FILES),
        (resource.RLIMIT_CORE, NO_DUMP),
    ):
        resource.setrlimit(kind, (most, most))


def result_of(order: Mapping[str, Any]) -> dict[str, Any]:
    """The last message: what the entry returned, or why it did not."""
    try:
        code = compile(order["source"], NAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, OverflowError) as error:
        return fault("syntax", error, getattr(error, "lineno", 0))
    try:
        scope: dict[str, Any] = {"__name__": "generated", "__builtins__": builtins, "ToolError": ToolError}
        exec(code, scope)
        entry = scope.get(order["entry"])
        if not callable(entry):
            return fault("entry", TypeError())
        tools = SimpleNamespace(**{name: tool(name) for name in order["tools"]})
        return sendable(entry(order["inputs"], tools), int(order["limits"]["output_bytes"]))
    except ToolError as error:
        return fault("tool", error)
    except UnsendableError as error:
        return fault(error.args[0], error)
    except MemoryError:
        raise
    except BaseException as error:
        return fault("exception", error)


def sendable(value: Any, limit: int) -> dict[str, Any]:
    """The message that holds the value. UnsendableError where it is not JSON, or more than ``limit`` bytes of it."""
    try:
        length = len(packed({"value": value}))
    except (TypeError, ValueError, RecursionError):
        raise UnsendableError("output") from None
    if length > limit:
        raise UnsendableError("size")
    return {"value": value}


def tool(name: str) -> Callable[..., Any]:
    """The function that asks the parent for the tool of that name."""

    def call(*args: Any, **named: Any) -> Any:
        send({"call": name, "args": args, "named": named})
        reply = receive()
        if "error" in reply:
            raise ToolError(reply["error"])
        return reply["value"]

    call.__name__ = call.__qualname__ = name
    return call


def fault(kind: str, error: BaseException, line: int | None = None) -> dict[str, Any]:
    """The message that names the nearest built-in class of an exception and the line of the source it came from."""
    own = next(base for base in type(error).__mro__ if base.__module__ == "builtins")
    where = line if line is not None else place(error.__traceback__)
    return {"fault": {"kind": kind, "type": own.__name__, "line": where}}


def place(trace: TracebackType | None) -> int:
    """The last line of the source on the way to an exception, 0 if there is none."""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def packed(message: Mapping[str, Any]) -> bytes:
    body = json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii")
    return HEADER.pack(len(body)) + body


def send(message: Mapping[str, Any]) -> None:
    emit(packed(message))


def emit(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(OUT, view) :]


def receive() -> Any:
    (length,) = HEADER.unpack(taken(HEADER.size))
    return json.loads(taken(length))


def taken(count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = os.read(IN, min(count, 1 << 20))
        if not part:
            os._exit(0)  # the parent is gone
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    main()
