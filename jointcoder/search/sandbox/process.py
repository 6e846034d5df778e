"""One process in its jail: started, spoken to through a pipe under a deadline, killed, and gone when this is done.

Whatever comes out of the pipe is the generated program's word. What is said here about a run comes from elsewhere: the
clock, and the kernel's account of how the process ended and how much memory it held.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self

from jointcoder.search.sandbox import frames
from jointcoder.search.sandbox.jail import Jail
from jointcoder.search.sandbox.result import Fault, Limits

PART = 1 << 16
SAID = 2_000  # bytes kept of what bubblewrap says before the program runs
LOOK_S = 0.2  # how often memory is looked at
END_S = 2.0  # for bubblewrap to say how a process ended whose pipe has ended
GRACE_S = 5.0  # for the kernel to take a killed process away
NEARLY = 0.9  # of the processor time allowed, which the kernel counts in ticks
BY_SIGNAL = 128  # added to a signal's number in a status, as a shell does

log = logging.getLogger(__name__)


class StoppedError(Exception):
    """The run is over without a value: ``args[0]`` is its Fault."""


class NotStartedError(Exception):
    """The sandbox could not be set up; the text is what bubblewrap, or the linker, said."""


class Process:
    """A context manager. At its end nothing of the sandbox is left, whatever happened inside it or outside."""

    def __init__(self, jail: Jail, limits: Limits) -> None:
        self.limits = limits
        self.peak_bytes: int | None = None
        self.received = 0  # bytes of the last message
        self._began = time.monotonic()
        self._deadline = self._began + limits.wall_s
        self._traffic = 0
        self._looked = 0.0
        self._inbox, self._outbox, self._said, self._told = bytearray(), bytearray(), bytearray(), bytearray()
        self._inner, self._handle = 0, -1  # the process inside: its number out here, and a handle that is never reused
        self._begun = self._shut = False
        with _pipe() as (status_in, status_out), _pipe(jail.filter) as (filter_fd, _):
            try:
                self._monitor = subprocess.Popen(
                    jail.command(limits, filter_fd=filter_fd, status_fd=status_out),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    env={},
                    cwd="/",
                    pass_fds=(filter_fd, status_out),
                    start_new_session=True,
                )
            except OSError as error:
                raise NotStartedError(f"bubblewrap does not start: {error.strerror}") from None
            self._status_in = os.dup(status_in)
        self._to, self._from, self._errors = (pipe.fileno() for pipe in self._pipes())
        self._selector = selectors.DefaultSelector()
        for fd in (self._to, self._from, self._errors, self._status_in):
            os.set_blocking(fd, False)
        for fd in (self._from, self._errors):
            self._selector.register(fd, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    # --------------------------------------------------------------------------------------------------- messages

    def send(self, message: bytes) -> None:
        """Queue a packed message; it leaves while :meth:`receive` waits. StoppedError JC458 where that is too much."""
        self._count(len(message))
        self._outbox += message

    def receive(self) -> dict[str, Any]:
        """The next message. StoppedError (JC453–JC456, JC459) where none comes, or none that may be believed."""
        limit = max(self.limits.output_bytes, self.limits.call_bytes) + frames.ENVELOPE
        try:
            header = self._taken(frames.HEADER.size)
            self.received = frames.size(header, limit=limit)
            return frames.parsed(self._taken(self.received))
        except frames.FrameError as error:
            raise StoppedError(Fault("JC456", f"the generated Python spoke out of turn: {error}")) from None

    def begun(self) -> None:
        """The program inside says that it is ready: from now on its process can be named."""
        self._begun = True
        with contextlib.suppress(OSError):
            self._told += os.read(self._status_in, PART)
            found = re.search(rb'"child-pid":\s*(\d+)', self._told)
            self._inner = int(found.group(1)) if found else 0
            self._handle = os.pidfd_open(self._inner) if self._inner else -1
        self.look()

    def pause(self, seconds: float) -> None:
        """Put the deadline off by so much: the parent was at work, not the program."""
        self._deadline += seconds

    def look(self) -> None:
        """Read the high-water mark of resident memory, while there is one."""
        self._looked = time.monotonic()
        if not self._inner:
            return
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{self._inner}/status").read_text("utf-8", "replace")
            if found := re.search(r"VmHWM:\s*(\d+) kB", text):
                self.peak_bytes = int(found.group(1)) * 1024

    def _taken(self, count: int) -> bytes:
        while len(self._inbox) < count:
            self._pump()
        data = bytes(self._inbox[:count])
        del self._inbox[:count]
        self._count(count)
        return data

    def _count(self, more: int) -> None:
        self._traffic += more
        if self._traffic > self.limits.traffic_bytes:
            raise StoppedError(
                Fault("JC458", f"more than {self.limits.traffic_bytes:,} bytes went to and from the tools")
            )

    def _pump(self) -> None:
        """Move what can be moved, for a moment. StoppedError at the deadline and where the pipe ends."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            self.look()
            raise StoppedError(Fault("JC453", f"the generated Python took longer than {self.limits.wall_s:g} s"))
        waiting = self._to in self._selector.get_map()
        if self._outbox and not waiting:
            self._selector.register(self._to, selectors.EVENT_WRITE)
        elif waiting and not self._outbox:
            self._selector.unregister(self._to)
        ready = self._selector.select(min(left, LOOK_S))
        if time.monotonic() - self._looked > LOOK_S:
            self.look()
        for key, _ in ready:
            if key.fd == self._to:
                self._push()
            elif key.fd == self._errors:
                self._listen()
            elif not self._read():
                raise StoppedError(self._ending())

    def _push(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                del self._outbox[: os.write(self._to, self._outbox[:PART])]
            except BrokenPipeError:
                self._outbox.clear()  # nobody reads any more; the end of the other pipe will tell

    def _read(self) -> bool:
        """Whether the pipe goes on."""
        try:
            part = os.read(self._from, PART)
        except BlockingIOError:
            return True
        self._inbox += part
        return bool(part)

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            part = os.read(self._errors, PART)
            self._said += part[: max(0, SAID - len(self._said))]
            if not part and self._errors in self._selector.get_map():
                self._selector.unregister(self._errors)

    # -------------------------------------------------------------------------------------------------------- the end

    def end(self) -> None:
        """Kill what is left and wait until it is gone. Harmless when repeated."""
        if self._shut:
            return
        self._shut = True
        self.look()
        if self._handle >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self._reap()
        if self._handle >= 0:
            # With its first process a namespace of processes ends: all of them are gone when this one is.
            if not _readable(self._handle, GRACE_S):
                log.error("a killed sandbox is not gone after %s s", GRACE_S)
            os.close(self._handle)
        self._selector.close()
        os.close(self._status_in)
        for pipe in self._pipes():
            pipe.close()

    def _pipes(self) -> list[IO[bytes]]:
        """To the process, from it, and its errors."""
        all_of_them = (self._monitor.stdin, self._monitor.stdout, self._monitor.stderr)
        return [pipe for pipe in all_of_them if pipe is not None]

    def _reap(self) -> None:
        """End bubblewrap, whose death takes the process inside along."""
        if self._monitor.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._monitor.pid, signal.SIGKILL)
            self._monitor.wait()

    def _ending(self) -> Fault:
        """Why the pipe ended. NotStartedError where that was before the first word."""
        seconds = time.monotonic() - self._began
        status = self._exit_status()
        self._reap()
        if not self._begun:
            self._listen()
            said = self._said.decode("utf-8", "replace").strip().splitlines()
            raise NotStartedError(said[-1] if said else f"exit status {status}")
        if status is None:
            return Fault("JC459", "the sandbox was ended from outside")
        if status == BY_SIGNAL + signal.SIGSYS:
            return Fault("JC455", "the generated Python made a system call that is not for it: a socket, a process …")
        if status == BY_SIGNAL + signal.SIGKILL:
            # The kernel does not tell which of its limits it was; that of the processor takes at least so long.
            if seconds >= NEARLY * self.limits.cpu_s:
                return Fault("JC453", f"the generated Python took more than {self.limits.cpu_s} s of processor time")
            return Fault("JC454", "the kernel ended the generated Python for want of memory")
        if status > BY_SIGNAL:
            return Fault("JC459", f"the generated Python crashed the interpreter: {_signal_name(status - BY_SIGNAL)}")
        return Fault("JC459", f"the generated Python ended without a result, with exit status {status}")

    def _exit_status(self) -> int | None:
        """How the process inside ended, as bubblewrap tells it; None if it did not."""
        until = time.monotonic() + END_S
        while _readable(self._status_in, until - time.monotonic()):
            part = os.read(self._status_in, PART)
            if not part:
                break
            self._told += part
        found = re.search(rb'"exit-code":\s*(\d+)', self._told)
        return int(found.group(1)) if found else None


@contextlib.contextmanager
def _pipe(content: bytes = b"") -> Iterator[tuple[int, int]]:
    """Both ends of a pipe, closed afterwards; with ``content`` it holds that, and its end."""
    source, target = os.pipe()
    try:
        if content:
            os.write(target, content)
            os.close(target)
            target = -1
        yield source, target
    finally:
        os.close(source)
        if target >= 0:
            os.close(target)


def _readable(fd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(0, seconds) * 1000))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
