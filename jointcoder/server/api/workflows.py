"""``GET /v1/workflows``: the workflows that ship, and the one that codes here."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from jointcoder.server.api.answers import ok
from jointcoder.server.api.operations import operation
from jointcoder.server.api.shapes import WorkflowOut, WorkflowsOut, told
from jointcoder.server.deps import Asker, DeskDep, Settings_
from jointcoder.workflow.spec import Workflow, library_names, load_workflow

router = APIRouter(tags=["service"])


@router.get("/v1/workflows", **operation("workflows", answer=WorkflowsOut))
def workflows(request: Request, user: Asker, desk: DeskDep, settings: Settings_) -> Response:
    """The workflows, what each needs, which one codes here, and which a person approved."""
    from jointcoder.store.approvals import Approvals

    approved = {one.hash for one in Approvals(desk.store).all() if one.stands}
    here = load_workflow(settings.workflow)
    flows = {flow.hash: flow for flow in (here, *map(load_workflow, library_names()))}
    items = tuple(_told(flow, used=flow.hash == here.hash, approved=flow.hash in approved) for flow in flows.values())
    return ok(WorkflowsOut(items=items, versions=told(request)))


def _told(flow: Workflow, *, used: bool, approved: bool) -> WorkflowOut:
    return WorkflowOut(
        name=flow.name,
        version=flow.version,
        hash=flow.hash,
        summary=flow.summary,
        source=flow.source,
        needs=flow.needs.model_dump(mode="json"),
        steps=tuple(step.id for step in flow.step),
        in_use=used,
        approved=approved,
    )
