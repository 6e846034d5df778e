"""Bands of confidence, and when many codes may be accepted at once."""

from __future__ import annotations

import random
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.desk.bands import Band, band_of, band_of_code, bulk_of, measured
from jointcoder.packs.pack import Pack, PackInfo
from jointcoder.records import Finding, Reason, Severity, System, Versions

from .review_stays import assigned, coded_stay

ALL_SURE = {"I10": 0.95, "E11.9": 0.93}


@pytest.mark.parametrize(("confidence", "band"), [(1.0, "high"), (0.9, "high"), (0.89, "medium"), (0.59, "low")])
def test_a_codes_band(confidence: float, band: str):
    assert band_of_code(confidence) == band


@pytest.mark.parametrize(
    ("codes", "severity", "band"),
    [
        (ALL_SURE, None, Band.HIGH),
        (ALL_SURE, Severity.ADVICE, Band.HIGH),
        (ALL_SURE, Severity.WARNING, Band.MEDIUM),
        (ALL_SURE, Severity.ERROR, Band.LOW),
        ({"I10": 0.95, "E11.9": 0.7}, None, Band.MEDIUM),
        ({"I10": 0.5, "E11.9": 0.95, "J18.9": 0.95, "I50.9": 0.95}, None, Band.LOW),
        ({"I10": 0.95, "E11.9": 0.5, "J18.9": 0.5}, None, Band.LOW),
        ({"I10": 0.95, "E11.9": 0.5, "J18.9": 0.95, "I50.9": 0.95}, None, Band.MEDIUM),
        ({}, None, Band.LOW),
    ],
)
def test_a_records_band(small_us: CodeBook, codes: dict[str, float], severity: Severity | None, band: Band):
    findings = (Finding(rule="r", severity=severity, message="m"),) if severity else ()
    record = coded_stay(small_us, codes=tuple(assigned(small_us, System.ICD10CM, codes)), findings=findings)
    assert band_of(record) is band


def pack_with(metrics: dict[str, Any], part: str = "mentions") -> Pack:
    from pathlib import Path

    info = PackInfo(id="p", languages=("en",), systems=(System.ICD10CM,), parts=(part,), metrics=metrics)
    return Pack(Path(), info, "0" * 64)


@pytest.mark.parametrize(
    ("pack", "threshold", "reason"),
    [
        (pack_with({"mentions": {"held out": {"n": 500, "ece": 0.0139}}}), 0.97, "supported"),
        (pack_with({"mentions": {"ece": 0.2}}), None, "calibration_too_weak"),
        (pack_with({"mentions": {"n": 500}}), None, "calibration_unknown"),
        (pack_with({}), None, "calibration_unknown"),
        (pack_with({"terms": {"ece": 0.01}}, "terms"), None, "not_calibrated"),
        (None, None, "not_calibrated"),
    ],
)
def test_many_are_offered_where_the_packs_calibration_was_measured_and_holds(
    small_us: CodeBook, pack: Pack | None, threshold: float | None, reason: str
):
    codes = [
        code.with_(reasons=(Reason(feature="f", value=1.0, weight=1.0),))
        for code in assigned(small_us, System.ICD10CM, ALL_SURE)
    ]
    version = pack.version if pack else ""
    record = coded_stay(small_us, codes=tuple(codes), versions=Versions(program="t", pack=version))
    found = bulk_of(record, pack)
    assert (found.threshold, found.reason) == (threshold, reason)


def test_a_record_of_another_pack_or_without_reasons_is_not_calibrated(small_us: CodeBook):
    pack = pack_with({"mentions": {"ece": 0.01}})
    record = coded_stay(small_us, versions=Versions(program="t", pack=pack.version))
    assert bulk_of(record, pack).reason == "not_calibrated"
    assert bulk_of(coded_stay(small_us), pack).reason == "not_calibrated"


def test_the_shipped_pack_supports_it():
    from jointcoder.settings import Settings

    pack = Pack.find(Settings(), "codiesp-es")
    assert pack.has("mentions")
    assert pack.info.metrics["mentions"]["held out"]["ece"] <= 0.05


def test_measured_on_decisions_it_begins_where_the_lower_bound_of_precision_holds():
    draw = random.Random(1)
    outcomes = [(c, draw.random() < c) for c in (draw.random() for _ in range(4000))]
    found = measured(outcomes)
    assert found.reason == "measured_here"
    assert found.threshold is not None
    above = [right for confidence, right in outcomes if confidence >= found.threshold]
    assert sum(above) / len(above) >= 0.95
    assert measured([(0.99, True)] * 100).reason == "calibration_unknown"
    assert measured([(c, draw.random() < 0.7) for c, _ in outcomes]).reason == "calibration_too_weak"
    same = measured([(0.8, number % 10 > 0) for number in range(400)])
    assert same.threshold is None
