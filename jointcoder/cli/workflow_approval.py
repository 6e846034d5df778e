"""``jointcoder workflow approve|approvals|rollback``: a person lets a workflow into use, or takes it back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from jointcoder import __version__
from jointcoder.cli import common
from jointcoder.errors import UsageError

SHORTEST = 6  # characters of a hash that tell a workflow
StoreOption = Annotated[str | None, typer.Option("--store", help="Where approvals and archive are: a file or a URL.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def approve(
    workflow: Annotated[str, typer.Argument(help="Hash (or its beginning), TOML file, or name of the library.")],
    by: Annotated[str, typer.Option(help="Who approves it.")],
    line: Annotated[str, typer.Option("--as", help="Under which name it goes into use; default: its own.")] = "",
    note: Annotated[str, typer.Option(help="Why, or on what evidence.")] = "",
    store: StoreOption = None,
    json_out: JsonOption = False,
) -> None:
    """Let a workflow into use on patients, by its hash."""
    from jointcoder.search.plan import to_toml
    from jointcoder.store.approvals import Approvals

    with _store(store) as opened:
        flow = _found(workflow, opened)
        from jointcoder.workflow.check import plan

        plan(flow)  # what does not join up cannot be approved
        approval = Approvals(opened).approve(flow, by=by, text=to_toml(flow), line=line, note=note, program=__version__)
    if json_out:
        common.put_json(_values(approval))
        return
    common.say(f"{approval.line} is now {approval.hash[:12]}, approved by {approval.approved_by}")


def approvals(
    line: Annotated[str | None, typer.Argument(help="Only those under this name.")] = None,
    store: StoreOption = None,
    json_out: JsonOption = False,
) -> None:
    """All approvals, those taken back too; the one in force is marked."""
    from rich.table import Table
    from rich.text import Text

    from jointcoder.store.approvals import Approvals

    with _store(store) as opened:
        found = Approvals(opened).all(line)
    if json_out:
        common.put_json([_values(one) for one in found])
        return
    current = {one.line: one.id for one in found if one.stands}
    table = Table(title="approvals", title_justify="left")
    for column in ("name", "hash", "approved", "by", "state", "note"):
        table.add_column(column)
    for one in found:
        state = "in force" if current.get(one.line) == one.id else "approved"
        if one.withdrawn:
            state = f"withdrawn {one.withdrawn:%Y-%m-%d} by {one.withdrawn_by}"
        when = f"{one.approved:%Y-%m-%d %H:%M}"
        table.add_row(Text(one.line), one.hash[:12], when, Text(one.approved_by), Text(state), Text(one.note))
    common.stdout().print(table)


def rollback(
    line: Annotated[str, typer.Argument(help="The name whose approval in force is withdrawn.")],
    by: Annotated[str, typer.Option(help="Who withdraws it.")],
    store: StoreOption = None,
    json_out: JsonOption = False,
) -> None:
    """Withdraw the approval in force, so that the one before it is in force again."""
    from jointcoder.store.approvals import Approvals

    with _store(store) as opened:
        gone, now = Approvals(opened).rollback(line, by=by)
    if json_out:
        common.put_json({"withdrawn": _values(gone), "in_force": _values(now) if now else None})
        return
    common.say(f"{line}: {gone.hash[:12]} withdrawn; {f'{now.hash[:12]} is in force' if now else 'none is in force'}")


def _store(where: str | None) -> Any:
    from jointcoder.settings import Settings
    from jointcoder.store.engine import open_store

    return open_store(Settings.load(store=where).store_place)


def _found(named: str, opened: Any) -> Any:
    """A workflow by file, by name, or by hash: of the library, or of a plan of the archive."""
    from jointcoder.store.archive import Archive
    from jointcoder.workflow.spec import Workflow, library_names, load_workflow

    if Path(named).suffix == ".toml" or named in library_names():
        return load_workflow(named)
    if len(named) < SHORTEST:
        raise UsageError("JC442", f"{named!r} is no workflow, and too short for a hash")
    shipped = [flow for flow in map(load_workflow, library_names()) if flow.hash.startswith(named.lower())]
    if shipped:
        return shipped[0]
    candidate = Archive(opened).candidate(named)
    flow = Workflow.from_toml(candidate.workflow, origin=candidate.name)
    if flow.hash != candidate.hash:
        raise UsageError("JC442", f"the archive's workflow {candidate.name} is not the one that was scored")
    return flow


def _values(approval: Any) -> dict[str, Any]:
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in vars(approval).items()
        if name != "workflow"
    }
