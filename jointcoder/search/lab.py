"""Runs a workflow on labelled notes for a search: results that are kept by node, counts, checks, transcripts.

    lab = Lab(coder, memory, systems=("ICD-10-CM",))
    for ran in lab.run(workflow, [(0, item), …]):
        ran.result, ran.traces, ran.record, ran.asked, ran.spent

The workflow runs exactly as in production (:class:`jointcoder.coder.Coder`); only its steps are watched. Gold labels
stay on this side: a step sees the encounter alone. Notes go through one after the other, so that whoever is
interrupted loses one note, and what its nodes found is kept even then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from jointcoder.codebook.rules import oracle
from jointcoder.coder import Coder, guessed_tokens
from jointcoder.corpora import Labelled
from jointcoder.errors import JointCoderError, WorkflowError
from jointcoder.evaluation.metrics import Counts
from jointcoder.evaluation.run import failure
from jointcoder.evaluation.scored import Scored, kind_of, predictions, stages
from jointcoder.records import CodedRecord, Severity
from jointcoder.search.nodes import NodeMemory, Passage, Tokens, Watch
from jointcoder.steps.base import CODE_SLOTS, edition_date
from jointcoder.store.archive import Result, Trace
from jointcoder.workflow.check import plan as checked
from jointcoder.workflow.spec import Workflow

# Flags that say that a workflow, not a record, is at fault.
FAULTS = ("JC304", "JC40", "JC420", "JC45", "JC999")
COUNTED = 4096  # texts whose number of tokens is remembered


@dataclass(frozen=True)
class Ran:
    """A workflow on one note. ``asked`` and ``spent``: tokens without and with what was kept."""

    result: Result
    traces: tuple[Trace, ...]
    record: CodedRecord
    asked: Tokens
    spent: Tokens


class Lab:
    """What runs workflows for one search. ``memory`` None: nothing is kept. Only ``systems`` are scored."""

    def __init__(self, coder: Coder, memory: NodeMemory | None, *, systems: Sequence[str]) -> None:
        self.coder, self.systems = coder, tuple(systems)
        self._memory = memory
        self._count = lru_cache(maxsize=COUNTED)(coder.model.count_tokens if coder.model else guessed_tokens)

    def run(self, workflow: Workflow, items: Iterable[tuple[int, Labelled]]) -> Iterator[Ran]:
        """Results in order, each with the place that was given with its note. Raises WorkflowError where the workflow
        does not join up or needs what is not here; a note that fails is a result with its error code."""
        watch = Watch(self._memory, self._count)
        coder = self.coder.running(watch.over(checked(workflow)))
        for place, item in items:
            (record,) = coder.code_many([item.encounter])
            yield self._ran(place, item, record, watch.taken(item.encounter.id))

    def trial(self, workflow: Workflow, item: Labelled) -> Ran:
        """Run on one note to see whether the workflow runs at all. Raises WorkflowError JC438 (saying which step failed
        how, no word of the note) or what :meth:`run` raises."""
        try:
            (ran,) = self.run(workflow, [(0, item)])
        except JointCoderError:
            raise
        except Exception as error:
            raise WorkflowError("JC438", f"the workflow does not run ({type(error).__name__})") from None
        faults = [flag for flag in ran.record.flags if flag.code.startswith(FAULTS)]
        if faults:
            said = "; ".join(f"{flag.step}: {flag.code} {flag.message}" for flag in faults[:3])
            raise WorkflowError("JC438", f"the workflow does not run: {said}")
        return ran

    def scored(self, item: Labelled, record: CodedRecord) -> Scored:
        """The record beside its gold codes, in the systems that are scored."""
        found = Scored(item.gold, predictions(record), failed=failure(record), stages=stages(record))
        return found.restricted(self.systems)

    def _ran(self, place: int, item: Labelled, record: CodedRecord, passages: Mapping[str, Passage]) -> Ran:
        scored = self.scored(item, record)
        gold = scored.gold_keys()
        counts = Counts.of(gold, scored.predicted_keys())
        passed, applied = self._compliance(item, record)
        asked = sum((one.asked for one in passages.values()), Tokens())
        spent = sum((one.spent for one in passages.values()), Tokens())
        result = Result(
            place=place,
            encounter=item.encounter.id,
            tp=counts.tp,
            fp=counts.fp,
            fn=counts.fn,
            passed=passed,
            applied=applied,
            calls=asked.calls,
            read=asked.read,
            written=asked.written,
            seconds=round(sum(one.seconds for one in passages.values()), 3),
            failed=scored.failed,
            stages=_stage_counts(scored, record),
        )
        return Ran(result, tuple(_traces(item, passages)), record, asked, spent)

    def _compliance(self, item: Labelled, record: CodedRecord) -> tuple[int, int]:
        """Guideline checks passed and applied: one a code (nothing but advice stands against it), and one for every
        finding about the record as a whole, which is one that failed."""
        encounter = item.encounter
        rules = oracle(self.coder.book_of(encounter))
        findings = rules.check(record.codes, on=edition_date(encounter), patient=encounter.patient)
        grave = [finding for finding in findings if finding.severity is not Severity.ADVICE]
        named = {code for finding in grave for code in finding.codes}
        whole = sum(not finding.codes for finding in grave)
        applied = len(record.codes) + whole
        return sum(code.code not in named for code in record.codes), applied


def _stage_counts(scored: Scored, record: CodedRecord) -> dict[str, list[int]]:
    """Right, wrong and missed codes after each step, of the kinds that the step wrote."""
    slots = {slot: kind for kind, slot in CODE_SLOTS.items()}
    wrote = {step.step: {slots[slot] for slot in step.wrote if slot in slots} for step in record.trace}
    found = {}
    for step, codes in scored.stages.items():
        of_kind = {key for key in scored.gold_keys() if kind_of(key[0]) in wrote.get(step, ())}
        if of_kind or codes:
            found[step] = list(Counts.of(of_kind, codes))
    return found


def _traces(item: Labelled, passages: Mapping[str, Passage]) -> Iterator[Trace]:
    for step, one in passages.items():
        yield Trace(
            encounter=item.encounter.id,
            step=step,
            component=one.component,
            node=one.key,
            reused=one.reused,
            calls=one.asked.calls,
            read=one.asked.read,
            written=one.asked.written,
            seconds=round(one.seconds, 4),
            transcript=one.transcript,
        )
