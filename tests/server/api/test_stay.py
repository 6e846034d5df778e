"""The way of one encounter through the service, from the day it comes to the proof of who decided what: on SQLite and
on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient

from jointcoder.store.audit import Audit
from tests.server.api.conftest import NOTE, finished, on_both, put

pytestmark = on_both
STAY = {"id": "Ä-7/2026", "text": NOTE, "discharged": "2026-03-01", "patient": {"age_years": 70, "sex": "female"}}


def settled(client: TestClient, version: str) -> dict[str, Any]:
    """Decide until nothing is open, always from the state last seen; the review then."""
    path = f"/v1/records/{version}"
    answer = client.get(path)
    while opened := answer.json()["open"]:
        one = opened[0]
        decision = {"kind": "accept", "item": one["key"]}
        if one["kind"] == "finding":
            decision = {"kind": "override", "finding": one["key"], "reason": "seen on the ward"}
        answer = client.post(f"{path}/decisions", json=decision, headers={"If-Match": answer.headers["ETag"]})
        assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_from_the_day_it_comes_to_the_proof_of_who_decided(api: TestClient, person: Callable[..., TestClient]) -> None:
    ana, bo = person("ana", "coder"), person("bo", "coder")
    began = dt.datetime.now(dt.UTC)
    version = put(ana, STAY)
    for query in ("?q=ä-7", "?status=to_review&holder=nobody", f"?received_from={began:%Y-%m-%dT%H:%M:%SZ}"):
        (line,) = ana.get(f"/v1/encounters{query}").json()["items"]
        assert (line["id"], line["version"], line["discharged"]) == (STAY["id"], version, "2026-03-01")
    assert ana.post(f"/v1/encounters/{version}/claim").json()["holder"] == "ana"
    stale = bo.get(f"/v1/records/{version}").headers["ETag"]

    review = settled(ana, version)
    assert {one["state"] for one in review["items"]} == {"accepted"}
    late = bo.post(f"/v1/records/{version}/decisions", json={"kind": "finish"}, headers={"If-Match": stale})
    assert late.status_code in (409, 412)
    now = ana.get(f"/v1/records/{version}").headers["ETag"]
    done = ana.post(f"/v1/records/{version}/decisions", json={"kind": "finish"}, headers={"If-Match": now})
    assert (done.status_code, done.json()["status"]) == (201, "finished")

    (line,) = ana.get("/v1/encounters?status=finished").json()["items"]
    assert (line["holder"], line["undecided"], line["findings"]) == ("", 0, 0)
    coded = ana.get(f"/v1/records/{version}?form=coded").json()
    assert [code["code"] for code in coded["codes"]] == [one["code"]["code"] for one in review["items"]]

    log = Audit(api.app.state.desk.store)  # type: ignore[attr-defined]
    assert log.verify().ok
    mine = [entry.action for entry in log.entries() if entry.actor == "ana" and entry.subject == version]
    assert {"encounter.received", "encounter.claimed", "record.view", "review.accept", "review.finish"} <= set(mine)
    assert [entry for entry in log.entries() if entry.action == "encounter.coded" and entry.versions]


def test_a_job_from_its_key_to_its_results(api: TestClient) -> None:
    key = {"Idempotency-Key": "2026-03-01/ward-3"}
    works = [{"id": f"W{number}", "text": f"{NOTE}{number}"} for number in range(12)]
    first = api.post("/v1/jobs", json=works, headers=key)
    again = api.post("/v1/jobs", json=works, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.headers["Location"] == again.headers["Location"]
    job = finished(api, first.json()["id"])
    assert (job["state"], job["counts"]["done"]) == ("done", 12)
    got = [json.loads(line) for line in api.get(f"/v1/jobs/{job['id']}/results").text.splitlines()]
    assert [one["encounter"] for one in got] == [one["id"] for one in works]
    late = api.post(f"/v1/jobs/{job['id']}/cancel").json()
    assert (late["state"], late["counts"]["cancelled"]) == ("done", 0)  # nothing is left to be taken back
    assert Audit(api.app.state.desk.store).verify().ok  # type: ignore[attr-defined]
