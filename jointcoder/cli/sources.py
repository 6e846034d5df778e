"""The official files that a code book is built from: in a folder of the user's, or fetched as the manifest says.

A file of the folder that is byte for byte the manifest's is put beside the fetched ones, so that ``jointcoder setup``
finds it later. Any other file that fits a role by its name is the user's own choice and goes before the manifest's;
only a bare list of dates does not replace the code editor's tables, which hold the edits too. Knows no file formats.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jointcoder.cli import common
from jointcoder.errors import AssetError, UsageError

if TYPE_CHECKING:
    from jointcoder.assets import Asset, Book, Manifest
    from jointcoder.settings import Settings

Report = Callable[[int, int], None]
BARE_CALENDAR = ("calendar", ".tsv")
WHOLE, SPLIT = "chinese", ("chinese_cm", "chinese_pcs")  # the same names in one workbook or in two tables


@dataclass
class Gathered:
    """Role → file. ``own``: roles filled with files that are not the manifest's."""

    paths: dict[str, Path] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)


def gather(
    book: Book, manifest: Manifest, settings: Settings, *, directory: Path | None = None, offline: bool = False
) -> Gathered:
    """A file for every needed role of ``book`` and for the optional ones that can be had.

    What is missing is said in one warning. AssetError JC2xx when a needed one cannot be had, UsageError JC001 when
    ``directory`` holds nothing of use.
    """
    entries = {role: manifest[source] for role, source in {**book.needed, **book.optional}.items()}
    found = _own_files(book, directory) if directory else {}
    adopted = adopt(entries.values(), directory, settings) if directory else set()
    if directory and not adopted and not found:
        hint = "its files are known by the publishers' names, such as icd10cm-tabular-2026.xml"
        raise UsageError("JC001", f"{directory} holds none of the official files of {book.name}", hint=hint)
    gathered, missing = Gathered(), {}
    for role, entry in entries.items():
        bare = role == BARE_CALENDAR[0] and role in found and found[role].suffix == BARE_CALENDAR[1]
        if role in found and not bare and found[role] not in adopted:
            gathered.paths[role] = found[role]
            gathered.own.add(role)
            continue
        try:
            gathered.paths[role] = _readable(entry, settings, offline=offline)
        except AssetError as error:
            if role in found:
                gathered.paths[role] = found[role]
                gathered.own.add(role)
            elif role in book.needed or error.code == "JC205":
                raise
            else:
                missing[role] = (entry, error)
    for role in set(found) - set(entries):
        if role in SPLIT and WHOLE in gathered.paths:
            continue
        gathered.paths[role] = found[role]
        gathered.own.add(role)
    _warn(book, missing)
    return gathered


def adopt(entries: Iterable[Asset], directory: Path, settings: Settings) -> set[Path]:
    """Copy the files of ``directory`` that are the manifest's (by size and sha256) to where fetched ones lie; which
    files they are."""
    from jointcoder.assets import is_verified

    wanted = {entry.size: entry for entry in entries}
    found: set[Path] = set()
    places = (*directory.glob("*"), *directory.glob("*/*"))
    for path in sorted(p for p in places if p.is_file()):
        entry = wanted.get(path.stat().st_size)
        if entry is None:
            continue
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
                continue
        found.add(path)
        if not is_verified(entry, settings):
            _copy(path, entry.path(settings))
    return found


def _copy(path: Path, target: Path) -> None:
    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, partial)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise AssetError("JC205", f"cannot write {target} ({error.strerror})") from None


def get(entry: Asset, settings: Settings, *, offline: bool) -> Path:
    """The verified file of a manifest's entry, fetched if need be, with progress. AssetError JC2xx."""
    from jointcoder.assets import fetch, is_verified

    if is_verified(entry, settings):
        say(f"{entry.name}: already there, verified")
        return entry.path(settings)
    say(f"{entry.name}: {entry.size / 1e6:,.0f} MB …")
    with tracked(entry.name, unit="bytes") as report:
        path = fetch(entry, settings, progress=report, notice=say, offline=offline)
    say(f"{entry.name}: sha256 verified")
    return path


def _readable(entry: Asset, settings: Settings, *, offline: bool) -> Path:
    from jointcoder.assets import BookSource

    reader = entry.reader if isinstance(entry, BookSource) else ""
    if reader and importlib.util.find_spec(reader) is None:
        raise AssetError("JC002", f"reading it needs {reader}", hint="pip install 'jointcoder[books]'")
    return get(entry, settings, offline=offline)


def _own_files(book: Book, directory: Path) -> dict[str, Path]:
    from jointcoder.codebook.build import find_sources

    return find_sources(directory, book.name)


def _warn(book: Book, missing: Mapping[str, tuple[Asset, AssetError]]) -> None:
    """One warning for each cause."""
    for code in sorted({error.code for _, error in missing.values()}):
        causes = [(entry, error) for entry, error in missing.values() if error.code == code]
        lacking = ", ".join(entry.purpose or entry.name for entry, _ in causes)
        if code == "JC204":
            way = f"put them by hand: `jointcoder codebook build {book.name} --from DIR`"
            why = f"what {'they are' if len(causes) > 1 else 'it is'} read from could not be fetched; {way}"
        else:
            why = "; ".join(dict.fromkeys(f"{error.message} ({error.hint})" for _, error in causes))
        common.warn(code, f"code book {book.name} is built without {lacking}: {why}")


@contextmanager
def tracked(label: str, *, unit: str = "") -> Iterator[Report]:
    """Yields ``report(done, total)``: a bar on a terminal, a plain line at every quarter in a pipe.

    The bar appears with the first report, so that lines said before it stay whole.
    """
    with ExitStack() as stack:
        advance: Callable[[float], None] | None = None
        done_before, quarters = 0, 0
        terminal = sys.stderr.isatty()

        def report(done: int, total: int) -> None:
            nonlocal advance, done_before, quarters
            if terminal:
                if advance is None:
                    advance = stack.enter_context(common.progress(label, total, unit=unit))
                advance(done - done_before)
                done_before = done
            elif total and 4 * done // total > quarters:
                quarters = 4 * done // total
                say(f"{label}: {25 * quarters} %")

        yield report


def say(line: str) -> None:
    """A line on stderr, paths and brackets as they are."""
    from rich.markup import escape

    common.say(escape(line))
