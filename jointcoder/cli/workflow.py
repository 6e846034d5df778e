"""``jointcoder workflow list|components|show|check|compare``: the workflows that ship, any TOML file, their parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jointcoder.cli import common, workflow_compare
from jointcoder.errors import WorkflowError

if TYPE_CHECKING:
    from jointcoder.steps.signatures import Option
    from jointcoder.workflow.spec import Needs

app = typer.Typer(help="List, show, check and compare workflows.", no_args_is_help=True, rich_markup_mode=None)
app.command("compare")(workflow_compare.compare)


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
        table.add_row(flow.name, flow.hash[:12], needed(flow.needs), flow.summary, flow.source)
    common.stdout().print(table)


@app.command("components")
def list_components(
    name: Annotated[str | None, typer.Argument(help="One component: all it takes.")] = None,
    json_out: Annotated[bool, typer.Option("--json", help="All as JSON, for programs that write workflows.")] = False,
) -> None:
    """The components of workflows: what each reads, writes and takes."""
    from jointcoder.steps import registry

    if name is not None:
        registry.component(name)  # an unknown name is an error that lists the known ones
    found = [one for one in registry.signatures() if name is None or name in (one.name, *one.aliases)]
    if json_out:
        common.put_json([signature.as_dict() for signature in found])
        return
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in ("component", "what it does", "reads", "writes", "model"):
        table.add_column(column)
    for one in found:
        asks = "asks" if one.asks_model else ""
        table.add_row(one.name, one.purpose, ", ".join(one.reads), ", ".join(one.writes), asks)
    common.stdout().print(table)
    if name is None:
        return
    options = Table()
    for column in ("option", "values", "default", "what it means"):
        options.add_column(column)
    for option in found[0].options:
        default = "" if option.required else _value(option.default)
        options.add_row(option.name, Text(allowed(option)), Text(default), Text(option.what))
    common.stdout().print(options)


@app.command("show")
def show_workflow(
    name: Annotated[str, typer.Argument(help="Workflow name or TOML file.")],
    svg: Annotated[Path | None, typer.Option(help="Write the picture to this file.")] = None,
    json_out: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """The steps of a workflow as a graph: what each runs after, reads, writes and may ask."""
    from jointcoder.workflow.check import plan
    from jointcoder.workflow.graph import lanes
    from jointcoder.workflow.spec import load_workflow

    flow = load_workflow(name)
    if json_out:
        common.put_json({**flow.model_dump(mode="json"), "hash": flow.hash})
        return
    checked = plan(flow)
    if svg is not None:
        from jointcoder.workflow.picture import svg as drawn

        try:
            svg.write_text(drawn(checked), "utf-8")
        except OSError as error:
            raise WorkflowError("JC423", f"{svg}: {error.strerror or type(error).__name__}") from None
        common.say(f"the picture of {flow.name} is in {svg}")
        return
    from rich.table import Table
    from rich.text import Text

    console = common.stdout()
    console.print(Text(f"{flow.name} {flow.version} · {flow.hash[:12]} · {flow.source}\n"))
    specs = {spec.id: spec for spec in flow.step}
    for line in lanes(flow):
        spec = specs.get(line.step)
        said = [spec.use] if spec and spec.use != spec.id else []
        said += [f"{key}={_value(value)}" for key, value in spec.options.items()] if spec else []
        beside = f"  {' '.join(said)}" if said else ""
        console.print(Text(f"{line.drawing} {line.step}".rstrip()).append(beside, style="dim"), soft_wrap=True)
    table = Table()
    for column in ("step", "reads", "writes", "model"):
        table.add_column(column)
    for step_id, step in checked.steps:
        reads, writes = (", ".join(sorted(slots - {"encounter"})) for slots in (step.reads, step.writes))
        table.add_row(step_id, reads, writes, "asks" if step.asks else "")
    console.print(table)


@app.command("check")
def check_workflow(name: Annotated[str, typer.Argument(help="Workflow name or TOML file.")]) -> None:
    """Whether the steps join up; every problem on its own line, exit code 2 if there is one."""
    from jointcoder.workflow.check import problems
    from jointcoder.workflow.spec import load_workflow

    found = problems(load_workflow(name))
    if found:
        raise WorkflowError("JC402", "\n".join(found))
    common.say(f"{name}: all steps join up")


def needed(needs: Needs) -> str:
    """What a workflow needs, on one line."""
    parts = [*needs.languages, *needs.systems, *(["model"] if needs.model else []), *(["pack"] if needs.pack else [])]
    return ", ".join([*map(str, parts), *needs.adapters])


def allowed(option: Option) -> str:
    """The values that an option takes, on one line."""
    if option.choices:
        values = ", ".join(map(str, option.choices))
        return f"{values} (several)" if option.type.startswith("array") else values
    if option.minimum is None and option.maximum is None:
        return option.type
    length = " long" if option.type not in ("integer", "number") else ""
    low, high = (f"{end:g}" if end is not None else "…" for end in (option.minimum, option.maximum))
    return f"{option.type}, {low} to {high}{length}"


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
