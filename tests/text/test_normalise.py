from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.text.normalise import normalise

TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from(
            "aéſßﬁｶﾞが각ㅏᅡ\u1161\u11a8\u0301\u0308\u0345\u3099\u0f71\u0f72İΣ①㍿㎏糖壓麼\U00020000\U0001f600 \t\n\u3000"
        ),
    ),
    max_size=24,
)
OPTIONS = st.fixed_dictionaries({name: st.booleans() for name in ("lower", "accents", "simplify", "spaces")})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ＣＨＦ", "chf"),
        ("ﬁbrosis", "fibrosis"),
        ("cafe\u0301", "café"),
        ("糖尿病與高血壓", "糖尿病与高血压"),
        ("失智症", "失智症"),
        ("内视镜", "内视镜"),
        ("（３级）：", "(3级):"),
        ("", ""),
    ],
)
def test_normal_forms(text: str, expected: str) -> None:
    assert normalise(text).text == expected


def test_options() -> None:
    assert normalise("Riñón Órgano", accents=True).text == "rinon organo"
    assert normalise("CHF", lower=False).text == "CHF"
    assert normalise("高血壓", simplify=False).text == "高血壓"
    assert normalise(" a \n\t b ", spaces=True).text == " a b "


def test_what_is_found_is_quoted_from_the_original() -> None:
    original = "Dx: cafe\u0301 au lait，２型糖尿病、ﬁbrosis"
    normal = normalise(original, accents=True)
    for wanted, quote in (("cafe", "cafe\u0301"), ("2型", "２型"), ("f", "ﬁ"), ("fibro", "ﬁbro")):
        start = normal.text.rindex(wanted)
        first, last = normal.original_span(start, start + len(wanted))
        assert original[first:last] == quote


@given(TEXTS)
def test_is_nfkc(text: str) -> None:
    assert normalise(text, lower=False, simplify=False).text == unicodedata.normalize("NFKC", text)


@given(TEXTS, OPTIONS, st.data())
def test_the_map_back_is_exact(text: str, options: dict[str, bool], data: st.DataObject) -> None:
    normal = normalise(text, **options)
    size = len(normal.text)
    assert bool(size) == bool(text)
    assert normal.original_span(0, size) == (0, len(text))
    places = st.integers(0, size)
    start, end = sorted((data.draw(places), data.draw(places)))
    first, last = normal.original_span(start, end)
    assert 0 <= first <= last <= len(text)
    assert (first < last) == (start < end)
    if start < end:
        later = data.draw(st.integers(end, size))
        wider = normal.original_span(start, later)
        assert wider[0] == first
        assert wider[1] >= last
        inner = normal.normalised_span(first, last)
        assert inner[0] <= start < end <= inner[1]
        assert normal.original_span(*inner) == (first, last)


@given(TEXTS, OPTIONS)
def test_every_original_character_is_covered(text: str, options: dict[str, bool]) -> None:
    normal = normalise(text, **options)
    covered = {place for start, end in zip(normal.starts, normal.ends, strict=True) for place in range(start, end)}
    assert covered == set(range(len(text)))


@given(TEXTS)
def test_equal_texts_stay_equal_in_parts(text: str) -> None:
    normal = normalise(text)
    assert "".join(normal.text) == normalise(text).text
    assert normalise(normal.text, lower=False).text == normal.text


def test_offsets_outside_are_refused() -> None:
    with pytest.raises(ValueError, match="normalised"):
        normalise("ab").original_span(0, 3)
    with pytest.raises(ValueError, match="original"):
        normalise("ab").normalised_span(1, 3)
