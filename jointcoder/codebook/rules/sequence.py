"""The order of the diagnoses: instruction notes of the tabular list, and what may be principal.

Etiology before manifestation (guideline I.A.13), "code first", "use additional code" and "code also" (I.A.17, I.B.7).
How binding a note is is read from its words (``notes.toml``): an instruction that asks "if applicable" is never
missing; one that lists codes and asks for nothing ("heart failure due to hypertension (I11.0)") holds for the order
only. Notes of blocks and chapters (tobacco use at chapter 10) are too general to order two codes and are left out.

Rules: principal-external-cause, -manifestation, -unacceptable, -symptom, -code-first, -use-additional; code-first,
code-first-missing, manifestation-alone, use-additional, use-additional-missing, code-also-missing, first-listed-only.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib import resources

from jointcoder.codebook.rules.case import Case, Item
from jointcoder.codebook.rules.catalogue import cues, holds, integral, stems, table
from jointcoder.codebook.rules.facts import Instruction
from jointcoder.records import Finding, Severity, System

EXTERNAL = frozenset("VWXY")
INDEFINITE = frozenset("RVWXYZ")
"""Chapters whose codes are no underlying disease: symptoms, external causes, factors of health status."""


def findings(case: Case) -> Iterator[Finding]:
    """Findings about the principal diagnosis, then about the others in sequence."""
    for item in case.diagnoses:
        if item.principal:
            yield from _principal(case, item)
    ordered: set[frozenset[Item]] = set()
    for item in case.diagnoses:
        if item.system is System.ICD10CM:
            yield from _code_first(case, item, ordered)
    for item in case.diagnoses:
        if item.system is System.ICD10CM:
            yield from _additional(case, item, ordered)
            if not item.principal:
                yield from _first_listed_only(case, item)


def _principal(case: Case, item: Item) -> Iterator[Finding]:
    flags = case.flags[item]
    if item.key[:1] in EXTERNAL or "ecodepdx" in flags:
        message = "is an external cause and cannot be principal"
        remedy = "put the injury or condition first"
        yield case.finding("principal-external-cause", item, message=message, remedy=remedy)
    if item.system is System.ICD10CN and item.key.endswith("*") and "+" not in item.key:
        message = "is an asterisk code and cannot be principal"
        yield case.finding("principal-asterisk", item, message=message, remedy="put the dagger code first")
    elif is_manifestation(case, item):
        message = "is a manifestation and cannot be principal"
        remedy = "put the underlying condition first"
        yield case.finding("principal-manifestation", item, message=message, remedy=remedy)
    elif "reqsdx" in flags and len(case.diagnoses) > 1:
        pass  # acceptable with a secondary diagnosis
    elif "unacceptable" in flags:
        message = "describes a circumstance, not a current illness, and cannot be principal"
        remedy = "put the condition treated first"
        if "reqsdx" in flags:
            message, remedy = "is principal only beside a secondary diagnosis", "add the condition cared for"
        yield case.finding("principal-unacceptable", item, message=message, remedy=remedy)
    yield from _symptom(case, item)


def is_manifestation(case: Case, item: Item) -> bool:
    """By the code editor's flag or the words of the title."""
    return "manifestation" in case.flags[item] or holds(item.facts.name, manifestation_cues())


def _symptom(case: Case, item: Item) -> Iterator[Finding]:
    for symptoms, diseases in integral():
        if not item.key.startswith(symptoms):
            continue
        disease = next((other for other in case.diagnoses if other.key.startswith(diseases)), None)
        if disease is not None:
            message = f"is a symptom; {disease.shown} explains it"
            remedy = f"put {disease.shown} first and leave {item.shown} out"
            yield case.finding("principal-symptom", item, disease, message=message, remedy=remedy)
            return


def _code_first(case: Case, item: Item, ordered: set[frozenset[Item]]) -> Iterator[Finding]:
    """``ordered`` collects the pairs whose order a note has settled."""
    manifestation = is_manifestation(case, item)
    satisfied, asked = False, None
    for instruction in _asked(case, item, "code_first"):
        named = [
            (one, other)
            for one, other in case.named_by(instruction.named)
            if other is not item and not one.reference.covers_key(item.key)
        ]
        before = any(other.order < item.order for _, other in named)
        if instruction.open:  # one of several possible causes has to stand first, whichever it is
            named = [] if before else named[:1]
        for one, other in named:
            pair = frozenset((item, other))
            if other.order > item.order and pair not in ordered:
                yield case.finding(
                    "principal-code-first" if item.principal else "code-first",
                    item,
                    other,
                    message=f"is sequenced after {other.shown}",
                    citation=f"Code first at {one.note.origin}: {one.note.text}",
                    remedy=f"put {other.shown} first",
                )
            ordered.add(pair)
            before = True
        before = before or (instruction.open and _earlier_disease(case, item))
        satisfied = satisfied or before
        if not before and asked is None and not instruction.conditional:
            asked = instruction if holds(instruction.note.text, cues("notes", "underlying")) else None
    if item.principal:
        return  # said by principal-manifestation, or to be explained by the order
    if manifestation and not satisfied and not _earlier_disease(case, item):
        message = "is a manifestation; the condition that causes it is not coded before it"
        yield case.finding("manifestation-alone", item, message=message, remedy="code the underlying condition first")
    elif asked is not None and not satisfied:
        note = asked.note
        message = "asks for the underlying condition first, which is not coded"
        citation = f"Code first at {note.origin}: {note.text}"
        remedy = "code the underlying condition"
        yield case.finding("code-first-missing", item, message=message, citation=citation, remedy=remedy)


def _earlier_disease(case: Case, item: Item) -> bool:
    """Whether a disease (no symptom, external cause or circumstance) stands before the code."""
    return any(
        other.order < item.order and other.key[:1] not in INDEFINITE and other.key != item.key
        for other in case.diagnoses
    )


def _additional(case: Case, item: Item, ordered: set[frozenset[Item]]) -> Iterator[Finding]:
    """``ordered``: pairs that a "code first" note has settled."""
    for instruction in _asked(case, item, "use_additional"):
        found = False
        for named, other in case.named_by(instruction.named):
            pair = frozenset((item, other))
            if other is item or named.reference.covers_key(item.key):
                continue
            found = True
            if other.order < item.order and pair not in ordered:
                ordered.add(pair)
                severity = None
                if other.principal:
                    severity = Severity.WARNING if instruction.conditional else Severity.ERROR
                elif instruction.conditional:
                    continue
                yield case.finding(
                    "principal-use-additional" if other.principal else "use-additional",
                    other,
                    item,
                    severity=severity,
                    message=f"is the additional code of {item.shown} and follows it",
                    citation=f"Use additional code at {named.note.origin}: {named.note.text}",
                    remedy=f"put {item.shown} before {other.shown}",
                )
        if not found and not instruction.conditional and instruction.named:
            yield from _missing(case, item, instruction)
    for instruction in _asked(case, item, "code_also"):
        if instruction.conditional or not holds(instruction.note.text, cues("notes", "also")):
            continue
        if case.named_by(instruction.named) or (instruction.open and len(case.diagnoses) > 1):
            continue
        note = instruction.note
        citation = f"Code also at {note.origin}: {note.text}"
        message = "asks for a second code, which is missing"
        yield case.finding("code-also-missing", item, message=message, citation=citation, remedy="add it if known")


def _missing(case: Case, item: Item, instruction: Instruction) -> Iterator[Finding]:
    note = instruction.note
    required = holds(note.text, cues("notes", "required"))
    if not required and not holds(note.text, cues("notes", "wanted")):
        return
    yield case.finding(
        "use-additional-missing",
        item,
        severity=Severity.WARNING if required else Severity.ADVICE,
        message="asks for an additional code, which is missing",
        citation=f"Use additional code at {note.origin}: {note.text}",
        remedy="add it" if required else "add it if known",
    )


def _asked(case: Case, item: Item, kind: str) -> Iterator[Instruction]:
    """The instructions of one kind that hold for a code, nearest first."""
    for place in item.facts.line:
        if not place.local:
            return
        for instruction in case.book.printed(place).instructions:
            if instruction.kind == kind:
                yield instruction


def _first_listed_only(case: Case, item: Item) -> Iterator[Finding]:
    if not item.key.startswith("Z") or not any(other.principal for other in case.diagnoses):
        return
    only, excepted = _first_listed()
    if item.key.startswith(only) and not item.key.startswith(excepted):
        message = "may only be listed first"
        yield case.finding("first-listed-only", item, message=message, remedy=f"put {item.shown} first or leave it out")


@lru_cache(maxsize=1)
def _first_listed() -> tuple[tuple[str, ...], tuple[str, ...]]:
    rows = table("en", "first_listed")
    return stems(rows["prefixes"]), stems(rows["except"])


@lru_cache(maxsize=1)
def manifestation_cues() -> tuple[str, ...]:
    """Words of titles that name a manifestation, in every language."""
    folder = resources.files("jointcoder.codebook").joinpath("data")
    texts = (folder.joinpath(lang, "manifestation.txt").read_text("utf-8") for lang in ("en", "zh"))
    return tuple(line for text in texts for line in text.splitlines() if line and line[0] != "#")
