"""Term normalisation against figures worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jointcoder.corpora import load_terms
from jointcoder.evaluation.terms import evaluate_terms, plain
from jointcoder.records import Versions

# Mentions and names of our own making; the third mention holds two terms, one without a code.
ROWS = [
    ("1", "胆囊切除", ["腹腔镜下胆囊切除术"], ["51.2300"]),
    ("2", "阑尾切除", ["阑尾切除术"], ["47.0900"]),
    ("3", "切除及引流", ["部分切除术", "引流术"], ["45.7900", ""]),
]
ANSWERS = {
    "胆囊切除": [("腹腔镜下胆囊切除术", "51.2300")],
    "阑尾切除": [("阑尾引流术", "47.2x00")],
    "切除及引流": [("部分 切除术", "45.7900")],
}
VERSIONS = Versions(program="test", workflow="table")


@pytest.fixture
def terms_file(tmp_path: Path) -> Path:
    path = tmp_path / "terms.jsonl"
    rows = [{"id": i, "lang": "zh", "mention": m, "normalized": n, "codes_xiehe": c} for i, m, n, c in ROWS]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_figures(terms_file: Path):
    found = evaluate_terms(load_terms(terms_file), lambda ms: [ANSWERS[m] for m in ms], versions=VERSIONS)
    # names: 1 right; 2 wrong; 3 half → TP 2, FP 1, FN 2; one mention of three exactly right
    assert found["n"] == 3
    names = found["metrics"]
    assert names["accuracy"] == pytest.approx(1 / 3)
    assert names["precision"] == pytest.approx(2 / 3)
    assert names["recall"] == pytest.approx(2 / 4)
    assert names["f1"] == pytest.approx(4 / 7)
    # codes: the third mention lacks one, so two mentions count: TP 1, FP 1, FN 1
    assert names["codes"]["xiehe"] == {"n": 2, "accuracy": 0.5, "precision": 0.5, "recall": 0.5, "f1": 0.5}


def test_nothing_answered_has_no_precision(terms_file: Path):
    found = evaluate_terms(load_terms(terms_file), lambda ms: [[] for _ in ms], versions=VERSIONS)
    assert "precision" not in found["metrics"]
    assert (found["metrics"]["accuracy"], found["metrics"]["recall"], found["metrics"]["f1"]) == (0.0, 0.0, 0.0)
    assert found["unanswered"] == 3


def test_resumes_where_it_stopped(terms_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jointcoder.evaluation.terms.AT_ONCE", 1)
    kept, asked = tmp_path / "kept.jsonl", []

    def stops(mentions):
        if "切除及引流" in mentions:
            raise KeyboardInterrupt
        return [ANSWERS[m] for m in mentions]

    def answers(mentions):
        asked.extend(mentions)
        return [ANSWERS[m] for m in mentions]

    with pytest.raises(KeyboardInterrupt):
        evaluate_terms(load_terms(terms_file), stops, versions=VERSIONS, predictions=kept)
    found = evaluate_terms(load_terms(terms_file), answers, versions=VERSIONS, predictions=kept)
    assert asked == ["切除及引流"]
    assert found["reused"] == 2
    assert found["metrics"]["f1"] == pytest.approx(4 / 7)


def test_the_wrong_number_of_answers_is_an_error(terms_file: Path):
    with pytest.raises(ValueError, match="zip"):
        evaluate_terms(load_terms(terms_file), lambda ms: [[]], versions=VERSIONS)


def test_names_compare_without_width_case_and_blanks():
    assert plain("（ＣＴ） 检查Ⅱ") == plain("(ct)检查II")
    assert plain("切除术") != plain("切开术")
