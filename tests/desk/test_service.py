"""The desk as pages and REST use it: a coder's way through a record, two coders in conflict, what the audit hears."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra store is not installed")

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.editions import Editions
from jointcoder.desk.bands import Bulk
from jointcoder.desk.decisions import Accept, Add, Finish, Override, Reject, Remark, Reopen, Replace
from jointcoder.desk.review import replay
from jointcoder.desk.service import Desk, open_desk
from jointcoder.errors import AssetError, UsageError
from jointcoder.records import Encounter, System
from jointcoder.settings import Settings
from jointcoder.store.engine import Store, open_store
from jointcoder.store.events import AuditEvent
from jointcoder.store.lines import Query, Status
from jointcoder.store.queue import Queue
from jointcoder.store.reviews import StaleError, Standing

from ..store.conftest import place as place
from ..store.desk_rows import Backwards, Heard
from .review_stays import DIAGNOSES, ENCOUNTER, NOTE, coded_stay

CM = System.ICD10CM


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    with open_store(place) as opened:
        yield opened


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def desk(store: Store, small_us: CodeBook, heard: Heard) -> Desk:
    """A desk, not started, on which the stay was coded; all texts are sealed."""
    desk = Desk(store, editions=Editions([small_us]), make_coder=no_coder, sealer=Backwards(), audit=heard)
    code(desk, small_us)
    return desk


def no_coder() -> object:
    raise AssertionError("records are handed in by hand here")


def code(desk: Desk, book: CodeBook, encounter: Encounter = ENCOUNTER) -> str:
    desk.submit([encounter], by="his")
    claimed = desk.queue.claim("w")
    assert claimed is not None
    record = coded_stay(book, encounter=encounter.id)
    standing = Standing(state="to_review", band="low", codes=6, findings=1, undecided=6)
    assert desk.queue.finish(claimed, record, conditions="c" * 64, standing=standing)
    return claimed.version


def test_a_coders_way_through_a_record(desk: Desk, heard: Heard):
    opened = desk.open("E1")
    assert opened.review is not None
    assert (opened.encounter, opened.newest, opened.line.status) == (ENCOUNTER, True, Status.TO_REVIEW)
    review = opened.review
    version = opened.version

    def decide(decision: object) -> None:
        nonlocal review
        review = desk.decide(version, decision, expected=review.etag, by="ana")
        assert desk.review(version) == review
        line = desk.line("E1")
        assert (line.seq, line.holder) == (review.seq, "ana" if review.status is not Status.FINISHED else "")
        assert (line.codes, line.undecided) == (len(review.standing()), len(review.undecided))
        assert line.findings == sum(live.blocks for live in review.findings)

    decide(Replace(item="p1", system=CM, code="I11.0"))
    decide(Reject(item="p2", reason="in I11.0"))
    for number in (3, 4, 5, 6):
        decide(Accept(item=f"p{number}"))
    decide(Add(system=CM, code="E11.9"))
    decide(Remark(text="a secret remark", item="p4"))
    for live in review.findings:
        decide(Override(finding=live.key, reason="a secret reason"))
    decide(Finish())
    assert desk.line("E1").status is Status.FINISHED
    assert [code.code for code in desk.review("E1").coded().codes][:2] == ["I11.0", "R05.9"]
    assert desk.counts(Query())["finished"] == 1
    assert heard.actions[:3] == ["encounter.received", "job.created", "encounter.coded"]
    assert heard.actions[3:6] == ["review.replace", "review.reject", "review.accept"]
    assert heard.actions[-1] == "review.finish"
    replaced = heard.events[3]
    assert (replaced.actor, replaced.subject) == ("ana", version)
    assert {"item": "p1", "code": "I11.0", "proposed": "I50.9", "seq": 1}.items() <= replaced.details.items()
    told = repr(heard.events)
    assert not any(word in told for word in ("secret", NOTE[:13], "Heart failure"))


def test_of_two_coders_with_the_same_page_one_is_told_what_the_other_did(desk: Desk):
    seen = desk.review("E1").etag
    gate = threading.Barrier(2, timeout=120)

    def decide(by: str) -> str:
        gate.wait()
        try:
            desk.decide("E1", Reject(item="p3"), expected=seen, by=by)
        except StaleError as error:
            return f"{error.code} after {[one.kind for one in error.since]}"
        return "done"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(decide, ("ana", "bo"))) == ["JC461 after ['reject']", "done"]
    assert [one.decision.kind for one in desk.decisions("E1")] == ["reject"]


def test_several_decisions_are_taken_together_or_not_at_all(desk: Desk, heard: Heard):
    before, told = desk.line("E1"), len(heard.events)
    with pytest.raises(UsageError) as caught:
        desk.decide_all("E1", [Accept(item="p1"), Accept(item="p99")], expected=0, by="ana")
    assert caught.value.code == "JC463"
    assert (desk.line("E1"), desk.decisions("E1"), len(heard.events)) == (before, (), told)
    review = desk.decide_all("E1", [Accept(item="p1"), Reject(item="p3"), Remark(text="seen")], expected=0, by="ana")
    assert (review.seq, desk.review("E1") == review) == (3, True)
    assert [one.decision.kind for one in desk.decisions("E1")] == ["accept", "reject", "comment"]
    assert heard.actions[told:] == ["review.accept", "review.reject", "review.comment"]
    with pytest.raises(StaleError) as stale:
        desk.decide_all("E1", [Accept(item="p2"), Accept(item="p4")], expected=1, by="ana")
    assert [one.seq for one in stale.value.since] == [2, 3]


def test_nobody_comes_in_between_decisions_that_are_taken_together(store: Store, small_us: CodeBook):
    """Somebody else decides on the same state while they are being written."""
    caught: list[StaleError] = []
    threads: list[threading.Thread] = []

    class Meddled(Heard):
        def __call__(self, session: object, event: AuditEvent) -> None:
            super().__call__(session, event)
            if event.action == "review.accept" and not threads:
                threads.append(threading.Thread(target=meddle))
                threads[0].start()

    def meddle() -> None:
        try:
            Desk(store, editions=Editions([small_us]), make_coder=no_coder).decide(
                "E1", Reject(item="p1"), expected=0, by="bo"
            )
        except StaleError as error:
            caught.append(error)

    desk = Desk(store, editions=Editions([small_us]), make_coder=no_coder, audit=Meddled())
    code(desk, small_us)
    desk.decide_all("E1", [Accept(item="p1"), Accept(item="p2")], expected=0, by="ana")
    threads[0].join(60)
    assert [[one.seq for one in error.since] for error in caught] == [[1, 2]]
    assert [one.by for one in desk.decisions("E1")] == ["ana", "ana"]


def test_who_has_an_encounter_decides_and_a_lead_takes_it_over(desk: Desk):
    desk.claim("E1", by="ana")
    with pytest.raises(UsageError) as caught:
        desk.decide("E1", Accept(item="p1"), expected=0, by="bo")
    assert caught.value.code == "JC462"
    with pytest.raises(UsageError):
        desk.decide("E1", Accept(item="p1"), expected=0, by="lea", lead=True)
    desk.claim("E1", by="lea", lead=True)
    assert desk.decide("E1", Accept(item="p1"), expected=0, by="lea", lead=True).seq == 1
    with pytest.raises(UsageError):
        desk.decide("E1", Accept(item="p2"), expected=1, by="ana")
    desk.release("E1", by="lea")
    assert desk.decide("E1", Accept(item="p2"), expected=1, by="ana").seq == 2


def test_a_refused_decision_leaves_the_encounter_and_its_holder_as_they_were(desk: Desk):
    before = desk.line("E1")
    for decision, error in ((Finish(), "JC465"), (Add(system=CM, code="A99"), "JC501"), (Reopen(reason="x"), "JC463")):
        with pytest.raises(Exception, match=error):
            desk.decide("E1", decision, expected=0, by="ana")
    assert desk.line("E1") == before


def test_a_new_version_of_an_encounter_makes_decisions_on_the_old_one_stale(desk: Desk, small_us: CodeBook):
    old = desk.open("E1").version
    changed = ENCOUNTER.model_copy(update={"discharged": dt.date(2026, 3, 2)})
    desk.receive(changed)
    with pytest.raises(StaleError):
        desk.decide(old, Accept(item="p1"), expected=0, by="ana")
    with pytest.raises(UsageError) as caught:
        desk.review("E1")
    assert caught.value.code == "JC460"
    opened = desk.open(old)
    assert (opened.newest, opened.encounter, opened.review is not None) == (False, ENCOUNTER, True)
    code(desk, small_us, changed)
    assert desk.decide("E1", Accept(item="p1"), expected=desk.review("E1").etag, by="ana").seq == 1


def test_what_was_stored_replays_to_what_was_seen(desk: Desk, small_us: CodeBook):
    for seq, decision in enumerate((Reject(item="p3"), Add(system=CM, code="E11.9", to=1), Remark(text="why"))):
        last = desk.decide("E1", decision, expected=seq, by="ana")
    stored = desk.reviews.get("E1")
    assert stored is not None
    ground = desk.ground(ENCOUNTER, stored.record)
    assert replay(stored.record, desk.decisions("E1"), ground, id=stored.id) == last
    assert last.etag == stored.etag
    assert (ground.on, ground.inpatient) == (dt.date(2026, 3, 1), False)


def test_bulk_accept_is_measured_on_what_coders_decided_one_by_one(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    from jointcoder.desk import calibration, service

    monkeypatch.setattr(service, "bulk_of", lambda record, pack: Bulk(0.97, "supported"))
    monkeypatch.setattr(calibration, "measured", lambda outcomes: Bulk(0.9, str(sorted(outcomes))))
    review = desk.decide("E1", Reject(item="p3"), expected=0, by="ana")
    assert review.bulk == Bulk(0.97, "supported")
    for item in ("p1", "p2", "p4", "p5", "p6"):
        review = desk.decide("E1", Accept(item=item), expected=review.seq, by="ana")
    for live in review.findings:
        review = desk.decide("E1", Override(finding=live.key, reason="seen"), expected=review.seq, by="ana")
    desk.decide("E1", Finish(), expected=review.seq, by="ana")
    found = desk.calibrate()
    assert all(f"({confidence}, {code != 'R05.9'})" in found.reason for code, confidence in DIAGNOSES.items())
    assert desk.review("E1").bulk == found


def test_a_desk_opens_as_the_settings_say(tmp_path: Path, small_us: CodeBook):
    settings = Settings(cache=tmp_path, code_book=str(small_us.path), workflow="lexical", dense="off")
    with open_desk(settings) as desk:
        record = desk.code_now(ENCOUNTER, timeout_s=60)
        assert "I50.9" in {code.code for code in record.codes}
        assert desk.ready() == ""
    with pytest.raises(AssetError):
        open_desk(settings.model_copy(update={"code_book": str(tmp_path / "none")}))


def test_the_queue_of_a_desk_is_bounded_by_the_settings(store: Store, small_us: CodeBook):
    desk = Desk(store, editions=Editions([small_us]), make_coder=no_coder, settings=Settings(queue_bound=1))
    desk.submit([ENCOUNTER])
    with pytest.raises(UsageError) as caught:
        desk.submit([ENCOUNTER.model_copy(update={"id": "E2"})])
    assert caught.value.code == "JC467"
    assert Queue(store).claim("w") is not None


def test_the_settings_say_how_long_a_claim_holds_and_how_often_work_is_tried(store: Store, small_us: CodeBook) -> None:
    settings = Settings(hold_minutes=5, attempts=7)
    desk = Desk(store, editions=Editions([small_us]), make_coder=no_coder, settings=settings)
    line = desk.receive(ENCOUNTER)
    held = desk.claim(line.version, by="ana").held_until
    assert held is not None
    left = held - dt.datetime.now(dt.UTC)
    assert dt.timedelta(minutes=4) < left <= dt.timedelta(minutes=5)
    assert desk.queue.attempts == 7
