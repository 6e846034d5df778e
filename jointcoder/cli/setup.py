"""``jointcoder setup``: models and code books fetched, verified, built; a second run finds all there and leaves.

What is where goes to stdout, one ``name: path`` a line; how it gets there goes to stderr. Damaged files are
replaced. Knows no source and no format: jointcoder.assets fetches, jointcoder.codebook.build builds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jointcoder.cli.sources import gather, get, say, tracked
from jointcoder.errors import AssetError, UsageError

if TYPE_CHECKING:
    from jointcoder.assets import Book, Manifest
    from jointcoder.settings import Settings

OWN = "own-files"  # marks a book that was built from files other than the manifest's


def setup(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", help="A model to fetch (repeatable); default: the configured one."),
    ] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="Fetch no model.")] = False,
    book: Annotated[
        list[str] | None,
        typer.Option("--book", metavar="NAME", help="A code book to build (repeatable); default: the current ones."),
    ] = None,
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
    if book and no_books:
        raise UsageError("JC001", "--book and --no-books exclude each other")
    settings = Settings.load()
    if not no_model:
        for name in dict.fromkeys(model or [settings.model]):
            _model(name, settings, offline=offline)
    if not no_books:
        manifest = Manifest.code_books()
        for chosen in [manifest.book(name) for name in book] if book else [b for b in manifest.books if b.default]:
            ensure_book(chosen, manifest, settings, offline=offline)


def _model(name: str, settings: Settings, *, offline: bool) -> None:
    from jointcoder.assets import Manifest, resolve_model

    manifest = Manifest.models()
    if name in manifest:
        entry = manifest[name]
        _place(f"model {name}", get(entry, settings, offline=offline), entry.licence)
    else:
        # A path, or a name nobody knows: both are answered the way every other command answers them.
        _place(f"model {name}", resolve_model(settings, name).path)


def ensure_book(book: Book, manifest: Manifest, settings: Settings, *, offline: bool) -> Path:
    """The folder of a code book that was built from the manifest's sources; built if need be.

    Optional sources that cannot be had are warned about and left out; those that a whole book lacks are looked for on
    this machine only. A book that was built from files of the user's own is left as it is. AssetError JC2xx,
    CodeBookError JC502.
    """
    from jointcoder.assets import locked

    target = settings.books_dir / book.name
    everything = {**book.needed, **book.optional}
    wanted = {role: manifest[source].sha256 for role, source in everything.items()}
    there = _built_from(target)
    if there and (target / OWN).is_file():
        say(f"code book {book.name}: already there, built from files of your own")
    elif there == wanted:
        say(f"code book {book.name}: already there")
    else:
        whole = bool(there) and there == {role: wanted[role] for role in there} and set(book.needed) <= set(there)
        with locked(f"book-{book.name}", settings, say):
            paths = gather(book, manifest, settings, offline=offline or whole).paths
            if _built_from(target) == {role: wanted[role] for role in paths}:
                say(f"code book {book.name}: already there, from {', '.join(paths)}")
            else:
                build_book(book, paths, target)
    _place(f"code book {book.name}", target, book.title)
    return target


def build_book(book: Book, paths: Mapping[str, Path], target: Path) -> None:
    """Build a book of the manifest from gathered files. AssetError JC208 (unknown builder), CodeBookError JC502."""
    from jointcoder.cli.vectors import keep
    from jointcoder.codebook.build import build_us
    from jointcoder.codebook.lookup.dense import has_vectors

    if book.builder != "us":
        raise AssetError("JC208", f"code book {book.name}: no builder '{book.builder}'", hint="known: us")
    say(f"code book {book.name}: building, about a minute …")
    had = has_vectors(target)
    with tracked(f"code book {book.name}") as report:
        info = build_us(paths, target, book_id=book.name, progress=report)
    counts = ", ".join(f"{system} {n['billable']:,} codes" for system, n in info.counts.items())
    say(f"code book {book.name}: {counts}; names in {', '.join(info.languages)}")
    keep(target, had=had)


def _built_from(folder: Path) -> dict[str, str]:
    """Builder's source name → sha256 of a book that opens; {} for one that is absent, damaged or outdated."""
    from jointcoder.codebook.book import CodeBook
    from jointcoder.codebook.build.writer import own_tables

    try:
        info = CodeBook.open(folder).info
    except AssetError:
        return {}
    return {source.name: source.sha256 for source in info.sources} if info.tables == own_tables() else {}


def _place(what: str, path: Path, remark: str = "") -> None:
    sys.stdout.write(f"{what}: {path}{f'  ({remark})' if remark else ''}\n")
