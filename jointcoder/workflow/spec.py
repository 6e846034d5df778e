"""A workflow as data: a TOML file of steps, each a component with options, joined into a graph.

    name, version, summary, source      what it is and where it comes from
    [needs]  languages, model, …        what must be there before it runs (:class:`Needs`)
    [[step]] use = "component"          id defaults to the component's name
             after = ["id", …]          defaults to the step above
             [step.options]             checked against the component's Options

The hash covers everything that changes results (not name, summary or comments), so equal hashes mean equal
workflows. A plan that a program makes is the same thing: :meth:`Workflow.from_plan` takes what TOML would hold (steps
as ``{"use", "id", "after", "options"}``; components and the bounds of their options: ``registry.signatures()``), and
:func:`jointcoder.workflow.check.plan` says whether it joins up. This module knows nothing of how steps run.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jointcoder.errors import WorkflowError, name_list
from jointcoder.records import System

_ALWAYS_HASHED = ("languages", "model")  # needs that came later count only where they are stated


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Needs(_Frozen):
    """What a workflow cannot do without; an unmet need is an error before the run, never a silent skip.

    ``languages``: those that it is made for (of the record, found when it is read); ``model``: a language model;
    ``systems``: code systems that it must be able to assign; ``pack``: a learned pack; ``adapters``: of the model.
    """

    languages: tuple[str, ...] = ()
    model: bool = False
    systems: tuple[System, ...] = ()
    pack: bool = False
    adapters: tuple[str, ...] = ()


class StepSpec(_Frozen):
    """One node: which component, under which id, after which others, with which options."""

    use: str
    id: str = ""
    after: tuple[str, ...] | None = None
    options: dict[str, Any] = {}


class Workflow(_Frozen):
    """A named graph of steps, in an order in which they can run."""

    name: str
    version: str = "1"
    summary: str = ""
    source: str = ""
    needs: Needs = Needs()
    step: tuple[StepSpec, ...] = Field(min_length=1)

    @classmethod
    def from_toml(cls, text: str, *, origin: str = "workflow") -> Self:
        """Parse; defaults for ``id`` and ``after`` filled in. Raises WorkflowError JC407."""
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise WorkflowError("JC407", f"{origin}: {error}") from None
        return cls.from_plan(table, origin=origin)

    @classmethod
    def from_plan(cls, table: Mapping[str, Any], *, origin: str = "plan") -> Self:
        """The same from what TOML would hold, as a program writes it. Raises WorkflowError JC407."""
        try:
            flow = cls(**table)
        except TypeError as error:
            raise WorkflowError("JC407", f"{origin}: {error}") from None
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise WorkflowError("JC407", f"{origin}: {problems}") from None
        steps: list[StepSpec] = []
        for spec in flow.step:
            after = spec.after if spec.after is not None else tuple(s.id for s in steps[-1:])
            steps.append(spec.model_copy(update={"id": spec.id or spec.use, "after": after}))
        return flow.model_copy(update={"step": tuple(steps)})

    @property
    def hash(self) -> str:
        """sha256 of the canonical form. Never kept on the object: its changed copies would keep it too."""
        body = self.model_dump(mode="json", include={"needs", "step"})
        body["needs"] = {name: value for name, value in body["needs"].items() if value or name in _ALWAYS_HASHED}
        canonical = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def without(self, step_id: str) -> Self:
        """The same workflow with a step left out, its neighbours joined. WorkflowError JC407."""
        gone = self._named(step_id)
        kept = []
        for spec in self.step:
            if spec.id != step_id:
                after = [
                    before
                    for name in spec.after or ()
                    for before in ((gone.after or ()) if name == step_id else (name,))
                ]
                kept.append(spec.model_copy(update={"after": tuple(dict.fromkeys(after))}))
        return self.model_copy(update={"name": f"{self.name} without {step_id}", "step": tuple(kept)})

    def with_options(self, step_id: str, **options: Any) -> Self:
        """The same workflow with some options of a step changed. WorkflowError JC407."""
        changed = self._named(step_id)
        spec = changed.model_copy(update={"options": {**changed.options, **options}})
        said = ", ".join(f"{name} = {value}" for name, value in options.items())
        steps = tuple(spec if one.id == step_id else one for one in self.step)
        return self.model_copy(update={"name": f"{self.name}, {step_id}: {said}", "step": steps})

    def _named(self, step_id: str) -> StepSpec:
        for spec in self.step:
            if spec.id == step_id:
                return spec
        known = name_list(spec.id for spec in self.step)
        raise WorkflowError("JC407", f"{self.name} has no step {step_id!r}", hint=f"its steps: {known}")

    def ancestors(self, step_id: str) -> set[str]:
        """Ids of all steps that run before ``step_id`` on some path."""
        parents = {spec.id: spec.after or () for spec in self.step}
        found: set[str] = set()
        queue = list(parents.get(step_id, ()))
        while queue:
            node = queue.pop()
            if node not in found:
                found.add(node)
                queue.extend(parents.get(node, ()))
        return found


def library_names() -> list[str]:
    """Names of the workflows that ship."""
    folder = files("jointcoder.workflow") / "library"
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml"))


def load_workflow(name: str) -> Workflow:
    """A workflow of the library by name, or any ``.toml`` file by path. Raises WorkflowError JC404 or JC407."""
    path = Path(name)
    if path.suffix == ".toml":
        try:
            return Workflow.from_toml(path.read_text("utf-8"), origin=path.name)
        except (OSError, UnicodeDecodeError) as error:
            raise WorkflowError("JC404", f"workflow file {path.name}: {type(error).__name__}") from None
    if name not in library_names():
        raise WorkflowError(
            "JC404", f"unknown workflow {name!r}", hint=f"known workflows: {name_list(library_names())}"
        )
    text = (files("jointcoder.workflow") / "library" / f"{name}.toml").read_text("utf-8")
    return Workflow.from_toml(text, origin=f"{name}.toml")
