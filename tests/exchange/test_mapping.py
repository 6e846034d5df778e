"""Headings to roles, proposals, and mappings that survive their file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.exchange.columns import recognise
from jointcoder.exchange.mapping import CodeColumns, ColumnMapping, PatientColumns, column_letters, column_number, find
from jointcoder.exchange.reading import inspect, read
from jointcoder.records import System
from tests.exchange.stays import layout, rows_of, stay, workbook


@pytest.mark.parametrize(
    ("heading", "label"),
    [
        ("病 案 号", "person"), ("住院流水号", "id"), ("HADM_ID", "id"), ("年龄（岁）", "age"), ("姓名", "personal"),
        ("出院时间", "discharged"), ("离院方式", "field"), ("出院记录", "text"), ("主要诊断", "name"), ("备注", None),
        ("其他诊断12编码", "code"), ("其他诊断（3）", "name"), ("C06x03C", "code"), ("JBDM12", "code"), ("", None),
        ("手术操作名称 2", "name"), ("门急诊诊断编码", "field"), ("diagnosis_code_7", "code"), ("ICD-10 #2", "code"),
        ("现病史", "section"), ("Discharge Diagnosis", "section"), ("手术名称", "section"), ("出院诊断", "section"),
        ("Fecha de alta", "discharged"), ("3", None),
    ],
)  # fmt: skip
def test_headings(heading: str, label: str | None) -> None:
    role = recognise(heading)
    assert (role.label if role else None) == label


def test_the_number_of_a_heading() -> None:
    numbers = [recognise(heading) for heading in ("其他诊断编码12", "其他诊断3编码", "诊断编码 (2)", "主要诊断编码")]
    assert [role.number if role else 0 for role in numbers] == [12, 3, 2, None]


def test_every_heading_of_the_layout_is_known() -> None:
    assert [heading for heading in layout() if recognise(heading) is None] == []


@given(st.integers(0, 20_000))
def test_column_letters(column: int) -> None:
    assert column_number(column_letters(column)) == column


def test_how_columns_are_named() -> None:
    headings = ("病案号", "其他诊断编码 1", "其他诊断编码10", "其他诊断编码2", "x#y")
    assert find("病案号", headings) == {-1: 0}
    assert find("其他 诊断编码#", headings) == {1: 1, 2: 3, 10: 2}
    assert find("=C", headings) == {-1: 2}
    assert find("x#y", headings) == {-1: 4}
    assert find("=ZZ", headings) == find("没有", headings) == {}


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)


@settings(deadline=None)
@given(
    st.lists(words, max_size=3),
    st.dictionaries(words, st.lists(words, min_size=1, max_size=3), min_size=1, max_size=3),
    st.dictionaries(words, words, max_size=3),
    st.sampled_from(["\t", ";", None]),
)
def test_a_mapping_survives_its_file(
    tmp_path_factory: pytest.TempPathFactory,
    ids: list[str],
    sections: dict[str, list[str]],
    fields: dict[str, str],
    delimiter: str | None,
) -> None:
    mapping = ColumnMapping(
        id=tuple(ids),
        delimiter=delimiter,
        sections={name: tuple(columns) for name, columns in sections.items()},
        fields=fields,
        patient=PatientColumns(sex="性别"),
        codes=(CodeColumns(system=System.ICD9CM3, place="other", name='a"\\b', separators="；\n"),),
    )
    path = tmp_path_factory.mktemp("mapping") / "m.toml"
    path.write_text(mapping.toml(), "utf-8")
    assert ColumnMapping.read(path) == mapping


def test_a_proposal_reads_as_the_table_itself(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("S", rows_of(layout(), [stay(), stay("2")])))
    (proposal,) = inspect(path)
    assert proposal.mapping is not None
    (tmp_path / "m.toml").write_text(proposal.mapping.toml(), "utf-8")
    mapped = list(read(path, mapping=ColumnMapping.read(tmp_path / "m.toml")))
    assert mapped == list(read(path))
    assert len(mapped) == 2


def test_a_proposal_says_why_and_shows_no_cell(tmp_path: Path) -> None:
    heads = ["病案号", "姓名", "甲类补充", "备注", "现病史", "随访", "主要诊断编码", ""]
    rows = [
        [
            "1",
            "王小明",
            "建议继续抗感染治疗，必要时复查胸部CT，请呼吸内科随诊，密切观察体温变化。",
            "急",
            "咳嗽",
            "",
            "J18.900",
            "旁注",
        ]
    ] * 3
    (proposal,) = inspect(workbook(tmp_path / "a.xlsx", ("S", [heads, *rows])))
    taken = {column.heading: (column.role, column.why) for column in proposal.columns}
    assert taken["病案号"][0] == "id"
    assert taken["姓名"] == ("left aside", "tells who the patient is")
    assert taken["甲类补充"] == ("section", "long texts under an unknown heading")
    assert taken["备注"][0] == "field"
    assert taken["主要诊断编码"] == ("principal diagnosis: code", "coded history, ICD-10-CN")
    assert taken[""] == ("left aside", "no heading")
    assert [column.lengths for column in proposal.columns[:2]] == [(1, 1, 1), (3, 3, 3)]
    assert proposal.remarks == ("the id comes twice in 2 of 3 rows: those will be errors",)
    assert not any(cell in str(proposal.as_dict()) for cell in ("王小明", "咳嗽", "抗感染", "旁注", "J18.900"))


def test_columns_that_are_empty_so_far_are_not_forgotten(tmp_path: Path) -> None:
    heads = ["住院号", "主诉", "现病史", "其他诊断编码1", "其他诊断编码2"]
    rows = [[str(number), "咳嗽", "", "", ""] for number in range(600)] + [["600", "", "三天", "", "I10.x00"]]
    last = list(read(workbook(tmp_path / "a.xlsx", ("S", [heads, *rows]))))[-1]
    assert last.encounter is not None
    assert last.encounter.documents[0].text == "三天"
    assert [code.code for code in last.codes] == ["I10.x00"]


def test_the_system_follows_the_codes_and_else_the_language(tmp_path: Path) -> None:
    def system(heads: list[str], code: str) -> str:
        path = workbook(tmp_path / "a.xlsx", ("S", [heads, ["1", "x", code]]))
        (one,) = read(path)
        return str(one.codes[0].system)

    assert system(["id", "text", "icd codes"], "J18.9") == "ICD-10-CM"
    assert system(["id", "text", "icd codes"], "I10.x00x002") == "ICD-10-CN"
    assert system(["住院号", "现病史", "诊断编码"], "J18.9") == "ICD-10-CN"
    assert system(["id", "text", "procedure codes"], "0BB38ZX") == "ICD-10-PCS"
    assert system(["id", "text", "procedure codes"], "33.24") == "ICD-9-CM-3"
