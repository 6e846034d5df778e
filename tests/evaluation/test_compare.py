"""Two runs compared encounter by encounter."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from jointcoder.evaluation import bootstrap, metrics
from jointcoder.evaluation.compare import Coded, compare, table
from jointcoder.evaluation.scored import Gold, Predicted, Scored
from jointcoder.records import CodedRecord, Cost, Finding, Severity, Versions

CM, PCS = "ICD-10-CM", "ICD-10-PCS"


def coded(gold: list[str], given: list[str], *, seconds: float = 1.0, errors: int = 0, tokens: int = 0) -> Coded:
    """One encounter: gold and predicted diagnoses, the first of each is principal."""
    scored = Scored(
        [Gold(CM, code, primary=place == 0) for place, code in enumerate(gold)], [Predicted(CM, code) for code in given]
    )
    findings = (Finding(rule="r", severity=Severity.ERROR, message="m"),) * errors
    cost = Cost(seconds=seconds, calls=2, prompt_tokens=tokens)
    record = CodedRecord(encounter="e", language="en", findings=findings, cost=cost, versions=Versions(program="0"))
    return scored, record


def test_what_differs_is_measured() -> None:
    gold = [["I10", "E11.9"], ["J18.9"], ["R05.9", "I10"]]
    first = [coded(g, ["Z00.00"], seconds=2.0, errors=1) for g in gold]
    second = [coded(g, g, seconds=5.0, tokens=100) for g in gold]
    found = compare(list(zip(first, second, strict=True)), [CM])
    f1 = found["micro_f1"]
    assert (f1["first"], f1["second"], f1["difference"]) == (0.0, 1.0, 1.0)
    assert f1["interval"] == [1.0, 1.0]
    assert found["principal_diagnosis"]["difference"] == 1.0
    assert "principal_procedure" not in found  # nothing is labelled so
    assert found["seconds"]["difference"] == pytest.approx(3.0)
    assert (found["errors"]["first"], found["errors"]["second"]) == (1.0, 0.0)
    assert found["prompt_tokens"]["second"] == 100.0
    assert "ICD-10-CM recall" not in found  # one system: it is the whole


def test_systems_apart_where_there_are_several() -> None:
    one = Scored([Gold(CM, "I10"), Gold(PCS, "0DTJ4ZZ")], [Predicted(CM, "I10")])
    other = Scored([Gold(CM, "I10"), Gold(PCS, "0DTJ4ZZ")], [Predicted(CM, "I10"), Predicted(PCS, "0DTJ4ZZ")])
    record = coded([], [])[1]
    found = compare([((one, record), (other, record))] * 2, [CM, PCS])
    assert found["ICD-10-PCS recall"]["difference"] == 1.0
    assert found["ICD-10-CM recall"]["difference"] == 0.0
    assert found["recall"]["difference"] == 0.5
    assert "ICD-10-PCS precision" not in found  # the first gave none: no precision to compare


CODES = st.lists(st.sampled_from(["I10", "E11.9", "J18.9", "R05.9"]), unique=True, min_size=1)


@settings(max_examples=30)
@given(st.lists(st.tuples(CODES, CODES, CODES), min_size=1, max_size=6))
def test_figures_are_those_of_the_metrics(cases: list[tuple[list[str], list[str], list[str]]]) -> None:
    first, second = ([coded(gold, (one, other)[side]) for gold, one, other in cases] for side in (0, 1))
    found = compare(list(zip(first, second, strict=True)), [CM], resamples=50)
    for side, run in (("first", first), ("second", second)):
        counts = metrics.micro([scored for scored, _ in run])
        assert found["micro_f1"][side] == pytest.approx(counts.f1)
        assert found["precision"][side] == pytest.approx(counts.precision)
        assert found["recall"][side] == pytest.approx(counts.recall)
    same = compare(list(zip(first, first, strict=True)), [CM], resamples=50)
    assert all(row["difference"] == 0 and row["interval"] == [0, 0] for row in same.values())


def test_the_interval_of_f1_is_the_one_of_evaluate() -> None:
    rng = np.random.default_rng(1)
    first, second = (rng.integers(0, 5, size=(40, 3)) for _ in range(2))
    both = [np.stack([2.0 * c[:, 0], 2.0 * c[:, 0] + c[:, 1] + c[:, 2]], axis=1) for c in (first, second)]
    assert bootstrap.paired_ratio(*both) == bootstrap.paired_difference(first, second)
    with pytest.raises(ValueError, match="same encounters"):
        bootstrap.paired_ratio(both[0], both[1][:5])


def test_the_table_says_both_and_the_difference() -> None:
    pairs = [(coded(["I10"], ["I10"]), coded(["I10"], ["E11.9"], seconds=3.0))] * 4
    out = io.StringIO()
    Console(file=out, width=120).print(table(compare(pairs, [CM]), ("cot", "clh"), title="x"))
    lines = {line.split("│")[1].strip(): line for line in out.getvalue().splitlines() if line.startswith("│")}
    assert "1.000" in lines["micro f1"]
    assert "-1.000 [-1.000, -1.000]" in lines["micro f1"]
    assert "+2.0 [+2.0, +2.0]" in lines["seconds"]
