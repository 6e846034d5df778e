"""Wordings taken apart, compared, aligned, translated: the building blocks of the terms part."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.packs.terms import differences
from jointcoder.packs.terms.differences import transfer
from jointcoder.packs.terms.index import Index
from jointcoder.packs.terms.memory import Example, Memory, Standard
from jointcoder.packs.terms.pieces import pieces
from jointcoder.packs.terms.rescore import VOICES, voices
from jointcoder.packs.terms.translate import Translation
from jointcoder.packs.terms.wording import LONGEST, Wording

TEXTS = st.text(alphabet="ab cé1,+左右肾结石（）Ⅲß", max_size=40)


@given(TEXTS)
def test_units_stand_where_their_places_say(text: str) -> None:
    wording = Wording.of(text)
    assert len(wording.units) == len(wording.places)
    for first, last in wording.places:
        assert 0 <= first < last <= len(text)
    assert list(wording.places) == sorted(wording.places)
    assert Wording.of(text.upper() if text.upper().casefold() == text.casefold() else text).units == wording.units


def test_case_accents_and_width_are_levelled_and_a_note_is_cut() -> None:
    assert Wording.of("FRACTURA de Rádio Ⅱ").units == ("fractura", "de", "radio", "ii")
    assert Wording.of("左肾2.5cm").units == ("左", "肾", "2", "5", "cm")
    assert len(Wording.of("a " * 5000).units) == LONGEST // 2


def test_misspelt_words_still_share_grams() -> None:
    index = Index.build([Wording.of("appendicitis"), Wording.of("tonsillitis"), Wording.of("fracture")])
    likeness = index.compare(Wording.of("apendicitis"))
    assert likeness.best(likeness.alike, 3).tolist()[0] == 0
    assert likeness.alike[2] == 0


@given(st.lists(TEXTS, min_size=1, max_size=8), TEXTS)
def test_likeness_lies_between_nothing_and_the_same(texts: list[str], query: str) -> None:
    index = Index.build([Wording.of(text) for text in texts])
    likeness = index.compare(Wording.of(query))
    for values in (likeness.alike, likeness.of_query, likeness.of_entry):
        assert ((values >= 0) & (values <= 1 + 1e-4)).all()
    for row, text in enumerate(texts):
        if Wording.of(text).units and Wording.of(text).units == Wording.of(query).units:
            assert likeness.alike[row] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("zh", "肾结石，肾积水", {"肾结石", "肾积水"}),
        ("zh", "胃炎伴出血", {"胃炎", "出血"}),
        ("en", "renal stone with hydronephrosis; gout", {"renal stone with hydronephrosis", "gout", "renal stone"}),
        ("es", "gastritis con hemorragia", {"gastritis", "hemorragia"}),
    ],
)
def test_a_term_is_tried_in_parts_and_as_a_whole(language: str, text: str, expected: set[str]) -> None:
    wording = Wording.of(text)
    found = [text[wording.places[first][0] : wording.places[last - 1][1]] for first, last in pieces(wording, language)]
    assert found[0] == text.rstrip(" ;")
    assert expected <= set(found)


def test_characters_that_grow_when_levelled_move_no_place() -> None:
    text = "ﬁßure of ﬀ, gout with ß"
    wording = Wording.of(text)
    found = [text[wording.places[first][0] : wording.places[last - 1][1]] for first, last in pieces(wording, "en")]
    assert found == [text, "ﬁßure of ﬀ", "gout with ß", "gout", "ß"]


def test_a_joining_word_is_no_part_of_another_word() -> None:
    wording = Wording.of("bandage of hand")  # "and" is inside both words
    assert pieces(wording, "en") == ((0, 3),)


@given(st.lists(st.sampled_from("abcd"), max_size=8), st.lists(st.sampled_from("abcd"), max_size=8))
def test_a_difference_accounts_for_every_unit(one: list[str], other: list[str]) -> None:
    found = differences.difference(one, other)
    same = [unit for start, end in found.same for unit in one[start:end]]
    beyond = [unit for mine in found.outside for unit in mine]
    inside = [unit for mine, _ in found.swaps for unit in mine]
    assert set(one) <= set(same) | set(beyond) | set(inside)
    assert found.shared <= min(len(one), len(other))
    if one == other:
        assert not found.swaps
        assert found.shared == len(one)


def test_differences_have_readable_names() -> None:
    found = differences.difference(("left", "wrist", "fracture"), ("right", "wrist", "fracture"))
    assert "n left>right" in set(differences.names(found, "n"))


def test_what_the_mention_swaps_is_swapped_in_the_name() -> None:
    change = differences.difference(("left", "temporal", "mass"), ("left", "frontal", "mass"))
    made = transfer(change, ("excision", "of", "frontal", "lesion"))
    assert made == ("excision", "of", "temporal", "lesion")
    assert transfer(change, ("biopsy", "of", "liver")) is None


def test_translation_learns_what_stands_for_what() -> None:
    pairs = [(("mass", site), ("lesion", site)) for site in ("liver", "spleen", "tongue", "kidney")]
    known = Translation.learn(pairs).best(("mass", "ear"))
    assert known["lesion"] > 0.5
    assert known["ear"] > known.get("liver", 0.0)


def test_an_empty_memory_knows_nothing_and_says_so() -> None:
    memory = Memory.build([Standard("Gout", "M10")], [])
    assert memory.counts.tolist() == [0.0]
    best, rows = memory.best_example(np.zeros(0), np.asarray([0]))
    assert (best.tolist(), rows.tolist()) == ([0.0], [-1])


def test_terms_given_together_are_told_from_those_that_never_are() -> None:
    standards = [Standard(name, "") for name in ("a", "b", "c")]
    examples = [Example("x", (0, 1))] * 6 + [Example("y", (2,))] * 6
    pairs = Memory.build(standards, examples).pairs
    assert pairs.of(0, 1)[0] > 0 > pairs.of(0, 2)[0]
    assert pairs.of(0, 2)[3] > 0 == pairs.of(0, 1)[3]


def test_a_models_voice_is_levelled() -> None:
    rows = voices([2.0, 1.0, -1.0], [-0.1, -3.0, float("-inf")], none=-2.0)
    assert rows.shape == (3, len(VOICES))
    assert np.isfinite(rows).all()
    assert rows[:, VOICES.index("agree")].tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="2 candidates"):
        voices([1.0, 2.0], [0.0])
