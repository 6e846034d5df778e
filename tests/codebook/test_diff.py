"""What changed between two editions, as a function and as a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build import build_us
from jointcoder.codebook.diff import KINDS, Change, counts, diff
from jointcoder.errors import CodeBookError
from jointcoder.records import System
from tests.cli.command import jointcoder

CM, PCS = System.ICD10CM, System.ICD10PCS
LATER = (
    ("I15.8", "I15.9"),  # one gone, one new
    ("Renovascular hypertension", "Hypertension of renal vessels"),
    ("Essential (primary) hypertension", "ESSENTIAL (primary)  hypertension"),  # not renamed
    ("<diag><name>M17.9</name>", "<diag><name>M17.9</name><desc>Osteoarthritis of knee, unspecified</desc>"
     "<diag><name>M17.91</name>"),
    ("side</desc></diag></diag>", "side</desc></diag></diag>"),
)  # fmt: skip


@pytest.fixture(scope="module")
def shelf(us_sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the books us-2024 and us-2026."""
    cache = tmp_path_factory.mktemp("diff")
    first = us_sources["tabular"].read_text("utf-8").replace("2099", "2024")
    second = first.replace("2024", "2026")
    for old, new in LATER:
        second = second.replace(old, new)
    second = second.replace(
        "unspecified</desc></diag></diag></section>", "unspecified</desc></diag></diag></diag></section>"
    )
    pcs = us_sources["pcs"].read_text("utf-8")
    for year, tabular, titles in (
        (2024, first, pcs),
        (2026, second, pcs + "0DTJ0ZZ Resection of Appendix, Open Approach\n"),
    ):
        (cache / f"tabular-{year}.xml").write_text(tabular, "utf-8")
        (cache / f"pcs-{year}.txt").write_text(titles, "utf-8")
        sources = {"tabular": cache / f"tabular-{year}.xml", "pcs": cache / f"pcs-{year}.txt"}
        build_us(sources, cache / "codebooks" / f"us-{year}", book_id=f"us-{year}")
    return cache


@pytest.fixture(scope="module")
def books(shelf: Path) -> tuple[CodeBook, CodeBook]:
    return CodeBook.open(shelf / "codebooks" / "us-2024"), CodeBook.open(shelf / "codebooks" / "us-2026")


def test_every_kind_of_change(books: tuple[CodeBook, CodeBook]) -> None:
    assert diff(*books, system=CM) == (
        Change(CM, "new", "I15.9", "Other secondary hypertension"),
        Change(CM, "new", "M17.91", "Osteoarthritis of knee, unspecified"),
        Change(CM, "retired", "I15.8", "Other secondary hypertension"),
        Change(CM, "renamed", "I15.0", "Hypertension of renal vessels", "Renovascular hypertension"),
        Change(CM, "became heading", "M17.9", "Osteoarthritis of knee, unspecified", billable=False),
    )
    assert [change.kind for change in diff(books[1], books[0], system=CM)][-1] == "became code"
    assert [(c.kind, c.code) for c in diff(*books, system=PCS)] == [("new", "0DTJ0ZZ")]


def test_both_systems_and_counts(books: tuple[CodeBook, CodeBook]) -> None:
    found = counts(diff(*books))
    assert found[PCS] == {**dict.fromkeys(KINDS, 0), "new": 1}
    assert found[CM] == {"new": 2, "retired": 1, "renamed": 1, "became heading": 1, "became code": 0}


def test_a_book_does_not_differ_from_itself(books: tuple[CodeBook, CodeBook], small: CodeBook) -> None:
    for book in (*books, small):
        assert diff(book, book) == ()


def test_books_of_other_systems_cannot_be_compared(small: CodeBook, chinese: CodeBook) -> None:
    with pytest.raises(CodeBookError, match=r"JC503: .*ICD-10-CM.*ICD-10-CN"):
        diff(small, chinese)
    with pytest.raises(CodeBookError, match="JC503"):
        diff(small, small, system=System.ICD10CN)


def test_the_command(shelf: Path) -> None:
    ran = jointcoder("codebook", "diff", "2024", "us-2026", cache=shelf)
    assert ran.returncode == 0, ran.stderr
    lines = [line.split("\t") for line in ran.stdout.splitlines()]
    assert lines[0] == ["ICD-10-CM", "new", "2"]
    assert ["ICD-10-CM", "renamed", "I15.0", "Hypertension of renal vessels", "was: Renovascular hypertension"] in lines
    folders = [str(shelf / "codebooks" / f"us-{year}") for year in (2024, 2026)]
    ran = jointcoder("codebook", "diff", *folders, "--system", "pcs", "--json", cache=shelf)
    answer = json.loads(ran.stdout)
    assert answer["old"]["id"] == "us-2024"
    assert answer["counts"]["ICD-10-PCS"]["new"] == 1
    assert [change["code"] for change in answer["changes"]] == ["0DTJ0ZZ"]


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (("2025", "2026"), "JC203", 5),
        (("us-1815", "2026"), "JC206", 5),
        (("2024", "2026", "--system", "icd-12"), "JC001", 2),
        (("2024", "2026", "--system", "ICD-10-CN"), "JC503", 4),
    ],
)
def test_errors_of_the_command(shelf: Path, arguments: tuple[str, ...], code: str, status: int) -> None:
    ran = jointcoder("codebook", "diff", *arguments, cache=shelf)
    assert (ran.returncode, ran.stdout) == (status, "")
    assert ran.stderr.startswith(code)
