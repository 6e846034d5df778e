"""Tables become encounters: the JointCoder layout by itself, any other by its headings or by a mapping."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.errors import UsageError
from jointcoder.exchange.incoming import Incoming
from jointcoder.exchange.mapping import CodeColumns, ColumnMapping, DateColumns, PatientColumns
from jointcoder.exchange.reading import inspect, read
from jointcoder.records import System
from tests.exchange.stays import SECTIONS, csv_bytes, layout, rows_of, stay, workbook

MAPPING = ColumnMapping(id=("号",), sections={"现病史": ("内容甲",)})


def only(found: Any) -> Incoming:
    (incoming,) = found
    assert incoming.error is None, incoming.error
    return incoming


def texts(incoming: Incoming) -> dict[str, str]:
    assert incoming.encounter is not None
    return {document.title: document.text for document in incoming.encounter.documents}


def codes(incoming: Incoming) -> list[tuple[str, str, str, bool, int]]:
    return [(str(code.system), code.code, code.name, code.primary, code.rank) for code in incoming.codes]


def test_the_jointcoder_layout_is_recognised(tmp_path: Path) -> None:
    path = workbook(tmp_path / "病案.xlsx", ("Sheet1", rows_of(layout(), [stay(), stay("1002")])))
    first, second = read(path)
    assert (first.id, second.id) == ("1001", "1002")
    assert str(second.place) == "病案.xlsx, sheet Sheet1, row 3"
    given = stay()
    assert texts(first) == {name: given[name] for name in SECTIONS if name in given}
    assert codes(first) == [
        ("ICD-10-CN", "J18.900", "肺炎", True, 1),
        ("ICD-10-CN", "I10.x00", "高血压", False, 2),
        ("ICD-9-CM-3", "33.2400", "支气管镜活检", True, 1),
    ]
    assert first.codes_whole
    assert first.flags == ()


def test_codes_never_become_text(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("Sheet1", rows_of(layout(), [stay()])))
    encounter = only(read(path)).encounter
    assert encounter is not None
    assert encounter.fields == {}
    assert {document.title for document in encounter.documents} <= set(SECTIONS)


def test_patient_dates_and_administrative_columns(tmp_path: Path) -> None:
    heads = ["住院号", "姓名", "性别", "年龄", "入院时间", "出院日期", "离院方式", "主诉"]
    row = ["88", "王某", "女", "8月", dt.datetime(2024, 2, 28, 9, 0), "2024年3月5日", 2.0, "发热"]
    incoming = only(read(workbook(tmp_path / "a.xlsx", ("S", [heads, row]))))
    encounter = incoming.encounter
    assert encounter is not None
    assert encounter.patient.sex == "female"
    assert encounter.patient.age_years == pytest.approx(8 / 12)
    assert (encounter.admitted, encounter.discharged) == (dt.date(2024, 2, 28), dt.date(2024, 3, 5))
    assert encounter.fields == {"离院方式": "2"}


def test_age_is_reckoned_from_birth(tmp_path: Path) -> None:
    rows = [["住院号", "出生日期", "入院日期", "主诉"], ["1", "1960-03-06", "2024-03-05", "咳嗽"]]
    encounter = only(read(workbook(tmp_path / "a.xlsx", ("S", rows)))).encounter
    assert encounter is not None
    assert encounter.patient.age_years == 63


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_delimited_text(encoding: str, delimiter: str) -> None:
    data = csv_bytes(rows_of(layout(), [stay(), stay("1002")]), encoding=encoding, delimiter=delimiter)
    first, second = read(data, mapping=only_mapping(), name="a.csv")
    assert texts(first)["现病史"] == stay()["现病史"]
    assert (first.place.line, second.place.line) == (2, 5)  # a cell holds a line break, another one too
    assert [flag.code for flag in first.flags] == ([] if encoding.startswith("utf-8") else ["JC109"])


def only_mapping() -> ColumnMapping:
    return ColumnMapping(id=("病案号",), sections={name: (name,) for name in SECTIONS})


def test_csv_by_its_ending_needs_no_mapping(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(csv_bytes(rows_of(layout(), [stay()]), encoding="gb18030"))
    assert only(read(path)).codes_whole


def test_a_text_that_is_called_xls(tmp_path: Path) -> None:
    path = tmp_path / "export.xls"
    path.write_bytes(csv_bytes(rows_of(layout(), [stay()]), encoding="gb18030", delimiter="\t"))
    assert only(read(path)).id == "1001"


def test_an_old_workbook(tmp_path: Path) -> None:
    xlwt = pytest.importorskip("xlwt")
    book = xlwt.Workbook()
    sheet = book.add_sheet("一")
    for number, row in enumerate([["住院号", "入院日期", "主诉"], ["1", dt.date(2024, 3, 5), "咳嗽"]]):
        for column, cell in enumerate(row):
            style = xlwt.easyxf(num_format_str="YYYY-MM-DD") if isinstance(cell, dt.date) else xlwt.Style.default_style
            sheet.write(number, column, cell, style)
    book.save(str(tmp_path / "a.xls"))
    encounter = only(read(tmp_path / "a.xls")).encounter
    assert encounter is not None
    assert encounter.admitted == dt.date(2024, 3, 5)


def test_a_title_above_and_a_header_in_two_rows(tmp_path: Path) -> None:
    rows = [
        ["出院病案 2024 年", "", "", "", "", ""],
        ["病案号", "主要诊断", "", "其他诊断1", "", "现病史"],
        ["", "诊断编码", "名称", "编码", "名称", ""],
        ["7", "J18.900", "肺炎", "I10.x00", "高血压", "咳嗽三天"],
    ]
    merge = ["A1:F1", "A2:A3", "B2:C2", "D2:E2", "F2:F3"]
    path = workbook(tmp_path / "a.xlsx", ("S", rows), merge=merge)
    incoming = only(read(path))
    assert [code[1:4] for code in codes(incoming)] == [("J18.900", "肺炎", True), ("I10.x00", "高血压", False)]
    assert texts(incoming) == {"现病史": "咳嗽三天"}
    (proposal,) = inspect(path)
    assert (proposal.header, proposal.joined) == (3, True)


def test_a_header_that_comes_again_on_the_next_page(tmp_path: Path) -> None:
    heads = ["住院号", "主诉"]
    path = workbook(tmp_path / "a.xlsx", ("S", [heads, ["1", "咳嗽"], ["", ""], heads, ["2", "发热"]]))
    assert [incoming.id for incoming in read(path)] == ["1", "2"]


def test_headings_that_come_twice_are_numbered(tmp_path: Path) -> None:
    heads = ["住院号", "现病史", "诊断编码", "诊断名称", "诊断编码", "诊断名称"]
    path = workbook(tmp_path / "a.xlsx", ("S", [heads, ["1", "咳嗽", "J18.900", "肺炎", "I10.x00", "高血压"]]))
    assert [code[1:] for code in codes(only(read(path)))] == [
        ("J18.900", "肺炎", True, 1),
        ("I10.x00", "高血压", False, 2),
    ]


def test_the_names_of_the_national_interfaces(tmp_path: Path) -> None:
    heads = [
        "BAH",
        "ZYCS",
        "XB",
        "NL",
        "CYSJ",
        "JBDM",
        "ZYZD",
        "JBDM1",
        "QTZD1",
        "SSJCZBM1",
        "SSJCZMC1",
        "LYFS",
        "现病史",
    ]
    row = [
        "5",
        "2",
        "1",
        "70",
        "20240305",
        "J18.900",
        "肺炎",
        "I10.x00",
        "高血压",
        "33.2400",
        "支气管镜活检",
        "1",
        "咳嗽",
    ]
    incoming = only(read(workbook(tmp_path / "a.xlsx", ("S", [heads, row]))))
    assert incoming.id == "5-2"
    assert [(code.code, code.primary) for code in incoming.codes] == [
        ("J18.900", True),
        ("I10.x00", False),
        ("33.2400", True),
    ]
    assert incoming.encounter is not None
    assert incoming.encounter.fields == {"LYFS": "1"}


def test_english_headings(tmp_path: Path) -> None:
    heads = ["hadm_id", "Sex", "Age", "Discharge Date", "note_text", "Principal Dx", "dx_code_2", "px_code_1"]
    row = ["22", "F", 60, dt.date(2026, 3, 5), "Discharge diagnosis: pneumonia.", "J189", "I10", "0BB38ZX"]
    incoming = only(read(workbook(tmp_path / "a.xlsx", ("S", [heads, row]))))
    assert [(code[0], code[1], code[3]) for code in codes(incoming)] == [
        ("ICD-10-CM", "J18.9", True),
        ("ICD-10-CM", "I10", False),
        ("ICD-10-PCS", "0BB38ZX", True),
    ]
    assert texts(incoming) == {"": "Discharge diagnosis: pneumonia."}


def test_spanish_headings(tmp_path: Path) -> None:
    rows = [
        ["Número de historia", "Sexo", "Edad", "Fecha de alta", "Motivo de ingreso"],
        ["3", "Mujer", "45", "2024-03-05", "Fiebre"],
    ]
    encounter = only(read(workbook(tmp_path / "a.xlsx", ("S", rows)))).encounter
    assert encounter is not None
    assert (encounter.patient.sex, encounter.discharged) == ("female", dt.date(2024, 3, 5))


def test_every_sheet_that_fits_is_read_and_another_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    heads = ["住院号", "主诉"]
    sheets = [
        ("2023", [heads, ["1", "咳嗽"]]),
        ("说明", [["本表由病案室导出"]]),
        ("空", []),
        ("2024", [heads, ["2", "发热"], ["1", "头痛"]]),
    ]
    path = workbook(tmp_path / "a.xlsx", *sheets)
    found = list(read(path))
    assert [incoming.id for incoming in found[:2]] == ["1", "2"]
    assert found[2].error is not None
    assert "sheet 2024, row 3: the same id as in sheet 2023, row 2" in found[2].error.message
    assert [record.message for record in caplog.records if "JC129" in record.message and "说明" in record.message]
    assert [incoming.id for incoming in read(path, sheet="2024")] == ["2", "1"]
    assert [incoming.id for incoming in read(path, sheet=1)] == ["1"]
    for wrong in ("2025", 9):
        with pytest.raises(UsageError, match="JC001"):
            list(read(path, sheet=wrong))


def test_hidden_sheets_are_not_read_unless_named(tmp_path: Path) -> None:
    import openpyxl

    path = workbook(
        tmp_path / "a.xlsx", ("甲", [["住院号", "主诉"], ["1", "咳嗽"]]), ("乙", [["住院号", "主诉"], ["2", "发热"]])
    )
    book = openpyxl.load_workbook(path)
    book["乙"].sheet_state = "hidden"
    book.save(path)
    assert [incoming.id for incoming in read(path)] == ["1"]
    assert [incoming.id for incoming in read(path, sheet="乙")] == ["2"]


def test_a_sheet_of_a_text_is_a_wrong_option() -> None:
    with pytest.raises(UsageError, match="JC001"):
        list(read(b"a,b\n1,2\n", sheet="S", mapping=MAPPING))


def test_a_mapping_names_what_no_heading_tells(tmp_path: Path) -> None:
    mapping = ColumnMapping(
        header=2,
        id=("号", "次"),
        language="zh",
        text=("=C",),
        patient=PatientColumns(age="几岁"),
        dates=DateColumns(discharged="走", order="dmy"),
        sections={"现病史": ("甲", "乙")},
        fields={"离院方式": "去向"},
        codes=(CodeColumns(system=System.ICD10CN, code="码", edition="国家临床版2.0"),),
    )
    rows = [
        ["号", "次", "", "几岁", "走", "甲", "乙", "去向", "码"],
        ["号", "次", "", "几岁", "走", "甲", "乙", "去向", "码"],
        ["9", 2, "主诉：头晕", 50, "05/03/2024", "一", "二", "4", "J18.900；I10.x00 高血压；高血压性肾病[I12.900]"],
    ]
    incoming = only(read(workbook(tmp_path / "a.xlsx", ("S", rows)), mapping=mapping))
    encounter = incoming.encounter
    assert encounter is not None
    assert (incoming.id, encounter.language, encounter.discharged) == ("9-2", "zh", dt.date(2024, 3, 5))
    assert [(document.title, document.text) for document in encounter.documents] == [
        ("现病史", "一"),
        ("现病史", "二"),
        ("", "主诉：头晕"),
    ]
    assert encounter.fields == {"离院方式": "4"}
    assert codes(incoming) == [
        ("ICD-10-CN", "J18.900", "", True, 1),
        ("ICD-10-CN", "I10.x00", "高血压", False, 2),
        ("ICD-10-CN", "I12.900", "高血压性肾病", False, 3),
    ]
    assert {code.edition for code in incoming.codes} == {"国家临床版2.0"}


def test_records_without_an_id_column_are_numbered_by_row(tmp_path: Path) -> None:
    path = workbook(tmp_path / "stays.xlsx", ("S", [["主诉", "现病史"], ["咳嗽", "三天"]]))
    assert only(read(path)).id == "stays-S-2"


def test_ragged_rows_where_the_mapping_allows_them() -> None:
    data = "号\t内容甲\t别的\n1\t咳嗽\n".encode()
    (bad,) = read(data, mapping=MAPPING)
    assert bad.error is not None
    assert bad.error.code == "JC124"
    assert only(read(data, mapping=MAPPING.model_copy(update={"ragged": True}))).id == "1"


def test_quotation_marks_as_text_where_the_mapping_says_so() -> None:
    mapping = MAPPING.model_copy(update={"quoted": False, "delimiter": "\t"})
    assert texts(only(read('号\t内容甲\n1\t"咳嗽"三天\n'.encode(), mapping=mapping))) == {"现病史": '"咳嗽"三天'}


cells = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc",), include_characters="\n\r\t"), min_size=1, max_size=60
).filter(
    lambda text: (
        bool(text.strip())
        and not text.startswith("#")
        and text.strip().casefold() not in ("null", "nan", "nat", "\\n", "<null>", "(null)")
    )
)


@settings(deadline=None)
@given(st.lists(cells, min_size=1, max_size=5), st.sampled_from(",\t;|"))
def test_a_cell_of_a_csv_is_the_text_of_its_document(values: list[str], delimiter: str) -> None:
    rows = [["号", "内容甲"], *([f"r{number}", value] for number, value in enumerate(values))]
    mapping = MAPPING.model_copy(update={"delimiter": delimiter})
    found = list(read(csv_bytes(rows, delimiter=delimiter), mapping=mapping, name="a.csv"))
    assert [texts(incoming)["现病史"] for incoming in found] == values


def test_a_cell_of_a_workbook_is_the_text_of_its_document(tmp_path: Path) -> None:
    values = [
        "  前后空格  ",
        "全角１２３，ＡＢＣ",
        "a\n\nb\n",
        "e\u0301 é 😀",
        "=无公式"[1:],
        "１．肺炎\u3000２．高血压",
    ]
    rows = [["号", "内容甲"], *([f"r{number}", value] for number, value in enumerate(values))]
    found = list(read(workbook(tmp_path / "a.xlsx", ("S", rows)), mapping=MAPPING))
    assert [texts(incoming)["现病史"] for incoming in found] == values


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    """A broken line far behind does not matter to who stops before it: the text streams."""
    path = tmp_path / "a.csv"
    path.write_bytes("住院号,主诉\n".encode() + "".join(f"{n},咳嗽\n" for n in range(50_000)).encode() + b"\xff\n")
    stream = read(path)
    assert [next(stream).id for _ in range(3)] == ["0", "1", "2"]
    stream.close()  # type: ignore[attr-defined]
