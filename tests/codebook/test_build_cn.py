"""Chinese books from the tables hospitals have: forms of files, columns, codes; which file is which; refusals."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build import build_cn, build_from_directory
from jointcoder.codebook.build.tables import joined, printed_code, read_codes, read_table
from jointcoder.codebook.codes import normalise_code
from jointcoder.errors import AssetError, CodeBookError, UsageError
from jointcoder.records import System

CN, CM3 = System.ICD10CN, System.ICD9CM3
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "gb18030")
EDITIONS = {
    "cn-guolin2": ("icd10_guolin2.tsv", "icd9cm3_yb_procedures.tsv"),
    "cn-yb2": ("icd10_yb_diagnoses.tsv",),
    "cn-bj601": ("icd10_beijing_v601.tsv", "icd9cm3_xiehe_codes.tsv"),
}
Rows = Sequence[Sequence[object]]


def text(rows: Rows, delimiter: str = "\t", encoding: str = "utf-8") -> bytes:
    """Rows as a text file."""
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return file.getvalue().encode(encoding)


def workbook(rows: Rows) -> bytes:
    """Rows as a workbook whose first sheet holds something else."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["目录"])
    sheet = book.create_sheet("编码")
    for row in rows:
        sheet.append(list(row))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, bytes | Rows], Path]:
    """``put(name, rows)``: a file of that name in an empty folder."""

    def write(name: str, content: bytes | Rows) -> Path:
        path = tmp_path / "files" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else text(content))
        return path

    return write


Put = Callable[[str, "bytes | Rows"], Path]


# ------------------------------------------------------------------------------------------------ columns and codes


@pytest.mark.parametrize(
    "rows",
    [
        [("code", "name"), ("A01.001+K77.0*", "伤寒性肝炎")],
        [("疾病名称", "备注", "诊断编码"), ("伤寒性肝炎", '常用, 见"说明"', "A01.001+K77.0*")],
        [("序号", "主要编码", "附加编码", "疾病名称"), ("1", "A01.001", "K77.0*", "伤寒性肝炎")],
        [("主要编码", "附加编码", "疾病名称"), ("A01.001+", "K77.0*", "伤寒性肝炎")],
        [("ICD-10 编码（国临版）", "名称（中文）"), ("ａ01.001†k77.0＊", " 伤寒性肝炎　")],
        [("附表一 疾病分类代码",), ("2020年",), (), ("Code", "Description"), ("a01.001+k77.0*", "伤寒性肝炎")],
        [("code", "name"), ("# 以下常用", ""), (), ("A01.001+K77.0*", "伤寒性肝炎"), ("code", "name")],
    ],
)
def test_columns_are_found_by_their_headings(put: Put, rows: Rows) -> None:
    for name, content in (("t.tsv", text(rows)), ("t.csv", text(rows, ",")), ("t.xlsx", workbook(rows))):
        assert read_table(put(name, content), CN).rows == {"A01.001+K77.0*": "伤寒性肝炎"}, name


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("i10.x00x032", "I10.x00x032"),
        ("x00.x00", "X00.x00"),
        ("I10.X00", "I10.X00"),
        ("Ｉ１０．ｘ００", "I10.x00"),
        ("I10。×00", "I10.x00"),
        ("c22.101m81600/3", "C22.101M81600/3"),
        ("a18.001†g01＊", "A18.001+G01*"),
        (" 17.912a0 ", "17.912A0"),
        ("r65.200+x59.0*", "R65.200+X59.0*"),
    ],
)
def test_codes_as_the_editions_print_them(written: str, printed: str) -> None:
    assert printed_code(written) == printed
    assert normalise_code(written) == normalise_code(printed)


def test_two_columns_of_a_pair_become_one_code() -> None:
    pairs = {
        ("A18.001", "G01*"): "A18.001+G01*",
        ("A18.001+", "G01"): "A18.001+G01",
        ("C22.101", "M81600/3"): "C22.101M81600/3",
        ("B37.600", "I39.8"): "B37.600I39.8",
        ("A18.001+G01*", "G01*"): "A18.001+G01*",
        ("I10.x00", ""): "I10.x00",
    }
    assert {pair: joined(*pair) for pair in pairs} == pairs


def test_every_spelling_finds_the_code(chinese: CodeBook) -> None:
    for written in ("I10.x00x002", "i10x00x002", "I10.X00X002", "Ｉ１０．Ｘ００Ｘ００２", "I10.×00×002"):
        entry = chinese.get(CN, written)
        assert entry is not None, written
        assert entry.code == "I10.x00x002"
    for written in ("E11.401†G63.2*", "e11401＋g632＊", "E11.401+G63.2∗"):
        entry = chinese.find(written)
        assert entry is not None, written
        assert entry.code == "E11.401+G63.2*"


def test_names_and_repeated_rows(put: Put) -> None:
    rows = [
        ("名称", "编码"),
        ('甲, "乙"型', "A00.000"),
        ("同名", "A00.001"),
        ("同名", "A00.002"),
        ("同名", "a00.002"),
        ("A01", "A01"),
        ("霍乱等", "A00-A09"),
        ("两\n行", "A00.003"),
    ]
    table = read_table(put("t.csv", text(rows, ",")), CN)
    assert table.rows == {"A00.000": '甲, "乙"型', "A00.001": "同名", "A00.002": "同名", "A00.003": "两 行"}
    assert table.repeated == 1


def test_columns_of_headings_name_them(put: Put, tmp_path: Path) -> None:
    rows = [
        ("类目代码", "类目名称", "亚目代码", "亚目名称", "诊断代码", "诊断名称"),
        ("A01", "伤寒和副伤寒", "A01.0", "伤寒", "A01.000", "伤寒"),
        ("A01", "伤寒和副伤寒", "A01.1", "甲型副伤寒", "A01.100", "甲型副伤寒"),
    ]
    build_cn("own", {"diagnoses": put("t.tsv", rows)}, tmp_path / "book")
    book = CodeBook.open(tmp_path / "book")
    branch = [(one.code, one.name) for one in book.ancestors(CN, "A01.100")]
    assert branch == [("A01.1", "甲型副伤寒"), ("A01", "伤寒和副伤寒"), ("A00-B99", "某些传染病和寄生虫病")]


def test_chapters_and_morphology(put: Put, tmp_path: Path) -> None:
    diagnoses = [
        ("code", "name"),
        ("M80", "骨质疏松伴病理性骨折"),
        ("M80.000", "绝经后骨质疏松伴病理性骨折"),
        ("M800000/0", "良性肿瘤"),
        ("U07.100", "冠状病毒病"),
        ("Z00.000", "一般检查"),
    ]
    procedures = [("code", "name"), ("17.4100", "开放性机器人援助操作"), ("17.91100", "毫针治疗"), ("00.0100", "超声")]
    sources = {"procedures": put("p.tsv", procedures), "diagnoses": put("d.tsv", diagnoses)}
    build_cn("own", sources, tmp_path / "book")
    book = CodeBook.open(tmp_path / "book")

    def chapter(system: System, code: str) -> str:
        return book.ancestors(system, code)[-1].code

    dx = {code: chapter(CN, code) for code in ("M80.000", "M800000/0", "U07.100", "Z00.000")}
    assert dx == {"M80.000": "M00-M99", "M800000/0": "M8000-M9999", "U07.100": "U00-U99", "Z00.000": "Z00-Z99"}
    assert [chapter(CM3, code) for code in ("17.4100", "17.91100", "00.0100")] == ["17-17", "17-17", "00-00"]
    assert [one.code for one in book.descendants(CN, "M80")] == ["M80.0", "M80.000"]
    assert {one.code: one.level for one in book.ancestors(CM3, "17.4100")}["17"] == "category"
    assert book.parent(CM3, "17") == book.get(CM3, "17-17")


# --------------------------------------------------------------------------------------------- what a reader refuses


@pytest.mark.parametrize(
    ("content", "system", "line", "problem"),
    [
        ([("A00.000", "霍乱")], CN, 1, "no header with the columns code, name"),
        ([("编码", "诊断编码", "名称"), ("A00.000", "A00.000", "霍乱")], CN, 1, "'编码' and '诊断编码' both head"),
        ([("code", "name"), ("A00.000", "霍乱"), ("A00.0O1", "")], CN, 3, "a name is missing"),
        ([("code", "name"), ("", "霍乱")], CN, 2, "a code is missing"),
        ([("code", "name"), ("00.0100", "超声")], CN, 2, r"00\.0100 is a procedure code .* such as A00\.000"),
        ([("code", "name"), ("A00.000", "霍乱")], CM3, 2, r"A00\.000 is a diagnosis code; expected a procedure code"),
        ([("code", "name"), ("0FT40ZZ", "切除")], CM3, 2, "'0FT40ZZ' is no code"),
        ([("code", "name"), ("a00.000", "霍乱"), (), ("A00000", "副霍乱")], CN, 4, "another name than on line 2"),
        (b"", CN, 1, "empty"),
        (b"code,name\nA00.000,cholera, classical\n", CN, 2, "more fields than the header"),
        (b'code,name\nA00.000,"cholera\nA00.001,b\n', CN, 2, "quotation marks"),
        (b"code\tname\nA00.000\tok\nA00.001\t\xff\xfe\xff\n", CN, 3, "neither UTF-8 nor GBK"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), CN, 1, "not a readable workbook"),
        (b"PK\x03\x04" + b"cut off", CN, 1, "not a readable workbook"),
        (text([("code", "name"), ("A00.000", "霍乱")], encoding="utf-16")[:-1], CN, None, "UTF-16 cut off"),
    ],
)
def test_malformed_tables(put: Put, content: bytes | Rows, system: System, line: int | None, problem: str) -> None:
    where = rf"JC502: bad\.tsv, line {line or '[0-9]+'}: .*{problem}"
    with pytest.raises(CodeBookError, match=where):
        read_table(put("bad.tsv", content), system)


def test_a_workbook_of_numbers_is_refused(put: Put) -> None:
    path = put("p.xlsx", workbook([("标题",), ("手术编码", "手术名称"), ("00.0100", "超声"), (51.23, "胆囊切除术")]))
    with pytest.raises(
        CodeBookError, match=r"JC502: p\.xlsx, line 4: the code is stored as a number \(51\.23\)"
    ) as error:
        read_table(path, CM3)
    assert "format the column as text" in error.value.hint


def test_a_truncated_workbook_is_refused(put: Put) -> None:
    whole = workbook([("编码", "名称"), *((f"A00.{n:03}", f"名{n}") for n in range(500))])
    for share in (0.3, 0.9):
        path = put("t.xlsx", whole[: int(len(whole) * share)])
        with pytest.raises(CodeBookError, match=r"JC502: t\.xlsx, line"):
            read_table(path, CN)


def test_a_workbook_needs_its_reader(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put("t.xlsx", workbook([("编码", "名称"), ("A00.000", "霍乱")]))
    monkeypatch.setitem(__import__("sys").modules, "python_calamine", None)
    with pytest.raises(UsageError, match=r"JC002: t\.xlsx: reading workbooks needs python-calamine"):
        read_table(path, CN)


def test_the_old_excel_format_is_read(put: Put, tmp_path: Path) -> None:
    xlwt = pytest.importorskip("xlwt")
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("诊断")
    for place, (code, name) in enumerate(
        [("", ""), ("疾病编码", "疾病名称"), ("A00.000", "霍乱"), ("I10.x00", "高血压")]
    ):
        sheet.write(place, 1, code)
        sheet.write(place, 2, name)
    book.save(str(tmp_path / "old.xls"))
    assert read_table(tmp_path / "old.xls", CN).rows == {"A00.000": "霍乱", "I10.x00": "高血压"}


# ------------------------------------------------------------------------------------------------ which file is which

DX: Rows = [("诊断编码", "诊断名称"), ("A00.000", "霍乱"), ("I10.x00", "高血压")]
PX: Rows = [("手术编码", "手术名称"), ("00.0100", "超声"), ("51.2300", "腹腔镜下胆囊切除术")]


def test_a_hospital_builds_its_own_tables(put: Put, tmp_path: Path) -> None:
    put("疾病诊断字典.xlsx", workbook(DX))
    put("手术字典.csv", text(PX, ",", "gb18030"))
    put("科室.csv", text([("编码", "名称"), ("0101", "内科"), ("0102", "外科")], ","))
    folder = put("说明.txt", "本院自用".encode()).parent
    info = build_from_directory("cn-hospital", folder, tmp_path / "book")
    assert info.edition == "ICD-10 疾病诊断字典, ICD-9-CM-3 手术字典"
    assert info.counts[CN]["billable"] == info.counts[CM3]["billable"] == 2
    assert {source.name for source in info.sources} == {"疾病诊断字典.xlsx", "手术字典.csv"}


def test_one_table_is_enough_for_an_own_book(put: Put, tmp_path: Path) -> None:
    folder = put("diagnoses.tsv", DX).parent
    assert build_from_directory("cn-1", folder, tmp_path / "book").systems == (CN,)
    put("old.tsv", DX)  # the exact name decides
    assert build_from_directory("cn-1", folder, tmp_path / "book").edition == "ICD-10 diagnoses"


def test_two_files_for_one_place_are_an_error(put: Put, tmp_path: Path) -> None:
    put("a.tsv", DX)
    folder = put("b.csv", text(DX, ",")).parent
    with pytest.raises(UsageError, match=r"JC001: 2 files would do for diagnoses of cn-h: a\.tsv and b\.csv"):
        build_from_directory("cn-h", folder, tmp_path / "book")
    put("icd10_guolin2.csv", text(DX, ","))
    put("国家临床版2.0诊断.tsv", DX)
    put("国家临床版2.0诊断-新.tsv", DX)
    put("icd9cm3_yb_procedures.xlsx", workbook(PX))
    info = build_from_directory("cn-guolin2", folder, tmp_path / "book")
    assert [source.name for source in info.sources] == ["icd10_guolin2.csv", "icd9cm3_yb_procedures.xlsx"]
    (folder / "icd10_guolin2.csv").unlink()
    with pytest.raises(UsageError, match=r"2 files would do for ICD-10 国家临床版2\.0"):
        build_from_directory("cn-guolin2", folder, tmp_path / "book")


def test_a_known_edition_is_found_by_what_its_files_are_called(put: Put, tmp_path: Path) -> None:
    put("医保版2.0 疾病诊断.xlsx", workbook(DX))
    folder = put("医保版2.0 手术操作.csv", text(PX, ",")).parent
    info = build_from_directory("cn-yb2", folder, tmp_path / "book")
    assert info.edition == "ICD-10 医保版2.0, ICD-9-CM-3 医保版2.0"
    with pytest.raises(UsageError, match=r"missing the table of ICD-9-CM-3 国家临床版3\.0|ICD-10 国家临床版2\.0"):
        build_from_directory("cn-guolin3", folder, tmp_path / "book")


def test_mixed_editions_say_so(put: Put, tmp_path: Path) -> None:
    sources = {"diagnoses": put("icd10_yb_diagnoses.tsv", DX), "procedures": put("icd9cm3_xiehe_codes.tsv", PX)}
    info = build_cn("cn-yb2", sources, tmp_path / "book")
    assert info.edition == "ICD-10 医保版2.0, ICD-9-CM-3 协和版"


@pytest.mark.parametrize("book", ["cn-nowhere", "cn-../x", "cn-", "de-2026", "cn-A"])
def test_unknown_books(book: str, put: Put, tmp_path: Path) -> None:
    folder = put("notes.txt", b"nothing of the kind").parent
    with pytest.raises(AssetError, match="JC206: unknown code book"):
        build_from_directory(book, folder, tmp_path / "book")


def test_sources_are_named_by_role(put: Put, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="JC001"):
        build_cn("own", {"drugs": put("d.tsv", DX)}, tmp_path / "book")
    with pytest.raises(UsageError, match="JC001"):
        build_cn("own", {}, tmp_path / "book")


def test_lists_of_codes(put: Put) -> None:
    assert read_codes(b"I10.x00\n\n# remark\nE11.900\t2\n") == ["I10.x00", "E11.900"]
    assert read_codes(text([("姓名", "诊断编码"), ("甲", "I10.x00"), ("乙", "")], ",", "gb18030")) == ["I10.x00"]
    assert read_codes(put("c.xlsx", workbook([("编码",), ("I10.x00",)]))) == ["I10.x00"]
    assert read_codes(b"") == []


# ------------------------------------------------------------------------------------------------------- round trips

FILLED = r"[A-TV-Z][0-9]{2}\.([0-9]{3}|x0[0-9]|x0[0-9]x[0-9]{3}|[0-9]{3}x[0-9]{3})"
DIAGNOSES = st.one_of(
    st.from_regex(FILLED, fullmatch=True),
    st.from_regex(rf"{FILLED}\+[A-Z][0-9]{{2}}\.[0-9]\*", fullmatch=True),
    st.from_regex(r"[CD][0-9]{2}\.[0-9]{3}M[89][0-9]{4}/[0-9]", fullmatch=True),
    st.from_regex(r"[A-Z][0-9]{2}(\.[0-9])?\*?", fullmatch=True),
)
PROCEDURES = st.from_regex(r"[0-9]{2}\.([0-9]{4}|[0-9]x[0-9]{2})(x[0-9]{3})?", fullmatch=True)
NAMES = st.text(st.sampled_from("高血压病伴肾脏损害（）()[]、，, \"；Ⅱ型α-β12Aa'#*"), min_size=1, max_size=12).map(
    str.strip
)


def tables(codes: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    pairs = st.lists(
        st.tuples(codes, NAMES.filter(bool)), min_size=1, max_size=12, unique_by=lambda p: normalise_code(p[0])
    )
    return pairs.map(dict)


def keep(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@given(rows=tables(DIAGNOSES), encoding=st.sampled_from(ENCODINGS), delimiter=st.sampled_from("\t,;"))
@example(rows={"A00.000": '"甲", 乙'}, encoding="gb18030", delimiter="\t")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_text_tables_round_trip(rows: dict[str, str], encoding: str, delimiter: str, tmp_path: Path) -> None:
    data = text([("编码", "名称"), *rows.items()], delimiter, encoding)
    assert read_table(keep(tmp_path, "t.txt", data), CN).rows == rows


@given(rows=tables(PROCEDURES))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15)
def test_workbooks_round_trip(rows: dict[str, str], tmp_path: Path) -> None:
    data = workbook([("手术名称", "手术编码"), *((name, code) for code, name in rows.items())])
    assert read_table(keep(tmp_path, "t.xlsx", data), CM3).rows == rows


def test_every_form_gives_the_same_book(put: Put, tmp_path: Path) -> None:
    forms = {
        "t.tsv": text(DX, "\t", "utf-16"),
        "t.csv": text(DX, ",", "gb18030"),
        "t.xlsx": workbook([("导出",), *DX]),
    }
    built = {build_cn("own", {"diagnoses": put(name, data)}, tmp_path / "book").sha256 for name, data in forms.items()}
    assert len(built) == 1


# ------------------------------------------------------------------------------------------------- the official files


def test_official_counts(official: dict[str, CodeBook]) -> None:
    billable = {
        edition: {str(system): counts["billable"] for system, counts in book.info.counts.items()}
        for edition, book in official.items()
    }
    assert billable["cn-guolin2"] == {CN: 35862, CM3: 13686}
    assert billable["cn-yb2"] == {CN: 33304}


@pytest.mark.parametrize("edition", EDITIONS)
def test_every_official_row_is_found_again(shared_books: Path, official: dict[str, CodeBook], edition: str) -> None:
    book = official[edition]
    for system, file in zip((CN, CM3), EDITIONS[edition], strict=False):
        lines = (shared_books / "cn" / file).read_text("utf-8").splitlines()[1:]
        rows = [tuple(line.split("\t")) for line in lines]
        kept = [row for row in rows if row[0] != row[1]]  # a divider of one edition: N, N
        assert len(rows) - len(kept) == (1 if file == "icd10_beijing_v601.tsv" else 0)
        found = [book.get(system, code) for code, _ in kept]
        assert [(entry.code, entry.name) if entry else None for entry in found] == kept


def test_every_official_code_stands_under_a_chapter(official: dict[str, CodeBook]) -> None:
    for book in official.values():
        tops = book.rows("SELECT code FROM node WHERE parent IS NULL AND level != 'chapter'")
        assert tops == []
