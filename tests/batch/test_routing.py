"""Which way records go, and from which confidence on: by a pack's figures, and measured."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jointcoder.batch.calibration import checked, from_pack, from_records, lower_bound
from jointcoder.batch.routing import Policy, Route, route
from jointcoder.errors import UsageError
from jointcoder.records import (
    AssignedCode,
    CodedRecord,
    Finding,
    Flag,
    Reason,
    Role,
    Severity,
    System,
    Versions,
)

Judged = tuple[CodedRecord, frozenset[tuple[str, str]]]
LEARNED = (Reason(feature="prior", value=1.0, weight=0.5),)
AT = Policy(precision=0.98, threshold=0.97)


def record(
    *confidences: float,
    flags: Sequence[str] = (),
    rules: Sequence[tuple[str, Severity]] = (),
    principal: bool = True,
    learned: bool = False,
    prefix: str = "C",
) -> CodedRecord:
    codes = tuple(
        AssignedCode(
            system=System.ICD10CM,
            code=f"{prefix}{place}",
            name="a disease",
            role=Role.PRINCIPAL if principal and place == 0 else Role.SECONDARY,
            rank=place + 1,
            confidence=confidence,
            reasons=LEARNED if learned else (),
        )
        for place, confidence in enumerate(confidences)
    )
    return CodedRecord(
        encounter="E",
        language="en",
        codes=codes,
        flags=tuple(Flag(code=code, message="m") for code in flags),
        findings=tuple(Finding(rule=rule, severity=severity, message="m") for rule, severity in rules),
        versions=Versions(program="0"),
    )


def test_sure_records_without_objection_go_out() -> None:
    assert route(record(0.99, 0.97), AT).route is Route.AUTO
    assert route(record(0.99, 0.97, flags=["JC109", "JC112"], rules=[("poa", Severity.ADVICE)]), AT).why == ()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (record(0.99, 0.96), ("confidence",)),
        (record(), ("no_code",)),
        (record(0.99, principal=False), ("no_principal",)),
        (record(0.99, rules=[("excludes1", Severity.WARNING)]), ("excludes1",)),
        (record(0.99, rules=[("sex", Severity.ERROR), ("sex", Severity.ERROR)]), ("sex",)),
        (record(0.99, flags=["JC605"]), ("JC605",)),
        (record(0.50, flags=["JC601"]), ("JC601", "confidence")),
    ],
)
def test_others_go_to_a_coder_with_the_reasons(given: CodedRecord, why: tuple[str, ...]) -> None:
    routed = route(given, AT)
    assert routed.route is Route.REVIEW
    assert routed.why == why


def test_what_only_the_physician_knows_is_asked() -> None:
    routed = route(record(0.99, flags=["JC610", "JC605"]), AT)
    assert (routed.route, routed.why) == (Route.QUERY, ("JC610",))


def test_without_a_threshold_nothing_goes_out() -> None:
    routed = route(record(1.0), Policy(precision=0.98, reason="no_calibration"))
    assert (routed.route, routed.why) == (Route.REVIEW, ("no_threshold",))


def test_a_pack_answers_for_calibrated_confidence_only() -> None:
    policy = from_pack(0.95, (0.01, 0.014)).policy(Policy())
    assert (policy.threshold, policy.learned) == (0.964, True)
    assert route(record(0.99), policy).why == ("not_calibrated",)
    assert route(record(0.99, learned=True), policy).route is Route.AUTO
    assert from_pack(0.98, (0.03,)).reason == "calibration_too_weak"
    assert from_pack(0.98, ()).reason == "no_calibration"


def judged(
    count: int, confidence: float, *, wrong_every: int = 0
) -> list[tuple[CodedRecord, frozenset[tuple[str, str]]]]:
    """Records of two codes; every so many the second one is wrong, and a code is missing in each."""
    found = []
    for n in range(count):
        wrong = wrong_every and n % wrong_every == 0
        gold = {("ICD-10-CM", "C0"), ("ICD-10-CM", "missing")} | (set() if wrong else {("ICD-10-CM", "C1")})
        found.append((record(0.999, confidence), frozenset(gold)))
    return found


def test_the_threshold_is_the_lowest_that_keeps_the_precision() -> None:
    measured = from_records(0.95, [*judged(200, 0.9), *judged(200, 0.8), *judged(200, 0.7, wrong_every=2)])
    assert (measured.threshold, measured.reason) == (0.8, "measured")
    assert (measured.records, measured.codes) == (400, 800)
    assert measured.precision == 1.0
    assert measured.lower == lower_bound(800, 800, 1.96) >= 0.95
    assert measured.recall == pytest.approx(2 / 3)


def test_too_little_and_too_wrong_data_support_nothing() -> None:
    assert from_records(0.95, judged(50, 0.9)).reason == "too_few_codes"
    assert from_records(0.95, judged(300, 0.9, wrong_every=2)).reason == "precision_not_reached"
    remark = {"flags": (Flag(code="JC605", message="m"),)}
    flagged = [(one.model_copy(update=remark), gold) for one, gold in judged(300, 0.9)]
    assert from_records(0.95, flagged).reason == "too_few_codes"  # they go to a person at any confidence


def test_more_certainty_asks_for_no_less_confidence() -> None:
    data = [*judged(300, 0.95), *judged(300, 0.85, wrong_every=20), *judged(300, 0.75, wrong_every=4)]
    found = [from_records(asked, data).threshold or 1.0 for asked in (0.8, 0.9, 0.95, 0.98, 0.99)]
    assert found == sorted(found)


def test_precision_is_a_share() -> None:
    assert checked(0.98) == 0.98
    for wrong in (98, 1.0, 0.2):
        with pytest.raises(UsageError, match="JC001"):
            checked(wrong)
