"""Steps that work on diagnoses and procedures alike: one node of a workflow instead of one a kind.

``kinds`` restricts such a step, so that a workflow may treat the two kinds differently by naming it twice. A kind that
is not coded in a run is passed by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from pydantic import Field

from jointcoder.records import AssignedCode, Kind
from jointcoder.steps import base
from jointcoder.steps.base import CODE_SLOTS, State, Tools
from jointcoder.steps.common import ranked


class KindsOptions(base.StepOptions):
    """``kinds``: what is worked on: diagnoses, procedures or both."""

    kinds: tuple[Kind, ...] = Field(default=tuple(Kind), min_length=1, max_length=len(Kind))


class KindsStep(base.Step):
    """See the module. Subclasses say which slots they need besides those of ``kinds``."""

    Options: ClassVar[type[base.StepOptions]] = KindsOptions
    options: KindsOptions

    def slots(self, table: Mapping[Kind, str] = CODE_SLOTS) -> frozenset[str]:
        """The slots of the step's kinds in a table of slots."""
        return frozenset(table[kind] for kind in self.options.kinds)

    def coded(self, tools: Tools) -> tuple[Kind, ...]:
        """The step's kinds that are coded in this run, diagnoses first."""
        return tuple(kind for kind in Kind if kind in self.options.kinds and tools.system(kind))


class CodesStep(KindsStep):
    """A step that changes, drops or orders the draft codes of its kinds."""

    also_reads: ClassVar[frozenset[str]] = frozenset({"encounter", "language", "sections", "chunks"})

    @property
    def reads(self) -> frozenset[str]:
        return self.also_reads | self.slots()

    @property
    def writes(self) -> frozenset[str]:
        return self.slots()

    def drafts(self, state: State, tools: Tools) -> Iterator[tuple[Kind, tuple[AssignedCode, ...]]]:
        """The draft codes kind by kind."""
        for kind in self.coded(tools):
            yield kind, getattr(state, CODE_SLOTS[kind])

    def passed(self, codes: Iterable[AssignedCode]) -> tuple[AssignedCode, ...]:
        """The codes in the order given, ranked, with this step's name among their stages."""
        return ranked(code.with_(stages=tuple(dict.fromkeys((*code.stages, self.name)))) for code in codes)
