"""Which way a coded record goes: out at once (``auto``), to a coder (``review``), or with a question to the physician
(``query``).

    route(record, Policy(threshold=0.97, …)).route

A record goes out by itself only where a threshold was found at which so many codes are right as were asked for
(:mod:`jointcoder.batch.calibration`), every code reaches it, no rule objects and nothing was remarked while it was
coded. Without a threshold nothing does. Why a record needs a person is said by keys, which the report words:
``no_threshold``, ``confidence``, ``not_calibrated``, ``no_code``, ``no_principal``, a rule's id, a flag's code.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from jointcoder.records import CodedRecord, Kind, Severity

Band = Callable[[CodedRecord], str]


class Route(StrEnum):
    AUTO = "auto"
    REVIEW = "review"
    QUERY = "query"


def no_band(record: CodedRecord) -> str:
    """For runs that know no bands of confidence."""
    return ""


@dataclass(frozen=True)
class Policy:
    """``precision``: the share of right codes that was asked for, None: nothing goes out by itself. ``threshold``: the
    confidence from which that is so, None: nowhere, for the ``reason`` of :mod:`jointcoder.batch.calibration`.
    ``learned``: only a confidence that coded history calibrated counts. ``band_of``: see ``desk.bands``."""

    precision: float | None = None
    threshold: float | None = None
    reason: str = "not_asked"
    learned: bool = False
    band_of: Band = no_band
    calibration: Mapping[str, Any] | None = None  # how the threshold was found; for the report

    def as_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return {name: getattr(self, name) for name in ("precision", "threshold", "reason", "learned")}


@dataclass(frozen=True)
class Routed:
    """The way, and the keys of what kept a record from going out by itself."""

    route: Route
    why: tuple[str, ...] = ()


@cache
def figures() -> Mapping[str, Any]:
    """``data/routing.toml``; read once, never changed."""
    return tomllib.loads(resources.files("jointcoder.batch").joinpath("data", "routing.toml").read_text("utf-8"))


def route(record: CodedRecord, policy: Policy) -> Routed:
    """The way of a record."""
    asks = [flag.code for flag in record.flags if flag.code in figures()["query"]["flags"]]
    asks += [finding.rule for finding in record.findings if finding.rule in figures()["query"]["rules"]]
    if asks:
        return Routed(Route.QUERY, tuple(dict.fromkeys(asks)))
    why = tuple(dict.fromkeys(_against(record, policy)))
    return Routed(Route.REVIEW if why else Route.AUTO, why)


def _against(record: CodedRecord, policy: Policy) -> list[str]:
    """What speaks against letting the record out by itself."""
    why = [finding.rule for finding in record.findings if finding.severity is not Severity.ADVICE]
    why += [flag.code for flag in record.flags if flag.code not in figures()["harmless"]["flags"]]
    if policy.threshold is None:
        return [*why, "no_threshold"]
    if not record.codes:
        return [*why, "no_code"]
    if any(code.kind is Kind.DIAGNOSIS for code in record.codes) and record.principal() is None:
        why.append("no_principal")
    if policy.learned and not all(code.reasons for code in record.codes):
        why.append("not_calibrated")
    if weakest(record) < policy.threshold:
        why.append("confidence")
    return why


def weakest(record: CodedRecord) -> float:
    """The lowest confidence among the codes; 0.0 where there is none."""
    return min((code.confidence for code in record.codes), default=0.0)
