"""``python -m jointcoder.finetune data --from SOURCE --agent NAME``: training examples of one agent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.settings import Settings


def register(app: typer.Typer) -> None:
    app.command("data")(data)


def data(
    source: Annotated[
        list[str],
        typer.Option(
            "--from",
            help="Corpus, term pairs, a pack's candidates, coders' decisions (JSON lines); or book: (its wordings).",
        ),
    ],
    agent: Annotated[str, typer.Option(help="Which agent: standardise_dx, validate_px, extract …")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the examples.")],
    dev: Annotated[list[str] | None, typer.Option(help="Held-out data; default: a share drawn by encounter.")] = None,
    book: Annotated[str | None, typer.Option(help="Code book id or folder.")] = None,
    base: Annotated[
        str | None, typer.Option(help="Model whose tokens decide how records are parted; default: the configured one.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="So many training examples, hard ones preferred.")] = None,
    dev_rows: Annotated[int | None, typer.Option(min=1, help="So many held-out examples.")] = None,
    k: Annotated[int, typer.Option(min=2, max=20, help="Candidates in a choice.")] = 6,
    hard: Annotated[float, typer.Option(min=0, max=1, help="Share of hard examples where --rows selects.")] = 0.6,
    negatives: Annotated[float, typer.Option(min=0, help="Wrong drafts for each right one.")] = 1.0,
    sentences: Annotated[
        int, typer.Option(help="Context of a verdict: sentences on either side of the evidence; -1: the whole part.")
    ] = 1,
    aliases: Annotated[bool, typer.Option(help="Let the lookup know the other folds' wordings.")] = True,
    doubts: Annotated[
        Path | None,
        typer.Option(help="For verdicts: what a pack is unsure of (`jointcoder learn --held-out FILE`)."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read so many records of each source.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    json_out: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Build training examples: the prompts are those that the step asks, word for word."""
    from jointcoder.finetune.asking import DataOptions
    from jointcoder.finetune.datasets import build
    from jointcoder.settings import Settings

    settings = Settings.load()
    options = DataOptions(
        k=k,
        hard=hard,
        negatives=negatives,
        sentences=None if sentences < 0 else sentences,
        rows=rows,
        dev_rows=dev_rows,
        aliases=aliases,
        seed=seed,
    )
    count, counted_by = counting(settings, base)
    with common.progress("examples", None) as advance:
        manifest = build(
            agent,
            source,
            opened_book(settings, book),
            out,
            dev=dev or (),
            options=options,
            count_tokens=count,
            counted_by=counted_by,
            context_tokens=settings.context_tokens,
            dense=settings.dense,
            limit=limit,
            unseen=doubts,
            progress=lambda done, total: advance(1),
        )
    if json_out:
        common.put_json(manifest)
        return
    common.stdout().print(_table(manifest, out), highlight=False)


def opened_book(settings: Settings, named: str | None) -> CodeBook:
    """The book of that name, or the main one."""
    from jointcoder.codebook.editions import Editions

    return Editions.open(settings, named).main


def counting(settings: Settings, base: str | None) -> tuple[Callable[[str], int], str]:
    """How tokens are counted, and by whom: the base's own tokenizer where it is at hand, else a cautious guess."""
    from jointcoder.coder import guessed_tokens
    from jointcoder.errors import AssetError
    from jointcoder.finetune.base_model import open_tokens

    try:
        tokens = open_tokens(base or settings.model, settings)
    except AssetError as error:
        if base is not None:
            raise
        common.say(f"tokens are guessed ({error.code}: {error.message})")
        return guessed_tokens, "guessed"
    return lambda text: len(tokens.tokenize(text)), tokens.name


def _table(manifest: dict[str, Any], out: Path) -> Any:
    from rich.table import Table

    table = Table(title=f"{manifest['agent']} → {out}", title_justify="left", box=None)
    for name in ("part", "rows", "encounters or wordings", "answers"):
        table.add_column(name, justify="left" if name in ("part", "answers") else "right")
    for part, counts in manifest["counts"].items():
        answers = ", ".join(f"{answer} {count}" for answer, count in counts["answers"].items())
        table.add_row(part, str(counts["rows"]), str(counts["groups"]), answers)
    return table
