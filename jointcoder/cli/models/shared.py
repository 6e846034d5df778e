"""What the commands of ``jointcoder models`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jointcoder.assets import Asset
    from jointcoder.settings import Settings

app = typer.Typer(help="List, get, add, verify and measure models.", no_args_is_help=True, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def state_of(entry: Asset, settings: Settings) -> str:
    """``verified``, ``unverified`` (never hashed since it changed), ``wrong size`` or ``missing``; instant."""
    from jointcoder.assets import is_verified, locate

    if is_verified(entry, settings):
        return "verified"
    if locate(entry, settings) is not None:
        return "unverified"
    return "wrong size" if entry.path(settings).exists() else "missing"
