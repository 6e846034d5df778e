"""A Bundle that this program wrote → the coded records again.

A record begins at its Provenance, which names all that belongs to it. Back come the codes with order, roles, present on
admission, confidence, evidence, assertion and links, the suggestions, and the versions; what the Bundle does not carry
(verdicts, reasons, findings as objects, trace, cost) is empty. Codes of a system that is not coded here, and evidence
whose words were left out, are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from jointcoder.errors import InputError
from jointcoder.exchange.fhir_codes import coded_as, is_principal, sequence_of
from jointcoder.exchange.fhir_element import Element, Pool, Resource, extension
from jointcoder.exchange.fhir_terms import (
    ASSERTION,
    CONFIDENCE,
    EVIDENCE,
    LINK,
    RECORD,
    SUGGESTION,
    VERSION,
    indicator_of,
    system_of,
)
from jointcoder.records import (
    Assertion,
    AssignedCode,
    CodedRecord,
    Kind,
    Link,
    PresentOnAdmission,
    Role,
    Span,
    System,
    Versions,
)

Key = tuple[str, str]
Row = tuple[int, Role, PresentOnAdmission | None]


def records_in(pool: Pool) -> Iterator[CodedRecord]:
    """The coded records, in order. InputError JC160 where there is none, JC161."""
    none = True
    for provenance in pool.of_type("Provenance"):
        about = extension(provenance, RECORD)
        if about is not None:
            none = False
            yield _record(provenance, about, pool)
    if none:
        hint = "only what `jointcoder exchange export --to fhir` or POST /fhir/$code wrote is read back"
        raise InputError("JC160", "no coded record: no Provenance of this program", hint=hint)


def _record(provenance: Resource, about: Element, pool: Pool) -> CodedRecord:
    targets = [pool.behind(one, within=provenance) for one in provenance.children("target")]
    resources = [one for one in targets if one is not None]
    claim = next((one for one in resources if one.type == "Claim"), None)
    rows = _rows(claim, pool) if claim is not None else {}
    codes: list[AssignedCode] = []
    suggestions: list[AssignedCode] = []
    for resource in resources:
        if resource.type not in ("Condition", "Procedure"):
            continue
        row = rows.get(resource.url or resource.reference, (0, Role.SECONDARY, None))
        try:
            code = _code(resource, row)
        except (ValidationError, ValueError):
            raise InputError("JC161", f"{resource.path} holds no code that can be read") from None
        if code is not None:
            (suggestions if extension(resource, SUGGESTION) is not None else codes).append(code)
    order = {Kind.DIAGNOSIS: 0, Kind.PROCEDURE: 1}
    codes.sort(key=lambda code: (order[code.kind], code.rank))
    told = {one.text("url"): one.text("valueString") for one in about.children("extension")}
    return CodedRecord(
        encounter=told.get("encounter", ""),
        language=told.get("language", ""),
        codes=tuple(codes),
        suggestions=tuple(suggestions),
        versions=_versions(provenance, pool),
    )


def _rows(claim: Resource, pool: Pool) -> dict[str, Row]:
    """Reference → sequence, role and indicator."""
    found: dict[str, Row] = {}
    for name in ("diagnosis", "procedure"):
        for row in claim.children(name):
            resource = pool.behind(row.child(f"{name}Reference"), within=claim)
            if resource is None:
                hint = "the Claim of a coded record refers to its Conditions and Procedures"
                raise InputError("JC163", f"{row.path}.{name}Reference leads to nothing in what was given", hint=hint)
            role = Role.PRINCIPAL if is_principal(row) else Role.SECONDARY
            given = (indicator_of(system, code) for system, code in row.codings("onAdmission"))
            poa = next((one for one in given if one is not None), None)
            found[resource.url or resource.reference] = (sequence_of(row), role, poa)
    return found


def _code(resource: Resource, row: Row) -> AssignedCode | None:
    kind = Kind.DIAGNOSIS if resource.type == "Condition" else Kind.PROCEDURE
    given = coded_as(resource.child("code"), kind)
    if given is None or given.kind is not kind:
        return None
    sequence, role, poa = row
    holders = [*resource.children("evidence"), resource]
    stated = extension(resource, ASSERTION)
    confidence = extension(resource, CONFIDENCE)
    value = confidence.number("valueDecimal") if confidence is not None else None
    return AssignedCode(
        system=System(given.system),
        code=given.code,
        name=given.name,
        role=role,
        rank=sequence,
        confidence=1.0 if value is None else value,
        evidence=tuple(span for holder in holders for span in _spans(holder)),
        assertion=Assertion(stated.text("valueCode")) if stated is not None else Assertion.PRESENT,
        present_on_admission=poa,
        links=tuple(_links(resource)),
    )


def _spans(holder: Element) -> Iterator[Span]:
    for one in holder.children("extension"):
        if one.text("url") != EVIDENCE:
            continue
        parts = {part.text("url"): part for part in one.children("extension")}
        numbers = [parts[name].number("valueUnsignedInt") for name in ("document", "start", "end") if name in parts]
        if "quote" in parts and len(numbers) == 3:
            document, start, end = (int(number or 0) for number in numbers)
            yield Span(document=document, start=start, end=end, quote=parts["quote"].text("valueString"))


def _links(resource: Resource) -> Iterator[Link]:
    for one in resource.children("extension"):
        if one.text("url") != LINK:
            continue
        parts = {part.text("url"): part for part in one.children("extension")}
        if "relation" in parts and "coding" in parts:
            coding = parts["coding"].child("valueCoding")
            for kind in Kind:
                system = system_of(coding.text("system"), kind)
                if system in set(System):
                    relation = parts["relation"].text("valueCode")
                    yield Link(relation=relation, system=System(system), code=coding.text("code"))
                    break


def _versions(provenance: Resource, pool: Pool) -> Versions:
    fields: dict[str, Any] = {"program": ""}
    for agent in provenance.children("agent"):
        device = pool.behind(agent.child("who"), within=provenance)
        for version in device.children("version") if device is not None and device.type == "Device" else ():
            for system, code in version.codings("type"):
                name, _, key = code.partition(".")
                if system != VERSION or name not in Versions.model_fields:
                    continue
                if key:
                    fields.setdefault(name, {})[key] = version.text("value")
                else:
                    fields[name] = version.text("value")
    try:
        return Versions(**fields)
    except ValidationError:
        raise InputError("JC161", f"{provenance.path}.agent names versions that cannot be read") from None
