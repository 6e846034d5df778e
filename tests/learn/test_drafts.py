"""Learning the confidence of drafts: from coded visits to a part, to a record with reasons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jointcoder.coder import Coder
from jointcoder.corpora import Corpus, load
from jointcoder.errors import InputError, UsageError
from jointcoder.learn.drafts import LEARNT, before_the_cut, calibration_error, gathered, held_out, states_of, train
from jointcoder.learn.pack import learn
from jointcoder.packs import Pack
from jointcoder.packs.drafts import FEATURES, View, features
from jointcoder.records import Encounter, System
from jointcoder.settings import Settings
from tests.visits import visit, visit_book

pytest.importorskip("sklearn")

NAMED = {"Gout": "M10.9", "Hypertension": "I10", "Asthma": "J45.909", "Migraine": "G43.909"}


@pytest.fixture(scope="module")
def coder(tmp_path_factory: pytest.TempPathFactory) -> Coder:
    folder = tmp_path_factory.mktemp("learn")
    return Coder(Settings(cache=folder), code_book=visit_book(folder / "book"), workflow="visit")


def coded(path: Path, number: int, *, language: str | None = "en") -> Path:
    """Visits in which what the assessment orders is coded, and what the story tells beside it is not."""
    names = list(NAMED)
    rows = []
    for i in range(number):
        problem, told = names[i % 4], names[(i + 1 + i // 4 % 3) % 4]
        text = visit(f"1. {problem}.", f"She had a cough and told of {told.lower()}.")
        row = {"id": f"v{i}", "text": text, "codes": [{"system": "ICD-10-CM", "code": NAMED[problem]}]}
        rows.append(row | ({"lang": language} if language else {}))
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return load(coded(tmp_path_factory.mktemp("coded") / "visits.jsonl", 24))


def test_learns_that_the_assessment_counts(coder: Coder, corpus: Corpus, tmp_path: Path) -> None:
    learnt = learn([corpus.path], tmp_path / "pack", parts=["drafts"], coder=coder)
    figures = learnt.info.metrics["drafts"]["held out"]["ICD-10-CM"]
    assert figures["n"] == 24
    assert figures["micro_f1"] > 0.95
    assert figures["interval"][0] <= figures["micro_f1"] <= figures["interval"][1]
    assert figures["ece"] < figures["ece_before"]

    pack = Pack.open(tmp_path / "pack")
    judging = Coder(coder.settings, code_book=coder.book, workflow="visit", pack=pack)
    record = judging.code(Encounter.from_text(visit("1. Gout.", "She had a cough and told of asthma."), language="en"))
    assert [code.code for code in record.codes] == ["M10.9"]
    assert record.versions.pack == pack.version
    reasons = {reason.feature: reason for reason in record.codes[0].reasons}
    assert reasons["heading"].weight > 0
    # without the pack the table set by hand decides, and gives no reasons
    plain = coder.code(Encounter.from_text(visit("1. Gout.", "She had a cough and told of asthma."), language="en"))
    assert not any(code.reasons for code in plain.codes)
    assert plain.codes[0].confidence != record.codes[0].confidence


def test_reasons_and_bias_sum_to_the_logodds(coder: Coder, corpus: Corpus, tmp_path: Path) -> None:
    learn([corpus.path], tmp_path / "pack", parts=["drafts"], coder=coder)
    part = Pack.open(tmp_path / "pack").part("drafts")
    combiner = part.combiners["ICD-10-CM"]
    row = np.linspace(0, 1, len(combiner.names))
    total = sum(reason.weight for reason in combiner.contributions(row))
    assert total == pytest.approx(float(combiner.logodds(row)[0]))


def test_same_data_and_seed_give_the_same_bytes(coder: Coder, corpus: Corpus, tmp_path: Path) -> None:
    for name in ("one", "two"):
        train([corpus], tmp_path / name, coder=coder, seed=3)
    assert (tmp_path / "one" / "combiners.json").read_bytes() == (tmp_path / "two" / "combiners.json").read_bytes()


def test_wanted_precision_raises_the_threshold(coder: Coder, corpus: Corpus, tmp_path: Path) -> None:
    plain = train([corpus], tmp_path / "plain", coder=coder)
    strict = train([corpus], tmp_path / "strict", coder=coder, want_precision=1.0)
    assert strict.thresholds["ICD-10-CM"] >= plain.thresholds["ICD-10-CM"]


def test_the_plan_ends_before_anything_is_dropped(coder: Coder) -> None:
    names = [step.name for _, step in before_the_cut(coder).steps]
    assert {"read", "extract", "standardise", "code_also"} <= set(names)
    assert not {"validate", "map_codes", "reconcile", "prioritise"} & set(names)


def test_features_are_named_once_and_are_numbers(coder: Coder, corpus: Corpus) -> None:
    assert set(LEARNT) <= set(FEATURES)
    assert len(set(LEARNT)) == len(LEARNT)
    empty = View(corpus.items[0].encounter, "en", (), (), (), ())
    assert features(empty).shape == (0, len(FEATURES))


def test_gold_without_a_draft_counts_as_missed(coder: Coder, corpus: Corpus) -> None:
    items = corpus.items[:12]
    states = list(states_of(coder, items, [System.ICD10CM]))
    whole = gathered(items, states, System.ICD10CM)
    assert sum(whole.missed.values()) == 0
    bare = [state.updated(type("U", (), {"values": {"diagnoses": ()}, "flags": ()})()) for state in states]
    assert sum(gathered(items, bare, System.ICD10CM).missed.values()) == 12
    assert held_out(whole)["recall"] > 0.9


def test_calibration_error() -> None:
    right = np.array([True, True, False, False])
    assert calibration_error(np.array([1.0, 1.0, 0.0, 0.0]), right) == 0
    assert calibration_error(np.array([0.0, 0.0, 1.0, 1.0]), right) == 1
    assert calibration_error(np.full(4, 0.75), right) == pytest.approx(0.25)


class TestBadInput:
    def test_without_a_coder(self, corpus: Corpus, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="JC001"):
            train([corpus], tmp_path / "part")

    def test_three_records(self, coder: Coder, tmp_path: Path) -> None:
        few = load(coded(tmp_path / "few.jsonl", 3))
        with pytest.raises(InputError, match="JC114"):
            train([few], tmp_path / "part", coder=coder)

    def test_nothing_right(self, coder: Coder, tmp_path: Path) -> None:
        path = coded(tmp_path / "wrong.jsonl", 24)
        path.write_text(path.read_text("utf-8").replace('"code": "', '"code": "Z0'), "utf-8")
        with pytest.raises(InputError, match="JC114"):
            train([load(path)], tmp_path / "part", coder=coder)

    def test_another_system(self, coder: Coder, tmp_path: Path) -> None:
        path = coded(tmp_path / "other.jsonl", 24)
        path.write_text(path.read_text("utf-8").replace("ICD-10-CM", "ICD-9-CM-3"), "utf-8")
        with pytest.raises(InputError, match="JC108"):
            train([load(path)], tmp_path / "part", coder=coder)
