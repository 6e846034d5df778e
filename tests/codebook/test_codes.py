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
        ("adverse effect (T36-T50 with .91)", [], ["T36.91", "T40"]),
        ("something [in brackets] only", [], ["A00"]),
    ],
)
def test_references_in_notes(note: str, inside: list[str], outside: list[str]) -> None:
    found = references(note)
    for code in inside:
        assert any(reference.covers(code) for reference in found), code
    for code in outside:
        assert not any(reference.covers(code) for reference in found), code
