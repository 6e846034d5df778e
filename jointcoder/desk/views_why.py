"""Why this code: everything a coded record tells about one of its codes, ordered for a person to read.

    why(record, code)  →  Why: stages, rivals, verdicts, what speaks for and against, versions

Holds no words of its own: steps, features and verdicts keep the names that the program gave them. It shows what was
recorded and infers nothing: a record of an older program simply has fewer lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jointcoder.records import AssignedCode, CodedRecord, Finding, Reason, Role, StepTrace, Verdict

SHOWN = 12
"""Features drawn: the largest; the rest is summed up."""
RIVALS = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """A feature's part of the log-odds: ``length`` relative to the longest bar of the drawing, from -1 to 1."""

    feature: str
    value: float
    weight: float
    length: float


@dataclass(frozen=True, slots=True)
class Bars:
    """The largest contributions, ``rest`` of them summed up as ``rest_weight``; ``total``: the sum of all."""

    bars: tuple[Bar, ...]
    rest: int
    rest_weight: float
    total: float


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the run. ``holds``: whether the code was among those the step left; None where the step left no
    codes."""

    step: str
    component: str
    holds: bool | None
    codes: int
    seconds: float
    calls: int
    notes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Rival:
    """Another code, given or only suggested, that shares a mention or evidence with this one."""

    code: AssignedCode
    given: bool


@dataclass(frozen=True, slots=True)
class Why:
    """See the module. ``versions``: (what, name, hash) of what produced the record."""

    code: AssignedCode
    passed: tuple[str, ...]
    stages: tuple[Stage, ...]
    rivals: tuple[Rival, ...]
    verdicts: tuple[Verdict, ...]
    reasons: Bars
    order: Bars
    findings: tuple[Finding, ...]
    versions: tuple[tuple[str, str, str], ...]


def why(record: CodedRecord, code: AssignedCode) -> Why:
    """What ``record`` tells about ``code``, one of its codes or suggestions."""
    own = [finding for finding in record.findings if code.code in finding.codes]
    return Why(
        code=code,
        passed=code.stages,
        stages=tuple(_stage(step, code) for step in record.trace),
        rivals=_rivals(record, code),
        verdicts=code.verdicts,
        reasons=bars(code.reasons),
        order=bars(code.order if code.role is Role.PRINCIPAL else ()),
        findings=tuple(dict.fromkeys((*code.checks, *own))),
        versions=versions(record),
    )


def bars(reasons: Iterable[Reason], *, shown: int = SHOWN) -> Bars:
    """Contributions as bars, the largest first, those of no weight left out."""
    held = sorted((one for one in reasons if one.weight), key=lambda one: (-abs(one.weight), one.feature))
    longest = abs(held[0].weight) if held else 1.0
    drawn, rest = held[:shown], held[shown:]
    return Bars(
        tuple(Bar(one.feature, one.value, one.weight, one.weight / longest) for one in drawn),
        len(rest),
        sum(one.weight for one in rest),
        sum(one.weight for one in held),
    )


def versions(record: CodedRecord) -> tuple[tuple[str, str, str], ...]:
    """What produced the record: (what, name, hash), in the order program, workflow, model, adapters, book, search,
    pack; what was not used is left out."""
    made = record.versions
    rows = [
        ("program", made.program, ""),
        ("workflow", made.workflow, made.workflow_hash),
        ("model", made.model, made.model_hash),
        *(("adapter", name, version) for name, version in sorted(made.adapters.items())),
        ("code_book", made.code_book, made.code_book_hash),
        ("edition", made.edition, ""),
        ("search", made.search, ""),
        ("pack", made.pack, ""),
    ]
    return tuple(row for row in rows if row[1])


def _stage(step: StepTrace, code: AssignedCode) -> Stage:
    held = step.notes.get("codes")
    listed = [tuple(pair) for pair in held] if isinstance(held, list | tuple) else None
    notes = tuple((key, _said(value)) for key, value in step.notes.items() if key != "codes")
    wrote = tuple((slot, str(count)) for slot, count in step.wrote.items())
    return Stage(
        step.step,
        step.component,
        None if listed is None else (str(code.system), code.code) in listed,
        len(listed or ()),
        step.cost.seconds,
        step.cost.calls,
        (*wrote, *notes),
    )


def _said(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_said(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_said(one) for one in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _rivals(record: CodedRecord, code: AssignedCode) -> tuple[Rival, ...]:
    mentions = set(code.mentions)
    found = [
        Rival(other, given)
        for given, held in ((True, record.codes), (False, record.suggestions))
        for other in held
        if (other.system, other.code) != (code.system, code.code)
        and other.kind is code.kind
        and (mentions & set(other.mentions) or _overlap(code, other))
    ]
    return tuple(sorted(found, key=lambda rival: -rival.code.confidence)[:RIVALS])


def _overlap(one: AssignedCode, other: AssignedCode) -> bool:
    return any(
        a.document == b.document and a.start < b.end and b.start < a.end for a in one.evidence for b in other.evidence
    )
