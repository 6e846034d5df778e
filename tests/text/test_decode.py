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
    cut = "JC150" in [flag.code for flag in decoded.flags]
    assert again in data
    assert len(data) - len(again) in ((1, 2, 3, 4, 5, 6, 7) if cut else (0, 2, 3, 4))  # at most the byte-order mark
    assert decoded.encoding.startswith("utf") or "\ufffd" not in decoded.text


# ------------------------------------------------------------------------------------------ what Chinese exports hold

SENTENCES = st.lists(
    st.sampled_from(
        [
            "患者因反复胸痛三天入院。",
            "既往高血压病史10年，口服氨氯地平。",
            "否认肝炎、结核等传染病史。",
            "行冠状动脉造影术，示右冠状动脉中段狭窄90%。",
            "出院诊断：1.急性非ST段抬高型心肌梗死 2.2型糖尿病\n",
            "体温36.5℃，双肺呼吸音清。",
        ]
    ),
    min_size=2,
    max_size=12,
).map("".join)
TRADITIONAL_SENTENCES = st.lists(
    st.sampled_from(
        [
            "病患因反覆胸痛三天入院。",
            "過去病史有高血壓十年，規則服藥。",
            "診斷為急性心肌梗塞，轉入加護病房。",
            "接受冠狀動脈攝影，發現右冠狀動脈狹窄。\n",
            "出院診斷:失智症、第二型糖尿病",
        ]
    ),
    min_size=2,
    max_size=12,
).map("".join)


@given(SENTENCES, st.sampled_from(["gbk", "gb18030", "utf-16-le", "utf-16-be", "utf-8"]))
def test_simplified_text_comes_back_from_every_encoding(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)).text == text


@given(TRADITIONAL_SENTENCES, st.sampled_from(["big5", "cp950", "big5hkscs", "gb18030", "utf-16-le", "utf-8"]))
def test_traditional_text_comes_back_from_every_encoding(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)).text == text


@given(SENTENCES, st.sampled_from(["utf-8", "gbk"]), st.data())
def test_a_field_cut_within_a_character_loses_that_one_only(text: str, encoding: str, data: st.DataObject) -> None:
    whole = (text * 4).encode(encoding)
    cut = data.draw(st.integers(100, len(whole)))
    decoded = decode(whole[:cut])
    left = cut - len(decoded.text.encode(encoding))
    assert (text * 4).startswith(decoded.text)
    assert 0 <= left <= 3
    assert ("JC150" in [flag.code for flag in decoded.flags]) == (left > 0)


def test_a_last_accented_letter_is_no_cut_character() -> None:
    text = "The patient was admitted with chest pain and was seen again in the café"
    assert decode(text.encode("cp1252")).text == text
