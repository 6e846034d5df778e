"""What the record as a whole must have: one principal diagnosis, a diagnosis for its procedures, the outcome of a
delivery, indicators of presence on admission.

Rules: several-principal, no-principal, procedure-alone, delivery-without-outcome, questionable-admission, poa-missing,
poa-exempt, poa-not-exempt. The last four concern inpatient records (see :class:`Case`); where the code book was built
without the exempt list, nothing is said about exemption.
"""

from __future__ import annotations

from collections.abc import Iterator

from jointcoder.codebook.rules.case import Case
from jointcoder.records import Finding, PresentOnAdmission, Severity

_DELIVERIES = {"vagdel", "csect"}


def findings(case: Case) -> Iterator[Finding]:
    """Findings about the record."""
    yield from _principal(case)
    if case.procedures and not case.diagnoses:
        message = "is a procedure without any diagnosis"
        yield case.finding("procedure-alone", *case.procedures, message=message, remedy="code the reason for it")
    yield from _delivery(case)
    if case.clinical and case.inpatient:
        yield from _admission(case)


def _principal(case: Case) -> Iterator[Finding]:
    for items in (case.diagnoses, case.procedures):
        principal = [item for item in items if item.principal]
        if len(principal) > 1:
            message = f"and {', '.join(item.shown for item in principal[1:])} are all principal"
            yield case.finding("several-principal", *principal, message=message, remedy="choose one")
    if case.diagnoses and not any(item.principal for item in case.diagnoses):
        message = "is first, but no diagnosis is marked as principal"
        yield case.finding("no-principal", case.diagnoses[0], message=message, remedy="choose the principal diagnosis")


def _delivery(case: Case) -> Iterator[Finding]:
    delivery = next((item for item in case.procedures if case.flags[item] & _DELIVERIES), None)
    if delivery is not None and case.diagnoses and not any("delout" in case.flags[item] for item in case.diagnoses):
        message = "is a delivery; the code of its outcome (Z37.-) is missing"
        yield case.finding("delivery-without-outcome", delivery, message=message, remedy="add the outcome of delivery")


def _admission(case: Case) -> Iterator[Finding]:
    principal = next((item for item in case.clinical if item.principal), None)
    if case.asked_inpatient and principal is not None and "qadm" in case.flags[principal]:
        message = "rarely needs an admission"
        yield case.finding("questionable-admission", principal, message=message, remedy="see the reason for admission")
    if not case.book.has_exempt_list:
        return
    missing = []
    for item in sorted(case.clinical, key=lambda one: one.order):
        marked = item.code.present_on_admission
        if not item.facts.known:
            continue
        if case.book.exempt(item.facts, case.on):
            if marked is not None and marked is not PresentOnAdmission.EXEMPT:
                message = f"is exempt from the present-on-admission indicator but has {marked}"
                yield case.finding("poa-exempt", item, message=message, remedy="leave the indicator out")
        elif marked is PresentOnAdmission.EXEMPT:
            message = "is marked exempt from the present-on-admission indicator but is not on the list"
            yield case.finding("poa-not-exempt", item, message=message, remedy="give Y, N, U or W")
        elif marked is None:
            missing.append(item)
    if missing:
        yield case.finding(
            "poa-missing",
            *missing,
            severity=Severity.WARNING if case.asked_inpatient else Severity.ADVICE,
            message=_without_indicator(len(missing)),
            remedy="give Y, N, U or W",
        )


def _without_indicator(number: int) -> str:
    others = {1: "", 2: "and 1 more code "}.get(number, f"and {number - 1} more codes ")
    return f"{others}without a present-on-admission indicator"
