"""What the steps decide without the model: sides, combinations, integral symptoms, order, overlaps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.model import Hit
from jointcoder.records import Assertion, AssignedCode, Kind, Mention, Role, Span, System
from jointcoder.steps import code_also, common, confidence, map_codes, prioritise, reconcile
from jointcoder.steps.extract import merge, same_word
from jointcoder.steps.prompting import LANGUAGES, Prompts
from jointcoder.steps.standardise import shuffled


def code(
    text: str, name: str = "", *, system: System = System.ICD10CM, sure: float = 0.8, **more: object
) -> AssignedCode:
    return AssignedCode(system=system, code=text, name=name or text, confidence=sure, **more)  # type: ignore[arg-type]


def mention(start: int, quote: str, *, source: str = "model", kind: Kind = Kind.DIAGNOSIS, **more: object) -> Mention:
    span = Span(document=0, start=start, end=start + len(quote), quote=quote)
    return Mention(id=f"{source}{start}", kind=kind, span=span, name=quote, source=source, **more)  # type: ignore[arg-type]


HIT = Hit(System.ICD10CM, "J18.9", "Pneumonia", "pneumonia", "en", 0.9, ("lexical",))
SIDES = Prompts("en").raw("map_codes", "sides")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("osteoarthritis of the left knee", "M17.12"),
        ("Right-sided knee osteoarthritis", "M17.11"),
        ("osteoarthritis of the knee", "M17.10"),
        ("left and right knee osteoarthritis", "M17.10"),  # two sides stated: not ours to decide
        ("osteoarthritis; leftover pills", "M17.10"),  # part of a word is no side
    ],
)
def test_unspecified_side_gives_way_to_the_stated_one(small_us: CodeBook, text: str, expected: str) -> None:
    assert map_codes.sided(small_us, System.ICD10CM, "M17.10", text, SIDES) == expected


def test_a_stated_side_is_never_changed(small_us: CodeBook) -> None:
    assert map_codes.sided(small_us, System.ICD10CM, "M17.11", "left knee", SIDES) == "M17.11"


class TestCombine:
    rules = common.step_data("code_also")["combine"]

    def test_hypertension_with_heart_failure(self, small_us: CodeBook, coder) -> None:  # type: ignore[no-untyped-def]
        tools = coder(workflow="lexical").tools
        result = code_also.combine([code("I50.9"), code("I10")], self.rules, tools, "en")
        assert [c.code for c in result] == ["I11.0", "I50.9"]  # "use additional code to identify heart failure"
        assert result[0].links[0].code == "I50.9"
        assert "I.C.9.a" in result[0].checks[-1].citation

    def test_one_of_the_pair_alone_stays(self, coder) -> None:  # type: ignore[no-untyped-def]
        tools = coder(workflow="lexical").tools
        assert [c.code for c in code_also.combine([code("I10")], self.rules, tools, "en")] == ["I10"]

    def test_a_combination_that_the_book_lacks_is_left_alone(self, coder) -> None:  # type: ignore[no-untyped-def]
        tools = coder(workflow="lexical").tools  # the small book has no I12.9
        result = code_also.combine([code("I10"), code("N18.30")], self.rules, tools, "en")
        assert [c.code for c in result] == ["I10", "N18.30"]


def test_integral_symptom_is_left_out_with_its_citation() -> None:
    kept, findings = reconcile.without_integral([code("J18.9"), code("R05.9")])
    assert [c.code for c in kept] == ["J18.9"]
    assert findings[0].codes == ("R05.9", "J18.9")
    assert "I.B.5" in findings[0].citation


def test_the_default_of_a_category_gives_way_to_the_specific_code(coder) -> None:  # type: ignore[no-untyped-def]
    tools = coder(workflow="lexical").tools
    kept, findings = reconcile.without_defaults([code("E11.9"), code("E11.22"), code("I10")], tools)
    assert [c.code for c in kept] == ["E11.22", "I10"]
    assert findings[0].codes == ("E11.9", "E11.22")
    assert reconcile.without_defaults([code("E11.9"), code("I10")], tools)[1] == []


def test_symptom_without_its_disease_stays() -> None:
    kept, findings = reconcile.without_integral([code("I10"), code("R05.9")])
    assert [c.code for c in kept] == ["I10", "R05.9"]
    assert findings == []


def test_external_cause_is_never_first() -> None:
    codes = [code("W19.XXXA", sure=0.99), code("M17.11", sure=0.3)]
    scores = {c.code: prioritise.rule_score(c, place, {}) for place, c in enumerate(codes)}
    assert prioritise.by_score(codes, scores)[0].code == "M17.11"


def test_list_order_counts_more_than_text_order() -> None:
    mentions = {"a": mention(0, "aa", source="list"), "b": mention(9, "bb", source="list")}
    first, second = code("I10", mentions=("a",)), code("J18.9", mentions=("b",))
    assert prioritise.rule_score(first, 0, mentions) > prioritise.rule_score(second, 1, mentions)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_history_counts_less_than_what_is_present(language: str) -> None:
    def sure(assertion: Assertion) -> float:
        return confidence.draft([mention(0, "x", assertion=assertion)], HIT, choice=0.9, divided=False)

    present, history, denied = (sure(a) for a in (Assertion.PRESENT, Assertion.HISTORICAL, Assertion.NEGATED))
    assert present > history > denied
    assert Prompts(language)("shared", "record", text="{braces} stay")  # every language has its prompts


def test_what_the_assessment_does_not_name_counts_less() -> None:
    inside = confidence.draft([mention(0, "x", section="assessment_plan")], HIT, choice=0.9, divided=True)
    outside = confidence.draft([mention(0, "x", section="past_history")], HIT, choice=0.9, divided=True)
    undivided = confidence.draft([mention(0, "x", section="body")], HIT, choice=0.9, divided=False)
    assert min(inside, undivided) > outside


def test_two_sources_that_agree_count_more_than_either() -> None:
    both = [mention(0, "x"), mention(5, "x", source="dictionary")]
    agreed = confidence.draft(both, HIT, choice=0.9, divided=False)
    assert agreed > max(confidence.draft([m, m], HIT, choice=0.9, divided=False) for m in both)


def test_a_list_is_trusted_and_a_weak_hit_for_its_item_is_not() -> None:
    listed, told = [mention(0, "x", source="list")], [mention(0, "x")]

    def sure(of: list[Mention], score: float) -> float:
        return confidence.draft(of, replace(HIT, score=score), choice=0.5, divided=False)

    assert sure(listed, 0.95) > 0.85
    assert sure(listed, 0.4) < 0.35  # of such codes none in twenty is right
    assert sure(told, 0.95) > sure(told, 0.4)
    assert [sure(listed, one / 10) for one in range(11)] == sorted(sure(listed, one / 10) for one in range(11))


def test_yes_beyond_the_baseline_raises_and_no_lowers() -> None:
    assert confidence.with_verdict(0.5, 0.9, 0.5) > 0.5 > confidence.with_verdict(0.5, 0.2, 0.5)
    assert confidence.with_verdict(0.5, 0.7, 0.7) == pytest.approx(0.5)


def test_of_overlapping_mentions_the_longer_stays() -> None:
    kept = merge([mention(5, "diabetes"), mention(0, "type diabetes", source="dictionary"), mention(40, "cough")])
    assert [m.span.quote for m in kept] == ["type diabetes", "cough"]


def test_a_list_item_wins_over_a_longer_find() -> None:
    kept = merge([mention(0, "acute heart failure today"), mention(0, "acute heart failure", source="list")])
    assert [m.source for m in kept] == ["list"]


def test_kinds_do_not_compete() -> None:
    assert len(merge([mention(0, "biopsy"), mention(0, "biopsy", kind=Kind.PROCEDURE)])) == 2


@pytest.mark.parametrize(
    ("quote", "term", "same"),
    [
        ("allergies", "Allergy, unspecified", True),
        ("sinus", "Sinusitis (chronic) NOS", False),
        ("Burning", "Burn NOS", False),
        ("Hypertension", "high blood pressure", True),  # a synonym, not a stem
        ("pain in the knee", "Pain in knee", True),
        ("胸痛", "胸痛", True),
    ],
)
def test_a_stem_alone_is_not_the_word(quote: str, term: str, same: bool) -> None:
    assert same_word(quote, term) is same


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=12))
def test_merged_mentions_never_overlap_and_the_longest_is_kept(places: list[tuple[int, int]]) -> None:
    mentions = [mention(start, "x" * length) for start, length in places]
    kept = merge(mentions)
    for one, two in pairwise(kept):
        assert one.span.end <= two.span.start
    if mentions:
        assert max(len(m.span.quote) for m in mentions) == max(len(m.span.quote) for m in kept)


@given(st.integers(1, 20), st.text(max_size=20))
def test_option_order_is_a_permutation_fixed_by_the_wording(count: int, seed: str) -> None:
    order = shuffled(count, seed)
    assert sorted(order) == list(range(count))
    assert order == shuffled(count, seed)


def test_ranks_count_from_one_and_the_first_is_principal() -> None:
    codes = common.ranked([code("A"), code("B")])
    assert [(c.rank, c.role) for c in codes] == [(1, Role.PRINCIPAL), (2, Role.SECONDARY)]


def test_cue_words_are_whole_words(coder) -> None:  # type: ignore[no-untyped-def]
    from jointcoder.records import Encounter
    from jointcoder.steps.base import State

    state = State(Encounter.from_text("She takes Insulin glargine. Insulinoma was excluded."))
    spans = code_also.cue_spans(state, ["insulin"])
    assert [span.quote for span in spans] == ["Insulin"]
