"""``jointcoder setup``: models and code books fetched, verified, built; a second run finds all there and leaves.

What is where goes to stdout, one ``name: path`` a line; how it gets there goes to stderr. Damaged files are
replaced. Knows no source and no format: jointcoder.assets fetches, jointcoder.codebook.build builds.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jointcoder.cli import common
from jointcoder.errors import AssetError, UsageError

if TYPE_CHECKING:
    from jointcoder.assets import Asset, Book, Manifest
    from jointcoder.settings import Settings

Report = Callable[[int, int], None]


def setup(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", help="A model to fetch (repeatable); default: the configured one."),
    ] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="Fetch no model.")] = False,
    no_books: Annotated[bool, typer.Option("--no-books", help="Build no code book.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use only what is on this machine; ask no network.")
    ] = False,
) -> None:
    """Fetch the default model and build the code books; verify all. Safe to repeat, resumes where it stopped."""
    from jointcoder.assets import Manifest
    from jointcoder.settings import Settings

    if model and no_model:
        raise UsageError("JC001", "--model and --no-model exclude each other")
    settings = Settings.load()
    if not no_model:
        for name in dict.fromkeys(model or [settings.model]):
            _model(name, settings, offline=offline)
    if not no_books:
        manifest = Manifest.code_books()
        for book in manifest.books:
            ensure_book(book, manifest, settings, offline=offline)


def _model(name: str, settings: Settings, *, offline: bool) -> None:
    from jointcoder.assets import Manifest, resolve_model

    manifest = Manifest.models()
    if name in manifest:
        entry = manifest[name]
        _place(f"model {name}", _get(entry, settings, offline=offline), entry.licence)
    else:
        # A path, or a name nobody knows: both are answered the way every other command answers them.
        _place(f"model {name}", resolve_model(settings, name).path)


def _get(entry: Asset, settings: Settings, *, offline: bool) -> Path:
    from jointcoder.assets import fetch, is_verified

    if is_verified(entry, settings):
        say(f"{entry.name}: already there, verified")
        return entry.path(settings)
    say(f"{entry.name}: {entry.size / 1e6:,.0f} MB …")
    with tracked(entry.name, unit="bytes") as report:
        path = fetch(entry, settings, progress=report, notice=say, offline=offline)
    say(f"{entry.name}: sha256 verified")
    return path


def ensure_book(book: Book, manifest: Manifest, settings: Settings, *, offline: bool) -> Path:
    """The folder of a code book that was built from the manifest's sources; built if need be.

    Optional sources that cannot be had are warned about and left out. AssetError JC2xx, CodeBookError JC502.
    """
    from jointcoder.assets import locked

    target = settings.books_dir / book.name
    everything = {**book.needed, **book.optional}
    wanted = {role: manifest[source].sha256 for role, source in everything.items()}
    if _built_from(target) == wanted:
        say(f"code book {book.name}: already there")
    else:
        with locked(f"book-{book.name}", settings, say):
            paths = _sources(book, manifest, settings, offline=offline)
            if _built_from(target) == {role: wanted[role] for role in paths}:
                say(f"code book {book.name}: already there, from {', '.join(paths)}")
            else:
                _build(book, paths, target)
    _place(f"code book {book.name}", target, book.title)
    return target


def _sources(book: Book, manifest: Manifest, settings: Settings, *, offline: bool) -> dict[str, Path]:
    """Builder's name → verified file: every needed source, and the optional ones that can be had and read."""
    from jointcoder.assets import BookSource

    paths = {role: _get(manifest[source], settings, offline=offline) for role, source in book.needed.items()}
    for role, source in book.optional.items():
        entry = manifest[source]
        reader = entry.reader if isinstance(entry, BookSource) else ""
        without = f"code book {book.name} is built without {entry.purpose}"
        if reader and importlib.util.find_spec(reader) is None:
            common.warn("JC002", f"{without}: it needs {reader} (pip install 'jointcoder[books]')")
            continue
        try:
            paths[role] = _get(entry, settings, offline=offline)
        except AssetError as error:
            if error.code == "JC205":
                raise
            common.warn(error.code, f"{without}: {error.message}")
    return paths


def _build(book: Book, paths: dict[str, Path], target: Path) -> None:
    from jointcoder.codebook.build import build_us

    if book.builder != "us":
        raise AssetError("JC208", f"code book {book.name}: no builder '{book.builder}'", hint="known: us")
    say(f"code book {book.name}: building, about a minute …")
    with tracked(f"code book {book.name}") as report:
        info = build_us(paths, target, book_id=book.name, progress=report)
    counts = ", ".join(f"{system} {n['billable']:,} codes" for system, n in info.counts.items())
    say(f"code book {book.name}: {counts}; names in {', '.join(info.languages)}")


def _built_from(folder: Path) -> dict[str, str]:
    """Builder's source name → sha256 of a book that opens; {} for one that is absent, damaged or outdated."""
    from jointcoder.codebook.book import CodeBook
    from jointcoder.codebook.build.writer import own_tables

    try:
        info = CodeBook.open(folder).info
    except AssetError:
        return {}
    return {source.name: source.sha256 for source in info.sources} if info.tables == own_tables() else {}


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


def _place(what: str, path: Path, remark: str = "") -> None:
    sys.stdout.write(f"{what}: {path}{f'  ({remark})' if remark else ''}\n")
