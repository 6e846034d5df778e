"""``POST /v1/code``: one encounter in, its coded record out. Nothing is stored but the audit's word of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from jointcoder.errors import InputError, JointCoderError
from jointcoder.parsing import parse_encounter
from jointcoder.records import CodedRecord, Encounter
from jointcoder.server.api.answers import ok
from jointcoder.server.api.operations import operation
from jointcoder.server.api.taken import EncounterIn
from jointcoder.server.auth import User
from jointcoder.server.deps import BodyDep, DeskDep, MetricsDep, Settings_, Submitter
from jointcoder.server.metrics import Metrics

router = APIRouter(tags=["coding"])


@router.post("/v1/code", **operation("code", answer=CodedRecord, body=EncounterIn, errors=(429, 503, 504)))
def code(
    body: BodyDep,
    user: Submitter,
    desk: DeskDep,
    settings: Settings_,
    metrics: MetricsDep,
    timeout_s: Annotated[float | None, Query(ge=1, le=3600, description="How long to wait for the record.")] = None,
) -> Response:
    """Code one encounter and wait for the record.

    Takes the encounter as text, sections or documents. Nothing of it is stored. It goes before all that waits in the
    queue. For many encounters, or records that coders are to review, send a job or put them into the worklist.
    """
    encounter = read_encounter(body.json())
    wait = min(timeout_s or settings.code_timeout_s, settings.code_timeout_s)
    return ok(code_now(desk, encounter, user=user, metrics=metrics, timeout_s=wait))


def read_encounter(value: Any) -> Encounter:
    """A JSON value → encounter. InputError JC101, JC103, JC108."""
    if not isinstance(value, Mapping):
        raise InputError("JC108", "an encounter is a JSON object", hint="see `jointcoder schema`")
    return parse_encounter(value)


def code_now(desk: Any, encounter: Encounter, *, user: User, metrics: Metrics, timeout_s: float) -> CodedRecord:
    """The coded record, counted and audited. Errors of the desk (JC467, JC468) and of the coder."""
    from jointcoder.store.audit import Audit, versions_of
    from jointcoder.store.encounters import version_of

    try:
        record: CodedRecord = desk.code_now(encounter, timeout_s=timeout_s)
    except JointCoderError as error:
        metrics.failed(error.code)
        raise
    metrics.coded(record.cost)
    Audit(desk.store).add(
        actor=user.name,
        action="record.coded",
        kind="encounter",
        subject=version_of(encounter),
        details={"stored": False, "codes": [one.code for one in record.codes]},
        versions=versions_of(record.versions),
    )
    return record
