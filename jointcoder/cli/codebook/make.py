"""``jointcoder codebook build``: a code book from official files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from jointcoder.cli import common
from jointcoder.cli.codebook.shared import app
from jointcoder.errors import UsageError


@app.command()
def build(
    name: Annotated[str, typer.Argument(help="Id of the book, such as cn-guolin2 or us-2026.")],
    source: Annotated[Path, typer.Option("--from", help="Folder that holds the official files.")],
) -> None:
    """Build a code book from official files at hand; the old book stays when it fails."""
    from jointcoder.codebook.build import build_from_directory
    from jointcoder.settings import Settings

    if not source.is_dir():
        raise UsageError("JC001", f"--from: {source} is not a folder")
    with _reporting(f"code book {name}") as report:
        built = build_from_directory(name, source, Settings.load().books_dir / name, progress=report)
    counts = ", ".join(f"{system} {n['billable']:,} codes" for system, n in built.counts.items())
    common.say(f"code book {name}: {counts}")


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
