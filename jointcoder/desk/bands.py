"""How sure the model is, in three bands; and from which confidence many codes may be accepted at once.

    band_of_code(0.93)                → Band.HIGH
    band_of(record)                   → Band.LOW: a weak principal diagnosis, many weak codes, an error, or no code
    bulk_of(record, pack)             → Bulk(threshold=0.97, reason="supported")
    measured(outcomes)                → the same from what this house's coders decided

Confidence is a probability only where coded history calibrated it: a learned pack does, the table of the model workflow
does not. Where it is none, or nobody measured whether it holds (expected calibration error, Naeini 2015), accepting in
bulk is not offered, and ``reason`` says why. The figures behind all this are ``data/bands.toml``.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jointcoder.records import CodedRecord, Kind, Severity

if TYPE_CHECKING:
    from jointcoder.packs import Pack

CALIBRATED = ("mentions", "labels", "drafts")
"""Parts of a pack that give the codes of an encounter a calibrated probability."""


class Band(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True)
class Bulk:
    """From which confidence codes may be accepted together; None: not at all. ``reason`` is a key for the page:
    ``supported``, ``measured_here``, ``not_calibrated``, ``calibration_unknown``, ``calibration_too_weak``. ``codes``:
    how many this house's coders decided one by one, in so many finished ``reviews``; measuring needs ``needed``."""

    threshold: float | None
    reason: str
    reviews: int = 0
    codes: int = 0

    @property
    def needed(self) -> int:
        return int(figures()["bulk"]["fewest"])


NOT_CALIBRATED = Bulk(None, "not_calibrated")


@cache
def figures() -> Mapping[str, Any]:
    """``data/bands.toml``; read once, never changed."""
    return tomllib.loads(resources.files("jointcoder.desk").joinpath("data", "bands.toml").read_text("utf-8"))


def band_of_code(confidence: float) -> Band:
    """The band of one code."""
    limits = figures()["code"]
    if confidence >= limits["high"]:
        return Band.HIGH
    return Band.MEDIUM if confidence >= limits["medium"] else Band.LOW


def band_of(record: CodedRecord) -> Band:
    """The band of a record: low where a person is needed most, high where every code is and no rule objects."""
    bands = [band_of_code(code.confidence) for code in record.codes]
    principal = record.principal(Kind.DIAGNOSIS)
    severities = {finding.severity for finding in record.findings}
    weak = bands.count(Band.LOW) > figures()["record"]["low_share"] * len(bands)
    if not bands or weak or Severity.ERROR in severities:
        return Band.LOW
    if principal is None or band_of_code(principal.confidence) is Band.LOW:
        return Band.LOW
    return Band.HIGH if set(bands) == {Band.HIGH} and Severity.WARNING not in severities else Band.MEDIUM


def bulk_of(record: CodedRecord, pack: Pack | None) -> Bulk:
    """What the calibration of the pack that the record was coded with supports.

    Among codes of confidence ≥ t as large a share as t is expected to be right; the error measured on held-out data is
    added to what is asked for.
    """
    if pack is None or record.versions.pack != pack.version or not any(code.reasons for code in record.codes):
        return NOT_CALIBRATED
    errors = [found for part in CALIBRATED if pack.has(part) for found in _errors(pack.info.metrics.get(part))]
    if not errors:
        return Bulk(None, "calibration_unknown" if any(pack.has(part) for part in CALIBRATED) else "not_calibrated")
    limits = figures()["bulk"]
    if max(errors) > limits["worst_error"]:
        return Bulk(None, "calibration_too_weak")
    return Bulk(min(limits["highest"], math.ceil((limits["precision"] + max(errors)) * 100) / 100), "supported")


def _errors(metrics: Any) -> list[float]:
    """Every calibration error that a part's figures hold."""
    if not isinstance(metrics, Mapping):
        return []
    own = [float(metrics["ece"])] if isinstance(metrics.get("ece"), int | float) else []
    return own + [found for value in metrics.values() for found in _errors(value)]


def measured(outcomes: Iterable[tuple[float, bool]]) -> Bulk:
    """From (confidence, was it right) of codes that coders decided: the lowest confidence from which upwards the lower
    bound of precision reaches what is asked for. Codes of equal confidence stay together."""
    limits = figures()["bulk"]
    right = total = 0
    found: float | None = None
    seen = sorted(outcomes, reverse=True)
    if len(seen) < limits["fewest"]:
        return Bulk(None, "calibration_unknown")
    for place, (confidence, was_right) in enumerate(seen):
        right, total = right + was_right, total + 1
        ends = place + 1 == len(seen) or seen[place + 1][0] != confidence
        if ends and _lower_bound(right, total, limits["z"]) >= limits["precision"]:
            found = confidence
    return Bulk(found, "measured_here" if found is not None else "calibration_too_weak")


def _lower_bound(right: int, total: int, z: float) -> float:
    """Of a share (Wilson 1927)."""
    share = right / total
    centre = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return (centre - spread) / (1 + z * z / total)
