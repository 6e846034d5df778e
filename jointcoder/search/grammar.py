"""The JSON in which a model writes a plan: flat, bounded, in two answers, so that a weak model writes a valid one.

    first   {"idea": "…", "tools": [{role, purpose, input, also, output}], "steps": [{use, kind}],
             "edges": [{from, to}]}
    then    {"settings": ["3 standardise.k=12", …]}        one of the settings that exist for the steps just written

Steps are numbered from 1; ``kind`` is both, diagnosis or procedure; an edge adds to those that the steps' slots imply;
"tool 1" is the first of the tools. All names come from closed lists, so that what passes the schema names nothing that
does not exist; :func:`plan_of` refuses what a schema cannot (JC436). :func:`shown_plan` tells a plan to a
model in fewer words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jointcoder.errors import WorkflowError
from jointcoder.records import Kind
from jointcoder.search.plan import Node, Plan
from jointcoder.search.space import EVERY_KIND, KINDS, Space, shown, table

MOST_STEPS = 18
MOST_TOOLS = 3
MOST_EDGES = 6
MOST_SETTINGS = 8
LITERALS = 300  # alternatives that a grammar may hold without slowing a small model down
NOTHING = "nothing"
PLURAL = {Kind.DIAGNOSIS.value: "diagnoses", Kind.PROCEDURE.value: "procedures"}
Draft = Mapping[str, Any]


def draft_schema(space: Space, uses: Sequence[str] | None = None) -> dict[str, Any]:
    """The schema of the first answer. Without tools in the space their list is always empty; ``uses``: the components
    that steps may be, where not all."""
    tools = MOST_TOOLS if space.tools else 0
    made = table()["tools"]
    inputs = [*made["inputs"], *(made["program_inputs"] if space.programs else [])]
    outputs = [*made["outputs"], *(made["program_outputs"] if space.programs else [])]
    number = {"type": "integer", "minimum": 1, "maximum": MOST_STEPS}
    tool = _object(
        role={"type": "string", "minLength": 3, "maxLength": 60},
        purpose={"type": "string", "minLength": 10, "maxLength": 400},
        input={"enum": list(dict.fromkeys(inputs))},
        also={"enum": [NOTHING, *dict.fromkeys(inputs)]},
        output={"enum": list(dict.fromkeys(outputs))},
    )
    step = _object(use={"enum": [*(space if uses is None else uses), *tool_names(tools)]}, kind={"enum": list(KINDS)})
    return _object(
        idea={"type": "string", "minLength": 10, "maxLength": 400},
        tools={"type": "array", "items": tool, "maxItems": tools},
        steps={"type": "array", "items": step, "minItems": 2, "maxItems": MOST_STEPS},
        edges={"type": "array", "items": _object(**{"from": number, "to": number}), "maxItems": MOST_EDGES},
    )


def settings_schema(draft: Draft, space: Space) -> dict[str, Any] | None:
    """The schema of the second answer, None where no step of the draft has a dial."""
    for every in (1, 2, 4, 8):
        choices = [name for name, *_ in _settings(draft, space, every)]
        if len(choices) <= LITERALS:
            break
    if not choices:
        return None
    return _object(settings={"type": "array", "items": {"enum": choices}, "maxItems": MOST_SETTINGS})


def plan_of(draft: Draft, settings: Sequence[str], space: Space, *, sources: Mapping[int, str] | None = None) -> Plan:
    """The plan that the two answers describe; ``sources``: programs by the number of their tool. Raises WorkflowError
    JC436 for a tool that is not declared, an edge that leads nowhere or back, a setting that does not exist."""
    values = {name: (number, dial, value) for name, number, dial, value in _settings(draft, space, 1)}
    chosen: dict[int, dict[str, Any]] = {}
    for name in settings:
        if name not in values:
            raise WorkflowError("JC436", f"there is no setting {name!r} in this plan")
        number, dial, value = values[name]
        chosen.setdefault(number, {})[dial] = list(value) if isinstance(value, tuple) else value
    nodes: list[Node] = []
    of_step: dict[int, list[str]] = {}
    taken: set[str] = set()
    for number, step in enumerate(draft["steps"], start=1):
        for use, name, options in _nodes(step, draft, space, sources or {}):
            node_id = free(name, taken)
            of_step.setdefault(number, []).append(node_id)
            nodes.append(Node(id=node_id, use=use, options={**options, **chosen.get(number, {})}))
    for edge in draft.get("edges", ()):
        first, last = edge["from"], edge["to"]
        if last not in of_step or not first < last:
            raise WorkflowError("JC436", f"an edge leads from step {first} to step {last}, which is no later step")
        nodes = [
            node.model_copy(update={"after": (*node.after, *of_step[first])}) if node.id in of_step[last] else node
            for node in nodes
        ]
    return Plan(idea=draft["idea"], nodes=tuple(nodes))


def shown_plan(plan: Plan) -> str:
    """The plan in brief, on one line: idea, numbered steps with the options they have, invented tools.

    ``idea | 1 read; 2 extract(sources=[list]); 3 judge diagnosis(threshold=0.35); 4 tool 1 | tool 1: role: purpose``
    """
    steps: list[str] = []
    tools: list[str] = []
    for number, node in enumerate(plan.nodes, start=1):
        options = dict(node.options)
        kinds = options.pop("kinds", None) or []
        kind = str(options.pop("kind", "") or (kinds[0] if len(kinds) == 1 else ""))
        name = node.component
        if name in (table()["tool"], table()["program"]):
            name = f"tool {len(tools) + 1}"
            inputs = ", ".join(options.pop("inputs", options.pop("reads", ["notes"])))
            output = options.pop("output", None) or ", ".join(options.pop("writes", ["names"]))
            options.pop("source", None)
            role = ": ".join(one for one in (options.pop("role", "program"), options.pop("purpose", "")) if one)
            tools.append(f"{name}: {role} ({inputs} -> {output})")
        told = ", ".join(f"{option}={shown(value)}" for option, value in options.items())
        steps.append(" ".join(filter(None, (str(number), name, kind))) + (f"({told})" if told else ""))
    return " | ".join(filter(None, (plan.idea, "; ".join(steps), "; ".join(tools))))


def shown_draft(draft: Draft) -> str:
    """A draft in brief, its steps numbered as settings refer to them."""
    steps = (f"{number} {step['use']} {step['kind']}" for number, step in enumerate(draft["steps"], start=1))
    return f"{draft['idea']} | {'; '.join(steps)}"


def tool_names(count: int) -> list[str]:
    """How steps refer to the invented tools."""
    return [f"tool {number}" for number in range(1, count + 1)]


def program_tools(draft: Draft) -> list[int]:
    """The numbers of those tools of a draft that are to be programs."""
    outputs = table()["tools"]["program_outputs"]
    return [number for number, tool in enumerate(draft.get("tools", ()), start=1) if tool["output"] in outputs]


def _nodes(
    step: Mapping[str, str], draft: Draft, space: Space, sources: Mapping[int, str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The nodes of one step: component, wanted id, options."""
    use, kind = step["use"], step["kind"]
    if use in space:
        part = space[use]
        for options in part.kinds(kind):
            own = options.get("kind") or next(iter(options.get("kinds", ())), "")
            yield use, f"{use}_{PLURAL[own]}" if own else use, {**options, **part.forced}
        return
    number = int(use.rpartition(" ")[2])
    if not 0 < number <= len(draft.get("tools", ())):
        raise WorkflowError("JC436", f"a step uses {use!r}, which the plan does not declare")
    tool = draft["tools"][number - 1]
    inputs = list(dict.fromkeys(one for one in (tool["input"], tool["also"]) if one != NOTHING))
    if number in program_tools(draft):
        yield table()["program"], f"tool_{number}", _program(tool, inputs, sources.get(number, ""))
        return
    if unknown := [one for one in inputs if one not in table()["tools"]["inputs"]]:
        raise WorkflowError("JC436", f"{use} cannot be shown {unknown[0]}")
    options = {"role": tool["role"].strip(), "purpose": tool["purpose"].strip()}
    restricted = {} if kind == EVERY_KIND else {"kinds": [kind]}
    yield table()["tool"], f"tool_{number}", {**options, "inputs": inputs, "output": tool["output"], **restricted}


def _program(tool: Mapping[str, str], inputs: Sequence[str], source: str) -> dict[str, Any]:
    known = [one for one in inputs if one in table()["tools"]["program_inputs"]]
    if not known or not source.strip():
        raise WorkflowError("JC436", "a program needs a source, and inputs that programs are given")
    return {"source": source, "reads": known, "writes": [tool["output"]]}


def _settings(draft: Draft, space: Space, every: int) -> Iterator[tuple[str, int, str, Any]]:
    """All settings of a draft besides the defaults: as written, step, dial, value; ``every``: only each so-manieth."""
    for number, step in enumerate(draft["steps"], start=1):
        part = space.get(step["use"])
        for dial in part.dials.values() if part else ():
            for value in [value for value in dial.settings if value != dial.default][::every]:
                yield f"{number} {step['use']}.{dial.name}={shown(value)}", number, dial.name, value


def free(name: str, taken: set[str]) -> str:
    """The name, with a number behind it if it is taken; it is taken from then on."""
    wanted, number = name, 2
    while wanted in taken:
        wanted, number = f"{name}_{number}", number + 1
    taken.add(wanted)
    return wanted


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
