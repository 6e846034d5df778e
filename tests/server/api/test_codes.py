"""Codes: search, one code, checks, workflows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.editions import Editions
from jointcoder.records import Kind, System
from jointcoder.server.app import create_app
from jointcoder.server.books import Books
from jointcoder.settings import Settings
from tests.server.api.conftest import LOCAL
from tests.server.api.test_code import problem


@pytest.fixture
def chinese(settings: Settings, small_cn: CodeBook) -> Iterator[TestClient]:
    """The service over a Chinese book."""
    with TestClient(create_app(settings.model_copy(update={"code_book": str(small_cn.path)})), **LOCAL) as client:
        yield client


def found(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/codes", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


@pytest.mark.parametrize("begun", ["E11.2", "e112", "Ｅ11.2"])
def test_the_beginning_of_a_code_finds_the_codes_in_order(api: TestClient, begun: str) -> None:
    items = found(api, q=begun)
    assert [one["code"] for one in items] == ["E11.2", "E11.22"]
    assert {one["how"] for one in items} == {"code"}
    assert [one["billable"] for one in items] == [False, True]


def test_words_find_the_wording_that_has_them(api: TestClient) -> None:
    first = found(api, q="type 2 diabetes")[0]
    assert (first["code"], first["how"], first["term"]) == ("E11.9", "words", "Type 2 diabetes")


def test_excluding_notes_of_headings_are_shown(api: TestClient) -> None:
    hit = next(one for one in found(api, q="E11.9") if one["code"] == "E11.9")
    assert hit["excludes"] == ["type 1 diabetes mellitus (E10.-)"]


def test_kind_system_and_limit_restrict(api: TestClient) -> None:
    assert {one["system"] for one in found(api, q="drainage", kind="procedure")} == {"ICD-10-PCS"}
    assert found(api, q="drainage of pleural cavity", kind="diagnosis") == []
    assert len(found(api, q="drainage", system="ICD-10-PCS", limit=1)) == 1


def test_chinese_codes_and_words(chinese: TestClient) -> None:
    assert found(chinese, q="2型糖尿病")[0]["code"] == "E11.900"
    assert [one["code"] for one in found(chinese, q="I10.x")] == ["I10.x00x031", "I10.x00x032"]


@pytest.mark.parametrize(
    ("query", "status"), [({}, 422), ({"q": ""}, 422), ({"q": "x", "limit": 0}, 422), ({"q": "x", "kind": "drug"}, 422)]
)
def test_bad_queries_are_problems(api: TestClient, query: dict[str, Any], status: int) -> None:
    answer = api.get("/v1/codes", params=query)
    assert answer.status_code == status
    problem(answer)


def test_a_system_that_the_book_does_not_hold(api: TestClient) -> None:
    answer = api.get("/v1/codes", params={"q": "x", "system": "ICD-9-CM-3"})
    assert (answer.status_code, answer.json()["code"]) == (422, "JC503")


@pytest.mark.parametrize("spelling", ["E11.9", "e119", "E119"])
def test_one_code_with_all_that_is_printed_at_it(api: TestClient, spelling: str) -> None:
    page = api.get(f"/v1/codes/{spelling}").json()
    assert (page["code"], page["level"], page["billable"]) == ("E11.9", "code", True)
    assert [one["code"] for one in page["ancestors"]] == ["4", "E08-E13", "E11"]
    assert ("excludes1", "E11") in {(note["kind"], note["origin"]) for note in page["notes"]}
    assert "Type 2 diabetes" in page["terms"]


def test_a_heading_names_what_is_below(api: TestClient) -> None:
    page = api.get("/v1/codes/E11.2").json()
    assert [(one["code"], one["billable"]) for one in page["children"]] == [("E11.22", True)]


def test_an_unknown_code_is_not_found(api: TestClient) -> None:
    answer = api.get("/v1/codes/Z99.99")
    assert (answer.status_code, answer.json()["code"]) == (404, "JC501")
    problem(answer)


def test_findings_cite_their_rule(api: TestClient) -> None:
    checked = api.post("/v1/check", json={"codes": ["E11.9", "E11.22"], "discharged": "2026-03-01"}).json()
    assert checked["book"] == "us-small"
    assert checked["findings"]
    assert all(one["citation"] for one in checked["findings"] if one["severity"] == "error")
    assert checked["errors"] == sum(one["severity"] == "error" for one in checked["findings"])


@pytest.mark.parametrize("body", [["I10", "I50.9"], {"codes": [{"code": "i10"}, "I509"]}])
def test_a_check_takes_codes_in_each_form(api: TestClient, body: Any) -> None:
    said = [one["codes"] for one in api.post("/v1/check", json=body).json()["findings"]]
    assert said == [one["codes"] for one in api.post("/v1/check", json={"codes": ["I10", "I50.9"]}).json()["findings"]]


def test_a_misplaced_text_is_not_repeated(api: TestClient) -> None:
    answer = api.post("/v1/check", json={"codes": ["the note says heart failure"]})
    assert (answer.status_code, answer.json()["code"]) == (422, "JC108")
    assert "heart" not in answer.text


def test_the_workflow_in_use_is_marked(api: TestClient) -> None:
    items = api.get("/v1/workflows").json()["items"]
    assert [one["name"] for one in items if one["in_use"]] == ["lexical"]
    assert {"jointcoder", "lexical"} <= {one["name"] for one in items}
    assert not any(one["approved"] for one in items)


class TestBooks:
    """The same without HTTP, as pages use it."""

    def test_a_search_is_the_same_twice(self, small_us: CodeBook) -> None:
        books = Books(Editions([small_us]))
        assert books.search("heart failure", kind=None) is books.search("heart  failure", kind=None)

    def test_no_words_find_nothing(self, small_us: CodeBook) -> None:
        assert Books(Editions([small_us])).search("  ", kind=None) == ()

    def test_a_code_is_found_once(self, small_us: CodeBook) -> None:
        hits = Books(Editions([small_us])).search("hypertension", kind=Kind.DIAGNOSIS, system=System.ICD10CM)
        assert len({hit.code for hit in hits}) == len(hits) > 0
