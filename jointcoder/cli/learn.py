"""``jointcoder learn CODED.jsonl … -o DIR``: coded history → a learned pack, in minutes on a CPU."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common
from jointcoder.errors import UsageError

if TYPE_CHECKING:
    from jointcoder.coder import Coder
    from jointcoder.learn.pack import Learnt
    from jointcoder.settings import Settings


def learn(
    data: Annotated[list[Path], typer.Argument(help="JSON lines: coded encounters, or term pairs.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the pack.")],
    part: Annotated[
        list[str] | None,
        typer.Option(help="mentions, labels, terms or drafts (repeatable); default: what the data teach."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the pack; default: the folder's.")] = "",
    dev: Annotated[Path | None, typer.Option(help="Labelled encounters on which thresholds are chosen.")] = None,
    want_precision: Annotated[
        float | None, typer.Option(min=0.01, max=1.0, help="Choose thresholds for this precision, not for F1.")
    ] = None,
    book: Annotated[str | None, typer.Option(help="Code book id or folder.")] = None,
    model: Annotated[str | None, typer.Option(help="For drafts: model name or path.")] = None,
    workflow: Annotated[str | None, typer.Option(help="For drafts: the workflow whose drafts are weighed.")] = None,
    cache: Annotated[int | None, typer.Option(min=0, help="For drafts: keep the model's answers, megabytes.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the data, for the pack's description.")] = "",
    attribution: Annotated[str, typer.Option(help="Whom the data's licence asks to name.")] = "",
    shareable: Annotated[
        bool, typer.Option("--shareable", help="The data's licence lets the pack be passed on.")
    ] = False,
    as_of: Annotated[
        str | None, typer.Option(help="A day, YYYY-MM-DD, of the data's edition, if not the book's.")
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            help="For terms: write here what the part says of wordings it has not seen (for a choosing model)."
        ),
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw calibration and thresholds (SVG); needs --dev.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put the new pack in place of the one there.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of folds and fits.")] = 0,
    json_out: Annotated[bool, typer.Option("--json", help="Print the pack's description as JSON.")] = False,
) -> None:
    """Learn aliases, weights and calibrated confidence from coded history and write them as a pack."""
    if picture and not dev:
        raise UsageError("JC001", "--picture shows scores on a dev set", hint="name one with --dev")
    from jointcoder.codebook.lookup import Lookup
    from jointcoder.codebook.store import open_book
    from jointcoder.learn.pack import Terms
    from jointcoder.learn.pack import learn as run
    from jointcoder.learn.write import ready
    from jointcoder.settings import Settings

    if picture:
        ready(picture)
    settings = Settings.load(workflow=workflow, completion_cache_mb=cache)
    coder = _coder(settings, model, book) if "drafts" in (part or ()) else None
    lookup = Lookup(coder.book if coder else open_book(settings, book or settings.code_book), dense=settings.dense)
    try:
        with common.staged() as advance:
            learnt = run(
                [common.data_file(path, settings) for path in data],
                out,
                parts=tuple(part or ()),
                name=name,
                dev=common.data_file(dev, settings) if dev else None,
                want_precision=want_precision,
                lookup=lookup,
                coder=coder,
                terms=Terms(licence, attribution, shareable),
                as_of=day(as_of),
                unseen=held_out,
                replace_old=replace,
                seed=seed,
                progress=advance,
            )
    finally:
        if coder:
            coder.close()
    if picture:
        from jointcoder.learn.picture import draw

        draw(learnt.held_out, learnt.info.thresholds, picture)
    if json_out:
        common.put_json(learnt.info.model_dump(mode="json"))
    else:
        show(learnt)


def day(text: str | None) -> dt.date | None:
    """A date as YYYY-MM-DD. UsageError JC001."""
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise UsageError("JC001", "--as-of takes a date as YYYY-MM-DD") from None


def _coder(settings: Settings, model: str | None, book: str | None) -> Coder:
    from jointcoder.coder import Coder

    return Coder(settings, model=model, code_book=book)


def show(learnt: Learnt) -> None:
    """The pack for a person: parts, thresholds and figures."""
    from rich.table import Table

    console, info = common.stdout(), learnt.info
    console.print(f"pack {info.id}: {learnt.folder}  ({', '.join(info.languages)}; {', '.join(info.systems)})")
    table = Table(title="thresholds", title_justify="left")
    table.add_column("part")
    table.add_column("from", justify="right")
    for key, value in sorted(info.thresholds.items()):
        table.add_row(key, f"{value:.3f}")
    console.print(table)
    figures = Table(title="measured", title_justify="left")
    for column in ("part", "on", "what", "value"):
        figures.add_column(column, justify="right" if column == "value" else "left")
    for part, measured in info.metrics.items():
        for on, values in measured.items():
            for what, value in flat(values):
                figures.add_row(part, on, what, f"{value:.3f}" if isinstance(value, float) else str(value))
    console.print(figures)


def flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested figures as (path, value) rows."""
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        path = f"{prefix}{key}"
        rows += flat(value, f"{path} ") if isinstance(value, dict) else [(path, value)]
    return rows
