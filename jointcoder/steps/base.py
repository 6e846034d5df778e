"""The step protocol: state in, update out; what a step needs of the model it *asks* for.

    state ──► step.run(state, tools) ──► update {slot: value}
                      │  ▲
          yield Ask   ▼  │  answers
                   the runner

A step is written for one encounter, top to bottom. Where it needs the model it yields a :class:`Generate` or
:class:`Choose` and receives the answers; the runner may gather the requests of many encounters into one call,
cache them, count their cost and keep them for the trace. A step therefore never sees a model object, cannot
hide a call, and is tested without one. A step declares the slots it ``reads`` and ``writes``; the wiring is
checked before a run and the declaration is enforced during it.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from jointcoder.llm.base import Choice, Context, Generation, Prompt, Question, Schema
from jointcoder.records import (
    AssignedCode,
    Candidate,
    Encounter,
    Finding,
    Flag,
    Kind,
    Mention,
    Section,
    System,
)

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.codebook.lookup import Lookup
    from jointcoder.packs import Pack
    from jointcoder.steps.prompting import Prompts
    from jointcoder.steps.proposals import Proposed, Written
    from jointcoder.text.chunks import Chunk


@dataclass(frozen=True)
class State:
    """Everything known of one encounter at one point of its way. Steps return changed copies through updates."""

    encounter: Encounter
    language: str = ""
    sections: tuple[Section, ...] = ()
    chunks: tuple[Chunk, ...] = ()
    mentions: tuple[Mention, ...] = ()
    proposals: tuple[Proposed, ...] = ()
    texts: tuple[Written, ...] = ()
    diagnosis_candidates: tuple[Candidate, ...] = ()
    procedure_candidates: tuple[Candidate, ...] = ()
    diagnoses: tuple[AssignedCode, ...] = ()
    procedures: tuple[AssignedCode, ...] = ()
    suggestions: tuple[AssignedCode, ...] = ()
    findings: tuple[Finding, ...] = ()
    flags: tuple[Flag, ...] = ()

    def updated(self, update: Update) -> State:
        """A copy with the update's slots set (of the gathered ones: added to) and its flags appended."""
        values = dict(update.values)
        values |= {slot: (*getattr(self, slot), *values[slot]) for slot in GATHERED & values.keys()}
        return replace(self, **values, flags=self.flags + update.flags)


SLOTS = frozenset(State.__dataclass_fields__) - {"flags"}
GATHERED = frozenset({"proposals", "texts"})  # slots that steps add to, also side by side; none takes from them
CODE_SLOTS: Mapping[Kind, str] = {Kind.DIAGNOSIS: "diagnoses", Kind.PROCEDURE: "procedures"}
CANDIDATE_SLOTS: Mapping[Kind, str] = {
    Kind.DIAGNOSIS: "diagnosis_candidates",
    Kind.PROCEDURE: "procedure_candidates",
}


@dataclass(frozen=True)
class Update:
    """What a step returns: new values for slots it declared, flags for the record, notes for the trace.

    ``notes`` hold counts and names of code-book entries only, never note text.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Generate:
    """Ask for schema-bound text; the answer is ``list[Generation]``. ``adapter``: None means the step's option."""

    prompts: Sequence[Prompt]
    schema: Schema | None = None
    max_tokens: int = 512
    adapter: str | None = None


@dataclass(frozen=True)
class Choose:
    """Ask for scores of short answers after one context; the answer is ``list[Choice]``. ``adapter``: None means the
    step's option."""

    context: Context
    questions: Sequence[Question]
    adapter: str | None = None


Ask = Generate | Choose
Answers = list[Any]  # list[Generation] after Generate, list[Choice] after Choose
Run = Generator[Ask, Answers, Update]


@dataclass(frozen=True)
class Tools:
    """What steps may use besides the state. ``systems`` are the code systems to assign, one per kind at most; ``pack``
    is what coded history taught, where one is in use; ``allow_python``: whether generated Python may run."""

    book: CodeBook
    lookup: Lookup
    prompts: Callable[[str], Prompts]
    count_tokens: Callable[[str], int]
    context_tokens: int
    systems: tuple[System, ...]
    pack: Pack | None = None
    allow_python: bool = False

    def system(self, kind: Kind) -> System | None:
        """The code system in use for a kind, or None if that kind is not coded in this run."""
        return next((system for system in self.systems if system.kind is kind), None)


class StepOptions(BaseModel):
    """Base of a step's options: frozen, unknown names refused, ranges declared on the fields.

    ``adapter``: the adapter under which the model answers the step; the runner puts it on what the step asks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    adapter: str = ""

    def worded(self) -> tuple[str, ...]:
        """Texts among the options that the model is shown: no code may stand in them."""
        return ()


class KindOptions(StepOptions):
    """Options of steps that run once per kind."""

    kind: Kind


class Step(ABC):
    """A component of a workflow. Subclasses set ``name``, ``purpose`` and an ``Options`` model."""

    name: ClassVar[str]
    purpose: ClassVar[str]
    Options: ClassVar[type[StepOptions]] = StepOptions

    def __init__(self, options: StepOptions) -> None:
        self.options = options

    @property
    @abstractmethod
    def reads(self) -> frozenset[str]:
        """Slots that must have been written before (``encounter`` always is)."""

    @property
    @abstractmethod
    def writes(self) -> frozenset[str]:
        """Slots that this step may set."""

    @property
    def asks(self) -> bool:
        """Whether the step may ask the model."""
        return False

    def require(self, *, allow_python: bool) -> None:
        """Raise WorkflowError where this run, or this machine, does not have what the step cannot do without."""
        return

    @abstractmethod
    def run(self, state: State, tools: Tools) -> Run:
        """The step itself, a generator: yields asks, returns an Update."""


class KindStep(Step):
    """A step that works on the codes of one kind: it reads and writes their slot, besides ``also_reads``."""

    Options: ClassVar[type[StepOptions]] = KindOptions
    options: KindOptions
    also_reads: ClassVar[frozenset[str]] = frozenset({"encounter", "language", "chunks"})

    @property
    def slot(self) -> str:
        """The slot of the codes this step works on."""
        return CODE_SLOTS[self.options.kind]

    @property
    def reads(self) -> frozenset[str]:
        return self.also_reads | {self.slot}

    @property
    def writes(self) -> frozenset[str]:
        return frozenset({self.slot})


def edition_date(encounter: Encounter) -> dt.date | None:
    """The date whose edition of the code book counts: discharge, else admission (guidelines, section I)."""
    return encounter.discharged or encounter.admitted


def validity_date(encounter: Encounter, pack: Pack | None) -> dt.date | None:
    """The date on which a code must be valid: the encounter's own; without one, that of the edition which a pack in use
    was taught."""
    return edition_date(encounter) or (pack.info.as_of if pack is not None else None)


__all__ = [
    "CANDIDATE_SLOTS",
    "CODE_SLOTS",
    "GATHERED",
    "SLOTS",
    "Answers",
    "Ask",
    "Choice",
    "Choose",
    "Generate",
    "Generation",
    "KindOptions",
    "KindStep",
    "Run",
    "State",
    "Step",
    "StepOptions",
    "Tools",
    "Update",
    "edition_date",
    "validity_date",
]
