"""A coded record → a FHIR Bundle: what was coded, on what evidence, by what, and as what it would be claimed.

    Patient, Encounter      only where the encounter did not come with references to its own
    DocumentReference       one a document that did not come as a resource
    Condition, Procedure    one a code: coding, confidence, evidence, links
    Claim                   a draft: order, roles, present on admission; no charges, no payer
    OperationOutcome        findings of the rules and flags, if there are any
    Device, Provenance      program, workflow, model, adapters, code book, with their hashes

Valid in R4 and R4B. Not carried: verdicts, reasons, trace and cost (`jointcoder code --json` has them). The same record
gives the same ids, so that sending it twice is seen to be the same. This module builds plain objects; the package
`fhir.resources` is not needed.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jointcoder.exchange import fhir_terms as terms
from jointcoder.exchange.frontpage import Given
from jointcoder.exchange.values import read_date
from jointcoder.records import (
    Assertion,
    AssignedCode,
    CodedRecord,
    Document,
    Encounter,
    Finding,
    Kind,
    Role,
    Severity,
    Span,
    Versions,
)

Json = dict[str, Any]
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, terms.BASE)
_EVIDENT = ("DocumentReference", "DiagnosticReport", "Composition")  # what Procedure.report takes
_REFERENCE = re.compile(r"([A-Z][A-Za-z]{2,60})/[A-Za-z0-9.\-]{1,64}")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_SEVERITIES = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.ADVICE: "information"}
_EXPLAINED = "explained_by"
"""The link of a procedure to the diagnosis that explains it (steps/reconcile.py)."""


@dataclass
class BundleWriter:
    """Builds the Bundle of one record; see :func:`jointcoder.exchange.fhir.coded_bundle` for the options."""

    record: CodedRecord
    encounter: Encounter | None
    recorded: dt.datetime
    reviewed: bool = False
    suggestions: bool = False
    documents: bool = False
    quotes: bool = True
    _entries: list[Json] = field(default_factory=list)
    _named: dict[tuple[str, str], str] = field(default_factory=dict)  # (system, code) → reference

    def bundle(self) -> Json:
        """The Bundle."""
        self._subject, self._stay = self._people()
        self._sources = list(self._documents())
        codes = [*self.record.of_kind(Kind.DIAGNOSIS), *self.record.of_kind(Kind.PROCEDURE)]
        for code in codes:
            self._named[code.system.value, code.code] = self._url(f"{code.system}/{code.code}")
        targets = [self._code(code) for code in codes]
        if self.suggestions:
            targets += [self._code(code, suggested=True) for code in self.record.suggestions]
        if self._stay_written is not None and codes:
            self._stay_written["diagnosis"] = self._ranked(codes)
        if codes:
            targets.append(self._claim())
        if issues := list(self._issues()):
            outcome = {"resourceType": "OperationOutcome", "issue": issues}
            targets.append(self._add("outcome", outcome))
        self._provenance(targets or [self._stay])
        return {
            "resourceType": "Bundle",
            "type": "collection",
            "timestamp": _instant(self.recorded),
            "entry": self._entries,
        }

    # ------------------------------------------------------------------------------------------------------ resources

    def _people(self) -> tuple[str, str]:
        """References to patient and encounter, which are written where the input named none."""
        encounter = self.encounter
        fields = encounter.fields if encounter else {}
        self._stay_written: Json | None = None
        subject = fields.get(terms.PATIENT_FIELD, "")
        if not subject:
            sex = encounter.patient.sex if encounter else "unknown"
            subject = self._add("patient", {"resourceType": "Patient", "gender": sex})
        stay = fields.get(terms.ENCOUNTER_FIELD, "")
        if not stay:
            self._stay_written = {
                "resourceType": "Encounter",
                "identifier": [{"system": terms.ENCOUNTER, "value": self.record.encounter}],
                "status": "finished",
                "class": _absent(),
                "subject": {"reference": subject},
            }
            if encounter and (period := _period(encounter)):
                self._stay_written["period"] = period
            stay = self._add("encounter", self._stay_written)
            self._age(encounter, subject, stay)
        return subject, stay

    def _age(self, encounter: Encounter | None, subject: str, stay: str) -> None:
        if encounter is None or encounter.patient.age_years is None:
            return
        quantity = {"value": round(encounter.patient.age_years, 4), "unit": "a", "system": terms.UCUM, "code": "a"}
        observation = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": terms.LOINC, "code": terms.AGE}]},
            "subject": {"reference": subject},
            "encounter": {"reference": stay},
            "valueQuantity": quantity,
        }
        self._add("age", observation)

    def _documents(self) -> Iterator[str]:
        """A reference to each document; those that did not come as resources are described, with text if wanted."""
        for place, document in enumerate(self.encounter.documents if self.encounter else ()):
            came = document.id.partition("#")[0]
            if _REFERENCE.fullmatch(came) or came.startswith("urn:uuid:"):
                yield came
                continue
            described = _described(document, whole=self.documents)
            described |= {
                "subject": {"reference": self._subject},
                "context": {"encounter": [{"reference": self._stay}]},
            }
            yield self._add(f"document/{place}", described)

    def _code(self, code: AssignedCode, *, suggested: bool = False) -> str:
        name = f"{code.system}/{code.code}"
        resource = self._condition(code, suggested) if code.kind is Kind.DIAGNOSIS else self._procedure(code, suggested)
        return self._add(f"suggestion/{name}" if suggested else name, resource)

    def _condition(self, code: AssignedCode, suggested: bool) -> Json:
        status = "confirmed" if self.reviewed and not suggested else "unconfirmed"
        if code.assertion is Assertion.POSSIBLE or suggested:
            status = "provisional"
        resource: Json = {
            "resourceType": "Condition",
            "extension": self._extensions(code, suggested),
            "verificationStatus": {"coding": [{"system": terms.VERIFICATION, "code": status}]},
            "category": [{"coding": [{"system": terms.CONDITION_CATEGORY, "code": "encounter-diagnosis"}]}],
            "code": self._concept(code),
            "subject": {"reference": self._subject},
            "encounter": {"reference": self._stay},
            "recordedDate": _instant(self.recorded),
        }
        found = [(self._place(span), self._source(span)) for span in code.evidence]
        if evident := [{"extension": [place], "detail": [source]} for place, source in found if source]:
            resource["evidence"] = evident
        # evidence without a resource to point to is none to FHIR (con-2): the place then stands by itself
        resource["extension"] += [place for place, source in found if not source]
        return resource

    def _procedure(self, code: AssignedCode, suggested: bool) -> Json:
        resource: Json = {
            "resourceType": "Procedure",
            "extension": [*self._extensions(code, suggested), *map(self._place, code.evidence)],
            "status": "unknown" if suggested else "completed",
            "code": self._concept(code),
            "subject": {"reference": self._subject},
            "encounter": {"reference": self._stay},
        }
        if day := self._done_on(code):
            resource["performedDateTime"] = day
        reasons = [
            self._named[link.system.value, link.code]
            for link in code.links
            if link.relation == _EXPLAINED and (link.system.value, link.code) in self._named
        ]
        if reasons:
            resource["reasonReference"] = [{"reference": one} for one in dict.fromkeys(reasons)]
        sources = [source["reference"] for span in code.evidence if (source := self._source(span))]
        if reports := [one for one in dict.fromkeys(sources) if not _is_other(one)]:
            resource["report"] = [{"reference": one} for one in reports]
        return resource

    def _claim(self) -> str:
        diagnoses, procedures = self.record.of_kind(Kind.DIAGNOSIS), self.record.of_kind(Kind.PROCEDURE)
        resource: Json = {
            "resourceType": "Claim",
            "status": "draft",
            "type": {"coding": [{"system": terms.CLAIM_TYPE, "code": "institutional"}]},
            "use": "claim",
            "patient": {"reference": self._subject},
            "created": _instant(self.recorded),
            "provider": _absent(),
            "priority": {"coding": [{"system": terms.PRIORITY, "code": "normal"}]},
            "insurance": [{"sequence": 1, "focal": True, "coverage": _absent()}],
        }
        if self.encounter and (period := _period(self.encounter)):
            resource["billablePeriod"] = period
        if diagnoses:
            resource["diagnosis"] = [self._row(code, place) for place, code in enumerate(diagnoses, start=1)]
        if procedures:
            resource["procedure"] = [self._row(code, place) for place, code in enumerate(procedures, start=1)]
        return self._add("claim", resource)

    def _row(self, code: AssignedCode, place: int) -> Json:
        """One row of the Claim."""
        first = code.role is Role.PRINCIPAL
        reference: Json = {"reference": self._named[code.system.value, code.code]}
        if code.kind is Kind.PROCEDURE:
            type = {"system": terms.PROCEDURE_TYPE, "code": "primary" if first else "secondary"}
            row: Json = {"sequence": place, "type": [{"coding": [type]}], "procedureReference": reference}
            if day := self._done_on(code):
                row["date"] = day
            return row
        type = {"system": terms.DIAGNOSIS_TYPE, "code": "principal" if first else "discharge"}
        row = {"sequence": place, "diagnosisReference": reference, "type": [{"coding": [type]}]}
        if code.present_on_admission is not None:
            row["onAdmission"] = {"coding": terms.on_admission(code.present_on_admission)}
        return row

    def _ranked(self, codes: list[AssignedCode]) -> list[Json]:
        use = {"coding": [{"system": terms.DIAGNOSIS_ROLE, "code": "DD"}]}
        diagnoses = [code for code in codes if code.kind is Kind.DIAGNOSIS]
        return [
            {"condition": {"reference": self._named[code.system.value, code.code]}, "use": use, "rank": rank}
            for rank, code in enumerate(diagnoses, start=1)
        ]

    def _issues(self) -> Iterator[Json]:
        checks = [finding for code in self.record.codes for finding in code.checks]
        for finding in dict.fromkeys((*self.record.findings, *checks)):
            yield self._issue(finding)
        for flag in self.record.flags:
            yield {
                "severity": "information",
                "code": "informational",
                "details": {"coding": [{"system": terms.FLAG, "code": flag.code}], "text": _clean(flag.message)},
            }

    def _issue(self, finding: Finding) -> Json:
        concerned = [url for (_, code), url in self._named.items() if code in finding.codes]
        places = [place for place, entry in enumerate(self._entries) if entry["fullUrl"] in concerned]
        issue: Json = {
            "severity": _SEVERITIES[finding.severity],
            "code": "business-rule",
            "details": {"coding": [{"system": terms.RULE, "code": finding.rule}], "text": _clean(finding.message)},
        }
        if more := "; ".join(filter(None, (finding.remedy, finding.citation))):
            issue["diagnostics"] = _clean(more)
        if places:
            issue["expression"] = [f"Bundle.entry[{place}].resource" for place in places]
        return issue

    def _provenance(self, targets: list[str]) -> None:
        device = self._add(
            "device",
            {
                "resourceType": "Device",
                "deviceName": [{"name": "jointcoder", "type": "user-friendly-name"}],
                "version": [
                    {"type": {"coding": [{"system": terms.VERSION, "code": name}]}, "value": value}
                    for name, value in _versions(self.record.versions)
                ],
            },
        )
        about = [
            {"url": "encounter", "valueString": self.record.encounter},
            {"url": "language", "valueString": self.record.language},
        ]
        provenance: Json = {
            "resourceType": "Provenance",
            "extension": [{"url": terms.RECORD, "extension": [one for one in about if one["valueString"]]}],
            "target": [{"reference": one} for one in targets],
            "recorded": _instant(self.recorded),
            "agent": [
                {
                    "type": {"coding": [{"system": terms.PARTICIPANT, "code": "assembler"}]},
                    "who": {"reference": device},
                }
            ],
        }
        if sources := list(dict.fromkeys(self._sources)):
            provenance["entity"] = [{"role": "source", "what": {"reference": one}} for one in sources]
        self._add("provenance", provenance)

    # ---------------------------------------------------------------------------------------------------------- parts

    def _concept(self, code: AssignedCode) -> Json:
        coding: Json = {"system": terms.SYSTEMS[code.system], "code": code.code}
        if self.record.versions.edition:
            coding["version"] = self.record.versions.edition
        if name := _clean(code.name).strip():
            coding["display"] = name
            return {"coding": [coding], "text": name}
        return {"coding": [coding]}

    def _extensions(self, code: AssignedCode, suggested: bool) -> list[Json]:
        found: list[Json] = [{"url": terms.CONFIDENCE, "valueDecimal": round(code.confidence, 6)}]
        if code.assertion is not Assertion.PRESENT:
            found.append({"url": terms.ASSERTION, "valueCode": code.assertion.value})
        if suggested:
            found.append({"url": terms.SUGGESTION, "valueBoolean": True})
        for link in code.links:
            coding = {"system": terms.SYSTEMS[link.system], "code": link.code}
            parts = [{"url": "relation", "valueCode": link.relation}, {"url": "coding", "valueCoding": coding}]
            found.append({"url": terms.LINK, "extension": parts})
        return found

    def _place(self, span: Span) -> Json:
        parts: list[Json] = [
            {"url": name, "valueUnsignedInt": getattr(span, name)} for name in ("document", "start", "end")
        ]
        if self.quotes and span.quote:
            parts.append({"url": "quote", "valueString": _clean(span.quote)})
        return {"url": terms.EVIDENCE, "extension": parts}

    def _source(self, span: Span) -> Json:
        """A Reference to the document of a span; empty where the documents are not known."""
        return {"reference": self._sources[span.document]} if span.document < len(self._sources) else {}

    def _done_on(self, code: AssignedCode) -> str:
        """The day of a procedure where a field of the encounter says it (as on a front page); never guessed."""
        if self.encounter is None:
            return ""
        alone = len(self.record.of_kind(Kind.PROCEDURE)) == 1
        told = Given(self.encounter.fields).of(code.code, alone=alone).get("date", "")
        try:
            day = read_date(told) if told else None
        except ValueError:
            return ""
        return day.isoformat() if day else ""

    def _url(self, name: str) -> str:
        return f"urn:uuid:{uuid.uuid5(_SPACE, f'{self.record.encounter}/{name}')}"

    def _add(self, name: str, resource: Json) -> str:
        url = self._url(name)
        type = resource.pop("resourceType")
        resource |= {"id": url.removeprefix("urn:uuid:")}
        ordered = {"resourceType": type, "id": resource["id"], **resource}
        resource.clear()
        resource |= ordered  # the caller may still add to it
        self._entries.append({"fullUrl": url, "resource": resource})
        return url


def _described(document: Document, *, whole: bool) -> Json:
    data = document.text.encode("utf-8", "surrogatepass")
    attachment: Json = {
        "contentType": "text/plain; charset=utf-8",
        "size": len(data),
        "hash": base64.b64encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode("ascii"),
    }
    if whole:
        attachment["data"] = base64.b64encode(data).decode("ascii")
    resource: Json = {
        "resourceType": "DocumentReference",
        "masterIdentifier": {"system": terms.DOCUMENT, "value": document.id or "0"},
        "status": "current",
        "content": [{"attachment": attachment}],
    }
    if title := _clean(document.title).strip():
        resource["type"] = {"text": title}
        attachment["title"] = title
    return resource


def _is_other(reference: str) -> bool:
    """Whether a reference is to something that reports nothing (an Observation …)."""
    named = _REFERENCE.fullmatch(reference)
    return named is not None and named[1] not in _EVIDENT


def _period(encounter: Encounter) -> Json:
    days = (("start", encounter.admitted), ("end", encounter.discharged))
    return {name: day.isoformat() for name, day in days if day}


def _absent() -> Json:
    """An element that FHIR asks for and nobody told us."""
    return {"extension": [{"url": terms.ABSENT, "valueCode": "unknown"}]}


def _versions(versions: Versions) -> Iterator[tuple[str, str]]:
    for name, value in versions.model_dump().items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", str(one)) for key, one in value.items() if one)
        elif value:
            yield name, str(value)


def _instant(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _clean(text: str) -> str:
    """Text that JSON and FHIR can hold: other control characters and lone surrogates become U+FFFD, one for one."""
    return _CONTROL.sub("\ufffd", text)
