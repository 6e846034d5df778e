"""What the tests of the sandbox share: this machine's jail, the same with a wall taken out, and a host to attack."""

from __future__ import annotations

import os
import platform
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from jointcoder.search.sandbox import Limits, Result, seccomp
from jointcoder.search.sandbox.jail import Jail, find
from jointcoder.search.sandbox.run import attempt


def unable() -> str:
    """Why this machine isolates nothing, found out without the program's own help; "" where it does. So a fault of the
    program makes the tests fail, and only a fault of the machine makes them skip."""
    options = ("--unshare-user", "--unshare-pid", "--unshare-net", "--disable-userns", "--ro-bind", "/", "/")
    try:
        done = subprocess.run(["bwrap", *options, "true"], capture_output=True, text=True, check=False)
    except OSError:
        return "bubblewrap is not installed (Debian, Ubuntu: apt install bubblewrap)"
    return done.stderr.strip() if done.returncode else ""


isolated = pytest.mark.skipif(bool(unable()), reason=f"nothing can be isolated here: {unable()}")

ALLOW_ALL = struct.pack("<HBBI", 0x06, 0, 0, seccomp.ALLOW)
SECRET = "the-gold-label"
# Every attack reports what it reached, or what stopped it.
ATTACK = """
def run(i, t):
    try:
        return ["reached", attack(i, t)]
    except (OSError, ValueError) as error:
        return ["stopped", type(error).__name__]
"""


@dataclass(frozen=True)
class Breached(Jail):
    """A jail with options of bubblewrap left out (with so many values each) and others put in; ``mark`` stands on the
    command line of the process."""

    without: tuple[tuple[str, ...], ...] = ()
    extra: tuple[str, ...] = ()
    mark: str = ""

    def command(self, limits: Limits, *, filter_fd: int, status_fd: int) -> list[str]:
        parts = super().command(limits, filter_fd=filter_fd, status_fd=status_fd)
        for gone in self.without:
            places = [n for n in range(len(parts)) if tuple(parts[n : n + len(gone)]) == gone]
            assert places, f"{gone} is not on the command line"
            for place in reversed(places):
                del parts[place : place + len(gone)]
        at = parts.index("--chdir")
        if parts[at - 2 : at] == ["--remount-ro", "/"]:
            at -= 2  # what is put in needs a root that can still be changed
        return [*parts[:at], *self.extra, *parts[at:], *([self.mark] if self.mark else [])]


def whole() -> Jail:
    """The jail that generated Python runs in."""
    jail, there = find()
    assert jail is not None, there.why
    return jail


def breached(*without: tuple[str, ...], extra: Sequence[str] = (), filtered: bool = True, mark: str = "") -> Breached:
    """The same with some of it taken away."""
    parts = {field.name: getattr(whole(), field.name) for field in fields(Jail)}
    if not filtered:
        parts["filter"] = ALLOW_ALL
    return Breached(**parts, without=without, extra=tuple(extra), mark=mark)


def assail(source: str, *, jail: Jail | None = None, inputs: Any = None, limits: Limits | None = None) -> Result:
    """Run ``attack(i, t)`` of the source."""
    return attempt(jail or whole(), source + ATTACK, inputs=inputs, tools={}, limits=limits or Limits())


@dataclass(frozen=True)
class Host:
    """What an attack would like to reach: a secret in a file, behind sockets, in the environment; another process."""

    folder: Path
    port: int
    abstract: str
    victim: subprocess.Popen[bytes]

    @property
    def inputs(self) -> dict[str, Any]:
        """Where all that is; an attacker is taken to know."""
        return {
            "file": str(self.folder / "secret"),
            "folder": str(self.folder),
            "project": str(Path(__file__).parents[2]),
            "home": str(Path.home()),
            "port": self.port,
            "abstract": self.abstract,
            "socket": str(self.folder / "socket"),
            "victim": self.victim.pid,
            "parent": os.getpid(),
            "machine": platform.machine(),
        }

    @property
    def unharmed(self) -> bool:
        """Whether the secret is as it was, nothing lies beside it, and the other process goes on."""
        names = sorted(path.name for path in self.folder.iterdir())
        same = (self.folder / "secret").read_text("utf-8") == SECRET
        return same and names == ["secret", "socket"] and self.victim.poll() is None


@contextmanager
def standing(folder: Path) -> Iterator[Host]:
    """A host with everything in place; its sockets answer."""
    (folder / "secret").write_text(SECRET, "utf-8")
    abstract = f"\0jointcoder-test-{uuid.uuid4().hex}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as hidden:
        hidden.bind(abstract)
        hidden.listen()
        with socket.socket(socket.AF_UNIX) as named:
            # The path of a socket is short; that of a test's folder may not be.
            here = Path.cwd()
            os.chdir(folder)
            try:
                named.bind("socket")
            finally:
                os.chdir(here)
            named.listen()
            victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            try:
                yield Host(folder, tcp.getsockname()[1], abstract, victim)
            finally:
                victim.kill()
                victim.wait()


def marked(mark: str) -> list[int]:
    """Processes of this machine that bear a mark on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in line:
                found.append(int(entry.name))
    return found
