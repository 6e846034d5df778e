"""Reviews in the store, on both databases: decisions are added, never changed, and nobody overwrites anybody."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from jointcoder.errors import UsageError
from jointcoder.store.encounters import Encounters, Status
from jointcoder.store.engine import Store
from jointcoder.store.events import AuditEvent
from jointcoder.store.jobs import Jobs
from jointcoder.store.queue import Queue
from jointcoder.store.reviews import Allowed, Judged, Reviews, StaleError, Standing, StoredReview

from .desk_rows import NOW, Backwards, Heard, allow, coded, encounter, queued, record


@pytest.fixture
def version(store: Store) -> str:
    """A coded encounter."""
    return coded(Jobs(store), Queue(store)).version


@pytest.fixture
def reviews(store: Store, version: str) -> Reviews:
    return Reviews(store)


def append(reviews: Reviews, expected: str | int, by: str = "ana", **options: object) -> StoredReview:
    return reviews.append("E001", by=by, expected=expected, judge=allow(), at=NOW, **options)  # type: ignore[arg-type]


def test_decisions_are_numbered_and_come_back_as_they_were_given(reviews: Reviews, version: str):
    fresh = reviews.get("E001")
    assert fresh is not None
    assert (fresh.record, fresh.decisions, fresh.seq, fresh.opened) == (record(1), (), 0, None)
    for number in range(3):
        judge = allow(text=f"remark {number}")
        reviews.append("E001", by="ana", expected=number, judge=judge, at=NOW + dt.timedelta(seconds=number))
    stored = reviews.get(version)
    assert stored is not None
    assert [(one.seq, one.by, one.body["text"]) for one in stored.decisions] == [
        (number + 1, "ana", f"remark {number}") for number in range(3)
    ]
    assert stored.decisions[2].at == NOW + dt.timedelta(seconds=2)
    assert (stored.seq, stored.opened, stored.etag) == (3, NOW, f"{stored.id}-3")


def test_who_decides_on_an_older_state_is_refused_and_told_what_came_in_between(reviews: Reviews):
    append(reviews, 0, "ana")
    after = append(reviews, 1, "ana")
    for stale in (1, f"{after.id}-1"):
        with pytest.raises(StaleError) as caught:
            append(reviews, stale, "bo")
        assert caught.value.code == "JC461"
        assert caught.value.current == after.etag
        assert [one.seq for one in caught.value.since] == [2]
        assert "ana" in caught.value.message
    for strange in ("", "7", "x-y", f"{after.id + 1}-2", 3, -1, f"{after.id}-{'9' * 5000}"):
        with pytest.raises(StaleError):
            append(reviews, strange)
    assert append(reviews, after.etag, "bo").seq == 3


def test_of_two_that_decide_with_the_same_number_exactly_one_wins(reviews: Reviews):
    gate = threading.Barrier(2, timeout=120)

    def decide(by: str, expected: int) -> bool:
        gate.wait()
        try:
            append(reviews, expected, by)
        except StaleError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        for seq in range(10):
            assert sorted(pool.map(decide, ("ana", "bo"), (seq, seq))) == [False, True]
    stored = reviews.get("E001")
    assert stored is not None
    assert [one.seq for one in stored.decisions] == list(range(1, 11))


def test_what_is_not_allowed_leaves_nothing_behind(store: Store, reviews: Reviews):
    def refuse(_: StoredReview) -> None:
        raise UsageError("JC463", "it does not fit")

    with pytest.raises(UsageError):
        reviews.append("E001", by="ana", expected=0, judge=refuse, at=NOW)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        Reviews(store, audit=Heard(refuses=True)).append("E001", by="ana", expected=0, judge=allow(), at=NOW)
    stored = reviews.get("E001")
    assert stored is not None
    assert (stored.seq, stored.decisions) == (0, ())
    assert Encounters(store).line("E001").status is Status.TO_REVIEW


def test_decisions_made_together_are_kept_together_or_not_at_all(store: Store, version: str):
    def both(_: StoredReview) -> Judged:
        made = [Allowed(kind=kind, body={"kind": kind}, details={}) for kind in ("comment", "finish")]
        return Judged(made, Standing(state="finished", band="high", codes=1, findings=0, undecided=0))

    class Deaf(Heard):
        """Fails at the second word of a review."""

        def __call__(self, session: object, event: AuditEvent) -> None:
            super().__call__(session, event)
            if event.action == "review.finish":
                raise RuntimeError("the log is full")

    with pytest.raises(RuntimeError):
        Reviews(store, audit=Deaf()).append("E001", by="ana", expected=0, judge=both, at=NOW)
    assert Encounters(store).line("E001").status is Status.TO_REVIEW
    heard = Heard()
    reviews = Reviews(store, audit=heard)
    after = reviews.append("E001", by="ana", expected=0, judge=both, at=NOW)
    assert ([one.seq for one in after.decisions], after.seq, after.etag) == ([1, 2], 2, f"{after.id}-2")
    assert (heard.actions, [event.details["seq"] for event in heard.events]) == (
        ["review.comment", "review.finish"],
        [1, 2],
    )
    assert Encounters(store).line("E001").status is Status.FINISHED
    with pytest.raises(StaleError) as caught:
        append(reviews, 0, "bo")
    assert [one.seq for one in caught.value.since] == [1, 2]


def test_the_line_follows_and_the_decider_has_the_encounter(store: Store, reviews: Reviews):
    encounters = Encounters(store)
    until = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    append(reviews, 0, "ana", held_until=until)
    line = encounters.line("E001")
    assert (line.status, line.seq, line.undecided, line.holder) == (Status.IN_REVIEW, 1, 0, "ana")
    with pytest.raises(UsageError) as caught:
        append(reviews, 1, "bo", held_until=until)
    assert caught.value.code == "JC462"
    judge = allow("finish", "finished")
    reviews.append("E001", by="ana", expected=1, judge=judge, at=NOW, held_until=until)
    line = encounters.line("E001")
    assert (line.status, line.holder) == (Status.FINISHED, "")


def test_an_encounter_that_is_not_coded_has_no_review(store: Store):
    reviews = Reviews(store)
    queued(Jobs(store), 2)
    assert reviews.get("E002") is None
    with pytest.raises(UsageError) as caught:
        reviews.append("E002", by="ana", expected=0, judge=allow(), at=NOW)
    assert caught.value.code == "JC460"


def test_the_review_of_an_older_version_can_be_read_and_not_decided_on(store: Store, reviews: Reviews, version: str):
    append(reviews, 0)
    Encounters(store).put(encounter(1, text="Type 2 diabetes."))
    old = reviews.get(version)
    assert old is not None
    assert (old.seq, old.current) == (1, False)
    assert reviews.get("E001") is None
    with pytest.raises(StaleError):
        reviews.append(version, by="ana", expected=1, judge=allow(), at=NOW)


def test_all_reviews_can_be_walked_by_state_and_time(store: Store):
    jobs, queue, reviews = Jobs(store), Queue(store), Reviews(store)
    for number in range(1, 5):
        coded(jobs, queue, number)
    reviews.append("E002", by="ana", expected=0, judge=allow("finish", "finished"), at=NOW)
    assert [one.encounter for one in reviews.all()] == ["E001", "E002", "E003", "E004"]
    assert [one.encounter for one in reviews.all(state="finished")] == ["E002"]
    assert [one.encounter for one in reviews.all(until=NOW + dt.timedelta(seconds=1))] == ["E002"]
    assert [one.encounter for one in reviews.all(since=NOW + dt.timedelta(seconds=1))] == ["E001", "E003", "E004"]


def test_decisions_are_sealed_and_told_to_the_audit_without_their_words(store: Store):
    from sqlalchemy import text

    heard, sealer = Heard(), Backwards()
    coded(Jobs(store, sealer=sealer), Queue(store, sealer=sealer))
    reviews = Reviews(store, sealer=sealer, audit=heard)
    reviews.append("E001", by="ana", expected=0, judge=allow(text="she drinks"), at=NOW)
    with store.reading() as session:
        kept = bytes(session.execute(text("SELECT body FROM review_decisions")).scalar_one())
    assert b"drinks" not in kept
    assert (heard.actions, heard.events[0].actor) == (["review.comment"], "ana")
    assert "drinks" not in repr(heard.events)
    stored = reviews.get("E001")
    assert stored is not None
    assert stored.decisions[0].body["text"] == "she drinks"
