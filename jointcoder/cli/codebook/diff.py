"""``jointcoder codebook diff``: what changed between two editions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from jointcoder.cli import common, language
from jointcoder.cli.codebook.shared import JsonOption, app, open_book, table
from jointcoder.errors import UsageError, name_list

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.records import System

YEAR = re.compile(r"\d{4}")


@app.command("diff")
def compare(
    old: Annotated[str, typer.Argument(help="The earlier edition: a year (2024), the id of a code book or a folder.")],
    new: Annotated[str, typer.Argument(help="The later edition, likewise.")],
    system: Annotated[str | None, typer.Option("--system", help="One system only, such as ICD-10-CM (or CM).")] = None,
    as_json: JsonOption = False,
) -> None:
    """List new, retired and renamed codes, headings that became codes and the reverse; how many of each first."""
    from jointcoder.codebook.diff import KINDS, counts, diff

    wanted = _system(system)
    books = [_open(name) for name in (old, new)]
    changes = diff(books[0], books[1], system=wanted)
    found = counts(changes)
    if as_json:
        fields = ("system", "kind", "code", "name", "before", "billable")
        common.put_json(
            {
                "old": _described(books[0]),
                "new": _described(books[1]),
                "counts": {str(one): kinds for one, kinds in found.items()},
                "changes": [{name: getattr(change, name) for name in fields} for change in changes],
            }
        )
        return
    said = {kind: language.text(kind) for kind in KINDS}
    rows = [(str(one), said[kind], f"{kinds[kind]:,}") for one, kinds in found.items() for kind in KINDS if kinds[kind]]
    table(("system", "change", "codes"), rows)
    lines = [
        (str(c.system), said[c.kind], c.code, c.name, c.before and language.text(f"was: {c.before}")) for c in changes
    ]
    if lines:
        table(("system", "change", "code", "name", ""), lines)
    else:
        common.say(f"{books[0].info.id} and {books[1].info.id} hold the same codes under the same names")


def _open(name: str) -> CodeBook:
    return open_book(f"us-{name}" if YEAR.fullmatch(name) else name)


def _described(book: CodeBook) -> dict[str, str]:
    return {"id": book.info.id, "edition": book.info.edition}


def _system(name: str | None) -> System | None:
    """A system by its name or the end of it: ``ICD-10-PCS``, ``pcs``."""
    from jointcoder.records import System

    if name is None:
        return None
    found = [one for one in System if name.upper() in (one, one.removeprefix("ICD-10-"))]
    if not found:
        raise UsageError("JC001", f"--system: unknown system {name!r}", hint=f"known: {name_list(System)}")
    return found[0]
