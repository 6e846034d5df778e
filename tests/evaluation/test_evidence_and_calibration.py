"""Evidence, calibration and the bootstrap, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from jointcoder.corpora import GoldSpan
from jointcoder.evaluation import bootstrap, calibration, evidence, metrics
from jointcoder.evaluation.metrics import Counts
from jointcoder.evaluation.scored import Gold, Predicted, Scored
from tests.evaluation.examples import CM, case, span


def _one(predicted: list[Predicted]) -> list[Scored]:
    """Gold: A01 at 100–111 (and again at 300–311), B02 at 200–208."""
    first, again = span(100, "dolor agudo"), span(300, "dolor agudo")
    return [Scored([Gold(CM, "A01", spans=(first, again)), Gold(CM, "B02", spans=(span(200, "diabetes"),))], predicted)]


@pytest.mark.parametrize(
    ("start", "end", "fits"),
    [
        (100, 111, True),
        (90, 121, True),  # ten characters too many on both sides
        (89, 111, False),
        (100, 122, False),
        (101, 111, False),  # does not contain the gold span
        (300, 311, True),  # the other mention suffices
    ],
)
def test_contained_with_ten_characters_of_slack(start: int, end: int, fits: bool):
    scored = _one([Predicted(CM, "A01", spans=(span(start, "x" * (end - start)),))])
    assert evidence.contained(scored) == Counts(int(fits), 1 - int(fits), 2 - int(fits))


def test_right_place_with_the_wrong_code_or_document_is_wrong():
    scored = _one(
        [
            Predicted(CM, "B02", spans=(span(100, "dolor agudo"),)),
            Predicted(CM, "A01", spans=(span(100, "dolor agudo", document=1),)),
        ]
    )
    assert evidence.contained(scored) == Counts(0, 2, 2)


def test_a_code_without_evidence_counts_as_predicted():
    assert evidence.contained(_one([Predicted(CM, "A01")])) == Counts(0, 1, 2)


def test_exact_spans_words_and_tokens():
    # A01 exactly at 100; B02 two characters early with other words around: "a diabetes" (198–208)
    scored = _one(
        [
            Predicted(CM, "A01", spans=(span(100, "dolor agudo"),)),
            Predicted(CM, "B02", spans=(span(198, "a diabetes"),)),
        ]
    )
    found = evidence.exact(scored)
    assert found["span"] == Counts(1, 1, 2)  # gold: 2 × A01, 1 × B02
    assert found["text"] == Counts(1, 1, 1)  # "dolor agudo" twice is one text
    assert found["token"] == Counts(3, 1, 2)  # dolor, agudo, diabetes right; "a" surplus; the second mention missed
    assert found["token_text"] == Counts(3, 1, 0)


def test_tokens_of_a_discontinuous_mention_lie_in_its_fragments():
    # "Pain, acute, of the left knee": the mention is Pain (0–4) and left knee (20–29)
    mention = GoldSpan(0, 0, 29, "Pain left knee", ((0, 4), (20, 29)))
    scored = [Scored([Gold(CM, "A01", spans=(mention,))], [Predicted(CM, "A01", spans=(span(20, "left knee"),))])]
    assert evidence.exact(scored)["token"] == Counts(2, 0, 1)
    assert evidence.exact(scored)["span"] == Counts(0, 1, 1)


def test_chinese_is_compared_character_by_character():
    gold = [Gold("ICD-10-CN", "I10", spans=(span(5, "高血压病"),))]
    scored = [Scored(gold, [Predicted("ICD-10-CN", "I10", spans=(span(5, "高血压"),))])]
    assert evidence.exact(scored)["token"] == Counts(3, 0, 1)


def test_without_gold_spans_there_is_no_evidence_measure():
    assert evidence.contained([case("A01", "A01")]) is None
    assert evidence.exact([case("A01", "A01")]) is None


# ------------------------------------------------------------------------------------------------- calibration


def test_expected_calibration_error():
    # bin .9–1: 0.95 right, 0.95 wrong → |0.5 − 0.95| · 2/3; bin .2–.3: 0.25 wrong → |0 − 0.25| · 1/3
    scored = [case("A", "A@0.95 B@0.95 C@0.25")]
    assert calibration.expected_calibration_error(scored) == pytest.approx(0.45 * 2 / 3 + 0.25 / 3)
    assert calibration.expected_calibration_error([case("A", "A@1.0")]) == 0.0
    assert calibration.expected_calibration_error([case("A", "")]) is None


def test_auto_share_takes_the_largest_prefix():
    # by confidence: right, wrong, right, right | wrong → precision 1, 1/2, 2/3, 3/4, 3/5
    scored = [case("A C D", "A@0.9 B@0.8 C@0.7 D@0.6 E@0.5")]
    assert calibration.auto_share(scored, 0.75) == (pytest.approx(4 / 5), 0.6)
    assert calibration.auto_share(scored, 0.98) == (pytest.approx(1 / 5), 0.9)
    assert calibration.auto_share([case("A", "B@0.9")], 0.98) == (0.0, None)
    assert calibration.auto_share([case("A", "")], 0.98) is None


def test_auto_share_does_not_split_equal_confidence():
    assert calibration.auto_share([case("A", "A@0.9 B@0.9")], 0.98) == (0.0, None)


# --------------------------------------------------------------------------------------------------- bootstrap

MIXED = [case("A B", "A C"), case("A", "A"), case("D", ""), case("E F", "E F"), case("A", "B")]


def test_interval_is_seeded_and_holds_the_figure():
    counts = metrics.count_matrix(MIXED)
    low, high = bootstrap.interval(counts, seed=3)
    assert (low, high) == bootstrap.interval(counts, seed=3)
    assert 0 <= low < metrics.micro(MIXED).f1 < high <= 1


def test_interval_of_equal_encounters_is_a_point():
    # every encounter has TP 1 FP 1 FN 0, so every resample has F1 2/3
    low, high = bootstrap.interval(np.array([[1, 1, 0]] * 7))
    assert (low, high) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_interval_does_not_depend_on_how_much_is_held_at_once(monkeypatch):
    counts = metrics.count_matrix(MIXED)
    whole = bootstrap.interval(counts)
    monkeypatch.setattr(bootstrap, "_CELLS", 12)
    assert bootstrap.interval(counts) == pytest.approx(whole)


def test_interval_widens_with_fewer_encounters():
    counts = np.array([[1, 0, 0], [0, 1, 1]] * 50)
    few, many = bootstrap.interval(counts[:10]), bootstrap.interval(counts)
    assert few[1] - few[0] > many[1] - many[0]


def test_nothing_to_resample():
    assert bootstrap.interval(np.zeros((0, 3), dtype=int)) is None
    assert bootstrap.interval(np.zeros((4, 3), dtype=int)) is None


def test_paired_difference():
    before = np.array([[1, 1, 0]] * 20)  # F1 2/3 in every resample
    after = np.array([[1, 0, 0]] * 20)  # F1 1
    found = bootstrap.paired_difference(before, after)
    assert found.difference == pytest.approx(1 / 3)
    assert found.interval == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert found.p == 0.0
    same = bootstrap.paired_difference(before, before)
    assert (same.difference, same.p) == (0.0, 1.0)
    with pytest.raises(ValueError, match="same encounters"):
        bootstrap.paired_difference(before, after[:3])
