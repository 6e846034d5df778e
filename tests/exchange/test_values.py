"""Dates, ages and sexes as exports write them."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.exchange.values import (
    EPOCH,
    age_on,
    is_error,
    is_rounded,
    read_age,
    read_date,
    read_sex,
    stands_for_nothing,
    text_of,
)

DAY = dt.date(2024, 3, 5)


@pytest.mark.parametrize(
    "cell",
    [
        "2024-03-05", "2024/3/5", "2024.3.5", "20240305", "20240305103000", "2024年3月5日", "2024年03月05日10时30分",
        "2024-03-05 10:30", "2024-03-05T10:30:00Z", "2024/3/5 8:05:00", "２０２４年３月５日", " 2024-3-5 ", "45356",
        "45356.5", 45356, 45356.4375, 20240305.0, DAY, dt.datetime(2024, 3, 5, 23, 59),
    ],
)  # fmt: skip
def test_one_day_in_many_wordings(cell: object) -> None:
    assert read_date(cell) == DAY


@pytest.mark.parametrize(
    "cell", ["", " ", "-", "/", "NULL", "无", "不详", "1900-01-01", dt.date(1900, 1, 1), "0001-01-01"]
)
def test_what_stands_for_no_date(cell: object) -> None:
    assert read_date(cell) is None


@pytest.mark.parametrize(
    "cell",
    ["2024-02-30", "2024-13-01", "24-3-5", "2024", 12.0, "yesterday", "3000-01-01", "1850-01-01", "05/03/2024", True],
)
def test_what_is_no_date(cell: object) -> None:
    with pytest.raises(ValueError, match="date") as caught:
        read_date(cell)
    assert str(cell) not in str(caught.value)


def test_the_order_of_day_and_month_must_be_told() -> None:
    assert read_date("05/03/2024", order="dmy") == DAY
    assert read_date("03/05/2024", order="mdy") == DAY
    assert read_date("25/03/2024") == dt.date(2024, 3, 25)
    assert read_date("3/3/2024") == dt.date(2024, 3, 3)
    with pytest.raises(ValueError, match="calendar"):
        read_date("25/03/2024", order="mdy")


@settings(deadline=None)
@given(st.dates(dt.date(1950, 1, 1), dt.date(2100, 12, 31)))
def test_every_day_is_read_in_every_form(day: dt.date) -> None:
    forms = [
        day.isoformat(),
        f"{day:%Y%m%d}",
        f"{day.year}/{day.month}/{day.day}",
        f"{day.year}年{day.month}月{day.day}日",
    ]
    assert {read_date(form) for form in forms} == {day}
    assert read_date((day - EPOCH).days) == read_date(float((day - EPOCH).days)) == day


@pytest.mark.parametrize(
    ("cell", "years"),
    [
        ("65岁", 65), ("65", 65), (65.0, 65), ("Y65", 65), ("65 years", 65), ("６５岁", 65), ("8月", 8 / 12),
        ("8个月", 8 / 12), ("M8", 8 / 12), ("1岁2个月", 1 + 2 / 12), ("1岁零3月", 1.25), ("2 yrs 3 mo", 2.25),
        ("3天", 3 / 365.25), ("45 años", 45), ("", None), ("不详", None), ("-", None),
    ],
)  # fmt: skip
def test_ages(cell: object, years: float | None) -> None:
    assert read_age(cell) == pytest.approx(years)


@pytest.mark.parametrize("cell", ["200", "岁", "-4", "Q9", "old", 1e9])
def test_what_is_no_age(cell: object) -> None:
    with pytest.raises(ValueError, match="age"):
        read_age(cell)


def test_sexes() -> None:
    assert [read_sex(cell) for cell in ("男", "M", 1.0, "male", "varón")] == ["male"] * 5
    assert [read_sex(cell) for cell in ("女性", "f", "2", "Female")] == ["female"] * 4
    assert [read_sex(cell) for cell in ("9", "未说明的性别", "")] == ["unknown", "unknown", None]
    with pytest.raises(ValueError, match="sex"):
        read_sex("甲")


def test_age_from_birth() -> None:
    assert age_on(dt.date(1960, 3, 6), DAY) == 63
    assert age_on(dt.date(1960, 3, 5), DAY) == 64
    assert age_on(dt.date(2023, 12, 5), DAY) == pytest.approx(3 / 12)
    with pytest.raises(ValueError, match="born"):
        age_on(dt.date(2025, 1, 1), DAY)


def test_cells_as_text() -> None:
    assert text_of("  ３级，极高危 \n") == "  ３级，极高危 \n"
    assert [text_of(cell) for cell in (5.0, 5.5, True, DAY)] == ["5", "5.5", "TRUE", "2024-03-05"]
    assert text_of(dt.datetime(2024, 3, 5, 8, 30)) == "2024-03-05 08:30:00"
    assert text_of(dt.datetime(2024, 3, 5)) == "2024-03-05"
    assert [text_of(cell) for cell in ("NULL", "nan", "\\N", "#REF!", "")] == [""] * 5
    assert text_of("无") == "无"  # an answer in a text
    assert stands_for_nothing("无")
    assert is_error("#N/A")
    assert not is_error("#1 fracture")
    assert is_rounded(1.2345678901234567e17)
    assert not is_rounded(123456789012.0)
