"""Levelling codes, and the references in notes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.codebook.codes import normalise_code, with_dot
from jointcoder.codebook.ranges import references


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("e11.9", "E119"),
        (" E11.9 ", "E119"),
        ("Ｅ１１．９", "E119"),
        ("E11。9", "E119"),
        ("I10.x00x032", "I10X00X032"),
        ("E11.401+G63.2*", "E11401+G632*"),
        ("C22.101M81600/3", "C22101M81600/3"),
        ("0ft44zz", "0FT44ZZ"),
        ("", ""),
    ],
)
def test_levels_case_dot_and_width(written: str, key: str) -> None:
    assert normalise_code(written) == key


@given(st.text(max_size=20))
def test_levelling_twice_changes_nothing(text: str) -> None:
    once = normalise_code(text)
    assert normalise_code(once) == once


@given(st.from_regex(r"[A-Z][0-9][0-9A-Z][0-9A-Z]{1,4}", fullmatch=True))
def test_the_dot_is_put_back(code: str) -> None:
    dotted = with_dot(code)
    assert dotted[3] == "."
    assert normalise_code(dotted) == code
    full_width = "".join(chr(ord(ch) + 0xFEE0) for ch in dotted.lower())
    assert normalise_code(full_width) == code


@pytest.mark.parametrize(
    ("note", "inside", "outside"),
    [
        ("wound botulism (A48.52)", ["A48.52", "a4852"], ["A48.51", "A48.5"]),
        ("injury (S62.-)", ["S62", "S62.011A"], ["S61.0", "S63"]),
        ("disorders of cervix, except malposition (N86-N88)", ["N86", "N87.1", "N88.9"], ["N85.9", "N89"]),
        ("arthritis (M00.0-M00.8)", ["M00.011", "M00.8"], ["M00.9", "M01"]),
        ("both (A01.1, B02.-)", ["A01.1", "B02.9"], ["A01.2"]),
        (
            "poisoning (T36-T65 with fifth or sixth character 1-4)",
            ["T36.0X1A", "T40.2X4D"],
            ["T36.0X5A", "T66.XXXA"],
        ),
        ("neuropathy (E08-E13 with .41-.42)", ["E11.42", "E08.41"], ["E11.40", "E11.9", "E14.42"]),
        ("concussion (S06.0X- with 7th character S)", ["S06.0X1S"], ["S06.0X1A", "S06.0X1"]),
        ("infections classifiable to A00-B99", ["A41.9"], ["C00.0"]),
        ("open fracture (S52.- with open fracture 7th character)", [], ["S52.001B", "S52"]),
        ("something [in brackets] only", [], ["A00"]),
    ],
)
def test_references_in_notes(note: str, inside: list[str], outside: list[str]) -> None:
    found = references(note)
    for code in inside:
        assert any(reference.covers(code) for reference in found), code
    for code in outside:
        assert not any(reference.covers(code) for reference in found), code


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("E11.401†G63.2*", "E11401+G632*"),
        ("e11.401＋g63.2＊", "E11401+G632*"),
        ("E11.401+G63.2∗", "E11401+G632*"),
        ("I10.×00×032", "I10X00X032"),
        ("Ｃ２２．１０１Ｍ８１６００／３", "C22101M81600/3"),
    ],
)
def test_signs_of_the_chinese_editions_are_levelled(written: str, key: str) -> None:
    assert normalise_code(written) == key


@given(st.text("ExI10.+*/† \t\x1f", max_size=12))
def test_the_short_way_for_plain_codes_is_the_long_way(text: str) -> None:
    assert normalise_code(text + "†") == normalise_code(text.replace("†", "+") + "+")
