"""One HL7 v2 message: delimiters, escapes, segments, character sets, and how messages stand in a file."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.exchange.hl7_frames import begins, frames
from jointcoder.exchange.hl7_frames import read as message_at
from jointcoder.exchange.hl7_message import NULL, Delimiters, Message, escape, unescape
from jointcoder.exchange.reading import read
from tests.exchange.hl7_messages import CHINESE, NOTE, SECRET, document, header, lines, message, mllp, pid, pv1, report

TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
MARKS = st.lists(st.sampled_from("|^~\\&!$%*+@/;:#"), min_size=5, max_size=5, unique=True)


@given(TEXTS)
def test_any_text_through_escapes_is_the_same(text: str) -> None:
    assert unescape(escape(text)) == text
    assert not set("|^~&\r\n\x0b\x1c") & set(escape(text))
    assert escape(text) != NULL


@given(TEXTS, MARKS)
def test_escapes_hold_under_any_delimiters(text: str, marks: list[str]) -> None:
    delimiters = Delimiters(*marks)
    assert unescape(escape(text, delimiters), delimiters) == text


@settings(max_examples=60)
@given(st.lists(TEXTS, min_size=1, max_size=4), MARKS, st.sampled_from(["\r", "\n", "\r\n"]))
def test_any_text_goes_through_the_obx_of_a_message(texts: list[str], marks: list[str], end: str) -> None:
    delimiters = Delimiters(*marks)
    type = f"ORU{delimiters.component}R01"
    rows = [["MSH", delimiters.encoding, *[""] * 6, type, "1", "P", "2.5"]]
    whole = ["Begin", *texts, "end."]
    rows += [["OBX", "1", "FT", "", "", escape(text, delimiters)] for text in whole]
    data = "".join(delimiters.field.join(row) + end for row in rows).encode("utf-8")
    (one,) = read(data)
    assert one.encounter is not None, one.error
    assert one.encounter.documents[0].text == "\n".join(whole)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"one\.br\two\.BR\three", "one\ntwo\nthree"),
        (r"one\.sp2\two\.sk3\three\.ce\four", "one\n\ntwo   three\nfour"),
        (r"\.in+4\\.ti-2\\.fi\\.nf\plain", "plain"),
        (r"a \H\bold\N\ word", "a bold word"),
        (r"\X0D0A\ and \X41\\X42\ and \XE4BD\\XA0\.", "\r\n and AB and 你."),
        (r"\Zlocal1\kept \C2842\here", "kept here"),
        (r"C:\temp\new 5\ and \unknown thing\ stay", r"C:\temp\new 5\ and \unknown thing\ stay"),
        (r"\X4\ \XGG\ \.skx\ ", r"\X4\ \XGG\ \.skx\ "),
        (r"\P\ of 2.7", "# of 2.7"),
        ("a\\", "a\\"),
    ],
)
def test_what_escapes_mean(written: str, text: str) -> None:
    assert unescape(written) == text


def test_hexadecimal_escapes_are_in_the_encoding_of_the_message() -> None:
    assert unescape(r"\XC4E3\.", charset="gb18030") == "你."
    assert unescape(r"\XFF\.", charset="utf-8") == "ÿ."  # no UTF-8: byte for byte


def test_fields_are_numbered_as_the_standard_numbers_them() -> None:
    patient_id = pid(f3="A^^^X^PI~B&b^^^Y^MR", f18=NULL)
    one = Message.parse(message(header("ADT^A01", f18="UNICODE UTF-8"), patient_id, pv1()))
    head, patient = one.first("MSH"), one.first("PID")
    assert head is not None
    assert patient is not None
    assert (head.value(1), head.raw(2), head.value(9, 2), head.value(12)) == ("|", r"^~\&", "A01", "2.5")
    assert (patient.value(3), patient.value(3, 4), patient.value(3, repetition=1), patient.value(3, repetition=2)) == (
        "A", "X", "B", "",
    )  # fmt: skip
    assert (patient.value(18), patient.is_null(18), patient.is_null(17), patient.value(99)) == ("", True, False, "")
    assert (one.type, one.event, one.all("OBX"), one.first("OBX")) == ("ADT", "A01", [], None)


def test_identifiers_are_kept_in_the_standard_delimiters() -> None:
    text = "MSH:*;!%:HIS::::::ADT*A01:1:P:2.5\rPID:::12*A^1***HOSP%x*MR;9!S!8\r"
    patient = Message.parse(text).first("PID")
    assert patient is not None
    assert patient.plain(3) == r"12^A\S\1^^^HOSP&x^MR~9*8"
    assert (patient.value(3, 2), patient.value(3, repetition=1)) == ("A^1", "9*8")


def test_line_breaks_within_a_text_belong_to_it_and_are_counted() -> None:
    head = header("ORU^R01")
    bare = f"{head}\rOBR|1||R1|X\rOBX|1|TX|c||Fever\nand cough\n\nEKG|x\rOBX|2|TX|c||end\r"
    one = Message.parse(bare)
    assert [segment.text(segment.raw(5)) for segment in one.all("OBX")] == ["Fever\nand cough\n\nEKG", "end"]
    lined = f"{head}\nOBR|1||R1|X\nOBX|1|TX|c||Fever\n\nEKG\nand cough\nOBX|2|TX|c||end\n"
    other = Message.parse(lined)
    assert [segment.text(segment.raw(5)) for segment in other.all("OBX")] == ["Fever\n\nEKG\nand cough", "end"]
    assert other.broken_lines == 2
    with pytest.raises(InputError, match="JC171"):
        Message.parse(f"{head}\nPID|1\nand cough\n")


def test_a_field_that_goes_on_in_another_segment_is_joined() -> None:
    one = Message.parse(message(header("ORU^R01"), "OBX|1|TX|c||pneu", "ADD|monia||||F"))
    (result,) = one.all("OBX")
    assert (result.value(5), result.value(9)) == ("pneumonia", "F")


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("PID|1\r", "JC170", "no MSH"),
        ("MSHA^~\\&A\r", "JC170", "no MSH"),
        ("MSH|^^|HIS\r", "JC171", "MSH-2"),
        ("MSH|a~\\&|HIS\r", "JC171", "MSH-2"),
        ("MSH||HIS\r", "JC171", "MSH-2"),
        ("MSH|^~\\&|HIS||||2026\r", "JC171", "version"),
        (header("", f12="2.5") + "\r", "JC171", "MSH-9"),
        (header("ADT^A01", f12="2.1") + "\r", "JC172", "2.1"),
        (header("ADT^A01", f12=SECRET) + "\r", "JC172", "version"),
        (header("SIU^S12") + "\r", "JC173", r"SIU\^S12"),
        (header("ADT^A40") + "\r", "JC173", r"ADT\^A40"),
        (header(SECRET) + "\r", "JC173", "this type are"),
        (header("unread") + "\r", "JC173", "this type are"),
        (f"{header('ADT^A01')}\r{SECRET} lies here\r", "JC171", "line 2"),
    ],
)
def test_what_is_wrong_with_a_message_is_said_without_its_text(text: str, code: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        Message.parse(text)
    assert caught.value.code == code
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("version", ["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.2"])
def test_versions_that_are_read(version: str) -> None:
    assert Message.parse(header("ADT^A01", f12=f"{version}^CHN") + "\r").event == "A01"


def test_this_reader_and_hl7apy_see_the_same() -> None:
    hl7apy = pytest.importorskip("hl7apy.parser", reason="needs the extra hl7")
    text = report("a|b^c\n~d", title="71020&x^Chest & film^L")
    ours, theirs = Message.parse(text), hl7apy.parse_message(text, find_groups=False)
    for segment in ours.segments[1:]:
        for number in range(1, len(segment.fields)):
            found = [one for one in theirs.children if one.name == segment.name]
            place = ours.all(segment.name).index(segment)
            field = getattr(found[place], f"{segment.name.lower()}_{number}")
            assert field.to_er7() == segment.fields[number], (segment.name, number)


# ---------------------------------------------------------------------------------------------------------------- files


def standing(data: bytes) -> list[str]:
    """The messages as they stand, and codes of what is wrong."""
    file = io.BytesIO(data)
    return [one.error.code if one.error else message_at(file, one).decode().strip("\r\n") for one in frames(file)]


def test_messages_are_found_in_every_framing() -> None:
    first, second = report(), document()
    bare = [first.strip("\r"), second.strip("\r")]
    assert standing((first + second).encode()) == bare
    assert standing((first + "\r\n\r\n" + second).encode()) == bare
    assert standing(b"\xef\xbb\xbf" + (first + second).encode()) == bare
    assert standing(mllp(first, second)) == bare
    batch = "FHS|^~\\&|X\rBHS|^~\\&|X\r" + first + second + "BTS|2\rBHS|^~\\&\r" + first + "BTS|1\rFTS|2\r"
    assert standing(batch.encode()) == [*bare, bare[0]]


def test_a_file_is_found_whatever_block_a_message_crosses(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [report(visit=f"V{n}", text="x" * n) for n in range(60)]
    whole = [text.strip("\r") for text in texts]
    for size in (17, 64, 199):
        monkeypatch.setattr("jointcoder.exchange.hl7_frames._BLOCK", size)
        assert standing("".join(texts).encode()) == whole
        assert standing(mllp(*texts)) == whole


def test_what_is_no_message_is_an_error_at_its_place() -> None:
    first = report()
    bare = first.strip("\r")
    assert standing(b"garbage\r" + first.encode()) == ["JC170", bare]
    assert standing(mllp(first, "PID|1\r", first)) == [bare, "JC170", bare]
    assert standing(mllp(first)[:-3] + mllp(first)) == ["JC171", bare]
    assert standing(mllp(first) + b"tail") == [bare, "JC170"]
    assert standing(("BHS|^~\\&\r" + first + "BTS|3\r" + first).encode()) == [bare, "JC171", bare]
    assert standing(b"") == standing(b" \r\n\r\n") == standing(b"\x0b\x1c\r") == []


def test_any_bytes_between_messages_leave_the_messages() -> None:
    chance = random.Random(7)
    first = report()
    for _ in range(200):
        noise = bytes(chance.choice(b"abc |^~\\&\r\n\x1c0123") for _ in range(chance.randrange(1, 40)))
        found = standing(first.encode() + b"\r" + noise + b"\r" + first.encode())
        assert found[-1] == first.strip("\r")
        assert len(found) >= 2


def test_what_begins_like_hl7_is_told_from_notes() -> None:
    assert begins(report().encode())
    assert begins(mllp(report()))
    assert begins(b"\xef\xbb\xbf\r\nFHS|^~\\&|x")
    assert begins(report().encode("utf-16"))
    assert not begins(b"MSH is a hormone.")
    assert not begins(b"MSH| is a hormone.")
    assert not begins(NOTE.encode())


@pytest.mark.parametrize(
    ("named", "encoding", "flagged"),
    [
        ("", "utf-8", False),
        ("UNICODE UTF-8", "utf-8", False),
        ("UNICODE", "utf-8", False),
        ("GB 18030-2000", "gb18030", False),
        ("ASCII", "utf-8", False),
        ("", "gb18030", True),
        ("UNICODE UTF-8", "gb18030", True),
        ("8859/1~GB 18030-2000", "utf-8", None),
        ("klingon", "gb18030", True),
    ],
)
def test_character_sets(named: str, encoding: str, flagged: bool | None) -> None:
    text = document(CHINESE).replace("|P|2.5", f"|P|2.5||||||{named}" if named else "|P|2.5", 1)
    (one,) = read(text.encode(encoding))
    assert one.encounter is not None
    if flagged is None:  # it says what it is not, and that can be read: believed
        assert one.encounter.documents[0].text == CHINESE.encode("utf-8").decode("iso8859-1")
        return
    assert one.encounter.documents[0].text == CHINESE
    assert ([flag.code for flag in one.flags] == ["JC109"]) is flagged


def test_latin_letters_and_halves_of_characters_that_look_like_delimiters() -> None:
    (one,) = read(document("Fièvre élevée").replace("|P|2.5", "|P|2.5||||||8859/1").encode("iso8859-1"))
    assert one.encounter is not None
    assert one.encounter.documents[0].text == "Fièvre élevée"
    tricky = "".join(bytes((0x81 + n, second)).decode("gb18030") for n in range(20) for second in b"|^~\\")
    head = header("ORU^R01", f3=tricky[:4], f18="GB 18030-2000")
    data = message(head, "OBR|1||R1|X", *lines(f"病历{tricky}")).encode("gb18030")
    (two,) = read(data)
    assert two.encounter is not None
    assert two.encounter.documents[0].text == f"病历{tricky}"


def test_a_file_in_utf_16_is_read_too() -> None:
    (one,) = read((document(CHINESE) + report()).encode("utf-16"))
    assert one.encounter is not None
    assert one.encounter.documents[-1].text == CHINESE
