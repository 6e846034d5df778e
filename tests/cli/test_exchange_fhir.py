"""``jointcoder exchange`` and FHIR: Bundles in, coded records out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jointcoder.exchange.fhir import read_coded, validate
from jointcoder.records import CodedRecord, Versions
from tests.exchange.fhir_stays import bundle, condition, document, encounter, patient
from tests.exchange.frontpages import diagnosis

from .conftest import Command

STAY = bundle(patient(), encounter(), document(), condition("J18.9", "Pneumonia", id="k1"))


def test_a_bundle_becomes_a_line_that_learns(command: Command, tmp_path: Path) -> None:
    (tmp_path / "stay.json").write_text(json.dumps(STAY), "utf-8")
    code, shown, _ = command("exchange", "convert", tmp_path / "stay.json", "-o", "-")
    assert code == 0
    row = json.loads(shown)
    assert (row["id"], row["patient"]["sex"], row["codes"][0]["code"]) == ("e1", "female", "J18.9")


def test_a_bundle_that_cannot_be_read_leaves_with_its_code(command: Command, tmp_path: Path) -> None:
    (tmp_path / "stay.json").write_text(json.dumps(bundle(encounter())), "utf-8")
    code, shown, said = command("exchange", "convert", tmp_path / "stay.json", "-o", "-")
    assert (code, shown) == (4, "")
    assert "JC162" in said


def test_coded_records_leave_as_fhir(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("fhir.resources", reason="needs the extra fhir")
    (tmp_path / "stay.json").write_text(json.dumps(STAY), "utf-8")
    coded = CodedRecord(
        encounter="e1",
        language="en",
        codes=(diagnosis("J18.900", "肺炎", rank=1, main=True),),
        versions=Versions(program="0"),
    )
    strange = coded.model_copy(update={"encounter": "e9"})
    (tmp_path / "coded.jsonl").write_text(f"{coded.model_dump_json()}\n{{}}\n{strange.model_dump_json()}\n", "utf-8")
    out = tmp_path / "out.ndjson"
    code, _, said = command("exchange", "export", tmp_path / "coded.jsonl", "-o", out, "--to", "fhir", "--check",
                            "--encounters", tmp_path / "stay.json")  # fmt: skip
    assert code == 4  # one line was no record; the others are out
    assert "JC141" in said
    assert "JC142" in said
    first, second = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert validate(first) == []
    assert [record.codes for record in read_coded(first)] == [coded.codes]
    assert first["entry"][0]["resource"]["encounter"] == {"reference": "Encounter/e1"}
    assert [entry["resource"]["resourceType"] for entry in second["entry"]][:2] == ["Patient", "Encounter"]
