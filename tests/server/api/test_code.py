"""``POST /v1/code``: what comes in, what comes out, and every way of asking wrongly."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from jointcoder.records import CodedRecord, Encounter
from jointcoder.server.app import create_app
from jointcoder.settings import Settings
from jointcoder.store.audit import Audit
from tests.server.api.conftest import LOCAL, NOTE

CODES = ["I50.9", "E11.9", "M17.12"]


@pytest.mark.parametrize(
    "encounter",
    [
        {"text": NOTE},
        {"id": "E7", "sections": {"Discharge diagnosis": NOTE.partition("\n")[2]}, "lang": "en"},
        {"id": "E7", "documents": [{"id": "0", "text": NOTE}], "patient": {"age_years": 70, "sex": "female"}},
    ],
)
def test_an_encounter_in_each_form_gives_its_record(api: TestClient, encounter: dict[str, Any]) -> None:
    answer = api.post("/v1/code", json=encounter)
    assert answer.status_code == 200, answer.text
    record = CodedRecord.model_validate_json(answer.content)
    assert {code.code for code in record.codes} == set(CODES)
    assert record.versions.workflow == "lexical"


def test_evidence_points_into_what_was_sent(api: TestClient) -> None:
    record = CodedRecord.model_validate_json(api.post("/v1/code", json={"text": NOTE}).content)
    assert all(span.reproduces(Encounter.from_text(NOTE)) for code in record.codes for span in code.evidence)


def test_versions_are_in_every_answer(api: TestClient) -> None:
    for answer in (api.post("/v1/code", json={"text": NOTE}), api.get("/v1/nothing"), api.get("/health/live")):
        assert answer.headers["Jointcoder-Workflow"].startswith("lexical; sha256=")
        assert answer.headers["Jointcoder-Code-Book"].startswith("us-small; sha256=")
        assert answer.headers["Jointcoder-Model"] == "none"
        assert answer.headers["Jointcoder-Version"]


def test_nothing_is_kept_but_the_audits_word(api: TestClient) -> None:
    api.post("/v1/code", json={"id": "secret-7", "text": NOTE})
    assert api.get("/v1/encounters").json()["total"] == 0
    desk = api.app.state.desk  # type: ignore[attr-defined]
    (entry,) = Audit(desk.store).page(action="record.coded")
    assert entry.actor == "local"
    assert entry.details["codes"] == CODES
    assert entry.details["stored"] is False
    assert "heart" not in json.dumps(entry.details)


@pytest.mark.parametrize(
    ("body", "media", "status", "code"),
    [
        (b'{"text": "x"', "application/json", 400, "JC104"),
        (b"", "application/json", 400, "JC104"),
        (b"\xff\xfe", "application/json", 400, "JC104"),
        (b'{"text": "\\ud800"}', "application/json", 400, "JC104"),
        (b'{"text": NaN}', "application/json", 400, "JC104"),
        (b"[" * 5000, "application/json", 400, "JC104"),
        (b"[]", "application/json", 422, "JC108"),
        (b"{}", "application/json", 422, "JC101"),
        (b'{"text": "  "}', "application/json", 422, "JC101"),
        (b'{"text": "x", "surname": "y"}', "application/json", 422, "JC103"),
        (b'{"text": "x", "discharged": "yesterday"}', "application/json", 422, "JC108"),
        (b'{"text": 5}', "application/json", 422, "JC108"),
        (b"text=x", "application/x-www-form-urlencoded", 415, "JC483"),
        (b'{"text": "x"}', "application/json; charset=gb18030", 415, "JC483"),
        (b'{"text": "x"}', "", 415, "JC483"),
    ],
)
def test_bad_bodies_are_problems_with_the_codes_of_the_command_line(
    api: TestClient, body: bytes, media: str, status: int, code: str
) -> None:
    answer = api.post("/v1/code", content=body, headers={"Content-Type": media} if media else {})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    problem(answer)


def test_a_parameter_that_is_none_is_a_problem_without_its_value(api: TestClient) -> None:
    answer = api.post("/v1/code?timeout_s=heart", json={"text": NOTE})
    assert (answer.status_code, answer.json()["code"]) == (422, "JC484")
    assert "heart" not in answer.text


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/nothing", 404), ("PUT", "/v1/code", 405)])
def test_wrong_paths_and_methods_are_problems(api: TestClient, method: str, path: str, status: int) -> None:
    answer = api.request(method, path)
    assert answer.status_code == status
    problem(answer)


@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_is_too_large_is_refused(settings: Settings, told: bool) -> None:
    small = settings.model_copy(update={"body_limit_mb": 0.001})

    def chunks() -> Any:
        yield b'{"text": "'
        yield b"x" * 4000
        yield b'"}'

    with TestClient(create_app(small), **LOCAL) as client:
        content = b"".join(chunks()) if told else chunks()
        answer = client.post("/v1/code", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (413, "JC482")
        problem(answer)
        assert client.post("/v1/code", json={"text": NOTE}).status_code == 200


def test_an_unforeseen_failure_tells_its_type_only(
    api: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the note says heart failure")

    monkeypatch.setattr(api.app.state.desk, "code_now", fail)  # type: ignore[attr-defined]
    answer = api.post("/v1/code", json={"text": NOTE})
    assert (answer.status_code, answer.json()["code"]) == (500, "JC999")
    assert "RuntimeError" in answer.json()["detail"]
    assert "heart" not in answer.text + caplog.text
    assert answer.json()["instance"].removeprefix("urn:uuid:") in caplog.text


@pytest.mark.parametrize(("role", "status"), [("coder", 200), ("service", 200), ("admin", 403)])
def test_the_role_decides(api: TestClient, person: Callable[..., TestClient], role: str, status: int) -> None:
    answer = person("someone", role).post("/v1/code", json={"text": NOTE})
    assert answer.status_code == status
    if status == 403:
        problem(answer)


def test_nobody_is_refused_once_there_are_accounts(api: TestClient, person: Callable[..., TestClient]) -> None:
    person("ana", "coder")
    answer = api.post("/v1/code", json={"text": NOTE})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"]
    problem(answer)


def problem(answer: Any) -> None:
    """Whether an answer is a problem in every respect."""
    body = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert body["status"] == answer.status_code
    assert body["type"] == f"urn:jointcoder:error:{body['code']}"
    assert body["title"]
    assert body["instance"] == f"urn:uuid:{answer.headers['X-Request-Id']}"
    assert body["versions"]["program"]
    assert answer.headers["Jointcoder-Version"] == body["versions"]["program"]
