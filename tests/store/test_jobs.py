"""Jobs on both databases: handing in once and again, the bound of the queue, states, results in order, cancelling."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from jointcoder.errors import InputError, UsageError
from jointcoder.records import Encounter
from jointcoder.store.encounters import Encounters, Status
from jointcoder.store.engine import Store
from jointcoder.store.jobs import ItemState, Jobs, JobState, Work
from jointcoder.store.queue import Queue

from .desk_rows import CONDITIONS, FRESH, Backwards, Heard, encounter, queued, record


@pytest.fixture
def jobs(store: Store) -> Jobs:
    return Jobs(store)


def test_a_job_keeps_its_encounters_and_counts_how_far_it_is(store: Store, jobs: Jobs):
    queue, encounters = Queue(store), Encounters(store)
    job = queued(jobs, 1, 2, 3, by="his", source="ward 3", priority=2)
    assert (job.state, job.total, job.counts["queued"], job.ended) == (JobState.QUEUED, 3, 3, None)
    assert {encounters.line(f"E00{number}").status for number in (1, 2, 3)} == {Status.QUEUED}
    first = queue.claim("w")
    assert first is not None
    assert jobs.get(job.id).state is JobState.RUNNING
    assert encounters.line("E001").status is Status.CODING
    assert queue.finish(first, record(1), conditions=CONDITIONS, standing=FRESH)
    for _ in range(2):
        claimed = queue.claim("w")
        assert claimed is not None
        queue.fail(claimed, "JC406", "a step failed")
    done = jobs.get(job.id)
    assert (done.state, done.counts["done"], done.counts["failed"]) == (JobState.DONE, 1, 2)
    assert done.ended is not None
    assert [one.id for one in jobs.newest()] == [one.id for one in jobs.newest(by="his")] == [job.id]
    assert jobs.newest(by="ana") == []


def test_results_come_in_the_order_of_the_job_whatever_became_of_them(store: Store):
    jobs = Jobs(store, sealer=Backwards())
    queue = Queue(store, sealer=Backwards())
    broken = Work(None, "br\0ken", "JC108", "language: wrong type")
    job = jobs.create([Work(encounter(3)), broken, Work(encounter(1)), Work(encounter(2))])
    for number in (3, 1):
        claimed = queue.claim("w")
        assert claimed is not None
        assert claimed.encounter == f"E00{number}"
        if number == 3:
            queue.finish(claimed, record(3), conditions=CONDITIONS, standing=FRESH)
        else:
            queue.fail(claimed, "JC305", "the engine failed")
    results = list(jobs.results(job.id))
    assert [(one.place, one.encounter, one.state) for one in results] == [
        (0, "E003", ItemState.DONE),
        (1, "br\N{REPLACEMENT CHARACTER}ken", ItemState.FAILED),
        (2, "E001", ItemState.FAILED),
        (3, "E002", ItemState.QUEUED),
    ]
    assert results[0].record == record(3)
    assert results[3].record is None
    for failed, code in ((results[1], "JC108"), (results[2], "JC305")):
        assert failed.error_code == code
        assert failed.record is not None
        assert [flag.code for flag in failed.record.flags] == [code]
        assert failed.record.codes == ()


def test_the_same_key_with_the_same_body_is_the_same_job(jobs: Jobs):
    first = queued(jobs, 1, 2, by="his", key="k1")
    assert queued(jobs, 1, 2, by="his", key="k1").id == first.id
    assert queued(jobs, 1, 2, by="ana", key="k1").id != first.id
    assert queued(jobs, 1, 2, by="his").id != first.id
    for other in ((1,), (2, 1), (1, 3)):
        with pytest.raises(UsageError) as caught:
            queued(jobs, *other, by="his", key="k1")
        assert caught.value.code == "JC466"
    with pytest.raises(UsageError):
        queued(jobs, 1, 2, by="his", key="k1", priority=3)


def test_a_key_used_many_times_at_once_makes_one_job(jobs: Jobs):
    with ThreadPoolExecutor(8) as pool:
        ids = {job.id for job in pool.map(lambda _: queued(jobs, 1, 2, 3, by="his", key="k"), range(16))}
    assert len(ids) == 1
    assert jobs.waiting() == 3


def test_two_jobs_that_share_encounters_in_another_order_do_not_wait_for_each_other(jobs: Jobs):
    orders = [(1, 2, 3, 4), (4, 3, 2, 1), (2, 4, 1, 3), (3, 1, 4, 2)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda order: queued(jobs, *order), orders * 3))
    assert len({job.id for job in made}) == 12
    assert jobs.waiting() == 48


def test_a_full_queue_takes_nothing_of_what_would_not_fit(store: Store):
    jobs = Jobs(store, bound=5)
    queued(jobs, 1, 2, 3)
    with pytest.raises(UsageError) as caught:
        queued(jobs, 4, 5, 6)
    assert caught.value.code == "JC467"
    assert jobs.waiting() == 3
    with pytest.raises(UsageError):
        Encounters(store).line("E004")
    claimed = Queue(store).claim("w")
    assert claimed is not None
    assert queued(jobs, 4, 5, 6).total == 3


def test_what_is_handed_in_whole_waits_behind_a_full_queue(store: Store):
    jobs, queue = Jobs(store, bound=2, held=4), Queue(store)
    whole = jobs.create([Work(encounter(number)) for number in (1, 2, 3)], whole=True)
    assert (whole.state, whole.counts["held"], whole.counts["queued"], jobs.waiting()) == (JobState.QUEUED, 3, 0, 0)
    assert Encounters(store).line("E001").status is Status.QUEUED
    queued(jobs, 4, 5)
    for works, code in (([6, 7], "JC467"), ([6, 7, 8, 9, 10], "JC108")):
        with pytest.raises((UsageError, InputError)) as caught:
            jobs.create([Work(encounter(number)) for number in works], whole=True)
        assert caught.value.code == code
    with pytest.raises(UsageError):
        queued(jobs, 6)  # the bound of the queue stays what it is
    urgent = jobs.create([Work(encounter(8))], whole=True, priority=1)
    assert urgent.counts["held"] == 1
    order = []
    while claimed := queue.claim("w"):
        order.append(claimed.encounter)
        assert queue.finish(claimed, record(1), conditions=CONDITIONS, standing=FRESH)
    assert order == ["E008", "E004", "E005", "E001", "E002", "E003"]
    assert jobs.get(whole.id).state is JobState.DONE


def test_what_is_held_survives_its_worker_and_can_be_taken_back(store: Store):
    jobs, queue = Jobs(store, bound=1), Queue(store)
    whole = jobs.create([Work(encounter(number)) for number in (1, 2, 3)], whole=True)
    assert queue.claim("killed") is not None
    assert jobs.get(whole.id).state is JobState.RUNNING
    assert queue.requeue(gone=lambda worker: worker == "killed") == 1
    again = queue.claim("w")
    assert again is not None
    assert (again.encounter, again.attempt) == ("E001", 2)
    taken_back = jobs.cancel(whole.id)
    assert (taken_back.counts["cancelled"], taken_back.counts["held"]) == (2, 0)
    assert queue.finish(again, record(1), conditions=CONDITIONS, standing=FRESH)
    assert queue.claim("w") is None
    assert [one.state for one in jobs.results(whole.id)] == ["done", "cancelled", "cancelled"]
    assert Encounters(store).line("E002").status is Status.RECEIVED


def test_what_fits_into_the_queue_is_never_held(store: Store):
    job = Jobs(store, bound=3).create([Work(encounter(number)) for number in (1, 2, 3)], whole=True)
    assert job.counts["queued"] == 3


def test_many_that_fill_the_queue_at_once_never_pass_its_bound(store: Store):
    jobs = Jobs(store, bound=5)

    def hand_in(number: int) -> int | str:
        try:
            return queued(jobs, number, number + 50).total
        except UsageError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(hand_in, range(8)))
    assert sorted(map(str, taken)) == ["2", "2", *["JC467"] * 6]
    assert jobs.waiting() == 4


@pytest.mark.parametrize(
    ("works", "key", "code"),
    [([], "", "JC101"), ([Work(encounter(n)) for n in range(6)], "", "JC108"), ([Work(encounter(1))], "k\0", "JC108")],
)
def test_a_job_that_cannot_be_is_refused(store: Store, works: list[Work], key: str, code: str):
    with pytest.raises(InputError) as caught:
        Jobs(store, bound=5).create(works, key=key)
    assert caught.value.code == code


def test_one_encounter_that_cannot_be_kept_keeps_the_whole_job_out(jobs: Jobs):
    wrong = Encounter(id="", documents=encounter(1).documents)
    with pytest.raises(InputError):
        jobs.create([Work(encounter(1)), Work(wrong)])
    assert jobs.waiting() == 0
    assert jobs.newest() == []


def test_cancelling_leaves_what_is_being_coded_and_gives_back_the_rest(store: Store):
    heard = Heard()
    jobs, queue, encounters = Jobs(store, audit=heard), Queue(store), Encounters(store)
    job = queued(jobs, 1, 2, 3)
    claimed = queue.claim("w")
    assert claimed is not None
    cancelled = jobs.cancel(job.id, by="his")
    assert (cancelled.state, cancelled.counts["cancelled"], cancelled.ended) == (JobState.CANCELLED, 2, None)
    assert queue.claim("w") is None
    assert queue.finish(claimed, record(1), conditions=CONDITIONS, standing=FRESH)
    assert [one.state for one in jobs.results(job.id)] == ["done", "cancelled", "cancelled"]
    assert jobs.get(job.id).ended is not None
    assert [encounters.line(f"E00{n}").status for n in (1, 2)] == [Status.TO_REVIEW, Status.RECEIVED]
    jobs.cancel(job.id)
    assert heard.actions.count("job.cancelled") == 1


def test_an_unknown_job_is_said_to_be_unknown(jobs: Jobs):
    for ask in (jobs.get, jobs.cancel, lambda job: list(jobs.results(job))):
        for name in ("0" * 32, "", "a\0"):
            with pytest.raises(UsageError) as caught:
                ask(name)
            assert caught.value.code == "JC460"


def test_a_second_job_does_not_take_back_what_a_coder_has_begun(store: Store, jobs: Jobs):
    from jointcoder.store.reviews import Reviews

    from .desk_rows import NOW, allow, coded

    queue, encounters = Queue(store), Encounters(store)
    coded(jobs, queue)
    Reviews(store).append("E001", by="ana", expected=0, judge=allow(), at=NOW)
    queued(jobs, 1)
    assert encounters.line("E001").status is Status.IN_REVIEW
    claimed = queue.claim("w")
    assert claimed is not None
    assert encounters.line("E001").status is Status.IN_REVIEW
    assert queue.finish(claimed, record(1, code="E11.9"), conditions="d" * 64, standing=FRESH)
    stored = Reviews(store).get("E001")
    assert stored is not None
    assert (stored.seq, stored.record.codes[0].code) == (1, "I10")
    assert encounters.line("E001").status is Status.IN_REVIEW
