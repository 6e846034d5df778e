"""What routes ask for: the desk, the books, the settings, who asks; and the audit's word for a view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Request

from jointcoder.desk.service import Desk
from jointcoder.errors import JointCoderError
from jointcoder.server.auth import User, current_user, require, roles
from jointcoder.server.bodies import Body, read_body
from jointcoder.server.books import Books
from jointcoder.server.metrics import Metrics
from jointcoder.settings import Settings


def get_settings(request: Request) -> Settings:
    """The settings of this application."""
    settings: Settings = request.app.state.settings
    return settings


def get_desk(request: Request) -> Desk:
    """The desk. JC489 while it is not open: before the start and after the end."""
    desk: Desk | None = getattr(request.app.state, "desk", None)
    if desk is None:
        raise JointCoderError("JC489", "the service is starting or stopping", hint="ask again in a moment")
    return desk


def get_books(request: Request) -> Books:
    """The code books. JC489 as :func:`get_desk`."""
    books: Books | None = getattr(request.app.state, "books", None)
    if books is None:
        raise JointCoderError("JC489", "the service is starting or stopping", hint="ask again in a moment")
    return books


def get_metrics(request: Request) -> Metrics:
    """The counts of this application."""
    metrics: Metrics = request.app.state.metrics
    return metrics


def viewed(
    desk: Desk, user: User, action: str, kind: str, subject: str, details: Mapping[str, Any] | None = None
) -> None:
    """Write into the audit that somebody looked at something. AssetError JC430: what cannot be audited is not shown."""
    from jointcoder.store.audit import Audit

    Audit(desk.store).add(actor=user.name, action=action, kind=kind, subject=subject, details=dict(details or {}))


Settings_ = Annotated[Settings, Depends(get_settings)]
DeskDep = Annotated[Desk, Depends(get_desk)]
BooksDep = Annotated[Books, Depends(get_books)]
MetricsDep = Annotated[Metrics, Depends(get_metrics)]
BodyDep = Annotated[Body, Depends(read_body)]

Anyone = Annotated[User, Depends(current_user)]
Reader = Annotated[User, Depends(require(*roles.READ))]
Reviewer = Annotated[User, Depends(require(*roles.REVIEW))]
Submitter = Annotated[User, Depends(require(*roles.SUBMIT))]
Asker = Annotated[User, Depends(require(*roles.ASK))]
Collector = Annotated[User, Depends(require(*roles.RESULTS))]
Watcher = Annotated[User, Depends(require(*roles.METRICS))]
