from __future__ import annotations

import codecs
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.text.decode import Decoded, decode

CHINESE = "患者因胸痛三天入院，既往高血压病史十年。\n诊断：冠心病、2型糖尿病。"
SPANISH = "Varón de 60 años, con antecedentes de hipertensión. ¿Neumonía? Fiebre de 38,5 ºC; niega dolor torácico."
TRADITIONAL = "病患因胸痛入院，診斷為急性心肌梗塞，過去病史有高血壓與糖尿病。"


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        (CHINESE, "gbk", "gb18030"),
        (CHINESE, "gb18030", "gb18030"),
        ("主诉：头痛", "gbk", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        (SPANISH, "latin-1", "cp1252"),
        ("Patient’s blood pressure – stable", "cp1252", "cp1252"),
        ("Temp 38 °C", "cp1252", "cp1252"),
    ],
)
def test_legacy_encodings_are_found_and_said(text: str, encoding: str, expected: str) -> None:
    decoded = decode(text.encode(encoding))
    assert decoded.text == text
    assert decoded.encoding == expected
    assert [flag.code for flag in decoded.flags] == ["JC109"]


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_marked_unicode(mark: bytes, encoding: str) -> None:
    decoded = decode(mark + CHINESE.encode(encoding))
    assert (decoded.text, decoded.encoding, len(decoded.flags)) == (CHINESE, encoding, 1)


def test_utf8_with_and_without_a_mark_needs_no_flag() -> None:
    for data in (SPANISH.encode(), codecs.BOM_UTF8 + SPANISH.encode()):
        decoded = decode(data)
        assert (decoded.text, decoded.encoding, decoded.flags) == (SPANISH, "utf-8", ())


@pytest.mark.parametrize("data", [b"", b" \r\n\t ", codecs.BOM_UTF8, codecs.BOM_UTF8 + b"  \n", "\u3000\n".encode()])
def test_nothing_to_read(data: bytes) -> None:
    with pytest.raises(InputError, match="JC101"):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7\n1 0 obj",
        b"PK\x03\x04\x14\x00",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0JFIF",
        b"a note\x00with a NUL",
        zlib.compress(b"chest pain " * 400),
        bytes(range(1, 32)) * 8,
        b"{\\rtf1\\ansi note}",
        codecs.BOM_UTF16_LE + "a\x00b".encode("utf-16-le"),
    ],
)
def test_binary_is_refused_with_a_hint(data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        decode(data)
    assert caught.value.code in ("JC102", "JC106")
    assert caught.value.hint


@pytest.mark.parametrize("data", [codecs.BOM_UTF16_LE + b"a\x00b", codecs.BOM_UTF32_BE + b"abcd"])
def test_a_mark_that_lies(data: bytes) -> None:
    with pytest.raises(InputError, match="JC106"):
        decode(data)


def decoded_or_code(data: bytes) -> Decoded | str:
    try:
        return decode(data)
    except InputError as error:
        return error.code


@given(st.text(min_size=1).filter(lambda text: text.strip() and "\x00" not in text))
def test_utf8_comes_back_as_it_was(text: str) -> None:
    decoded = decoded_or_code(text.encode("utf-8"))
    # white space of other scripts and control characters are refused
    assert decoded in ("JC101", "JC102") if isinstance(decoded, str) else decoded.text == text.removeprefix("\ufeff")


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_round_trip_or_are_refused(data: bytes) -> None:
    decoded = decoded_or_code(data)
    if isinstance(decoded, str):
        assert decoded in ("JC101", "JC102", "JC106")
        return
    again = decoded.text.encode(decoded.encoding)
    assert data.endswith(again)
    assert len(data) - len(again) in (0, 2, 3, 4)  # at most the byte-order mark
    assert decoded.encoding.startswith("utf") or "\ufffd" not in decoded.text
