"""What needs a person reaches the desk's worklist, on both databases; a store that is out of order loses nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jointcoder.batch.routing import Policy
from jointcoder.batch.worklist import Worklist
from jointcoder.cli import batch_desk
from jointcoder.codebook.book import CodeBook
from jointcoder.desk.coding import conditions_of
from jointcoder.desk.service import open_desk
from jointcoder.parsing import parse_encounter
from jointcoder.records import CodedRecord, Encounter, Flag
from jointcoder.settings import Settings
from jointcoder.store.lines import Query, Status

from ..store.conftest import place, store  # noqa: F401
from .batch_coders import Opener
from .conftest import Process, encounters, results, write


@pytest.fixture
def settings(place: str, small_us: CodeBook, tmp_path: Path) -> Settings:  # noqa: F811
    return Settings(cache=tmp_path, store=place, code_book=str(small_us.path), workflow="lexical")


@contextmanager
def queue(settings: Settings, opener: Opener) -> Iterator[Worklist]:
    from jointcoder.batch.work import CoderSpec

    with batch_desk.worklist(settings, CoderSpec(settings, code_book=opener.book)) as worklist:
        yield worklist


def test_records_for_people_become_lines_and_others_do_not(
    settings: Settings, opener: Opener, process: Process, tmp_path: Path
) -> None:
    rows = encounters(6)
    rows[2]["text"] += "DOWN"
    source = write(tmp_path / "in.jsonl", rows)
    with queue(settings, opener) as worklist:
        tally = process(source, worklist=worklist, policy=Policy(precision=0.5, threshold=0.9, reason="measured"))
    routes = {id: one["trace"][-1]["notes"]["route"] for id, one in results(tmp_path / "run").items()}
    assert set(routes.values()) == {"auto", "review"}
    desk = open_desk(settings)
    lines = {line.id: line for line in desk.worklist(Query()).lines}
    assert set(lines) == {id for id, way in routes.items() if way != "auto"} | {"E0002"}
    assert lines["E0002"].status is Status.FAILED
    assert lines["E0002"].error_code == "JC307"
    assert {lines[id].status for id in lines if id != "E0002"} == {Status.TO_REVIEW}
    assert tally.unstored == 0
    some = next(id for id, way in routes.items() if way == "review")
    review = desk.review(some)
    assert review.record.codes == CodedRecord.model_validate(results(tmp_path / "run")[some]).codes
    assert lines[some].undecided == len(review.undecided) > 0
    desk.close()


def test_the_same_again_changes_nothing_and_decisions_stay(
    settings: Settings, opener: Opener, process: Process, tmp_path: Path
) -> None:
    from jointcoder.desk.decisions import parse_decision

    source = write(tmp_path / "in.jsonl", encounters(3))
    with queue(settings, opener) as worklist:
        process(source, worklist=worklist)
    desk = open_desk(settings)
    review = desk.review("E0001")
    desk.decide("E0001", parse_decision({"kind": "accept", "item": "p1"}), expected=review.etag, by="ana")
    desk.close()
    (tmp_path / "run" / "index.sqlite").unlink()  # which knows what the store has
    with queue(settings, opener) as worklist:
        tally = process(source, worklist=worklist)
    assert (tally.done, tally.stored) == (0, 3)
    desk = open_desk(settings)
    assert desk.worklist(Query()).total == 3
    assert desk.line("E0001").seq == 1
    desk.close()


def test_a_question_to_the_physician_is_asked_once(
    settings: Settings, opener: Opener, process: Process, tmp_path: Path
) -> None:
    encounter = parse_encounter(encounters(1)[0])
    with opener() as coder, queue(settings, opener) as worklist:
        record = coder.code(encounter)
        record = record.model_copy(update={"flags": (Flag(code="JC610", message="m"),)})
        from jointcoder.batch.routing import route

        routed = route(record, Policy())
        assert worklist.put(encounter, record, routed)
        assert worklist.put(encounter, record, routed)
    desk = open_desk(settings)
    line, review = desk.line(encounter.id), desk.review(encounter.id)
    assert (line.status, line.priority, line.holder) == (Status.QUERIED, 2, "")
    assert [one.text for one in review.queries] == [
        "A listed diagnosis is only denied in the rest of the record. Was it present during this stay?"
    ]
    assert [one.by for one in review.decided] == ["batch"]
    desk.close()


def test_what_the_store_refused_is_put_there_by_the_next_sitting(
    settings: Settings, opener: Opener, process: Process, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.jsonl", encounters(5))
    with queue(settings, opener) as worklist:
        from sqlalchemy import text

        with worklist.store.writing() as session:
            session.execute(text("ALTER TABLE coded_results RENAME TO elsewhere"))
        tally = process(source, worklist=worklist)
        assert (tally.done, tally.stored, tally.unstored) == (5, 0, 5)
        with worklist.store.writing() as session:
            session.execute(text("ALTER TABLE elsewhere RENAME TO coded_results"))
    with queue(settings, opener) as worklist:
        tally = process(source, worklist=worklist)
    assert (tally.done, tally.already, tally.stored) == (0, 5, 5)


def test_the_desk_knows_the_result_by_the_same_conditions(opener: Opener) -> None:
    encounter = Encounter.from_text("Discharge diagnosis: pneumonia", id="E1")
    with opener() as coder:
        systems = [system.value for system in coder.systems]
        assert batch_desk.conditions(coder.code(encounter), systems) == conditions_of(coder, encounter)


def test_an_id_that_cannot_be_kept_is_counted(
    settings: Settings, opener: Opener, process: Process, tmp_path: Path
) -> None:
    rows = encounters(2)
    rows[0]["id"] = hashlib.sha256(b"x").hexdigest() * 4
    with queue(settings, opener) as worklist:
        tally = process(write(tmp_path / "in.jsonl", rows), worklist=worklist)
    assert (tally.done, tally.stored, tally.unstored) == (2, 1, 1)
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["results"] == 2
