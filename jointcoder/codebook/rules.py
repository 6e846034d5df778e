"""The compliance oracle, first part: what the code book itself says about a set of codes.

Each finding cites the note, guideline section (ICD-10-CM Official Guidelines) or editor flag it rests on. Rules whose
id begins with ``principal`` concern the principal diagnosis only. Checked:

    unknown, not-assignable, not-valid         every code: exists, is no heading, is valid on the day
    duplicate, heading-with-code               every pair
    excludes1                                  every pair of ICD-10-CM codes, notes of all ancestors included
    principal-external-cause, -manifestation,  the principal diagnosis
    -unacceptable, -code-first
    sex, age                                   the code editor's flags against the patient

Not checked yet: use additional, code also, sequencing of secondary codes, PCS guidelines. Knows no text and no model.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.model import Note
from jointcoder.codebook.ranges import Reference, references
from jointcoder.records import AssignedCode, Finding, Kind, Patient, Role, Severity, System

GUIDELINES = "ICD-10-CM Official Guidelines"
EDITOR = "Medicare Code Editor"
AGES = {"newborn": (0, 0), "pediatric": (0, 17), "maternity": (9, 64), "adult": (15, 124)}
"""Age conflicts of the Medicare Code Editor: flag → youngest and oldest year of age."""


def check(
    book: CodeBook, codes: Sequence[AssignedCode], *, on: dt.date | None = None, patient: Patient | None = None
) -> list[Finding]:
    """Findings about ``codes`` assigned together on the day ``on`` (default: dates are not checked).

    CodeBookError JC503 when a code's system is not in the book.
    """
    found = [finding for code in codes for finding in _alone(book, code, on, patient or Patient())]
    for i, first in enumerate(codes):
        for second in codes[i + 1 :]:
            found += _together(book, first, second)
    for code in codes:
        if code.kind is Kind.DIAGNOSIS and code.role is Role.PRINCIPAL:
            found += _principal(book, code, codes, on)
    return found


def _alone(book: CodeBook, code: AssignedCode, on: dt.date | None, patient: Patient) -> Iterator[Finding]:
    entry = book.get(code.system, code.code)
    if entry is None:
        if on is None or not book.is_valid(code.system, code.code, on):
            citation = book.info.edition
            yield _finding("unknown", Severity.ERROR, code, message="is not in the code book", citation=citation)
            return
    elif not entry.billable:
        yield _finding(
            "not-assignable",
            Severity.ERROR,
            code,
            message="is a heading; a code of full length is required",
            citation=f"{GUIDELINES} I.B.2",
            remedy="choose among the codes below it",
        )
    elif on is not None and not book.is_valid(code.system, code.code, on):
        periods = ", ".join(f"{p.start}–{p.end}" for p in book.validity(code.system, code.code))
        citation = f"{EDITOR}, code table"
        message = f"is not valid on {on} (valid {periods})"
        yield _finding("not-valid", Severity.ERROR, code, message=message, citation=citation)
    yield from _patient(book.edits(code.system, code.code, on), code, patient)


def _patient(flags: frozenset[str], code: AssignedCode, patient: Patient) -> Iterator[Finding]:
    wanted = {"female", "male"} & flags
    if wanted and patient.sex != "unknown" and patient.sex not in wanted:
        message = f"applies to {'/'.join(sorted(wanted))} patients"
        yield _finding("sex", Severity.WARNING, code, message=message, citation=f"{EDITOR}, sex conflict")
    ages = [AGES[flag] for flag in flags if flag in AGES]
    age = patient.age_years
    if ages and age is not None and not any(low <= int(age) <= high for low, high in ages):
        spans = ", ".join(f"{low}–{high}" for low, high in sorted(ages))
        message = f"applies to ages {spans}"
        yield _finding("age", Severity.WARNING, code, message=message, citation=f"{EDITOR}, age conflict")


def _together(book: CodeBook, first: AssignedCode, second: AssignedCode) -> Iterator[Finding]:
    if first.system is not second.system:
        return
    a, b = normalise_code(first.code), normalise_code(second.code)
    if a == b:
        if first.kind is Kind.DIAGNOSIS:  # a procedure may be done twice
            message = "is assigned twice"
            yield _finding("duplicate", Severity.ERROR, first, message=message, citation=f"{GUIDELINES} I.B.8")
        return
    for above, below in ((first, second), (second, first)):
        if any(normalise_code(e.code) == normalise_code(above.code) for e in book.ancestors(below.system, below.code)):
            yield _finding(
                "heading-with-code",
                Severity.WARNING if book.is_billable(above.system, above.code) else Severity.ERROR,
                above,
                below,
                message=f"stands above {below.code}, which says more",
                citation=f"{GUIDELINES} I.B.2",
                remedy=f"keep {below.code}",
            )
    if first.system is System.ICD10CM:
        yield from _excludes(book, first, second)


def _excludes(book: CodeBook, first: AssignedCode, second: AssignedCode) -> Iterator[Finding]:
    for one, other in ((first, second), (second, first)):
        note = _naming(book.notes(one.system, one.code, inherited=True).excludes1, one, other)
        if note is not None:
            yield _finding(
                "excludes1",
                Severity.ERROR if len(note.origin) >= 3 and "-" not in note.origin else Severity.WARNING,
                one,
                other,
                message=f"is not coded together with {other.code} unless the two are unrelated",
                citation=f"Excludes1 at {note.origin}: {note.text}; {GUIDELINES} I.A.12.a",
                remedy="keep the one that the record supports",
            )
            return


def _principal(
    book: CodeBook, code: AssignedCode, codes: Sequence[AssignedCode], on: dt.date | None
) -> Iterator[Finding]:
    flags = book.edits(code.system, code.code, on)
    if normalise_code(code.code)[:1] in set("VWXY") or "ecodepdx" in flags:
        yield _finding(
            "principal-external-cause",
            Severity.ERROR,
            code,
            message="is an external cause and cannot be principal",
            citation=f"{GUIDELINES} I.C.20.a.6",
            remedy="put the injury or condition first",
        )
    name = (book.name(code.system, code.code) or "").casefold()
    if "manifestation" in flags or any(cue in name for cue in _manifestation_cues()):
        yield _finding(
            "principal-manifestation",
            Severity.ERROR,
            code,
            message="is a manifestation and cannot be principal",
            citation=f"{GUIDELINES} I.A.13",
            remedy="put the underlying condition first",
        )
    elif "unacceptable" in flags:
        citation = f"{EDITOR}, unacceptable principal diagnosis"
        message = "describes a circumstance, not a current illness, and cannot be principal"
        yield _finding("principal-unacceptable", Severity.WARNING, code, message=message, citation=citation)
    notes = book.notes(code.system, code.code, inherited=True).code_first
    for other in codes:
        if other is code or other.system is not code.system:
            continue
        note = _naming(notes, code, other)
        if note is not None:
            yield _finding(
                "principal-code-first",
                Severity.ERROR,
                code,
                other,
                message=f"is sequenced after {other.code}",
                citation=f"Code first at {note.origin}: {note.text}; {GUIDELINES} I.A.13",
                remedy=f"put {other.code} first",
            )


def _naming(notes: Sequence[Note], one: AssignedCode, other: AssignedCode) -> Note | None:
    """The first note that names ``other`` and not ``one`` itself."""
    for note in notes:
        for reference in _references(note.text):
            if reference.covers(other.code) and not reference.covers(one.code):
                return note
    return None


@lru_cache(maxsize=4096)
def _references(note: str) -> tuple[Reference, ...]:
    return references(note)


@lru_cache(maxsize=1)
def _manifestation_cues() -> tuple[str, ...]:
    folder = resources.files("jointcoder.codebook").joinpath("data")
    texts = (folder.joinpath(lang, "manifestation.txt").read_text("utf-8") for lang in ("en", "zh"))
    return tuple(line for text in texts for line in text.splitlines() if line and line[0] != "#")


def _finding(
    rule: str,
    severity: Severity,
    *codes: AssignedCode,
    message: str,
    citation: str,
    remedy: str = "",
) -> Finding:
    return Finding(
        rule=rule,
        severity=severity,
        codes=tuple(code.code for code in codes),
        message=f"{codes[0].code} {message}",
        citation=citation,
        remedy=remedy,
    )
