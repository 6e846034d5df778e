"""The words FHIR has for what we say: URIs of code systems, present on admission, roles, and our own extensions.

FHIR has no element for a confidence or for a place in a text, so these travel in extensions; their URLs, all below
:data:`BASE`, are listed here and nowhere else. Chinese diagnoses and procedures go under the object identifiers that
the national data standard (WS 364, WS/T 500) gives its tables of ICD-10 and ICD-9-CM-3; which edition a code is of
(国家临床版, 医保版 …) stands in ``Coding.version``. This module knows no resource.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from jointcoder.records import Kind, PresentOnAdmission, System

BASE = "urn:jointcoder:fhir"
CONFIDENCE = f"{BASE}:confidence"  # valueDecimal, 0 to 1: on a Condition or Procedure
EVIDENCE = f"{BASE}:evidence"  # document, start, end (valueUnsignedInt), quote (valueString)
LINK = f"{BASE}:link"  # relation (valueCode), coding (valueCoding): to another code of the record
ASSERTION = f"{BASE}:assertion"  # valueCode: what the text says of it, where it is not "present"
SUGGESTION = f"{BASE}:suggestion"  # valueBoolean: not coded, shown to a coder
RECORD = f"{BASE}:record"  # encounter (valueString), language (valueString): on the Provenance of a coded record
VERSION = f"{BASE}:version"  # system of Device.version.type: a field of Versions
RULE, FLAG = f"{BASE}:rule", f"{BASE}:flag"  # systems of OperationOutcome.issue.details
DOCUMENT, ENCOUNTER = f"{BASE}:document", f"{BASE}:encounter"  # systems of identifiers

ENCOUNTER_FIELD, PATIENT_FIELD = "fhir.encounter", "fhir.patient"
"""Fields of an encounter that hold the references it came with."""

ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
CONDITION_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
DIAGNOSIS_ROLE = "http://terminology.hl7.org/CodeSystem/diagnosis-role"
DIAGNOSIS_TYPE = "http://terminology.hl7.org/CodeSystem/ex-diagnosistype"
PROCEDURE_TYPE = "http://terminology.hl7.org/CodeSystem/ex-procedure-type"
ON_ADMISSION = "http://terminology.hl7.org/CodeSystem/ex-diagnosis-on-admission"
NUBC_ON_ADMISSION = "https://www.nubc.org/CodeSystem/PresentOnAdmissionIndicator"
CLAIM_TYPE = "http://terminology.hl7.org/CodeSystem/claim-type"
PRIORITY = "http://terminology.hl7.org/CodeSystem/processpriority"
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
AGE = "30525-0"
"""LOINC: age."""

SYSTEMS: Mapping[System, str] = MappingProxyType(
    {
        System.ICD10CM: "http://hl7.org/fhir/sid/icd-10-cm",
        System.ICD10PCS: "http://www.cms.gov/Medicare/Coding/ICD10",
        System.ICD10CN: "urn:oid:2.16.156.10011.2.3.3.11",
        System.ICD9CM3: "urn:oid:2.16.156.10011.2.3.3.12",
    }
)
"""The URI under which codes of a system go out."""

_ALSO: Mapping[str, System] = MappingProxyType(
    {
        "urn:oid:2.16.840.1.113883.6.90": System.ICD10CM,
        "urn:oid:2.16.840.1.113883.6.4": System.ICD10PCS,
        "http://hl7.org/fhir/sid/icd-10-pcs": System.ICD10PCS,
        "https://www.cms.gov/Medicare/Coding/ICD10": System.ICD10PCS,
        "urn:oid:2.16.156.10011.2.3.3.11.3": System.ICD10CN,
        "urn:oid:2.16.840.1.113883.6.104": System.ICD9CM3,
    }
)
_ICD9 = "http://hl7.org/fhir/sid/icd-9-cm"  # diagnoses and procedures alike: which one tells the resource

_IN = {uri: system for system, uri in SYSTEMS.items()} | dict(_ALSO)
_HL7_INDICATORS = frozenset("YNUW")


def system_of(uri: str, kind: Kind) -> str:
    """The code system behind a URI, or the URI itself where its codes are not coded here. ``kind``: what is coded."""
    if uri == _ICD9 and kind is Kind.PROCEDURE:
        return System.ICD9CM3.value
    found = _IN.get(uri)
    return found.value if found is not None and found.kind is kind else uri


def on_admission(indicator: PresentOnAdmission) -> list[dict[str, str]]:
    """Codings of an indicator: that of the UB-04 form, which has all of ours, and HL7's own, which lacks "exempt"."""
    codings = [{"system": NUBC_ON_ADMISSION, "code": indicator.value}]
    if indicator.value in _HL7_INDICATORS:
        codings.append({"system": ON_ADMISSION, "code": indicator.value.lower()})
    return codings


def indicator_of(system: str, code: str) -> PresentOnAdmission | None:
    """The indicator that a coding means; None for another coding."""
    if system not in (NUBC_ON_ADMISSION, ON_ADMISSION, ""):
        return None
    try:
        return PresentOnAdmission(code.upper())
    except ValueError:
        return None
