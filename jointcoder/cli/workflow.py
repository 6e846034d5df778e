"""``jointcoder workflow list|show|check``: the workflows that ship, and any TOML file."""

from __future__ import annotations

from typing import Annotated

import typer

from jointcoder.cli import common
from jointcoder.errors import WorkflowError

app = typer.Typer(help="List, show and check workflows.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_workflows(json_out: Annotated[bool, typer.Option("--json")] = False) -> None:
    """The workflows that ship, with what each needs."""
    from jointcoder.workflow.spec import library_names, load_workflow

    flows = [load_workflow(name) for name in library_names()]
    if json_out:
        common.put_json([{**flow.model_dump(mode="json", exclude={"step"}), "hash": flow.hash} for flow in flows])
        return
    from rich.table import Table

    table = Table()
    for column in ("name", "hash", "needs", "what it does", "source"):
        table.add_column(column)
    for flow in flows:
        needs = ", ".join([*flow.needs.languages, *(["model"] if flow.needs.model else [])])
        table.add_row(flow.name, flow.hash[:12], needs, flow.summary, flow.source)
    common.stdout().print(table)


@app.command("show")
def show_workflow(
    name: Annotated[str, typer.Argument(help="Workflow name or TOML file.")],
    json_out: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """The steps of a workflow: what each runs after, reads, writes and may ask."""
    from jointcoder.workflow.check import plan
    from jointcoder.workflow.spec import load_workflow

    flow = load_workflow(name)
    if json_out:
        common.put_json({**flow.model_dump(mode="json"), "hash": flow.hash})
        return
    from rich.table import Table

    table = Table(title=f"{flow.name} {flow.version} · {flow.hash[:12]} · {flow.source}", title_justify="left")
    for column in ("step", "component", "after", "reads", "writes", "model", "options"):
        table.add_column(column)
    specs = {spec.id: spec for spec in flow.step}
    for step_id, step in plan(flow).steps:
        options = ", ".join(f"{key}={value}" for key, value in specs[step_id].options.items())
        table.add_row(
            step_id,
            step.name,
            ", ".join(specs[step_id].after or ()),
            ", ".join(sorted(step.reads - {"encounter"})),
            ", ".join(sorted(step.writes)),
            "asks" if step.asks else "",
            options,
        )
    common.stdout().print(table)


@app.command("check")
def check_workflow(name: Annotated[str, typer.Argument(help="Workflow name or TOML file.")]) -> None:
    """Whether the steps join up; every problem on its own line, exit code 2 if there is one."""
    from jointcoder.workflow.check import problems
    from jointcoder.workflow.spec import load_workflow

    found = problems(load_workflow(name))
    if found:
        raise WorkflowError("JC402", "\n".join(found))
    common.say(f"{name}: all steps join up")
