"""What a worker does: a group of encounters through the coder together → for each a line of results, or a failure.

    code_group(coder, works, terms) -> one Done for each work, in order

The encounters of a group pass every stage together, so that a model changes its adapter once a group and not once an
encounter. The line is made here, so that with several workers only bytes travel back. A record that the coder could not
make is a failure with a code, never one with an empty list; messages are left behind, they are not needed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from jointcoder.batch.conditions import Conditions, conditions_of, identity
from jointcoder.batch.folder import STEP
from jointcoder.batch.inputs import Origin
from jointcoder.batch.routing import Policy, Route, route
from jointcoder.errors import JointCoderError, UsageError
from jointcoder.records import CodedRecord, Encounter, Flag, StepTrace

if TYPE_CHECKING:
    from jointcoder.coder import Coder
    from jointcoder.llm.adapters import Adapter
    from jointcoder.records import System
    from jointcoder.settings import Settings
    from jointcoder.workflow.spec import Workflow

log = logging.getLogger(__name__)

FAILING = frozenset(
    {"JC101", "JC102", "JC105", "JC106", "JC108", "JC403", "JC405", "JC406"}  # the record, or a step on it
    | {"JC301", "JC303", "JC305", "JC307", "JC308", "JC309", "JC310", "JC311"}  # no model was there to answer
)
"""Flags that make a record a failure: what it holds is not what its note says. Others leave a result for a person."""
UNEXPECTED = "JC999"


class Codes(Protocol):
    """What codes groups: :class:`jointcoder.coder.Coder`."""

    def code_many(self, encounters: Iterable[Encounter], *, batch: int = 1) -> Iterator[CodedRecord]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Terms:
    """What holds for every record of a run: the conditions, and the way that records go."""

    conditions: str
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class Work:
    """An encounter to be coded. ``version``: hash of its content; ``flags``: of its reading; ``seq``: of its line;
    ``attempts``: those that failed before; ``replaces``: of which content there was a result, where that changed."""

    encounter: Encounter
    version: str
    origin: Origin
    flags: tuple[Flag, ...] = ()
    seq: int = 0
    attempts: int = 0
    replaces: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no record: the step ("" where none was reached) and the code of the error."""

    code: str
    step: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a work: its ``line`` without an end, or a ``failure``; never both."""

    id: str
    line: bytes = b""
    failure: Failure | None = None
    route: str = ""
    codes: int = 0


@dataclass(frozen=True, slots=True)
class Hello:
    """What a worker says when its coder is open. ``errors``: of the calibration of its pack."""

    conditions: Conditions
    errors: tuple[float, ...] = ()


@dataclass(frozen=True)
class CoderSpec:
    """How to open a coder in another process; arguments as of :class:`jointcoder.coder.Coder`."""

    settings: Settings
    model: str | None = None
    code_book: str | None = None
    workflow: Workflow | str | None = None
    systems: tuple[System, ...] | None = None
    pack: str | None = None
    adapters: tuple[tuple[str, Adapter], ...] = ()

    def __call__(self) -> Coder:
        """Open it. Raises as Coder does."""
        from jointcoder.coder import Coder

        return Coder(
            self.settings,
            model=self.model,
            code_book=self.code_book,
            workflow=self.workflow,
            systems=self.systems,
            adapters=dict(self.adapters),
            pack=self.pack,
        )


OpenCoder = Callable[[], "Coder"]


def hello_of(coder: Coder) -> Hello:
    """What there is to say of a coder."""
    from jointcoder.batch.calibration import errors_of

    return Hello(conditions_of(coder), errors_of(coder.pack))


def code_group(coder: Codes, works: Sequence[Work], terms: Terms) -> tuple[Done, ...]:
    """Code a group. One that cannot be coded does not harm the others: where the whole group fails, its encounters are
    coded one by one."""
    records = _records(coder, works)
    if records is not None:
        return tuple(_done(work, record, terms) for work, record in zip(works, records, strict=True))
    if len(works) > 1:
        return tuple(done for work in works for done in code_group(coder, (work,), terms))
    return (_alone(coder, works[0], terms),)


def _records(coder: Codes, works: Sequence[Work]) -> list[CodedRecord] | None:
    try:
        return list(coder.code_many([work.encounter for work in works], batch=len(works)))
    except (JointCoderError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, AttributeError):
        return None  # what it was is found out one by one


def _alone(coder: Codes, work: Work, terms: Terms) -> Done:
    try:
        (record,) = coder.code_many([work.encounter], batch=1)
        return _done(work, record, terms)
    except JointCoderError as error:
        return Done(work.encounter.id, failure=Failure(error.code))
    except Exception as error:
        # The text of a foreign exception may quote the note: only its type is kept.
        log.error("a record failed: %s", type(error).__name__)
        return Done(work.encounter.id, failure=Failure(UNEXPECTED))


def _done(work: Work, record: CodedRecord, terms: Terms) -> Done:
    failed = next((flag for flag in record.flags if flag.code in FAILING), None)
    if failed is not None:
        return Done(work.encounter.id, failure=Failure(failed.code, failed.step))
    record = record.model_copy(update={"flags": (*work.flags, *record.flags)})
    routed = route(record, terms.policy)
    note = StepTrace(step=STEP, component=STEP, notes=note_for(work, terms, routed.route, routed.why, record))
    line = record.model_copy(update={"trace": (*record.trace, note)}).model_dump_json().encode()
    return Done(work.encounter.id, line, route=routed.route.value, codes=len(record.codes))


def note_for(work: Work, terms: Terms, way: Route, why: tuple[str, ...], record: CodedRecord) -> dict[str, Any]:
    """What a result says of how it came about."""
    return {
        "identity": identity(work.version, terms.conditions),
        "version": work.version,
        "conditions": terms.conditions,
        "seq": work.seq,
        "source": work.origin.as_dict(),
        "attempts": work.attempts + 1,
        "route": way.value,
        "why": list(why),
        "band": terms.policy.band_of(record),
        **({"replaces": work.replaces} if work.replaces else {}),
    }


def failure_line(work: Work, failure: Failure, terms: Terms) -> dict[str, Any]:
    """What ``failed.jsonl`` says of a work: no message and no text."""
    return {
        "id": work.encounter.id,
        "source": work.origin.as_dict(),
        "step": failure.step,
        "code": failure.code,
        "attempts": work.attempts + 1,
        "version": work.version,
        "conditions": terms.conditions,
        "seq": work.seq,
    }


def require_same(hello: Hello, other: Hello) -> None:
    """Raises UsageError JC701 where two workers would not code alike."""
    if differs := hello.conditions.differs_from(other.conditions):
        raise UsageError("JC701", f"workers would code under different conditions: {', '.join(differs)}")
