"""The desk as pages and REST use it: one object over the store, the code books and the workers.

    with open_desk(settings) as desk:                       # workers run
        job = desk.submit([encounter], by="his")
        opened = desk.open(version)                         # line, encounter, review
        desk.decide(version, Accept(item="p1"), expected=opened.review.etag, by="ana")

An encounter is named by its id or by a version of it. Everything is synchronous and safe to share between threads. Who
may do what is decided before: this module knows accounts by their names only, and whether one acts as a lead.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from jointcoder.codebook.editions import Editions
from jointcoder.coder import Coder
from jointcoder.desk.bands import Bulk, bulk_of
from jointcoder.desk.calibration import Calibration, Outcomes
from jointcoder.desk.coding import CoderFactory, Workers
from jointcoder.desk.decisions import Decided
from jointcoder.desk.kept import allowed, decided, in_bulk, standing_of
from jointcoder.desk.review import Ground, Review, begin, decide, replay
from jointcoder.desk.sheet import ItemState
from jointcoder.desk.stages import Stages
from jointcoder.errors import JointCoderError, UsageError
from jointcoder.packs.pack import Pack
from jointcoder.records import CodedRecord, Encounter
from jointcoder.settings import Settings
from jointcoder.steps.base import edition_date, validity_date
from jointcoder.store.encounters import Encounters, version_of
from jointcoder.store.events import Audit, unaudited
from jointcoder.store.jobs import Job, JobResult, Jobs, Work
from jointcoder.store.lines import Line, Page, Query, Status
from jointcoder.store.queue import Queue
from jointcoder.store.reviews import Judged, Reviews, StaleError, Standing, StoredReview
from jointcoder.store.sealing import PLAIN, Sealer

if TYPE_CHECKING:
    from jointcoder.store.engine import Store
    from jointcoder.workflow.spec import Workflow


@dataclass(frozen=True)
class Refused:
    """Something handed in with a job that could not be read as an encounter."""

    id: str
    error: JointCoderError


@dataclass(frozen=True)
class Opened:
    """An encounter on the desk; ``review`` is None until it is coded."""

    line: Line
    encounter: Encounter
    version: str
    review: Review | None

    @property
    def newest(self) -> bool:
        """Whether this is the newest version of its encounter."""
        return self.line.version == self.version


class Desk:
    """See the module. ``pack``: the one that the coders use, if any; ``make_coder``: called once in each worker;
    the settings say how many there are, how long an encounter stays with who took it or last decided on it
    (``hold_minutes``), and how often one is tried (``attempts``)."""

    def __init__(
        self,
        store: Store,
        *,
        editions: Editions,
        make_coder: CoderFactory,
        settings: Settings | None = None,
        pack: Pack | None = None,
        sealer: Sealer = PLAIN,
        audit: Audit = unaudited,
    ) -> None:
        self.settings = settings or Settings()
        self.store, self.editions, self.pack = store, editions, pack
        self.hold = dt.timedelta(minutes=self.settings.hold_minutes)
        self.encounters = Encounters(store, sealer=sealer, audit=audit)
        self.reviews = Reviews(store, sealer=sealer, audit=audit)
        self.jobs = Jobs(
            store, sealer=sealer, audit=audit, bound=self.settings.queue_bound, held=self.settings.upload_bound
        )
        self.queue = Queue(store, sealer=sealer, audit=audit, attempts=self.settings.attempts)
        self.stages = Stages()
        self.workers = Workers(
            self.queue,
            make_coder,
            standing=self._first_standing,
            stages=self.stages,
            approve=self._approve,
            count=self.settings.workers,
        )
        self.calibration = Calibration(self._outcomes)
        self._owns_store = False

    def start(self) -> None:
        """Take up what a killed process left behind, and work. Raises AssetError JC430."""
        self.workers.start()
        self.calibration.start()

    def stop(self, *, timeout_s: float = 30.0) -> bool:
        """Take nothing new, wait for what is being coded; whether all of it ended."""
        self.calibration.stop(timeout_s=timeout_s)
        return self.workers.stop(timeout_s=timeout_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop, and close the store where this desk opened it."""
        self.stop()
        if self._owns_store:
            self.store.close()

    def ready(self) -> str:
        """The code of what is in the way of coding; "" where nothing is."""
        return self.workers.trouble

    # ------------------------------------------------------------------------------------------------------ handing in

    def receive(self, encounter: Encounter, *, source: str = "", priority: int = 0, by: str = "") -> Line:
        """Keep an encounter without coding it. Raises InputError JC108, JC123."""
        return self.encounters.put(encounter, source=source, priority=priority, by=by)

    def submit(
        self,
        works: Sequence[Encounter | Refused],
        *,
        by: str = "",
        key: str = "",
        priority: int = 0,
        source: str = "",
        whole: bool = False,
    ) -> Job:
        """Keep and queue; ``whole``: behind the queue where it is full. Raises as
        :meth:`jointcoder.store.jobs.Jobs.create` does."""
        given = [_work(one) for one in works]
        job = self.jobs.create(given, by=by, key=key, priority=priority, source=source, whole=whole)
        self.workers.wake()
        return job

    def code_now(self, encounter: Encounter, *, timeout_s: float | None = None) -> CodedRecord:
        """Code at once, store nothing. ``timeout_s``: default that of the settings. Raises as
        :meth:`jointcoder.desk.coding.Workers.code_now` does."""
        return self.workers.code_now(encounter, timeout_s=timeout_s or self.settings.code_timeout_s)

    def job(self, job: str) -> Job:
        return self.jobs.get(job)

    def jobs_of(self, by: str | None = None, *, limit: int = 100) -> list[Job]:
        return self.jobs.newest(by=by, limit=limit)

    def results(self, job: str) -> Iterator[JobResult]:
        return self.jobs.results(job)

    def cancel(self, job: str, *, by: str = "") -> Job:
        return self.jobs.cancel(job, by=by)

    # -------------------------------------------------------------------------------------------------------- worklist

    def worklist(self, query: Query | None = None) -> Page:
        return self.encounters.lines(query or Query())

    def counts(self, query: Query | None = None) -> dict[str, int]:
        return self.encounters.counts(query)

    def line(self, ref: str) -> Line:
        return self.encounters.line(ref)

    def encounter(self, ref: str) -> Encounter:
        return self.encounters.get(ref)

    def claim(self, ref: str, *, by: str, lead: bool = False, over: str = "") -> Line:
        """Take an encounter, or take it over as a lead; ``over``: from this one only, not from somebody who came in
        between. Raises UsageError JC462, JC460."""
        return self.encounters.claim(ref, by=by, until=_now() + self.hold, lead=lead, over=over)

    def release(self, ref: str, *, by: str, lead: bool = False) -> Line:
        """Give it back. Raises UsageError JC462, JC460."""
        return self.encounters.release(ref, by=by, lead=lead)

    def keep_pages(self, ref: str, pages: Mapping[tuple[int, int], bytes], *, media_type: str = "image/png") -> None:
        self.encounters.keep_pages(ref, pages, media_type=media_type)

    def pictures(self, ref: str) -> frozenset[tuple[int, int]]:
        return self.encounters.pictures(ref)

    def page_image(self, ref: str, document: int, page: int) -> tuple[bytes, str] | None:
        return self.encounters.page(ref, document, page)

    # ---------------------------------------------------------------------------------------------------------- review

    def open(self, ref: str) -> Opened:
        """Everything about an encounter. Raises UsageError JC460."""
        line, encounter, stored = self.encounters.line(ref), self.encounters.get(ref), self.reviews.get(ref)
        version = version_of(encounter)
        if stored is not None and stored.version != version:
            stored = None  # another version came in between these readings
        return Opened(line, encounter, version, None if stored is None else self.reviewed(stored, encounter))

    def review(self, ref: str) -> Review:
        """The review. Raises UsageError JC460 where the encounter is unknown or not coded yet."""
        review = self.open(ref).review
        if review is None:
            raise UsageError("JC460", "the encounter is not coded yet", hint="code it first")
        return review

    def decide(
        self,
        ref: str,
        decision: Any,
        *,
        expected: str | int,
        by: str,
        lead: bool = False,
        at: dt.datetime | None = None,
    ) -> Review:
        """:meth:`decide_all` of one decision."""
        return self.decide_all(ref, [decision], expected=expected, by=by, lead=lead, at=at)

    def decide_all(
        self,
        ref: str,
        decisions: Sequence[Any],
        *,
        expected: str | int,
        by: str,
        lead: bool = False,
        at: dt.datetime | None = None,
    ) -> Review:
        """Add decisions, at least one, all or none, to the review that was seen as ``expected`` (its etag, or the
        number of its last decision); the decider has the encounter from then on. Raises StaleError JC461, UsageError
        JC460, JC462 and as :func:`jointcoder.desk.review.decide` does."""
        encounter, at = self.encounters.get(ref), at or _now()
        version = version_of(encounter)
        after: list[Review] = []

        def judge(stored: StoredReview) -> Judged:
            if stored.version != version:
                raise StaleError(stored.etag, ())
            review = self.reviewed(stored, encounter)
            for decision in decisions:
                review = decide(review, decision, by=by, at=at, lead=lead)
                after.append(review)
            return Judged([allowed(one) for one in after], standing_of(review))

        self.reviews.append(ref, by=by, expected=expected, judge=judge, at=at, held_until=at + self.hold)
        if after[-1].status is Status.FINISHED:
            self.calibration.finished()
        return after[-1]

    def decisions(self, ref: str) -> tuple[Decided, ...]:
        """The decisions so far, none where the encounter is not coded yet. Raises UsageError JC460."""
        stored = self.reviews.get(ref)
        return () if stored is None else tuple(decided(one) for one in stored.decisions)

    def reviewed(self, stored: StoredReview, encounter: Encounter) -> Review:
        """A stored review, replayed."""
        ground = self.ground(encounter, stored.record)
        return replay(stored.record, [decided(one) for one in stored.decisions], ground, id=stored.id)

    def ground(self, encounter: Encounter, record: CodedRecord) -> Ground:
        """What a review of this encounter stands on."""
        on = edition_date(encounter)
        return Ground(
            encounter=encounter,
            book=self.editions.on(on),
            on=on,
            valid_on=validity_date(encounter, self.pack),
            inpatient=encounter.admitted is not None,
            headings=self.pack is not None and self.pack.info.headings,
            bulk=self._bulk(record),
        )

    def calibrate(self) -> Bulk:
        """Measure on this house's finished reviews from which confidence codes may be accepted together, and use it for
        records whose confidence is calibrated. Done by itself at the start and as reviews are finished."""
        return self.calibration.measure()

    # --------------------------------------------------------------------------------------------------------- private

    def _bulk(self, record: CodedRecord) -> Bulk:
        return self.calibration.applied(bulk_of(record, self.pack))

    def _outcomes(self) -> Iterator[Outcomes | None]:
        """Of every finished review the codes that were decided one by one; None where confidence is not calibrated."""
        for stored in self.reviews.all(state=Status.FINISHED.value):
            if bulk_of(stored.record, self.pack).reason == "not_calibrated":
                yield None
                continue
            review = self.reviewed(stored, self.encounters.get(stored.version))
            yield [
                (item.confidence, item.state is ItemState.ACCEPTED)
                for item in review.items
                if item.confidence is not None and not in_bulk(review, item.id)
            ]

    def _first_standing(self, record: CodedRecord, encounter: Encounter) -> Standing:
        return standing_of(begin(record, self.ground(encounter, record)))

    def _approve(self, workflow: Workflow) -> None:
        if self.settings.approved_only:
            from jointcoder.store.approvals import require_approved

            require_approved(workflow, self.store)


def open_desk(
    settings: Settings,
    store: Store | None = None,
    *,
    sealer: Sealer = PLAIN,
    audit: Audit = unaudited,
    make_coder: CoderFactory | None = None,
    editions: Editions | None = None,
) -> Desk:
    """The desk as the settings describe it, its workers not started yet. Raises AssetError (no code book, a damaged
    store), UsageError, WorkflowError (no such workflow)."""
    from jointcoder.store.engine import open_store
    from jointcoder.workflow.check import plan
    from jointcoder.workflow.spec import load_workflow

    editions = editions or Editions.open(settings)
    named = settings.pack or plan(load_workflow(settings.workflow)).pack
    pack = Pack.find(settings, named) if named else None
    opened = store or open_store(settings.store_place)
    books = editions

    def make() -> Coder:
        return Coder(settings, code_book=books, pack=pack)

    desk = Desk(
        opened,
        editions=editions,
        make_coder=make_coder or make,
        settings=settings,
        pack=pack,
        sealer=sealer,
        audit=audit,
    )
    desk._owns_store = store is None
    return desk


def _work(one: Encounter | Refused) -> Work:
    if isinstance(one, Encounter):
        return Work(one)
    return Work(None, one.id, one.error.code, one.error.message)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
