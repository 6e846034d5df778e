"""The edition of the discharge date: fiscal years, what happens between and beyond them, and what a record says."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build import build_us
from jointcoder.codebook.editions import Editions, covers, fiscal_year, in_force
from jointcoder.coder import Coder
from jointcoder.errors import AssetError
from jointcoder.records import Encounter, System
from jointcoder.settings import Settings

CALENDAR = "system\tcode\tvalid_from\tvalid_to\nCM\tI10\t20151001\t20270331\nCM\tM179\t20151001\t20240930\n"


@pytest.fixture
def shelf(us_sources: dict[str, Path], tmp_path: Path) -> Settings:
    """A cache that holds the fiscal years 2024 and 2026."""
    settings = Settings(cache=tmp_path)
    for year in (2024, 2026):
        target = settings.books_dir / f"us-{year}"
        tabular = us_sources["tabular"].with_name(f"icd10cm-tabular-{year}-x.xml")
        tabular.write_text(us_sources["tabular"].read_text("utf-8").replace("2099", str(year)), "utf-8")
        build_us({**us_sources, "tabular": tabular}, target, book_id=f"us-{year}")
    return settings


@given(st.dates(dt.date(2000, 1, 1), dt.date(2090, 12, 31)))
def test_a_day_lies_in_its_own_fiscal_year(day: dt.date) -> None:
    period = in_force(f"us-{fiscal_year(day)}")
    assert period is not None
    assert day in period
    assert period.end - period.start >= dt.timedelta(days=364)


def test_chinese_books_are_not_dated() -> None:
    assert in_force("cn-yb2") is None


@pytest.mark.parametrize(
    ("day", "chosen", "covered"),
    [
        (dt.date(2023, 10, 1), "us-2024", True),
        (dt.date(2024, 9, 30), "us-2024", True),
        (dt.date(2025, 3, 1), "us-2024", False),
        (dt.date(2025, 10, 1), "us-2026", True),
        (dt.date(2030, 1, 1), "us-2026", False),
        (dt.date(2019, 1, 1), "us-2024", False),
        (None, "us-2026", True),
    ],
)
def test_the_edition_of_a_day(shelf: Settings, day: dt.date | None, chosen: str, covered: bool) -> None:
    book = Editions.open(shelf).on(day)
    assert book.info.id == chosen
    assert covers(book, day) is covered


def test_a_named_book_is_not_overruled_by_the_date(shelf: Settings) -> None:
    assert Editions.open(shelf, "us-2026").on(dt.date(2024, 1, 1)).info.id == "us-2026"
    pinned = shelf.model_copy(update={"code_book": "us-2024"})
    assert Editions.open(pinned).on(dt.date(2026, 1, 1)).info.id == "us-2024"


def test_a_damaged_year_does_not_stop_the_others(shelf: Settings) -> None:
    (shelf.books_dir / "us-2024" / "book.sqlite").write_bytes(b"not a database")
    assert [book.info.id for book in Editions.open(shelf).books] == ["us-2026"]
    (shelf.books_dir / "us-2026" / "meta.json").write_text("{}", "utf-8")
    with pytest.raises(AssetError, match="JC207"):
        Editions.open(shelf)


def test_no_book_at_all_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="JC203") as caught:
        Editions.open(Settings(cache=tmp_path))
    assert "jointcoder setup" in caught.value.hint


def test_records_are_coded_by_the_edition_of_their_day_and_name_it(shelf: Settings) -> None:
    text = "Discharge diagnosis: essential hypertension."
    days = [dt.date(2026, 1, 5), dt.date(2024, 1, 5), dt.date(2026, 2, 5), None, dt.date(2031, 1, 1)]
    stays = [Encounter.from_text(text, id=str(n), discharged=day) for n, day in enumerate(days)]
    with Coder(shelf, workflow="lexical") as coder:
        records = list(coder.code_many(stays, batch=5))
        alone = coder.code(stays[1])
    assert [record.encounter for record in records] == ["0", "1", "2", "3", "4"]
    assert [r.versions.code_book for r in records] == ["us-2026", "us-2024", "us-2026", "us-2026", "us-2026"]
    assert all("I10" in [code.code for code in record.codes] for record in records)
    assert ["FY2024" in record.versions.edition for record in records] == [False, True, False, False, False]
    assert [[flag.code for flag in record.flags if flag.code == "JC504"] for record in records] == [[]] * 4 + [
        ["JC504"]
    ]
    assert alone.codes == records[1].codes


def test_after_the_calendars_last_day_the_last_day_counts(us_sources: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "code_validity_calendar.tsv").write_text(CALENDAR, "utf-8")
    build_us({**us_sources, "calendar": tmp_path / "code_validity_calendar.tsv"}, tmp_path / "book", book_id="us-2099")
    book = CodeBook.open(tmp_path / "book")
    assert book.last_day == dt.date(2027, 3, 31)
    assert book.is_valid(System.ICD10CM, "I10", dt.date(2028, 1, 1))
    assert not book.is_valid(System.ICD10CM, "M17.9", dt.date(2028, 1, 1))
    assert book.is_valid(System.ICD10CM, "M17.9", dt.date(2024, 9, 30))
    assert not book.is_valid(System.ICD10CM, "I10", dt.date(2015, 9, 30))


def test_a_copied_book_is_found_by_its_folder(shelf: Settings, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(shelf.books_dir / "us-2024", copy)
    assert json.loads((copy / "meta.json").read_text("utf-8"))["id"] == "us-2024"
    assert Editions.open(shelf, str(copy)).main.path == copy
