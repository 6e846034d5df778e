"""``POST /fhir/$code``: a Bundle or DocumentReference in; Conditions, Procedures and a Claim out.

The mapping is that of :mod:`jointcoder.exchange.fhir`; this file is its HTTP side. Errors are
OperationOutcomes. ``GET /fhir/metadata`` is the CapabilityStatement (FHIR R4, RESTful API).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from jointcoder import __version__
from jointcoder.errors import InputError
from jointcoder.exchange.fhir import MEDIA_TYPE, coded_bundle, merged, read_bundle
from jointcoder.server.api.coding import code_now
from jointcoder.server.api.operations import operation
from jointcoder.server.api.shapes import FhirOut
from jointcoder.server.deps import BodyDep, DeskDep, MetricsDep, Settings_, Submitter

router = APIRouter(tags=["fhir"])
MOST = 20  # encounters of one request, which waits for all of them


@router.post("/fhir/$code", **operation("fhir_code", answer=FhirOut, body=FhirOut, fhir=True, errors=(429, 504)))
def fhir_code(
    body: BodyDep,
    user: Submitter,
    desk: DeskDep,
    settings: Settings_,
    metrics: MetricsDep,
    suggestions: Annotated[bool, Query(description="With the next likely codes, which are not coded.")] = False,
) -> Response:
    """Code the encounters of a Bundle, or of one DocumentReference, and answer with a Bundle.

    Text is read from attachments (base64 data) and from Binary resources of the Bundle; nothing is fetched from an
    address. Nothing is stored.
    """
    value = body.json()
    if not isinstance(value, Mapping):
        raise InputError("JC160", "a FHIR resource is a JSON object", hint="send a Bundle or a DocumentReference")
    encounters = read_bundle(value)
    if len(encounters) > MOST:
        raise InputError("JC482", f"a request holds {MOST} encounters at most", hint="send several, or a job")
    bundles = []
    for encounter in encounters:
        record = code_now(desk, encounter, user=user, metrics=metrics, timeout_s=settings.code_timeout_s)
        bundles.append(coded_bundle(encounter, record, suggestions=suggestions))
    return _fhir(bundles[0] if len(bundles) == 1 else merged(bundles))


@router.get("/fhir/metadata", **operation("fhir_metadata", answer=FhirOut, fhir=True))
def fhir_metadata(request: Request) -> Response:
    """The CapabilityStatement: what this facade does."""
    return _fhir(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": request.app.state.began.date().isoformat(),
            "kind": "instance",
            "software": {"name": "jointcoder", "version": __version__},
            "implementation": {"description": "jointcoder", "url": f"{str(request.base_url).rstrip('/')}/fhir"},
            "fhirVersion": "4.3.0",
            "format": ["json"],
            "rest": [
                {
                    "mode": "server",
                    "operation": [
                        {
                            "name": "code",
                            "definition": "urn:jointcoder:operation:code",
                            "documentation": "POST [base]/$code with a Bundle or a DocumentReference",
                        }
                    ],
                }
            ],
        }
    )


def _fhir(resource: Mapping[str, Any]) -> Response:
    return Response(json.dumps(resource, ensure_ascii=False), media_type=MEDIA_TYPE)
