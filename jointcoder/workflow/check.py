"""Whether a workflow's steps join up, found out before anything runs (after spaCy's ``pipe_analysis``).

Checked: unique ids; ``after`` names earlier steps; components and options exist; every slot that a step reads was
written by one of its ancestors; two branches that may run side by side never write the same slot (but for those that
steps only add to); a step that asks the model implies ``needs.model``, and only such a step names an adapter; what the
steps leave is a coded record. Before a run :func:`require_needs` compares what the workflow needs with what is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from jointcoder.errors import JointCoderError, WorkflowError, name_list
from jointcoder.llm.base import LanguageModel
from jointcoder.steps import registry
from jointcoder.steps.base import CODE_SLOTS, GATHERED, SLOTS, Step, Tools
from jointcoder.workflow.spec import Workflow


@dataclass(frozen=True)
class Plan:
    """A checked workflow: its steps, built, by id, in an order in which they can run."""

    workflow: Workflow
    steps: tuple[tuple[str, Step], ...]

    @property
    def asks(self) -> bool:
        """Whether any step may ask the model."""
        return any(step.asks for _, step in self.steps)

    @property
    def learns(self) -> bool:
        """Whether a step works by a learned pack and cannot do without."""
        return self.workflow.needs.pack or any(step.name == "learned" for _, step in self.steps)

    @property
    def pack(self) -> str:
        """The pack that the steps name, if one does."""
        return next((name for _, step in self.steps if (name := getattr(step.options, "pack", ""))), "")

    @property
    def adapters(self) -> tuple[str, ...]:
        """The adapters that the steps name and that the workflow needs, each once, in the order of the steps."""
        named = (step.options.adapter for _, step in self.steps if step.options.adapter)
        return tuple(dict.fromkeys([*named, *self.workflow.needs.adapters]))


def plan(workflow: Workflow) -> Plan:
    """Build and check. Raises WorkflowError (JC401, JC402, JC407, JC420) that lists every wiring problem at once."""
    problems: list[str] = []
    built: dict[str, Step] = {}
    for spec in workflow.step:
        if spec.id in built:
            problems.append(f"two steps are called {spec.id!r}; give one an id")
            continue
        problems += [f"{spec.id}: runs after {a!r}, which does not precede it" for a in _unknown(spec.after, built)]
        built[spec.id] = registry.build(spec.use, spec.options)
    if not problems:
        problems += _slot_problems(workflow, built)
        if any(step.asks for step in built.values()) and not workflow.needs.model:
            problems.append("a step asks the model but needs.model is false")
        idle = [step_id for step_id, step in built.items() if step.options.adapter and not step.asks]
        problems += [f"{step_id} names an adapter but does not ask the model" for step_id in idle]
    if problems:
        raise WorkflowError("JC402", f"workflow {workflow.name!r} does not join up: " + "; ".join(problems))
    return Plan(workflow, tuple(built.items()))


def require_needs(plan: Plan, tools: Tools, model: LanguageModel | None) -> None:
    """Raises WorkflowError JC403, naming what there is, where the workflow needs what is absent: a model, one of its
    adapters, a code system, a learned pack."""
    name, needs = plan.workflow.name, plan.workflow.needs
    if plan.asks and model is None:
        hint = "run `jointcoder setup`, or use a workflow without one"
        raise WorkflowError("JC403", f"workflow {name!r} needs a model", hint=hint)
    if missing := [system for system in needs.systems if system not in tools.systems]:
        hint = f"code book {tools.book.info.id} is used for {name_list(tools.systems)}; choose another with --book"
        raise WorkflowError("JC403", f"workflow {name!r} needs {name_list(missing)}", hint=hint)
    if needs.pack and tools.pack is None:
        hint = "name one with --pack; `jointcoder packs list` shows those that are here"
        raise WorkflowError("JC403", f"workflow {name!r} needs a learned pack", hint=hint)
    if model is not None and plan.adapters:
        require_adapters(plan, model)


def require_adapters(plan: Plan, model: LanguageModel) -> None:
    """Raises WorkflowError JC403, naming the known ones, if the steps name adapters that the model does not have."""
    if absent := [name for name in plan.adapters if name not in model.adapters]:
        known = name_list(model.adapters) if model.adapters else "none"
        raise WorkflowError(
            "JC403",
            f"workflow {plan.workflow.name!r} names adapters that {model.info.name} does not have: {name_list(absent)}",
            hint=f"its adapters: {known}",
        )


def require_allowed(plan: Plan, *, allow_python: bool) -> None:
    """Raises WorkflowError (of generated Python JC451, JC450) if this run, or this machine, does not have what a step
    cannot do without."""
    for _, step in plan.steps:
        step.require(allow_python=allow_python)


def problems(workflow: Workflow) -> list[str]:
    """The same as text, for ``workflow check``: empty when all is well."""
    try:
        plan(workflow)
    except JointCoderError as error:
        return [f"{error.code}: {error.message}"]
    return []


def _unknown(after: tuple[str, ...] | None, built: dict[str, Step]) -> list[str]:
    return [name for name in after or () if name not in built]


def _slot_problems(workflow: Workflow, built: dict[str, Step]) -> list[str]:
    found: list[str] = []
    ancestors = {step_id: workflow.ancestors(step_id) for step_id in built}
    for step_id, step in built.items():
        unknown = (step.reads | step.writes) - SLOTS
        found += [f"{step_id}: declares unknown slot {slot!r}" for slot in sorted(unknown)]
        written = {"encounter"}.union(*(built[a].writes for a in ancestors[step_id]))
        found += [f"{step_id} reads {slot!r}, which no step before it writes" for slot in sorted(step.reads - written)]
    ids = list(built)
    for i, one in enumerate(ids):
        for other in ids[i + 1 :]:
            if one in ancestors[other] or other in ancestors[one]:
                continue
            shared = (built[one].writes & built[other].writes) - GATHERED
            found += [f"{one} and {other} run side by side and both write {slot!r}" for slot in sorted(shared)]
    if not any(slot in step.writes for step in built.values() for slot in CODE_SLOTS.values()):
        found.append("no step writes diagnoses or procedures")
    return found
