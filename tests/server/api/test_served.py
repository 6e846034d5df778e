"""The served process over real HTTP: killed in the middle of a hundred jobs, stopped, streams, many at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.store.audit import Audit
from jointcoder.store.engine import open_store
from tests.ports import free_port
from tests.server.api.conftest import NOTE, WAIT_S, on_both, until
from tests.server.api.served import Served, serving

JOBS = 100
LONG = NOTE + "Course:\n" + "The patient was observed and felt well. " * 100


@pytest.fixture(scope="module")
def served(small_us: CodeBook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served"), small_us) as one:
        yield one


def sent(client: httpx.Client, number: int) -> str:
    """Hand one job in as a careful client does: again under the same key until there is an answer."""
    body = [{"id": f"E{number}", "text": f"{LONG}{number}"}]
    end = time.monotonic() + WAIT_S
    while True:
        try:
            answer = client.post("/v1/jobs", json=body, headers={"Idempotency-Key": f"job-{number}"})
        except httpx.TransportError:
            assert time.monotonic() < end, "nobody answers"
            time.sleep(0.1)  # as a client that tries again
            continue
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])


@on_both
def test_nothing_is_lost_or_doubled_when_it_is_killed(small_us: CodeBook, tmp_path: Path, place: str) -> None:
    port = free_port()
    with ThreadPoolExecutor(4) as pool, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S) as client:
        with serving(tmp_path, small_us, "--store", place, port=port) as first:
            sending = [pool.submit(sent, client, number) for number in range(JOBS)]
            until(lambda: sum(one.done() for one in sending) >= JOBS // 3)
            first.kill()
        with serving(tmp_path, small_us, "--store", place, port=port) as second:
            jobs = [one.result(2 * WAIT_S) for one in sending]
            assert len(set(jobs)) == JOBS
            until(lambda: client.get("/v1/encounters?status=to_review").json()["total"] == JOBS)
            listed = client.get("/v1/jobs?limit=500").json()["items"]
            assert {one["id"] for one in listed} == set(jobs)
            assert [one["state"] for one in listed] == ["done"] * JOBS
            results = [json.loads(client.get(f"/v1/jobs/{job}/results").text) for job in jobs]
            assert [one["encounter"] for one in results] == [f"E{number}" for number in range(JOBS)]
            assert all(len(one["record"]["codes"]) == 3 for one in results)
            assert second.stop() == -15  # ended by the signal, after its work was put away
    with open_store(place) as store:
        log = Audit(store)
        assert log.verify().ok
        coded = [entry.subject for entry in log.entries() if entry.action == "encounter.coded"]
        assert len(coded) == len(set(coded)) == JOBS


def test_results_come_as_a_stream(served: Served) -> None:
    lines = "".join(json.dumps({"id": f"S{n}", "text": f"{NOTE}{n}"}) + "\n" for n in range(30))
    with httpx.Client(base_url=served.url, timeout=WAIT_S) as client:
        headers = {"Content-Type": "application/x-ndjson"}
        job = client.post("/v1/jobs", content=lines, headers=headers).json()["id"]
        until(lambda: client.get(f"/v1/jobs/{job}").json()["state"] == "done")
        with client.stream("GET", f"/v1/jobs/{job}/results") as answer:
            assert "content-length" not in answer.headers
            got = [json.loads(line)["place"] for line in answer.iter_lines()]
    assert got == list(range(30))


def test_many_readers_at_once(served: Served) -> None:
    with httpx.Client(base_url=served.url, timeout=WAIT_S) as client, ThreadPoolExecutor(40) as pool:
        statuses = list(pool.map(lambda _: client.get("/v1/encounters").status_code, range(200)))
    assert statuses == [200] * 200


def test_its_log_names_no_path_and_no_word(served: Served) -> None:
    with httpx.Client(base_url=served.url, timeout=WAIT_S) as client:
        client.get("/v1/codes", params={"q": "Zephyrine"})
        client.get("/v1/encounters/Zephyrine")
        client.post("/v1/code", json={"id": "Zephyrine", "text": NOTE})
    said = served.said.read_text("utf-8")
    assert "GET /v1/codes 200" in said
    assert "Zephyrine" not in said
    assert "heart failure" not in said


def test_a_port_that_is_taken(served: Served, small_us: CodeBook, tmp_path: Path) -> None:
    port = served.url.rpartition(":")[2]
    done = refused(tmp_path, small_us, "--port", port)
    assert done.returncode == 2
    assert "JC486" in done.stderr


def test_a_public_address_without_accounts(small_us: CodeBook, tmp_path: Path) -> None:
    done = refused(tmp_path, small_us, "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert "JC476" in done.stderr


def test_a_workflow_that_is_none(small_us: CodeBook, tmp_path: Path) -> None:
    assert "JC404" in refused(tmp_path, small_us, "--workflow", "none").stderr


def refused(folder: Path, book: CodeBook, *options: str) -> subprocess.CompletedProcess[str]:
    """What ``jointcoder serve`` says when it does not serve."""
    command = [
        sys.executable,
        "-m",
        "jointcoder",
        "serve",
        "--book",
        str(book.path),
        "--store",
        str(folder / "s.sqlite"),
    ]
    if "--workflow" not in options:
        command.append("--no-model")
    return subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False)
