"""The worklist and the records: filters and pages, claims, decisions under ETag, two coders at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from jointcoder.records import CodedRecord
from jointcoder.store.audit import Audit
from tests.server.api.conftest import NOTE, on_both, put
from tests.server.api.test_code import problem

pytestmark = on_both

ACCEPT = {"kind": "accept", "item": "p1"}
REJECT = {"kind": "reject", "item": "p2", "reason": "not treated"}


def etag(client: TestClient, version: str) -> dict[str, str]:
    """The header that a change of the record as it is now needs."""
    return {"If-Match": client.get(f"/v1/records/{version}").headers["ETag"]}


def decide(client: TestClient, version: str, decision: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    return client.post(f"/v1/records/{version}/decisions", json=decision, headers=headers or etag(client, version))


# --------------------------------------------------------------------------------------------------------- worklist


def test_an_encounter_put_in_is_coded_and_stands_in_the_worklist(api: TestClient, coded: str) -> None:
    line = api.get(f"/v1/encounters/{coded}").json()["line"]
    assert (line["id"], line["status"], line["codes"]) == ("E1", "to_review", 3)
    assert api.get("/v1/encounters/E1").json()["line"] == line
    assert api.get("/v1/encounters").json()["items"] == [line]


def test_an_encounter_may_be_kept_without_being_coded(api: TestClient) -> None:
    made = api.post("/v1/encounters?code=false&priority=3&source=ward", json={"id": "E1", "text": NOTE}).json()
    assert (made["status"], made["priority"], made["source"]) == ("received", 3, "ward")


def test_other_content_under_the_same_id_is_a_new_version(api: TestClient, coded: str) -> None:
    newer = put(api, {"id": "E1", "text": "Discharge diagnosis: hypertension"})
    assert newer != coded
    assert api.get("/v1/encounters/E1").json()["line"]["version"] == newer
    assert api.get(f"/v1/encounters/{coded}").json()["encounter"]["documents"][0]["text"] == NOTE
    assert len(api.get(f"/v1/records/{coded}").json()["items"]) == 3
    assert api.get("/v1/encounters").json()["total"] == 1


def test_pages_hold_every_line_once_and_filters_choose(api: TestClient) -> None:
    for number in range(7):
        query = f"?code=false&priority={number % 3}&source=ward-{number % 2}"
        assert api.post(f"/v1/encounters{query}", json={"id": f"E{number}", "text": NOTE}).status_code == 201
    seen, after = [], ""
    while True:
        page = api.get("/v1/encounters", params={"limit": 3, "after": after}).json()
        seen += [one["id"] for one in page["items"]]
        after = page["next"]
        if not after:
            break
    assert sorted(seen) == [f"E{number}" for number in range(7)]
    assert len(seen) == 7
    assert page["total"] == 7
    total = lambda **query: api.get("/v1/encounters", params=query).json()["total"]  # noqa: E731
    assert total(source="ward-1") == 3
    assert total(min_priority=1) == 4
    assert total(q="e3") == 1
    assert total(status=["received", "failed"]) == 7
    assert total(status="finished") == 0
    assert total(holder="nobody") == 7


def test_the_next_page_is_linked(api: TestClient) -> None:
    for number in range(3):
        api.post("/v1/encounters?code=false", json={"id": f"E{number}", "text": NOTE})
    answer = api.get("/v1/encounters?limit=2")
    address = answer.links["next"]["url"]
    assert [one["id"] for one in api.get(address).json()["items"]] == ["E2"]


@pytest.mark.parametrize(
    ("query", "status"),
    [("sort=name", 422), ("limit=0", 422), ("status=lost", 422), ("band=deep", 400), ("after=x", 400), ("q=%00", 422)],
)
def test_bad_queries_are_problems(api: TestClient, query: str, status: int) -> None:
    answer = api.get(f"/v1/encounters?{query}")
    assert answer.status_code == status
    problem(answer)


def test_who_has_an_encounter_keeps_it_from_others(
    api: TestClient, coded: str, person: Callable[..., TestClient]
) -> None:
    ana, bo, lea = person("ana", "coder"), person("bo", "coder"), person("lea", "lead")
    path = f"/v1/encounters/{coded}/claim"
    assert ana.post(path).json()["holder"] == "ana"
    refused = bo.post(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "JC462")
    assert decide(bo, coded, ACCEPT).status_code == 409
    assert bo.delete(path).status_code == 409
    assert ana.get("/v1/encounters?holder=me").json()["total"] == 1
    assert bo.get("/v1/encounters?holder=me").json()["total"] == 0
    assert lea.post(path).json()["holder"] == "lea"
    assert lea.delete(path).json()["holder"] == ""
    assert bo.post(path).status_code == 200


# ---------------------------------------------------------------------------------------------------------- records


def test_a_record_is_shown_as_made_as_decided_and_under_review(api: TestClient, coded: str) -> None:
    review = api.get(f"/v1/records/{coded}").json()
    assert [one["state"] for one in review["items"]] == ["proposed"] * 3
    assert review["open"]
    decide(api, coded, REJECT)
    model = CodedRecord.model_validate(api.get("/v1/records/E1?form=model").json())
    decided = CodedRecord.model_validate(api.get("/v1/records/E1?form=coded").json())
    assert {code.code for code in model.codes} - {code.code for code in decided.codes} == {"E11.9"}


def test_a_decision_names_what_it_was_made_from(api: TestClient, coded: str) -> None:
    path = f"/v1/records/{coded}/decisions"
    for headers in ({}, {"If-Match": "*"}, {"If-Match": 'W/"1-0"'}, {"If-Match": "1-0"}):
        answer = api.post(path, json=ACCEPT, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (428, "JC485")
        problem(answer)
    first = etag(api, coded)
    done = api.post(path, json=ACCEPT, headers=first)
    assert done.status_code == 201
    assert done.headers["ETag"] != first["If-Match"]
    assert done.json()["items"][0]["state"] == "accepted"
    stale = api.post(path, json=REJECT, headers=first)
    assert (stale.status_code, stale.json()["code"]) == (412, "JC461")
    problem(stale)
    assert stale.headers["ETag"] == done.headers["ETag"]
    assert [(one["seq"], one["decision"]["kind"]) for one in stale.json()["since"]] == [(1, "accept")]
    assert api.get(f"/v1/records/{coded}").headers["ETag"] == done.headers["ETag"]


def test_one_of_several_tags_is_enough(api: TestClient, coded: str) -> None:
    tag = etag(api, coded)["If-Match"]
    assert decide(api, coded, ACCEPT, {"If-Match": f'"0-0", {tag}'}).status_code == 201


def test_what_was_not_changed_is_not_sent_again(api: TestClient, coded: str) -> None:
    tag = api.get(f"/v1/records/{coded}").headers["ETag"]
    again = api.get(f"/v1/records/{coded}", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    decide(api, coded, ACCEPT)
    assert api.get(f"/v1/records/{coded}", headers={"If-None-Match": tag}).status_code == 200


def test_two_coders_never_overwrite_each_other(api: TestClient, coded: str, person: Callable[..., TestClient]) -> None:
    people = [person("ana", "coder"), person("bo", "coder")]
    tag = etag(people[0], coded)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda who: decide(who, coded, ACCEPT, tag).status_code, people))
    assert sorted(answers)[0] == 201
    assert sorted(answers)[1] in (409, 412)  # the first one's decision takes the encounter too
    assert len(people[0].get(f"/v1/records/{coded}").json()["decisions"]) == 1


def test_several_decisions_are_taken_all_or_none(api: TestClient, coded: str) -> None:
    path = f"/v1/records/{coded}"
    bad = {"decisions": [ACCEPT, {"kind": "accept", "item": "p99"}]}
    refused = api.patch(path, json=bad, headers=etag(api, coded))
    assert (refused.status_code, refused.json()["code"]) == (409, "JC463")
    assert api.get(path).json()["decisions"] == []
    good = api.patch(path, json={"decisions": [ACCEPT, REJECT]}, headers=etag(api, coded))
    assert good.status_code == 200
    assert [one["state"] for one in good.json()["items"][:2]] == ["accepted", "rejected"]


def test_of_two_who_decide_on_one_state_one_is_taken_whole(api: TestClient, coded: str) -> None:
    path, state = f"/v1/records/{coded}", etag(api, coded)

    def patch(kind: str) -> Any:
        decisions = [{"kind": "comment", "text": f"{kind} {number}"} for number in range(20)]
        return api.patch(path, json={"decisions": decisions}, headers=state)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(patch, ("one", "two")))
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    stale = next(answer for answer in answers if answer.status_code == 412).json()
    assert [one["seq"] for one in stale["since"]] == list(range(1, 21))
    assert len({one["decision"]["text"].split()[0] for one in stale["since"]}) == 1
    assert api.get(path).json()["etag"].endswith("-20")


@pytest.mark.parametrize("body", [{}, {"decisions": []}, {"decisions": "accept"}, [], {"decisions": [1]}])
def test_what_is_no_list_of_decisions(api: TestClient, coded: str, body: Any) -> None:
    answer = api.patch(f"/v1/records/{coded}", json=body, headers=etag(api, coded))
    assert (answer.status_code, answer.json()["code"]) == (422, "JC108")


@pytest.mark.parametrize(
    ("decision", "status", "code"),
    [
        ({"kind": "applaud"}, 422, "JC108"),
        ({"kind": "add", "system": "ICD-10-CM", "code": "Z99.99"}, 422, "JC501"),
        ({"kind": "finish"}, 409, "JC465"),
        ({"kind": "reopen", "reason": "a second look"}, 409, "JC463"),
    ],
)
def test_decisions_that_do_not_fit(
    api: TestClient, coded: str, decision: dict[str, Any], status: int, code: str
) -> None:
    answer = decide(api, coded, decision)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    problem(answer)


def test_a_record_that_is_not_there(api: TestClient) -> None:
    api.post("/v1/encounters?code=false", json={"id": "E1", "text": NOTE})
    for ref in ("E1", "E2", "f" * 64):
        answer = api.get(f"/v1/records/{ref}")
        assert (answer.status_code, answer.json()["code"]) == (404, "JC460")
        problem(answer)


def test_views_and_changes_are_in_the_audit(api: TestClient, coded: str) -> None:
    api.get(f"/v1/encounters/{coded}")
    api.get(f"/v1/records/{coded}")
    api.post(f"/v1/encounters/{coded}/claim")
    decide(api, coded, ACCEPT)
    audit = Audit(api.app.state.desk.store)  # type: ignore[attr-defined]
    actions = [entry.action for entry in audit.page(limit=200)]
    assert {"encounter.received", "encounter.view", "record.view", "encounter.claimed", "review.accept"} <= set(actions)
    assert audit.verify().ok


def test_a_service_reads_no_record(api: TestClient, coded: str, person: Callable[..., TestClient]) -> None:
    his = person("his", "service")
    for path in ("/v1/encounters", f"/v1/encounters/{coded}", f"/v1/records/{coded}"):
        assert his.get(path).status_code == 403
    assert his.post(f"/v1/encounters/{coded}/claim").status_code == 403
