"""The empty machine: what the interpreter needs, and the command line of bubblewrap that gives it that and no more.

What is needed is asked of the interpreter itself: a fresh one, outside, loads the modules that generated Python may
use, then names its standard library and the shared libraries that the dynamic linker loaded for it, under the names by
which it found them. So a Python of a distribution, of pyenv, of conda or of uv is found the same way. Installed
packages are not part of it.

:func:`find` tries the whole thing with a small program before it says that generated Python can be isolated here.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jointcoder.search.sandbox import seccomp
from jointcoder.search.sandbox.result import MB, Availability, Limits

OLDEST = (0, 8, 0)  # the first bubblewrap with both --size and --disable-userns
PATIENCE_S = 30.0
NOBODY = "65534"
CHILD, SCRATCH = "/child.py", "/tmp"  # inside
INSTALLED = ("site-packages", "dist-packages")
INSTALL = "install bubblewrap 0.8 or newer (Debian, Ubuntu: apt install bubblewrap)"

# Runs outside, before any generated source is seen. Modules with C libraries of their own decide what is bound.
PROBE = """
import ctypes, json, os, sys
for name in ("array", "bisect", "datetime", "decimal", "hashlib", "heapq", "json", "math", "random", "re", "resource",
             "statistics", "struct", "unicodedata", "zlib"):
    try:
        __import__(name)
    except ImportError:
        pass
class Info(ctypes.Structure):
    _fields_ = [("address", ctypes.c_size_t), ("name", ctypes.c_char_p)]
found = []
kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Info), ctypes.c_size_t, ctypes.c_void_p)
ctypes.CDLL(None).dl_iterate_phdr(kind(lambda info, size, data: found.append(info.contents.name) or 0), None)
print(json.dumps({
    "executable": os.path.realpath("/proc/self/exe"),
    "libraries": [os.fsdecode(name) for name in found],
    "folders": sorted({os.path.dirname(sys.modules[name].__file__) for name in ("os", "_ctypes", "resource")
                       if getattr(sys.modules[name], "__file__", None)}),
    "version": sys.version.split()[0],
}))
"""

# Runs inside: says who and where it is, and whether a harmless system call that is not on the list is done.
TRIAL = """
import os
def run(inputs, tools):
    try:
        os.sched_getscheduler(0)
        filtered = False
    except OSError:
        filtered = True
    return [os.getpid(), os.getuid(), os.path.exists("/proc"), os.path.exists("/etc"), not filtered]
"""


@dataclass(frozen=True)
class Jail:
    """Where everything is: bubblewrap, the interpreter, its folders (standard library) and shared libraries (absolute
    paths), the filter of system calls, and how to call all that in a sentence."""

    bubblewrap: str
    executable: str
    folders: tuple[str, ...]
    libraries: tuple[str, ...]
    filter: bytes = field(repr=False)
    how: str

    def command(self, limits: Limits, *, filter_fd: int, status_fd: int) -> list[str]:
        """The command line. ``filter_fd`` is where bubblewrap reads the filter, ``status_fd`` where it writes the
        number of the process and how it ended; both are closed before the interpreter starts."""
        given = [part for path in (self.executable, *self.folders) for part in ("--ro-bind", path, path)]
        for folder in self.folders:
            for hidden in (f"{folder}/{name}" for name in INSTALLED):
                if os.path.isdir(hidden):  # noqa: PTH112
                    given += ["--perms", "0555", "--size", "4096", "--tmpfs", hidden, "--remount-ro", hidden]
        given += [part for path in self._loose() for part in ("--ro-bind", path, path)]
        given += ["--ro-bind", str(Path(__file__).with_name("inside.py")), CHILD]
        scratch = ["--perms", "0700", "--size", str(int(limits.scratch_mb * MB)), "--tmpfs", SCRATCH]
        return [
            self.bubblewrap,
            *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"),
            *("--disable-userns", "--uid", NOBODY, "--gid", NOBODY, "--hostname", "sandbox"),
            *("--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL"),
            *("--clearenv", "--setenv", "PYTHONHASHSEED", "0"),  # the order of sets is the same in every run
            *given,
            *(scratch if limits.scratch_mb else []),
            *("--remount-ro", "/", "--chdir", SCRATCH if limits.scratch_mb else "/"),
            *("--seccomp", str(filter_fd), "--json-status-fd", str(status_fd), "--"),
            *(self.executable, "-s", "-S", "-P", "-B", "-X", "utf8", CHILD),
        ]

    def _loose(self) -> list[str]:
        """Shared libraries outside the folders that are bound anyway."""
        return [path for path in self.libraries if not any(path.startswith(f"{folder}/") for folder in self.folders)]


@cache
def find() -> tuple[Jail | None, Availability]:
    """The jail of this machine, tried once a process; None, and why, where generated Python cannot be isolated."""
    try:
        jail = _built()
    except UnavailableError as error:
        return None, Availability(ok=False, why=str(error))
    if why := _trial(jail):
        return None, Availability(ok=False, why=why)
    return jail, Availability(ok=True, how=jail.how)


def available() -> Availability:
    """Whether generated Python can be isolated here, and why not. The first call takes a moment, later ones none."""
    return find()[1]


class UnavailableError(Exception):
    """Something that isolation needs is missing; the text says what."""


def _built() -> Jail:
    if not sys.platform.startswith("linux"):
        raise UnavailableError(f"isolation needs namespaces of Linux; this is {platform.system()}")
    machine = platform.machine()
    if machine not in seccomp.ARCHITECTURES:
        known = ", ".join(seccomp.ARCHITECTURES)
        raise UnavailableError(f"there is no filter of system calls for {machine}, only for {known}")
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is None:
        raise UnavailableError(f"bubblewrap (bwrap) is not installed; {INSTALL}")
    version = _version(bubblewrap)
    if version < OLDEST:
        raise UnavailableError(f"bubblewrap {'.'.join(map(str, version))} is too old; {INSTALL}")
    told = _probed()
    return Jail(
        bubblewrap=bubblewrap,
        executable=told["executable"],
        folders=_outermost(told["folders"]),
        libraries=tuple(path for path in dict.fromkeys(told["libraries"]) if path.startswith("/")),
        filter=seccomp.program(machine),
        how=f"bubblewrap {'.'.join(map(str, version))}, {len(seccomp.rules())} rules for system calls, "
        f"Python {told['version']}",
    )


def _version(bubblewrap: str) -> tuple[int, ...]:
    try:
        done = subprocess.run([bubblewrap, "--version"], capture_output=True, timeout=PATIENCE_S, env={}, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"bubblewrap (bwrap) does not start: {type(error).__name__}") from None
    found = re.search(rb"(\d+)\.(\d+)(?:\.(\d+))?", done.stdout)
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)


def _outermost(folders: Sequence[str]) -> tuple[str, ...]:
    """The folders without those that lie in another."""
    return tuple(one for one in folders if not any(one.startswith(f"{other}/") for other in folders))


def _probed() -> dict[str, Any]:
    """What a fresh interpreter says of itself."""
    interpreter = getattr(sys, "_base_executable", None) or sys.executable  # of a virtual environment the one behind it
    try:
        done = subprocess.run(
            [interpreter, "-I", "-S", "-c", PROBE], capture_output=True, timeout=PATIENCE_S, check=True
        )
        told: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise UnavailableError(f"the interpreter does not tell what it needs: {type(error).__name__}") from None
    return told


def _trial(jail: Jail) -> str:
    """Why a first program does not run, or is not alone; "" if all is well."""
    from jointcoder.search.sandbox.process import NotStartedError
    from jointcoder.search.sandbox.run import attempt

    try:
        result = attempt(jail, TRIAL, inputs=None, tools={}, limits=Limits(wall_s=PATIENCE_S))
    except NotStartedError as error:
        return f"the sandbox does not start: {error}"
    if result.fault:
        return f"the sandbox does not work: {result.fault}"
    return "" if result.value == [1, int(NOBODY), False, False, False] else "the sandbox does not isolate"
