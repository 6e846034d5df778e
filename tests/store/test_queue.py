"""The workers' side on both databases: every item taken once, ended once, and never lost."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from jointcoder.store.encounters import Encounters, Status
from jointcoder.store.engine import Store
from jointcoder.store.jobs import Jobs
from jointcoder.store.queue import Queue
from jointcoder.store.reviews import Reviews

from .desk_rows import CONDITIONS, FRESH, Backwards, Heard, encounter, queued, record

PAST = dt.timedelta(seconds=-1)


@pytest.fixture
def jobs(store: Store) -> Jobs:
    return Jobs(store)


@pytest.fixture
def queue(store: Store) -> Queue:
    return Queue(store)


def results_of(store: Store) -> list[tuple[str, str]]:
    from sqlalchemy import text

    with store.reading() as session:
        return [tuple(row) for row in session.execute(text("SELECT version, conditions FROM coded_results"))]


def test_highest_priority_first_then_longest_waiting(jobs: Jobs, queue: Queue):
    queued(jobs, 1, 2)
    queued(jobs, 3, priority=5)
    queued(jobs, 4)
    taken = [claimed.encounter for _ in range(4) if (claimed := queue.claim("w"))]
    assert taken == ["E003", "E001", "E002", "E004"]
    assert queue.claim("w") is None


def test_many_workers_at_once_take_each_item_exactly_once(store: Store, jobs: Jobs):
    queued(jobs, *range(40))
    gate = threading.Barrier(8, timeout=120)
    taken: list[str] = []

    def work(name: str) -> None:
        queue = Queue(store)
        gate.wait()
        while (claimed := queue.claim(name)) is not None:
            taken.append(claimed.encounter)
            assert queue.finish(claimed, record(1), conditions=CONDITIONS, standing=FRESH)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [f"w{number}" for number in range(8)]))
    assert Counter(taken) == {f"E{number:03}": 1 for number in range(40)}
    assert len(results_of(store)) == 40


def test_a_worker_that_is_silent_loses_its_item_and_what_it_hands_in_later(store: Store, jobs: Jobs):
    silent, queue = Queue(store, lease=PAST), Queue(store)
    queued(jobs, 1)
    lost = silent.claim("silent")
    assert lost is not None
    assert queue.requeue() == 1
    assert Encounters(store).line("E001").status is Status.QUEUED
    again = queue.claim("other")
    assert again is not None
    assert again.attempt == 2
    assert not queue.finish(lost, record(1, code="E11.9"), conditions="d" * 64, standing=FRESH)
    assert not queue.fail(lost, "JC406", "too late")
    assert not queue.give_back(lost)
    assert queue.finish(again, record(1), conditions=CONDITIONS, standing=FRESH)
    assert not queue.finish(again, record(1), conditions="d" * 64, standing=FRESH)
    assert results_of(store) == [(again.version, CONDITIONS)]


def test_a_worker_that_speaks_up_keeps_its_item(store: Store, jobs: Jobs):
    queued(jobs, 1, 2)
    mine, other = Queue(store, lease=PAST).claim("me"), Queue(store, lease=PAST).claim("other")
    assert mine is not None
    assert other is not None
    assert Queue(store).beat("me") == 1
    assert Queue(store).requeue() == 1
    assert Queue(store).finish(mine, record(1), conditions=CONDITIONS, standing=FRESH)


def test_what_a_worker_that_is_gone_held_is_given_back_at_once(queue: Queue, jobs: Jobs):
    queued(jobs, 1, 2)
    queue.claim("gone")
    queue.claim("here")
    assert queue.requeue(gone=lambda worker: worker == "gone") == 1
    claimed = queue.claim("new")
    assert claimed is not None
    assert claimed.encounter == "E001"


def test_what_ends_every_worker_is_given_up(store: Store, jobs: Jobs):
    heard = Heard()
    queue = Queue(store, lease=PAST, attempts=3, audit=heard)
    job = queued(jobs, 1)
    for attempt in (1, 2, 3):
        claimed = queue.claim("w")
        assert claimed is not None
        assert claimed.attempt == attempt
        assert queue.requeue() == 1
    assert queue.claim("w") is None
    (result,) = jobs.results(job.id)
    assert (result.state, result.error_code) == ("failed", "JC468")
    line = Encounters(store).line("E001")
    assert (line.status, line.error_code) == (Status.FAILED, "JC468")
    assert heard.actions == ["encounter.failed"]


def test_an_item_given_back_was_not_tried(queue: Queue, jobs: Jobs):
    queued(jobs, 1)
    claimed = queue.claim("w")
    assert claimed is not None
    assert queue.give_back(claimed)
    again = queue.claim("w")
    assert again is not None
    assert again.attempt == 1


def test_a_version_has_one_result_under_one_set_of_conditions(store: Store, jobs: Jobs, queue: Queue):
    first, second = queued(jobs, 1), queued(jobs, 1)
    for code in ("I10", "E11.9"):
        claimed = queue.claim("w")
        assert claimed is not None
        assert queue.finish(claimed, record(1, code=code), conditions=CONDITIONS, standing=FRESH)
    assert len(results_of(store)) == 1
    for job in (first, second):
        (result,) = jobs.results(job.id)
        assert result.record == record(1)
    assert queue.known(result.version, CONDITIONS) == record(1)
    assert queue.known(result.version, "d" * 64) is None
    assert queue.known("0" * 64, CONDITIONS) is None


def test_two_workers_that_hand_in_the_same_version_at_once_write_one_result(store: Store, jobs: Jobs, queue: Queue):
    for _ in range(6):
        queued(jobs, 1)
    claims = [claimed for number in range(6) if (claimed := queue.claim(f"w{number}"))]
    gate = threading.Barrier(6, timeout=120)

    def hand_in(place: int) -> bool:
        gate.wait()
        return Queue(store).finish(claims[place], record(1), conditions=CONDITIONS, standing=FRESH)

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(hand_in, range(6)))
    assert len(results_of(store)) == 1
    assert len(list(Reviews(store).all())) == 1


def test_a_result_comes_before_the_coders_and_another_one_only_until_they_began(store: Store, jobs: Jobs, queue: Queue):
    reviews = Reviews(store)
    for code, conditions in (("I10", "c" * 64), ("E11.9", "d" * 64)):
        queued(jobs, 1)
        claimed = queue.claim("w")
        assert claimed is not None
        assert queue.finish(claimed, record(1, code=code), conditions=conditions, standing=FRESH)
        stored = reviews.get("E001")
        assert stored is not None
        assert (stored.record.codes[0].code, stored.seq, stored.current) == (code, 0, True)
    assert [one.current for one in reviews.all()] == [False, True]
    line = Encounters(store).line("E001")
    assert (line.status, line.band, line.codes, line.undecided) == (Status.TO_REVIEW, "medium", 1, 1)


def test_a_result_of_a_version_that_is_no_longer_the_newest_is_kept_and_not_shown(
    store: Store, jobs: Jobs, queue: Queue
):
    job = queued(jobs, 1)
    claimed = queue.claim("w")
    assert claimed is not None
    new = Encounters(store).put(encounter(1, text="Type 2 diabetes."))
    assert queue.finish(claimed, record(1), conditions=CONDITIONS, standing=FRESH)
    assert Encounters(store).line("E001") == new
    assert Reviews(store).get("E001") is None
    (result,) = jobs.results(job.id)
    assert result.record == record(1)


def test_result_item_and_worklist_are_one_transaction(store: Store, jobs: Jobs, queue: Queue):
    job = queued(jobs, 1)
    claimed = queue.claim("w")
    assert claimed is not None
    with pytest.raises(RuntimeError):
        Queue(store, audit=Heard(refuses=True)).finish(claimed, record(1), conditions=CONDITIONS, standing=FRESH)
    assert results_of(store) == []
    assert [one.state for one in jobs.results(job.id)] == ["coding"]
    assert Encounters(store).line("E001").status is Status.CODING
    heard = Heard()
    assert Queue(store, audit=heard).finish(claimed, record(1), conditions=CONDITIONS, standing=FRESH)
    assert heard.actions == ["encounter.coded"]
    assert heard.events[0].details["versions"]["program"] == "t"


def test_records_are_sealed(store: Store):
    from sqlalchemy import text

    jobs, queue = Jobs(store, sealer=Backwards()), Queue(store, sealer=Backwards())
    queued(jobs, 1)
    claimed = queue.claim("w")
    assert claimed is not None
    assert queue.encounter(claimed) == encounter(1)
    queue.finish(claimed, record(1), conditions=CONDITIONS, standing=FRESH)
    with store.reading() as session:
        kept = bytes(session.execute(text("SELECT record FROM coded_results")).scalar_one())
    assert kept.startswith(b"sealed:" + claimed.version.encode())
    assert b"Essential" not in kept
    assert queue.known(claimed.version, CONDITIONS) == record(1)
