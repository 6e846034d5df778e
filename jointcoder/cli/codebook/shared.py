"""What the commands of ``jointcoder codebook`` share: the group, its common options, opening a book, tables.

Tables on a terminal, tab-separated lines in a pipe, one JSON document with ``--json``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jointcoder.cli import common, language

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook

app = typer.Typer(help="Look into the code books, search them, build one.", no_args_is_help=True)

BookOption = Annotated[str | None, typer.Option("--book", help="Id of an installed code book, or its folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def open_book(name: str | None) -> CodeBook:
    """The code book of that id or folder; by default the configured one."""
    from jointcoder.codebook import store
    from jointcoder.settings import Settings

    return store.open_book(Settings.load(), name)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under a header; cells are shown as they are."""
    if not sys.stdout.isatty():
        for row in rows:
            sys.stdout.write("\t".join(str(cell).strip() for cell in row) + "\n")
        return
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*map(language.text, header), box=None, show_header=any(header), pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text(str(cell)) for cell in row))
    common.stdout().print(drawn)
