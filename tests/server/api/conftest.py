"""The service over the small code book: in process, with real SQLite, the lexical workflow and no model.

``api`` is a client of a started application in open mode; ``accounts`` makes people with keys on the same store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra server is not installed")
pytest.importorskip("sqlalchemy", reason="the extra store is not installed")

from fastapi.testclient import TestClient

from jointcoder.codebook.book import CodeBook
from jointcoder.server.app import create_app
from jointcoder.settings import Settings
from jointcoder.store.accounts import Accounts
from jointcoder.store.keys import Keys
from tests.store.places import BACKENDS, place_of

NOTE = "Discharge diagnosis:\n1. Congestive heart failure\n2. Type 2 diabetes\n3. Osteoarthritis of left knee\n"
LOCAL: dict[str, Any] = {"base_url": "http://127.0.0.1", "client": ("127.0.0.1", 50000)}
WAIT_S = 60
on_both = pytest.mark.parametrize("place", BACKENDS, indirect=True)
"""For tests and modules that must hold on SQLite and on PostgreSQL."""


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the store is: in a SQLite file, unless ``on_both`` says otherwise."""
    with place_of(getattr(request, "param", "sqlite"), tmp_path) as found:
        yield found


@pytest.fixture
def settings(small_us: CodeBook, tmp_path: Path, place: str) -> Settings:
    """Everything below a folder of the test."""
    return Settings(
        cache=tmp_path,
        store=place,
        code_book=str(small_us.path),
        workflow="lexical",
        dense="off",
        request_rate="100000/minute",
    )


@pytest.fixture
def api(settings: Settings) -> Iterator[TestClient]:
    """A started application; nobody has an account, so everybody is ``local``."""
    with TestClient(create_app(settings), raise_server_exceptions=False, **LOCAL) as client:
        yield client


@pytest.fixture
def person(api: TestClient) -> Callable[..., TestClient]:
    """``person("ana", "coder")``: a client that signs in with a key of a new account. The first one ends open mode."""
    store = api.app.state.desk.store  # type: ignore[attr-defined]

    def make(name: str, *roles: str) -> TestClient:
        Accounts(store).add(name, roles=roles, by="test")
        _, secret = Keys(store).add(name, by="test")
        headers = {"Authorization": f"Bearer {secret}"}
        return TestClient(api.app, raise_server_exceptions=False, headers=headers, **LOCAL)

    return make


@pytest.fixture
def coded(api: TestClient) -> str:
    """The version of an encounter that was put into the worklist and coded."""
    return put(api, {"id": "E1", "text": NOTE, "discharged": "2026-03-01"})


def put(client: TestClient, encounter: dict[str, Any]) -> str:
    """Put an encounter into the worklist and wait until it is coded; its version."""
    made = client.post("/v1/encounters", json=encounter)
    assert made.status_code == 201, made.text
    version = str(made.json()["version"])
    until(lambda: client.get(f"/v1/encounters/{version}").json()["line"]["status"] in ("to_review", "failed"))
    return version


def finished(client: TestClient, job: str) -> dict[str, Any]:
    """The job when it has ended."""
    until(lambda: client.get(f"/v1/jobs/{job}").json()["state"] in ("done", "cancelled"))
    return dict(client.get(f"/v1/jobs/{job}").json())


def until(true: Callable[[], bool]) -> None:
    """Wait for something that comes by itself; a failure after half a minute."""
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
