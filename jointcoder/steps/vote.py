"""vote: keeps the codes that enough readings proposed; the share of the readings is a code's confidence.

Self-consistency (Wang 2022) over the readings of ``propose``, the agents of ``debate`` or any other proposers: a code's
voters are the proposers among its stages. A reading that named nothing at all cannot be told from one that was never
made: ``samples`` says how many there were. Asks nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import ClassVar

from pydantic import Field

from jointcoder.records import AssignedCode, Verdict
from jointcoder.steps import base
from jointcoder.steps.base import CODE_SLOTS, Run, State, Tools, Update
from jointcoder.steps.both import CodesStep, KindsOptions


class VoteOptions(KindsOptions):
    """``least``: the share of readings from which a code is kept; ``by``: patterns of the proposers that vote;
    ``samples``: how many readings there were (0: those that named anything); ``weight``: how much the share counts
    beside the confidence that a code has already."""

    least: float = Field(default=0.5, ge=0, le=1)
    by: tuple[str, ...] = ("*",)
    samples: int = Field(default=0, ge=0, le=100)
    weight: float = Field(default=1.0, ge=0, le=1)


class Vote(CodesStep):
    """The share of readings, and the cut."""

    name: ClassVar[str] = "vote"
    purpose: ClassVar[str] = "codes that enough readings proposed; the share becomes the confidence"
    Options: ClassVar[type[base.StepOptions]] = VoteOptions
    options: VoteOptions
    also_reads = frozenset({"encounter", "language", "proposals"})

    def run(self, state: State, tools: Tools) -> Run:
        yield from ()
        voters = sorted({one.by for one in state.proposals if self._votes(one.by)})
        total = max(self.options.samples, len(voters))
        if not voters:  # nobody spoke: there is nothing to count, and nothing is dropped for it
            return Update(notes={"readings": 0, "dropped": 0})
        values: dict[str, tuple[AssignedCode, ...]] = {}
        dropped = 0
        for kind, codes in self.drafts(state, tools):
            kept = [
                voted
                for code in codes
                if (voted := self._voted(code, voters, total)).verdicts[-1].probability >= self.options.least
            ]
            dropped += len(codes) - len(kept)
            values[CODE_SLOTS[kind]] = self.passed(sorted(kept, key=lambda code: -code.verdicts[-1].probability))
        return Update(values, notes={"readings": total, "dropped": dropped})

    def _votes(self, by: str) -> bool:
        return any(fnmatchcase(by, pattern) for pattern in self.options.by)

    def _voted(self, code: AssignedCode, voters: Sequence[str], total: int) -> AssignedCode:
        for_it = sum(voter in code.stages for voter in voters)
        share = for_it / total
        weight = self.options.weight
        verdict = Verdict(
            step=self.name, question="proposed", answer=f"{for_it} of {total}", probability=share, by="readings"
        )
        return code.with_(
            confidence=weight * share + (1 - weight) * code.confidence, verdicts=(*code.verdicts, verdict)
        )
