"""The sheet of a review: its codes in order, their links, what was said; and what each decision does to it.

    sheet = sheet_of(record)                       # every code proposed, in the record's order
    sheet = applied(sheet, decided, encounter)     # a new sheet; decisions were found allowed before (`allowed.py`)
    sheet = folded(record, decisions, encounter)   # all of them, without those that were undone

A code keeps its id (``p3``: the third of the record; ``a7``: added by decision 7) and its place whatever becomes of it:
one that was rejected stays where it was, for everyone to see and to take back. The principal code of a kind is the
first that stands. Knows neither code book nor rules: decisions bring the names of their codes with them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from jointcoder.desk.decisions import (
    Accept,
    Add,
    BulkAccept,
    Decided,
    Finish,
    LinkCodes,
    Move,
    Override,
    Poa,
    Principal,
    Query,
    Reject,
    Remark,
    Reopen,
    Replace,
    Stretch,
    Undo,
    UnlinkCodes,
)
from jointcoder.records import AssignedCode, CodedRecord, Encounter, Kind, Link, Role, Span, System
from jointcoder.store.lines import Status

EXPLAINS, EXPLAINED_BY = "explains", "explained_by"
CERTAIN = 1.0
"""Confidence of a code that a person chose: theirs, not the model's, which stays with what it proposed."""
CODER = "coder"
"""The stage that such a code came from."""


class ItemState(StrEnum):
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REPLACED = "replaced"
    ADDED = "added"


@dataclass(frozen=True)
class Said:
    """A remark or a question, on a code or (``item`` empty) the whole record."""

    seq: int
    kind: str
    item: str
    text: str
    by: str
    at: dt.datetime


@dataclass(frozen=True)
class Entry:
    """One code of the sheet. ``proposed``: as the model made it, None where a coder added it; by whom, when and why it
    was last decided on."""

    id: str
    code: AssignedCode
    state: ItemState
    proposed: AssignedCode | None
    by: str = ""
    at: dt.datetime | None = None
    reason: str = ""

    @property
    def kind(self) -> Kind:
        return self.code.kind

    @property
    def stands(self) -> bool:
        return self.state is not ItemState.REJECTED


@dataclass(frozen=True)
class Sheet:
    """``order``: ids of a kind, those that were rejected in their places; ``links``: (procedure, diagnosis);
    ``overrides``: finding → the decision that lets it pass."""

    entries: Mapping[str, Entry]
    order: Mapping[Kind, tuple[str, ...]]
    links: frozenset[tuple[str, str]] = frozenset()
    overrides: Mapping[str, Decided] = field(default_factory=lambda: MappingProxyType({}))
    said: tuple[Said, ...] = ()
    status: Status = Status.TO_REVIEW

    def standing(self, kind: Kind) -> tuple[str, ...]:
        """The ids of a kind that stand, in order."""
        return tuple(one for one in self.order[kind] if self.entries[one].stands)

    def codes(self) -> list[AssignedCode]:
        """The codes that stand, ranked from 1 within their kind, the first principal, with their links."""
        entries = [self.entries[one] for kind in Kind for one in self.standing(kind)]
        present = {(entry.code.system, entry.code.code) for entry in entries}
        return [
            entry.code.with_(
                rank=rank,
                role=Role.PRINCIPAL if rank == 1 else Role.SECONDARY,
                links=(
                    *(link for link in entry.code.links if (link.system, link.code) in present),
                    *self._linked(entry),
                ),
            )
            for kind in Kind
            for rank, entry in enumerate((one for one in entries if one.kind is kind), start=1)
        ]

    def partners(self, item: str) -> tuple[str, ...]:
        """The ids of the other kind that a code is linked to, in their order, standing or not."""
        linked = {b if a == item else a for a, b in self.links if item in (a, b)}
        return tuple(one for kind in Kind for one in self.order[kind] if one in linked)

    def _linked(self, entry: Entry) -> list[Link]:
        relation = EXPLAINED_BY if entry.kind is Kind.PROCEDURE else EXPLAINS
        others = [self.entries[one].code for one in self.partners(entry.id) if self.entries[one].stands]
        return [Link(relation=relation, system=other.system, code=other.code) for other in others]


# ------------------------------------------------------------------------------------------------------ the start


def sheet_of(record: CodedRecord) -> Sheet:
    """The record as it was made: everything proposed."""
    codes = sorted(
        record.codes,
        key=lambda code: (code.kind is Kind.PROCEDURE, code.role is not Role.PRINCIPAL, code.rank == 0, code.rank),
    )
    entries = {}
    for number, code in enumerate(codes, start=1):
        own = code.with_(links=tuple(link for link in code.links if link.relation not in (EXPLAINS, EXPLAINED_BY)))
        entries[f"p{number}"] = Entry(f"p{number}", own, ItemState.PROPOSED, code)
    order = {kind: tuple(one for one, entry in entries.items() if entry.kind is kind) for kind in Kind}
    return Sheet(MappingProxyType(entries), MappingProxyType(order), _links(entries))


def _links(entries: Mapping[str, Entry]) -> frozenset[tuple[str, str]]:
    ids: dict[tuple[System, str], str] = {}
    for entry in entries.values():
        ids.setdefault((entry.code.system, entry.code.code), entry.id)
    found = set()
    for entry in entries.values():
        for link in entry.proposed.links if entry.proposed else ():
            other = ids.get((link.system, link.code))
            if other is None or entries[other].kind is entry.kind:
                continue
            if link.relation == EXPLAINED_BY and entry.kind is Kind.PROCEDURE:
                found.add((entry.id, other))
            elif link.relation == EXPLAINS and entry.kind is Kind.DIAGNOSIS:
                found.add((other, entry.id))
    return frozenset(found)


# ------------------------------------------------------------------------------------------------------ decisions


def folded(record: CodedRecord, decided: Sequence[Decided], encounter: Encounter) -> Sheet:
    """The sheet after these decisions."""
    sheet = sheet_of(record)
    for one in effective(decided):
        sheet = applied(sheet, one, encounter)
    return sheet


def effective(decided: Iterable[Decided]) -> list[Decided]:
    """The decisions that were not undone, without the undoing."""
    all_ = list(decided)
    undone = {one.decision.of for one in all_ if isinstance(one.decision, Undo)}
    return [one for one in all_ if one.seq not in undone and not isinstance(one.decision, Undo)]


def applied(sheet: Sheet, decided: Decided, encounter: Encounter) -> Sheet:
    """The sheet after one decision; ``encounter`` gives the words of a code's evidence."""
    decision = decided.decision
    change = _CHANGES[type(decision)]
    status = _status(sheet.status, decision)
    return replace(change(sheet, decision, decided, encounter), status=status)


def _status(before: Status, decision: Any) -> Status:
    if isinstance(decision, Finish):
        return Status.FINISHED
    if isinstance(decision, Query):
        return Status.QUERIED
    if isinstance(decision, Remark) and before is Status.QUERIED:
        return before
    return Status.IN_REVIEW


def _with(sheet: Sheet, *changed: Entry) -> Sheet:
    return replace(sheet, entries=MappingProxyType({**sheet.entries, **{one.id: one for one in changed}}))


def _decided(entry: Entry, decided: Decided, state: ItemState, *, code: AssignedCode | None = None) -> Entry:
    reason = getattr(decided.decision, "reason", "")
    return replace(entry, state=state, code=code or entry.code, by=decided.by, at=decided.at, reason=reason)


def _accepted(entry: Entry, decided: Decided) -> Entry:
    if entry.proposed is None:
        return _decided(entry, decided, ItemState.ADDED)
    own = entry.proposed.with_(
        present_on_admission=entry.code.present_on_admission,
        links=tuple(link for link in entry.proposed.links if link.relation not in (EXPLAINS, EXPLAINED_BY)),
    )
    return _decided(entry, decided, ItemState.ACCEPTED, code=own)


def _accept(sheet: Sheet, decision: Accept, decided: Decided, _: Encounter) -> Sheet:
    return _with(sheet, _accepted(sheet.entries[decision.item], decided))


def _reject(sheet: Sheet, decision: Reject, decided: Decided, _: Encounter) -> Sheet:
    return _with(sheet, _decided(sheet.entries[decision.item], decided, ItemState.REJECTED))


def _replace(sheet: Sheet, decision: Replace, decided: Decided, _: Encounter) -> Sheet:
    entry = sheet.entries[decision.item]
    if entry.proposed is not None and (decision.system, decision.code) == (entry.proposed.system, entry.proposed.code):
        return _with(sheet, _accepted(entry, decided))
    before = entry.code
    code = AssignedCode(
        system=decision.system,
        code=decision.code,
        name=decision.name,
        confidence=CERTAIN,
        evidence=before.evidence,
        assertion=before.assertion,
        present_on_admission=before.present_on_admission,
        mentions=before.mentions,
        stages=(CODER,),
    )
    state = ItemState.ADDED if entry.proposed is None else ItemState.REPLACED
    return _with(sheet, _decided(entry, decided, state, code=code))


def _add(sheet: Sheet, decision: Add, decided: Decided, encounter: Encounter) -> Sheet:
    code = AssignedCode(
        system=decision.system,
        code=decision.code,
        name=decision.name,
        confidence=CERTAIN,
        evidence=tuple(quoted(stretch, encounter) for stretch in decision.evidence),
        present_on_admission=decision.present_on_admission,
        stages=(CODER,),
    )
    identity = f"a{decided.seq}"
    sheet = _with(sheet, Entry(identity, code, ItemState.ADDED, None, decided.by, decided.at))
    order = {**sheet.order, code.kind: (*sheet.order[code.kind], identity)}
    sheet = replace(sheet, order=MappingProxyType(order))
    return _moved(sheet, identity, decision.to) if decision.to else sheet


def _move(sheet: Sheet, decision: Move, _decided: Decided, _: Encounter) -> Sheet:
    return _moved(sheet, decision.item, decision.to)


def _principal(sheet: Sheet, decision: Principal, _decided: Decided, _: Encounter) -> Sheet:
    return _moved(sheet, decision.item, 1)


def _moved(sheet: Sheet, item: str, to: int) -> Sheet:
    """The code at rank ``to`` among those that stand; rejected ones stay behind the code they stood behind."""
    kind = sheet.entries[item].kind
    rest = [one for one in sheet.order[kind] if one != item]
    standing = [one for one in rest if sheet.entries[one].stands]
    place = rest.index(standing[to - 1]) if to <= len(standing) else len(rest)
    order = (*rest[:place], item, *rest[place:])
    return replace(sheet, order=MappingProxyType({**sheet.order, kind: order}))


def _poa(sheet: Sheet, decision: Poa, _decided: Decided, _: Encounter) -> Sheet:
    entry = sheet.entries[decision.item]
    return _with(sheet, replace(entry, code=entry.code.with_(present_on_admission=decision.value)))


def _link(sheet: Sheet, decision: LinkCodes, _decided: Decided, _: Encounter) -> Sheet:
    return replace(sheet, links=sheet.links | {(decision.procedure, decision.diagnosis)})


def _unlink(sheet: Sheet, decision: UnlinkCodes, _decided: Decided, _: Encounter) -> Sheet:
    return replace(sheet, links=sheet.links - {(decision.procedure, decision.diagnosis)})


def _say(sheet: Sheet, decision: Remark | Query, decided: Decided, _: Encounter) -> Sheet:
    said = Said(decided.seq, decision.kind, decision.item, decision.text, decided.by, decided.at)
    return replace(sheet, said=(*sheet.said, said))


def _override(sheet: Sheet, decision: Override, decided: Decided, _: Encounter) -> Sheet:
    return replace(sheet, overrides=MappingProxyType({**sheet.overrides, decision.finding: decided}))


def _bulk(sheet: Sheet, decision: BulkAccept, decided: Decided, _: Encounter) -> Sheet:
    return _with(sheet, *(_accepted(sheet.entries[one], decided) for one in decision.items))


def _same(sheet: Sheet, _decision: object, _decided: Decided, _: Encounter) -> Sheet:
    return sheet


_CHANGES: Mapping[type, Callable[[Sheet, Any, Decided, Encounter], Sheet]] = MappingProxyType(
    {
        Accept: _accept,
        Reject: _reject,
        Replace: _replace,
        Add: _add,
        Move: _move,
        Principal: _principal,
        Poa: _poa,
        LinkCodes: _link,
        UnlinkCodes: _unlink,
        Remark: _say,
        Query: _say,
        Override: _override,
        BulkAccept: _bulk,
        Finish: _same,
        Reopen: _same,
    }
)


def quoted(stretch: Stretch, encounter: Encounter) -> Span:
    """The stretch with its words."""
    text = encounter.documents[stretch.document].text[stretch.start : stretch.end]
    return Span(document=stretch.document, start=stretch.start, end=stretch.end, quote=text)
