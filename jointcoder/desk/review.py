"""A coded record under review: a pure function of the record as the model made it and the decisions on it.

    review = begin(record, ground)
    review = decide(review, Reject(item="p2"), by="ana", at=now)       # or a coded error; nothing changed then
    review == replay(record, review.decided, ground)
    review.coded()                                                     # the record as decided so far

Every decision is followed by the rules of the code book on the codes that stand. ``finish`` is refused while a proposed
code is undecided, or a finding of an error or a warning is neither resolved nor overridden with a reason; advice does
not block. A finished review is frozen until a lead reopens it. The model's confidence stays with what it proposed; a
code that a person chose has confidence 1.0 and stage ``coder`` in the coded record.

The sheet itself is in ``sheet.py``, what may be decided in ``allowed.py``. Knows no store, no account and no clock.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.rules import oracle
from jointcoder.desk.bands import NOT_CALIBRATED, Band, Bulk, band_of_code
from jointcoder.desk.decisions import Decided, Override
from jointcoder.desk.sheet import Entry, ItemState, Said, Sheet, applied, folded
from jointcoder.records import AssignedCode, CodedRecord, Encounter, Finding, Kind, Severity
from jointcoder.store.lines import Status

BLOCKING = (Severity.ERROR, Severity.WARNING)


@dataclass(frozen=True)
class Ground:
    """What a review stands on. ``on``: the day whose edition and rules count; ``valid_on``: the day on which codes must
    be valid; ``inpatient``: whether presence on admission is due; ``headings``: the pack in use codes headings;
    ``bulk``: from which confidence codes may be accepted together."""

    encounter: Encounter
    book: CodeBook
    on: dt.date | None = None
    valid_on: dt.date | None = None
    inpatient: bool | None = None
    headings: bool = False
    bulk: Bulk = NOT_CALIBRATED


@dataclass(frozen=True)
class Item:
    """One code of the review, as it stands. ``rank``: among those of its kind that stand, 0 for a rejected one;
    ``proposed``: what the model made of it; ``links``: ids of the other kind."""

    id: str
    kind: Kind
    state: ItemState
    rank: int
    code: AssignedCode
    proposed: AssignedCode | None
    by: str
    at: dt.datetime | None
    reason: str
    comments: tuple[Said, ...]
    links: tuple[str, ...]

    @property
    def stands(self) -> bool:
        return self.state is not ItemState.REJECTED

    @property
    def principal(self) -> bool:
        return self.rank == 1

    @property
    def confidence(self) -> float | None:
        """The model's, whatever was decided since; None for a code that it did not propose."""
        return None if self.proposed is None else self.proposed.confidence

    @property
    def band(self) -> Band | None:
        return None if self.confidence is None else band_of_code(self.confidence)


@dataclass(frozen=True)
class Live:
    """A finding of the rules on the codes that stand now. ``key`` stays while the same rule concerns the same codes, in
    whatever order; ``override``: the decision that lets it pass."""

    key: str
    finding: Finding
    override: Decided | None = None

    @property
    def state(self) -> str:
        return "open" if self.override is None else "overridden"

    @property
    def blocks(self) -> bool:
        """Whether the record cannot be finished because of it."""
        return self.override is None and self.finding.severity in BLOCKING

    @property
    def by(self) -> str:
        return self.override.by if self.override else ""

    @property
    def at(self) -> dt.datetime | None:
        return self.override.at if self.override else None

    @property
    def reason(self) -> str:
        decision = self.override.decision if self.override else None
        return decision.reason if isinstance(decision, Override) else ""


@dataclass(frozen=True)
class Open:
    """What holds the record up: an ``item`` that is undecided or a ``finding``; ``label`` is its code or rule."""

    kind: str
    key: str
    label: str


@dataclass(frozen=True)
class Review:
    """See the module. ``id``: the store's number of the review, 0 outside a store; equal reviews were decided alike."""

    record: CodedRecord
    ground: Ground = field(repr=False)
    decided: tuple[Decided, ...] = ()
    sheet: Sheet = field(default=None, repr=False, compare=False)  # type: ignore[assignment]  # made from the others
    id: int = 0

    def __post_init__(self) -> None:
        if self.sheet is None:
            object.__setattr__(self, "sheet", folded(self.record, self.decided, self.ground.encounter))

    @property
    def seq(self) -> int:
        """The number of the last decision."""
        return self.decided[-1].seq if self.decided else 0

    @property
    def etag(self) -> str:
        """Names this state of this review; a decision is made on one."""
        return f"{self.id}-{self.seq}"

    @property
    def status(self) -> Status:
        return self.sheet.status

    @property
    def bulk(self) -> Bulk:
        return self.ground.bulk

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Diagnoses, then procedures, in order; rejected ones in their places."""
        codes = dict(zip(self._ids, self.sheet.codes(), strict=True))
        return tuple(
            self._item(self.sheet.entries[one], codes.get(one)) for kind in Kind for one in self.sheet.order[kind]
        )

    @property
    def _ids(self) -> tuple[str, ...]:
        return tuple(one for kind in Kind for one in self.sheet.standing(kind))

    def _item(self, entry: Entry, standing: AssignedCode | None) -> Item:
        return Item(
            id=entry.id,
            kind=entry.kind,
            state=entry.state,
            rank=standing.rank if standing else 0,
            code=standing or entry.code,
            proposed=entry.proposed,
            by=entry.by,
            at=entry.at,
            reason=entry.reason,
            comments=tuple(said for said in self.sheet.said if said.item == entry.id),
            links=self.sheet.partners(entry.id),
        )

    def of_kind(self, kind: Kind) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.kind is kind)

    def standing(self, kind: Kind | None = None) -> tuple[Item, ...]:
        """The items that stand, in order."""
        return tuple(item for item in self.items if item.stands and kind in (None, item.kind))

    def by_id(self, item: str) -> Item | None:
        return next((one for one in self.items if one.id == item), None)

    @property
    def undecided(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.state is ItemState.PROPOSED)

    @property
    def comments(self) -> tuple[Said, ...]:
        """Remarks on the whole record."""
        return tuple(said for said in self.sheet.said if not said.item and said.kind == "comment")

    @property
    def queries(self) -> tuple[Said, ...]:
        """Questions to the physician, on codes or the record."""
        return tuple(said for said in self.sheet.said if said.kind == "query")

    @cached_property
    def findings(self) -> tuple[Live, ...]:
        """What the rules say of the codes that stand, the most severe first."""
        found = _rules(self.sheet.codes(), self.ground)
        severities = list(Severity)
        ordered = sorted(zip(_keys(found), found, strict=True), key=lambda one: severities.index(one[1].severity))
        return tuple(Live(key, finding, self.sheet.overrides.get(key)) for key, finding in ordered)

    @property
    def open(self) -> tuple[Open, ...]:
        """What finishing is refused for: undecided codes, then findings."""
        items = [Open("item", item.id, item.code.code) for item in self.undecided]
        return (*items, *(Open("finding", live.key, live.finding.rule) for live in self.findings if live.blocks))

    def coded(self) -> CodedRecord:
        """The record as decided so far, with the findings of now; suggestions that were taken are no longer such."""
        findings = tuple(live.finding for live in self.findings)
        codes = tuple(
            code.with_(checks=tuple(finding for finding in findings if code.code in finding.codes))
            for code in self.sheet.codes()
        )
        taken = {(code.system, code.code) for code in codes}
        rest = tuple(one for one in self.record.suggestions if (one.system, one.code) not in taken)
        values = {name: getattr(self.record, name) for name in CodedRecord.model_fields}
        return CodedRecord(**{**values, "codes": codes, "suggestions": rest, "findings": findings})


def begin(record: CodedRecord, ground: Ground, *, id: int = 0) -> Review:
    """The review of a record on which nothing was decided yet."""
    return Review(record, ground, id=id)


def replay(record: CodedRecord, decided: Sequence[Decided], ground: Ground, *, id: int = 0) -> Review:
    """The review after these decisions. They were allowed when they were taken: nothing is checked again, so that a
    review stays what it was under a newer edition of the code book."""
    return Review(record, ground, tuple(decided), id=id)


def decide(review: Review, decision: Any, *, by: str, at: dt.datetime, lead: bool = False) -> Review:
    """The review after one more decision. Raises UsageError JC463 (it does not fit), JC464 (the review is finished),
    JC465 (it cannot be finished yet), CodeBookError JC501 (no such code, or not on that day)."""
    from jointcoder.desk.allowed import settled

    decided = Decided(seq=review.seq + 1, by=by, at=at, decision=settled(review, decision, by=by, lead=lead))
    before = (*review.decided, decided)
    if decided.decision.kind == "undo":
        return replace(review, decided=before, sheet=folded(review.record, before, review.ground.encounter))
    return replace(review, decided=before, sheet=applied(review.sheet, decided, review.ground.encounter))


def _rules(codes: Sequence[AssignedCode], ground: Ground) -> list[Finding]:
    """The oracle's findings; a code of a system that the book does not hold is one of its own."""
    held = [code for code in codes if code.system in ground.book.info.systems]
    found = [
        Finding(
            rule="unknown",
            severity=Severity.ERROR,
            codes=(code.code,),
            message=f"{code.code} is not in the code book",
            citation=ground.book.info.edition,
        )
        for code in codes
        if code.system not in ground.book.info.systems
    ]
    patient = ground.encounter.patient
    return found + oracle(ground.book).check(held, on=ground.on, patient=patient, inpatient=ground.inpatient)


def _keys(findings: Sequence[Finding]) -> list[str]:
    """A key for each: of its rule and its codes, numbered where a rule says two things of the same codes."""
    seen: dict[str, int] = {}
    keys = []
    for finding in findings:
        said = "|".join((finding.rule, *sorted(finding.codes)))
        key = hashlib.sha256(said.encode()).hexdigest()[:12]
        seen[key] = seen.get(key, 0) + 1
        keys.append(key if seen[key] == 1 else f"{key}-{seen[key]}")
    return keys
