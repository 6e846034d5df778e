"""A service that is killed in the middle of a hundred encounters, and started again: none lost, none doubled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra store is not installed")

from jointcoder.codebook.book import CodeBook
from jointcoder.store.encounters import Encounters
from jointcoder.store.engine import open_store
from jointcoder.store.jobs import Jobs, JobState, Work
from jointcoder.store.lines import Query
from jointcoder.store.reviews import Reviews

from ..store.conftest import place as place
from .coding_coders import stay

COUNT, KILLS, BETWEEN = 100, 3, 18
ROOT = Path(__file__).parents[2]


def service(place: str, book: CodeBook, *hold: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.desk.kill_worker", place, str(book.path), *hold],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_service_that_is_killed_again_and_again_loses_and_doubles_nothing(place: str, small_us: CodeBook):
    from sqlalchemy import text

    with open_store(place) as store:
        jobs = Jobs(store)
        job = jobs.create([Work(stay(number)) for number in range(COUNT)])
        process = service(place, small_us, str(BETWEEN))
        assert process.stdout is not None
        assert "held\n" in iter(process.stdout.readline, "")  # killed while it surely has one in hand
        process.kill()
        process.communicate()
        for _ in range(KILLS - 1):  # and wherever it happens to be
            process = service(place, small_us)
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(BETWEEN)] == ["coded\n"] * BETWEEN
            process.kill()
            process.communicate()
        assert jobs.get(job.id).state is JobState.RUNNING
        process = service(place, small_us)
        assert process.stdout is not None
        while jobs.get(job.id).state is not JobState.DONE:
            assert process.stdout.readline() == "coded\n"
        process.communicate()  # its input ends: it stops by itself
        assert process.returncode == 0
        results = list(jobs.results(job.id))
        assert [(one.place, one.encounter, one.state) for one in results] == [
            (number, f"E{number:03}", "done") for number in range(COUNT)
        ]
        with store.reading() as session:
            rows = session.execute(text("SELECT version FROM coded_results")).scalars().all()
            tries = session.execute(text("SELECT attempts FROM job_items")).scalars().all()
        assert Counter(rows) == {one.version: 1 for one in results}
        assert max(tries) > 1
        assert len(list(Reviews(store).all())) == COUNT
        assert Encounters(store).counts(Query())["to_review"] == COUNT
