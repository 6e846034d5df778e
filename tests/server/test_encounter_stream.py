"""A record while it is being coded: stages, marks and codes as events; then the page is the review."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from jointcoder.codebook.book import CodeBook
from jointcoder.desk.service import Desk
from jointcoder.errors import InputError
from jointcoder.records import CodedRecord, Encounter
from jointcoder.server.pages import encounter_stream

from .encounter_desk import Person, client_of, desk_of, encounter_of, record_of

NOTE = "Assessment: pneumonia with cough."
PATIENCE_S = 60


class Gate:
    """Coding waits here until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.opened.wait(PATIENCE_S)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


@pytest.fixture
def desk(tmp_path: Path, small_us: CodeBook, gate: Gate) -> Iterator[Desk]:
    def told(encounter: Encounter) -> CodedRecord:
        if encounter.id == "unfit":
            raise InputError("JC108", "made to fail")
        return record_of(encounter, small_us, [("J18.9", 0.9, "pneumonia"), ("R05.9", 0.3, "cough")])

    with desk_of(tmp_path, small_us, told, gate=gate) as opened:
        yield opened
        gate.opened.set()


@pytest.fixture
def client(desk: Desk) -> Iterator[TestClient]:
    with client_of(desk) as opened:
        yield opened


def events_of(text: str) -> list[tuple[str, str]]:
    """Server-sent events as (name, data)."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        name = next((value for field, _, value in lines if field == "event"), "")
        data = "\n".join(value for field, _, value in lines if field == "data")
        if name:
            found.append((name, data))
    return found


def test_stages_then_marks_then_codes_then_the_review(
    desk: Desk, client: TestClient, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    encounter = encounter_of(NOTE)
    version = desk.receive(encounter).version
    me = Person(client, version)
    assert "waits for somebody" in me.look()
    desk.submit([encounter])
    assert gate.reached.wait(PATIENCE_S)
    page = me.look()
    assert f'data-stages="/encounters/{version}/stages"' in page
    assert "being coded" in page
    past = desk.stages.past

    def looked(version: str) -> Any:
        gate.opened.set()
        return past(version)

    monkeypatch.setattr(desk.stages, "past", looked)  # coding goes on when the reader is there
    events = events_of(me.get("/stages").text)
    names = [name for name, _ in events]
    assert names[:3] == ["stage", "progress", "stage"]
    assert names[-1] == "done"
    text = next(data for name, data in events if name == "text")
    assert 'data-places="e-s0-1"' in text
    assert ">pneumonia</a> with" in text
    assert "J18.9" in next(data for name, data in events if name == "found")
    assert 'data-etag="' in me.look()
    assert events_of(me.get("/stages").text) == [("done", "done")]


def test_a_failure_ends_the_stream_and_stays_on_the_page(desk: Desk, client: TestClient) -> None:
    encounter = encounter_of(NOTE, id="unfit")
    version = desk.receive(encounter).version
    desk.submit([encounter])
    me = Person(client, version)
    assert events_of(me.get("/stages").text)[-1] == ("failed", "JC108")
    page = me.look()
    assert "JC108" in page
    assert "data-stages" not in page


def test_coding_by_another_process_is_noticed_by_the_store(
    desk: Desk, client: TestClient, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encounter_stream, "ASK_S", 0.4)
    encounter = encounter_of(NOTE, id="elsewhere")
    version = desk.receive(encounter).version

    def coded_elsewhere() -> None:
        desk.stages.begin = lambda *_, **__: None  # type: ignore[method-assign]  # its stages are told to nobody here
        gate.opened.set()
        desk.submit([encounter])

    threading.Timer(0.3, coded_elsewhere).start()
    assert events_of(Person(client, version).get("/stages").text) == [("done", "done")]


def test_a_reader_who_waits_keeps_no_thread(desk: Desk) -> None:
    """Between looks the stream is an await, so that waiting readers cannot use the pool up."""
    from jointcoder.server.pages.encounter_shown import Shown

    version = desk.receive(encounter_of(NOTE, id="quiet")).version
    opened = desk.open(version)
    who: Any = None
    shown = Shown(desk, who, version, opened.line, opened.encounter, None)

    async def wait() -> bool:
        stream = encounter_stream.events(None, shown)  # type: ignore[arg-type]
        asking = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        waiting = not asking.done()
        asking.cancel()
        return waiting

    assert asyncio.run(wait())
