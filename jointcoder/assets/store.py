"""What is here: where files lie, which are verified, who is at work on one, how much room is left.

Hashing a gigabyte takes seconds, so a verified file is remembered by a stamp: its path, size, modification time
and sha256. A stamp holds as long as size and time do; ``verify`` always hashes. Stamps are a memory, not a proof
against somebody who can write to the cache.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jointcoder.assets.manifest import Asset
from jointcoder.errors import AssetError
from jointcoder.settings import Settings

Progress = Callable[[int, int], None]  # bytes done, bytes in all
Notice = Callable[[str], None]  # a line for the person who waits

CHUNK = 1 << 20
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class VerifyResult:
    """What hashing found. ``found`` is "" for a missing file."""

    name: str
    path: Path
    state: Literal["verified", "mismatch", "missing"]
    expected: str
    found: str = ""
    setup_command: str = "jointcoder setup"

    @property
    def ok(self) -> bool:
        return self.state == "verified"

    def require(self) -> Path:
        """The path, or AssetError JC201 (missing) or JC202 (another hash, both named)."""
        if self.state == "missing":
            raise missing(self.name, self.path, self.setup_command)
        if self.state == "mismatch":
            raise mismatch(self.name, self.path, self.expected, self.found, self.setup_command)
        return self.path


def missing(name: str, path: Path, setup_command: str) -> AssetError:
    return AssetError(
        "JC201",
        f"{name} is not here: {path} does not exist",
        hint=f"get it with: {setup_command}  (or put the file there by hand; it is verified before use)",
    )


def mismatch(name: str, path: Path, expected: str, found: str, setup_command: str) -> AssetError:
    return AssetError(
        "JC202",
        f"{name}: {path} has sha256 {found}, the manifest says {expected}",
        hint=f"the file is damaged or another version; replace it with: {setup_command}",
    )


def locate(entry: Asset, settings: Settings) -> Path | None:
    """The entry's file if one of the right size is there; nothing is hashed."""
    path = entry.path(settings)
    try:
        return path if path.is_file() and path.stat().st_size == entry.size else None
    except OSError:
        return None


def is_verified(entry: Asset, settings: Settings) -> bool:
    """Whether the entry's file is there and was verified since it last changed; instant."""
    path = entry.path(settings)
    return path.is_file() and _stamped(path, settings) == entry.sha256


def verify(entry: Asset, settings: Settings, *, progress: Progress | None = None) -> VerifyResult:
    """Hash the entry's file again, whatever is remembered of it."""
    path = entry.path(settings)
    if not path.is_file():
        return VerifyResult(entry.name, path, "missing", entry.sha256, setup_command=entry.setup_command)
    found = file_hash(path, settings, again=True, progress=progress)
    state: Literal["verified", "mismatch"] = "verified" if found == entry.sha256 else "mismatch"
    return VerifyResult(entry.name, path, state, entry.sha256, found, setup_command=entry.setup_command)


def file_hash(path: Path, settings: Settings, *, again: bool = False, progress: Progress | None = None) -> str:
    """sha256 of a file, hex; remembered by size and modification time unless ``again``. OSError if unreadable."""
    if not again and (known := _stamped(path, settings)):
        return known
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as stream:
        while block := stream.read(CHUNK):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
    remember(path, digest.hexdigest(), settings)
    return digest.hexdigest()


def remember(path: Path, sha256: str, settings: Settings) -> None:
    """Note the hash of a file as it is now. A cache that cannot be written only costs the next run time."""
    stat = path.stat()
    stamp = {"path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": sha256}
    target = _stamp_path(path, settings)
    scratch = target.with_suffix(f".{os.getpid()}.tmp")
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(stamp), "utf-8")
        scratch.replace(target)


def _stamped(path: Path, settings: Settings) -> str:
    try:
        stamp, stat = json.loads(_stamp_path(path, settings).read_text("utf-8")), path.stat()
        if (stamp["size"], stamp["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns):
            return str(stamp["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return ""


def _stamp_path(path: Path, settings: Settings) -> Path:
    key = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:20]
    return settings.cache.expanduser() / "stamps" / f"{key}.json"


def set_aside(path: Path) -> Path:
    """Rename a file that must not be used to ``NAME.bad`` (replacing an older one)."""
    return path.replace(path.with_name(path.name + ".bad"))


def free_bytes(folder: Path) -> int:
    """Room left for this user where ``folder`` is or will be."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return shutil.disk_usage(existing).free


def bytes_under(folder: Path) -> int:
    """Bytes of all files under ``folder``; files and folders may come and go meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += (Path(place) / name).stat().st_size
    return total


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a full or read-only disk into AssetError JC205."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise disk_full(folder) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise AssetError(
                "JC205",
                f"cannot write to {error.filename or folder} ({os.strerror(error.errno)})",
                hint="name a folder of your own with JOINTCODER_CACHE=/path, then run jointcoder setup again",
            ) from error
        raise


def disk_full(folder: Path) -> AssetError:
    return AssetError(
        "JC205",
        f"the disk that holds {folder} is full, or a limit on file sizes was reached",
        hint="free some room or name another disk with JOINTCODER_CACHE=/path, then run jointcoder setup again; "
        "what was fetched so far is kept",
    )


@contextmanager
def locked(name: str, settings: Settings, notice: Notice | None = None) -> Iterator[None]:
    """Hold the lock of one asset, so that two set-ups do not write the same files; the second one waits."""
    folder = settings.cache.expanduser() / "locks"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / f"{name}.lock").open("a+b")
    with handle:
        _acquire(handle.fileno(), name, notice)
        yield  # closing the file gives the lock back, also when the process dies


def _acquire(descriptor: int, name: str, notice: Notice | None) -> None:
    told = False
    while True:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                return  # a file system without locks: better unlocked than not at all
        if notice is not None and not told:
            notice(f"another jointcoder is fetching {name}; waiting for it")
            told = True
        time.sleep(0.2)
