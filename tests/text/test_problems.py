"""Problem headings, wordings, past events, whose note it is: tables of English, rules of layout."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.text.patient import stated_sex
from jointcoder.text.problems import is_subordinate, problem_headings, problem_parts
from jointcoder.text.wordings import past, past_forms, reworded


def headings(text: str, language: str = "en") -> list[str]:
    return [text[start:end] for start, end in problem_headings(text, language)]


def parts(text: str) -> list[str]:
    return [text[start:end] for start, end in problem_parts(text, (0, len(text)), "en")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1. Hypertension, uncontrolled.\n- Labs will be ordered.\n2. Gout.", ["Hypertension, uncontrolled", "Gout"]),
        ("# Gout\nContinue allopurinol 100 mg.", ["Gout"]),
        ("Gout.\n\nShe is doing well.", ["Gout"]),
        ("We will continue the tablets.", []),
        ("Medical Reasoning: stable", []),
        ("• Gout\n• Migraine\nShe is doing well.", ["Gout", "Migraine"]),
        ("Gout\n• Migraine", ["Gout"]),  # bullets under a bare heading are what was said of it
        ("She is doing well.\n• Migraine", []),
        ("2021", []),
        ("", []),
    ],
)
def test_headings(text: str, expected: list[str]) -> None:
    assert headings(text) == expected


def test_a_language_without_the_table_has_none() -> None:
    assert headings("1. Gota.", "es") == []
    assert reworded("Lisfranc fracture", "zh") == []
    assert past("history of gout", "es") == ""
    assert past_forms("es") == ()
    assert stated_sex("41-year-old female", "es") == "unknown"
    with pytest.raises(InputError, match="JC105"):
        headings("1. Gout.", "tlh")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gout and hypertension", ["gout", "hypertension"]),
        ("gout", []),
        ("Newly diagnosed gout", ["gout"]),
        ("foot pain, likely gout", ["foot pain", "likely gout", "gout"]),
        ("foot pain due to gout", ["foot pain", "gout"]),
    ],
)
def test_parts(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


@pytest.mark.parametrize(
    ("text", "part", "expected"),
    [
        ("gout and hypertension", "hypertension", False),
        ("gout, hypertension", "hypertension", False),
        ("foot pain due to gout", "gout", True),
        ("foot pain, likely gout", "gout", True),
        ("foot pain, likely gout", "foot pain", False),
    ],
)
def test_subordinate_parts(text: str, part: str, expected: bool) -> None:
    start = text.index(part)
    assert is_subordinate(text, (0, len(text)), (start, start + len(part)), "en") is expected


@given(st.text(alphabet="abc .,;:•-\n123", max_size=200))
def test_headings_are_lines_in_order_and_parts_lie_within(text: str) -> None:
    found = problem_headings(text, "en")
    assert found == sorted(found)
    for start, end in found:
        assert text[start:end].strip() == text[start:end] != ""
        assert "\n" not in text[start:end]
        assert all(start <= first < last <= end for first, last in problem_parts(text, (start, end), "en"))


def test_reworded() -> None:
    assert reworded("right Lisfranc fracture", "en") == ["right dislocation of tarsometatarsal joint"]
    assert reworded("LOW  BACK strain", "en") == ["strain of muscle, fascia and tendon of lower back"]
    assert reworded("gout", "en") == []
    assert reworded("overbunion", "en") == []  # whole words only


def test_past() -> None:
    assert past("History of gout", "en") == "gout"
    assert past("s/p renal transplant", "en") == "renal transplant"
    assert past("historyof gout", "en") == ""
    assert past("gout", "en") == ""
    assert [form.format(name="gout") for form in past_forms("en")] == ["personal history of gout", "gout status"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. Doe is a pleasant 59-year-old right-handed male.", "male"),
        ("A 30 y/o woman came.", "female"),
        ("Her mother, a female.", "unknown"),
        ("The 41-year-old came. Her brother is male.", "unknown"),
        ("", "unknown"),
    ],
)
def test_stated_sex(text: str, expected: str) -> None:
    assert stated_sex(text, "en") == expected
