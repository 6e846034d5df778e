"""HL7 v2 messages come in as encounters: demographics, codes, what belongs together, and what is wrong."""

from __future__ import annotations

import datetime as dt
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.errors import CATALOGUE
from jointcoder.exchange.hl7 import read_files
from jointcoder.exchange.reading import read
from jointcoder.exchange.source import Source
from jointcoder.exchange.writing import to_row
from jointcoder.parsing import parse_encounter
from jointcoder.text.deid import Deidentifier, Key, Wishes
from tests.exchange.hl7_messages import (
    NOTE,
    REPORT,
    SECRET,
    admission,
    code_of,
    document,
    file_in_obx,
    header,
    lines,
    message,
    mllp,
    only,
    pid,
    pv1,
    report,
    segment,
    texts,
    titles,
)

# ----------------------------------------------------------------------------------------------------------- a stay


def test_the_messages_of_a_visit_are_one_encounter() -> None:
    one = only(
        admission(f44="202601022330+0800"),
        report(),
        document(),
        admission("V1", "A03", sent="20260109110000", f36="01", f45="20260109101500.12"),
    )
    stay = one.encounter
    assert stay is not None
    assert (str(one.place), one.flags) == ("standard input", ())
    assert (stay.id, stay.admitted, stay.discharged) == ("V1", dt.date(2026, 1, 2), dt.date(2026, 1, 9))
    assert (stay.patient.sex, stay.patient.age_years) == ("female", 67.0)
    assert [(doc.id, doc.title, doc.kind, doc.text) for doc in stay.documents] == [
        ("R1", "Chest film", "71020", REPORT),
        ("D1", "Discharge summary", "DS", NOTE),
    ]
    assert stay.fields == {
        "hl7.visit": "V1^^^HOSP^VN",
        "hl7.patient": "P1^^^HOSP^MR",
        "hl7.class": "I",
        "hl7.disposition": "01",
        "hl7.document.date1": "2026-01-03",
        "hl7.document.date2": "2026-01-09",
    }
    assert SECRET not in stay.model_dump_json()
    row = to_row(one)
    assert parse_encounter(row) == stay


def test_stays_go_by_visit_then_account_then_patient_and_day() -> None:
    def told(
        text: str, *, visit: str = "", account: str = "", patient: str = "P1", day: str = "", seen: str = "20260103"
    ):
        head = message(header("ORU^R01"), pid(patient, f18=account), pv1(visit, f44=day))
        return head + message(segment("OBR", f1="1", f3=text, f4="X", f7=seen), *lines(text))

    found = {
        one.id: sorted(texts(one))
        for one in read(
            (
                told("a", visit="V1", account="A1", day="20260102")
                + told("b", account="A1")
                + told("c", account="A2", day="20260301")
                + told("d", day="20260102")
                + told("e", day="20260301")
                + told("f", day="20260401")
                + told("g", seen="20260402")
                + told("h", patient="P2", visit="V2")
                + told("i", patient="P2")
                + told("j", patient="P3")
                + told("k", patient="P3")
                + told("l", patient="")
            ).encode()
        )
    }
    nameless = [id for id in found if len(id) == 16]
    assert found.pop(nameless[0]) == ["l"]
    assert found == {
        "V1": ["a", "b", "d"],
        "A2": ["c", "e"],
        "P1-20260401": ["f"],
        "patient-P1": ["g"],  # two stays of P1 have no end that is told
        "V2": ["h", "i"],
        "patient-P3": ["j", "k"],
    }


def test_a_number_that_names_two_visits_is_not_guessed_at() -> None:
    data = admission("V1", f44="20260101", f45="20260105") + admission("V2", f44="20260201", f45="20260205")
    data += report("within", visit="", order="R1", f7="20260203") + report(
        "between", visit="", order="R2", f7="20260120"
    )
    data += document("v1") + document("v2", visit="V2", number="D2")
    found = {one.id: sorted(texts(one)) for one in read(data.encode())}
    assert found == {"V1": ["v1"], "V2": ["v2", "within"], "patient-P1": ["between"]}


def test_messages_of_a_stay_may_be_spread_over_files(tmp_path: Path) -> None:
    parts = {
        "b.hl7": report(),
        "a.hl7": admission(),
        "c.hl7": document() + report(visit="V2", patient="P2"),
        "d.hl7": "",
    }
    for name, text in parts.items():
        (tmp_path / name).write_text(text, "utf-8", newline="")
    sources = [Source.of(path) for path in sorted(tmp_path.iterdir())]
    found = list(read_files(sources))
    assert [(str(one.place), one.id, one.error and one.error.code) for one in found] == [
        ("d.hl7", "", "JC101"),
        ("a.hl7, message 1", "V1", None),
        ("c.hl7, message 2", "V2", None),
    ]
    assert [one.files for one in found] == [(), ("a.hl7", "b.hl7", "c.hl7"), ()]
    assert texts(found[1]) == [REPORT, NOTE]


def test_more_files_than_are_kept_open(tmp_path: Path) -> None:
    for n in range(80):
        (tmp_path / f"{n:03}.hl7").write_bytes(mllp(report(f"part {n}", order=f"R{n}", visit=f"V{n % 2}")))
    found = list(read_files([Source.of(path) for path in sorted(tmp_path.iterdir())]))
    assert [(one.id, len(texts(one))) for one in found] == [("V0", 40), ("V1", 40)]


def test_demographics_are_those_of_the_last_message_that_tells_them() -> None:
    one = only(
        admission(sent="20260109120000", event="A08", f45="20260109", f2="E"),
        admission(sent="20260102230000", f2="I"),
        document(),
    )
    assert one.encounter is not None
    assert one.encounter.discharged == dt.date(2026, 1, 9)
    assert one.encounter.fields["hl7.class"] == "E"
    told = admission("V1", "A08", sent="20260110", f45='""', f36='""')
    taken = only(admission(f45="20260109", f36="01"), document(), told)
    assert taken.encounter is not None
    assert taken.encounter.discharged is None
    assert "hl7.disposition" not in taken.encounter.fields


@pytest.mark.parametrize(
    ("born", "sex", "told", "flags"),
    [
        ("19581130", "M", (67.0, "male"), 0),
        ("195811", "O", (67.0, "unknown"), 0),
        ("1958", "2", (67.0, "female"), 0),
        ("1958-11-30", "女", (67.0, "female"), 0),
        ("195811300930+0800", "", (67.0, "unknown"), 0),
        ("", "U", (None, "unknown"), 0),
        ("18000101", "F", (None, "female"), 1),
        ("20260301", "F", (None, "female"), 1),
        ("tomorrow", "x y", (None, "unknown"), 2),
    ],
)
def test_birth_and_sex(born: str, sex: str, told: tuple[float | None, str], flags: int) -> None:
    head = message(header("ADT^A01"), pid(f7=born, f8=sex), pv1(f44="20260102"))
    one = only(head, document().replace("|19581130|F", "||"))
    assert one.encounter is not None
    assert (one.encounter.patient.age_years, one.encounter.patient.sex) == told
    assert [flag.code for flag in one.flags] == ["JC125"] * flags


def test_without_days_of_the_stay_the_age_is_that_of_the_first_document() -> None:
    one = only(document(), report(f7="20251129", order="R0"))
    assert one.encounter is not None
    assert (one.encounter.patient.age_years, one.encounter.admitted) == (66.0, None)
    assert only(report(f7="")).encounter.patient.age_years is None  # type: ignore[union-attr]


def test_days_that_are_none_are_left_out_and_flagged() -> None:
    broken = only(admission(f44="2026-13-45", f45="20260109"), document())
    assert broken.encounter is not None
    assert (broken.encounter.admitted, broken.encounter.discharged) == (None, dt.date(2026, 1, 9))
    turned = only(admission(f44="20260109", f45="20260102"), document())
    assert turned.encounter is not None
    assert (turned.encounter.admitted, turned.encounter.discharged) == (None, None)
    assert [flag.code for one in (broken, turned) for flag in one.flags] == ["JC125", "JC125"]


def test_the_numbers_of_patient_and_visit_do_not_leave_with_de_identification() -> None:
    head = message(header("ADT^A01"), pid("P471123", f18="A471124"), pv1("V471125", f44="20260102"))
    one = only(head, document(visit="V471125", patient="P471123", number="D471126"))
    assert one.encounter is not None
    done = Deidentifier(key=Key.random()).encounter(one.encounter)
    assert {"hl7.patient", "hl7.account", "hl7.visit"} <= done.encounter.fields.keys()
    written = done.encounter.model_dump_json()
    assert not [number for number in ("P471123", "A471124", "V471125", "D471126") if number in written]
    kept = Deidentifier(key=Key.random(), wishes=Wishes(keep_ids=True)).encounter(one.encounter)
    assert kept.encounter.fields["hl7.visit"] == one.encounter.fields["hl7.visit"]


# ------------------------------------------------------------------------------------------------------------- codes


DG1 = (
    "DG1|1||I10^Essential hypertension^I10C|||A",
    "DG1|2||E119^Type 2 diabetes^I10C|||F|||||||||2|||||||||||Y",
    "DG1|3||J18.9^Pneumonia^I10C|||F|||||||||1|||||||||||1",
    "DG1|4||X^^I10C|||F|||||||||3||||||D",
    "DG1|5||38341003^Hypertension^SCT|||F",
)


def test_codes_that_came_with_a_stay_are_gold_and_no_text() -> None:
    early = admission("V1", "A01", "DG1|1||R05^Cough^I10C|||W|||||||||1", "PR1|1||0W^x^I10P||20260101")
    late = admission("V1", "A03", *DG1, "PR1|1||0DTJ4ZZ^Appendectomy^I10P||202601041030|||||||||1", sent="20260109")
    one = only(early, document(), late)
    assert one.encounter is not None
    assert [(code.system, code.code, code.name, code.rank, code.primary) for code in one.codes] == [
        ("ICD-10-CM", "J18.9", "Pneumonia", 1, True),
        ("ICD-10-CM", "E11.9", "Type 2 diabetes", 2, False),
        ("SCT", "38341003", "Hypertension", 3, False),
        ("ICD-10-PCS", "0DTJ4ZZ", "Appendectomy", 1, True),
    ]
    assert [code.given.get("present_on_admission") for code in one.codes] == ["1", "Y", None, None]
    assert one.encounter.fields["hl7.procedure.date1"] == "2026-01-04"
    shown = "".join(texts(one)) + "".join(titles(one))
    assert "J18.9" not in shown
    assert "Appendectomy" not in shown
    labels = to_row(one)["codes"]
    assert labels[0]["primary"] is True


@pytest.mark.parametrize(
    ("head", "row", "system"),
    [
        ({}, "DG1|1||I10^Hypertension^I10|||F", "ICD-10-CM"),
        ({}, "DG1|1||I10.x00^高血压^I10|||F", "ICD-10-CN"),
        ({"f17": "CHN"}, "DG1|1||I10.x00^^I10|||F", "ICD-10-CN"),
        ({"f18": "GB 18030-2000"}, "DG1|1|I10|I10.x00||||F", "ICD-10-CN"),
        ({}, "DG1|1||38341003^x^SCT^I10^Hypertension^I10C|||F", "ICD-10-CM"),
        ({}, "PR1|1||47.0900^阑尾切除术^I9CP", "ICD-9-CM-3"),
        ({}, "PR1|1|I10P|0DTJ4ZZ|Appendectomy", "ICD-10-PCS"),
        ({}, "PR1|1||44950^Appendectomy^C4", "C4"),
    ],
)
def test_coding_systems(head: dict[str, str], row: str, system: str) -> None:
    data = message(header("ADT^A08", **head), pid(), pv1(), row) + document()
    (one,) = read(data.encode("utf-8"))
    assert [code.system for code in one.codes] == [system]


def test_admission_diagnoses_count_where_there_are_no_others() -> None:
    one = only(admission("V1", "A01", "DG1|1||R05^Cough^I10C|||A"), document())
    assert [code.code for code in one.codes] == ["R05"]


# ---------------------------------------------------------------------------------------------------- what is wrong


def test_what_cannot_be_read_leaves_the_others() -> None:
    data = (
        report()
        + message(header("SIU^S12"), pid())
        + message(header("ORU^R01", f12="3.0"), pid())
        + message(header("ORU^R01"), pid(), f"{SECRET} torn")
        + "MSH|^~\\&|HIS\r"
        + document(visit="V2", patient="P2")
    )
    found = list(read(data.encode()))
    assert [(str(one.place), code_of(one)) for one in found[:4]] == [
        ("standard input, message 2", "JC173"),
        ("standard input, message 3", "JC172"),
        ("standard input, message 4", "JC171"),
        ("standard input, message 5", "JC171"),
    ]
    assert [(one.id, texts(one)) for one in found[4:]] == [("V1", [REPORT]), ("V2", [NOTE])]
    assert str(found[0].error).startswith("JC173: standard input, message 2: ")


def test_a_batch_that_counts_other_messages_has_lost_some() -> None:
    first, second = read(("BHS|^~\\&\r" + report() + "BTS|2\r").encode())
    assert (str(first.place), code_of(first), texts(second)) == ("standard input, record 1", "JC171", [REPORT])
    assert "holds 2 messages; 1 came" in str(first.error)


def test_two_patients_under_one_visit_number() -> None:
    first, second = read((report() + document(patient="P2") + report(visit="V9", patient="P9")).encode())
    assert (first.id, code_of(first), texts(second)) == ("V1", "JC177", [REPORT])
    assert "message 2" in str(first.error)
    both = report(patient="P1~X7") + report(patient="X7", order="R2")
    assert only(both.replace("P1~X7^^^", "P1^^^~X7^^^")).encounter is not None


def test_a_stay_without_a_document_or_cancelled() -> None:
    assert code_of(only(admission())) == "JC174"
    assert code_of(only(report(""))) == "JC174"
    assert code_of(only(admission(), document(), admission("V1", "A11", sent="20260110"))) == "JC178"
    again = admission("V1", "A01", sent="20260111")
    assert texts(only(admission(), document(), admission("V1", "A11", sent="20260110"), again)) == [NOTE]


def test_a_discharge_that_was_cancelled_has_no_day() -> None:
    told = [
        admission(),
        document(),
        admission("V1", "A03", sent="20260109110000", f45="20260109", f36="01"),
        admission("V1", "A13", sent="20260109120000", f45="20260109"),
    ]
    one = only(*told)
    assert one.encounter is not None
    assert (one.encounter.discharged, one.encounter.admitted) == (None, dt.date(2026, 1, 2))
    assert "hl7.disposition" not in one.encounter.fields
    later = only(*told, admission("V1", "A03", sent="20260111", f45="20260111"))
    assert later.encounter is not None
    assert later.encounter.discharged == dt.date(2026, 1, 11)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_wrong_with_messages_is_an_error_of_ours(data: st.DataObject) -> None:
    sound = (admission() + report() + document() + message(header("ORU^R01"), pid(), pv1(), file_in_obx(b"x"))).encode()
    broken = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(broken) - 1))
        cut = data.draw(st.integers(0, 40))
        noise = st.binary(max_size=4) | st.sampled_from([b"|", b"^", b"\r", b"\n", b"\x0b", b"\x1c", b"\\", b"~", b"&"])
        broken[place : place + cut] = data.draw(noise)
        if not broken:
            return
    for one in read_files([Source.of(bytes(broken), name="night.hl7")]):
        assert (one.encounter is None) != (one.error is None)
        if one.error is not None:
            assert one.error.code in CATALOGUE
            assert SECRET not in str(one.error)
        assert all(SECRET not in flag.message for flag in one.flags)


def test_line_breaks_within_fields_are_flagged() -> None:
    one = only(f"{header('ORU^R01')}\nOBX|1|TX|c||Fever\nand cough\n")
    assert (texts(one), [flag.code for flag in one.flags]) == (["Fever\nand cough"], ["JC175"])


def test_bytes_of_no_encoding_fail_their_message_alone() -> None:
    broken = document("x").encode().replace(b"||x|", b"||\x81\xff\x00\x9d\xff\x81|")
    found = list(read(broken + report(visit="V2").encode()))
    assert [one.error.code for one in found if one.error] in (["JC106"], ["JC102"])
    assert [texts(one) for one in found if one.encounter] == [[REPORT]]


def test_a_file_by_its_ending_and_one_by_its_beginning(tmp_path: Path) -> None:
    note, named, untold = tmp_path / "note.txt", tmp_path / "stay.hl7", tmp_path / "stay.txt"
    note.write_text(NOTE, "utf-8")
    named.write_text(NOTE, "utf-8")
    untold.write_bytes(mllp(document()))
    assert [texts(one) for one in read(note)] == [[NOTE]]
    assert [code_of(one) for one in read(named)] == ["JC170"]
    (one,) = read(untold)
    assert (one.id, texts(one)) == ("V1", [NOTE])
    (gone,) = read(tmp_path / "gone.hl7")
    assert code_of(gone) == "JC107"


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak(stays: int) -> int:
        path = tmp_path / f"{stays}.hl7"
        with path.open("w", encoding="utf-8", newline="") as file:
            for n in range(stays):
                file.write(report("a line of a report, " * 2000, visit=f"V{n}", patient=f"P{n}"))
        tracemalloc.start()
        try:
            assert sum(1 for _ in read_files([Source.of(path)])) == stays
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(20), peak(200)  # .8 and 8 MB of messages
    assert many < few + 3_000_000
