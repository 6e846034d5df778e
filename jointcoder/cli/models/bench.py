"""``jointcoder models bench``: how fast a model runs here, beside what the machine's memory allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from jointcoder.cli import common
from jointcoder.cli.models.shared import Json, app

if TYPE_CHECKING:
    from jointcoder.llm.bench import Rates


@app.command("bench")
def bench_model(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME|PATH]", help="Model; default: the configured one.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Half a minute: no choice of options, one prompt length, few tokens.")
    ] = False,
    json_out: Json = False,
) -> None:
    """Choose the engine options that suit this machine, measure, and keep both for this model (some minutes)."""
    from jointcoder.assets import resolve_model
    from jointcoder.cli.sources import say
    from jointcoder.errors import AssetError
    from jointcoder.llm.bench import bench
    from jointcoder.llm.load import OPTIONS_FILE
    from jointcoder.settings import Settings

    settings = Settings.load()
    model = resolve_model(settings, name)
    saved = settings.cache / OPTIONS_FILE
    try:
        rates = bench(
            model.path,
            saved=saved,
            context_tokens=settings.context_tokens,
            quick=quick,
            notice=lambda line: say(f"{model.name}: {line}"),
        )
    except OSError as error:
        hint = "export JOINTCODER_CACHE=/a/folder/of/yours"
        raise AssetError("JC205", f"{saved} cannot be written ({error.strerror})", hint=hint) from None
    if json_out:
        common.put_json({"model": model.name, "sha256": model.sha256, **rates.to_json()})
    else:
        _show(model.name, rates)


def _show(name: str, rates: Rates) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title=escape(f"{name}: {rates.options.label}"), title_justify="left")
    for column in ("work", "rate", ""):
        table.add_column(column, justify="right" if column == "rate" else "left", overflow="fold")
    for length, rate in rates.prefill.items():
        table.add_row(f"reading {length:,} tokens", f"{rate:.1f}", "tokens/s")
    alone = rates.decode[1]
    for branches, rate in rates.decode.items():
        gain = "" if branches == 1 else f", {rate / alone:.1f} times a single one"
        what = "writing" if branches == 1 else f"writing in {branches} branches of one prefix"
        table.add_row(what, f"{rate:.1f}", f"tokens/s{gain}")
    table.add_row("choosing, the prefix read before", f"{rates.choose:.1f}" if rates.choose else "–", "questions/s")
    table.add_row("memory read", f"{rates.bandwidth / 1e9:.1f}", "GB/s on this machine")
    used = alone * rates.step_bytes / 1e9
    table.add_row("  of that for writing", f"{used:.1f}", f"GB/s, {rates.share:.0%} of it")
    context = f"context of {rates.context_tokens:,} tokens"
    if rates.peak:
        ratio = f", {rates.peak / total:.2f} of the arithmetic" if (total := rates.arithmetic.get("total")) else ""
        table.add_row("memory taken", f"{rates.peak / 1e9:.2f}", f"GB at most, {context}{ratio}")
    common.stdout().print(table)
