"""``jointcoder audit verify|show|export``: who did what, and whether the log is as it was written."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from jointcoder.cli import common
from jointcoder.cli.accounts import JsonOption, StoreOption, opened, operator
from jointcoder.errors import InputError, UsageError

app = typer.Typer(help="The audit log of the service.", no_args_is_help=True, rich_markup_mode=None)

HOW = {
    "missing": "entry {} is missing",
    "changed": "entry {} was changed",
    "unlinked": "entry {} is not the one that followed entry {}",
    "cut": "the log was cut off before entry {}",
    "rewritten": "the log was written anew up to entry {}",
    "added": "entry {} was added by another hand",
}
AnchorOption = Annotated[
    Path | None,
    typer.Option("--anchor", help="File with the number and hash of an entry, kept where the store is not."),
]


@app.command()
def verify(
    anchor: AnchorOption = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="When all is well, write the newest entry into the anchor's file.")
    ] = False,
    file: Annotated[Path | None, typer.Option("--file", help="Verify an exported log instead of the store's.")] = None,
    store: StoreOption = None,
    json_out: JsonOption = False,
) -> None:
    """Walk the chain from its first entry; ends with exit code 4 and the first broken entry if there is one."""
    from jointcoder.store.chain import Anchor

    if renew and anchor is None:
        raise UsageError("JC001", "--renew needs --anchor FILE")
    noted = Anchor.read(anchor) if anchor is not None and (anchor.exists() or not renew) else None
    found = _walked_file(file, noted) if file else _walked_store(store, noted)
    if json_out:
        common.put_json({**vars(found), "broken": vars(found.broken) if found.broken else None, "ok": found.ok})
    if found.broken is not None:
        seq = found.broken.seq
        hint = "keep the store as it is, and compare it with a backup"
        raise InputError("JC478", HOW[found.broken.how].format(seq, seq - 1), hint=hint)
    if renew and anchor is not None:
        Anchor(found.seq, found.hash).write(anchor)
    if not json_out:
        common.say(f"{found.rows} entries, none touched; the last one has the hash {found.hash}")


@app.command()
def show(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    actor: Annotated[str | None, typer.Option(help="Only what this account did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this: record, record.view …")] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this id.")] = None,
    since: Annotated[str | None, typer.Option(help="From this day on: YYYY-MM-DD.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this day: YYYY-MM-DD.")] = None,
    store: StoreOption = None,
    json_out: JsonOption = False,
) -> None:
    """The newest entries that fit. That somebody looked is in the log, too."""
    from rich.table import Table
    from rich.text import Text

    from jointcoder.store.audit import Audit

    first, last = _day(since, "--since"), _day(until, "--until")
    with opened(store) as there:
        log = Audit(there)
        found = log.page(
            limit=limit,
            actor=actor,
            action=action,
            subject=subject,
            since=first,
            until=last + dt.timedelta(days=1) if last else None,
        )
        log.add(actor=operator(), action="audit.view", kind="audit", details={"entries": len(found)})
    if json_out:
        common.put_json([one.values() for one in found])
        return
    table = Table()
    for column in ("no.", "time", "who", "action", "what of", "details"):
        table.add_column(column)
    for one in found:
        when = f"{one.time.astimezone():%Y-%m-%d %H:%M:%S}"
        details = json.dumps(one.details, ensure_ascii=False) if one.details else ""
        table.add_row(str(one.seq), when, Text(one.actor), one.action, Text(f"{one.kind} {one.subject}"), Text(details))
    common.stdout().print(table)


@app.command()
def export(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; default: stdout.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Only entries behind this number.")] = 0,
    anchor: AnchorOption = None,
    store: StoreOption = None,
) -> None:
    """Write entries as JSON lines, and the newest one's number and hash into the anchor's file."""
    from jointcoder.store.audit import Audit
    from jointcoder.store.chain import Anchor

    with opened(store) as there:
        log = Audit(there)
        log.add(actor=operator(), action="audit.export", kind="audit", details={"after": after})
        last, number = None, 0
        try:
            with out.open("w", encoding="utf-8") if out else _left_open() as file:
                for last in log.entries(after=after):
                    file.write(json.dumps(last.values(), ensure_ascii=False) + "\n")
                    number += 1
        except OSError as error:
            raise InputError("JC107", f"{out}: {error.strerror or type(error).__name__}") from None
    if anchor is not None and last is not None:
        Anchor(last.seq, last.hash).write(anchor)
    common.say(f"{number} entries written")


def _walked_store(store: str | None, noted: Any) -> Any:
    from jointcoder.store.audit import Audit

    with opened(store) as there:
        return Audit(there).verify(noted)


def _walked_file(path: Path, noted: Any) -> Any:
    from jointcoder.store.chain import Walk, read_entry

    walk = Walk(*([noted] if noted else []))
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.strip() and not walk.step(read_entry(line)):
                    break
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("JC107", f"{path}: {getattr(error, 'strerror', None) or type(error).__name__}") from None
    return walk.end()


def _day(text: str | None, option: str) -> dt.datetime | None:
    if text is None:
        return None
    try:
        return dt.datetime.combine(dt.date.fromisoformat(text), dt.time()).astimezone()
    except ValueError:
        raise UsageError("JC001", f"{option} takes a date as YYYY-MM-DD") from None


def _left_open() -> Any:
    from contextlib import nullcontext

    return nullcontext(sys.stdout)
