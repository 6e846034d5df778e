"""The alphabetic index: main term and subterms, see and see also, modifiers, tables, and wordings for searching."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build import build_us
from jointcoder.codebook.build.alphabetic import read_index
from jointcoder.codebook.build.crossref import CrossIndex
from jointcoder.codebook.index import DRUGS, Index
from jointcoder.codebook.lookup import Lookup
from jointcoder.codebook.outline import alternatives, words_of
from jointcoder.records import Kind, System
from tests.codebook import us_files

CM = System.ICD10CM


@pytest.fixture(scope="module")
def book(us_sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    folder = tmp_path_factory.mktemp("index")
    build_us({**us_sources, **us_files.write_all(folder)}, folder / "book", book_id="small")
    return CodeBook.open(folder / "book")


@pytest.fixture(scope="module")
def index(book: CodeBook) -> Index:
    return Index(book)


@pytest.mark.parametrize(
    ("term", "path", "code", "rest"),
    [
        ("hypertension", "Hypertension, hypertensive", "I10", ()),
        ("benign hypertension", "Hypertension, hypertensive", "I10", ()),
        ("Renovascular Hypertension", "Hypertension, hypertensive, renovascular", "I15.0", ()),
        ("hypertension due to stenosis of the renal artery", "Hypertension, hypertensive, with, ste", "I15.0", ()),
        ("hypertensive crisis", "Hypertension, hypertensive", "I10", ("crisis",)),
        ("sprained ankle sprain", "Sprain, ankle", "S93.4-", ("sprained",)),
        ("falls", "Fall, falling", "W19", ()),
    ],
)
def test_main_term_first_then_subterms(index: Index, term: str, path: str, code: str, rest: tuple[str, ...]) -> None:
    first = index.find(term)[0]
    assert first.line.path.startswith(path)
    assert (first.code, first.rest, first.via) == (code, rest, ())


def test_see_is_followed_and_said(index: Index) -> None:
    renal = index.find("renal hypertension")[0]
    assert renal.code == "I15.0"
    assert [line.path for line in renal.via] == ["Hypertension, hypertensive, renal"]
    pressure = index.find("high blood pressure")[0]
    assert (pressure.code, pressure.line.title) == ("I10", "Hypertension, hypertensive")


def test_see_also_is_offered(index: Index) -> None:
    found = index.navigate("Hypertension, vascular")
    assert found is not None
    assert [line.code for line in found.offered] == [""]
    assert [line.title for line in found.offered] == ["renal"]


def test_references_in_a_circle_end(index: Index) -> None:
    found = index.navigate("Loop, one")
    assert found is not None
    assert found.code == ""
    assert all(not one.code for one in index.find("loop one"))


@pytest.mark.parametrize(
    ("path", "code", "rest"),
    [
        ("Hypertension, renovascular", "I15.0", ()),
        ("hypertensive, with, stenosis of renal artery", "I15.0", ()),
        ("Hypertension, with stenosis of renal artery", "I15.0", ()),
        ("Hypertension, secondary", "I15.8", ()),  # the title goes on: "secondary NEC"
        ("Hypertension, portal", "I10", ("portal",)),
        ("Sarcoma, of synovia", "I15.8", ()),  # through see, to a cell of the neoplasm table
    ],
)
def test_paths_as_printed(index: Index, path: str, code: str, rest: tuple[str, ...]) -> None:
    found = index.navigate(path)
    assert found is not None
    assert (found.code, found.rest) == (code, rest)


def test_unknown_terms_find_nothing(index: Index) -> None:
    assert index.find("zebra") == []
    assert index.find("the of with") == []
    assert index.find("") == []
    assert index.navigate("Zebra, striped") is None
    assert index.entries_of("Z99.9") == ()
    assert index.drug("zebra") is None
    assert index.neoplasm("zebra") is None


def test_entries_of_a_code(index: Index) -> None:
    assert [line.path for line in index.entries_of("i150")] == [
        "Hypertension, hypertensive, with, stenosis of renal artery",
        "Hypertension, hypertensive, renovascular",
        "Hypertension, hypertensive, renal",
    ]
    assert [line.title for line in index.entries_of("S93.4XXA")] == ["ankle"]  # the dash stands for all below
    assert "Gonarthrosis" in [line.title for line in index.entries_of("I15.8")]  # as second code
    assert [line.title for line in index.entries_of("C49.20")] == ["knee"]


def test_the_second_code_is_kept(index: Index) -> None:
    line = index.find("gonarthrosis")[0].line
    assert (line.code, line.manifestation) == ("M17.9", "I15.8")
    assert [one.code for one in index.below(line)] == ["M17.10"]


def test_tables(index: Index) -> None:
    row = index.drug("devil's dung")
    assert row is not None
    assert (row.line.title, dict(row.columns)) == ("Asafetida", {"Poisoning": "T48.4X1"})
    assert index.find("asafetida") == []  # a substance is no condition
    assert index.find("asafetida", source=DRUGS)[0].line.title == "Asafetida"
    knee = index.neoplasm("knee, connective tissue")
    assert knee is not None
    assert dict(knee.columns) == {"Malignant Primary": "C49.2-"}


def test_lines_are_wordings_of_their_codes(book: CodeBook) -> None:
    lookup = Lookup(book)

    def best(text: str) -> tuple[str, str]:
        hit = lookup.search(text, kind=Kind.DIAGNOSIS, lang="en", k=1)[0]
        return hit.code, hit.term

    assert best("renal hypertension") == ("I15.0", "Hypertension, renal")  # a see line's own wording
    assert best("gonarthrosis") == ("M17.9", "Gonarthrosis")
    terms = book.terms(CM, "I10")
    assert "Hypertension (accelerated) (benign) (essential)" in [t.text for t in terms if t.kind == "index"]
    assert not [t for t in book.terms(CM, "I15.8") if "Osteoarthritis" in t.text]  # "by type" names no code


def test_words_of_the_index_are_not_spotted_alone(book: CodeBook) -> None:
    lookup = Lookup(book)
    assert lookup.spot("An accident, a fall on the stairs; gonarthrosis.", "en") == []
    spotted = lookup.spot("He has renal hypertension.", "en")
    assert [one.hits[0].code for one in spotted] == ["I15.0"]


def test_a_wording_without_side_goes_to_the_heading(book: CodeBook) -> None:
    """M17.10 is the unspecified side of M17.1: the text may say which."""
    assert "index" in [term.kind for term in book.terms(CM, "M17.1")]
    assert "index" not in [term.kind for term in book.terms(CM, "M17.10")]


def test_books_without_an_index_answer_nothing(small: CodeBook, chinese: CodeBook) -> None:
    for one in (small, chinese):
        index = Index(one)
        assert not index
        assert index.find("hypertension") == []
        assert index.navigate("Hypertension") is None
        assert index.entries_of("I10") == ()
        assert index.drug("aspirin") is None
        assert index.neoplasm("knee") is None


@given(st.text(max_size=60))
def test_any_text_may_be_asked(index: Index, text: str) -> None:
    for found in index.find(text):
        assert found.line.path
        assert len(found.via) <= 8
    index.navigate(text)
    index.drug(text)
    index.neoplasm(text)
    index.entries_of(text)


@given(st.text(max_size=60))
def test_readings_of_a_title(title: str) -> None:
    readings = alternatives(title)
    assert readings[0] == words_of(title)
    assert len(set(readings)) == len(readings)


def test_the_official_index(shared_books: Path) -> None:
    """Every line of the four files is read, and most references are understood."""
    files = {
        "alphabetic": "ICD10CM_2025_Index.csv",
        "external": "icd10cm-eindex-April-1-2026.xml",
        "drugs": "icd10cm-drug-April-1-2026.xml",
        "neoplasms": "icd10cm-neoplasm-April-1-2026.xml",
    }
    sheets = {source: read_index(shared_books / "us" / name) for source, name in files.items()}
    lines = {source: len(sheet.lines) for source, sheet in sheets.items()}
    assert lines == {"alphabetic": 81_024, "external": 8_090, "drugs": 7_430, "neoplasms": 1_940}
    index = CrossIndex(sheets)
    understood = sum(bool(links) and links[0].whole for links in index.see.values())
    assert understood > 0.85 * len(index.see)
    wordings = {wording: code for code, _, wording in index.wordings()}
    assert len(wordings) > 75_000
    assert wordings["Angina, progressive"] == "I20.0"
    assert wordings["Fall (accidental)"] == "W19"
    assert wordings["Hemangiosarcoma"] == "C49.9"


def test_the_built_book(us: CodeBook) -> None:
    index = Index(us)
    if not index:
        pytest.skip("the US book was built without an index")
    assert index.find("progressive angina")[0].code == "I20.0"
    row = index.drug("aspirin")
    assert row is not None
    assert "T39.011" in row.columns.values()
    breast = index.neoplasm("breast, upper-outer quadrant")
    assert breast is not None
    assert breast.columns["Malignant Primary"] == "C50.4-"
