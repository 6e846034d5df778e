"""Whoever looks at patients, lists or people is in the audit log: every route that can be read, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra server is not installed")
pytest.importorskip("sqlalchemy", reason="the extra store is not installed")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from jointcoder.codebook.book import CodeBook
from jointcoder.desk.service import Desk
from jointcoder.server.app import create_app
from jointcoder.server.looks import LOOK_S, Looks
from jointcoder.server.pages import i18n
from jointcoder.settings import Settings
from jointcoder.store.audit import Audit, Entry
from tests.server.encounter_desk import client_of, coded, desk_of, encounter_of, key_of, record_of

ROLES = ("coder", "lead", "admin", "service")
NOTE = "Heart failure. Type 2 diabetes."
AUDITED = {
    "/worklist": ("/worklist?status=all", "worklist.view"),
    "/encounters/{version}": ("/encounters/{version}", "encounter.view"),
    "/encounters/{version}/review": ("/encounters/{version}/review", "encounter.view"),
    "/encounters/{version}/stages": ("/encounters/{version}/stages", "encounter.view"),
    "/encounters/{version}/entry": ("/encounters/{version}/entry?system=ICD-10-CM&code=I10", "encounter.view"),
    "/encounters/{version}/why/{item}": ("/encounters/{version}/why/p1", "encounter.view"),
    "/encounters/{version}/drg": ("/encounters/{version}/drg", "encounter.view"),
    "/encounters/{version}/documents/{number}/pages/{page}.png": (
        "/encounters/{version}/documents/0/pages/1.png",
        "encounter.view",
    ),
    "/admin/accounts": ("/admin/accounts", "account.list"),
    "/admin/accounts/{name}": ("/admin/accounts/eve", "account.view"),
    "/admin/audit": ("/admin/audit", "audit.view"),
    "/v1/encounters": ("/v1/encounters", "worklist.view"),
    "/v1/encounters/{ref}": ("/v1/encounters/{version}", "encounter.view"),
    "/v1/records/{ref}": ("/v1/records/{version}", "record.view"),
    "/v1/jobs": ("/v1/jobs", "job.list"),
    "/v1/jobs/{id}/results": ("/v1/jobs/{job}/results", "job.view"),
}
UNAUDITED = {
    "/": "leads to a page",
    "/login": "shown to strangers",
    "/login/oidc": "leads to the provider",
    "/login/oidc/callback": "a sign-in, which is an entry as such",
    "/account": "the reader's own account",
    "/about": "versions of what runs",
    "/upload": "an empty form",
    "/v1/jobs/{id}": "counts of a job of one's own; programs ask until it has ended",
    "/v1/codes": "the code book",
    "/v1/codes/{code}": "the code book",
    "/v1/workflows": "the program's own",
    "/fhir/metadata": "the program's own",
    "/openapi.json": "the program's own",
    "/health/live": "the service",
    "/health/ready": "the service",
    "/metrics": "counts",
}


@pytest.fixture
def desk(tmp_path: Path, small_us: CodeBook) -> Iterator[Desk]:
    told = lambda encounter: record_of(encounter, small_us, [("I50.9", 0.9, "Heart failure")])  # noqa: E731
    with desk_of(tmp_path, small_us, told) as made:
        yield made


@pytest.fixture
def client(desk: Desk) -> Iterator[TestClient]:
    with client_of(desk) as made:
        yield made


def readable(app: FastAPI) -> set[str]:
    """The paths that answer to GET, of included routers too."""
    from fastapi import routing

    flat = getattr(routing, "iter_route_contexts", None)  # newer releases keep included routers as they are
    found: list[Any] = list(flat(app.routes) if flat else app.routes)
    return {one.path for one in found if "GET" in (getattr(one, "methods", None) or ())}


def seen_by(desk: Desk, name: str) -> list[Entry]:
    """What somebody looked at, oldest first."""
    audit = Audit(desk.store)
    return [one for one in reversed(audit.page(limit=500, actor=name)) if one.action.endswith((".view", ".list"))]


def test_every_route_is_audited_or_says_why_not(tmp_path: Path) -> None:
    app = create_app(Settings(cache=tmp_path, oidc_issuer="https://id.example/staff", oidc_client_id="desk"))
    assert readable(app) == AUDITED.keys() | UNAUDITED.keys()
    assert not AUDITED.keys() & UNAUDITED.keys()
    named = {f"audit.actions.{action}" for _, action in AUDITED.values()}
    assert all(i18n.words(language).has(name) for language in i18n.LANGUAGES for name in named)


def test_whatever_is_shown_of_patients_and_people_is_an_entry(client: TestClient, desk: Desk) -> None:
    stay = encounter_of(NOTE, id="E1")
    version = coded(desk, stay)
    desk.keep_pages(version, {(0, 1): b"a picture"})
    job = desk.submit([stay], by="eve").id
    for path, (url, action) in AUDITED.items():
        headers = {"X-API-Key": key_of(desk.store, "eve", ROLES)}  # a reader who saw nothing yet
        before = len(seen_by(desk, "eve"))
        answer = client.get(url.format(version=version, job=job), headers=headers)
        assert answer.status_code == 200, (path, answer.text)
        made = seen_by(desk, "eve")[before:]
        assert [one.action for one in made] == [action], path
        if "{version}" in url:
            assert made[0].subject == version, path
    assert Audit(desk.store).verify().ok


def test_nothing_refused_is_an_entry(client: TestClient, desk: Desk) -> None:
    version = coded(desk, encounter_of(NOTE, id="E1"))
    headers = {"X-API-Key": key_of(desk.store, "his", ["service"])}
    for path in ("/worklist", f"/encounters/{version}", "/v1/encounters", "/admin/accounts", "/admin/audit"):
        assert client.get(path, headers=headers).status_code == 403
    assert seen_by(desk, "his") == []


def test_a_list_that_refreshes_itself_is_one_look(client: TestClient, desk: Desk) -> None:
    now = [0.0]
    client.app.state.looks = Looks(clock=lambda: now[0])  # type: ignore[attr-defined]
    headers = {"X-API-Key": key_of(desk.store, "ana", ["coder"])}
    for _ in range(5):
        assert client.get("/worklist", headers=headers).status_code == 200
        assert client.get("/worklist", headers=headers | {"HX-Request": "true"}).status_code == 200
    assert [one.action for one in seen_by(desk, "ana")] == ["worklist.view"]
    client.get("/worklist?band=low", headers=headers)  # another list
    client.get("/worklist", headers={"X-API-Key": key_of(desk.store, "ana", ["coder"])})  # another reader
    now[0] = LOOK_S + 1
    client.get("/worklist", headers=headers | {"HX-Request": "true"})  # it is looked at still
    shown = seen_by(desk, "ana")
    assert [one.details.get("band") for one in shown] == [None, ["low"], None, None]
    assert {one.details["total"] for one in shown} == {0}


def test_parts_of_a_page_belong_to_the_look_at_it(client: TestClient, desk: Desk) -> None:
    version = coded(desk, encounter_of(NOTE, id="E1"))
    headers = {"X-API-Key": key_of(desk.store, "ana", ["coder"])}
    for part in ("", "/review", "/why/p1", "/drg"):
        client.get(f"/encounters/{version}{part}", headers=headers)
    assert len(seen_by(desk, "ana")) == 1
    client.get(f"/encounters/{version}", headers=headers)  # the page as such is a look every time
    assert len(seen_by(desk, "ana")) == 2


def test_what_is_sought_stands_in_the_log_as_its_hash(client: TestClient, desk: Desk) -> None:
    headers = {"X-API-Key": key_of(desk.store, "ana", ["coder"])}
    client.get("/v1/encounters?q=Zephyrine", headers=headers)
    client.get("/worklist?q=Zephyrin&status=all", headers=headers)
    entries = seen_by(desk, "ana")
    assert len(entries) == 2
    assert "Zephyrin" not in str(entries)
    assert all(len(one.details["text"]) == 16 for one in entries)


def test_as_many_looks_as_there_may_be_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jointcoder.server.looks.MOST", 3)
    now = [0.0]
    looks = Looks(clock=lambda: now[0])
    for look in ("a", "b", "c"):
        looks.keep(look)
    assert looks.known("a")
    now[0] = LOOK_S
    assert not looks.known("a")
    looks.keep("d")  # the others are over
    assert looks.known("d")
    looks.keep("e")
    looks.keep("f")
    looks.keep("g")  # none is over: all are forgotten, which writes an entry too many, not one too few
    assert [looks.known(one) for one in "defg"] == [False, False, False, True]
