"""What coders made of the model's records: every review on which somebody decided, with its encounter and its sheet.

    for handled in history(reviews, encounters, finished_only=True):
        handled.sheet.codes()        # as decided; handled.record: as the model made it

Reviews are replayed from their decisions alone: neither a code book nor a model is needed to read them. This module
reads; it judges nobody and writes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from jointcoder.desk.decisions import BulkAccept, Decided, Finish
from jointcoder.desk.sheet import Sheet, effective, folded
from jointcoder.records import CodedRecord, Encounter
from jointcoder.store.encounters import Encounters
from jointcoder.store.lines import Status
from jointcoder.store.reviews import Reviews, StoredReview


@dataclass(frozen=True)
class Handled:
    """One review. ``decided``: every decision, those that were undone too; ``sheet``: after those that count."""

    stored: StoredReview
    encounter: Encounter
    decided: tuple[Decided, ...]
    sheet: Sheet

    @property
    def record(self) -> CodedRecord:
        """As the model made it."""
        return self.stored.record

    @property
    def finished(self) -> Decided | None:
        """The decision that finished it, if it is finished."""
        if self.sheet.status is not Status.FINISHED:
            return None
        return next(one for one in reversed(effective(self.decided)) if isinstance(one.decision, Finish))

    @property
    def finisher(self) -> str:
        """Who finished it; "" if nobody did."""
        return self.finished.by if self.finished else ""

    @property
    def in_bulk(self) -> frozenset[str]:
        """The items whose last word is that they were accepted together with others."""
        last: dict[str, bool] = {}
        for one in effective(self.decided):
            if isinstance(one.decision, BulkAccept):
                last.update(dict.fromkeys(one.decision.items, True))
            elif (item := getattr(one.decision, "item", "")) and one.decision.kind in ("accept", "reject", "replace"):
                last[item] = False
        return frozenset(item for item, together in last.items() if together)


def history(
    reviews: Reviews,
    encounters: Encounters,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    finished_only: bool = False,
    one_each: bool = False,
) -> Iterator[Handled]:
    """The reviews with decisions, oldest first; ``since`` and ``until`` (exclusive) bound the last decision.
    ``one_each``: of an encounter only the one that was finished last, else decided on last. Raises AssetError JC430 as
    the store does, InputError JC479 where texts are sealed and cannot be opened."""

    def wanted() -> Iterator[StoredReview]:
        for stored in reviews.all(state=Status.FINISHED.value if finished_only else None, since=since):
            last = stored.decisions[-1].at if stored.decisions else None
            if last is not None and (since is None or last >= since) and (until is None or last < until):
                yield stored

    chosen = _last_of_each(wanted()) if one_each else None
    for stored in wanted():
        if chosen is None or chosen.get(stored.encounter) == stored.id:
            yield handled(stored, encounters.get(stored.version))


def _last_of_each(found: Iterator[StoredReview]) -> dict[str, int]:
    """Encounter → its review."""
    best: dict[str, tuple[bool, dt.datetime, int]] = {}
    for stored in found:
        order = (stored.state == Status.FINISHED.value, stored.decisions[-1].at, stored.id)
        best[stored.encounter] = max(order, best.get(stored.encounter, order))
    return {encounter: number for encounter, (_, _, number) in best.items()}


def handled(stored: StoredReview, encounter: Encounter) -> Handled:
    """A stored review of this encounter, replayed."""
    decided = tuple(
        Decided.model_validate({"seq": one.seq, "by": one.by, "at": one.at, "decision": dict(one.body)})
        for one in stored.decisions
    )
    return Handled(stored, encounter, decided, folded(stored.record, decided, encounter))


def day(moment: dt.date | None, *, after: bool = False) -> dt.datetime | None:
    """Midnight (here) at which a day begins, or with ``after`` ends."""
    if moment is None:
        return None
    return dt.datetime.combine(moment + dt.timedelta(days=after), dt.time()).astimezone()
