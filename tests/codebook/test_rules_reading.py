"""Records as people hand them in: forms, spellings, and what is refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.rules import check_record, read_record
from jointcoder.errors import InputError
from jointcoder.records import CodedRecord, Role, System, Versions
from tests.codebook.ruled import chinese_book, record, us_book

SECRET = "Mrs Miller fell down the stairs"


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    return us_book(tmp_path_factory.mktemp("read") / "us")


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    return chinese_book(tmp_path_factory.mktemp("read") / "cn")


@pytest.mark.parametrize("written", ["I11.0", "i110", "ｉ１１．０", "I11。0", " I11.0 "])
def test_any_spelling_of_a_code(book: CodeBook, written: str) -> None:
    codes = read_record([written]).assigned(book)
    assert [(code.code, code.role) for code in codes] == [("I11.0", Role.PRINCIPAL)]


def test_the_book_tells_the_system(book: CodeBook, chinese: CodeBook) -> None:
    codes = read_record(["M17.11", "0srC0j9", "Q99.9", "0QQ0QQQ"]).assigned(book)
    assert [code.system for code in codes] == [System.ICD10CM, System.ICD10PCS, System.ICD10CM, System.ICD10PCS]
    assert [code.role for code in codes].count(Role.PRINCIPAL) == 2
    codes = read_record(["e11.401+g63.2*", "E11.401†G63.2∗", "51.2300"]).assigned(chinese)
    assert [code.code for code in codes] == ["E11.401+G63.2*", "E11.401+G63.2*", "51.2300"]


def test_the_light_form(book: CodeBook) -> None:
    data = {
        "id": "7",
        "codes": [{"code": "I10", "role": "secondary"}, {"code": "N40.0", "role": "principal"}],
        "patient": {"age_years": 60, "sex": "female"},
        "discharged": "2026-01-01",
    }
    read = read_record(data)
    assert (read.id, read.discharged) == ("7", dt.date(2026, 1, 1))
    assert [finding.rule for finding in check_record(book, data)] == ["sex"]
    assert [finding.rule for finding in check_record(book, {**data, "discharged": "2014-01-01"})] == [
        "not-valid",
        "not-valid",
    ]
    assert check_record(book, {**data, "patient": {"sex": "male"}}) == []


def test_a_coded_record(book: CodeBook) -> None:
    coded = CodedRecord(
        encounter="e1", language="en", codes=tuple(record(book, "I50.9 I11.0")), versions=Versions(program="1")
    )
    for form in (coded, coded.model_dump(mode="json")):
        assert [finding.rule for finding in check_record(book, form)] == ["principal-code-first"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (SECRET, "JC108"),
        (7, "JC108"),
        ({}, "JC108"),
        ({"codes": SECRET}, "JC108"),
        ({"codes": [SECRET]}, "JC108"),
        ({"codes": ["Miller"]}, "JC108"),
        ({"codes": [""]}, "JC108"),
        ({"codes": ["E11.9" * 30]}, "JC108"),
        ({"codes": [7]}, "JC108"),
        ({"codes": [{"code": "I10", "system": SECRET}]}, "JC108"),
        ({"codes": [{"code": "I10", "role": SECRET}]}, "JC108"),
        ({"codes": [{"code": "I10", "present_on_admission": SECRET}]}, "JC108"),
        ({"codes": [{"code": "I10", "rank": -1}]}, "JC108"),
        ({"codes": [{"code": "I10", SECRET: 1}]}, "JC103"),
        ({"codes": ["I10"], SECRET: 1}, "JC103"),
        ({"codes": ["I10"], "patient": {"sex": SECRET}}, "JC108"),
        ({"codes": ["I10"], "patient": {SECRET: 1}}, "JC108"),
        ({"codes": ["I10"], "discharged": SECRET}, "JC108"),
        ({"codes": ["I10"], "id": {"name": SECRET}}, "JC108"),
        ({"codes": [], "versions": SECRET, "encounter": SECRET}, "JC108"),
    ],
)
def test_what_is_refused_names_the_field_and_never_its_content(book: CodeBook, data: Any, code: str) -> None:
    with pytest.raises(InputError) as caught:
        check_record(book, data)
    assert caught.value.code == code
    said = f"{caught.value.message} {caught.value.hint}"
    assert "Miller" not in said
    assert "stairs" not in said
