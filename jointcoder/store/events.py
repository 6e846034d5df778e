"""What the desk reports of every change it makes, in the transaction that makes it.

    audit(session, AuditEvent("review.accept", actor="ana", subject="E1", details={"seq": 3}))

Whoever keeps an audit passes a callable of this shape; it writes with the same session, so that a change without its
entry, or an entry without its change, cannot be. Details hold ids, codes, hashes and counts, never note text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True)
class AuditEvent:
    """One change: ``action`` (``encounter.claimed``, ``review.accept`` …), by whom, on which encounter or job."""

    action: str
    actor: str
    subject: str
    details: Mapping[str, Any] = field(default_factory=dict)


Audit = Callable[["Session", AuditEvent], None]


def unaudited(session: Session, event: AuditEvent) -> None:
    """Keeps nothing: for stores without an audit."""
