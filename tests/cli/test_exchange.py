"""`jointcoder exchange` and `jointcoder code` over files of several records, as a user types them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.corpora import load
from jointcoder.records import CodedRecord
from tests.cli.command import jointcoder
from tests.exchange.stays import csv_bytes, layout, rows_of, stay, workbook

SECRET = "王小明"


@pytest.fixture
def run(small_us: CodeBook, small_cn: CodeBook, tmp_path: Path):  # type: ignore[no-untyped-def]
    """``run(*arguments, book="cn")`` → finished process, without any model."""

    def start(*arguments: str, book: str = "cn") -> subprocess.CompletedProcess[str]:
        path = str({"us": small_us, "cn": small_cn}[book].path)
        return jointcoder(*arguments, cache=tmp_path / "cache", JOINTCODER_CODE_BOOK=path)

    return start


@pytest.fixture
def stays(tmp_path: Path) -> Path:
    """Three stays, of which the second has no text, and a gold code that was turned into a number in the third."""
    diagnosis = "出院诊断：\n1.高血压病3级（极高危）\n2.2型糖尿病"
    rows = [
        stay("1", 出院诊断=diagnosis, 主诉=f"{SECRET}，头晕"),
        {"病案号": "2"},
        stay("3", 出院诊断=diagnosis, 主要手术编码=33.24),
    ]
    return workbook(tmp_path / "stays.xlsx", ("病案", rows_of(layout(), rows)))


def records(done: subprocess.CompletedProcess[str]) -> list[CodedRecord]:
    return [CodedRecord.model_validate_json(line) for line in done.stdout.splitlines()]


def test_a_line_of_json_for_every_record_and_bad_input_as_exit_code(run, stays: Path) -> None:  # type: ignore[no-untyped-def]
    done = run("code", str(stays), "--workflow", "lexical", "--json")
    assert done.returncode == 4
    first, second, third = records(done)
    assert [record.encounter for record in (first, second, third)] == ["1", "2", "3"]
    assert {code.code for code in first.codes} == {"I10.x00x032", "E11.900"}
    assert {code.code for code in third.codes} == {"I10.x00x032", "E11.900"}
    assert (second.codes, [flag.code for flag in second.flags]) == ((), ["JC101"])
    assert second.versions == first.versions
    assert [flag.code for flag in third.flags if flag.step == "exchange"] == ["JC128"]
    assert "JC101 stays.xlsx, sheet 病案, row 3" in done.stderr
    assert "2 coded, 1 failed (JC101 1)" in done.stderr
    assert SECRET not in done.stderr


def test_a_table_for_every_record(run, stays: Path) -> None:  # type: ignore[no-untyped-def]
    done = run("code", str(stays), "--workflow", "lexical", "--limit", "1")
    assert done.returncode == 0
    assert done.stdout.startswith("1 ")
    assert "I10.x00x032" in done.stdout
    assert "1 coded" in done.stderr


def test_options_hold_for_every_record(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = [
        {"id": "a", "text": "Discharge diagnosis: pneumonia.", "admitted": "2026-02-01"},
        {"id": "b", "text": "Discharge diagnosis: gout."},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    done = run("code", str(path), "--workflow", "lexical", "--json", "--discharged", "2026-01-01", book="us")
    assert done.returncode == 4  # the first would have left before it came
    first, second = records(done)
    assert [flag.code for flag in first.flags] == ["JC001"]
    assert second.language == "en"


def test_a_mapping_and_a_sheet(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = workbook(tmp_path / "a.xlsx", ("一", [["x"]]), ("二", [["号", "内容"], ["7", "出院诊断：2型糖尿病"]]))
    mapping = tmp_path / "m.toml"
    mapping.write_text('id = "号"\ntext = "内容"\n', "utf-8")
    done = run("code", str(path), "--workflow", "lexical", "--json", "--mapping", str(mapping), "--sheet", "2")
    assert done.returncode == 0, done.stderr
    (record,) = records(done)
    assert (record.encounter, [code.code for code in record.codes]) == ("7", ["E11.900"])


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (("--sheet", "三"), "JC001", 2),
        (("--mapping", "no/such.toml"), "JC107", 4),
        (("--limit", "0"), "", 2),
    ],
)
def test_wrong_options(run, stays: Path, arguments: tuple[str, ...], code: str, status: int) -> None:  # type: ignore[no-untyped-def]
    done = run("code", str(stays), "--workflow", "lexical", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert code in done.stderr


def test_a_file_that_is_wrong_as_a_whole(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"PK\x03\x04 torn")
    for command in (
        ("code", str(path)),
        ("exchange", "inspect", str(path)),
        ("exchange", "convert", str(path), "-o", "-"),
    ):
        done = run(*command)
        assert (done.returncode, done.stdout) == (4, "")
        assert "JC120 a.xlsx" in done.stderr


def test_inspect_shows_figures_and_writes_a_mapping(run, stays: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "m.toml"
    done = run("exchange", "inspect", str(stays), "-o", str(out))
    assert done.returncode == 0, done.stderr
    for shown in ("现病史", "history_present_illness", "67%", "其他诊断编码1 … 其他诊断编码40", "header in row 1"):
        assert shown in done.stdout
    assert SECRET not in done.stdout + out.read_text("utf-8")
    again = run("exchange", "inspect", str(stays), "-o", str(out))
    assert again.returncode == 2
    assert "is there already" in again.stderr
    coded = [
        run("code", str(stays), "--workflow", "lexical", "--json", *more) for more in ((), ("--mapping", str(out)))
    ]
    with_and_without = [[record.codes for record in records(done)] for done in coded]
    assert with_and_without[0] == with_and_without[1]


def test_inspect_as_json(run, stays: Path) -> None:  # type: ignore[no-untyped-def]
    (proposal,) = json.loads(run("exchange", "inspect", str(stays), "--json").stdout)
    assert proposal["header"] == 1
    assert proposal["columns"][0] == {
        "letter": "A",
        "heading": "病案号",
        "filled": 1.0,
        "lengths": [1, 1, 1],
        "errors": 0,
        "role": "id",
        "why": "known heading",
    }
    assert proposal["mapping"]["sections"]["主诉"] == ["主诉"]


def test_convert_writes_what_learn_and_evaluate_read(run, stays: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out.jsonl"
    done = run("exchange", "convert", str(stays), "-o", str(out))
    assert done.returncode == 4
    assert "1 written, 2 failed (JC101 1, JC128 1)" in done.stderr
    corpus = load(out)
    assert [(item.encounter.id, [gold.code for gold in item.gold]) for item in corpus.items] == [
        ("1", ["J18.900", "33.2400", "I10.x00"])
    ]
    assert [path.name for path in tmp_path.glob("*.part")] == []
    done = run("exchange", "convert", str(stays), "-o", str(out), "--no-codes")
    assert "2 written" in done.stderr
    assert [item.gold for item in load(out).items] == [(), ()]


def test_convert_looks_names_up_in_a_book(run, small_cn: CodeBook, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows: list[list[Any]] = [["病案号", "主诉", "主要诊断"], ["1", "头晕", "2型糖尿病"], ["2", "头晕", "没有这个名称"]]
    path = workbook(tmp_path / "a.xlsx", ("S", rows))
    without = run("exchange", "convert", str(path), "-o", "-")
    assert (without.stdout, without.returncode) == ("", 4)
    assert "--book" in without.stderr
    done = run("exchange", "convert", str(path), "-o", "-", "--book", str(small_cn.path))
    assert [row["codes"][0]["code"] for row in map(json.loads, done.stdout.splitlines())] == ["E11.900"]
    assert "1 written, 1 failed (JC128 1)" in done.stderr


def test_many_failures_are_counted_and_few_are_told(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.csv"
    path.write_bytes(csv_bytes([["病案号", "主诉"], *([str(number), ""] for number in range(50))]))
    done = run("exchange", "convert", str(path), "-o", str(tmp_path / "o.jsonl"))
    assert done.stderr.count("JC101 a.csv") == 20
    assert "0 written, 50 failed (JC101 50)" in done.stderr


def test_a_place_that_cannot_be_written(run, stays: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = run("exchange", "convert", str(stays), "-o", str(tmp_path / "none" / "o.jsonl"))
    assert done.returncode == 5
    assert "JC205" in done.stderr
