"""What the store keeps of a review, and the review of what it kept: no table and no state machine in here.

standing_of(review)        the worklist's line of it          allowed(review)      its last decision, as a row
decided(stored)            a row, as a decision               in_bulk(review, id)  whether nobody looked at a code
"""

from __future__ import annotations

from typing import Any

from jointcoder.desk.bands import band_of
from jointcoder.desk.decisions import Decided
from jointcoder.desk.review import Review
from jointcoder.store.reviews import Allowed, Standing, StoredDecision

TEXTS = frozenset({"text", "reason", "name", "evidence"})
"""Fields of decisions that may quote a note, or say nothing that an audit needs."""


def standing_of(review: Review) -> Standing:
    """What the worklist shows of a review."""
    return Standing(
        state=review.status.value,
        band=band_of(review.record).value,
        codes=len(review.standing()),
        findings=sum(live.blocks for live in review.findings),
        undecided=len(review.undecided),
    )


def decided(stored: StoredDecision) -> Decided:
    """A stored decision as the state machine takes it."""
    return Decided.model_validate({"seq": stored.seq, "by": stored.by, "at": stored.at, "decision": dict(stored.body)})


def allowed(review: Review) -> Allowed:
    """The last decision of a review, as it is kept."""
    kept = review.decided[-1].decision
    return Allowed(kind=kept.kind, body=kept.model_dump(mode="json"), details=_details(review))


def _details(review: Review) -> dict[str, Any]:
    """What the audit keeps of the last decision: ids, codes and numbers, no words."""
    decision = review.decided[-1].decision
    said = {name: value for name, value in decision.model_dump(mode="json").items() if name not in TEXTS | {"kind"}}
    item = review.by_id(getattr(decision, "item", "") or "")
    if item is not None:
        said |= {"code": item.code.code}
        if item.proposed is not None:
            said |= {"proposed": item.proposed.code}
    return said


def in_bulk(review: Review, item: str) -> bool:
    """Whether a code was accepted with many others: nobody looked at it, so it proves nothing."""
    return any(one.decision.kind == "bulk_accept" and item in one.decision.items for one in review.decided)
