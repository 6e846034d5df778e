"""``jointcoder models rollback MODEL --adapter NAME``: an earlier version of an adapter in force again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common
from jointcoder.cli.models.shared import Json, app, state_of

if TYPE_CHECKING:
    from jointcoder.assets.manifest import AdapterAsset
    from jointcoder.assets.versions import Version
    from jointcoder.settings import Settings


@app.command("rollback")
def rollback(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model that the adapter belongs to.")],
    adapter: Annotated[str, typer.Option("--adapter", metavar="NAME", help="The adapter.")],
    to: Annotated[str, typer.Option("--to", metavar="SHA256", help="A version, by the beginning of its sha256.")] = "",
    only_list: Annotated[bool, typer.Option("--list", help="Show the versions; change nothing.")] = False,
    json_out: Json = False,
) -> None:
    """Put the version in force again that the present one took the place of. Nothing is deleted."""
    from jointcoder.assets.versions import roll_back, versions
    from jointcoder.errors import AssetError
    from jointcoder.settings import Settings

    settings = Settings.load()
    if only_list:
        known = versions(settings, model, adapter)
        if not known:
            raise AssetError("JC223", f"{model} has no adapter {adapter}", hint="jointcoder models list")
        if json_out:
            common.put_json([_facts(v.entry, settings) | {"state": v.state, "shipped": v.shipped} for v in known])
        else:
            _show(known, settings)
        return
    before, now = roll_back(settings, model, adapter, to=to)
    if json_out:
        common.put_json({"before": _facts(before, settings), "now": _facts(now, settings)})
    else:
        sys.stdout.write(f"adapter {adapter} of {model}: {now.path(settings)}\n")
        common.say(f"sha256 {now.sha256} is in force again; {before.sha256} is kept")


def _facts(entry: AdapterAsset, settings: Settings) -> dict[str, Any]:
    facts = entry.model_dump(mode="json", exclude={"sources"})
    return facts | {"path": str(entry.path(settings)), "file_state": state_of(entry, settings)}


def _show(known: tuple[Version, ...], settings: Settings) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("sha256", "state", "since", "took the place of", "file", "here"):
        table.add_column(column, overflow="fold")
    for version in known:
        entry = version.entry
        since = "shipped" if version.shipped else entry.since[:19]
        short = (entry.sha256[:12], entry.predecessor[:12] or "–")
        table.add_row(short[0], version.state, since, short[1], entry.file, state_of(entry, settings))
    common.stdout().print(table)
