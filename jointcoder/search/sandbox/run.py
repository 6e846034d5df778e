"""Runs generated Python in its jail and serves it the tools it was given: source and JSON in, a result out.

The parent trusts nothing that comes back. It looks a tool up by name among those given for this run, counts, bounds
sizes, and answers with JSON; it compiles nothing, imports nothing and unpickles nothing of the generated program.
"""

from __future__ import annotations

import builtins
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from jointcoder.errors import JointCoderError, UsageError, WorkflowError
from jointcoder.search.sandbox import frames
from jointcoder.search.sandbox.jail import Jail, find
from jointcoder.search.sandbox.process import NotStartedError, Process, StoppedError
from jointcoder.search.sandbox.result import MB, Fault, Limits, Result

Tool = Callable[..., Any]
SOURCE_CHARACTERS = 100_000
BUILT_IN = frozenset(
    name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)
)


def run_python(
    source: str,
    *,
    entry: str = "run",
    inputs: Any,
    tools: Mapping[str, Tool] | None = None,
    limits: Limits | None = None,
) -> Result:
    """What ``entry(inputs, tools)`` of the source returns, or why it returned nothing.

    ``inputs`` is JSON. ``tools`` are the only functions of this process that the source can reach, as attributes of its
    second argument; every parameter of theirs is open to it, and they take and return JSON. A tool that raises
    gives the source a ``ToolError``. Whatever the source does becomes a :class:`Fault`; what is raised here is the
    caller's own matter: WorkflowError JC450 where nothing can be isolated, UsageError JC001 for inputs that are no
    JSON or names that are none.
    """
    jail, there = find()
    if jail is None:
        raise WorkflowError("JC450", f"generated Python cannot be isolated here: {there.why}", hint="jointcoder doctor")
    try:
        return attempt(jail, source, entry=entry, inputs=inputs, tools=tools or {}, limits=limits or Limits())
    except NotStartedError as error:
        raise WorkflowError("JC450", f"the sandbox did not start: {error}", hint="jointcoder doctor") from None


def attempt(
    jail: Jail, source: str, *, entry: str = "run", inputs: Any, tools: Mapping[str, Tool], limits: Limits
) -> Result:
    """The same in a given jail. NotStartedError where that is no jail."""
    if wrong := [name for name in (entry, *tools) if not (name.isidentifier() and name.isascii())]:
        raise UsageError("JC001", f"not a name of Python: {', '.join(map(repr, wrong))}")
    if len(source) > SOURCE_CHARACTERS:
        return Result(fault=Fault("JC452", f"the generated Python is longer than {SOURCE_CHARACTERS:,} characters"))
    order = {"source": source, "entry": entry, "inputs": inputs, "tools": sorted(tools), "limits": asdict(limits)}
    try:
        first = frames.packed(order)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError("JC001", f"the inputs of generated Python are no JSON ({type(error).__name__})") from None
    began = time.perf_counter()
    service = _Service(tools, limits)
    value, fault = None, None
    with Process(jail, limits) as process:
        try:
            value = _conversation(process, first, service, lines=source.count("\n") + 1)
        except StoppedError as stop:
            fault = stop.args[0]
    return Result(
        value=value,
        fault=fault,
        seconds=time.perf_counter() - began,
        peak_memory_mb=process.peak_bytes / MB if process.peak_bytes is not None else None,
        calls=MappingProxyType(dict(service.answered)),
    )


def _conversation(process: Process, first: bytes, service: _Service, *, lines: int) -> Any:
    """The value. StoppedError where there is none."""
    process.send(first)
    if process.receive() != {"ready": True}:
        raise NotStartedError("the interpreter did not begin as it should")
    process.begun()
    while True:
        message = process.receive()
        if set(message) == {"value"}:
            return message["value"]
        if set(message) == {"fault"}:
            raise StoppedError(_told(message["fault"], service, lines))
        began = time.monotonic()
        reply = service.answer(message, size=process.received)
        process.pause(time.monotonic() - began)
        process.send(reply)


class _Service:
    """The tools of one run: who may be called, how often, with how much."""

    def __init__(self, tools: Mapping[str, Tool], limits: Limits) -> None:
        self.tools, self.limits = tools, limits
        self.answered: Counter[str] = Counter()
        self.refused = ""  # the last tool that refused, and by which code: the parent's own words

    def answer(self, message: Mapping[str, Any], *, size: int) -> bytes:
        """The packed reply to a message of so many bytes. StoppedError where it is no call of a tool of this run, or
        one too many."""
        if set(message) != {"call", "args", "named"}:
            raise StoppedError(Fault("JC456", "the generated Python sent a message that is none of its own"))
        name, args, named = message["call"], message["args"], message["named"]
        if not (isinstance(name, str) and isinstance(args, list) and isinstance(named, dict)):
            raise StoppedError(Fault("JC456", "the generated Python sent a call that is none"))
        if name not in self.tools:
            raise StoppedError(Fault("JC458", "the generated Python called a tool that it was not given"))
        if self.answered.total() >= self.limits.calls:
            raise StoppedError(
                Fault("JC458", f"the generated Python called tools more than {self.limits.calls:,} times")
            )
        if size > self.limits.call_bytes + frames.ENVELOPE:
            raise StoppedError(Fault("JC458", f"a call of {name} is larger than {self.limits.call_bytes:,} bytes"))
        self.answered[name] += 1
        return self._reply(name, args, named)

    def _reply(self, name: str, args: list[Any], named: dict[str, Any]) -> bytes:
        try:
            reply = frames.packed({"value": self.tools[name](*args, **named)})
        except JointCoderError as error:
            return self._refusal(name, error.code, str(error))
        except Exception as error:
            # The text of a foreign exception may hold anything: only its kind goes in.
            return self._refusal(name, type(error).__name__, type(error).__name__)
        if len(reply) > self.limits.output_bytes + frames.ENVELOPE:
            return self._refusal(name, "too large", f"the answer is larger than {self.limits.output_bytes:,} bytes")
        return reply

    def _refusal(self, name: str, why: str, said: str) -> bytes:
        self.refused = f"{name} ({why})"
        return frames.packed({"error": f"{name}: {said}"})


def _told(fault: Any, service: _Service, lines: int) -> Fault:
    """A fault as the program inside tells it, in this module's words. Only a built-in class and a number are taken over
    from it: a class or a text of its own could carry a note out into a log."""
    said = fault if isinstance(fault, dict) else {}
    kind, name, number = said.get("kind"), said.get("type"), said.get("line")
    own = name if isinstance(name, str) and name in BUILT_IN else "Exception"
    line = number if isinstance(number, int) and 0 < number <= lines else 0
    where = f" in line {line}" if line else ""
    match kind:
        case "syntax":
            return Fault("JC452", f"the generated Python is no Python{where} ({own})", own, line)
        case "entry":
            return Fault("JC452", "the generated Python has no function of the name asked for", own, line)
        case "memory":
            return Fault("JC454", f"the generated Python needed more than {service.limits.memory_mb} MB", own, line)
        case "output":
            return Fault("JC456", "what the generated Python returned is no JSON", own, line)
        case "size":
            most = service.limits.output_bytes
            return Fault("JC456", f"what the generated Python returned is larger than {most:,} bytes", own, line)
        case "tool":
            return Fault("JC458", f"tool {service.refused or '(none)'} refused a call{where}", own, line)
        case _:
            return Fault("JC457", f"the generated Python raised {own}{where}", own, line)
