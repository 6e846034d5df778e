"""Jobs: handed in, followed, fetched, cancelled; sent twice; too many."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from fastapi.testclient import TestClient

from jointcoder.coder import Coder
from jointcoder.records import CodedRecord, Encounter
from jointcoder.server.app import create_app
from jointcoder.settings import Settings
from tests.server.api.conftest import LOCAL, NOTE, finished, on_both, until
from tests.server.api.test_code import CODES, problem

pytestmark = on_both
TWO = [{"id": "A", "text": NOTE}, {"id": "B", "text": "Discharge diagnosis: hypertension"}]


def results(client: TestClient, job: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/jobs/{job}/results")
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize("lines", [False, True])
def test_a_list_or_lines_become_a_job_with_results_in_order(api: TestClient, lines: bool) -> None:
    if lines:
        body = "".join(json.dumps(one) + "\n" for one in TWO)
        made = api.post("/v1/jobs", content=body, headers={"Content-Type": "application/x-ndjson"})
    else:
        made = api.post("/v1/jobs", json=TWO)
    assert made.status_code == 202
    assert made.headers["Location"] == f"/v1/jobs/{made.json()['id']}"
    job = finished(api, made.json()["id"])
    assert (job["total"], job["counts"]["done"], job["state"]) == (2, 2, "done")
    got = results(api, job["id"])
    assert [one["encounter"] for one in got] == ["A", "B"]
    assert {code["code"] for code in got[0]["record"]["codes"]} == set(CODES)
    CodedRecord.model_validate(got[1]["record"])
    assert [one["id"] for one in api.get("/v1/jobs").json()["items"]] == [job["id"]]


def test_what_cannot_be_read_is_a_flagged_result_and_the_others_are_coded(api: TestClient) -> None:
    bad = [{"id": "A", "text": NOTE}, {"id": "B"}, 7, {"id": "A", "text": "again"}, {"id": "C", "text": "x", "who": 1}]
    job = finished(api, api.post("/v1/jobs", json=bad).json()["id"])
    got = results(api, job["id"])
    assert [one["state"] for one in got] == ["done", "failed", "failed", "failed", "failed"]
    assert [one["error_code"] for one in got[1:]] == ["JC101", "JC104", "JC123", "JC103"]
    assert all(one["record"]["flags"][0]["code"] == one["error_code"] for one in got[1:])
    assert not any(one["record"]["codes"] for one in got[1:])


def test_a_broken_line_is_an_item_of_its_own(api: TestClient) -> None:
    body = json.dumps(TWO[0]) + "\n\nnot json\n"
    made = api.post("/v1/jobs", content=body, headers={"Content-Type": "application/x-ndjson"})
    got = results(api, finished(api, made.json()["id"])["id"])
    assert [one["error_code"] for one in got] == ["", "JC104"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [([], 422, "JC101"), ({"text": NOTE}, 422, "JC108"), ("a note", 422, "JC108")],
)
def test_what_is_no_job(api: TestClient, body: Any, status: int, code: str) -> None:
    answer = api.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    problem(answer)
    assert api.get("/v1/jobs").json()["items"] == []


def test_the_same_key_makes_one_job(api: TestClient) -> None:
    key = {"Idempotency-Key": "2026-03-01/ward-3"}
    first, again = (api.post("/v1/jobs", json=TWO, headers=key).json()["id"] for _ in range(2))
    assert first == again
    assert len(api.get("/v1/jobs").json()["items"]) == 1
    other = api.post("/v1/jobs", json=TWO[:1], headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "JC466")
    assert api.post("/v1/jobs", json=TWO).json()["id"] != first


@pytest.mark.parametrize("key", ["", "a b", "x" * 201])
def test_a_key_that_is_none(api: TestClient, key: str) -> None:
    assert api.post("/v1/jobs", json=TWO, headers={"Idempotency-Key": key}).status_code == 422


def test_a_job_that_is_not_there(api: TestClient) -> None:
    for answer in (api.get("/v1/jobs/none"), api.get("/v1/jobs/none/results"), api.post("/v1/jobs/a%00b/cancel")):
        assert answer.status_code in (404, 422)
        problem(answer)


def test_everybody_sees_their_own_jobs_and_a_lead_all(api: TestClient, person: Callable[..., TestClient]) -> None:
    his, ana, lea = person("his", "service"), person("ana", "coder"), person("lea", "lead")
    job = his.post("/v1/jobs", json=TWO).json()["id"]
    assert ana.get(f"/v1/jobs/{job}").status_code == 404
    assert ana.post(f"/v1/jobs/{job}/cancel").status_code == 404
    assert ana.get("/v1/jobs").json()["items"] == []
    assert [one["by"] for one in lea.get("/v1/jobs").json()["items"]] == ["his"]
    assert lea.get(f"/v1/jobs/{job}").status_code == 200


# ------------------------------------------------------------------------------------ while the coder is at work


class Held(Coder):
    """A coder that waits to be let go."""

    go: Event

    def code(self, encounter: Encounter, **options: Any) -> CodedRecord:
        assert self.go.wait(60)
        return super().code(encounter, **options)


@pytest.fixture
def go() -> Event:
    return Event()


@pytest.fixture
def held(settings: Settings, go: Event) -> Iterator[TestClient]:
    """A service whose coder waits for ``go``, and whose queue takes two."""

    def make() -> Coder:
        coder = Held(settings)
        coder.go = go
        return coder

    small = settings.model_copy(update={"queue_bound": 2, "code_timeout_s": 0.2})
    with TestClient(create_app(small, make_coder=make), **LOCAL) as client:
        try:
            yield client
        finally:
            go.set()


def test_a_full_queue_sends_clients_away_until_there_is_room(held: TestClient, go: Event) -> None:
    assert held.post("/v1/jobs", json=[{"id": "0", "text": NOTE}]).status_code == 202
    until(lambda: held.get("/v1/encounters?status=coding").json()["total"] == 1)
    waiting = held.post("/v1/jobs", json=TWO).json()["id"]
    answer = held.post("/v1/jobs", json=[{"id": "C", "text": "Discharge diagnosis: pneumonia"}])
    assert (answer.status_code, answer.json()["code"]) == (429, "JC467")
    assert int(answer.headers["Retry-After"]) >= 1
    problem(answer)
    assert held.get("/health/ready").status_code == 503
    go.set()
    finished(held, waiting)
    assert held.post("/v1/jobs", json=[{"id": "C", "text": "Discharge diagnosis: pneumonia"}]).status_code == 202


def test_a_job_that_no_queue_takes(held: TestClient) -> None:
    answer = held.post("/v1/jobs", json=[{"text": str(number)} for number in range(3)])
    assert (answer.status_code, answer.json()["code"]) == (413, "JC482")


def test_a_record_that_does_not_come_in_time(held: TestClient) -> None:
    answer = held.post("/v1/code", json={"text": NOTE})
    assert (answer.status_code, answer.json()["code"]) == (504, "JC468")
    problem(answer)


@pytest.mark.parametrize("way", ["POST", "DELETE"])
def test_what_waits_can_be_taken_back(held: TestClient, go: Event, way: str) -> None:
    first = held.post("/v1/jobs", json=[{"id": "0", "text": NOTE}]).json()["id"]
    until(lambda: held.get("/v1/encounters?status=coding").json()["total"] == 1)
    job = held.post("/v1/jobs", json=TWO).json()["id"]
    answer = held.post(f"/v1/jobs/{job}/cancel") if way == "POST" else held.delete(f"/v1/jobs/{job}")
    assert (answer.json()["state"], answer.json()["counts"]["cancelled"]) == ("cancelled", 2)
    go.set()
    assert finished(held, first)["counts"]["done"] == 1
    assert [one["state"] for one in results(held, job)] == ["cancelled", "cancelled"]
