"""Codes written out in a text are found, words that look like them are not, and taking them out leaves the words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.steps.literals import bare_name, code_literals, without_literals


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("essential hypertension I10", ["I10"]),
        ("E11.22, e11.9 and J18", ["E11.22", "e11.9", "J18"]),
        ("W19.XXXA or S52521D", ["W19.XXXA", "S52521D"]),
        ("0DTJ4ZZ", ["0DTJ4ZZ"]),
        ("高血压I10.x00x032；支架36.0700，00.6600x004", ["I10.x00x032", "36.0700", "00.6600x004"]),
        ("E11.401+G63.2*", ["E11.401", "G63.2"]),
        ("Ｉ１０ in full width", ["I10"]),
    ],
)
def test_codes_are_found(text: str, found: list[str]) -> None:
    assert code_literals(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "vitamin B12 deficiency with fracture of T12",
        "stage 3b kidney disease, haemoglobin A1c 7.2 %, L4-L5",
        "H1N1 and COVID-19, 3 of 10 beds",
        "糖尿病2型，血压160/95",
        "keep at least 0.5 of the readings",
    ],
)
def test_words_that_look_so_are_left(text: str) -> None:
    assert code_literals(text) == []
    assert without_literals(text) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Hypertension (I10)", "Hypertension"),
        ("I10 - Essential hypertension", "Essential hypertension"),
        ("2型糖尿病（E11.900）", "2型糖尿病"),
        ("type 1 diabetes mellitus (E10.-)", "type 1 diabetes mellitus"),
        ("I10", ""),
        ("fracture of T12 [S22.080A]", "fracture of T12"),
    ],
)
def test_what_is_left_is_the_name(text: str, left: str) -> None:
    assert bare_name(text) == left


def test_prose_keeps_its_form() -> None:
    assert without_literals("Cough (R05.9) is missing.\nI10 is right.") == "Cough is missing.\n is right."


@given(st.text(max_size=80))
def test_nothing_is_left_to_take_out(text: str) -> None:
    for form in (without_literals, bare_name):
        once = form(text)
        assert code_literals(once) == []
        assert form(once) == once


@pytest.mark.parametrize("fixture", ["small_us", "small_cn"])
def test_every_code_of_a_book_is_one(fixture: str, request: pytest.FixtureRequest) -> None:
    book: CodeBook = request.getfixturevalue(fixture)
    listed = [code for (code,) in book.rows("SELECT code FROM node WHERE billable")]
    assert listed
    assert [code for code in listed if not code_literals(f"it is {code}.")] == []
