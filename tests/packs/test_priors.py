"""Priors: counts of coded history, smoothed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.corpora import Corpus, GoldCode, Labelled
from jointcoder.errors import AssetError, InputError
from jointcoder.learn.priors import counted, train
from jointcoder.packs.priors import FILE, Priors
from jointcoder.records import Encounter

CODES = ("A01", "B02", "C03", "D04")
STAYS = st.lists(st.lists(st.sampled_from(CODES), min_size=1, max_size=4, unique=True), min_size=1, max_size=30)


def key(code: str) -> tuple[str, str]:
    return "ICD-10-CM", code


def items(stays: list[list[str]]) -> list[Labelled]:
    return [
        Labelled(
            Encounter.from_text("a stay", id=str(n)),
            tuple(GoldCode("ICD-10-CM", code, primary=place == 0) for place, code in enumerate(codes)),
        )
        for n, codes in enumerate(stays)
    ]


def priors(stays: list[list[str]], *, ordered: bool = True) -> Priors:
    return counted((item, ordered) for item in items(stays))


@given(STAYS, st.booleans())
def test_probabilities_are_probabilities(stays: list[list[str]], ordered: bool) -> None:
    table = priors(stays, ordered=ordered)
    for one in map(key, CODES):
        assert 0 < table.prior(one) < 1
        assert 0 <= table.principal(one) <= 1
        for other in map(key, CODES):
            assert 0 <= table.beside(one, other) <= 1
            assert 0 < table.given(one, other) <= 1
            assert table.lift(one, other) == pytest.approx(table.lift(other, one))
    keys = [key(code) for code in CODES]
    assert table.lifts(keys).ravel() == pytest.approx([table.lift(one, other) for one in keys for other in keys])
    for one in map(key, CODES):
        for other in map(key, CODES):
            assert table.before(one, other) + table.before(other, one) == pytest.approx(1)


@given(STAYS)
def test_what_is_written_is_read_back(stays: list[list[str]]) -> None:
    table = priors(stays)
    assert Priors.from_json(table.to_json()) == table


def test_company_order_and_principal_are_learnt() -> None:
    table = priors([["A01", "B02"]] * 20 + [["C03", "D04"]] * 20 + [["C03"]] * 20)
    assert table.given(key("B02"), key("A01")) > 0.8 > 0.2 > table.given(key("D04"), key("A01"))
    assert table.lift(key("A01"), key("B02")) > 0 > table.lift(key("A01"), key("D04"))
    assert table.before(key("A01"), key("B02")) > 0.8
    assert table.before(key("A01"), key("D04")) == 0.5
    assert table.principal(key("A01")) > 0.8 > 0.2 > table.principal(key("B02"))
    assert table.beside(key("D04"), key("C03")) == pytest.approx(0.5, abs=0.1)
    assert table.beside(key("C03"), key("C03")) == 0
    assert table.prior(key("C03")) > table.prior(key("D04"))
    assert table.in_order([key("B02"), key("A01")]) == [key("A01"), key("B02")]


def test_codes_never_seen_have_a_small_prior_and_no_company() -> None:
    table = priors([["A01"]] * 30)
    assert table.prior(key("Z99")) < 0.05
    assert table.lift(key("Z99"), key("A01")) == pytest.approx(0, abs=0.4)
    assert table.before(key("Z99"), key("A01")) == 0.5


def test_an_order_without_meaning_is_not_learnt() -> None:
    stays = [
        Labelled(Encounter.from_text("a stay", id=str(n)), (GoldCode("ICD-10-CM", "A01"), GoldCode("ICD-10-CM", "B02")))
        for n in range(20)
    ]
    table = counted((item, False) for item in stays)
    assert table.before(key("A01"), key("B02")) == 0.5
    assert table.principal(key("A01")) == 0


def test_small_and_capital_letters_are_one_code_except_where_they_are_fillers() -> None:
    def stay(number: int, system: str, code: str) -> tuple[Labelled, bool]:
        return Labelled(Encounter.from_text("a stay", id=str(number)), (GoldCode(system, code),)), False

    told = [stay(0, "ICD-10-CM", "n18.9"), stay(1, "ICD-10-CM", "N18.9"), stay(2, "ICD-10-CN", "I10.x00x002")]
    assert counted(told).codes == (("ICD-10-CM", "N18.9"), ("ICD-10-CN", "I10.x00x002"))


def test_a_stay_counts_once() -> None:
    stay = items([["A01", "B02"]])[0]
    assert counted([(stay, True), (stay, True)]).records == 1


def test_the_trainer_writes_what_the_part_reads(tmp_path: Path) -> None:
    corpus = Corpus("c", Path("c.jsonl"), tuple(items([["A01", "B02"]] * 3)), ("ICD-10-CM",), ordered=True)
    report = train([corpus], tmp_path)
    assert report.notes["records"] == 3
    assert Priors.load(tmp_path).seen == (3, 3)


def test_nothing_coded_nothing_learnt(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        train([Corpus("c", Path("c.jsonl"), (), ())], tmp_path)
    assert caught.value.code == "JC114"


@pytest.mark.parametrize("content", ["", "[]", '{"records": 1}'])
def test_damaged_tables_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(content, "utf-8")
    with pytest.raises(AssetError) as caught:
        Priors.load(tmp_path)
    assert caught.value.code == "JC212"
