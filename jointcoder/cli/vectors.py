"""Vectors beside a built code book, with a bar: for ``jointcoder codebook build --vectors``, and kept at a rebuild."""

from __future__ import annotations

from pathlib import Path

from jointcoder.cli import common
from jointcoder.cli.sources import tracked
from jointcoder.errors import JointCoderError


def add(target: Path) -> None:
    """Add vectors to the book in ``target``. What was embedded before is taken from the cache, so that an interrupted
    run goes on where it stopped. UsageError JC002 without the embedder, AssetError JC2xx."""
    from jointcoder.codebook.book import CodeBook
    from jointcoder.codebook.build.vectors import add_vectors
    from jointcoder.settings import Settings

    book = CodeBook.open(target)
    label = f"vectors of {book.info.id}"
    with tracked(label) as report:
        info = add_vectors(book, cache=Settings.load().vectors_dir, progress=report)
    common.say(
        f"{label}: {info.texts:,} texts for {info.wordings:,} wordings, {info.bytes / 1e6:,.0f} MB, by {info.model}"
    )


def keep(target: Path, *, had: bool) -> None:
    """After a rebuild: the vectors again where the old book ``had`` them; a warning where they cannot be made."""
    if had:
        try:
            add(target)
        except JointCoderError as error:
            common.warn(error.code, f"{target.name} is without vectors now: {error.message}")
