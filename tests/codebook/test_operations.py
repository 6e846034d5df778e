"""手术级别 and 操作类别: kept where a table of procedures has them, silent where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.cn import build_cn
from jointcoder.codebook.build.operations import read_operation
from jointcoder.codebook.model import OPERATION_CATEGORIES, Operation
from jointcoder.records import System

CM3 = System.ICD9CM3


def built(folder: Path, procedures: str) -> CodeBook:
    (folder / "diagnoses.tsv").write_text("code\tname\nE11.900\t2型糖尿病\n", "utf-8")
    (folder / "procedures.csv").write_text(procedures, "utf-8")
    sources = {"diagnoses": folder / "diagnoses.tsv", "procedures": folder / "procedures.csv"}
    build_cn("cn-own", sources, folder / "book")
    return CodeBook.open(folder / "book")


@pytest.mark.parametrize(
    ("cell", "grade"),
    [("四级", 4), ("4", 4), ("4.0", 4), ("Ⅳ", 4), ("IV级", 4), ("ⅲ级", 3), ("二级手术", 2), (" １ 级 ", 1), ("", None)],
)
def test_a_grade_is_read_in_every_usual_spelling(cell: str, grade: int | None) -> None:
    assert read_operation(cell).grade == grade


@pytest.mark.parametrize("cell", ["五级", "0", "5", "特级", "—", "无", "手术", "12"])
def test_what_is_no_grade_says_nothing(cell: str) -> None:
    assert read_operation(cell) == Operation()


def test_every_category_has_words() -> None:
    words = {"surgery": "手术", "interventional": "介入治疗", "therapeutic": "治疗性操作", "diagnostic": "诊断性操作"}
    assert set(words) == set(OPERATION_CATEGORIES)
    assert all(read_operation("", word).category == name for name, word in words.items())
    assert read_operation("", "选择性").category == ""


def test_the_book_gives_what_the_table_has(tmp_path: Path) -> None:
    table = (
        "主要编码,手术名称,手术级别,类别\n"
        "36.0700,药物洗脱冠状动脉支架置入,四级,介入治疗\n"
        "88.5500,单根导管的冠状动脉造影术,,诊断性操作\n"
        "47.0901,阑尾切除术,不详,手术\n"
        "00.4500,置入一根血管的支架,,\n"
    )
    book = built(tmp_path, table)
    assert book.operation(CM3, "36.0700") == Operation(4, "interventional")
    assert book.operation(CM3, "３６.07００") == Operation(4, "interventional")
    assert book.operation(CM3, "88.5500") == Operation(None, "diagnostic")
    assert book.operation(CM3, "47.0901") == Operation(None, "surgery")
    assert not book.operation(CM3, "00.4500")
    assert not book.operation(CM3, "99.9999")
    assert not book.operation(System.ICD10CN, "E11.900")


def test_a_table_without_such_columns_says_nothing(small_cn: CodeBook) -> None:
    assert small_cn.operation(CM3, "36.0700") == Operation()


def test_two_columns_that_claim_to_be_the_grade_are_left_out(tmp_path: Path) -> None:
    book = built(tmp_path, "编码,名称,手术级别,级别\n36.0700,药物洗脱冠状动脉支架置入,四级,2\n")
    assert book.operation(CM3, "36.0700") == Operation()


def test_other_grades_make_another_book(tmp_path: Path) -> None:
    hashes = set()
    for grade in ("三级", "四级", ""):
        folder = tmp_path / f"g{grade}"
        folder.mkdir()
        hashes.add(built(folder, f"编码,名称,手术级别\n36.0700,药物洗脱冠状动脉支架置入,{grade}\n").info.sha256)
    assert len(hashes) == 3
