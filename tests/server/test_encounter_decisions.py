"""Decisions from the encounter page over HTTP: every kind, conflicts, refusals, and what stays in the audit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from jointcoder.codebook.book import CodeBook
from jointcoder.desk.bands import Bulk
from jointcoder.desk.service import Desk
from jointcoder.records import CodedRecord, Encounter
from jointcoder.server.pages.encounter_decide import FIELDS, decision_of
from jointcoder.store.audit import Audit

from .encounter_desk import Person, client_of, coded, desk_of, encounter_of, key_of, record_of

NOTE = "Pneumonia. Type 2 diabetes. Hypertension. Cough. The effusion was drained. CT of the chest."


def told(book: CodeBook, encounter: Encounter) -> CodedRecord:
    diagnoses = [("J18.9", 0.95, "Pneumonia"), ("E11.9", 0.9, "Type 2 diabetes"), ("R05.9", 0.4, "Cough")]
    procedures = [("0W9B3ZZ", 0.8, "effusion was drained"), ("BW24ZZZ", 0.7, "CT of the chest")]
    return record_of(encounter, book, diagnoses, procedures)


@pytest.fixture(scope="module")
def desk(small_us: CodeBook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    bulk = Bulk(0.9, "supported")
    with desk_of(folder, small_us, lambda encounter: told(small_us, encounter), bulk=bulk) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(desk: Desk) -> Iterator[TestClient]:
    with client_of(desk) as opened:
        yield opened


@pytest.fixture(scope="module")
def person(desk: Desk, client: TestClient) -> Callable[..., Person]:
    """``person("ana", version)``: somebody with a role who has looked at the page."""
    roles = {"ana": ["coder"], "bo": ["coder"], "lea": ["coder", "lead"]}
    keys = {name: key_of(desk.store, name, held) for name, held in roles.items()}

    def enter(name: str, version: str) -> Person:
        somebody = Person(client, version, keys[name])
        somebody.look()
        return somebody

    return enter


@pytest.fixture
def version(desk: Desk, request: pytest.FixtureRequest) -> str:
    return coded(desk, encounter_of(NOTE, id=request.node.name))


def events_of(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.headers["hx-trigger-after-settle"])
    return found


def test_every_kind_of_decision_through_the_form(desk: Desk, person: Callable[..., Person], version: str) -> None:
    ana = person("ana", version)
    steps: list[tuple[str, dict[str, str]]] = [
        ("accept", {"item": "p1"}),
        ("reject", {"item": "p3"}),
        ("replace", {"item": "p2", "system": "ICD-10-CM", "code": "E11.22"}),
        ("add", {"system": "ICD-10-CM", "code": "I10", "evidence": '[{"document": 0, "start": 28, "end": 40}]'}),
        ("move", {"item": "a4", "to": "1"}),
        ("principal", {"item": "p1"}),
        ("poa", {"item": "p1", "value": "W"}),
        ("poa", {"item": "p1", "value": ""}),
        ("link", {"procedure": "p4", "diagnosis": "p1"}),
        ("unlink", {"procedure": "p4", "diagnosis": "p1"}),
        ("comment", {"item": "p1", "words": "seen on the film"}),
        ("query", {"item": "", "words": "which side?"}),
        ("accept", {"item": "p4"}),
        ("undo", {}),
    ]
    for kind, fields in steps:
        answer = ana.decide(kind, **fields)
        assert answer.status_code == 200, (kind, answer.text)
        assert answer.headers["etag"] == f'"{ana.etag}"'
    review = desk.review(version)
    assert [one.decision.kind for one in review.decided] == [kind for kind, _ in steps]
    assert [(item.code.code, str(item.state)) for item in review.standing()][:3] == [
        ("J18.9", "accepted"),
        ("I10", "added"),
        ("E11.22", "replaced"),
    ]
    added = review.by_id("a4")
    assert added is not None
    assert [span.quote for span in added.code.evidence] == ["Hypertension"]
    assert [said.text for said in review.queries] == ["which side?"]


def test_bulk_accept_finish_and_reopen(desk: Desk, person: Callable[..., Person], version: str) -> None:
    lea = person("lea", version)
    assert "what the calibration of the learned pack supports" in lea.look()
    assert "0 finished reviews of this house" in lea.look()
    assert lea.decide("bulk_accept", threshold="0.5").status_code == 409  # calibration supports 0.9
    assert lea.decide("bulk_accept", threshold="0.9").status_code == 200
    refusal = lea.decide("finish")
    assert refusal.status_code == 409
    assert refusal.headers["hx-retarget"] == "#notice"
    assert events_of(refusal)["desk:focus"] == {"to": "i-p3"}
    assert "R05.9 Cough" in refusal.text
    for item in ("p3", "p4", "p5"):
        assert lea.decide("accept", item=item).status_code == 200
    for live in desk.review(version).findings:
        if live.blocks:
            assert lea.decide("override", finding=live.key, words="looked at").status_code == 200
    done = lea.decide("finish")
    assert done.status_code == 200
    assert 'data-editable="no"' in done.text
    assert lea.decide("accept", item="p1").status_code == 409
    assert person("ana", version).decide("reopen", words="please").status_code == 409
    assert lea.decide("reopen", words="a report came late").status_code == 200
    assert str(desk.review(version).status) == "in_review"


def test_a_stale_decision_changes_nothing_and_says_what_did(
    desk: Desk, person: Callable[..., Person], version: str
) -> None:
    lea = person("lea", version)
    first, second = lea.etag, person("lea", version)
    assert lea.decide("accept", item="p1").status_code == 200
    answer = second.decide("reject", item="p1")
    assert answer.status_code == 412
    assert "Accepted · J18.9 · lea" in answer.text
    assert "What you typed is still there" in answer.text
    assert 'id="documents" hx-swap-oob="true"' in answer.text
    assert 'class="etag" name="etag" value="' in answer.text
    assert first not in answer.text
    assert [str(item.state) for item in desk.review(version).items][:1] == ["accepted"]


def test_what_somebody_else_holds_is_not_decided_upon(desk: Desk, person: Callable[..., Person], version: str) -> None:
    ana, bo = person("ana", version), person("bo", version)
    assert ana.decide("accept", item="p1").status_code == 200
    answer = bo.decide("accept", item="p2", etag=ana.etag)
    assert answer.status_code == 409
    assert "Somebody else has this record" in answer.text
    assert desk.review(version).seq == 1
    assert ana.post("/release").status_code == 200
    assert bo.decide("accept", item="p2", etag=ana.etag).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"kind": "dance"}, 422),
        ({"kind": ""}, 422),
        ({"kind": "accept"}, 422),
        ({"kind": "accept", "item": "p99"}, 409),
        ({"kind": "move", "item": "p1", "to": "first"}, 422),
        ({"kind": "replace", "item": "p1", "system": "ICD-10-CM", "code": "Q99.9"}, 422),
        ({"kind": "replace", "item": "p1", "system": "ICD-10-CM", "code": "E11"}, 422),
        ({"kind": "add", "system": "ICD-10-CM", "code": "I10", "evidence": "{"}, 422),
        (
            {
                "kind": "add",
                "system": "ICD-10-CM",
                "code": "I10",
                "evidence": '[{"document": 7, "start": 0, "end": 1}]',
            },
            409,
        ),
        ({"kind": "override", "finding": "0" * 12, "words": "no such"}, 409),
        ({"kind": "comment", "words": "   "}, 422),
    ],
)
def test_bad_decisions_are_refused_in_words(
    desk: Desk, person: Callable[..., Person], version: str, fields: dict[str, str], status: int
) -> None:
    ana = person("ana", version)
    answer = ana.decide(**fields)
    assert answer.status_code == status, answer.text
    assert answer.headers["x-fragment"] == "1"
    assert 'role="alert"' in answer.text
    assert desk.review(version).seq == 0


def test_words_of_a_person_reach_the_record_but_not_the_audit(
    desk: Desk, person: Callable[..., Person], version: str
) -> None:
    ana = person("ana", version)
    ana.decide("comment", item="p1", words="unmistakable wording")
    assert desk.review(version).items[0].comments[0].text == "unmistakable wording"
    entries = Audit(desk.store).page(limit=200)
    assert any(entry.action == "review.comment" and entry.actor == "ana" for entry in entries)
    assert "unmistakable" not in repr(entries)


def test_every_kind_has_its_fields_and_phrases() -> None:
    from jointcoder.desk.decisions import Decision, parse_decision
    from jointcoder.server.pages.i18n import words

    known = {kind.model_fields["kind"].default for kind in Decision.__args__[0].__args__}  # type: ignore[attr-defined]
    assert set(FIELDS) == known
    for kind in known:
        for language in ("en", "zh"):
            assert words(language).has(f"encounter.said.{kind}")
            assert words(language).has(f"encounter.decided.{kind}")
    assert decision_of({"kind": "finish"}) == parse_decision({"kind": "finish"})


def test_condition_on_admission_of_a_chinese_record(tmp_path: Path, small_cn: CodeBook) -> None:
    """入院病情 is chosen by its number on the page and kept as its letter."""
    note = "出院诊断：肺炎，2型糖尿病。"
    with (
        desk_of(
            tmp_path,
            small_cn,
            lambda e: record_of(e, small_cn, [("J18.900", 0.9, "肺炎"), ("E11.900", 0.8, "2型糖尿病")]),
        ) as desk,
        client_of(desk) as client,
    ):
        version = coded(desk, encounter_of(note, language="zh"))
        local = Person(client, version)
        page = local.look()
        assert "2 – clinically undetermined" in page
        assert local.decide("poa", item="p1", value="W").status_code == 200
        chosen = desk.review(version).items[0].code.present_on_admission
        assert chosen is not None
        assert chosen.value == "W"
