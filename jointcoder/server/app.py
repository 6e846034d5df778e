"""Settings → application: what is opened when it starts, what stands around every request, which rooms it has.

    app = create_app(settings)            # opens store, books and workers when it is started
    app = create_app(settings, desk=desk) # works on a desk that somebody else opened and will close

Around a request, outermost first: :mod:`.envelope` (its name, versions, log, counts), :mod:`.bodies` (413),
:mod:`.auth` (who asks, from where, how often). Then the rooms: :mod:`.api` (REST, FHIR, health, metrics) and
:mod:`.pages`. Interactive documentation is not served: it would load scripts from elsewhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from jointcoder import __version__
from jointcoder.errors import JointCoderError
from jointcoder.records import Cost
from jointcoder.server import api, auth, pages, problem
from jointcoder.server.api.operations import document
from jointcoder.server.bodies import BodyLimit
from jointcoder.server.books import Books
from jointcoder.server.envelope import Envelope
from jointcoder.server.looks import Looks
from jointcoder.server.metrics import Metrics
from jointcoder.server.versions import Running
from jointcoder.server.warm import Warm
from jointcoder.settings import Settings

if TYPE_CHECKING:
    from jointcoder.coder import Coder
    from jointcoder.desk.service import Desk
    from jointcoder.store.events import AuditEvent

DESCRIPTION = "Codes hospital encounters: diagnoses and procedures together, with evidence, checks and review."
MEGABYTE = 1024 * 1024


def create_app(
    settings: Settings, *, desk: Desk | None = None, make_coder: Callable[[], Coder] | None = None
) -> FastAPI:
    """The application. ``desk``: one that is open, neither started nor closed here. ``make_coder``: opens a coder for a
    worker; the default opens what the settings name. Nothing is opened before the application starts."""
    running = Running(settings)
    metrics = Metrics()
    app = FastAPI(
        title="jointcoder",
        version=__version__,
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(settings, desk, make_coder, running, metrics),
    )
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    app.state.settings, app.state.metrics, app.state.versions = settings, metrics, running.versions
    app.state.began, app.state.looks, app.state.warm = dt.datetime.now(dt.UTC), Looks(), Warm()
    problem.install(app)
    api.mount(app)
    pages.mount(app)

    def refuse(scope: Scope, error: JointCoderError) -> Response:
        return problem.respond(Request(scope), problem.of_error(error, problem.instance_of(scope)))

    def render(request: Request, error: JointCoderError, status: int, headers: dict[str, str]) -> Response:
        response = refuse(request.scope, error)
        response.headers.update(headers)
        return response

    auth.install(app, store=desk.store if desk else None, settings=settings, render=render)
    app.add_middleware(BodyLimit, limit=round(settings.body_limit_mb * MEGABYTE), refuse=refuse)
    app.add_middleware(Envelope, versions=running.versions, metrics=metrics)
    return app


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def _lifespan(
    settings: Settings,
    given: Desk | None,
    make_coder: Callable[[], Coder] | None,
    running: Running,
    metrics: Metrics,
) -> Lifespan:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        desk = given
        if desk is None:
            try:
                desk = await run_in_threadpool(_opened, settings, make_coder, metrics)
            except JointCoderError as error:
                app.state.failed = error  # whoever serves tells it once, without a traceback
                raise
        try:
            await run_in_threadpool(_take, app, desk, running, metrics)
            app.state.warm.start(app, desk, app.state.books)
            if given is None:
                await run_in_threadpool(desk.start)
            yield
        finally:
            app.state.desk = app.state.books = None
            await run_in_threadpool(app.state.warm.stop)
            if given is None:
                await run_in_threadpool(desk.close)

    return lifespan


def _opened(settings: Settings, make_coder: Callable[[], Coder] | None, metrics: Metrics) -> Desk:
    """The desk that the settings name. Raises as the store, the code books and the sealing do."""
    from jointcoder.desk.service import open_desk
    from jointcoder.store.encryption import sealer_from

    return open_desk(settings, sealer=sealer_from(settings), audit=audited(metrics), make_coder=make_coder)


def _take(app: FastAPI, desk: Desk, running: Running, metrics: Metrics) -> None:
    """Let the routes have the desk."""
    from jointcoder.server.api.health import counts

    running.open(desk)
    metrics.queue = lambda: counts(desk)
    metrics.versions = lambda: running.versions().model_dump(mode="json")
    app.state.auth.open(desk.store)
    app.state.books = Books(desk.editions)
    app.state.desk = desk


def audited(metrics: Metrics) -> Callable[[Any, AuditEvent], None]:
    """What the desk calls within each change: it goes into the audit, results are counted."""

    def write(session: Any, event: AuditEvent) -> None:
        from jointcoder.store.audit import listen

        listen(session, event)
        if event.action == "encounter.coded" and event.details.get("new"):
            metrics.coded(Cost.model_validate(event.details["cost"]))
        elif event.action == "encounter.failed":
            metrics.failed(str(event.details.get("error", "")))

    return write
