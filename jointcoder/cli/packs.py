"""``jointcoder packs list|show``: learned packs that are known by name, and what one says of itself."""

from __future__ import annotations

from typing import Annotated

import typer

from jointcoder.cli import common

app = typer.Typer(help="Learned packs: what coded history taught.", no_args_is_help=True)


@app.command("list")
def list_(json_out: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """The packs that come with the program, and this user's."""
    from rich.table import Table

    from jointcoder.packs.pack import Pack, packs_in, places
    from jointcoder.settings import Settings

    here = [Pack.open(folder) for place in places(Settings.load()) for folder in packs_in(place)]
    if json_out:
        common.put_json([pack.info.model_dump(mode="json", exclude={"files"}) for pack in here])
        return
    table = Table(title="packs", title_justify="left")
    for column in ("name", "languages", "systems", "parts", "licence"):
        table.add_column(column)
    for pack in here:
        info = pack.info
        table.add_row(info.id, *(", ".join(v) for v in (info.languages, info.systems, info.parts)), info.licence)
    common.stdout().print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Name or folder of a pack.")],
    json_out: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """One pack: what it was learnt from, under which licence, its thresholds and figures."""
    from jointcoder.cli.learn import flat
    from jointcoder.packs.pack import Pack
    from jointcoder.settings import Settings

    pack = Pack.find(Settings.load(), name)
    info = pack.info.model_dump(mode="json")
    if json_out:
        common.put_json(info)
        return
    console = common.stdout()
    console.print(f"{pack.version}  {pack.folder}")
    for field in ("summary", "languages", "systems", "parts", "book", "headings", "licence", "attribution", "made_by"):
        console.print(f"{field:12} {', '.join(v) if isinstance(v := info[field], list) else v}")
    for one in pack.info.origins:
        console.print(f"learnt from  {one.name}: {one.records} records, {one.codes} codes, sha256 {one.sha256[:12]}")
    for key, value in flat({"threshold": info["thresholds"], **info["metrics"]}):
        console.print(f"{key:40} {value:.3f}" if isinstance(value, float) else f"{key:40} {value}")
