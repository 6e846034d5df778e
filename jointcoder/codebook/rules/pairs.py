"""What two codes of a record say about each other, whatever their order.

Rules: duplicate, heading-with-code, excludes1, excludes2, combination, without-with, integral-symptom,
normal-delivery, pcs-inspection.

Excludes2 says "not included here": both codes may stand. The oracle stays silent then, except for one advice: an
*unspecified* code at whose category or below an Excludes2 note names a code of the record. The two may be one
condition coded twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations as pairs_of

from jointcoder.codebook.rules.case import CHINESE, Case, Item
from jointcoder.codebook.rules.catalogue import (
    Combination,
    combinations,
    cues,
    holds,
    integral,
    symptom_categories,
)
from jointcoder.codebook.rules.facts import Named, Place
from jointcoder.records import Finding, Kind, Severity, System

_INSPECTION = "J"


def findings(case: Case) -> Iterator[Finding]:
    """Findings pair by pair, then combinations."""
    yield from _same_branch(case)
    if case.clinical:
        yield from _excludes(case)
    for language in ("en", "zh"):
        held = [item for item in case.diagnoses if (item.system in CHINESE) == (language == "zh")]
        if len(held) > 1:
            yield from _combined(case, held, combinations(language))
            yield from _integral(case, held)
    if len(case.clinical) > 1:
        yield from _without_with(case)
        yield from _normal_delivery(case)
    yield from _inspections(case)


def _same_branch(case: Case) -> Iterator[Finding]:
    """Duplicates, and codes beside one below them."""
    at: dict[tuple[System, str], Item] = {}
    for item in case.items:
        first = at.setdefault((item.system, item.key), item)
        if first is not item and item.code.kind is Kind.DIAGNOSIS:  # a procedure may be done twice
            yield case.finding("duplicate", first, message="is assigned twice", remedy="keep one")
    for (system, _), below in at.items():
        for place in below.facts.line[1:]:
            above = at.get((system, place.key))
            if above is not None and above is not below and above.facts.line[:1] == (place,):
                yield case.finding(
                    "heading-with-code",
                    above,
                    below,
                    severity=Severity.WARNING if place.billable else Severity.ERROR,
                    message=f"stands above {below.shown}, which says more",
                    remedy=f"keep {below.shown}",
                )


def _excludes(case: Case) -> Iterator[Finding]:
    found: dict[tuple[int, int], tuple[Item, Item, Named, Place]] = {}
    order = {item: number for number, item in enumerate(case.items)}
    clinical = sorted(case.clinical, key=order.__getitem__)
    for one in clinical:
        for other, named, place in _named(case, one, "excludes1"):
            pair = (min(order[one], order[other]), max(order[one], order[other]))
            found.setdefault(pair, (one, other, named, place))
    for _, (one, other, named, place) in sorted(found.items(), key=lambda pair: pair[0]):
        note = named.note
        yield case.finding(
            "excludes1",
            one,
            other,
            severity=Severity.ERROR if place.local else Severity.WARNING,
            message=f"is not coded together with {other.shown} unless the two are unrelated",
            citation=f"Excludes1 at {note.origin}: {note.text}",
            remedy="keep the one that the record supports",
        )
    vague = cues("notes", "unspecified")
    for one in clinical:
        if not one.facts.name.casefold().endswith(vague):
            continue
        for other, named, place in _named(case, one, "excludes2"):
            pair = (min(order[one], order[other]), max(order[one], order[other]))
            narrow = named.reference.first == named.reference.last
            if pair in found or not place.local or not narrow or holds(other.facts.name, vague):
                continue
            found[pair] = (one, other, named, place)
            yield case.finding(
                "excludes2",
                one,
                other,
                message=f"and {other.shown} are two conditions: keep both only if the record shows both",
                citation=f"Excludes2 at {named.note.origin}: {named.note.text}",
                remedy=f"leave {one.shown} out if it stands for the condition of {other.shown}",
            )


def _named(case: Case, one: Item, kind: str) -> Iterator[tuple[Item, Named, Place]]:
    """The codes that the notes above ``one`` name and ``one`` itself is not: (code, note, where it stands), nearest
    note first."""
    for place in one.facts.line:
        for named, other in case.excluded_at(place, kind):
            if other is not one and other.key != one.key and not named.reference.covers_key(one.key):
                yield other, named, place


def _combined(case: Case, held: Sequence[Item], rules: Sequence[Combination]) -> Iterator[Finding]:
    keys = {item.key[:3] for item in held}
    for rule in rules:
        if not any(prefix[:3] in keys for prefix in rule.all[0]):
            continue
        matched = _matched(rule, held)
        if not matched:
            continue
        becomes = rule.becomes.replace("*", matched[0].key[:3])
        if rule.without and not any(item.key.startswith(rule.with_code) for item in matched):
            becomes = rule.without
        stem = becomes.replace(".", "").rstrip("-")
        if rule.coded_is_silent and any(item.key.startswith(stem) for item in held):
            continue
        given_up = " and ".join(dict.fromkeys(matched[place].shown for place in rule.gives_way))
        others = " and ".join(item.shown for item in matched[1:])
        section = rule.section if matched[0].system in CHINESE else f"ICD-10-CM Official Guidelines {rule.section}"
        remedy = rule.remedy or f"code {becomes} in place of {given_up}"
        yield case.finding(
            "combination",
            *matched,
            message=f"with {others} is classified together as {becomes}",
            citation=section if rule.section != "I.B.9" else "",
            remedy=f"{remedy}, unless the record says that they are unrelated",
        )


def _matched(rule: Combination, held: Sequence[Item]) -> tuple[Item, ...]:
    """A code for each list of the rule, all different; empty when one list has none."""
    if rule.unless and any(item.key.startswith(rule.unless) for item in held):
        return ()
    found: list[Item] = []
    for prefixes in rule.all:
        item = next((item for item in held if item not in found and item.key.startswith(prefixes)), None)
        if item is None:
            return ()
        found.append(item)
    return tuple(found)


def _integral(case: Case, held: Sequence[Item]) -> Iterator[Finding]:
    categories = symptom_categories()
    found = [item for item in held if item.key[:3] in categories and not item.principal]
    for symptoms, diseases in integral() if found else ():
        for one in found:
            if not one.key.startswith(symptoms):
                continue
            disease = next((item for item in held if item.key.startswith(diseases)), None)
            if disease is not None:
                message = f"is integral to {disease.shown}"
                yield case.finding("integral-symptom", one, disease, message=message, remedy=f"leave {one.shown} out")


def _without_with(case: Case) -> Iterator[Finding]:
    """E11.9 "without complications" beside E11.22: the one denies what the other says."""
    without = cues("notes", "without")
    for one in case.clinical:
        if not holds(one.facts.name, without):
            continue
        stem = one.key[:3]
        other = next((o for o in case.clinical if o.key[:3] == stem and not holds(o.facts.name, without)), None)
        if other is not None:
            message = f"says that there are no complications; {other.shown} names one"
            yield case.finding("without-with", one, other, message=message, remedy=f"keep {other.shown}")


def _normal_delivery(case: Case) -> Iterator[Finding]:
    normal = next((item for item in case.clinical if item.key == "O80"), None)
    if normal is None:
        return
    for other in case.diagnoses:
        if other.key.startswith("O") and other is not normal:
            message = f"is not used with {other.shown}, a code of chapter 15"
            yield case.finding("normal-delivery", normal, other, message=message, remedy=f"leave {normal.shown} out")


def _inspections(case: Case) -> Iterator[Finding]:
    """Looking at a body part in order to operate on it (medical and surgical section)."""
    surgical = [p for p in case.procedures if p.system is System.ICD10PCS and p.key[:1] == "0" and len(p.key) == 7]
    for one, other in pairs_of(surgical, 2):
        if one.key[1] != other.key[1] or one.key[3:4] != other.key[3:4]:
            continue
        for looked, done in ((one, other), (other, one)):
            if looked.key[2] == _INSPECTION != done.key[2] and looked.key[4:5] == done.key[4:5]:
                message = f"is an inspection done in order to perform {done.shown}"
                yield case.finding("pcs-inspection", looked, done, message=message, remedy=f"leave {looked.shown} out")
