"""The sources that need no pip: a file of an installed package, a file on a share, a URL with resume.

Each leaves its bytes in the work folder and returns where; whether they are the right ones is fetch.py's to say.
"""

from __future__ import annotations

import fnmatch
import http.client
import importlib.util
import os
import shutil
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from jointcoder.assets.manifest import FileSource, InstalledSource, UrlSource
from jointcoder.assets.packages import SourceError
from jointcoder.assets.store import CHUNK

Report = Callable[[int], None]

TRIES = 4
TIMEOUT = 60.0  # seconds without a byte
CONNECT = 20.0  # the same for a publisher's archive
ARCHIVE_LIMIT = 400_000_000


def obtain_installed(source: InstalledSource, work: Path, report: Report) -> list[Path]:
    """Copy a file of an installed package; the package's code is not run."""
    try:
        spec = importlib.util.find_spec(source.installed)
    except (ImportError, ValueError):
        spec = None
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in folders:
        if (path := Path(folder) / source.member).is_file():
            return [_copy(path, work, report)]
    raise SourceError("has no " + source.member if folders else "not installed")


def obtain_file(source: FileSource, work: Path, report: Report) -> list[Path]:
    """Copy a file."""
    path = Path(source.file).expanduser()
    if not path.is_file():
        raise SourceError("does not exist")
    return [_copy(path, work, report)]


def _copy(path: Path, work: Path, report: Report) -> Path:
    target, done = work / "copy.partial", 0
    with path.open("rb") as source, target.open("wb") as sink:
        while block := source.read(CHUNK):
            sink.write(block)
            done += len(block)
            report(done)
    return target


def obtain_url(source: UrlSource, work: Path, size: int, report: Report) -> list[Path]:
    """Download with resume: what is there already is not asked for again, and a connection that breaks is taken
    up where it broke, up to ``TRIES`` times. Raises SourceError; the bytes so far are kept for the next run."""
    target = work / "download.partial"
    problem = ""
    for _ in range(TRIES):
        have = target.stat().st_size if target.is_file() else 0
        if have == size:
            return [target]
        if have > size:  # left by something else
            target.unlink()
            have = 0
        try:
            _continue(source.url, target, have, size, report)
        except urllib.error.HTTPError as error:
            if error.code == 416 and have:  # the server's file is shorter than what we hold
                target.unlink()
            elif error.code < 500:
                raise SourceError(f"HTTP {error.code} {error.reason}") from None
            problem = f"HTTP {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            problem = str(getattr(error, "reason", "") or error or type(error).__name__)
            if not isinstance(error, http.client.HTTPException | ConnectionError | TimeoutError):
                break  # no such host, no route: asking again at once does not help
        else:
            problem = "the connection broke"
    have = target.stat().st_size if target.is_file() else 0
    if have == size:
        return [target]
    kept = f" ({have:,} of {size:,} bytes kept for the next run)" if have else ""
    raise SourceError(f"{problem}{kept}")


def _continue(url: str, target: Path, have: int, size: int, report: Report) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "jointcoder"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        # 200 instead of 206: the server does not resume and sends the file from its start.
        resumed = answer.status == 206 and f"bytes {have}-" in (answer.headers.get("Content-Range") or "")
        done = have if resumed else 0
        with target.open("ab" if resumed else "wb") as sink:
            while block := answer.read(CHUNK):
                done += len(block)
                if done > size:
                    sink.truncate(0)
                    raise SourceError(f"sends more than the {size:,} bytes of the file")
                sink.write(block)
                report(done)


def obtain_zipped(source: UrlSource, work: Path, size: int, report: Report) -> list[Path]:
    """Download a zip archive of unknown size and take one member out. One try: publishers' archives are small.

    Raises SourceError also when the archive exceeds ``ARCHIVE_LIMIT`` bytes or the member ``size``.
    """
    archive, target = work / "archive.partial", work / "member.partial"
    request = urllib.request.Request(source.url, headers={"User-Agent": "jointcoder"})
    try:
        with urllib.request.urlopen(request, timeout=CONNECT) as answer, archive.open("wb") as sink:
            while block := answer.read(CHUNK):
                sink.write(block)
                if sink.tell() > ARCHIVE_LIMIT:
                    raise SourceError(f"sends more than {ARCHIVE_LIMIT:,} bytes")
        with zipfile.ZipFile(archive) as box:
            names = [n for n in box.namelist() if fnmatch.fnmatchcase(n.rpartition("/")[2], source.member)]
            if len(names) != 1:
                raise SourceError(f"{len(names) or 'no'} members match {source.member}")
            with box.open(names[0]) as member, target.open("wb") as sink:
                while block := member.read(CHUNK):
                    sink.write(block)
                    report(sink.tell())
                    if sink.tell() > size:
                        raise SourceError("the member is larger than the file should be")
    except urllib.error.HTTPError as error:
        raise SourceError(f"HTTP {error.code} {error.reason}") from None
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise SourceError(str(getattr(error, "reason", "") or error or type(error).__name__)) from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SourceError(f"damaged archive ({type(error).__name__})") from None
    finally:
        archive.unlink(missing_ok=True)
    return [target]


def join(pieces: list[Path], target: Path, update: Callable[[bytes], object]) -> int:
    """Write the pieces one after the other to ``target``, flushed to the disk, every block shown to ``update``
    (a hash). A single piece is moved instead of copied. Returns bytes."""
    if len(pieces) == 1:
        with pieces[0].open("r+b") as stream:
            while block := stream.read(CHUNK):
                update(block)
            os.fsync(stream.fileno())
        pieces[0].replace(target)
        return target.stat().st_size
    with target.open("wb") as sink:
        for piece in pieces:
            with piece.open("rb") as stream:
                while block := stream.read(CHUNK):
                    update(block)
                    sink.write(block)
        sink.flush()
        os.fsync(sink.fileno())
        return sink.tell()


def clear(work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
