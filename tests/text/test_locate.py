from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.text.locate import locate, locate_all
from jointcoder.text.normalise import normalise

NOTE = (
    "Acute on chronic systolic heart failure, type 2 diabetes mellitus, right knee pain; CHF. Amiodarone for MI. "
    "Hyperkalemia noted. Café-au-lait spots. Acute\n   kidney injury."
)
RECORD = (
    "1.高血压病3级（很高危）2.2型糖尿病，右侧股骨颈骨折，左肺上叶腺癌。NSTEMI，冠状动脉粥样硬化性心脏病。２型糖尿病肾病"
)


def found(quote: str, text: str) -> str | None:
    span = locate(quote, text)
    return None if span is None else text[span[0] : span[1]]


@pytest.mark.parametrize(
    ("quote", "text", "expected"),
    [
        ("right knee pain", NOTE, "right knee pain"),
        ("SYSTOLIC  heart\nfailure", NOTE, "systolic heart failure"),
        ("acute kidney injury", NOTE, "Acute\n   kidney injury"),
        ("cafe au lait", NOTE, None),
        ("cafe-au-lait", NOTE, "Café-au-lait"),
        ("MI", NOTE, "MI"),
        (" CHF. ", NOTE, "CHF."),
        ("acute chronic systolic heart failure", NOTE, "Acute on chronic systolic heart failure"),
        ("systolic heart failures", NOTE, "systolic heart failure"),
        ("type 2 diabetis mellitus", NOTE, "type 2 diabetes mellitus"),
        ("type 1 diabetes mellitus", NOTE, None),
        ("left knee pain", NOTE, None),
        ("hypokalemia noted", NOTE, None),
        ("amio", NOTE, None),
        ("sepsis due to pneumonia", NOTE, None),
        ("", NOTE, None),
        (" ; ", NOTE, ";"),
        ("。", NOTE, None),
        ("高血压病3级(很高危)", RECORD, "高血压病3级（很高危）"),
        ("高血壓病 3 級", RECORD, "高血压病3级"),
        ("ＮＳＴＥＭＩ", RECORD, "NSTEMI"),
        ("冠状动脉粥样硬化心脏病", RECORD, "冠状动脉粥样硬化性心脏病"),
        ("左侧股骨颈骨折", RECORD, None),
        ("肺炎", RECORD, None),
        ("2型糖尿病肾病", RECORD, "２型糖尿病肾病"),
    ],
)
def test_quotes(quote: str, text: str, expected: str | None) -> None:
    assert found(quote, text) == expected


def test_whole_words_go_before_parts_of_words() -> None:
    assert locate("ulcer", "ulcerative colitis with ulcer") == (24, 29)
    assert locate("ulcer", "ulcerative colitis") == (0, 5)
    assert locate("MI", "family") is None


def test_near_and_bounds() -> None:
    text = "pain one, pain two, pain three"
    assert locate_all("pain", text) == [(0, 4), (10, 14), (20, 24)]
    assert locate("pain", text) == (0, 4)
    assert locate("pain", text, near=19) == (20, 24)
    assert locate("PAIN", text, start=5) == (10, 14)
    assert locate("pain", text, start=1, end=12) is None
    assert locate_all("PAIN", text, start=5, end=16) == [(10, 14)]


TEXTS = st.text(st.sampled_from("abcDE éñ1,.-\n　高血压糖尿病壓（）３"), min_size=1, max_size=60)


@given(TEXTS, st.data())
def test_a_changed_copy_covers_what_it_was_copied_from(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    original = text[start:end]
    change = data.draw(st.sampled_from([str.upper, str.lower, _wide, _spaced, str.strip, _composed, str]))
    span = locate(change(original), text, near=start)
    bare = _bare(original)
    if any(char.isalnum() for char in bare) and (len(original.strip()) >= 5 or _has_han(bare)):
        assert span is not None
    if span is not None:
        first, last = span
        assert 0 <= first < last <= len(text)
        assert bare in _bare(text[first:last])


def _bare(text: str) -> str:
    return "".join(normalise(text, accents=True).text.split())


def _has_han(text: str) -> bool:
    return any("\u4e00" <= char <= "\u9fff" for char in text)


def _wide(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


def _spaced(text: str) -> str:
    return " ".join(text.split()) + "\n"


def _composed(text: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFD", text)


@given(st.text(max_size=30), st.text(max_size=60))
def test_any_text_is_borne(quote: str, text: str) -> None:
    for first, last in locate_all(quote, text):
        assert 0 <= first < last <= len(text)
