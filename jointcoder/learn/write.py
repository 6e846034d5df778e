"""A trained pack onto disk: parts first, the description last, the folder moved into place as a whole.

Whoever is killed in between leaves the former pack as it was.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jointcoder.errors import AssetError, UsageError
from jointcoder.packs.pack import FILE, PackInfo, sha256_of


@dataclass(frozen=True)
class PartReport:
    """What training a part says of itself: measures (held out), counts for the curious, thresholds by name."""

    metrics: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)


@contextmanager
def draft(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """A fresh folder beside ``folder`` to write the parts into; it takes its place when the block ends well.

    Raises UsageError JC001 where something lies there that is no pack, or a pack and ``replace`` is off; AssetError
    JC205 where the disk refuses.
    """
    if folder.exists() and not (folder / FILE).is_file() and any(folder.iterdir()):
        raise UsageError("JC001", f"{folder} exists and is no pack", hint="name another folder")
    if (folder / FILE).is_file() and not replace:
        raise UsageError("JC001", f"{folder} holds a pack already", hint="--replace puts the new one in its place")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise AssetError("JC205", f"{folder}: {error.strerror or type(error).__name__}") from None
    try:
        yield made
        _swap(made, folder)
    except OSError as error:
        raise AssetError("JC205", f"{folder}: {error.strerror or type(error).__name__}") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def ready(path: Path) -> None:
    """See that a file can be written there, its folder made if need be, before minutes of training end in nothing.

    Raises AssetError JC205.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise AssetError("JC205", f"{path}: {error.strerror or type(error).__name__}") from None


def describe(folder: Path, info: PackInfo) -> PackInfo:
    """Write ``pack.json`` with the hash of every file in ``folder``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILE)
    hashed = info.model_copy(update={"files": {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}})
    (folder / FILE).write_text(hashed.model_dump_json(indent=1) + "\n", "utf-8")
    return hashed


def _swap(made: Path, folder: Path) -> None:
    made.chmod(0o755)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    made.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
