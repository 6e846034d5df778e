"""FHIR: resources in → encounters; coded records → Bundles, and back again.

    read_bundle(data)                 encounters of a Bundle or a resource; raises at the first that cannot be read
    read_resources(data)              the same one by one, with flags, codes that came along, and errors as data
    coded_bundle(encounter, record)   what was coded as Conditions, Procedures and a draft Claim
    read_coded(data)                  coded records of such a Bundle
    validate(data)                    what the R4B models of `fhir.resources` (extra ``fhir``) say against it
    outcome(error)                    an error as an OperationOutcome

Dictionaries in and out: this module knows no file and no server. What is valid in R4 and R4B alike is written; R4 is
read, with what R5 writes alike. URIs and extensions: :mod:`jointcoder.exchange.fhir_terms`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jointcoder.errors import InputError, JointCoderError, UsageError
from jointcoder.exchange.fhir_back import records_in
from jointcoder.exchange.fhir_element import Pool, is_resource
from jointcoder.exchange.fhir_read import incoming
from jointcoder.exchange.fhir_terms import FLAG
from jointcoder.exchange.fhir_write import BundleWriter
from jointcoder.exchange.incoming import Incoming, Place
from jointcoder.records import CodedRecord, Encounter, Flag

__all__ = [
    "MEDIA_TYPE",
    "checked",
    "coded_bundle",
    "is_resource",
    "merged",
    "outcome",
    "read_bundle",
    "read_coded",
    "read_resources",
    "validate",
]
MEDIA_TYPE = "application/fhir+json"
SHOWN = 8  # places that a message names


def read_bundle(data: Mapping[str, Any], *, name: str = "") -> list[Encounter]:
    """The encounters of a Bundle (of any type), of Parameters, or of one resource that holds a document.

    InputError, whose message names the element and never its content: JC160 (no resource), JC161 (an element of the
    wrong type), JC162 (no document), JC163 (a reference to what is not here), JC164 (an attachment that cannot be
    read), JC101 (no text), and as the readers of PDF files and images raise.
    """
    found = []
    for one in read_resources(data, name=name):
        if one.error is not None:
            raise one.error
        assert one.encounter is not None
        found.append(one.encounter)
    return found


def read_resources(data: Any, *, name: str = "", flags: tuple[Flag, ...] = ()) -> Iterator[Incoming]:
    """The encounters one by one; an error of one leaves the others. ``name`` is what messages call the input.
    InputError JC160, JC161 and JC162 for the whole."""
    place = Place(name or "FHIR")
    try:
        yield from incoming(Pool.of(data), place, flags)
    except InputError as error:
        raise InputError(error.code, f"{place}: {error.message}", hint=error.hint) from None


def coded_bundle(
    encounter: Encounter | None,
    record: CodedRecord,
    *,
    reviewed: bool = False,
    suggestions: bool = False,
    documents: bool = False,
    quotes: bool = True,
    recorded: dt.datetime | None = None,
) -> dict[str, Any]:
    """The Bundle (type ``collection``) of a coded record.

    ``encounter`` gives patient, period and documents (without it evidence has offsets but no source). ``reviewed``: a
    coder decided, so conditions are confirmed. ``suggestions``: also the codes that were not coded, as provisional.
    ``documents``: with their text. ``quotes``: with the words of the evidence. ``recorded``: when (default: now).
    """
    writer = BundleWriter(
        record=record,
        encounter=encounter,
        recorded=recorded or dt.datetime.now(dt.UTC),
        reviewed=reviewed,
        suggestions=suggestions,
        documents=documents,
        quotes=quotes,
    )
    return writer.bundle()


def merged(bundles: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several Bundles as one; entries of the same URL once."""
    entries: dict[str, Any] = {}
    for bundle in bundles:
        for entry in bundle["entry"]:
            entries.setdefault(entry["fullUrl"], entry)
    first = dict(bundles[0]) if bundles else {"resourceType": "Bundle", "type": "collection"}
    return {**first, "entry": list(entries.values())}


def read_coded(data: Any) -> list[CodedRecord]:
    """The coded records of a Bundle that :func:`coded_bundle` made. InputError JC160, JC161, JC163."""
    return list(records_in(Pool.of(data)))


def validate(data: Mapping[str, Any]) -> list[str]:
    """What is wrong with a resource by the models of R4B: ``path: problem``, never a value; [] for a valid one.
    UsageError JC002 without `fhir.resources`, InputError JC160 for what is no resource."""
    try:
        from fhir.resources.R4B import get_fhir_model_class
        from pydantic import ValidationError
    except ImportError:
        hint = "install it with `pip install jointcoder[fhir]`"
        raise UsageError("JC002", "validation needs the package fhir.resources", hint=hint) from None
    if not is_resource(data):
        raise InputError("JC160", "the input is no FHIR resource", hint="a resource is an object with a resourceType")
    try:
        get_fhir_model_class(data["resourceType"]).model_validate(dict(data))
    except KeyError:
        return ["resourceType: no resource of R4B"]
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        return [f"{'.'.join(map(str, one['loc']))}: {one['type']}" for one in problems]
    return []


def checked(data: dict[str, Any]) -> dict[str, Any]:
    """The resource, if it is valid. InputError JC165 naming the places; UsageError JC002."""
    if problems := validate(data):
        more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise InputError("JC165", f"{'; '.join(problems[:SHOWN])}{more}")
    return data


def outcome(error: JointCoderError) -> dict[str, Any]:
    """An error as an OperationOutcome, with its code and hint."""
    issue: dict[str, Any] = {
        "severity": "error",
        "code": "invalid" if isinstance(error, InputError) else "processing",
        "details": {"coding": [{"system": FLAG, "code": error.code}], "text": error.message},
    }
    if error.hint:
        issue["diagnostics"] = error.hint
    return {"resourceType": "OperationOutcome", "issue": [issue]}
