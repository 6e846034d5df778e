"""``jointcoder models list|verify|path``: what is known and what is on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common
from jointcoder.cli.models.shared import Json, app, state_of

if TYPE_CHECKING:
    from jointcoder.assets import Asset
    from jointcoder.assets.manifest import AdapterAsset


@app.command("list")
def list_models(json_out: Json = False) -> None:
    """The models of the manifest and your own: size, quantisation, licence, adapters, and whether the file is here."""
    from jointcoder.assets import ModelAsset, adapters_in_force, known_models
    from jointcoder.assets.local import LocalModel
    from jointcoder.settings import Settings

    settings = Settings.load()
    entries = [entry for entry in known_models(settings) if isinstance(entry, ModelAsset)]
    adapters: dict[str, list[AdapterAsset]] = {}
    for adapter in adapters_in_force(settings):
        adapters.setdefault(adapter.base, []).append(adapter)
    if json_out:

        def facts(entry: Asset) -> dict[str, Any]:
            found = entry.model_dump(mode="json", exclude={"sources"})
            return found | {"path": str(entry.path(settings)), "state": state_of(entry, settings)}

        rows: list[dict[str, Any]] = []
        for entry in entries:
            row = facts(entry) | {"sources": [source.label for source in entry.sources]}
            row |= {"default": entry.name == settings.model, "own": isinstance(entry, LocalModel)}
            rows.append(row | {"adapters": [facts(adapter) for adapter in adapters.get(entry.name, ())]})
        common.put_json(rows)
        return
    from rich.box import SIMPLE
    from rich.table import Table

    console = common.stdout()
    roomy = console.width >= 110
    table = Table(
        box=SIMPLE,
        show_edge=False,
        pad_edge=False,
        caption="* configured; get one with: jointcoder models pull NAME; your own: jointcoder models add FILE",
        caption_justify="left",
    )
    for column in ("name", "size", "quant.", "licence", "here", *(["purpose"] if roomy else [])):
        table.add_column(column, justify="right" if column == "size" else "left", overflow="fold")
    for entry in entries:
        name = entry.name + (" *" if entry.name == settings.model else "")
        size, here = f"{entry.size / 1e6:,.0f} MB", state_of(entry, settings)
        purpose = "your own" if isinstance(entry, LocalModel) else entry.purpose
        cells = [name, size, entry.quantisation, entry.licence, here, *([purpose] if roomy else [])]
        table.add_row(*cells)
        for adapter in adapters.get(entry.name, ()):
            kind = "activated adapter" if adapter.activated else "adapter"
            size, here = f"{adapter.size / 1e6:,.0f} MB", state_of(adapter, settings)
            cells = [f"  + {adapter.name}", size, adapter.quantisation, adapter.licence, here]
            table.add_row(*cells, *([kind] if roomy else []))
    console.print(table)


@app.command("verify")
def verify_models(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Models; default: all here, with adapters.")
    ] = None,
    json_out: Json = False,
) -> None:
    """Hash model files again and compare with what they should be; exit code 5 if one differs or is missing."""
    from jointcoder.assets import adapters_in_force, known_models, verify
    from jointcoder.cli.sources import tracked
    from jointcoder.errors import AssetError
    from jointcoder.settings import Settings

    settings = Settings.load()
    known = known_models(settings)
    wanted = [known[name] for name in names or ()] or [
        entry for entry in (*known, *adapters_in_force(settings)) if entry.path(settings).exists()
    ]
    if not wanted:
        raise AssetError("JC201", f"no model is in {settings.models_dir}", hint="get one with: jointcoder setup")
    results = []
    for entry in wanted:
        with tracked(entry.name, unit="bytes") as report:
            results.append(verify(entry, settings, progress=report))
    if json_out:
        common.put_json(
            [
                {
                    "name": r.name,
                    "path": str(r.path),
                    "state": r.state,
                    "expected": r.expected,
                    "found": r.found,
                }
                for r in results
            ]
        )
    else:
        for result in results:
            sys.stdout.write(f"{result.state}  {result.name}  {result.found}\n")
    for result in results:
        result.require()


@app.command("path")
def model_path(
    name: Annotated[str | None, typer.Argument(help="Model name; default: the configured one.")] = None,
) -> None:
    """Print where a model's file is; exit code 5 if it is not here."""
    from jointcoder.assets import resolve_model
    from jointcoder.settings import Settings

    path: Path = resolve_model(Settings.load(), name).path
    sys.stdout.write(f"{path}\n")
