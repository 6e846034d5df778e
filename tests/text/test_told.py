"""Procedures told in running text, on marked-up sentences: ``tests/text/marked/done.<language>.txt``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.records import Assertion
from jointcoder.text.told import Told, tells, told

MARKED = Path(__file__).parent / "marked" / "done.zh.txt"
TAG = re.compile(r"<(?P<id>\w+) (?P<said>\w+)>(?P<words>.*?)</(?P=id)>")
LINES = [line for line in MARKED.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]


def parse(line: str) -> tuple[str, list[Told]]:
    """A marked-up sentence → its plain text and what it tells."""
    text, marks, place = "", [], 0
    for match in TAG.finditer(line):
        text += line[place : match.start()]
        marks.append(Told(match["id"], len(text), len(text) + len(match["words"]), Assertion(match["said"])))
        text += match["words"]
        place = match.end()
    return text + line[place:], marks


@pytest.mark.parametrize("line", LINES)
def test_every_marked_sentence_is_read_rightly(line: str) -> None:
    text, marks = parse(line)
    assert marks, "a line without a mark tests nothing"
    found = told(text, "zh")
    for mark in marks:
        own = [one for one in found if one.id == mark.id and one.start < mark.end and mark.start < one.end]
        assert [one.assertion for one in own] == [mark.assertion], found


def test_each_assertion_is_tested() -> None:
    said = {mark.assertion for line in LINES for mark in parse(line)[1]}
    assert {Assertion.PRESENT, Assertion.NEGATED, Assertion.POSSIBLE, Assertion.HISTORICAL} <= said


FRAGMENTS = st.lists(
    st.sampled_from(
        ["行", "拟行", "未行", "气管插管", "CRRT", "，", "。", "無創呼吸機輔助通氣", "ＩＡＢＰ植入", "既往", "\n", "①"]
    ),
    max_size=12,
)


@given(FRAGMENTS)
def test_places_lie_in_the_text_and_hold_words(parts: list[str]) -> None:
    text = "".join(parts)
    found = told(text, "zh")
    assert all(0 <= one.start < one.end <= len(text) and text[one.start : one.end].strip() for one in found)
    assert [one.start for one in found] == sorted(one.start for one in found)
    if "ＩＡＢＰ植入" in parts or "CRRT" in parts:
        assert found


def test_traditional_characters_are_read_alike() -> None:
    (one,) = told("予無創呼吸機輔助通氣後好轉。", "zh")
    assert (one.id, one.assertion) == ("ventilation_noninvasive", Assertion.PRESENT)


def test_the_section_speaks_where_the_sentence_does_not() -> None:
    assert told("行气管插管。", "zh", section="history_present_illness")[0].assertion is Assertion.HISTORICAL
    assert told("行气管插管。", "zh", section="hospital_course")[0].assertion is Assertion.PRESENT


def test_offsets_are_those_of_the_whole_text() -> None:
    text = "既往体健。予CRRT治疗。"
    (one,) = told(text, "zh", start=5)
    assert text[one.start : one.end] == "CRRT"


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_language_without_a_table_tells_nothing(language: str) -> None:
    assert not tells(language)
    assert told("CRRT", language) == []


def test_an_unknown_language_is_an_error() -> None:
    with pytest.raises(InputError, match="JC105"):
        told("CRRT", "xx")
