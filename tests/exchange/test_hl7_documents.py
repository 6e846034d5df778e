"""Which documents HL7 v2 messages hold, and which of them stand in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from jointcoder.exchange.reading import read
from tests.exchange.hl7_messages import (
    CHINESE,
    NOTE,
    REPORT,
    code_of,
    document,
    file_in_obx,
    header,
    lines,
    message,
    only,
    oru,
    pid,
    pv1,
    report,
    segment,
    texts,
    titles,
)


def test_a_report_with_several_parts_is_a_document_for_each() -> None:
    one = only(
        oru(
            segment("OBR", f1="1", f3="R1", f4="24627-2^Chest CT^LN"),
            *lines("No embolism.\n\nInfiltrate.", code="18782-3^^LN"),
            *lines("Pneumonia.", code="19005-8^Impression^LN"),
            *lines("Compared to 2025.", code="X&GDT^Comparison with earlier films^L"),
            segment("OBR", f1="2", f3="R2", f4="11526-1^^LN"),
            *lines("Adenocarcinoma.", code="22637-3^^LN", type="FT"),
        )
    )
    assert texts(one) == ["No embolism.\n\nInfiltrate.", "Pneumonia.", "Compared to 2025.", "Adenocarcinoma."]
    assert titles(one) == ["Findings", "Impression", "Chest CT / Comparison with earlier films", "Pathology"]
    assert one.encounter is not None
    assert [doc.id for doc in one.encounter.documents] == ["R1#1", "R1#2", "R1#3", "R2"]


def test_words_are_read_and_results_are_not() -> None:
    one = only(
        oru(
            segment("OBR", f3="R1", f4="L^Panel"),
            "OBX|1|NM|718-7^Hb^LN||13.2|g/dL",
            "OBX|2|ST|6690-2^WBC^LN||12.1",
            "OBX|3|ST|x^CRP||<5|mg/L",
            "OBX|4|ST|y^Status||>60||>59",
            "OBX|5|CE|z^Type||A^B",
            "OBX|6|ST|c^Comment||Haemolysed sample",
            "OBX|7||d^Remark||Repeat~in a week",
        )
    )
    assert texts(one) == ["Haemolysed sample", "Repeat\nin a week"]
    assert titles(one) == ["Panel / Comment", "Panel / Remark"]


@pytest.mark.parametrize(
    ("type", "subtype", "encoding"),
    [("text", "plain", "Base64"), ("TEXT", "", "base64"), ("", "", "Hex"), ("application", "octet-stream", "BASE64")],
)
def test_a_text_as_a_file(type: str, subtype: str, encoding: str) -> None:
    obx = file_in_obx(CHINESE.encode("gb18030"), type=type, subtype=subtype, encoding=encoding)
    one = only(oru(segment("OBR", f3="R1", f4="X^病程记录"), obx))
    assert (texts(one), titles(one)) == ([CHINESE], ["病程记录"])
    assert [flag.code for flag in one.flags] == ["JC109"]


def test_a_text_as_it_is_and_markup_as_files() -> None:
    plain = segment("OBX", f2="ED", f3="a^A", f5=r"^text^plain^A^Fever \T\ cough")
    markup = file_in_obx(b"<p>Fever<br>cough</p>", type="text", subtype="html").replace("|D|", "|b^B|")
    one = only(oru(plain, markup))
    assert (texts(one), titles(one)) == (["Fever & cough", "Fever\ncough"], ["A", "B"])


def test_a_pdf_goes_through_its_reader(tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2", reason="needs the extra pdf")
    pytest.importorskip("reportlab", reason="sets its PDFs with reportlab")
    pytest.importorskip("mpl_font", reason="sets its PDFs with the glyphs of mpl-font")
    from tests.typeset import text_pdf, typeset

    data = text_pdf(tmp_path / "note.pdf", typeset(NOTE)).read_bytes()
    for obx in (file_in_obx(data), file_in_obx(data, type="", subtype=""), file_in_obx(data, encoding="Hex")):
        one = only(message(header("MDM^T02"), pid(), pv1(), "TXA|1|DS|||||||||D1", obx))
        assert [text.split() for text in texts(one)] == [NOTE.split()]
        assert titles(one) == ["Discharge summary"]
        assert one.encounter is not None
        assert one.encounter.documents[0].pages


def test_a_file_that_is_broken_or_not_held() -> None:
    broken = segment("OBX", f2="ED", f3="x", f5="^application^pdf^Base64^%%%")
    alone = only(oru("OBR|1||R1|X", broken))
    assert code_of(alone) == "JC164"
    assert str(alone.error) == "JC164: standard input, message 1: OBX in segment 5 is not base64"
    beside = only(oru("OBR|1||R1|X", broken, *lines("Fever")))
    assert (texts(beside), [flag.code for flag in beside.flags]) == (["Fever"], ["JC164"])
    for value in ("^a", "^application^pdf^Quoted^abc", "^application^msword^Base64^AAAA", "^^^Hex^zz", "^x^rtf^A^{"):
        assert code_of(only(oru(segment("OBX", f2="ED", f3="x", f5=value)))) == "JC164", value
    pointed = only(oru("OBR|1||R1|X", r"OBX|1|RP|x||\\server\share\a.pdf", *lines("Fever")))
    assert (texts(pointed), [flag.code for flag in pointed.flags]) == (["Fever"], ["JC176"])
    assert "share" not in pointed.flags[0].message


def test_a_damaged_pdf_is_an_error_of_its_stay_alone() -> None:
    pytest.importorskip("pypdfium2", reason="needs the extra pdf")
    damaged = file_in_obx(b"%PDF-1.7 nothing")
    first, second = read((oru(damaged) + report(visit="V2")).encode())
    assert (code_of(first), texts(second)) == ("JC130", [REPORT])


def test_later_documents_take_the_place_of_earlier_ones() -> None:
    one = only(
        report("preliminary", status="P"),
        report("final", sent="20260104"),
        report("other", order="R2"),
        document("first"),
        document("second", event="T08", sent="20260110"),
        document("added", event="T06", number="D2", f13="D1", sent="20260111"),
    )
    assert texts(one) == ["final", "other", "second", "added"]
    replaced = only(document("old"), document("new", event="T10", number="D7", f13="D1", sent="20260110"))
    assert texts(replaced) == ["new"]
    told = document("", event="T09", number="D7", f13="D1", sent="20260110")
    assert texts(only(document("old"), told)) == ["old"]  # what replaces it has not come


def test_the_time_of_a_message_counts_not_its_place() -> None:
    assert texts(only(report("late", sent="20260105"), report("early", sent="20260104"))) == ["late"]
    assert texts(only(report("a", sent=""), report("b", sent="20260104"))) == ["b"]  # one has none: as they came


@pytest.mark.parametrize(
    "gone",
    [
        document("", event="T11", sent="20260110"),
        document("", event="T04", sent="20260110", f17="X"),
        document("x", event="T08", sent="20260110", f17="D"),
        document("x", event="T08", sent="20260110", f17="W"),
        document("", event="T04", sent="20260110", f19="CA"),
    ],
)
def test_documents_that_were_taken_away(gone: str) -> None:
    assert texts(only(document(), report(), gone)) == [REPORT]
    assert code_of(only(document(), gone)) == "JC174"


def test_results_that_were_taken_away() -> None:
    assert texts(only(report(), document(), report("", status="X", sent="20260104"))) == [NOTE]
    for status in "DWX":
        gone = message(header("ORU^R01", f7="20260104"), pid(), pv1(), "OBR|1||R1|71020", *lines("x", status=status))
        assert texts(only(report(), document(), gone)) == [NOTE]
    partly = oru("OBR|1||R1|X", *lines("wrong", status="W"), *lines("right"))
    assert texts(only(partly)) == ["right"]
    assert texts(only(report(), report("", sent="20260104"))) == [REPORT]  # a status alone takes nothing away


def test_the_same_text_counts_once() -> None:
    assert texts(only(report(NOTE), document())) == [NOTE]
