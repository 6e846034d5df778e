"""``/health/live``, ``/health/ready`` and ``/metrics``: what a supervisor and a monitor ask. No patient data."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from jointcoder.desk.service import Desk
from jointcoder.errors import CATALOGUE, JointCoderError
from jointcoder.server import problem
from jointcoder.server.api.answers import ok
from jointcoder.server.api.operations import operation
from jointcoder.server.api.shapes import LiveOut, ReadyOut, told
from jointcoder.server.books import Books, ready
from jointcoder.server.deps import MetricsDep, Settings_, Watcher
from jointcoder.server.metrics import MEDIA_TYPE
from jointcoder.store.encounters import Query

router = APIRouter(tags=["service"])
OK, FULL, OPENING = "ok", "full", "opening"


@router.get("/health/live", **operation("live", answer=LiveOut, public=True))
def live() -> Response:
    """Whether the process answers."""
    return ok(LiveOut())


@router.get("/health/ready", **operation("ready", answer=ReadyOut, public=True))
def is_ready(request: Request, settings: Settings_) -> Response:
    """Whether encounters can be coded: store, code book (with all that a first page would wait for), coder (model and
    workflow) and queue. 503 names what is in the way."""
    desk: Desk | None = getattr(request.app.state, "desk", None)
    books: Books | None = getattr(request.app.state, "books", None)
    checks = {"store": "JC489", "code_book": "JC489", "coder": "JC489", "queue": "JC489"}
    if desk is not None and books is not None:
        checks["code_book"] = ready(books) or (OK if request.app.state.warm.done else OPENING)
        checks["coder"] = desk.ready() or (OK if desk.workers.ready else OPENING)
        try:
            waiting = desk.jobs.waiting()
            checks["store"], checks["queue"] = OK, OK if waiting < settings.queue_bound else FULL
        except JointCoderError as error:
            checks["store"] = checks["queue"] = error.code
    if set(checks.values()) == {OK}:
        return ok(ReadyOut(status="ready", checks=checks, versions=told(request)))
    bad = ", ".join(f"{name} {value}" for name, value in checks.items() if value != OK)
    told_problem = problem.Problem(503, "JC489", CATALOGUE["JC489"], bad, "", problem.instance_of(request.scope))
    body = {**told_problem.body(told(request).model_dump()), "checks": checks}
    return JSONResponse(body, 503, {"Retry-After": str(problem.RETRY_S)}, media_type=problem.MEDIA_TYPE)


@router.get("/metrics", **operation("metrics", text=True))
def metrics(user: Watcher, counted: MetricsDep) -> Response:
    """Counts for Prometheus: requests, seconds by route, the queue, encounters coded, tokens, failures by code."""
    return Response(counted.page(), media_type=MEDIA_TYPE)


def counts(desk: Desk) -> dict[str, int]:
    """How many encounters there are of every status."""
    return desk.counts(Query())
