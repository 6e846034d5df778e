"""Front pages: what the page says of a coded record, and how the layouts are filled."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.errors import UsageError
from jointcoder.exchange.frontpage import (
    COMPANION,
    front_page,
    page_data,
    place_of,
)
from jointcoder.exchange.frontpage_layout import Layout, layouts
from jointcoder.records import (
    AssignedCode,
    Encounter,
    Link,
    Patient,
    PresentOnAdmission,
    Role,
    System,
    Versions,
)

from .frontpages import CM3, STAY, diagnosis, graded_book, procedure, record


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    return graded_book(tmp_path_factory.mktemp("graded"))


# ------------------------------------------------------------------------------------------------------------ the page


def test_the_main_diagnosis_comes_first_and_conditions_are_numbered() -> None:
    page = front_page(STAY)
    assert [(one.place, one.code, one.admission) for one in page.diagnoses] == [
        ("main", "I20.000", "1"),
        ("other", "E11.900", "1"),
        ("other", "J18.900", "4"),
        ("other", "I25.103", "3"),
        ("other", "K29.500", "2"),
    ]
    assert [(one.code, one.main) for one in page.procedures] == [("36.0700", True), ("88.5500", False)]
    assert page.flags == ()


def test_every_indicator_but_exempt_has_a_number() -> None:
    assert set(page_data()["admission"]) == {one.value for one in PresentOnAdmission} - {"1"}
    exempt = front_page(record(diagnosis("Z37.000", "单一活产", poa="1", main=True)))
    assert exempt.diagnoses[0].admission == ""


def test_grades_come_from_the_book_or_from_nowhere(graded: CodeBook, small_cn: CodeBook) -> None:
    with_grades = front_page(STAY, book=graded).procedures
    assert [(one.grade, one.category) for one in with_grades] == [(4, "interventional"), (None, "diagnostic")]
    assert [one.grade for one in front_page(STAY, book=small_cn).procedures] == [None, None]
    assert [one.grade for one in front_page(STAY).procedures] == [None, None]


def test_names_are_those_of_the_book_in_chinese(small_us: CodeBook, graded: CodeBook) -> None:
    renamed = front_page(record(procedure("88.5500", "angiography", main=True)), book=graded)
    assert renamed.procedures[0].name == "造影"
    american = AssignedCode(system=System.ICD10CM, code="J18.9", name="Pneumonia", role=Role.PRINCIPAL, confidence=1)
    assert front_page(record(american), book=graded).diagnoses[0].name == "Pneumonia"
    assert front_page(record(american), book=small_us).diagnoses[0].name  # a book without Chinese names keeps its own


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("W19.x00", "external"),
        ("M81400/3", "pathology"),
        ("M80.000", "other"),
        ("I20.000", "other"),
        ("V89", "external"),
    ],
)
def test_external_causes_and_morphology_have_places_of_their_own(code: str, place: str) -> None:
    assert place_of(code) == place


def test_a_page_without_main_diagnosis_says_so() -> None:
    assert [flag.code for flag in front_page(record()).flags] == ["JC144"]
    only_cause = front_page(record(diagnosis("W19.x00", "跌倒", main=True)))
    assert [flag.code for flag in only_cause.flags] == ["JC144"]


def test_administrative_fields_pass_untouched() -> None:
    fields = {"离院方式": "1", "病案号": "000123", "备注 ": " 两个空格  "}
    encounter = Encounter.from_text("x", id="b1", fields=fields)
    assert front_page(STAY, encounter=encounter).fields == fields


def test_details_of_procedures_are_found_by_their_code() -> None:
    fields = {
        "手术编码1": "88.5500",
        "手术日期1": "2026-03-01",
        "术者1": "张三",
        "手术编码2": "36.0700",
        "手术日期2": "2026-03-02",
        "手术编码3": "99.0400",
        "手术日期3": "2026-03-03",
    }
    page = front_page(STAY, encounter=Encounter.from_text("x", id="b1", fields=fields))
    assert [one.given for one in page.procedures] == [
        {"date": "2026-03-02"},
        {"date": "2026-03-01", "surgeon": "张三"},
    ]
    assert "手术日期3" not in page.taken
    assert "手术日期2" in page.taken


def test_an_unnumbered_date_is_given_to_an_only_operation_and_to_no_other() -> None:
    encounter = Encounter.from_text("x", id="b1", fields={"手术日期": "2026-03-02", "术者": "李四"})
    stent = procedure("36.0700", "药物洗脱冠状动脉支架置入", rank=1, main=True)
    count = procedure("00.4500", "置入一根血管的支架", rank=2)
    companion = count.with_(links=(Link(relation=COMPANION, system=CM3, code="36.0700"),))
    told = {"date": "2026-03-02", "surgeon": "李四"}
    for codes, given_to in (((stent,), [told]), ((stent, companion), [told, told]), ((stent, count), [{}, {}])):
        page = front_page(record(*codes), encounter=encounter)
        assert [one.given for one in page.procedures] == given_to
    assert [one.given for one in front_page(STAY, encounter=encounter).procedures] == [{}, {}]


# ----------------------------------------------------------------------------------------------------------- layouts


def test_every_layout_is_whole() -> None:
    assert set(layouts()) == {"hqms", "hqms-tcm", "settlement"}
    for name in layouts():
        layout = Layout.find(name)
        assert layout.id == name
        assert layout.title
        known = {column for columns in layout.names.values() for column in columns}
        assert set(layout.encounter) <= known
        filled = {what for block in layout.blocks if block.kind == "procedure" for _, what, *_ in block.columns}
        assert filled <= {"code", "name", "grade", "main", *page_data()["given"]}


def test_the_row_of_hqms() -> None:
    encounter = Encounter.from_text(
        "x",
        id="b1",
        patient=Patient(age_years=66.5, sex="female"),
        admitted=dt.date(2026, 3, 1),
        discharged=dt.date(2026, 3, 9),
        fields={"病案号": "000123", "离院方式": "2", "XM": "某某", "手术编码1": "36.0700", "手术日期1": "2026-03-02"},
    )
    filled = Layout.find("hqms").fill(front_page(STAY, encounter=encounter))
    row = {name: value for name, value in filled.row.items() if value}
    assert row == {
        **{
            "BAH": "000123",
            "XM": "某某",
            "XB": "2",
            "NL": "66",
            "RYSJ": "2026-03-01",
            "CYSJ": "2026-03-09",
            "LYFS": "2",
        },
        **{"ZYZD": "不稳定型心绞痛", "JBDM": "I20.000", "RYBQ": "1"},
        **{"QTZD1": "2型糖尿病", "JBDM1": "E11.900", "RYBQ1": "1", "QTZD2": "肺炎", "JBDM2": "J18.900", "RYBQ2": "4"},
        **{"QTZD3": "冠状动脉粥样硬化性心脏病", "JBDM3": "I25.103", "RYBQ3": "3"},
        **{"QTZD4": "慢性胃炎", "JBDM4": "K29.500", "RYBQ4": "2"},
        **{"SSJCZBM1": "36.0700", "SSJCZMC1": "药物洗脱冠状动脉支架置入", "SSJCZRQ1": "2026-03-02"},
        **{"SSJCZBM2": "88.5500", "SSJCZMC2": "单根导管的冠状动脉造影术"},
    }
    assert filled.overflow == ()
    assert filled.flags == ()


def test_the_nodes_of_the_settlement_list(graded: CodeBook) -> None:
    filled = Layout.find("settlement").fill(front_page(STAY, book=graded))
    assert filled.nodes["diseinfo"][0] == {
        "diag_type": "1",
        "diag_code": "I20.000",
        "diag_name": "不稳定型心绞痛",
        "adm_cond_type": "1",
        "maindiag_flag": "1",
    }
    assert [row["maindiag_flag"] for row in filled.nodes["diseinfo"]] == ["1", "0", "0", "0", "0"]
    assert [row["oprn_oprt_type"] for row in filled.nodes["oprninfo"]] == ["1", "2"]
    assert filled.nodes["setlinfo"][0]["diag_code_cnt"] == "5"


def test_what_does_not_fit_is_flagged_and_kept() -> None:
    others = [diagnosis(f"A{n:02d}.000", f"诊断{n}", rank=n + 1, poa="Y", main=n == 0) for n in range(45)]
    causes = [diagnosis("W19.x00", "跌倒", rank=50), diagnosis("Y92.000", "在家", rank=51)]
    page = front_page(record(*others, *causes), encounter=Encounter.from_text("x", id="b1", fields={"院区": "东"}))
    filled = Layout.find("hqms").fill(page)
    assert filled.row["JBDM40"] == "A40.000"
    assert [(one.what, one.code) for one in filled.overflow] == [
        *[("other", f"A{n}.000") for n in range(41, 45)],
        ("external", "Y92.000"),
        ("field", "院区"),
    ]
    assert [flag.code for flag in filled.flags] == ["JC140", "JC146"]


def test_another_edition_than_the_layout_takes_is_flagged() -> None:
    settlement = Layout.find("settlement")
    mixed = "ICD-10 国家临床版2.0, ICD-9-CM-3 医保版2.0"
    (flag,) = settlement.fill(
        front_page(STAY.model_copy(update={"versions": Versions(program="0", edition=mixed)}))
    ).flags
    assert flag.code == "JC145"
    assert "国家临床版2.0" in flag.message
    assert "ICD-9-CM-3" not in flag.message
    right = Versions(program="0", edition="ICD-10 医保版2.0, ICD-9-CM-3 医保版2.0")
    assert settlement.fill(front_page(STAY.model_copy(update={"versions": right}))).flags == ()


def test_a_layout_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(
        'id = "ours"\ntitle = "本院"\nform = "row"\n'
        '[[block]]\nkind = "main"\ncolumns = [["编码", "code"], ["主要", "main", "是", "否"], ["版本", "=2"]]\n',
        "utf-8",
    )
    filled = Layout.find(str(file)).fill(front_page(STAY))
    assert filled.row == {"编码": "I20.000", "主要": "是", "版本": "2"}
    assert len(filled.overflow) == 6
    assert {one.what for one in filled.overflow} == {"other", "procedure"}


@pytest.mark.parametrize(
    "text",
    [
        "not toml [",
        'id = "x"\ntitle = ""\nform = "row"\n',
        'id = "x"\ntitle = ""\nform = "row"\n[[block]]\nkind = "weather"\ncolumns = []\n',
        'id = "x"\ntitle = ""\nform = "cube"\n[[block]]\nkind = "main"\ncolumns = [["A", "code"]]\n',
        'id = "x"\ntitle = ""\nform = "row"\n[[block]]\nkind = "main"\ncolumns = [["A", "code"], ["A", "name"]]\n',
        'id = "x"\ntitle = ""\nform = "row"\n[[block]]\nkind = "main"\ncolumns = [["A"]]\n',
        'id = "x"\ntitle = ""\nform = "row"\n[[block]]\nkind = "main"\nnode = "n"\ncolumns = [["A", "code"]]\n',
    ],
)
def test_a_broken_layout_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(UsageError, match="JC001"):
        Layout.find(str(file))
    with pytest.raises(UsageError, match="known: hqms"):
        raise_hint("nowhere")


def raise_hint(name: str) -> None:
    try:
        Layout.find(name)
    except UsageError as error:
        raise UsageError(error.code, error.hint) from None
