"""``jointcoder models list|verify|path``: what the manifest knows and what is on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common

if TYPE_CHECKING:
    from jointcoder.assets import Asset
    from jointcoder.settings import Settings

app = typer.Typer(help="List, verify and locate models.", no_args_is_help=True, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def state_of(entry: Asset, settings: Settings) -> str:
    """``verified``, ``unverified`` (never hashed since it changed), ``wrong size`` or ``missing``; instant."""
    from jointcoder.assets import is_verified, locate

    if is_verified(entry, settings):
        return "verified"
    if locate(entry, settings) is not None:
        return "unverified"
    return "wrong size" if entry.path(settings).exists() else "missing"


@app.command("list")
def list_models(json_out: Json = False) -> None:
    """The models of the manifest: size, quantisation, licence, and whether the file is here."""
    from jointcoder.assets import Manifest, ModelAsset
    from jointcoder.settings import Settings

    settings = Settings.load()
    entries = [entry for entry in Manifest.models() if isinstance(entry, ModelAsset)]
    if json_out:
        rows: list[dict[str, Any]] = []
        for entry in entries:
            facts = entry.model_dump(mode="json", exclude={"sources"})
            facts["sources"] = [source.label for source in entry.sources]
            facts |= {"path": str(entry.path(settings)), "state": state_of(entry, settings)}
            rows.append(facts | {"default": entry.name == settings.model})
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
        caption="* configured; get one with: jointcoder setup --model NAME",
        caption_justify="left",
    )
    for column in ("name", "size", "quant.", "licence", "here", *(["purpose"] if roomy else [])):
        table.add_column(column, justify="right" if column == "size" else "left", overflow="fold")
    for entry in entries:
        name = entry.name + (" *" if entry.name == settings.model else "")
        size, here = f"{entry.size / 1e6:,.0f} MB", state_of(entry, settings)
        row = [name, size, entry.quantisation, entry.licence, here, *([entry.purpose] if roomy else [])]
        table.add_row(*row)
    console.print(table)


@app.command("verify")
def verify_models(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Models or paths; default: all here.")
    ] = None,
    json_out: Json = False,
) -> None:
    """Hash model files again and compare with the manifest; exit code 5 if one differs or is missing."""
    from jointcoder.assets import Manifest, verify
    from jointcoder.cli.sources import tracked
    from jointcoder.errors import AssetError
    from jointcoder.settings import Settings

    settings, manifest = Settings.load(), Manifest.models()
    wanted = [manifest[name] for name in names or ()] or [entry for entry in manifest if entry.path(settings).exists()]
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
