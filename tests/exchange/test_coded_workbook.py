"""Coded records as an Excel workbook: texts stay texts, long runs go on in further sheets; and the command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import openpyxl
import pytest

from jointcoder.errors import InputError
from jointcoder.exchange.coded_workbook import workbook_writer
from jointcoder.exchange.workbook import CELL
from jointcoder.records import AssignedCode, CodedRecord, Flag, PresentOnAdmission, Role, Span, System, Versions

from ..cli.command import jointcoder


def record(id: str = "E1", name: str = "Pneumonia", *, quote: str = "pneumonia", codes: int = 1) -> CodedRecord:
    code = AssignedCode(
        system=System.ICD10CM,
        code="J18.9",
        name=name,
        role=Role.PRINCIPAL,
        rank=1,
        confidence=0.91234,
        evidence=(Span(document=0, start=4, end=4 + len(quote), quote=quote),),
        present_on_admission=PresentOnAdmission.YES,
    )
    flags = (Flag(code="JC505", message="x"),)
    versions = Versions(program="1", workflow="lexical", code_book="us-2026")
    return CodedRecord(encounter=id, language="en", codes=(code,) * codes, flags=flags, versions=versions)


def test_two_sheets(tmp_path: Path) -> None:
    with workbook_writer(tmp_path / "x.xlsx") as target:
        assert target.add(record()) == ()
        target.add(record("E2", codes=0))
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    encounters, codes = (list(book[name].values) for name in ("Encounters", "Codes"))
    assert encounters[1][:9] == ("E1", "en", "J18.9", "Pneumonia", 1, 0, 0.9123, None, "JC505")
    assert encounters[2][:6] == ("E2", "en", None, None, 0, 0)
    assert codes[0][0] == "encounter"
    assert codes[1][:9] == ("E1", 1, "principal", "ICD-10-CM", "J18.9", "Pneumonia", 0.9123, "Y", "present")
    assert codes[1][9:11] == ("pneumonia", "0:4-13")
    assert len(codes) == 2


@pytest.mark.parametrize("text", ["=1+1", "+1", "-2", "@SUM(A1)", "=HYPERLINK(1)", "\t=1"])
def test_a_text_is_never_a_formula(tmp_path: Path, text: str) -> None:
    with workbook_writer(tmp_path / "x.xlsx") as target:
        target.add(record(text, name=text, quote=text))
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    for sheet in book:
        for row in sheet.iter_rows(min_row=2):
            assert "f" not in {cell.data_type for cell in row}
            assert row[0].value == text


def test_a_sheet_that_is_full_goes_on_in_another(tmp_path: Path) -> None:
    with workbook_writer(tmp_path / "x.xlsx", rows=4) as target:
        for number in range(5):
            target.add(record(f"E{number}", codes=2))
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    assert book.sheetnames == ["Encounters", "Codes", "Codes (2)", "Encounters (2)", "Codes (3)", "Codes (4)"]
    found = [row[0] for name in book.sheetnames if "Codes" in name for row in list(book[name].values)[1:]]
    assert sorted(found) == sorted(f"E{number}" for number in range(5) for _ in range(2))
    assert all(len(list(sheet.values)) <= 4 for sheet in book)


def test_what_no_cell_holds_is_said(tmp_path: Path) -> None:
    with workbook_writer(tmp_path / "x.xlsx", language="zh") as target:
        flags = target.add(record(quote="x" * (CELL + 1)))
        odd = target.add(record(name="a\x07b"))
    assert [flag.code for flag in flags] == ["JC147"]
    assert [flag.code for flag in odd] == ["JC143"]
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    assert book.sheetnames == ["病历", "编码"]


def test_a_workbook_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="JC148"), workbook_writer(tmp_path / "gone" / "x.xlsx"):
        pass


def test_the_command_writes_both_and_reads_parquet_back(tmp_path: Path) -> None:
    def export(source: str, to: str, out: str) -> subprocess.CompletedProcess[str]:
        files = str(tmp_path / source), "-o", str(tmp_path / out)
        return jointcoder("exchange", "export", *files, "--format", to, cache=tmp_path)

    lines = "".join(record(f"E{n}").model_dump_json() + "\n" for n in range(3)) + "{}\n"
    (tmp_path / "coded.jsonl").write_text(lines, "utf-8")
    done = export("coded.jsonl", "parquet", "codes.parquet")
    assert done.returncode == 4
    assert "JC141" in done.stderr
    done = export("codes.parquet", "xlsx", "codes.xlsx")
    assert done.returncode == 0, done.stderr
    book = openpyxl.load_workbook(tmp_path / "codes.xlsx")
    assert [row[0] for row in list(book["Codes"].values)[1:]] == ["E0", "E1", "E2"]
    assert "parquet" in export("coded.jsonl", "codes", "x").stderr
