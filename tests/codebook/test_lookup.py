"""Searching and spotting on small books: every property of the ranking that the rest relies on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.writer import Draft, Plan, write
from jointcoder.codebook.lookup import Lookup
from jointcoder.records import Kind, System

DX, PX = Kind.DIAGNOSIS, Kind.PROCEDURE


@pytest.fixture(scope="module")
def lookup(small: CodeBook) -> Lookup:
    return Lookup(small)


@pytest.fixture(scope="module")
def zh(chinese: CodeBook) -> Lookup:
    return Lookup(chinese)


def first(lookup: Lookup, text: str, kind: Kind = DX, **options: bool) -> str:
    hits = lookup.search(text, kind=kind, **options)
    return hits[0].code if hits else ""


def test_non_essential_modifiers_are_free(lookup: Lookup) -> None:
    assert first(lookup, "hypertension") == "I10"
    assert first(lookup, "primary hypertension") == "I10"
    assert first(lookup, "HTN") == "I10"
    assert first(lookup, "renovascular hypertension") == "I15.0"


def test_side(lookup: Lookup) -> None:
    hits = lookup.search("osteoarthritis of the left knee", kind=DX, billable=True)
    assert hits[0].code == "M17.12"
    right = next(hit for hit in hits if hit.code == "M17.11")
    assert right.score < hits[0].score / 2
    assert first(lookup, "osteoarthritis of knee", billable=True) == "M17.9"


def test_heading_stands_for_its_default_code(lookup: Lookup) -> None:
    assert first(lookup, "twisted ankle") == "S93.4"
    assert first(lookup, "twisted ankle", billable=True) == "S93.4XXA"
    assert all(not lookup.book.is_billable(h.system, h.code) for h in lookup.search("ankle", kind=DX, billable=False))


def test_exact_says_so(lookup: Lookup) -> None:
    best, *others = lookup.search("Renovascular hypertension", kind=DX)
    assert best.sources == ("exact",)
    assert best.score == 1.0
    assert all(hit.score < 1.0 for hit in others)


def test_a_line_of_the_alphabetic_index_says_so(tmp_path: Path) -> None:
    drafts = [
        Draft(System.ICD10CM, "J98.8", "Other specified respiratory disorders", "code", True),
        Draft(System.ICD10CM, "R09.0", "Asphyxia", "code", True),
    ]
    drafts[0].terms.append(("en", "index", "Breathing, noisy"))
    write(Plan(id="tiny", edition="1", language="en", drafts=drafts, sources=()), tmp_path / "tiny")
    lookup = Lookup(CodeBook.open(tmp_path / "tiny"), dense="off")
    found = {text: lookup.search(text, kind=DX)[0] for text in ("noisy breathing", "breathing at night", "asphyxia")}
    assert found["noisy breathing"].sources == ("exact", "index")
    assert found["noisy breathing"].term == "Breathing, noisy"
    assert found["breathing at night"].sources == ("index",)
    assert found["asphyxia"].sources == ("exact",)


def test_ties_are_cut_by_code(tmp_path: Path) -> None:
    codes = [f"Q{number:02d}.{number % 10}" for number in (40, 7, 55, 12, 31, 9)]
    drafts = [Draft(System.ICD10CM, code, "Rare twin", "code", True) for code in codes]
    write(Plan(id="twins", edition="1", language="en", drafts=drafts, sources=()), tmp_path / "twins")
    lookup = Lookup(CodeBook.open(tmp_path / "twins"), dense="off")
    for k in range(1, 7):
        assert [hit.code for hit in lookup.search("twin", kind=DX, k=k)] == sorted(codes)[:k]


def test_misspelling_finds_the_code(lookup: Lookup) -> None:
    assert first(lookup, "renovasculer hypertention") == "I15.0"


def test_words_of_operations(lookup: Lookup) -> None:
    assert first(lookup, "laparoscopic cholecystectomy", PX) == "0FT44ZZ"
    assert first(lookup, "open cholecystectomy", PX) == "0FT40ZZ"


def test_nothing_alike_finds_nothing(lookup: Lookup) -> None:
    assert lookup.search("zzzz qqqq", kind=DX) == []
    assert lookup.search("", kind=DX) == []
    assert lookup.search("of the", kind=DX) == []


def test_one_hit_a_code_in_order(lookup: Lookup) -> None:
    hits = lookup.search("sprain of ankle, initial encounter", kind=DX, k=20)
    assert len({hit.code for hit in hits}) == len(hits)
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.code))
    assert all(0 < hit.score <= 1 for hit in hits)


def test_spanish_words_lead_to_english_names(lookup: Lookup) -> None:
    def best(text: str, kind: Kind = DX) -> str:
        return lookup.search(text, kind=kind, lang="es", billable=True)[0].code

    assert best("hipertensión arterial") == "I10"
    assert best("artrosis de rodilla izquierda") == "M17.12"
    assert best("esguince de tobillo") == "S93.4XXA"
    assert best("colecistectomía laparoscópica", PX) == "0FT44ZZ"
    text = "Ingresa por HTA y artrosis de rodilla derecha."
    found = {text[s.start : s.end]: s.hits[0].code for s in lookup.spot(text, "es")}
    assert found["HTA"] == "I10"


def test_chinese(zh: Lookup) -> None:
    assert first(zh, "高血压") == "I10.x00x002"
    assert first(zh, "II型糖尿病") == "E11.900"
    assert first(zh, "腹腔镜胆囊切除术", PX) == "51.2300"
    assert {hit.system for hit in zh.search("胆囊切除", kind=PX)} == {System.ICD9CM3}


@given(st.text(alphabet="hypertension sprained ankle (of) left,.;:-'²٣Ⅳ血压\n", max_size=60))
def test_any_text_is_searched_and_spotted(lookup: Lookup, text: str) -> None:
    assert lookup.search(text, kind=DX) == lookup.search(text, kind=DX)
    for language in ("en", "zh"):
        for spotted in lookup.spot(text, language):
            assert 0 <= spotted.start < spotted.end <= len(text)


def test_spotting_gives_places_and_sides(lookup: Lookup) -> None:
    text = "She twisted her knee. Twisted ankle; HTN, and osteoarthritis of the left knee, unspecified"
    found = {text[s.start : s.end]: s.hits[0].code for s in lookup.spot(text, "en")}
    assert found["Twisted ankle"] == "S93.4"
    assert found["HTN"] == "I10"
    assert found["osteoarthritis of the left knee"].startswith("M17")
    assert len(found) == 3


def test_spotting_does_not_cross_a_break(lookup: Lookup) -> None:
    assert lookup.spot("a sprain. ankle swollen", "en") == []


def test_spotting_chinese(zh: Lookup) -> None:
    text = "患者２型糖尿病10年，左侧股骨颈骨折；行腹腔镜下胆囊切除术。"
    found = {text[s.start : s.end]: s.hits[0].code for s in zh.spot(text, "zh")}
    assert found["２型糖尿病"] == "E11.900"
    assert found["左侧股骨颈骨折"] == "S72.000"
    assert any(code == "51.2300" for code in found.values())
    assert zh.spot(text, "zh", kinds=[PX])[0].hits[0].system is System.ICD9CM3


@pytest.mark.parametrize(("language", "text"), [("es", "fractura de ambas rodillas"), ("es", "ojo izquierdo")])
def test_words_of_side_of_a_bridged_language_are_read(language: str, text: str) -> None:
    from jointcoder.codebook.analysis import Tables, analyser

    engine = analyser(Tables.load(language))  # a side that its table names and the program did not know was a KeyError
    assert engine.analyse(text, query=True).sides


def test_an_answer_is_the_askers_own(lookup: Lookup) -> None:
    """Answers are remembered; what one asker does to the list, the next does not see."""
    first_answer = lookup.search("hypertension", kind=DX)
    kept = list(first_answer)
    first_answer.clear()
    assert lookup.search("hypertension", kind=DX) == kept
    assert lookup.search("hypertension", kind=DX, k=1) == kept[:1]
