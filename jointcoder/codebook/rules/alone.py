"""What can be said of one code by itself: whether it exists, is complete and valid, and fits the patient.

Rules: unknown, not-assignable, not-valid, seventh-missing, seventh-illegal, placeholder, pcs-illegal, sex, age,
unspecified-code, wrong-procedure. Where exactly one correction is possible the remedy names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from jointcoder.codebook.rules.case import Case, Item
from jointcoder.codebook.rules.catalogue import stems, table
from jointcoder.codebook.rules.facts import Place, as_date
from jointcoder.records import Finding, System

AGES = {"newborn": (0, 0), "pediatric": (0, 17), "maternity": (9, 64), "adult": (15, 124)}
"""Age conflicts of the Medicare Code Editor: flag → youngest and oldest year of age."""
AGES_BEFORE = {"maternity": (20191001, (12, 55))}
"""Flags whose ages were others before a day."""
LISTED = 8
"""Codes that a remedy names before it says "…"."""
FULL = 7

_PCS = re.compile(r"[0-9A-HJ-NP-Z]{7}")
MORPHOLOGY = re.compile(r"M\d{4,5}/\d")


def findings(case: Case) -> Iterator[Finding]:
    """Findings code by code, in the order given."""
    for item in case.items:
        yield from _exists(case, item)
        yield from _patient(case, item)
        flags = case.flags[item]
        if "unspecified" in flags and case.inpatient:
            message = "leaves the side or site open although codes for it exist"
            yield case.finding("unspecified-code", item, message=message, remedy="state the side if the record does")
        if "wrngproc" in flags:
            yield case.finding("wrong-procedure", item, message="reports a wrong procedure; the payer will ask")


def _exists(case: Case, item: Item) -> Iterator[Finding]:
    facts, on = item.facts, case.on
    if not facts.known:
        if MORPHOLOGY.fullmatch(item.key) and item.system is System.ICD10CN:
            return
        if on is None or not facts.periods or not case.book.valid(facts, on):
            yield _unknown(case, item)
    elif not facts.billable:
        if on is None or not facts.periods or not case.book.valid(facts, on):  # a heading now, a code that day
            yield _heading(case, item)
    elif on is not None and not case.book.valid(facts, on):
        periods = ", ".join(f"{as_date(start)}–{as_date(end)}" for start, end in facts.periods)
        message = f"is not valid on {as_date(on)} (valid {periods})"
        yield case.finding("not-valid", item, message=message)


def _heading(case: Case, item: Item) -> Finding:
    place = item.facts.line[0]
    below = case.book.codes_below(place)
    if len(below) == 1:
        remedy = f"use {below[0].code}"
    else:
        remedy = "choose among the codes below it" + (f": {_listed(below)}" if below else "")
    sevenths = _sevenths(place, case.book.children(place)) if item.system is System.ICD10CM else {}
    if sevenths:
        message = f"lacks its 7th character ({', '.join(sevenths)})"
        return case.finding("seventh-missing", item, message=message, remedy=remedy)
    message = "is a heading; a code of full length is required"
    return case.finding("not-assignable", item, message=message, remedy=remedy)


def _unknown(case: Case, item: Item) -> Finding:
    edition = case.book.book.info.edition
    if item.system is System.ICD10CM:
        found = _misspelt(case, item)
        if found is not None:
            return found
        complete = next((p for p in _beginnings(case, item.key) if p.billable), None)
        if complete is not None:
            message = f"is not in the code book: {complete.code} is complete and takes no further characters"
            return case.finding("unknown", item, message=message, remedy=f"use {complete.code}")
    if item.system is System.ICD10PCS:
        reason = _why_illegal(case, item)
        if reason:
            return case.finding("pcs-illegal", item, message=f"is no ICD-10-PCS code: {reason}")
    if item.system is System.ICD10CN and "+" in item.key:
        dagger, _, asterisk = item.key.partition("+")
        parts = [case.book.place(item.system, part) for part in (dagger, asterisk)]
        if all(part is not None and part.billable for part in parts):
            remedy = "code the two apart: " + ", ".join(part.code for part in parts if part)
            return case.finding("unknown", item, message="is not in the code book as a pair", remedy=remedy)
    return case.finding("unknown", item, message="is not in the code book", citation=edition)


def _misspelt(case: Case, item: Item) -> Finding | None:
    """An ICD-10-CM code whose 7th character or placeholder is wrong."""
    key = item.key
    for place in _beginnings(case, key[:-1]):
        sevenths = _sevenths(place, case.book.children(place))
        if not sevenths:
            if place.billable or len(place.key) < len(key.rstrip("X")) - 1:
                return None
            continue
        names = ", ".join(sevenths)
        right = sevenths.get(key[-1])
        filler = key[len(place.key) : -1] if len(key) > len(place.key) + 1 else ""
        if right is None:
            options = _listed(tuple(sevenths.values()))
            remedy = f"use {options}" if len(sevenths) == 1 else f"choose among {options}"
            message = f"has the 7th character {key[-1]}, which does not exist here ({names} do)"
            return case.finding("seventh-illegal", item, message=message, remedy=remedy)
        if len(key) <= FULL and not filler.strip("X0"):
            message = f"does not bear the 7th character in the 7th place behind the placeholder X ({names} exist)"
            return case.finding("placeholder", item, message=message, remedy=f"use {right.code}")
        return None
    return None


def _beginnings(case: Case, key: str) -> Iterator[Place]:
    """The entries that a key extends, longest first, down to the category."""
    for length in range(min(len(key), FULL - 1), 2, -1):
        place = case.book.place(System.ICD10CM, key[:length])
        if place is not None:
            yield place


def _sevenths(place: Place, children: Sequence[Place]) -> dict[str, Place]:
    """7th character → the code, where the entries just below are its 7th-character codes."""
    stem = place.key.ljust(FULL - 1, "X")
    if len(place.key) >= FULL or not children:
        return {}
    if not all(child.billable and len(child.key) == FULL and child.key[:-1] == stem for child in children):
        return {}
    return {child.key[-1]: child for child in children}


def _why_illegal(case: Case, item: Item) -> str:
    """Which axis of a PCS code breaks, as far as it can be told; empty when it cannot."""
    if not _PCS.fullmatch(item.key):
        letters = sorted({letter for letter in item.key if letter in "IO"})
        if letters:
            return f"the letters {' and '.join(letters)} are not used"
        return f"it has {len(item.key)} characters instead of seven" if len(item.key) != FULL else "it has other signs"
    from jointcoder.codebook.pcs import Pcs

    return str(Pcs(case.book.book).why_illegal(item.key) or "")


def _patient(case: Case, item: Item) -> Iterator[Finding]:
    flags, patient = case.flags[item], case.patient
    wanted = {"female", "male"} & flags if flags else set()
    if item.system is System.ICD10CN and patient.sex != "unknown":
        wanted = {sex for sex in ("female", "male") if item.key.startswith(_limited_to(sex))}
    if wanted and patient.sex != "unknown" and patient.sex not in wanted:
        yield case.finding("sex", item, message=f"applies to {'/'.join(sorted(wanted))} patients")
    age = patient.age_years
    if age is not None and flags:
        ages = [_ages(flag, case.on) for flag in flags if flag in AGES]
        if ages and not any(low <= int(age) <= high for low, high in ages):
            spans = ", ".join(f"{low}–{high}" for low, high in sorted(ages))
            yield case.finding("age", item, message=f"applies to ages {spans}")


def _ages(flag: str, on: int | None) -> tuple[int, int]:
    changed, before = AGES_BEFORE.get(flag, (0, AGES[flag]))
    return before if on is not None and on < changed else AGES[flag]


def _limited_to(sex: str) -> tuple[str, ...]:
    return stems(table("zh", "diagnoses")["sex"][sex])


def _listed(places: Sequence[Place]) -> str:
    more = f", … ({len(places)} in all)" if len(places) > LISTED else ""
    return ", ".join(place.code for place in places[:LISTED]) + more
