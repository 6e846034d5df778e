"""Tables that are wrong: each fault a coded error or flag with file, sheet and row, and the other records go on."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from jointcoder.errors import InputError, UsageError
from jointcoder.exchange.incoming import Incoming
from jointcoder.exchange.mapping import CodeColumns, ColumnMapping
from jointcoder.exchange.reading import inspect, read
from jointcoder.records import System
from tests.exchange.stays import csv_bytes, layout, rows_of, stay, workbook

SECRET = "王小明咳嗽三天"
HEADS = ["病案号", "性别", "年龄", "出院时间", "主诉", "主要诊断编码"]


def row(id: Any = "1", **cells: Any) -> list[Any]:
    given = {
        "病案号": id,
        "性别": "男",
        "年龄": "65岁",
        "出院时间": "2024-03-05",
        "主诉": SECRET,
        "主要诊断编码": "J18.900",
    } | cells
    return [given[head] for head in HEADS]


def sheet(tmp_path: Path, *rows: list[Any], **more: Any) -> list[Incoming]:
    return list(read(workbook(tmp_path / "a.xlsx", ("病案", [HEADS, *rows]), **more)))


def faults(found: list[Incoming]) -> list[str]:
    """``row: code`` of every error and flag."""
    told = [(one.place.number, one.error.code) for one in found if one.error]
    told += [(one.place.number, flag.code) for one in found for flag in one.flags]
    return [f"{number}: {code}" for number, code in sorted(told)]


@pytest.mark.parametrize(
    ("cells", "code", "said"),
    [
        ({"出院时间": "2024-02-30"}, "JC125", "column 出院时间"),
        ({"出院时间": "昨天"}, "JC125", "column 出院时间"),
        ({"出院时间": "#VALUE!"}, "JC125", "column 出院时间"),
        ({"年龄": SECRET}, "JC125", "column 年龄"),
        ({"年龄": "180岁"}, "JC125", "column 年龄"),
        ({"性别": SECRET}, "JC125", "column 性别"),
        ({"主要诊断编码": 36.07}, "JC128", "stored as a number"),
        ({"主要诊断编码": SECRET}, "JC128", "column 主要诊断编码: no code of ICD-10-CN"),
        ({"主要诊断编码": "#N/A"}, "JC128", "holds an error"),
        ({"病案号": ""}, "JC123", "numbered by its row"),
        ({"病案号": "#REF!"}, "JC126", "the id holds an error"),
        ({"病案号": 1.2345678901234567e17}, "JC123", "more than 15 digits"),
        ({"主诉": "咳" * 32_767}, "JC127", "column 主诉: 32767 characters"),
        ({"主诉": "咳" * 32_761}, "JC127", "probably cut"),
    ],
)  # fmt: skip
def test_what_is_flagged(tmp_path: Path, cells: dict[str, Any], code: str, said: str) -> None:
    good, flagged, other = sheet(
        tmp_path, row("1"), row(**({"id": "2"} | {"id" if k == "病案号" else k: v for k, v in cells.items()})), row("3")
    )
    assert [one.error for one in (good, flagged, other)] == [None] * 3
    assert (good.flags, other.flags) == ((), ())
    messages = [flag.message for flag in flagged.flags if flag.code == code and said in flag.message]
    assert messages
    assert messages[0].startswith("a.xlsx, sheet 病案, row 3: ")
    assert SECRET not in " ".join(flag.message for flag in flagged.flags)
    assert flagged.codes_whole == (code != "JC128")


def test_a_long_cell_that_fits_is_no_matter(tmp_path: Path) -> None:
    assert faults(sheet(tmp_path, row("1", 主诉="咳" * 32_000))) == []


def test_a_longer_text_of_a_csv_was_not_cut_by_a_spreadsheet() -> None:
    data = csv_bytes([["病案号", "主诉"], ["1", "咳" * 40_000]])
    assert faults(list(read(data, mapping=ColumnMapping(id=("病案号",), sections={"主诉": ("主诉",)})))) == []


def test_dates_that_contradict_each_other_are_both_left_out(tmp_path: Path) -> None:
    rows = [["病案号", "入院时间", "出院时间", "主诉"], ["1", "2024-03-05", "2024-03-01", "咳嗽"]]
    (one,) = read(workbook(tmp_path / "a.xlsx", ("S", rows)))
    assert one.encounter is not None
    assert (one.encounter.admitted, one.encounter.discharged) == (None, None)
    assert faults([one]) == ["2: JC125"]


def test_a_cell_with_an_error_is_told_apart_from_an_empty_one(tmp_path: Path) -> None:
    import openpyxl

    path = workbook(tmp_path / "a.xlsx", ("病案", [[*HEADS, "现病史"], [*row("1"), "x"], [*row("2"), "三天"]]))
    book = openpyxl.load_workbook(path)
    cell = book["病案"]["G2"]
    cell.value = "#REF!"
    assert cell.data_type == "e"
    book.save(path)
    found = list(read(path))
    assert faults(found) == ["2: JC126"]
    assert "column 现病史" in found[0].flags[0].message


def test_the_same_in_a_csv() -> None:
    data = csv_bytes([["病案号", "主诉", "现病史"], ["1", "咳嗽", "#REF!"]])
    mapping = ColumnMapping(id=("病案号",), sections={"主诉": ("主诉",), "现病史": ("现病史",)})
    assert faults(list(read(data, mapping=mapping))) == ["2: JC126"]


def test_ids_that_come_twice_and_records_without_text(tmp_path: Path) -> None:
    found = sheet(tmp_path, row("1"), row("1"), row("2", 主诉=""), row("3", 主诉=" \n "), row("4"))
    assert faults(found) == ["3: JC123", "4: JC101", "5: JC101"]
    assert [one.id for one in found] == ["1", "", "2", "3", "4"]
    assert found[1].error is not None
    assert "the same id as in row 2" in found[1].error.message
    assert "several columns" in found[1].error.hint


def test_an_id_that_repeats_is_joined_with_the_number_of_the_stay(tmp_path: Path) -> None:
    rows = [["病案号", "住院次数", "主诉"], ["1", 1, "咳嗽"], ["1", 2, "发热"]]
    assert [one.id for one in read(workbook(tmp_path / "a.xlsx", ("S", rows)))] == ["1-1", "1-2"]


def test_rows_merged_with_the_one_above(tmp_path: Path) -> None:
    found = sheet(tmp_path, row("1"), row(""), row("3"), merge=["A2:A3"])
    assert faults(found) == ["3: JC124"]
    assert found[1].error is not None
    assert "merged with row 2" in found[1].error.message


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('3,"咳嗽', "JC124"),  # a mark that nothing closes
        ('3,"咳"嗽"', "JC124"),
        ("3,咳嗽,三天", "JC124"),
        ("3", "JC124"),
    ],
)
def test_a_broken_row_of_a_csv_costs_no_other(line: str, code: str) -> None:
    data = f"住院号,主诉\n1,咳嗽\n{line}\n4,发热\n5,头痛\n".encode()
    found = list(read(data, mapping=ColumnMapping(id=("住院号",), sections={"主诉": ("主诉",)})))
    assert [one.id for one in found] == ["1", "", "4", "5"]
    assert faults(found) == [f"3: {code}"]
    assert found[1].error is not None
    assert found[1].error.message.startswith("standard input, line 3: ")
    assert "嗽" not in found[1].error.message + found[1].error.hint


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_bytes_that_the_encoding_does_not_have(encoding: str, tmp_path: Path) -> None:
    lines = ["住院号,主诉", "1,咳嗽三天", "2,发热两天", "3,头痛一天"]
    data = b"\n".join(line.encode(encoding) for line in lines) + b"\n4,\xff\xff\n5," + "乏力".encode(encoding) + b"\n"
    (tmp_path / "a.csv").write_bytes(data)
    found = list(read(tmp_path / "a.csv"))
    assert [one.id for one in found] == ["1", "2", "3", "", "5"]
    assert [one.error.code for one in found if one.error] == ["JC106"]


@pytest.mark.parametrize("name", ["a.xlsx", "a.xls", "a"])
def test_workbooks_that_are_none(tmp_path: Path, name: str) -> None:
    whole = workbook(tmp_path / "whole.xlsx", ("S", [HEADS, row()])).read_bytes()
    path = tmp_path / name
    for content in (whole[: len(whole) // 2], b"PK\x03\x04" + b"\x00" * 50, b"\xd0\xcf\x11\xe0" + b"\x00" * 600):
        path.write_bytes(content)
        (one,) = read(path)
        assert one.error is not None
        assert one.error.code in (("JC102",) if name == "a" else ("JC120",))
        assert one.error.message.startswith(name)


def test_a_workbook_with_a_sheet_that_is_cut_off(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("S", [HEADS, row()]))
    broken = tmp_path / "b.xlsx"
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(broken, "w") as cut:
        for name in whole.namelist():
            data = whole.read(name)
            cut.writestr(name, data[: len(data) // 2] if name.endswith("sheet1.xml") else data)
    (one,) = read(broken)
    assert one.error is not None
    assert one.error.code == "JC120"


def test_a_workbook_behind_a_password(tmp_path: Path) -> None:
    """An encrypted workbook is an old-style container with a stream of this name."""
    xlwt = pytest.importorskip("xlwt")
    book = xlwt.Workbook()
    book.add_sheet("S").write(0, 0, "x")
    book.save(str(tmp_path / "plain.xls"))
    data = bytearray((tmp_path / "plain.xls").read_bytes())
    old, new = "Workbook\0".encode("utf-16-le"), "EncryptedPackage\0".encode("utf-16-le")
    entry = data.index(old)
    data[entry : entry + len(new)] = new
    data[entry + 64] = len(new)
    path = tmp_path / "a.xlsx"
    path.write_bytes(data)
    (one,) = read(path)
    assert one.error is not None
    assert one.error.code == "JC120"
    assert "password" in one.error.message


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], "JC101"),
        ([["病案号", "主诉"]], "JC101"),
        ([["病案号", "主诉"], ["", ""]], "JC101"),
        ([["甲", "乙"], ["1", "2"]], "JC121"),
        ([["病案号", "性别"], ["1", "男"]], "JC121"),
    ],
)
def test_sheets_without_records(tmp_path: Path, rows: list[list[str]], code: str) -> None:
    (one,) = read(workbook(tmp_path / "a.xlsx", ("S", rows)))
    assert one.error is not None
    assert one.error.code == code
    assert "a.xlsx" in one.error.message


def test_columns_that_a_mapping_names_and_the_table_lacks(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("病案", [HEADS, row()]))
    for ids in (("病案号", "年龄"), ("编号",)):
        mapping = ColumnMapping(id=ids, sections={"现病史": ("病史摘要",)}, fields={"x": "=ZZ"})
        (one,) = read(path, mapping=mapping)
        assert one.error is not None
        assert one.error.code == "JC121"
        assert one.error.message.startswith("a.xlsx, sheet 病案: ")
        assert "'=ZZ'" in one.error.message
        assert "'病史摘要'" in one.error.message
        assert SECRET not in one.error.message + one.error.hint


def test_one_known_column_is_enough_for_a_mapping_of_one(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("S", [["甲", "乙", "丙"], ["1", "咳嗽", "x"]]))
    (one,) = read(path, mapping=ColumnMapping(text=("乙",)))
    assert one.encounter is not None
    assert one.encounter.documents[0].text == "咳嗽"


def test_a_web_page_that_is_called_a_workbook(tmp_path: Path) -> None:
    path = tmp_path / "a.xls"
    path.write_text("<html><table><tr><td>病案号</td></tr></table></html>", "utf-8")
    (one,) = read(path)
    assert one.error is not None
    assert one.error.code == "JC120"
    assert ".xlsx" in one.error.hint


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for name in ("a.xlsx", "a.csv", "a.jsonl", "a.txt", "a.pdf", "a.png", "a"):
        (one,) = read(tmp_path / name)
        assert one.error is not None
        assert one.error.code == "JC107"
        assert name in one.error.message


def test_names_without_codes_are_told(tmp_path: Path) -> None:
    rows = [["病案号", "主诉", "主要诊断", "其他诊断1"], ["1", "咳嗽", "肺炎", "高血压"]]
    (one,) = read(workbook(tmp_path / "a.xlsx", ("S", rows)))
    assert [(code.code, code.name, code.primary) for code in one.codes] == [("", "肺炎", True), ("", "高血压", False)]
    assert not one.codes_whole


def test_codes_in_one_cell_that_are_not_all_codes() -> None:
    mapping = ColumnMapping(
        id=("号",), sections={"主诉": ("甲",)}, codes=(CodeColumns(system=System.ICD10CN, code="码"),)
    )
    (one,) = read(f"号,甲,码\n1,咳嗽,J18.900；{SECRET}；I10.x00\n".encode(), mapping=mapping)
    assert [code.code for code in one.codes] == ["J18.900", "I10.x00"]
    assert faults([one]) == ["2: JC128"]
    assert SECRET not in one.flags[0].message


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("id = [", "not TOML"),
        ("[sections]\n", "no column to code from"),
        ("colour = 1\n[sections]\na = 'b'", "colour"),
        ("[sections]\na = 'b'\n[[codes]]\nsystem = 'ICD-11'\ncode = 'c'", "codes.0.system"),
        ("[sections]\na = 'b'\n[[codes]]\nsystem = 'ICD-10-CN'", "codes or of names"),
        ("header = 0\n[sections]\na = 'b'", "header"),
        ("[sections]\na = 'b'\n[dates]\norder = 'ymd'", "dates.order"),
    ],
)
def test_wrong_mappings(tmp_path: Path, toml: str, said: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(toml, "utf-8")
    with pytest.raises(InputError, match="JC122") as caught:
        ColumnMapping.read(path)
    assert said in caught.value.message
    assert "m.toml" in caught.value.message


def test_inspecting_what_has_no_columns(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("主诉：咳嗽", "utf-8")
    with pytest.raises(UsageError, match="JC001"):
        list(inspect(tmp_path / "a.txt"))
    with pytest.raises(InputError, match="JC121"):
        list(inspect(workbook(tmp_path / "a.xlsx", ("S", [["甲", "乙"], ["1", "2"]]))))


def test_the_layout_with_every_column_empty(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("S", rows_of(layout(), [stay(), {"病案号": "2"}])))
    assert [one.error.code if one.error else "" for one in read(path)] == ["", "JC101"]
