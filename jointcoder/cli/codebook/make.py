"""``jointcoder codebook build``: a code book from official files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from jointcoder.cli import common
from jointcoder.cli.codebook.shared import app
from jointcoder.cli.setup import OWN, build_book
from jointcoder.cli.sources import gather
from jointcoder.cli.vectors import add, keep
from jointcoder.errors import UsageError, name_list


@app.command()
def build(
    name: Annotated[str, typer.Argument(help="Id of the book, such as us-2026, us-2024 or cn-guolin2.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="Folder that holds official files; the rest is fetched.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch nothing.")] = False,
    vectors: Annotated[
        bool, typer.Option("--vectors", help="Add what searching by meaning needs; a book that is there is kept.")
    ] = False,
) -> None:
    """Build a code book, anew if it is there; the old book stays when it fails.

    With --vectors the names are embedded too: some minutes, once; a second run goes on where one was interrupted.
    """
    from jointcoder.assets import Manifest
    from jointcoder.codebook.build import build_from_directory
    from jointcoder.codebook.lookup.dense import has_vectors
    from jointcoder.settings import Settings

    if source is not None and not source.is_dir():
        raise UsageError("JC001", f"--from: {source} is not a folder")
    manifest, settings = Manifest.code_books(), Settings.load()
    target = settings.books_dir / name
    if vectors and source is None and (target / "meta.json").is_file():
        add(target)
        return
    had = has_vectors(target)
    listed = next((book for book in manifest.books if book.name == name), None)
    if listed is not None:
        gathered = gather(listed, manifest, settings, directory=source, offline=offline)
        build_book(listed, gathered.paths, target)
        if gathered.own:
            (target / OWN).write_text("\n".join(sorted(gathered.own)) + "\n", "utf-8")
    elif source is None:
        listed_names = name_list(book.name for book in manifest.books)
        hint = f"name the folder of its official files with --from DIR; fetched without: {listed_names}"
        raise UsageError("JC001", f"the sources of the code book {name} are not listed", hint=hint)
    else:
        with _reporting(f"code book {name}") as report:
            built = build_from_directory(name, source, target, progress=report)
        (target / OWN).touch()
        counts = ", ".join(f"{system} {n['billable']:,} codes" for system, n in built.counts.items())
        common.say(f"code book {name}: {counts}")
        keep(target, had=had and not vectors)
    if vectors and not (had and listed is not None):  # a listed book keeps its own
        add(target)


@contextmanager
def _reporting(label: str) -> Iterator[Any]:
    """``report(done, total)`` drawn as a bar."""
    with common.progress(label, 1.0, unit="share") as advance:
        last = 0.0

        def report(done: int, total: int) -> None:
            nonlocal last
            share = done / total if total else 1.0
            advance(share - last)
            last = share

        yield report
