"""The service itself: health, metrics, its description with worked examples, the audit, and a log without any text."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

from jointcoder.errors import CATALOGUE
from jointcoder.server.api.operations import example
from jointcoder.server.app import create_app
from jointcoder.settings import Settings
from tests.server.api.conftest import LOCAL, NOTE, finished, put, until
from tests.server.api.test_code import problem


def test_it_lives_and_is_ready(api: TestClient) -> None:
    assert api.get("/health/live").json() == {"status": "live"}
    until(lambda: api.get("/health/ready").status_code == 200)  # the coder is opened behind the scenes
    assert api.get("/health/ready").json()["checks"] == dict.fromkeys(("store", "code_book", "coder", "queue"), "ok")


def test_health_needs_no_account(api: TestClient, person: Callable[..., TestClient]) -> None:
    person("ana", "coder")
    assert api.get("/health/live").status_code == 200
    until(lambda: api.get("/health/ready").status_code == 200)
    assert api.get("/metrics").status_code == 401


def test_before_its_start_it_is_not_ready(settings: Settings) -> None:
    client = TestClient(create_app(settings), **LOCAL)  # not entered: the application was not started
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["code"]) == (503, "JC489")
    assert set(answer.json()["checks"].values()) == {"JC489"}
    assert answer.headers["Retry-After"]
    assert client.get("/health/live").status_code == 200


def test_what_is_counted_names_routes_not_patients(api: TestClient) -> None:
    put(api, {"id": "patient-77", "text": NOTE})
    api.get("/v1/encounters/patient-77")
    api.post("/v1/code", json={"text": NOTE})
    api.get("/v1/codes/Z99.99")
    api.request("HEART", "/v1/codes")
    page = api.get("/metrics").text
    assert 'route="/v1/encounters/{ref}"' in page
    assert 'jointcoder_http_requests_total{method="OTHER"' in page
    assert 'jointcoder_encounters{status="to_review"} 1.0' in page
    assert "jointcoder_encounters_coded_total 2.0" in page
    assert 'jointcoder_errors_total{code="JC501"} 1.0' in page
    assert 'workflow="lexical"' in page
    assert not any(word in page for word in ("patient-77", "Z99", "heart", "HEART"))


def test_failures_are_counted_by_code(api: TestClient) -> None:
    made = api.post("/v1/jobs", json=[{"id": "A", "text": "x" * 10, "language": "tlh"}]).json()
    finished(api, made["id"])
    code = api.get("/v1/encounters/A").json()["line"]["error_code"]
    assert code in CATALOGUE
    assert f'jointcoder_encounters_failed_total{{code="{code}"}} 1.0' in api.get("/metrics").text


def test_no_text_is_logged(api: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    put(api, {"id": "E1", "text": NOTE, "fields": {"ward": "Zephyrine"}})
    api.post("/v1/code", json={"text": NOTE})
    api.post("/v1/code", content=b'{"text": "Zephyrine', headers={"Content-Type": "application/json"})
    api.get("/v1/codes?q=Zephyrine")
    api.get("/v1/Zephyrine")
    tag = {"If-Match": api.get("/v1/records/E1").headers["ETag"]}
    api.post("/v1/records/E1/decisions", json={"kind": "comment", "text": "Zephyrine"}, headers=tag)
    of_client = ("httpx", "httpcore")
    ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith(of_client))
    assert "/v1/codes" in ours
    assert not any(word in ours for word in ("Zephyrine", "heart failure", "Osteoarthritis"))


# ------------------------------------------------------------------------------------------------ its description


@pytest.fixture
def described(api: TestClient) -> dict[str, Any]:
    return dict(api.get("/openapi.json").json())


def operations(described: dict[str, Any]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Operation id → method, path, operation."""
    return {
        one["operationId"]: (method, path, one)
        for path, methods in described["paths"].items()
        for method, one in methods.items()
    }


def test_every_operation_has_a_worked_example_that_fits(described: dict[str, Any]) -> None:
    found = operations(described)
    assert {"code", "submit_job", "job_results", "worklist", "decide", "get_code", "check", "fhir_code"} <= set(found)
    for name, (_, _, one) in found.items():
        for answer in one["responses"].values():
            for media, content in answer.get("content", {}).items():
                if media == "application/json":
                    schema = {**content["schema"], "components": described["components"]}
                    assert list(Draft202012Validator(schema).iter_errors(content["example"])) == [], name
        if "requestBody" in one:
            content = one["requestBody"]["content"]["application/json"]
            schema = {**content["schema"], "components": described["components"]}
            assert list(Draft202012Validator(schema).iter_errors(content["example"])) == [], name


def test_every_error_is_described_as_a_problem(described: dict[str, Any]) -> None:
    for name, (_, _, one) in operations(described).items():
        errors = {status: answer for status, answer in one["responses"].items() if int(status) >= 400}
        assert {"429", "503"} <= set(errors), name
        assert ({"401", "403"} <= set(errors)) is (one.get("security") != []), name
        wanted = "application/fhir+json" if name.startswith("fhir") else "application/problem+json"
        assert all(set(answer["content"]) == {wanted} for answer in errors.values()), name


def test_no_page_is_described(described: dict[str, Any]) -> None:
    assert all(path.startswith(("/v1/", "/fhir/", "/health/", "/metrics")) for path in described["paths"])


def test_the_examples_work(api: TestClient, described: dict[str, Any]) -> None:
    """Each is sent in turn, the encounters first, so that what others name is there."""
    until(lambda: api.get("/health/ready").status_code == 200)
    found = operations(described)
    version = put(api, example("add_encounter")["request"])
    job = api.post("/v1/jobs", json=example("submit_job")["request"]).json()["id"]
    finished(api, job)
    places = {"ref": version, "id": job, "code": "I50.9"}
    first = ["add_encounter", "submit_job", "claim", "decide", "decide_several", "release"]
    for name in [*first, *(name for name in found if name not in first)]:
        method, path, one = found[name]
        headers = {"If-Match": api.get(f"/v1/records/{version}").headers["ETag"]} if name.startswith("decide") else {}
        params = {p["name"]: p["example"] for p in one.get("parameters", []) if p["in"] == "query" and "example" in p}
        body = example(name).get("request")
        extra = {} if body is None else {"json": body}
        answer = api.request(method, path.format(**places), params=params, headers=headers, **extra)
        assert str(answer.status_code) in one["responses"], (name, answer.text)
        assert answer.status_code < 300, (name, answer.text)


# ----------------------------------------------------------------------------------------------------------- FHIR


def test_a_bundle_comes_back_coded(api: TestClient) -> None:
    headers = {"Content-Type": "application/fhir+json"}
    answer = api.post("/fhir/$code", json=example("fhir_code")["request"], headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/fhir+json"
    bundle = answer.json()
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert kinds.count("Condition") == 2
    assert kinds.count("Claim") == 1
    assert api.get("/v1/encounters").json()["total"] == 0


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [({"resourceType": "Patient"}, 422, "JC162"), ([], 400, "JC160"), ({}, 400, "JC160")],
)
def test_fhir_errors_are_operation_outcomes(api: TestClient, body: Any, status: int, code: str) -> None:
    answer = api.post("/fhir/$code", json=body)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/fhir+json"
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == code


def test_other_fhir_paths_and_media_are_outcomes_too(api: TestClient) -> None:
    for answer in (api.get("/fhir/Patient"), api.get("/fhir/$code"), api.post("/fhir/$code", content=b"<Bundle/>")):
        assert answer.status_code in (404, 405, 415)
        assert answer.json()["resourceType"] == "OperationOutcome"


def test_the_facade_says_what_it_does(api: TestClient) -> None:
    statement = api.get("/fhir/metadata").json()
    assert statement["resourceType"] == "CapabilityStatement"
    assert statement["rest"][0]["operation"][0]["name"] == "code"


# --------------------------------------------------------------------------------------------------- its settings


def test_names_come_from_the_environment_as_a_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JOINTCODER_ALLOWED_HOSTS", "coding.hospital.example, 10.0.0.7")
    monkeypatch.setenv("JOINTCODER_CONFIG", str(tmp_path / "none.toml"))
    (tmp_path / "none.toml").write_text("port = 9000\n", "utf-8")
    settings = Settings.load()
    assert settings.allowed_hosts == ("coding.hospital.example", "10.0.0.7")
    assert (settings.port, settings.host) == (9000, "127.0.0.1")


def test_pages_and_interface_tell_errors_apart(api: TestClient) -> None:
    problem(api.get("/v1/nothing"))
    page = api.get("/nothing")
    assert page.status_code == 404
    assert page.headers["Content-Type"].startswith("text/html")


def test_problems_are_json_of_one_shape(api: TestClient, described: dict[str, Any]) -> None:
    schema = {**described["components"]["schemas"]["ProblemOut"], "components": described["components"]}
    for answer in (api.get("/v1/nothing"), api.post("/v1/code", content=b"x"), api.get("/v1/codes")):
        assert list(Draft202012Validator(schema).iter_errors(json.loads(answer.content))) == []
