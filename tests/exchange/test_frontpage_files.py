"""Front pages as files: there and back, formulas, failures, and the command."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.errors import InputError, UsageError
from jointcoder.exchange.frontpage import (
    FrontPage,
    PageDiagnosis,
    PageProcedure,
    front_page,
)
from jointcoder.exchange.frontpage_layout import Layout
from jointcoder.exchange.frontpage_write import CELL, ENCODINGS, Speech, guarded, unguarded, writer
from jointcoder.records import (
    Encounter,
    Finding,
    Flag,
    Severity,
)

from ..cli.command import jointcoder
from .frontpages import CM3, CN, STAY, diagnosis, graded_book, record


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    return graded_book(tmp_path_factory.mktemp("graded"))


# --------------------------------------------------------------------------------------------------- there and back

WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
DIAGNOSES = st.lists(
    st.builds(
        PageDiagnosis,
        place=st.just("other"),
        system=st.just(CN),
        code=st.from_regex(r"[A-T][0-9]{2}\.[0-9x]{3}", fullmatch=True),
        name=WORDS,
        admission=st.sampled_from(["", "1", "2", "3", "4"]),
    ),
    max_size=8,
)
PROCEDURES = st.lists(
    st.builds(
        PageProcedure,
        main=st.just(False),
        system=st.just(CM3),
        code=st.from_regex(r"[0-9]{2}\.[0-9]{4}", fullmatch=True),
        name=WORDS,
        grade=st.sampled_from([None, 1, 2, 3, 4]),
        given=st.dictionaries(st.sampled_from(["date", "surgeon", "anaesthesia"]), WORDS, max_size=2),
    ),
    max_size=6,
)


def laid(diagnoses: list[PageDiagnosis], procedures: list[PageProcedure]) -> FrontPage:
    """A page whose first diagnosis and procedure are the main ones."""
    first = [one.model_copy(update={"place": "main"}) for one in diagnoses[:1]]
    done = [one.model_copy(update={"main": place == 0}) for place, one in enumerate(procedures)]
    return FrontPage(encounter="b1", diagnoses=(*first, *diagnoses[1:]), procedures=tuple(done))


def read_csv(path: Path, encoding: str) -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return [{name: unguarded(cell) for name, cell in row.items()} for row in csv.DictReader(file)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pages=st.lists(st.builds(laid, DIAGNOSES, PROCEDURES), min_size=1, max_size=3),
    name=st.sampled_from(["hqms", "hqms-tcm"]),
    encoding=st.sampled_from(ENCODINGS),
)
def test_what_goes_out_as_csv_can_be_read_back(
    tmp_path: Path, pages: list[FrontPage], name: str, encoding: str
) -> None:
    layout, out = Layout.find(name), tmp_path / "out.csv"
    with writer("frontpage-csv", out, layout=layout, encoding=encoding) as target:
        for page in pages:
            target.add(page)
    back = [layout.page(row) for row in read_csv(out, encoding)]
    assert [one.diagnoses for one in back] == [page.diagnoses for page in pages]
    assert [one.procedures for one in back] == [page.procedures for page in pages]


@given(st.text(max_size=8))
def test_a_guarded_cell_is_never_a_formula_and_comes_back(text: str) -> None:
    cell = guarded(text)
    assert unguarded(cell) == text
    if cell and cell[0] in "=@\t\r":
        pytest.fail(f"{cell!r} is a formula")
    if cell and cell[0] in "+-":
        assert not any(character.isalpha() for character in cell)


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+A1", "-cmd|' /C calc'!A0", "\t=1"])
def test_formulas_are_guarded(text: str) -> None:
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-", "-5", "+86 139-0000-0000", "3.5", "", "正常"])
def test_numbers_and_the_lone_minus_stay(text: str) -> None:
    assert guarded(text) == text


# ------------------------------------------------------------------------------------------------------------- files


def test_the_overflow_lies_beside_the_file_and_goes_when_it_is_not_needed(tmp_path: Path) -> None:
    out, overflow = tmp_path / "out.csv", tmp_path / "out.overflow.csv"
    many = record(*[diagnosis(f"A{n:02d}.000", f"诊断{n}", rank=n + 1, main=n == 0) for n in range(43)])
    with writer("frontpage-csv", out) as target:
        (flag,) = target.add(front_page(many))
    assert flag.code == "JC140"
    assert [row["code"] for row in read_csv(overflow, "utf-8-sig")] == ["A41.000", "A42.000"]
    with writer("frontpage-csv", out) as target:
        assert target.add(front_page(STAY)) == ()
    assert not overflow.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv"]


def test_nodes_are_files_of_their_own(tmp_path: Path) -> None:
    with writer("frontpage-csv", tmp_path / "s.csv", layout=Layout.find("settlement"), encoding="gb18030") as target:
        target.add(front_page(STAY))
    rows = read_csv(tmp_path / "s.diseinfo.csv", "gb18030")
    assert [(row["id"], row["diag_code"]) for row in rows][:2] == [("b1", "I20.000"), ("b1", "E11.900")]
    assert {path.name for path in tmp_path.iterdir()} == {"s.setlinfo.csv", "s.diseinfo.csv", "s.oprninfo.csv"}


def test_the_workbook_for_people(tmp_path: Path, graded: CodeBook) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    out = tmp_path / "out.xlsx"
    finding = Finding(rule="sex", severity=Severity.WARNING, codes=("I20.000",), message="=message", citation="c")
    flagged = STAY.model_copy(update={"flags": (Flag(code="JC605", message="unsure"),), "findings": (finding,)})
    encounter = Encounter.from_text(
        "x", id="b1", fields={"备注": "=HYPERLINK(1)", "长": "字" * (CELL + 5), "控": "a\x07b"}
    )
    speech = Speech(flag=lambda flag: f"<{flag.message}>", finding=lambda one: ("W", one.message.upper(), ""))
    with writer("frontpage-xlsx", out, speech=speech) as target:
        flags = target.add(front_page(flagged, encounter=encounter, book=graded))
    assert [flag.code for flag in flags] == ["JC143", "JC147"]
    book = openpyxl.load_workbook(out)
    assert book.sheetnames == ["诊断", "手术", "提示", "其他项目"]
    assert all(sheet.freeze_panes == "A2" for sheet in book)
    assert all(sheet.column_dimensions["A"].width > 10 for sheet in book)
    rows = [[cell.value for cell in row] for row in book["诊断"].iter_rows(min_row=2)]
    assert rows[0][:6] == ["b1", 1, "主要", "I20.000", "不稳定型心绞痛", "1 有"]
    first = [cell.value for cell in book["手术"][2]]
    assert first[2:7] == ["主要", "36.0700", "药物洗脱冠状动脉支架置入", "四级", "介入治疗"]
    remarks = [[cell.value for cell in row] for row in book["提示"].iter_rows(min_row=2)]
    assert remarks[0][1:4] == ["JC605", None, "<unsure>"]
    assert remarks[1][1:4] == ["sex", "W", "=MESSAGE"]
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert all(cell.data_type != "f" for cell in cells)
    assert len(book["其他项目"]["C3"].value) == CELL


def test_json_lines_as_they_are_and_in_a_layout(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with writer("frontpage-json", out) as target:
        target.add(front_page(STAY))
    assert FrontPage.model_validate_json(out.read_text("utf-8")) == front_page(STAY)
    with writer("frontpage-json", out, layout=Layout.find("settlement")) as target:
        target.add(front_page(STAY))
    value = json.loads(out.read_text("utf-8"))
    assert value["diseinfo"][1]["diag_name"] == "2型糖尿病"
    assert value["layout"] == "settlement"


def test_a_list_of_codes(tmp_path: Path, graded: CodeBook) -> None:
    out = tmp_path / "codes.csv"
    with writer("codes-csv", out) as target:
        target.add(front_page(STAY, book=graded))
    rows = read_csv(out, "utf-8-sig")
    assert [(row["code"], row["present_on_admission"]) for row in rows[:3]] == [
        ("I20.000", "Y"),
        ("E11.900", "Y"),
        ("J18.900", "N"),
    ]
    assert rows[5] | {"confidence": ""} == {
        **{"encounter": "b1", "kind": "procedure", "rank": "1", "place": "main", "system": "ICD-9-CM-3"},
        **{"code": "36.0700", "name": "药物洗脱冠状动脉支架置入", "present_on_admission": "", "grade": "4"},
        **{"category": "interventional", "confidence": "", "edition": ""},
    }


@pytest.mark.parametrize("form", ["frontpage-csv", "frontpage-json", "codes-csv"])
def test_characters_that_no_encoding_has_are_replaced_and_flagged(tmp_path: Path, form: str) -> None:
    with writer(form, tmp_path / "x", encoding="gb18030") as target:
        flags = target.add(front_page(record(diagnosis("I20.000", "a\ud800b", main=True))))
    assert [flag.code for flag in flags] == ["JC143"]
    encoding = "utf-8" if form == "frontpage-json" else "gb18030"
    assert "a\ufffdb" in (tmp_path / "x").read_text(encoding)


def test_a_failure_leaves_the_old_file_alone(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old", "utf-8")

    def interrupted() -> None:
        with writer("frontpage-csv", out) as target:
            target.add(front_page(STAY))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert out.read_text("utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


@pytest.mark.parametrize("form", ["frontpage-csv", "frontpage-xlsx", "frontpage-json", "codes-csv"])
def test_a_folder_that_is_not_there_is_a_coded_error(tmp_path: Path, form: str) -> None:
    with pytest.raises(InputError, match="JC148"), writer(form, tmp_path / "no" / "out") as target:
        target.add(front_page(STAY))


def test_a_workbook_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(UsageError, match="JC002") as caught, writer("frontpage-xlsx", tmp_path / "x.xlsx"):
        pass
    assert "jointcoder[excel]" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_unknown_formats_and_encodings_name_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught, writer("pdf", tmp_path / "x"):
        pass
    assert "frontpage-csv" in caught.value.hint
    with pytest.raises(UsageError) as caught, writer("codes-csv", tmp_path / "x", encoding="big5"):
        pass
    assert "gb18030" in caught.value.hint


# ------------------------------------------------------------------------------------------------------- the command


def lines(path: Path, *values: Any) -> str:
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), "utf-8")
    return str(path)


def test_the_command_joins_records_and_encounters(tmp_path: Path) -> None:
    other = STAY.model_copy(update={"encounter": "b2"})
    records = lines(tmp_path / "r.jsonl", STAY.model_dump(mode="json"), other.model_dump(mode="json"))
    stays = lines(
        tmp_path / "e.jsonl", {"id": "b1", "text": "x", "fields": {"离院方式": "5"}, "patient": {"sex": "male"}}
    )
    out = tmp_path / "out.csv"
    done = jointcoder("exchange", "export", records, "-o", str(out), "--encounters", stays, cache=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = read_csv(out, "utf-8-sig")
    assert (first["LYFS"], first["XB"], first["BAH"]) == ("5", "1", "b1")
    assert (second["LYFS"], second["BAH"]) == ("", "b2")
    assert "JC142" in done.stderr
    assert "b2" in done.stderr


def test_a_line_that_is_no_record_does_not_stop_the_others(tmp_path: Path) -> None:
    secret = "不要引用的病历"
    path = tmp_path / "r.jsonl"
    lines(
        path, STAY.model_dump(mode="json"), {"encounter": secret, "codes": 3}, {"id": "x", "error": {"code": "JC101"}}
    )
    with path.open("a", encoding="utf-8") as file:
        file.write("{broken\n")
        file.write(json.dumps(STAY.model_copy(update={"encounter": "b9"}).model_dump(mode="json")) + "\n")
    out = tmp_path / "codes.csv"
    done = jointcoder("exchange", "export", str(path), "-o", str(out), "--to", "codes-csv", cache=tmp_path)
    assert done.returncode == 4
    assert {row["encounter"] for row in read_csv(out, "utf-8-sig")} == {"b1", "b9"}
    assert "line 2" in done.stderr
    assert "line 4" in done.stderr
    assert "2 written, 3 failed" in done.stderr
    assert secret not in done.stderr


def test_one_record_printed_for_people_and_a_list_are_read_too(tmp_path: Path) -> None:
    from jointcoder.exchange.coded_records import read_coded
    from jointcoder.exchange.source import Source

    value = STAY.model_dump(mode="json")
    for data in (value, [value, value]):
        text = json.dumps(data, ensure_ascii=False, indent=2)
        found = list(read_coded(Source.of(text.encode(), name="x")))
        assert [one.record for one in found] == [STAY] * (len(data) if isinstance(data, list) else 1)
    with pytest.raises(InputError, match="JC101"):
        list(read_coded(Source.of(b"\n\n", name="x")))


def test_formulas_in_a_name_reach_no_spreadsheet(tmp_path: Path) -> None:
    out = tmp_path / "codes.csv"
    with writer("codes-csv", out) as target:
        target.add(front_page(record(diagnosis("I20.000", "=cmd|'/c calc'!A1", main=True))))
    raw = list(csv.reader(io.StringIO(out.read_text("utf-8-sig"))))
    assert raw[1][6] == "'=cmd|'/c calc'!A1"
