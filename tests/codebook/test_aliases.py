"""Wordings learnt from coded history: as a file, and as a source of the search."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.lookup import Lookup
from jointcoder.codebook.lookup.aliases import NEAR, SAME, Alias, Aliases
from jointcoder.errors import CodeBookError
from jointcoder.records import Kind

DX, PX = Kind.DIAGNOSIS, Kind.PROCEDURE
ITEMS = (
    Alias("sugar sickness of the joints", "M17.9", weight=0.9, count=7, source="ward A"),
    Alias("bad pipes", "i150"),
    Alias("bad pipes", "I10", weight=0.4),
    Alias("GB out", "0FT44ZZ", system="ICD-10-PCS"),
    Alias("gone long ago", "Z99.999"),
    Alias("fell over", "W19", system="ICD-10-PCS"),
)


@pytest.fixture(scope="module")
def lookup(small: CodeBook) -> Lookup:
    return Lookup(small, dense="off", aliases=Aliases(ITEMS))


def test_the_same_wording_is_found_by_its_alias(lookup: Lookup) -> None:
    hits = lookup.search("Bad PIPES!", kind=DX)
    assert [(hit.code, hit.sources) for hit in hits] == [("I15.0", ("alias",)), ("I10", ("alias",))]
    assert hits[0].score == pytest.approx(SAME, rel=0.01)
    assert hits[0].term == "bad pipes"
    assert lookup.search("gb out", kind=PX)[0].code == "0FT44ZZ"


def test_like_wordings_are_found_and_less_sure(lookup: Lookup) -> None:
    same = lookup.search("sugar sickness of the joints", kind=DX)[0]
    near = lookup.search("suger sicknes of joints", kind=DX)[0]
    assert (near.code, near.sources) == (same.code, ("alias",)) == ("M17.9", ("alias",))
    assert near.score < same.score
    assert near.score <= NEAR


def test_an_alias_never_beats_the_book_and_raises_what_agrees(small: CodeBook) -> None:
    contrary = Lookup(small, dense="off", aliases=Aliases([Alias("renovascular hypertension", "M17.9")]))
    assert contrary.search("renovascular hypertension", kind=DX)[0].code == "I15.0"
    agreeing = Lookup(small, dense="off", aliases=Aliases([Alias("vascular hypertension", "I15.0")]))
    best = agreeing.search("vascular hypertension", kind=DX)[0]
    plain = Lookup(small, dense="off").search("vascular hypertension", kind=DX)[0]
    assert (best.code, best.sources) == ("I15.0", ("alias", "lexical"))
    assert best.score > plain.score


def test_codes_that_the_book_does_not_hold_are_passed_over(lookup: Lookup) -> None:
    assert lookup.search("gone long ago", kind=DX) == []
    assert "W19" not in {hit.code for hit in lookup.search("fell over", kind=PX)}


def test_a_heading_stands_for_its_default_code(small: CodeBook) -> None:
    lookup = Lookup(small, dense="off", aliases=Aliases([Alias("bandaged foot", "S93.4")]))
    assert lookup.search("bandaged foot", kind=DX)[0].code == "S93.4"
    assert lookup.search("bandaged foot", kind=DX, billable=True)[0].code == "S93.4XXA"


def test_no_aliases_change_nothing(small: CodeBook) -> None:
    with_none = Lookup(small, dense="off", aliases=Aliases())
    assert with_none.search("ankle", kind=DX) == Lookup(small, dense="off").search("ankle", kind=DX)


def test_files_of_three_kinds_say_the_same(tmp_path: Path) -> None:
    rows = [{"text": i.text, "code": i.code, "weight": i.weight, "count": i.count, "source": i.source} for i in ITEMS]
    lines = tmp_path / "a.jsonl"
    lines.write_text("\n".join(json.dumps(row | {"more": 1}) for row in rows) + "\n\n", "utf-8")
    table = tmp_path / "a.tsv"
    table.write_text("\n".join("\t".join(map(str, row)) for row in (rows[0], *(r.values() for r in rows))), "utf-8")
    base = tmp_path / "a.sqlite"
    connection = sqlite3.connect(base)
    with connection:
        connection.execute("CREATE TABLE alias (text TEXT, code TEXT, weight REAL, count INTEGER, source TEXT)")
        connection.executemany("INSERT INTO alias VALUES (:text, :code, :weight, :count, :source)", rows)
    connection.close()
    loaded = [Aliases.load(path).items for path in (lines, table, base)]
    assert loaded[0] == loaded[1] == loaded[2]
    assert [(i.text, i.code, i.weight, i.count) for i in loaded[0]] == [
        (i.text, i.code, i.weight, i.count) for i in ITEMS
    ]


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("a.jsonl", '{"text": "x", "code": "I10"}\n{"text": "x"}\n', "line 2"),
        ("a.jsonl", '{"text": "x", "code": "I10"}\nnothing\n', "line 2"),
        ("a.jsonl", "[1, 2]\n", "line 1"),
        ("a.jsonl", '{"text": " ", "code": "I10"}\n', "line 1"),
        ("a.jsonl", '{"text": "x", "code": "I10", "weight": 2}\n', "line 1"),
        ("a.jsonl", '{"text": "x", "code": "I10", "count": 0}\n', "line 1"),
        ("a.jsonl", '{"text": "x", "code": "I10", "system": "ICD-9"}\n', "line 1"),
        ("a.jsonl", '{"text": "x", "code": 10}\n', "line 1"),
        ("a.tsv", "word\tcode\nx\tI10\n", "line 1"),
        ("a.tsv", "text\tcode\nx\tI10\nx\n", "line 3"),
        ("a.tsv", "text\tcode\tweight\nx\tI10\tmuch\n", "line 2"),
        ("a.sqlite", "no database at all, but long enough to be taken for one" * 40, "a.sqlite"),
        ("a.docx", "text", "a.docx"),
    ],
)
def test_wrong_files_are_named_with_their_line(tmp_path: Path, name: str, text: str, where: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(CodeBookError) as caught:
        Aliases.load(tmp_path / name)
    assert caught.value.code == "JC502"
    assert name in caught.value.message
    assert where in caught.value.message


@pytest.mark.parametrize("name", ["none.jsonl", "none.tsv", "none.sqlite"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(CodeBookError, match="none"):
        Aliases.load(tmp_path / name)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"text": "高血压", "code": "I10"}'.encode("gbk"))
    with pytest.raises(CodeBookError, match="UTF-8"):
        Aliases.load(tmp_path / "a.jsonl")


@given(st.text(max_size=40), st.integers(1, 5))
def test_any_text_is_searched(lookup: Lookup, text: str, k: int) -> None:
    hits = lookup.search(text, kind=DX, k=k)
    assert hits == lookup.search(text, kind=DX, k=k)
    assert len(hits) <= k
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.code))
    assert all(0 < hit.score <= 1 for hit in hits)
