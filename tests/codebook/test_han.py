"""Traditional characters read as simplified ones: same length, once and for all, in the index and in the query."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from jointcoder.codebook.analysis import Tables, analyser
from jointcoder.codebook.han import simplified

TEXTS = st.text(
    st.one_of(st.characters(), st.sampled_from("腦中風攝護腺蕁麻疹麻痺臟裏著乾後髮沈\U00020000a1 ")), max_size=30
)


@example("\ud800")
@given(TEXTS)
def test_every_character_stays_in_its_place(text: str) -> None:
    plain = simplified(text)
    assert len(plain) == len(text)
    assert simplified(plain) == plain
    assert all(a == b for a, b in zip(text, plain, strict=True) if a.isascii())


def test_characters_are_converted_and_words_are_not() -> None:
    assert simplified("攝護腺肥大、失智症") == "摄护腺肥大、失智症"


def test_a_traditional_query_is_the_simplified_one() -> None:
    engine = analyser(Tables.load("zh"))
    for traditional, simple in (("高血壓", "高血压"), ("２型糖尿病", "2型糖尿病"), ("腦梗塞", "脑梗塞")):
        assert engine.analyse(traditional, query=True).key == engine.analyse(simple, query=True).key
        (run,) = engine.runs(traditional)
        assert "".join(word.text for word in run.words) == engine.analyse(simple).key


def test_wordings_of_letters_and_characters_are_levelled_in_queries_too() -> None:
    """Digits and letters inside a phrase do not part it."""
    engine = analyser(Tables.load("zh"))
    assert engine.analyse("II型糖尿病", query=True).key == engine.analyse("2型糖尿病").key
