"""The name of a worker, and whether the process it names is still there.

    host:process id:start of the process:thread

A queue that was left behind by a process of this machine can be taken up at once; of other machines' workers only their
lease tells. The start tells a process from a later one that was given the same number, as happens in containers.
"""

from __future__ import annotations

import os
import platform
import secrets
from pathlib import Path

_START = 21  # field of /proc/PID/stat, counted from 0, that says when the process began


def worker_name() -> str:
    """A name for one worker of this process; no two are the same."""
    return f"{platform.node()}:{os.getpid()}:{_start(os.getpid())}:{secrets.token_hex(4)}"


def is_gone(worker: str) -> bool:
    """Whether the worker's process certainly ended. False for workers of other machines: nobody can tell."""
    host, number, start, _ = _parts(worker)
    if host != platform.node() or not number:
        return False
    if start:
        return _start(number) != start
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _parts(worker: str) -> tuple[str, int, int, str]:
    """Host names hold no colon; what is no name of ours belongs to nobody."""
    parts = worker.split(":")
    if len(parts) != 4 or not (parts[1].isdecimal() and parts[2].isdecimal()):
        return "", 0, 0, ""
    return parts[0], int(parts[1]), int(parts[2]), parts[3]


def _start(number: int) -> int:
    """When a process began, in ticks since the machine did; 0 where the system does not say or there is none."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text("utf-8", "replace")
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()  # the name in parentheses may hold blanks
    return int(fields[_START - 2]) if fields and fields[0] != "Z" else 0
