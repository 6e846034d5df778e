"""MDACE (Cheng et al. 2023): code and evidence annotations of MIMIC-III notes; the text is not part of it.

A row is a note; the unit is the admission (``hadm_id``), so the notes of one admission become the documents of
one encounter and their codes are united. A row without text is left out and counted (``Corpus.skipped``); a file
without any text is an error that says how to join it. CPT codes, and stray ICD-9-CM ones, are kept apart
(``Labelled.unscored``).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jointcoder.corpora.base import Corpus, GoldCode, Labelled, Row, Where, apart, encounter_of, gold_codes, systems_of
from jointcoder.errors import InputError

NAME = "mdace"
HINT = (
    "MDACE carries no note text: copy TEXT of MIMIC-III's NOTEEVENTS.csv into the field `text`, "
    "where ROW_ID equals `note_id`"
)


def matches(row: Row) -> bool:
    return "hadm_id" in row and "note_id" in row


def load(path: Path, rows: Iterable[tuple[Where, Row]]) -> Corpus:
    """One encounter per admission, in the order of first appearance.

    Raises InputError JC101 if no row has text, JC108 if a row is malformed or a span lies outside its note (the
    text was then changed while joining).
    """
    admissions: dict[str, list[tuple[Where, Row]]] = {}
    skipped = 0
    for where, row in rows:
        text = row.get("text")
        if text is None:
            skipped += 1
        elif isinstance(text, str) and text.strip():
            admissions.setdefault(str(row["hadm_id"]), []).append((where, row))
        else:
            raise where.error("text must be the note's text or null", hint=HINT)
    if not admissions:
        raise InputError("JC101", f"{path.name}: none of the {skipped} notes has a text", hint=HINT)
    items = [_admission(name, notes) for name, notes in admissions.items()]
    return Corpus(NAME, path, tuple(items), systems_of(items), skipped=skipped)


def _admission(name: str, notes: list[tuple[Where, Row]]) -> Labelled:
    documents = [
        {
            "id": str(row["note_id"]),
            "text": row["text"],
            "title": _text(row, "description"),
            "kind": _text(row, "category"),
        }
        for _, row in notes
    ]
    language = notes[0][1].get("lang")
    encounter = encounter_of({"id": name, "documents": documents, "language": language}, notes[0][0])
    united: dict[tuple[str, str], GoldCode] = {}
    for index, (where, row) in enumerate(notes):
        for code in gold_codes(row, encounter, where, document=index):
            before = united.get((code.system, code.code))
            spans = (before.spans if before else ()) + code.spans
            united[code.system, code.code] = GoldCode(code.system, code.code, spans=spans)
    return Labelled(encounter, *apart(tuple(united.values())), meta={"notes": len(notes)})


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""
