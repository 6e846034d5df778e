"""What a part of a pack says of one encounter: a code, how sure, where it is written, and why."""

from __future__ import annotations

from dataclasses import dataclass

from jointcoder.records import Assertion, Reason, Span, System

__all__ = ["Proposal", "Reason"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """One code for one encounter.

    ``code`` as it was trained: a heading where the training data code headings. ``probability`` is calibrated.
    ``principal`` is comparable within the record only. ``reasons``: log-odds contributions, largest first.
    ``chosen``: above the part's threshold; proposals under it are there for ranking and review.
    """

    system: System
    code: str
    probability: float
    spans: tuple[Span, ...] = ()
    assertion: Assertion = Assertion.PRESENT
    principal: float = 0.0
    reasons: tuple[Reason, ...] = ()
    chosen: bool = True
