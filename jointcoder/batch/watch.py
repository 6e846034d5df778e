"""A folder that fills: files are coded as they come, then put aside.

    for files in settled(Path("in"), wait=stop.wait): …     # files that nobody writes to any more
    put_aside(file, Path("in"), good=True)                  # in/done/, or in/failed/ where nothing in it could be read

A file counts as whole when its size and time did not change from one look to the next and its name is not that of one
which is still being written. Who delivers files does best to write them under such a name (``.part``) and rename them.
Looking is by time and size alone: it works on network drives, where nobody tells of changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from jointcoder.batch.inputs import UNFINISHED
from jointcoder.errors import RunError

DONE, FAILED = "done", "failed"
Stamp = tuple[int, int]


def settled(folder: Path, *, wait: Callable[[], bool]) -> Iterator[tuple[Path, ...]]:
    """The files that are whole, whenever there are any, in the order of their age. ``wait()`` passes the time between
    two looks and says whether to stop. Raises RunError JC710."""
    before: dict[Path, Stamp] = {}
    while True:
        now = _look(folder)
        whole = [path for path, stamp in now.items() if before.get(path) == stamp]
        before = now
        if whole:
            yield tuple(sorted(whole, key=lambda path: (now[path][0], path.name)))
            before = {path: stamp for path, stamp in before.items() if path.exists()}
        if wait():
            return


def put_aside(file: Path, folder: Path, *, good: bool) -> Path:
    """Move a file that was dealt with into ``done`` or ``failed`` below the folder; where it is then. One of the same
    name that lies there stays. Raises RunError JC710."""
    target = folder / (DONE if good else FAILED)
    try:
        target.mkdir(exist_ok=True)
        place, number = target / file.name, 1
        while place.exists():
            number += 1
            place = target / f"{file.stem}-{number}{file.suffix}"
        return file.rename(place)
    except OSError as error:
        raise _unusable(file, error) from None


def _look(folder: Path) -> dict[Path, Stamp]:
    """Time and size of every file that may be whole."""
    found: dict[Path, Stamp] = {}
    try:
        for entry in folder.iterdir():
            if entry.name.startswith((".", "~$")) or entry.suffix.casefold() in UNFINISHED or not entry.is_file():
                continue
            try:
                told = entry.stat()
            except FileNotFoundError:
                continue
            found[entry] = (told.st_mtime_ns, told.st_size)
    except OSError as error:
        raise _unusable(folder, error) from None
    return found


def _unusable(path: Path, error: OSError) -> RunError:
    return RunError("JC710", f"{path}: {error.strerror or type(error).__name__}")
