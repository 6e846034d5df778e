"""A plan: the idea, and the nodes of a typed graph in the order in which they are to run; to a workflow and back.

    plan = Plan(idea="…", nodes=(Node(id="read", use="read"), Node(id="extract", use="extract", options={…}), …))
    flow = plan.workflow("try 7", languages=("en",))        # checked: WorkflowError JC402, JC407, JC401 …
    Plan.of(flow) == plan

Nodes that name no ``after`` are joined by their slots: a node runs after the last writer of what it reads and writes,
and after nothing more, so that a plan in a sensible order is a sensible graph and branches stay apart. Codes may stand
nowhere in a plan (JC437): a workflow that names one knows an answer. Knows no archive and no model;
:mod:`jointcoder.search.grammar` writes and reads the JSON that a model sees.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import tomli_w
from pydantic import BaseModel, ConfigDict

from jointcoder.errors import WorkflowError, name_list
from jointcoder.steps import registry
from jointcoder.steps.base import CODE_SLOTS, GATHERED, Step
from jointcoder.steps.literals import code_literals
from jointcoder.workflow.check import plan as checked
from jointcoder.workflow.spec import Needs, StepSpec, Workflow

SOURCE = "found by search"
RESULTS = frozenset({*CODE_SLOTS.values(), "suggestions", "findings"})  # what a coded record is made of


class Node(BaseModel):
    """One node: a component under an id, with options; ``after``: ids it must follow besides those its slots imply."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    use: str
    options: dict[str, Any] = {}
    after: tuple[str, ...] = ()

    @property
    def component(self) -> str:
        """The component under its own name, where the node uses an alias."""
        return registry.ALIASES.get(self.use, self.use)

    def with_options(self, **options: Any) -> Self:
        """The node with some options changed; None takes one away."""
        changed = {**self.options, **options}
        return self.model_copy(update={"options": {k: v for k, v in changed.items() if v is not None}})


class Plan(BaseModel):
    """See the module. Frozen; ``nodes`` in an order in which they can run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    idea: str = ""
    nodes: tuple[Node, ...]

    @classmethod
    def of(cls, workflow: Workflow) -> Self:
        """The plan of a workflow, of the library or found before; its graph is kept as it is."""
        nodes = (
            Node(id=spec.id or spec.use, use=spec.use, options=spec.options, after=spec.after or ())
            for spec in workflow.step
        )
        return cls(idea=workflow.summary, nodes=tuple(nodes))

    def workflow(self, name: str, *, languages: Sequence[str] = (), version: str = "1") -> Workflow:
        """The plan as a workflow, in the plan's order, wiring checked. Raises WorkflowError: JC401 (unknown component),
        JC407 (an option), JC402 (the nodes do not join up), JC420 or JC437 (a code stands in the plan)."""
        self.require_no_codes()
        steps = self.steps()
        made = Workflow(
            name=name,
            version=version,
            summary=" ".join(self.idea.split())[:200],
            source=SOURCE,
            needs=Needs(languages=tuple(languages), model=any(step.asks for step in steps.values())),
            step=tuple(self._wired(steps)),
        )
        checked(made)
        return made

    def steps(self) -> dict[str, Step]:
        """The nodes' steps by id, built. Raises WorkflowError JC401, JC402 (an id comes twice), JC407 or JC420."""
        steps: dict[str, Step] = {}
        for node in self.nodes:
            if node.id in steps:
                raise WorkflowError("JC402", f"two nodes are called {node.id!r}")
            steps[node.id] = registry.build(node.use, node.options)
        return steps

    def idle(self) -> list[str]:
        """The nodes whose work nobody uses: all they write is written anew before it is read, or never read. What the
        coded record is made of counts as read at the end."""
        steps = self.steps()
        found: list[str] = []
        used = set(RESULTS)
        for node in reversed(self.nodes):
            step = steps[node.id]
            if not step.writes & used and step.writes:
                found.append(node.id)
                continue
            used -= step.writes - step.reads - GATHERED
            used |= step.reads
        return found[::-1]

    def require_no_codes(self) -> None:
        """Raises WorkflowError JC437 where the idea or an option holds a code, saying where and how many."""
        for place, text in self._texts():
            if held := code_literals(text):
                message = f"{place} holds {len(held)} codes; a plan says in words what is meant"
                raise WorkflowError("JC437", message, hint="models never see or write codes")

    def with_nodes(self, nodes: Iterable[Node], *, idea: str | None = None) -> Self:
        """The plan with other nodes."""
        return self.model_copy(update={"nodes": tuple(nodes), "idea": self.idea if idea is None else idea})

    def __getitem__(self, node_id: str) -> Node:
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise WorkflowError("JC436", f"the plan has no node {node_id!r}", hint=name_list(n.id for n in self.nodes))

    def _texts(self) -> Iterator[tuple[str, str]]:
        yield "the idea", self.idea
        for node in self.nodes:
            for name, value in node.options.items():
                for text in _strings(value):
                    yield f"option {name} of {node.id}", text

    def _wired(self, steps: Mapping[str, Step]) -> Iterator[StepSpec]:
        """The nodes with the edges that their slots imply, those that others imply left out."""
        before: list[str] = []
        ancestors: dict[str, set[str]] = {}
        for node in self.nodes:
            if unknown := [one for one in node.after if one not in before]:
                raise WorkflowError("JC402", f"{node.id} is to follow {name_list(unknown)}, which does not precede it")
            wanted = {*node.after, *_predecessors(steps[node.id], before, steps)}
            implied = set().union(*(ancestors[one] for one in wanted))
            after = tuple(one for one in before if one in wanted - implied)
            ancestors[node.id] = wanted | implied
            before.append(node.id)
            yield StepSpec(use=node.use, id=node.id, after=after, options=dict(node.options))


def _predecessors(step: Step, before: Sequence[str], steps: Mapping[str, Step]) -> set[str]:
    """Which of the nodes ``before`` a step must follow: the last writer of each slot that it reads or writes; of a slot
    that gathers every writer, if it reads it. (Nodes run in the plan's order, so that what a step reads is never
    written anew by one that stands behind it.)"""
    found: set[str] = set()
    for slot in (step.reads | step.writes) - {"encounter"}:
        writers = [other for other in before if slot in steps[other].writes]
        if slot not in GATHERED:
            found.update(writers[-1:])
        elif slot in step.reads:
            found.update(writers)
    return found


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)


def to_toml(workflow: Workflow) -> str:
    """The workflow as the TOML that ``load_workflow`` reads; the hash of what is read is the workflow's own."""
    body: dict[str, Any] = {
        "name": workflow.name,
        "version": workflow.version,
        "summary": workflow.summary,
        "source": workflow.source,
        "needs": workflow.needs.model_dump(mode="json", exclude_defaults=True),
        "step": [
            {"use": spec.use, "id": spec.id, "after": list(spec.after or ()), **_options(spec)}
            for spec in workflow.step
        ],
    }
    return tomli_w.dumps(body, multiline_strings=True)


def _options(spec: StepSpec) -> dict[str, Any]:
    plain = json.loads(json.dumps(spec.options, default=list))  # tuples as lists, as TOML has them
    return {"options": {name: value for name, value in plain.items() if value is not None}} if plain else {}
