"""What coders decided leaves as coded records: labels, explicit negatives, places; the program learns from it."""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.corpora import load
from jointcoder.desk.feedback import to_row
from jointcoder.desk.history import day
from jointcoder.exchange.reading import read
from jointcoder.records import AssignedCode, Encounter, Patient, Role, Span, System
from jointcoder.store.encryption import AesGcm, new_key
from jointcoder.store.engine import Store, open_store
from tests.cli.command import jointcoder
from tests.desk.reviewed import START, TEXT, Coders
from tests.packs.marked import corpus
from tests.store.conftest import place, store  # noqa: F401  (fixtures: a store of each kind)

REJECT_DIABETES = {"kind": "reject", "item": "p3", "reason": "her mother's"}
REPLACE_I10 = {"kind": "replace", "item": "p2", "system": "ICD-10-CM", "code": "I11.0"}
ADD_COUGH = {"kind": "add", "system": "ICD-10-CM", "code": "R05.9",
                "evidence": [{"document": 0, "start": 3, "end": 6}], "to": 1}  # fmt: skip


@pytest.fixture
def coders(store: Store, small_us: CodeBook) -> Coders:  # noqa: F811
    return Coders(store, small_us)


def shown(codes: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(code["code"], code.get("state", "")) for code in codes]


def test_a_finished_review_is_a_labelled_record_with_its_negatives(coders: Coders, tmp_path: Path) -> None:
    coders.coded("e1")
    coders.finish("e1", "ana", REJECT_DIABETES, REPLACE_I10, ADD_COUGH, {"kind": "comment", "text": "a remark"})
    (one,) = coders.history()
    row = to_row(one)
    assert (row["id"], row["text"], row["language"]) == ("e1", TEXT, "en")
    assert shown(row["codes"]) == [("R05.9", "added"), ("J18.9", "accepted"), ("I11.0", "replaced")]
    assert [(code["rank"], code["primary"]) for code in row["codes"]] == [(1, True), (2, False), (3, False)]
    assert row["codes"][1] | {"name": ""} == {
        "system": "ICD-10-CM", "code": "J18.9", "name": "", "primary": False, "rank": 2, "state": "accepted",
        "confidence": 0.97, "spans": [{"document": 0, "start": 7, "end": 16}],
    }  # fmt: skip
    assert shown(row["rejected"]) == [("I10", ""), ("E11.9", "")]
    assert row["rejected"][0]["replaced_by"] == {"system": "ICD-10-CM", "code": "I11.0"}
    assert row["rejected"][1]["spans"] == [{"document": 0, "start": 53, "end": 61}]
    assert (row["review"]["state"], row["review"]["versions"]) == ("finished", {"program": "0", "model": "m"})
    assert "undecided" not in row
    said = json.dumps(row)
    assert "ana" not in said
    assert "remark" not in said
    assert "mother's" not in said
    assert to_row(one, names=True)["review"]["by"] == ["ana"]

    file = tmp_path / "feedback.jsonl"
    file.write_text(said + "\n", "utf-8")
    loaded = load(file)
    assert (loaded.name, loaded.ordered) == ("generic", True)
    (item,) = loaded.items
    assert [(gold.code, gold.primary) for gold in item.gold] == [
        ("R05.9", True), ("J18.9", False), ("I11.0", False)
    ]  # fmt: skip
    assert [span.quote for span in item.gold[1].spans] == ["pneumonia"]
    (incoming,) = read(file)
    assert incoming.error is None
    assert [code.code for code in incoming.codes] == ["R05.9", "J18.9", "I11.0"]


def test_what_nobody_judged_is_no_label(coders: Coders) -> None:
    coders.coded("e1")
    coders.decide("e1", "ana", {"kind": "accept", "item": "p1"}, REJECT_DIABETES)
    coders.coded("e2")  # nobody decided on this one
    (one,) = coders.history()
    row = to_row(one)
    assert (shown(row["codes"]), shown(row["rejected"]), shown(row["undecided"])) == (
        [("J18.9", "accepted")], [("E11.9", "")], [("I10", "")]
    )  # fmt: skip
    assert row["review"]["state"] == "in_review"
    assert coders.history(finished_only=True) == []


def test_undone_decisions_and_codes_accepted_together(coders: Coders) -> None:
    coders.coded("e1")
    coders.decide("e1", "ana", REJECT_DIABETES, {"kind": "undo"})
    (one,) = coders.history()
    assert to_row(one)["rejected"] == []
    assert len(to_row(one)["undecided"]) == 3


def test_one_row_an_encounter_the_finished_one_of_several(coders: Coders) -> None:
    coders.coded("e1")
    coders.finish("e1", "ana", REJECT_DIABETES)
    coders.coded("e1", text=TEXT + " Addendum.")
    coders.decide("e1", "bo", {"kind": "accept", "item": "p1"})
    assert len(coders.history()) == 2
    (one,) = coders.history(one_each=True)
    assert (to_row(one)["text"], to_row(one)["review"]["state"]) == (TEXT, "finished")


def test_days_bound_the_last_decision(coders: Coders) -> None:
    coders.coded("e1")
    coders.finish("e1", "ana")
    coders.now += dt.timedelta(days=3)
    coders.coded("e2")
    coders.finish("e2", "ana")
    later = day((START + dt.timedelta(days=2)).date())
    assert [one.encounter.id for one in coders.history(since=later)] == ["e2"]
    assert [one.encounter.id for one in coders.history(until=later)] == ["e1"]
    assert len(coders.history(since=later - dt.timedelta(days=9), until=later + dt.timedelta(days=9))) == 2


def test_administrative_fields_stay_here_and_the_rest_comes_back(coders: Coders) -> None:
    stay = Encounter.from_sections(
        {"History": "Known hypertension.", "Course": "Treated."},
        id="e1",
        patient=Patient(age_years=70, sex="male"),
        discharged=dt.date(2026, 2, 1),
        fields={"ward": "4 West", "name": "Zebrowski"},
    )
    coders.coded("e1", encounter=stay, proposed=(("I10", "hypertension", 0.9),))
    coders.decide("e1", "ana", {"kind": "accept", "item": "p1"})
    (one,) = coders.history()
    row = to_row(one)
    assert "Zebrowski" not in json.dumps(row)
    assert (row["patient"], row["discharged"]) == ({"age_years": 70.0, "sex": "male"}, "2026-02-01")
    assert row["sections"] == {"History": "Known hypertension.", "Course": "Treated."}


# -------------------------------------------------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, small_us: CodeBook) -> Path:
    """A store in which coders finished 40 invented notes, and began one more."""
    home = tmp_path_factory.mktemp("home")
    with open_store(str(home / "store.sqlite")) as there:
        coders = Coders(there, small_us)
        for item in corpus(40).items:
            codes = [
                AssignedCode(system=System(gold.system), code=gold.code, name=gold.code, confidence=0.7, rank=rank,
                             role=Role.PRINCIPAL if rank == 1 else Role.SECONDARY,
                             evidence=tuple(Span(document=s.document, start=s.start, end=s.end, quote=s.quote)
                                            for s in gold.spans if len(s.quote) == s.end - s.start))
                for kind in ("diagnosis", "procedure")
                for rank, gold in enumerate((g for g in item.gold if System(g.system).kind == kind), start=1)
            ]  # fmt: skip
            coders.coded(item.encounter.id, encounter=item.encounter, codes=codes)
            coders.finish(item.encounter.id, "ana")
        coders.coded("begun")
        coders.decide("begun", "bo", {"kind": "accept", "item": "p1"})
    return home


def test_learn_takes_what_was_exported(home: Path, small_us: CodeBook) -> None:
    for library in ("pycrfsuite", "sklearn", "lightgbm"):
        pytest.importorskip(library, reason="needs the extra learn")
    out = home / "feedback.jsonl"
    export = ("feedback", "export", "-o", str(out), "--store", str(home / "store.sqlite"))
    done = jointcoder(*export, cache=home)
    assert (done.returncode, done.stdout) == (0, "")
    assert "41 written" in done.stderr
    assert "1 of them are not finished" in done.stderr
    done = jointcoder(*export, "--finished-only", cache=home)
    assert "40 written" in done.stderr
    assert "ana" not in [word for line in out.read_text("utf-8").splitlines() for word in json.loads(line)["review"]]
    learnt = jointcoder(
        "learn", str(out), "-o", str(home / "packs" / "ours"), "--book", str(small_us.path), "--json", cache=home
    )
    assert (learnt.returncode, learnt.stderr) == (0, "")
    info = json.loads(learnt.stdout)
    assert info["parts"] == ["mentions"]
    assert info["origins"][0]["records"] == 40
    audit = jointcoder("audit", "show", "--store", str(home / "store.sqlite"), "--json", cache=home)
    assert [one["details"]["records"] for one in json.loads(audit.stdout) if one["action"] == "export.write"] == [
        40,
        41,
    ]


@pytest.mark.parametrize(
    ("options", "exit_code", "code"),
    [
        (("--since", "2027-01-01"), 4, "JC166"),
        (("--since", "yesterday"), 2, "JC001"),
    ],
)
def test_what_cannot_be_exported_is_said_and_nothing_is_written(
    home: Path, tmp_path: Path, options: tuple[str, ...], exit_code: int, code: str
) -> None:
    out = tmp_path / "out.jsonl"
    done = jointcoder("feedback", "export", "-o", str(out), "--store", str(home / "store.sqlite"), *options, cache=home)
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert code in done.stderr
    assert not out.exists()


def test_sealed_texts_are_read_with_the_key(tmp_path: Path, small_us: CodeBook) -> None:
    key = new_key()
    with open_store(str(tmp_path / "store.sqlite")) as there:
        coders = Coders(there, small_us, sealer=AesGcm([base64.b64decode(key)]))
        coders.coded("e1")
        coders.finish("e1", "ana")
    options = ("feedback", "export", "-o", "-", "--store", str(tmp_path / "store.sqlite"))
    done = jointcoder(*options, cache=tmp_path, JOINTCODER_ENCRYPT_NOTES="true", JOINTCODER_NOTE_KEY=key)
    assert json.loads(done.stdout)["text"] == TEXT
    without = jointcoder(*options, cache=tmp_path)
    assert (without.returncode != 0, without.stdout) == (True, "")
    assert TEXT not in without.stderr
