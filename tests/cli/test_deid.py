"""``jointcoder deid``: files in, files without identifiers out; codes stay what they were."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jointcoder.coder import Coder
from jointcoder.corpora import load
from jointcoder.exchange.reading import read
from jointcoder.records import CodedRecord, Encounter
from jointcoder.text.deid import Deidentifier, Key, Wishes

from .conftest import Command

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTE_EN = (
    "Patient: Ellen Hart   MRN: 00481937   DOB: 02/17/1948\nAdmitted March 4th, 2025 under Dr. Wilson.\n\n"
    "Discharge diagnosis:\n1. Type 2 diabetes mellitus\n2. Essential hypertension\n\nMrs. Hart denies chest pain."
)
NOTE_ZH = (
    "姓名：张伟　住院号：0012345\n患者张伟，男，67岁，于2025年3月4日入院。\n\n出院诊断：\n1.高血压\n2.2型糖尿病\n\n"
    "主治医师：陈静"
)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def labelled(id: str, text: str, words: str) -> dict[str, Any]:
    start = text.index(words)
    code = {"system": "ICD-10-CM", "code": "I10", "primary": True, "spans": [[start, start + len(words)]]}
    mention = {"quote": words, "fragments": [[start, start + len(words)]]}
    other = {
        "system": "ICD-10-CM",
        "code": "E11.9",
        "primary": False,
        "mentions": [mention],
        "note": "seen by Ellen Hart",
    }
    return {"id": id, "lang": "en", "text": text, "codes": [code, other]}


def write(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key file that is always the same: what is drawn with it never spells a word by chance."""
    path = tmp_path / "same.key"
    path.write_text(f"jointcoder-deid-key-1 {b'k'.hex() * 32}\n", "ascii")
    return path


def test_labelled_records_keep_their_codes_and_their_evidence(command: Command, key: Path, tmp_path: Path) -> None:
    given = write(tmp_path / "in.jsonl", labelled("stay-7", NOTE_EN, "Essential hypertension"))
    out, report = tmp_path / "out.jsonl", tmp_path / "report.json"
    code, shown, _ = command("deid", given, "-o", out, "--key", key, "--report", report)
    assert code == 0
    assert "names" in shown
    text = out.read_text("utf-8")
    assert not any(word in text for word in ("Hart", "Wilson", "00481937", "02/17/1948", "March 4th", "stay-7"))
    item = load(out).items[0]
    assert [(gold.code, gold.primary) for gold in item.gold] == [("I10", True), ("E11.9", False)]
    assert [[span.quote for span in gold.spans] for gold in item.gold] == [["Essential hypertension"]] * 2
    said = json.loads(report.read_text("utf-8"))
    assert said["records"] == 1
    assert said["identifiers"] == {"name": 3, "id": 1, "date": 2}
    assert "Hart" not in report.read_text("utf-8")


def test_the_same_key_makes_the_same_file(command: Command, tmp_path: Path) -> None:
    given = write(tmp_path / "in.jsonl", {"id": "a", "text": NOTE_EN}, {"id": "b", "text": NOTE_ZH})
    made = tmp_path / "deid.key"
    outs = [tmp_path / f"out{n}.jsonl" for n in range(3)]
    assert command("deid", given, "-o", outs[0], "--new-key", made, "--surrogates")[0] == 0
    assert command("deid", given, "-o", outs[1], "--key", made, "--surrogates")[0] == 0
    assert command("deid", given, "-o", outs[2], "--surrogates")[0] == 0
    assert outs[0].read_bytes() == outs[1].read_bytes() != outs[2].read_bytes()
    assert "[" not in rows(outs[0])[0]["text"]


def test_a_text_stays_a_text(command: Command, tmp_path: Path) -> None:
    note, out = tmp_path / "note.txt", tmp_path / "clean.txt"
    note.write_text(NOTE_ZH, "utf-8")
    assert command("deid", note, "-o", out)[0] == 0
    text = out.read_text("utf-8")
    assert text.startswith("姓名：[姓名-1]　住院号：[编号-1]\n患者[姓名-1]，男，67岁，于20")
    assert "出院诊断：\n1.高血压\n2.2型糖尿病" in text
    assert command("deid", note, note, "-o", out)[0] == 2


def test_records_stream_through_a_pipe(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps({"id": str(n), "text": f"Dr. Hart wrote note {n}."}) for n in range(3)]
    lines.insert(1, "{broken")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))
    code, shown, said = command("deid", "-", "-o", "-")
    assert code == 4
    assert [json.loads(line)["text"] for line in shown.splitlines()] == [
        f"Dr. [NAME-1] wrote note {n}." for n in range(3)
    ]
    assert "JC104" in said


def test_tables_come_in_too(command: Command, key: Path, tmp_path: Path) -> None:
    table = tmp_path / "stays.csv"
    table.write_text("住院号,姓名,出院记录,主要诊断编码\n0012345,张伟,患者张伟诉胸痛,I10.x00\n", "utf-8")
    out = tmp_path / "out.jsonl"
    code, _, said = command("deid", table, "-o", out, "--key", key)
    assert code == 0, said
    text = out.read_text("utf-8")
    assert "张伟" not in text
    assert "0012345" not in text
    assert "诉胸痛" in text


def test_coded_records_go_along(command: Command, coder: Callable[..., Coder], tmp_path: Path) -> None:
    encounters = [
        Encounter.from_text(NOTE_EN, id="s1", language="en"),
        Encounter.from_text(NOTE_EN, id="s2", language="en"),
    ]
    given = write(tmp_path / "in.jsonl", *({"id": one.id, "lang": "en", "text": NOTE_EN} for one in encounters))
    with coder(workflow="lexical") as machine:
        records = [machine.code(one) for one in encounters]
    coded = tmp_path / "coded.jsonl"
    coded.write_text("".join(record.model_dump_json() + "\n" for record in reversed(records)), "utf-8")
    out, moved = tmp_path / "out.jsonl", tmp_path / "moved.jsonl"
    assert command("deid", given, "-o", out, "--coded", coded, "--coded-out", moved)[0] == 0
    clean = {one.id: one.encounter for one in read(out)}
    news = [CodedRecord.model_validate(row) for row in rows(moved)]
    assert len(news) == 2
    for new in news:
        assert [code.code for code in new.codes] == [code.code for code in records[0].codes] != []
        encounter = clean[new.encounter]
        assert encounter is not None
        assert all(span.reproduces(encounter) for code in new.codes for span in code.evidence)
    stray = CodedRecord(encounter="s9", language="en", versions=records[0].versions)
    coded.write_text(stray.model_dump_json() + "\n", "utf-8")
    code, _, said = command("deid", given, "-o", out, "--coded", coded, "--coded-out", moved)
    assert (code, "JC723" in said) == (4, True)


def test_a_bad_record_fails_alone_and_no_word_of_it_is_said(command: Command, tmp_path: Path) -> None:
    bad = labelled("b", NOTE_EN, "Essential hypertension")
    bad["codes"][0]["spans"] = [[5, 90_000]]
    given = write(tmp_path / "in.jsonl", labelled("a", NOTE_EN, "Essential hypertension"), bad)
    out = tmp_path / "out.jsonl"
    code, shown, said = command("deid", given, "-o", out)
    assert code == 4
    assert len(rows(out)) == 1
    assert "JC722" in said
    assert "line 2" in said
    assert not any(word in shown + said for word in ("Hart", "00481937", "hypertension"))


def test_wrong_options(command: Command, tmp_path: Path) -> None:
    given = write(tmp_path / "in.jsonl", {"id": "a", "text": NOTE_EN})
    before = given.read_bytes()
    assert command("deid", given, "-o", given)[0] == 2
    assert given.read_bytes() == before
    assert command("deid", given, "-o", tmp_path / "o", "--coded", given)[0] == 2
    code, _, said = command("deid", given, "-o", tmp_path / "o", "--key", tmp_path / "none")
    assert (code, "JC720" in said) == (4, True)


@pytest.mark.parametrize("surrogates", [False, True])
@pytest.mark.parametrize(("book", "note"), [("us", NOTE_EN), ("cn", NOTE_ZH)])
def test_codes_are_the_same_on_text_without_identifiers(
    coder: Callable[..., Coder], book: str, note: str, surrogates: bool
) -> None:
    encounters = [Encounter.from_text(note, id="e")]
    encounters += [
        Encounter.from_text(path.read_text("utf-8"), id=path.stem) for path in sorted(EXAMPLES.glob("*.txt"))
    ]
    deid = Deidentifier(key=Key(b"k" * 32), wishes=Wishes(surrogates=surrogates, hospitals=True, wards=True))
    some = 0
    with coder(workflow="lexical", book=book) as machine:
        for encounter in encounters:
            done = deid.encounter(encounter)
            before, after = machine.code(encounter), machine.code(done.encounter)
            told = [(one.code, one.rank, [span.quote for span in one.evidence]) for one in before.codes]
            assert [(one.code, one.rank, [span.quote for span in one.evidence]) for one in after.codes] == told
            some += len(told)
    assert some
