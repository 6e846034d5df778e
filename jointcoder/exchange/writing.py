"""Records that came in → JSON lines that ``learn``, ``evaluate`` and ``finetune data`` read (see ``corpora``).

    {"id", "language"?, "text" | "sections" | "documents", "patient"?, "admitted"?, "discharged"?, "fields"?, "codes"?}

What :func:`jointcoder.parsing.parse_encounter` makes of a line is the encounter again, offset for offset.
"""

from __future__ import annotations

from typing import Any

from jointcoder.exchange.incoming import Coded, Incoming
from jointcoder.records import Encounter

_PLAIN = {"id", "text", "title"}  # what a document says of itself in the shorter layouts


def to_row(incoming: Incoming, *, codes: bool = True) -> dict[str, Any]:
    """The record as an object for JSON; ``codes``: with those that came with it, if any did. ValueError for one that is
    an error."""
    if incoming.encounter is None:
        raise ValueError("the record is an error")
    row = encounter_row(incoming.encounter)
    if codes and incoming.codes:
        row["codes"] = [_code(code) for code in incoming.codes]
    return row


def encounter_row(encounter: Encounter) -> dict[str, Any]:
    """The encounter in the shortest layout that gives it back."""
    row: dict[str, Any] = {"id": encounter.id}
    if encounter.language:
        row["language"] = encounter.language
    row |= _text(encounter)
    patient = encounter.patient.model_dump(mode="json", exclude_defaults=True)
    if patient:
        row["patient"] = patient
    for name in ("admitted", "discharged"):
        if day := getattr(encounter, name):
            row[name] = day.isoformat()
    if encounter.fields:
        row["fields"] = dict(encounter.fields)
    return row


def _text(encounter: Encounter) -> dict[str, Any]:
    documents = encounter.documents
    written = [document.model_dump(mode="json", exclude_defaults=True) for document in documents]
    plain = not encounter.sections and all(
        document["id"] == str(place) and document["text"].strip() and document.keys() <= _PLAIN
        for place, document in enumerate(written)
    )
    titles = [document.title for document in documents]
    if plain and titles == [""]:
        return {"text": documents[0].text}
    if plain and all(titles) and len(set(titles)) == len(titles):
        return {"sections": {document.title: document.text for document in documents}}
    found: dict[str, Any] = {"documents": written}
    if encounter.sections:
        found["sections"] = [section.model_dump(mode="json") for section in encounter.sections]
    return found


def _code(code: Coded) -> dict[str, Any]:
    if code.given:
        return dict(code.given)
    row: dict[str, Any] = {"system": str(code.system), "code": code.code, "primary": code.primary, "rank": code.rank}
    for name in ("name", "edition"):
        if text := getattr(code, name):
            row[name] = text
    return row
