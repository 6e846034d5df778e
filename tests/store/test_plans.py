"""Lists do not grow dear with what is in the store: how often the database is asked, and how it finds the answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jointcoder.store.encounters import Encounters
from jointcoder.store.engine import Store, open_store
from jointcoder.store.jobs import Jobs, Work
from jointcoder.store.lines import Query, Status
from jointcoder.store.queue import Queue
from tests.store.desk_rows import encounter, queued


@contextmanager
def asked() -> Iterator[list[tuple[str, Any]]]:
    """What every database is asked meanwhile: statements with their values."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    heard: list[tuple[str, Any]] = []

    def hear(_connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, _many: bool) -> None:
        heard.append((statement, values))

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


def sorts(place: Path, statements: list[tuple[str, Any]]) -> list[str]:
    """The statements for which SQLite would read everything that fits, to put it in order."""
    with sqlite3.connect(place) as connection:
        plans = {
            said: [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {said}", values)]
            for said, values in statements
            if said.lstrip().startswith("SELECT")
        }
    connection.close()
    return [said for said, plan in plans.items() if any("TEMP B-TREE" in step for step in plan)]


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Store]:
    """A store with some encounters of different priorities, all of them queued."""
    with open_store(tmp_path / "store.sqlite") as store:
        Jobs(store).create([Work(encounter(number)) for number in range(9)])
        for number in range(9):
            Encounters(store).prioritise(f"E{number:03}", number % 3)
        yield store


@pytest.mark.parametrize("query", [{}, {"status": (Status.QUEUED,)}, {"min_priority": 1}])
def test_a_page_of_the_worklist_is_read_off_an_index(full: Store, tmp_path: Path, query: dict[str, Any]) -> None:
    encounters = Encounters(full)
    with asked() as statements:
        first = encounters.lines(Query(limit=2, **query))
        then = encounters.lines(Query(limit=2, after=first.next, **query))
    assert len({line.id for line in (*first.lines, *then.lines)}) == 4
    assert sorts(tmp_path / "store.sqlite", statements) == []


def test_what_is_coded_next_is_read_off_an_index(full: Store, tmp_path: Path) -> None:
    with asked() as statements:
        assert Queue(full).claim("w") is not None
    assert sorts(tmp_path / "store.sqlite", statements) == []


def test_the_newest_jobs_are_read_off_an_index(full: Store, tmp_path: Path) -> None:
    with asked() as statements:
        assert len(Jobs(full).newest(limit=1)) == 1
    listing = [(said, values) for said, values in statements if "FROM jobs" in said]
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        ((_, _, _, step), *_) = connection.execute(f"EXPLAIN QUERY PLAN {listing[0][0]}", listing[0][1])
    connection.close()
    assert "ix_jobs_created" in step


def test_many_jobs_are_asked_for_as_often_as_one(store: Store) -> None:
    jobs = Jobs(store)
    made = [queued(jobs, number, by="his").id for number in range(4)]
    with asked() as for_one:
        assert len(jobs.newest(limit=1)) == 1
    with asked() as for_all:
        found = jobs.newest()
    assert {job.id for job in found} == set(made)
    assert all(job.counts["queued"] == job.total == 1 for job in found)
    assert len(for_all) == len(for_one)


def test_an_encounter_that_comes_first_is_looked_for_once(store: Store) -> None:
    with asked() as statements:
        Encounters(store).put(encounter())
    assert sum("SELECT" in said and "encounter_versions" in said for said, _ in statements) == 0
    assert sum("SELECT" in said and "reviews" in said for said, _ in statements) == 0
