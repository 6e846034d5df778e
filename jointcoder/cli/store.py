"""``jointcoder store key|seal``: encryption of note text in the service's store."""

from __future__ import annotations

import sys

import typer

from jointcoder.cli import common
from jointcoder.cli.accounts import StoreOption, opened, operator

app = typer.Typer(help="The service's store.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def key() -> None:
    """Print a new key for encrypting note text. It is kept nowhere: who loses it loses the texts."""
    from jointcoder.store.encryption import KEY_VARIABLE, new_key

    sys.stdout.write(new_key() + "\n")
    common.say(f"put it where the service finds it as {KEY_VARIABLE}, and a copy where the store is not")


@app.command()
def seal(store: StoreOption = None) -> None:
    """Seal anew what is not sealed under the first key: after encryption was switched on or off, or the key changed."""
    from jointcoder.settings import Settings
    from jointcoder.store.audit import Audit
    from jointcoder.store.encryption import sealer_from
    from jointcoder.store.resealing import resealed

    sealer = sealer_from(Settings.load())
    with opened(store) as there, common.progress("sealing", None) as advance:
        done = resealed(there, sealer, advance=advance)
        if done:
            there.compact()
        Audit(there).add(
            actor=operator(), action="store.seal", kind="store", details={"rows": done, "key": sealer.first}
        )
    common.say(f"{done} texts sealed anew")
