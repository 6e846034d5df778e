"""Measures of sets and order, against figures worked out by hand."""

from __future__ import annotations

from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.evaluation import metrics
from jointcoder.evaluation.metrics import Counts
from jointcoder.evaluation.scored import Gold, Predicted, Scored, category, normalised
from jointcoder.records import Encounter, Kind
from tests.evaluation.examples import CM, CN, ICD9, PCS, case

# Encounter 1: gold A01 B02, predicted A01 C03   → TP 1 FP 1 FN 1, Jaccard 1/3
# Encounter 2: gold A01,     predicted A01       → TP 1 FP 0 FN 0, Jaccard 1
# Encounter 3: gold D04,     predicted nothing   → TP 0 FP 0 FN 1, Jaccard 0
THREE = [case("A01 B02", "A01 C03"), case("A01", "A01"), case("D04", "")]


def test_micro_sums_over_encounters():
    assert metrics.micro(THREE) == Counts(2, 1, 2)
    counts = metrics.micro(THREE)
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(2 / 4)
    assert counts.f1 == pytest.approx(4 / 7)


def test_macro_averages_over_codes_that_occur():
    # A01: F1 1 (TP 2); B02: 0 (FN); C03: 0 (FP); D04: 0 (FN) → 1/4
    assert metrics.macro_f1(THREE) == pytest.approx(1 / 4)


def test_jaccard_and_exact_match():
    assert metrics.jaccard(THREE) == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert metrics.exact_match(THREE) == pytest.approx(1 / 3)


def test_two_empty_sets_agree():
    empty = [case("", "")]
    assert metrics.jaccard(empty) == 1.0
    assert metrics.exact_match(empty) == 1.0
    assert metrics.micro(empty).f1 is None
    assert metrics.macro_f1(empty) is None


def test_undefined_is_none_and_wrong_is_zero():
    nothing = metrics.micro([case("A01", "")])
    assert (nothing.precision, nothing.recall, nothing.f1) == (None, 0.0, 0.0)
    surplus = metrics.micro([case("", "A01")])
    assert (surplus.precision, surplus.recall, surplus.f1) == (0.0, None, 0.0)


def test_codes_compare_without_case_and_dot_and_count_once():
    scored = [case("E11.9 I10.x00x032", "e119 E11.9 I10X00X032")]
    assert metrics.micro(scored) == Counts(2, 0, 0)


def test_fillers_and_pairs_are_kept():
    assert normalised("E11.401+G63.2*") == "E11401+G632*"
    assert normalised("I10.x00x032") != normalised("I10.00032")
    assert normalised("Ｉ10.x00") == normalised("I10.X00")


def test_systems_are_told_apart():
    scored = [case(f"{CN}:I10 {ICD9}:3893", f"{CN}:I10 {ICD9}:3895")]
    assert metrics.micro(scored, CN) == Counts(1, 0, 0)
    assert metrics.micro(scored, ICD9) == Counts(0, 1, 1)
    assert metrics.micro(scored) == Counts(1, 1, 1)


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [(CM, "E11.9", "E11"), (CN, "E11.401+G63.2*", "E11"), (PCS, "0FT44ZZ", "0FT4"), (ICD9, "38.9303", "38")],
)
def test_category(system: str, code: str, expected: str):
    assert category((system, normalised(code))) == (system, expected)


def test_category_counts_once_per_encounter():
    # gold categories {E11, I10}; predicted {E11, J18}: two E11 codes are one category
    scored = [case("E11.9 E11.65 I10", "E11.2 J18.9")]
    assert metrics.micro_category(scored) == Counts(1, 1, 1)
    assert metrics.micro(scored) == Counts(0, 2, 3)


# ------------------------------------------------------------------------------------------------------ order


def test_map_by_hand():
    # Ranked by confidence: A (right, 1/1), X, B (right, 2/3) → (1 + 2/3) / 2 gold
    one = case("A B", "B@0.5 A@0.9 X@0.7")
    assert metrics.mean_average_precision([one]) == pytest.approx((1 + 2 / 3) / 2)
    # a gold code never found divides too: 1/1 over 2 gold
    assert metrics.mean_average_precision([case("A B", "A@0.9")]) == pytest.approx(0.5)
    # encounters without gold are left out
    assert metrics.mean_average_precision([one, case("", "A")]) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.mean_average_precision([case("", "A")]) is None


def test_map_is_cut():
    wrong = " ".join(f"X{i}@0.9" for i in range(30))
    assert metrics.mean_average_precision([case("A", wrong + " A@0.1")]) == 0.0
    assert metrics.mean_average_precision([case("A", wrong + " A@0.1")], cut=31) == pytest.approx(1 / 31)


def test_map_keeps_list_order_among_equals():
    assert metrics.mean_average_precision([case("A", "A X")]) == 1.0
    assert metrics.mean_average_precision([case("A", "X A")]) == 0.5


def test_ndcg_by_hand():
    # gold A B C D are worth 3 2 1 0; predicted B A D → 2/log2(2) + 3/log2(3) + 0
    scored = [case("A B C D", "B A D C", ordered=True)]
    ideal = 3 + 2 / log2(3) + 1 / log2(4)
    assert metrics.ndcg(scored, Kind.DIAGNOSIS) == pytest.approx((2 + 3 / log2(3)) / ideal)
    assert metrics.ndcg(scored, Kind.PROCEDURE) is None
    assert metrics.ndcg([case("A B", "A B")], Kind.DIAGNOSIS) is None  # unordered gold


def test_principal_accuracy_by_kind():
    scored = [
        case(f"{CN}:I21 {CN}:I10 {ICD9}:3607", f"{CN}:I21 {ICD9}:8855 {ICD9}:3607", primary=True),
        case(f"{CN}:I20 {CN}:I10", f"{CN}:I10 {CN}:I20", primary=True),
        case("I10", "I10"),  # no principal marked: does not count
    ]
    assert metrics.principal_accuracy(scored, Kind.DIAGNOSIS) == 0.5
    assert metrics.principal_accuracy(scored, Kind.PROCEDURE) == 0.0
    assert metrics.principal_accuracy([case("I10", "I10")], Kind.DIAGNOSIS) is None


def test_ccl25_accuracy():
    # principal right (0.5) + one of two others (0.25); the surplus code costs nothing
    first = case("I21 E11 I49", "I21 E11 K76", system=CN, primary=True)
    # principal wrong; I20 stands first, so it is not among the others: 0 + 0.5·0/1
    second = case("I21 I20", "I20 I21", system=CN, primary=True)
    assert metrics.ccl25_accuracy([first]) == pytest.approx(0.75)
    assert metrics.ccl25_accuracy([second]) == 0.0
    assert metrics.ccl25_accuracy([first, second]) == pytest.approx(0.375)
    assert metrics.ccl25_accuracy([case("I21", "I21", primary=True)]) == 1.0
    assert metrics.ccl25_accuracy([case("I21", "I21")]) is None


def test_diagnoses_besides_the_principal():
    first = case("I21 E11 I49", "I21 E11 K76", system=CN, primary=True)  # E11 right, K76 wrong, I49 missed
    second = case("I21 I20", "I20 I21", system=CN, primary=True)  # I20 stood first: I21 wrong, I20 missed
    assert metrics.other_diagnoses([first, second]) == metrics.Counts(1, 2, 2)
    assert metrics.other_diagnoses([case("I21", "I21")]) is None


# ------------------------------------------------------------------------------------------ parts of the whole


def test_only_negated_is_struck_from_gold():
    scored = [
        Scored([Gold(CM, "A01"), Gold(CM, "B02", only_negated=True)], [Predicted(CM, "A01"), Predicted(CM, "B02")])
    ]
    assert metrics.micro(scored) == Counts(2, 0, 0)
    assert metrics.without_only_negated(scored) == Counts(1, 1, 0)
    assert metrics.without_only_negated(THREE) is None


def test_procedures_of_four_and_seven_characters_apart():
    gold, predicted = "0FT4 BW20 0DTJ4ZZ 3E0G", "0FT44ZZ 0FT40ZZ 0DTJ4ZZ 0DTJ0ZZ B21"
    # 0FT44ZZ and 0FT40ZZ cover 0FT4 (one hit); BW20 and 3E0G are missed. 0DTJ4ZZ equals its gold code;
    # 0DTJ0ZZ and the stray B21 are wrong among the others.
    parts = metrics.by_length([case(gold, predicted, system=PCS)])
    assert parts == {"4": Counts(1, 0, 2), "7": Counts(1, 2, 0), "either": Counts(2, 2, 2)}
    assert metrics.micro([case(gold, predicted, system=PCS)], PCS) == Counts(1, 4, 3)  # the strict figure
    assert metrics.by_length([case("0DTJ4ZZ", "0DTJ4ZZ", system=PCS)]) is None


def test_a_four_character_prediction_is_wrong_among_its_own():
    assert metrics.by_length([case("0FT4", "0FT4 0FT5", system=PCS)])["4"] == Counts(1, 1, 0)


def test_within_labels_ignores_codes_outside_the_closed_set():
    scored = [case("I21 E11", "I21 Z99"), case("I20", "E11")]
    assert metrics.micro(scored) == Counts(1, 2, 2)
    assert metrics.within_labels(scored) == Counts(1, 1, 2)


def test_frequency_bins():
    training = {(CM, "A01"): 6, (CM, "B02"): 5, (CM, "C03"): 1}
    bins = metrics.frequency_bins(THREE, training)
    assert bins == {"0": Counts(0, 0, 1), "1-5": Counts(0, 1, 1), ">5": Counts(2, 0, 0)}


def test_stage_counts_use_encounters_with_a_trace():
    with_trace = Scored([Gold(CM, "A01")], [], stages={"extract": frozenset({(CM, "A01"), (CM, "B02")})})
    assert metrics.stage_counts([with_trace, THREE[0]]) == {"extract": Counts(1, 1, 0)}


def test_invalid_code_rate_sees_codes_as_written():
    encounter = Encounter.from_text("one")
    codes = [(encounter, CM, "E11.9"), (encounter, CM, "E11.99")]
    assert metrics.invalid_code_rate(codes, lambda _e, _s, code: code == "E11.9") == 0.5
    assert metrics.invalid_code_rate([], lambda *_: True) is None


# ------------------------------------------------------------------------------------------------- invariants

CODES = [f"{letter}{i:02}" for letter in "ABC" for i in range(5)]
ENCOUNTERS = st.lists(
    st.tuples(st.lists(st.sampled_from(CODES), unique=True), st.lists(st.sampled_from(CODES), unique=True)),
    min_size=1,
    max_size=8,
)


def _cases(pairs: list[tuple[list[str], list[str]]]) -> list[Scored]:
    return [case(" ".join(gold), " ".join(predicted)) for gold, predicted in pairs]


@given(ENCOUNTERS, st.randoms())
def test_order_of_encounters_does_not_matter(pairs, random):
    shuffled = list(pairs)
    random.shuffle(shuffled)
    for measure in (metrics.micro, metrics.macro_f1, metrics.jaccard, metrics.mean_average_precision):
        assert measure(_cases(pairs)) == pytest.approx(measure(_cases(shuffled)))


@given(ENCOUNTERS)
def test_f1_lies_between_precision_and_recall(pairs):
    counts = metrics.micro(_cases(pairs))
    if counts.precision is not None and counts.recall is not None:
        low, high = sorted((counts.precision, counts.recall))
        assert low - 1e-12 <= counts.f1 <= high + 1e-12


@given(ENCOUNTERS)
def test_a_wrong_code_lowers_precision_and_leaves_recall(pairs):
    worse = [(gold, [*predicted, "Z99"]) for gold, predicted in pairs]
    before, after = metrics.micro(_cases(pairs)), metrics.micro(_cases(worse))
    assert after.recall == before.recall
    if before.precision:
        assert after.precision < before.precision


@given(ENCOUNTERS)
def test_map_is_one_only_with_all_gold_on_top(pairs):
    labelled = [pair for pair in pairs if pair[0]]
    if not labelled:
        return
    on_top = all(set(predicted[: len(gold)]) == set(gold) for gold, predicted in labelled)
    assert (metrics.mean_average_precision(_cases(pairs)) == pytest.approx(1.0)) == on_top


@given(st.lists(st.lists(st.sampled_from(CODES), unique=True, min_size=1), min_size=1, max_size=6))
def test_a_perfect_prediction_scores_one_everywhere(golds):
    scored = [case(" ".join(g), " ".join(g), ordered=True, primary=True) for g in golds]
    counts = metrics.micro(scored)
    assert (counts.precision, counts.recall, counts.f1) == (1, 1, 1)
    for value in (
        metrics.macro_f1(scored),
        metrics.jaccard(scored),
        metrics.exact_match(scored),
        metrics.mean_average_precision(scored),
        metrics.micro_category(scored).f1,
        metrics.ndcg(scored, Kind.DIAGNOSIS),
        metrics.principal_accuracy(scored, Kind.DIAGNOSIS),
        metrics.ccl25_accuracy(scored),
    ):
        assert value == pytest.approx(1.0)
