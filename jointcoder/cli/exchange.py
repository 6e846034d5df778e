"""``jointcoder exchange inspect|convert``: what the columns of a table mean, and any file as JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from jointcoder.cli import common
from jointcoder.cli.incoming import Tally, numbered, records
from jointcoder.errors import AssetError, InputError, UsageError

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.exchange.incoming import Incoming
    from jointcoder.exchange.propose import Column, Proposal

app = typer.Typer(help="Records from other systems: Excel, CSV, JSON lines, FHIR, HL7 v2.", no_args_is_help=True)


@app.command("inspect")
def inspect(
    file: Annotated[str, typer.Argument(help="Excel, CSV, TSV or Parquet file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the mapping as TOML.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Name or number of a sheet; default: all that can be seen.")] = None,
    header: Annotated[int | None, typer.Option(min=1, help="Row of the header; default: found.")] = None,
    json_out: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Propose what each column means: figures and reasons, never what stands in the cells."""
    from jointcoder.exchange.reading import inspect as look

    proposals = list(look(Path(file), sheet=numbered(sheet), header=header))
    if json_out:
        common.put_json([proposal.as_dict() for proposal in proposals])
    else:
        for proposal in proposals:
            _show(proposal)
    if out:
        _write_mapping(proposals, out, header)


@app.command("convert")
def convert(
    file: Annotated[str, typer.Argument(help="Any file that `jointcoder code` reads; - reads standard input.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON lines; - writes standard output.")],
    mapping: Annotated[Path | None, typer.Option(help="TOML file that says what the columns mean.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Name or number of a sheet.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first records only.")] = None,
    codes: Annotated[bool, typer.Option(help="Write the codes that came with the records.")] = True,
    book: Annotated[str | None, typer.Option(help="Code book that gives names without a code theirs.")] = None,
) -> None:
    """Write records as JSON lines, with their codes, for learn, evaluate and finetune."""
    from jointcoder.exchange.coded import names_in, with_codes
    from jointcoder.exchange.writing import to_row

    known = names_in(_book(book)) if book else {}
    tally = Tally()
    with written(out) as target, common.progress("reading", None) as advance:
        for incoming in records(file, mapping=mapping, sheet=sheet, limit=limit):
            advance(1)
            if incoming.error is not None:
                tally.fails(incoming.error)
                continue
            whole = replace(incoming, codes=with_codes(incoming.codes, known))
            if codes and not whole.codes_whole:
                tally.fails(_unfit(whole))
                continue
            target.write(json.dumps(to_row(whole, codes=codes), ensure_ascii=False) + "\n")
            tally.done += 1
    tally.close("written")


def _unfit(incoming: Incoming) -> InputError:
    """Why a record's codes may not teach: one that is missing makes the others wrong."""
    from jointcoder.exchange.incoming import UNREADABLE_CODE

    flag = next((flag for flag in incoming.flags if flag.code == UNREADABLE_CODE), None)
    if flag is not None:
        return InputError(flag.code, flag.message, hint="--no-codes writes such records without their codes")
    hint = "--book looks names up in a code book; --no-codes writes the records without their codes"
    return incoming.place.error(UNREADABLE_CODE, "a name without a code", hint=hint)


def _book(name: str) -> CodeBook:
    from jointcoder.codebook.store import open_book
    from jointcoder.settings import Settings

    return open_book(Settings.load(), name)


@contextmanager
def written(out: Path) -> Iterator[IO[str]]:
    """Standard output, or a file that is put in place once it is whole. AssetError JC205."""
    if str(out) == "-":
        yield sys.stdout
        return
    part = out.with_name(out.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        part.replace(out)
    except OSError as error:
        raise AssetError("JC205", f"{out} cannot be written ({error.strerror or type(error).__name__})") from None
    finally:
        part.unlink(missing_ok=True)


def _write_mapping(proposals: list[Proposal], out: Path, header: int | None) -> None:
    mapping = next((proposal.mapping for proposal in proposals if proposal.mapping), None)
    if mapping is None:
        raise InputError("JC121", "no column that holds text to be coded", hint="write a mapping by hand")
    if header is not None:
        mapping = mapping.model_copy(update={"header": header})
    try:
        with out.open("x", encoding="utf-8", newline="\n") as file:
            file.write(mapping.toml())
    except FileExistsError:
        raise UsageError("JC001", f"{out} is there already", hint="name another file, or remove it") from None
    except OSError as error:
        raise AssetError("JC205", f"{out} cannot be written ({error.strerror or type(error).__name__})") from None
    common.say(f"mapping written to {out}")


def _gathered(proposal: Proposal) -> list[list[Column]]:
    """The columns, those of one numbered group together (its fullest stands for its share and median)."""
    rows: dict[object, list[Column]] = {}
    for place, column in enumerate(proposal.columns):
        grouped = column.role.endswith((": code", ": name"))
        rows.setdefault((column.role, column.why) if grouped else place, []).append(column)
    return list(rows.values())


def _show(proposal: Proposal) -> None:
    from rich.table import Table
    from rich.text import Text

    joined = ", joined with the row above" if proposal.joined else ""
    title = f"{proposal.place} · header in row {proposal.header}{joined} · {proposal.rows} rows looked at"
    table = Table(title=title, title_justify="left")
    for column, justify in (("", "left"), ("column", "left"), ("filled", "right"), ("characters", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    table.add_column("taken for")
    table.add_column("why")
    for columns in _gathered(proposal):
        first, last = columns[0], columns[-1]
        several = len(columns) > 1
        letters = f"{first.letter}…{last.letter}" if several else first.letter
        heading = f"{first.heading} … {last.heading}" if several else first.heading
        filled = [column for column in columns if column.lengths[2]]
        lengths = ""
        if filled:
            low, high = min(column.lengths[0] for column in filled), max(column.lengths[2] for column in filled)
            lengths = f"{low}–{max(filled, key=lambda column: column.filled).lengths[1]}–{high}"
        errors = sum(column.errors for column in columns)
        why = first.why + (f"; {errors} cells hold an error" if errors else "")
        share = f"{max(column.filled for column in columns):.0%}"
        table.add_row(letters, Text(heading), share, lengths, first.role, Text(why))
    console = common.stdout()
    console.print(table)
    for remark in proposal.remarks:
        console.print(remark, highlight=False)
    if proposal.mapping is None:
        console.print("no column that holds text to be coded: name one in a mapping", highlight=False)
