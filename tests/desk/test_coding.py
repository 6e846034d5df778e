"""The workers over a real store and the real coder without a model: nothing lost or doubled, every failure coded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra store is not installed")

from jointcoder.codebook.book import CodeBook
from jointcoder.coder import Coder
from jointcoder.desk.process import is_gone, worker_name
from jointcoder.desk.service import Refused
from jointcoder.errors import AssetError, InputError, UsageError
from jointcoder.records import Encounter, Flag
from jointcoder.store.approvals import Approvals
from jointcoder.store.engine import open_store
from jointcoder.store.jobs import JobState
from jointcoder.store.lines import Query, Status
from jointcoder.workflow.spec import load_workflow

from .coding_coders import Gate, Makers, ended, stay


@pytest.fixture
def makers(small_us: CodeBook, tmp_path: Path) -> Iterator[Makers]:
    with open_store(tmp_path / "store.sqlite") as store:
        made = Makers(store, small_us, tmp_path)
        yield made
        for desk in made.desks:
            desk.stop()


def test_what_is_queued_is_coded_and_comes_before_the_coders(makers: Makers):
    desk = makers.started()
    stays = [stay(number) for number in range(1, 4)]
    job = desk.submit(stays, by="his")
    ended(desk, *stays)
    results = list(desk.results(job.id))
    assert desk.job(job.id).state is JobState.DONE
    assert [one.encounter for one in results] == ["E001", "E002", "E003"]
    plain = makers.coder().code(stays[0])
    assert results[0].record is not None
    assert results[0].record.codes == plain.codes
    assert {code.code for code in plain.codes} >= {"I50.9", "E11.9"}
    line = desk.line("E001")
    assert (line.status, line.language, line.codes) == (Status.TO_REVIEW, "en", len(plain.codes))
    assert (line.undecided, line.band != "") == (len(plain.codes), True)
    assert desk.review("E001").record == results[0].record
    assert makers.made == 2  # one in the worker, one here


def test_what_cannot_be_coded_is_a_failed_item_with_a_code_and_without_text(makers: Makers):
    def before(encounter: Encounter) -> None:
        if encounter.id == "E001":
            raise InputError("JC105", "the language is not supported")
        if encounter.id == "E002":
            raise ValueError(f"cannot parse {encounter.documents[0].text}")

    makers.before = before
    desk = makers.started()
    stays = [stay(number) for number in range(1, 4)]
    unread = Refused("E000", InputError("JC108", "discharged: wrong type"))
    job = desk.submit([unread, *stays])
    ended(desk, *stays)
    results = list(desk.results(job.id))
    assert [(one.state, one.error_code) for one in results] == [
        ("failed", "JC108"),
        ("failed", "JC105"),
        ("failed", "JC999"),
        ("done", ""),
    ]
    assert all(one.record is not None for one in results)
    assert "heart" not in results[2].error
    assert (desk.line("E002").status, desk.line("E002").error_code) == (Status.FAILED, "JC999")
    assert desk.stages.past(results[2].version)[-1].error_code == "JC999"


def test_a_model_that_was_not_there_gives_no_result(makers: Makers):
    makers.before = lambda encounter: Flag(code="JC307", step="extract", message="the server does not answer")
    desk = makers.started()
    job = desk.submit([stay(1)])
    ended(desk, stay(1))
    assert [one.error_code for one in desk.results(job.id)] == ["JC307"]
    makers.before = lambda encounter: None
    again = desk.submit([stay(1), stay(2)])
    ended(desk, stay(2))
    assert [one.state for one in desk.results(again.id)] == ["done", "done"]
    assert desk.line("E001").status is Status.TO_REVIEW


def test_the_same_encounter_under_the_same_conditions_is_coded_once(makers: Makers):
    desk = makers.desk()
    first, second = desk.submit([stay(1)]), desk.submit([stay(1)])
    desk.submit([stay(2)])
    desk.start()
    ended(desk, stay(2))
    assert makers.coded == ["E001", "E002"]
    assert [one.record for one in desk.results(first.id)] == [one.record for one in desk.results(second.id)]


def test_without_a_coder_nothing_is_taken_and_nothing_lost(makers: Makers):
    tried = Gate()

    def make() -> Coder:
        if not tried.opened.is_set():
            tried.reached.set()
            raise AssetError("JC201", "the model file is missing")
        return makers.coder()

    desk = makers.desk(make=make)
    job = desk.submit([stay(1)])
    desk.start()
    assert tried.reached.wait(60)
    with desk.workers._news:  # the worker says what ails it before it waits
        assert desk.workers._news.wait_for(lambda: bool(desk.workers._troubles), 60)
    assert (desk.ready(), desk.workers.ready) == ("JC201", False)
    assert desk.job(job.id).state is JobState.QUEUED
    with pytest.raises(UsageError, match=r"JC467.*JC201"):
        desk.code_now(stay(2))
    tried.opened.set()
    desk.workers.wake()
    ended(desk, stay(1))
    assert (desk.ready(), desk.workers.ready) == ("", True)
    assert desk.job(job.id).state is JobState.DONE


def test_only_approved_workflows_code_where_the_settings_say_so(makers: Makers):
    desk = makers.started(approved_only=True)
    job = desk.submit([stay(1)])
    ended(desk, stay(1))
    assert [one.error_code for one in desk.results(job.id)] == ["JC441"]
    with pytest.raises(Exception, match="JC441"):
        desk.code_now(stay(1), timeout_s=60)
    Approvals(makers.store).approve(load_workflow("lexical"), by="A. Meyer", text="")
    desk.submit([stay(2)])
    ended(desk, stay(2))
    assert desk.line("E002").status is Status.TO_REVIEW


# --------------------------------------------------------------------------------------------------- stopping, starting


def test_stopping_ends_what_is_being_coded_and_leaves_the_rest_for_the_next_start(makers: Makers):
    gate = makers.before = Gate()
    desk = makers.started()
    job = desk.submit([stay(1), stay(2)])
    assert gate.reached.wait(60)
    assert desk.workers.busy == 1
    assert not desk.stop(timeout_s=0.01)
    gate.opened.set()
    assert desk.stop()
    assert [one.state for one in desk.results(job.id)] == ["done", "queued"]
    again = makers.started()
    ended(again, stay(2))
    assert again.job(job.id).state is JobState.DONE


def test_a_worker_names_a_process_that_can_be_told_from_one_that_ended():
    import subprocess
    import sys

    assert not is_gone(worker_name())
    shown = subprocess.run(
        [sys.executable, "-c", "from jointcoder.desk.process import worker_name; print(worker_name())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert is_gone(shown.stdout.strip())
    host, number, start, token = worker_name().split(":")
    assert is_gone(f"{host}:{number}:{int(start) + 1}:{token}") == (start != "0")
    for other in (f"elsewhere:{number}:1:{token}", "", "a:b:c:d", "w"):
        assert not is_gone(other)


# ------------------------------------------------------------------------------------------------------------ at once


def test_who_waits_for_a_record_goes_before_the_queue_and_nothing_is_stored(makers: Makers):
    desk = makers.started()
    record = desk.code_now(stay(9), timeout_s=60)
    assert record.codes == makers.coder().code(stay(9)).codes
    assert desk.worklist(Query()).total == 0


def test_errors_of_coding_at_once_reach_who_waits(makers: Makers):
    def before(encounter: Encounter) -> None:
        raise InputError("JC105", "the language is not supported")

    makers.before = before
    with pytest.raises(InputError) as caught:
        makers.started().code_now(stay(1), timeout_s=60)
    assert caught.value.code == "JC105"


def test_coding_at_once_has_an_end(makers: Makers):
    gate = makers.before = Gate()
    desk = makers.started()
    desk.submit([stay(1)])
    assert gate.reached.wait(60)
    with pytest.raises(UsageError) as caught:
        desk.code_now(stay(2), timeout_s=0.01)
    assert caught.value.code == "JC468"
    gate.opened.set()
    ended(desk, stay(1))
    assert desk.code_now(stay(3), timeout_s=60).encounter == "E003"
    assert makers.coded == ["E001", "E003"]  # nobody waits for the second any more


def test_nobody_waits_for_a_service_that_does_not_run(makers: Makers):
    desk = makers.desk()
    for _ in range(2):
        with pytest.raises(UsageError) as caught:
            desk.code_now(stay(1))
        assert caught.value.code == "JC467"
        desk.start()
        desk.stop()


# -------------------------------------------------------------------------------------------------------------- stages


def test_stages_stream_while_an_encounter_is_coded_and_come_to_who_is_late(makers: Makers):
    desk = makers.started()
    desk.submit([stay(1)])
    version = desk.line("E001").version
    events = [event for event in desk.stages.subscribe(version, timeout_s=60) if event is not None]
    steps = [step for step, _ in makers.coder().plan.steps]
    assert [event.step for event in events] == [*steps, ""]
    assert [event.number for event in events[:-1]] == list(range(1, len(steps) + 1))
    assert (events[-1].state, events[-1].last, {event.total for event in events}) == ("done", True, {len(steps)})
    text = stay(1).documents[0].text
    final = events[-2]
    assert {code.code for code in final.codes} == {code.code for code in desk.review("E001").record.codes}
    (_, start, end), *_ = next(code for code in final.codes if code.code == "E11.9").places
    assert text[start:end] == "Type 2 diabetes"
    assert {text[one.place[1] : one.place[2]] for one in final.mentions} >= {"Type 2 diabetes"}
    assert "diabetes" not in repr([event.counts for event in events])
    late = [event for event in desk.stages.subscribe(version, timeout_s=60) if event is not None]
    assert late == events
    assert not desk.stages.running(version)


def test_a_listener_hears_that_nothing_happened(makers: Makers):
    listening = makers.desk().stages.subscribe("0" * 64, timeout_s=0.01)
    assert [next(listening), next(listening)] == [None, None]
