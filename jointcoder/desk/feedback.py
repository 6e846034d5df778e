"""Decisions → coded records that ``jointcoder learn``, ``evaluate`` and ``python -m jointcoder.finetune data`` read.

    {"id", "language"?, "text" | "sections" | "documents", "patient"?, "admitted"?, "discharged"?,
     "codes": [{"system", "code", "name", "primary", "rank", "spans", "state", "confidence"?, "bulk"?, …}],
     "rejected": [{"system", "code", "name", "spans", "confidence", "replaced_by"?}],
     "undecided"?: [...], "review": {"state", "decisions", "decided", "version", "versions", "by"?}}

``codes`` is what coders said: accepted, replaced or added, in their order. ``rejected`` is what the model said and they
took back, with the places that misled it: explicit negatives. Readers that know only ``codes`` take the rest as it is
meant, as remarks. A record that nobody finished has codes that nobody judged; they are no labels and stand apart.
Coders' names are left out unless asked for, and so are reasons, comments, questions and administrative fields.
An encounter is to appear once (``history(…, one_each=True)``): readers take an id that comes twice for an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jointcoder.desk.history import Handled
from jointcoder.desk.sheet import Entry, ItemState
from jointcoder.exchange.writing import encounter_row
from jointcoder.records import AssignedCode, Kind, Span

JUDGED = (ItemState.ACCEPTED, ItemState.REPLACED, ItemState.ADDED)


def to_row(one: Handled, *, names: bool = False) -> dict[str, Any]:
    """One review as a row."""
    ranked = {(code.system, code.code): code for code in one.sheet.codes()}
    entries = [one.sheet.entries[id] for kind in Kind for id in one.sheet.order[kind]]
    together = one.in_bulk
    row = encounter_row(one.encounter.model_copy(update={"fields": {}}))
    row["codes"] = [
        _coded(entry, ranked[entry.code.system, entry.code.code], bulk=entry.id in together)
        for entry in entries
        if entry.state in JUDGED
    ]
    row["rejected"] = [_rejected(entry) for entry in entries if _is_rejected(entry)]
    undecided = [_bare(entry.code) for entry in entries if entry.state is ItemState.PROPOSED]
    if undecided:
        row["undecided"] = undecided
    row["review"] = _review(one, names=names)
    return row


def _coded(entry: Entry, ranked: AssignedCode, *, bulk: bool) -> dict[str, Any]:
    row = _bare(ranked) | {"primary": ranked.rank == 1, "rank": ranked.rank, "state": entry.state.value}
    if ranked.present_on_admission is not None:
        row["present_on_admission"] = ranked.present_on_admission.value
    if entry.proposed is not None:
        row["confidence"] = entry.proposed.confidence
    if bulk:
        row["bulk"] = True
    return row


def _is_rejected(entry: Entry) -> bool:
    """Whether the model's code does not stand: it was taken out, or another stands in its place."""
    return entry.proposed is not None and entry.state in (ItemState.REJECTED, ItemState.REPLACED)


def _rejected(entry: Entry) -> dict[str, Any]:
    assert entry.proposed is not None
    row = _bare(entry.proposed) | {"confidence": entry.proposed.confidence}
    if entry.state is ItemState.REPLACED:
        row["replaced_by"] = {"system": entry.code.system.value, "code": entry.code.code}
    return row


def _bare(code: AssignedCode) -> dict[str, Any]:
    return {
        "system": code.system.value,
        "code": code.code,
        "name": code.name,
        "spans": [_place(span) for span in dict.fromkeys(code.evidence) if span.end > span.start],
    }


def _place(span: Span) -> dict[str, int]:
    return {"document": span.document, "start": span.start, "end": span.end}


def _review(one: Handled, *, names: bool) -> dict[str, Any]:
    versions: Mapping[str, Any] = one.record.versions.model_dump()
    row: dict[str, Any] = {
        "state": one.sheet.status.value,
        "decisions": len(one.decided),
        "decided": one.decided[-1].at.isoformat(),
        "version": one.stored.version,
        "versions": {name: value for name, value in versions.items() if value},
    }
    if names:
        row["by"] = sorted({decided.by for decided in one.decided})
    return row
