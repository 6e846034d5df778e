"""``jointcoder`` and HL7 v2: messages coded, in a file and in a folder; coded records sent out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.exchange.hl7 import read_coded
from jointcoder.records import CodedRecord
from tests.exchange.hl7_messages import SECRET, admission, document, mllp, report

from .conftest import Command

SUMMARY = "Discharge diagnosis:\n1. Pneumonia\n2. Essential hypertension"
GOLD = "DG1|1||E11.9^Type 2 diabetes mellitus^I10C|||F|||||||||1"


def whole_stay() -> list[str]:
    left = admission("V1", "A03", GOLD, sent="20260109110000", f45="20260109", f36="01")
    return [admission(), document(SUMMARY), left]


def coded(line: str) -> CodedRecord:
    return CodedRecord.model_validate_json(line)


def test_a_file_of_one_stay_is_coded(command: Command, tmp_path: Path, small_us: CodeBook) -> None:
    (tmp_path / "stay.hl7").write_bytes(mllp(*whole_stay()))
    code, shown, said = command("code", tmp_path / "stay.hl7", "--json", "--workflow", "lexical", "--book",
                                small_us.path)  # fmt: skip
    assert (code, SECRET in shown + said) == (0, False)
    record = coded(shown)
    assert record.encounter == "V1"
    codes = {one.code for one in record.codes}
    assert "J18.9" in codes
    assert "E11.9" not in codes  # what came as DG1 is not shown to the coder
    (tmp_path / "coded.jsonl").write_text(json.dumps(json.loads(shown)) + "\n", "utf-8")
    pytest.importorskip("hl7apy", reason="needs the extra hl7")
    for to, type in (("hl7", b"ADT^A08"), ("hl7-bar", b"BAR^P05")):
        out = tmp_path / f"{to}.hl7"
        given = ("--encounters", tmp_path / "stay.hl7", "--time", "2026-01-10T08:00:00")
        assert command("exchange", "export", tmp_path / "coded.jsonl", "-o", out, "--to", to, *given)[0] == 0
        assert type in out.read_bytes()
        assert b"V1^^^HOSP^VN" in out.read_bytes()
        assert b"|20260110080000+0000|" in out.read_bytes()
        (back,) = read_coded(out.read_bytes())
        assert [(one.code, one.role, one.present_on_admission) for one in back.codes] == [
            (one.code, one.role, one.present_on_admission) for one in record.codes
        ]


def test_codes_that_came_along_teach(command: Command, tmp_path: Path) -> None:
    (tmp_path / "stay.hl7").write_text("".join(whole_stay()), "utf-8", newline="")
    code, shown, _ = command("exchange", "convert", tmp_path / "stay.hl7", "-o", "-")
    row = json.loads(shown)
    assert (code, row["id"], row["discharged"], row["codes"][0]["code"]) == (0, "V1", "2026-01-09", "E11.9")


def test_a_folder_is_coded_as_a_batch(command: Command, tmp_path: Path, small_us: CodeBook) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, part in enumerate(whole_stay()):
        (folder / f"{number}.hl7").write_text(part, "utf-8", newline="")
    (folder / "more.txt").write_bytes(mllp(report("Impression: acute appendicitis", visit="V2", patient="P2"), "junk"))
    (folder / "note.txt").write_text(SUMMARY, "utf-8")
    run = ("batch", folder, "-o", tmp_path / "run", "--workflow", "lexical", "--book", small_us.path)
    code, _, said = command(*run)
    assert SECRET not in said
    lines = [json.loads(line) for line in (tmp_path / "run" / "results.jsonl").read_text("utf-8").splitlines()]
    found = {line["encounter"]: line for line in lines}
    assert found.keys() == {"V1", "V2", "note.txt"}
    assert "J18.9" in {one["code"] for one in found["V1"]["codes"]}
    (failure,) = [json.loads(line) for line in (tmp_path / "run" / "failed.jsonl").read_text("utf-8").splitlines()]
    assert (failure["code"], failure["id"]) == ("JC170", f"{folder / 'more.txt'}, message 2")
    assert failure["source"] == {"file": str(folder / "more.txt"), "message": 2}
    before = (tmp_path / "run" / "results.jsonl").read_bytes()
    assert command(*run)[0] == code
    assert (tmp_path / "run" / "results.jsonl").read_bytes() == before


def test_a_record_whose_message_would_not_be_valid_leaves_the_others(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("hl7apy", reason="needs the extra hl7")
    diagnosis = {"system": "ICD-10-CM", "code": "I10", "name": "x", "confidence": 1.0, "rank": 1}
    procedure = {"system": "ICD-10-PCS", "code": "0DTJ4ZZ", "name": "x", "confidence": 1.0, "rank": 1}
    lines = [
        {"encounter": id, "language": "en", "codes": codes, "versions": {"program": "0"}}
        for id, codes in (("V1", [procedure]), ("V2", [diagnosis]))
    ]
    (tmp_path / "coded.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    out = tmp_path / "out.hl7"
    code, _, said = command("exchange", "export", tmp_path / "coded.jsonl", "-o", out, "--to", "hl7")
    assert (code, "JC179" in said, "record V1" in said) == (4, True, True)
    assert [record.encounter for record in read_coded(out.read_bytes())] == ["V2"]
