"""``jointcoder feedback export``: what coders decided, as coded records that ``learn`` reads."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jointcoder.cli import common
from jointcoder.cli.accounts import StoreOption, opened, operator
from jointcoder.cli.exchange import written
from jointcoder.errors import InputError, UsageError

if TYPE_CHECKING:
    from jointcoder.store.encounters import Encounters
    from jointcoder.store.engine import Store
    from jointcoder.store.reviews import Reviews

app = typer.Typer(help="Decisions of coders as data.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Decisions of coders as data."""


@app.command()
def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON lines; - writes standard output.")],
    since: Annotated[str | None, typer.Option(help="Decided on this day or later: YYYY-MM-DD.")] = None,
    finished_only: Annotated[bool, typer.Option("--finished-only", help="Only records that a coder finished.")] = False,
    names: Annotated[bool, typer.Option("--names", help="With the coders' names.")] = False,
    store: StoreOption = None,
) -> None:
    """Write what coders decided as coded records, for learn, evaluate and finetune."""
    from jointcoder.desk.feedback import to_row
    from jointcoder.desk.history import day, history
    from jointcoder.store.audit import Audit

    first = day(a_day(since, "--since"))
    done = open_ = 0
    with repositories(store) as (there, reviews, encounters), written(out) as target:
        found = history(reviews, encounters, since=first, finished_only=finished_only, one_each=True)
        with common.progress("writing", None) as advance:
            for one in found:
                row = to_row(one, names=names)
                target.write(json.dumps(row, ensure_ascii=False) + "\n")
                done += 1
                open_ += row["review"]["state"] != "finished"
                advance(1)
        if not done:
            raise InputError("JC166", "no record was decided on in this time", hint="coders decide on the desk's pages")
        details = {"records": done, "names": names}
        Audit(there).add(actor=operator(), action="export.write", kind="export", subject="feedback", details=details)
    common.say(f"{done} written")
    if open_:
        common.say(f"{open_} of them are not finished; --finished-only leaves them out")


@contextmanager
def repositories(where: str | None) -> Iterator[tuple[Store, Reviews, Encounters]]:
    """The store that is named, or that of the settings, and what reads it."""
    from jointcoder.settings import Settings
    from jointcoder.store.encounters import Encounters
    from jointcoder.store.encryption import sealer_from
    from jointcoder.store.reviews import Reviews

    sealer = sealer_from(Settings.load())
    with opened(where) as there:
        yield there, Reviews(there, sealer=sealer), Encounters(there, sealer=sealer)


def a_day(text: str | None, option: str) -> dt.date | None:
    """A date as YYYY-MM-DD. UsageError JC001."""
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise UsageError("JC001", f"{option} takes a date as YYYY-MM-DD") from None
