"""The threshold of bulk acceptance follows what coders of this house finished: at the start, and as there is more."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="the extra store is not installed")

from jointcoder.codebook.book import CodeBook
from jointcoder.desk import bands, service
from jointcoder.desk.bands import Bulk
from jointcoder.desk.calibration import STEP, Calibration, Outcomes
from jointcoder.errors import AssetError
from jointcoder.store.engine import open_store

from .reviewed import Coders

SURE: Outcomes = [(0.95, True)] * 100
PACK = Bulk(0.97, "supported")
WAIT_S = 60


class Reviews:
    """Finished reviews that grow; tells when they were read, and fails once where it is to."""

    def __init__(self, count: int) -> None:
        self.count, self.fails = count, False
        self.times = 0
        self.read = threading.Condition()

    def __call__(self) -> Iterator[Outcomes | None]:
        with self.read:
            self.times += 1
            self.read.notify_all()
        if self.fails:
            raise AssetError("JC430", "the store is gone")
        yield None
        yield from [SURE] * self.count

    def until(self, times: int) -> None:
        with self.read:
            assert self.read.wait_for(lambda: self.times >= times, WAIT_S)


def test_too_few_decisions_leave_the_packs_threshold_and_say_how_few() -> None:
    calibration = Calibration(Reviews(1))
    assert calibration.applied(PACK) is PACK
    assert calibration.measure().reason == "calibration_unknown"
    assert calibration.applied(PACK) == Bulk(0.97, "supported", reviews=1, codes=100)
    unknown = Bulk(None, "calibration_unknown")
    assert calibration.applied(unknown) == Bulk(None, "calibration_unknown", reviews=1, codes=100)


def test_enough_decisions_go_before_the_pack_and_never_make_calibrated_what_is_not() -> None:
    calibration = Calibration(Reviews(3))
    assert calibration.measure() == Bulk(0.95, "measured_here", reviews=3, codes=300)
    assert calibration.applied(PACK) == calibration.found
    assert calibration.applied(Bulk(None, "calibration_unknown")) == calibration.found
    assert calibration.applied(bands.NOT_CALIBRATED) is bands.NOT_CALIBRATED


def test_it_is_measured_at_the_start_and_when_enough_reviews_were_finished() -> None:
    reviews = Reviews(1)
    calibration = Calibration(reviews)
    calibration.start()
    calibration.start()  # it has begun
    try:
        reviews.until(1)
        reviews.count = 3
        for _ in range(STEP - 1):
            calibration.finished()
        assert reviews.times == 1
        calibration.finished()
        reviews.until(2)
    finally:
        calibration.stop(timeout_s=WAIT_S)  # what has begun ends
    assert calibration.found == Bulk(0.95, "measured_here", reviews=3, codes=300)


def test_the_more_were_read_the_more_are_waited_for() -> None:
    reviews = Reviews(STEP * 20)
    calibration = Calibration(reviews)
    calibration.start()
    reviews.until(1)
    calibration.measure()  # behind the first one: now it is known how many there are
    for _ in range(2 * STEP):
        calibration.finished()
    calibration.stop(timeout_s=WAIT_S)
    assert reviews.times == 2
    calibration.start()
    reviews.until(3)
    calibration.stop(timeout_s=WAIT_S)


def test_what_cannot_be_measured_leaves_what_was_found(caplog: pytest.LogCaptureFixture) -> None:
    reviews = Reviews(3)
    calibration = Calibration(reviews)
    before = calibration.measure()
    reviews.fails = True
    with caplog.at_level(logging.WARNING):
        calibration.start()
        reviews.until(2)
        calibration.stop(timeout_s=WAIT_S)
    assert calibration.found == before
    assert "JC430" in caplog.text
    with pytest.raises(AssetError):
        calibration.measure()


def test_a_desk_measures_on_its_finished_reviews(
    tmp_path: Path, small_us: CodeBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {**bands.figures(), "bulk": {**bands.figures()["bulk"], "fewest": 2, "precision": 0.3}}
    monkeypatch.setattr(bands, "figures", lambda: few)
    monkeypatch.setattr(service, "bulk_of", lambda record, pack: PACK)
    monkeypatch.setattr("jointcoder.desk.calibration.STEP", 2)
    with open_store(tmp_path / "desk.sqlite") as store:
        coders = Coders(store, small_us)
        for number in range(3):
            coders.coded(f"e{number}")
        coders.finish("e0", "ana", {"kind": "reject", "item": "p3"})
        desk = coders.desk
        assert desk.review("e1").bulk == PACK
        desk.calibration.start()  # as the desk's start does; nothing is to be coded here
        try:
            measured(desk, reviews=1, codes=3)
            assert desk.review("e1").bulk == Bulk(0.8, "measured_here", reviews=1, codes=3)
            coders.finish("e1", "ana")
            coders.finish("e2", "bo")
            measured(desk, reviews=3, codes=9)
        finally:
            desk.calibration.stop(timeout_s=WAIT_S)


def measured(desk: service.Desk, *, reviews: int, codes: int) -> None:
    """Wait until so many were measured on."""
    pause = threading.Event()
    for _ in range(WAIT_S * 20):
        found = desk.calibration.found
        if found is not None and (found.reviews, found.codes) == (reviews, codes):
            return
        pause.wait(0.05)
    raise AssertionError("it was not measured within a minute")
