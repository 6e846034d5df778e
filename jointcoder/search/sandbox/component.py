"""The step kind ``python``: a program that a model wrote, as a node of a workflow.

    [[step]]
    use = "python"
    [step.options]
    reads = ["mentions", "diagnosis_candidates"]
    writes = ["diagnosis_candidates"]
    source = '''
    def run(inputs, tools):
        kept = [one for one in inputs["diagnosis_candidates"] if tools.is_leaf(one["code"], system=one["system"])]
        return {"diagnosis_candidates": kept}
    '''

The source is part of the options, hence of the workflow's hash: what a person approved is what runs. It gets the
slots it declares as plain JSON and the code book through :class:`CodeTools`; it never asks a model. What it returns is
believed as little as what a model says. Every item is validated like a record that comes in. Evidence must reproduce
its quote. A code may leave only if it went in: as an input, or through a tool in this very run; its name is the book's.
Where anything is wrong the record keeps the state before the step, and a flag.

Only a run that allows Python (setting ``allow_python``) has such a step, and only where it can be isolated (JC451,
JC450, before the run); approval is asked for beside that, as for every workflow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError

from jointcoder.errors import WorkflowError
from jointcoder.records import AssignedCode, Candidate, Encounter, Kind, Mention, Record, Span
from jointcoder.search.sandbox.jail import available
from jointcoder.search.sandbox.result import Limits
from jointcoder.search.sandbox.run import SOURCE_CHARACTERS, run_python
from jointcoder.search.sandbox.tools import CodeTools
from jointcoder.steps import base
from jointcoder.steps.base import CODE_SLOTS, Run, State, Tools, Update
from jointcoder.steps.common import ranked

Given = Literal[
    "documents", "sections", "mentions", "diagnosis_candidates", "procedure_candidates", "diagnoses", "procedures"
]
Made = Literal["mentions", "diagnosis_candidates", "procedure_candidates", "diagnoses", "procedures"]
KINDS: Mapping[str, type[Record]] = {
    "mentions": Mention,
    "diagnosis_candidates": Candidate,
    "procedure_candidates": Candidate,
    "diagnoses": AssignedCode,
    "procedures": AssignedCode,
}
MOST = 5_000  # items in a slot
PATIENCE = 3.0  # wall-clock time by processor time: other programs want the cores too


class PythonOptions(base.StepOptions):
    """``source``: the program; ``entry``: its function of (inputs, tools); ``reads``: what it is given, documents with
    age, sex and dates; ``writes``: slots it may return; ``sha256``: of the source, checked where it is stated;
    ``seconds``: processor time it may take; ``memory_mb``: address space it may take; ``calls``: how often it may ask
    tools."""

    source: str = Field(min_length=1, max_length=SOURCE_CHARACTERS)
    entry: str = Field(default="run", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    reads: tuple[Given, ...] = ("mentions",)
    writes: tuple[Made, ...] = Field(min_length=1)
    sha256: str = ""
    seconds: float = Field(default=10.0, gt=0, le=120)
    memory_mb: int = Field(default=256, ge=64, le=4096)
    calls: int = Field(default=2_000, ge=0, le=100_000)

    def worded(self) -> tuple[str, ...]:
        """No code may stand in the source: it would be an answer, not a way to one."""
        return (self.source,)

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.source.encode("utf-8", "surrogatepass")).hexdigest()


class Python(base.Step):
    """Runs the source in the sandbox and takes over what it returns, item by item."""

    name: ClassVar[str] = "python"
    purpose: ClassVar[str] = "a generated program, run where it can reach nothing"
    Options: ClassVar[type[base.StepOptions]] = PythonOptions
    options: PythonOptions

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({"encounter", "language", *self.options.reads}) - {"documents"}

    @property
    def writes(self) -> frozenset[str]:
        return frozenset(self.options.writes)

    def require(self, *, allow_python: bool) -> None:
        """WorkflowError JC451 where the run does not allow Python, JC450 where it cannot be isolated, JC452 where the
        source is not the one declared."""
        if not allow_python:
            message = "the workflow holds generated Python, which this run does not allow"
            raise WorkflowError("JC451", message, hint="--allow-python, or the setting allow_python, allows it")
        if self.options.sha256 and self.options.sha256 != self.options.hash:
            raise WorkflowError("JC452", "the generated Python is not the one declared: its sha256 differs")
        if not (there := available()).ok:
            raise WorkflowError("JC450", f"generated Python cannot be isolated here: {there.why}")

    def run(self, state: State, tools: Tools) -> Run:
        self.require(allow_python=tools.allow_python)
        offered = CodeTools(state, tools)
        result = run_python(
            self.options.source,
            entry=self.options.entry,
            inputs=self._inputs(state, tools),
            tools=offered.tools(),
            limits=Limits(
                wall_s=PATIENCE * self.options.seconds,
                cpu_s=max(1, round(self.options.seconds)),
                memory_mb=self.options.memory_mb,
                calls=self.options.calls,
            ),
        )
        value = result.unwrap()
        if not isinstance(value, dict) or not set(value) <= self.writes:
            raise WorkflowError("JC456", "the generated Python returned something else than the slots it declares")
        notes = {"source": self.options.hash[:12], "calls": sum(result.calls.values())}
        yield from ()
        taken = {slot: self._taken(slot, value[slot], state, tools, offered) for slot in sorted(value)}
        return Update(taken, notes=notes)

    # ------------------------------------------------------------------------------------------------- in and out

    def _inputs(self, state: State, tools: Tools) -> dict[str, Any]:
        given: dict[str, Any] = {"language": state.language, "systems": list(tools.systems)}
        for name in self.options.reads:
            if name == "documents":
                given |= _shown(state.encounter)
            else:
                given[name] = [item.model_dump(mode="json") for item in getattr(state, name)]
        return given

    def _taken(self, slot: str, value: Any, state: State, tools: Tools, offered: CodeTools) -> tuple[Any, ...]:
        """The slot's new content. WorkflowError JC456, which names the slot and the item."""
        if not isinstance(value, list) or len(value) > MOST:
            raise WorkflowError("JC456", f"the generated Python returned no list of at most {MOST:,} for {slot}")
        model, items = KINDS[slot], []
        for number, raw in enumerate(value, start=1):
            try:
                item = model.model_validate(raw)
            except ValidationError:
                item = None
            if item is None or not self._believed(slot, item, state, offered):
                message = f"the generated Python returned something that may not be in {slot}: item {number}"
                raise WorkflowError("JC456", message)
            items.append(_named(item, state, tools))
        return ranked(items) if slot in CODE_SLOTS.values() else tuple(items)

    def _believed(self, slot: str, item: Any, state: State, offered: CodeTools) -> bool:
        if isinstance(item, Mention):
            return item.span.reproduces(state.encounter)
        kind = Kind.PROCEDURE if slot.startswith("procedure") else Kind.DIAGNOSIS
        spans: tuple[Span, ...] = item.evidence if isinstance(item, AssignedCode) else ()
        return (
            item.system.kind is kind
            and offered.gave(item.system, item.code)
            and all(span.reproduces(state.encounter) for span in spans)
        )


def _shown(encounter: Encounter) -> dict[str, Any]:
    """The texts, age, sex and dates; neither the encounter's id nor its administrative fields."""
    dates = {"admitted": encounter.admitted, "discharged": encounter.discharged}
    return {
        "documents": [{"title": one.title, "kind": one.kind, "text": one.text} for one in encounter.documents],
        "patient": encounter.patient.model_dump(mode="json"),
        **{name: day.isoformat() if day else None for name, day in dates.items()},
    }


def _named(item: Any, state: State, tools: Tools) -> Any:
    """The item under the book's name of its code, and, of a code, with this step among its stages."""
    if isinstance(item, Mention):
        return item
    name = tools.book.name(item.system, item.code, state.language) or item.code
    if isinstance(item, Candidate):
        return item.model_copy(update={"name": name})
    return item.with_(name=name, stages=(*item.stages, Python.name))
