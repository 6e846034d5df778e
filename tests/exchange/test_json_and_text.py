"""JSON, JSON lines and plain text come in; what came in is written as JSON lines that read the same."""

from __future__ import annotations

import datetime as dt
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.corpora import load
from jointcoder.errors import UsageError
from jointcoder.exchange.coded import names_in, with_codes
from jointcoder.exchange.incoming import Incoming, Place
from jointcoder.exchange.pages import ReadDocument
from jointcoder.exchange.reading import WHOLE_FILES, WholeFile, read
from jointcoder.exchange.writing import encounter_row, to_row
from jointcoder.parsing import parse_encounter
from jointcoder.records import Document, Encounter, Flag, Patient
from tests.exchange.stays import layout, rows_of, stay, workbook

SECRET = "patient Doe"


def lines(*rows: Any) -> bytes:
    return "".join(
        (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows
    ).encode()


def write(tmp_path: Path, data: bytes, name: str = "a.jsonl") -> Path:
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


def test_lines_stream_and_a_broken_one_costs_no_other(tmp_path: Path) -> None:
    good = {"id": "1", "text": "one\u2028two", "patient": {"sex": "male"}}
    bad = [
        '{"id": "2", "text": "patient Doe',
        [SECRET],
        {"id": "1", "text": SECRET},
        {"id": "3", "text": SECRET, "colour": 1},
        {"id": "4"},
        {"id": "5", "text": SECRET, "patient": {"age_years": -4}},
    ]
    found = list(read(write(tmp_path, lines(good, *bad, "", {"id": "6", "text": "three"}))))
    assert [(one.place.line, one.error.code if one.error else "") for one in found] == [
        (1, ""), (2, "JC104"), (3, "JC104"), (4, "JC123"), (5, "JC103"), (6, "JC101"), (7, "JC108"), (9, ""),
    ]  # fmt: skip
    assert found[0].encounter == Encounter.from_text("one\u2028two", id="1", patient=Patient(sex="male"))
    messages = [one.error.message + one.error.hint for one in found if one.error]
    assert all("a.jsonl, line " in message and SECRET not in message for message in messages)


def test_lines_with_bytes_of_no_encoding_and_of_another(tmp_path: Path) -> None:
    torn = lines({"id": "1", "text": "咳嗽"}) + b'{"id": "2", "text": "\xff"}\n' + lines({"id": "3", "text": "发热"})
    assert [one.error.code if one.error else one.id for one in read(write(tmp_path, torn))] == ["1", "JC106", "3"]
    other = lines({"id": "1", "text": "患者咳嗽三天"}).decode().encode("gb18030")
    (one,) = read(write(tmp_path, other))
    assert one.encounter is not None
    assert one.encounter.documents[0].text == "患者咳嗽三天"
    assert [flag.code for flag in one.flags] == ["JC109"]


@pytest.mark.parametrize(
    ("data", "code"), [(b"", "JC101"), (b"\n \n", "JC101"), (b"[]", "JC101"), (b"\x00\x01\x02", "JC102")]
)
def test_files_without_a_record(tmp_path: Path, data: bytes, code: str) -> None:
    (one,) = read(write(tmp_path, data, "a.json" if data == b"[]" else "a.jsonl"))
    assert one.error is not None
    assert (one.error.code, one.place.number) == (code, 0)
    assert one.error.message.startswith("a.json")


def test_a_list_of_encounters(tmp_path: Path) -> None:
    data = json.dumps([{"id": "1", "text": "gout"}, {"id": "1", "text": "flu"}, 7]).encode()
    first, second, third = read(write(tmp_path, data, "a.json"))
    assert first.id == "1"
    assert second.error is not None
    assert "a.json, record 2: the same id as in record 1" in second.error.message
    assert third.error is not None
    assert third.error.code == "JC104"
    assert [one.id for one in read(json.dumps([{"id": "1", "text": "gout"}]).encode())] == ["1"]


def test_codes_come_along_and_what_labelled_data_say_besides(tmp_path: Path) -> None:
    row = {
        "id": "1", "text": "Gout.", "ward": "7", "year": 2026, "notes": ["left aside"],
        "codes": [
            {"system": "ICD-10-CM", "code": "M10.9", "primary": True, "spans": [[0, 4]]},
            {"system": "CPT", "code": "9"},
        ],
    }  # fmt: skip
    (one,) = read(write(tmp_path, lines(row)))
    assert one.encounter is not None
    assert one.encounter.fields == {"ward": "7", "year": "2026"}
    assert [(code.system, code.code, code.primary, code.rank) for code in one.codes] == [
        ("ICD-10-CM", "M10.9", True, 1),
        ("CPT", "9", False, 1),
    ]
    assert to_row(one)["codes"] == row["codes"]
    (broken,) = read(write(tmp_path, lines(row | {"codes": [{"system": "ICD-10-CM"}]})))
    assert broken.encounter is not None
    assert not broken.codes_whole


def test_text_is_one_encounter_and_keeps_its_offsets(tmp_path: Path) -> None:
    note = "主诉：反复咳嗽３天。\r\n现病史：患者３天前受凉。\n出院诊断：\n1．肺炎"
    for source in (write(tmp_path, note.encode("gb18030"), "a.txt"), note.encode()):
        (one,) = read(source)
        assert one.encounter == Encounter.from_text(note)
        assert one.place.number == 0


@pytest.mark.parametrize("note", ["[主诉] 咳嗽", "[1] cough\n[2] fever", "{not json"])
def test_what_begins_like_json(note: str) -> None:
    (one,) = read(note.encode())
    if note.startswith("{"):
        assert one.error is not None
        assert one.error.code == "JC104"
    else:
        assert one.encounter == Encounter.from_text(note)


def test_lines_through_a_pipe() -> None:
    found = list(read(lines({"id": "1", "text": "gout"}, {"id": "2", "text": "flu"}, "{broken}")))
    assert [(one.id, one.place.line) for one in found[:2]] == [("1", 1), ("2", 2)]
    assert found[2].error is not None


def test_other_readers_are_imported_when_their_file_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = types.ModuleType("page_reader")
    encounter = Encounter.from_text("read from pages")
    flag = Flag(code="JC135", message="page 2 is empty")
    page.read = lambda path, progress=None: ReadDocument(encounter, (flag,))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "page_reader", page)
    monkeypatch.setitem(WHOLE_FILES, ".page", WholeFile("page_reader", "read", "page"))
    (one,) = read(write(tmp_path, b"x", "a.page"))
    assert (one.encounter, one.flags) == (encounter, (flag,))
    monkeypatch.setitem(WHOLE_FILES, ".page", WholeFile("no_such_reader", "read", "page"))
    with pytest.raises(UsageError, match="JC002") as caught:
        list(read(write(tmp_path, b"x", "a.page")))
    assert "jointcoder[page]" in caught.value.hint


def test_a_pdf_through_a_pipe_is_asked_for_as_a_file() -> None:
    (one,) = read(b"%PDF-1.7 x")
    assert one.error is not None
    assert one.error.code == "JC102"


# ------------------------------------------------------------------------------------------------------- writing

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(lambda text: bool(text.strip()))
documents = st.builds(
    Document,
    id=st.sampled_from(["0", "1", "x"]),
    text=texts,
    title=st.sampled_from(["", "主诉", "现病史"]),
    kind=st.sampled_from(["", "note"]),
)


@settings(deadline=None)
@given(
    st.lists(documents, min_size=1, max_size=3),
    st.dictionaries(texts, texts, max_size=2),
    st.sampled_from([None, "zh"]),
    st.sampled_from([None, 0.5, 65]),
    st.dates(dt.date(2000, 1, 1), dt.date(2030, 1, 1)),
)
def test_an_encounter_survives_its_line(found: Any, fields: Any, language: Any, age: Any, day: dt.date) -> None:
    encounter = Encounter(
        id="e",
        documents=tuple(found),
        fields=fields,
        language=language,
        patient=Patient(age_years=age),
        admitted=day,
        discharged=day,
    )
    assert parse_encounter(json.loads(json.dumps(encounter_row(encounter)))) == encounter


def test_the_shortest_layout_is_written() -> None:
    assert encounter_row(Encounter.from_text("gout", id="1")) == {"id": "1", "text": "gout"}
    sections = Encounter.from_sections({"主诉": "咳嗽", "现病史": "三天"}, id="1")
    assert encounter_row(sections) == {"id": "1", "sections": {"主诉": "咳嗽", "现病史": "三天"}}
    with pytest.raises(ValueError, match="error"):
        to_row(Incoming(Place("a")))


def test_written_records_are_a_corpus(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "a.xlsx", ("S", rows_of(layout(), [stay(), stay("2", 主要手术编码="", 主要手术名称="")]))
    )
    found = list(read(path))
    out = write(tmp_path, lines(*(to_row(one) for one in found)), "out.jsonl")
    corpus = load(out)
    assert [item.encounter for item in corpus.items] == [one.encounter for one in found]
    assert corpus.ordered
    assert corpus.systems == ("ICD-10-CN", "ICD-9-CM-3")
    assert [(gold.code, gold.primary) for gold in corpus.items[1].gold] == [("J18.900", True), ("I10.x00", False)]
    assert [one.codes for one in read(out)][1][0].name == "肺炎"


def test_names_are_looked_up_where_only_one_code_has_them(small_cn: CodeBook, tmp_path: Path) -> None:
    system, code, name = small_cn.rows("SELECT system, code, name FROM node WHERE billable ORDER BY id LIMIT 1")[0]
    rows = [["病案号", "主诉", "主要诊断", "其他诊断1"], ["1", "咳嗽", f" {name}", "没有这个名称"]]
    (one,) = read(workbook(tmp_path / "a.xlsx", ("S", rows)))
    known = names_in(small_cn)
    found = with_codes(one.codes, known)
    assert (str(found[0].system), found[0].code) == (system, code)
    assert found[1].code == ""
