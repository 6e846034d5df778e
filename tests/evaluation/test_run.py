"""Whole runs with a coder that looks its answers up: reports, failures, interruption, resumption, comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from jointcoder.corpora import load
from jointcoder.errors import InputError, ModelError
from jointcoder.evaluation import report
from jointcoder.evaluation.predictions import PredictionsFile, read_records
from jointcoder.evaluation.run import evaluate, sample, training_counts
from jointcoder.records import AssignedCode, CodedRecord, Cost, Encounter, Flag, Role, Span, StepTrace, System, Versions

TEXTS = {
    "a": "Acute appendicitis. Appendectomy was done.",
    "b": "Type 2 diabetes and hypertension.",
    "c": "Hypertension. No fever.",
    "d": "Headache.",
}
GOLD = {"a": ["K35.80", "0DTJ4ZZ"], "b": ["E11.9", "I10"], "c": ["I10"], "d": ["R51.9"]}


def _system(code: str) -> System:
    return System.ICD10PCS if len(code) == 7 and "." not in code else System.ICD10CM


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    rows = [
        {"id": i, "lang": "en", "text": text, "codes": [{"system": _system(c).value, "code": c} for c in GOLD[i]]}
        for i, text in TEXTS.items()
    ]
    path = tmp_path / "small.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


class TableCoder:
    """Gives the codes of a table; raises what a table entry says; remembers what it was asked."""

    def __init__(self, answers: dict[str, list[str] | BaseException], *, model: str = "table") -> None:
        self.answers = answers
        self.versions = Versions(program="test", workflow="table", model=model)
        self.asked: list[str] = []

    def code_many(self, encounters: Sequence[Encounter], /) -> Iterator[CodedRecord]:
        for encounter in encounters:
            self.asked.append(encounter.id)
            answer = self.answers[encounter.id]
            if isinstance(answer, BaseException):
                raise answer
            yield self.record(encounter, answer)

    def record(self, encounter: Encounter, codes: list[str]) -> CodedRecord:
        quote = encounter.documents[0].text[:5]
        assigned = [
            AssignedCode(
                system=_system(code),
                code=code,
                name=code,
                rank=rank,
                role=Role.PRINCIPAL if rank == 1 else Role.SECONDARY,
                confidence=0.9,
                evidence=(Span(document=0, start=0, end=5, quote=quote),),
            )
            for rank, code in enumerate(codes, start=1)
        ]
        return CodedRecord(
            encounter=encounter.id,
            language="en",
            codes=tuple(assigned),
            cost=Cost(seconds=2.0, calls=3, prompt_tokens=100, generated_tokens=10),
            trace=(StepTrace(step="validate", component="validate", notes={"passed": 3, "applied": 4}),),
            versions=self.versions,
        )


def test_a_perfect_run_has_the_keys_that_are_fixed(corpus_file: Path, tmp_path: Path):
    kept = tmp_path / "kept.jsonl"
    found = evaluate(load(corpus_file), TableCoder(GOLD), predictions=kept, valid=lambda *_: True)
    assert found["n"] == 4
    assert found["data"] == "small.jsonl"
    assert found["workflow"] == "table"
    assert found["predictions"] == str(kept)
    assert found["cost"] == {
        "seconds_per_encounter": 2.0,
        "prompt_tokens": 100,
        "reused_tokens": 0,
        "generated_tokens": 10,
        "calls": 3,
    }
    measured = found["metrics"]
    assert set(measured["systems"]) == {"ICD-10-CM", "ICD-10-PCS"}
    for figures in (*measured["systems"].values(), measured["joint"]):
        for key in ("precision", "recall", "micro_f1", "macro_f1", "map", "jaccard", "exact_match", "category_f1"):
            assert figures[key] == 1.0, key
        assert figures["interval"] == [1.0, 1.0]
    assert measured["invalid_code_rate"] == 0.0
    assert measured["ece"] == pytest.approx(0.1)
    assert measured["auto_share"] == {"0.98": 1.0}
    for absent in ("ccl25_acc", "principal_accuracy", "ndcg3", "evidence_f1", "compliance"):
        assert absent not in measured
    json.dumps(found)


def test_a_failed_record_counts_as_empty_and_is_named(corpus_file: Path):
    answers = {**GOLD, "b": ModelError("JC305", "the engine failed")}
    found = evaluate(load(corpus_file), TableCoder(answers))
    assert found["n"] == 4
    assert found["failed"] == {"JC305": 1}
    assert found["metrics"]["joint"]["counts"] == {"tp": 4, "fp": 0, "fn": 2}
    assert found["metrics"]["joint"]["recall"] == pytest.approx(4 / 6)


def test_a_record_that_never_comes_counts_as_failed(corpus_file: Path):
    class Forgetful(TableCoder):
        def code_many(self, encounters: Sequence[Encounter], /) -> Iterator[CodedRecord]:
            return (record for record in super().code_many(encounters) if record.encounter != "c")

    found = evaluate(load(corpus_file), Forgetful(GOLD))
    assert found["failed"] == {"JC406": 1}
    assert found["metrics"]["joint"]["counts"] == {"tp": 5, "fp": 0, "fn": 1}


def test_flags_that_leave_no_code_make_a_failure_and_remarks_do_not(corpus_file: Path):
    class Flagging(TableCoder):
        def record(self, encounter: Encounter, codes: list[str]) -> CodedRecord:
            code = "JC110" if encounter.id == "a" else "JC406"
            flag = Flag(code=code, message="said of this record")
            return super().record(encounter, []).model_copy(update={"flags": (flag,)})

    found = evaluate(load(corpus_file), Flagging(GOLD))
    assert found["failed"] == {"JC406": 3}
    assert found["flags"] == {"JC110": 1, "JC406": 3}


def test_an_engine_that_cannot_load_stops_the_run(corpus_file: Path):
    with pytest.raises(ModelError, match="JC301"):
        evaluate(load(corpus_file), TableCoder({**GOLD, "a": ModelError("JC301", "no engine")}))


def test_interrupt_keeps_what_is_done_and_the_next_run_goes_on(corpus_file: Path, tmp_path: Path):
    kept = tmp_path / "kept.jsonl"
    with pytest.raises(KeyboardInterrupt):
        evaluate(load(corpus_file), TableCoder({**GOLD, "c": KeyboardInterrupt()}), predictions=kept)
    assert set(read_records(kept)) == {"a", "b"}

    coder, seen = TableCoder(GOLD), []
    found = evaluate(load(corpus_file), coder, predictions=kept, progress=lambda *p: seen.append(p))
    assert coder.asked == ["c", "d"]
    assert found["reused"] == 2
    assert found["metrics"]["joint"]["micro_f1"] == 1.0
    assert seen == [(2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    "tail", ['{"id": "c", "key": "0', '{"id": "c", "record": {"encounter": "c", "lang', "\x00\x00"]
)
def test_a_torn_last_line_is_repaired(corpus_file: Path, tmp_path: Path, tail: str):
    kept = tmp_path / "kept.jsonl"
    evaluate(load(corpus_file), TableCoder(GOLD), predictions=kept)
    whole = kept.read_bytes()
    lines = whole.splitlines(keepends=True)
    kept.write_bytes(b"".join(lines[:2]) + tail.encode())
    coder = TableCoder(GOLD)
    evaluate(load(corpus_file), coder, predictions=kept)
    assert coder.asked == ["c", "d"]
    assert kept.read_bytes() == whole


def test_a_last_line_that_only_lacks_its_end_is_kept(corpus_file: Path, tmp_path: Path):
    kept = tmp_path / "kept.jsonl"
    evaluate(load(corpus_file), TableCoder(GOLD), predictions=kept)
    kept.write_bytes(kept.read_bytes().rstrip(b"\n"))
    coder = TableCoder(GOLD)
    assert evaluate(load(corpus_file), coder, predictions=kept)["reused"] == 4
    assert coder.asked == []


def test_other_versions_other_text_other_source_and_failures_are_coded_again(
    corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kept = tmp_path / "kept.jsonl"
    evaluate(load(corpus_file), TableCoder({**GOLD, "d": ModelError("JC305", "failed")}), predictions=kept)
    again = TableCoder(GOLD)
    evaluate(load(corpus_file), again, predictions=kept)
    assert again.asked == ["d"]

    corpus_file.write_text(corpus_file.read_text("utf-8").replace("No fever.", "No cough."), "utf-8")
    changed = TableCoder(GOLD)
    evaluate(load(corpus_file), changed, predictions=kept)
    assert changed.asked == ["c"]

    other = TableCoder(GOLD, model="another")
    evaluate(load(corpus_file), other, predictions=kept)
    assert other.asked == ["a", "b", "c", "d"]

    monkeypatch.setattr("jointcoder.evaluation.run.source_digest", lambda: "of a changed program")
    edited = TableCoder(GOLD)
    evaluate(load(corpus_file), edited, predictions=kept)
    assert edited.asked == ["a", "b", "c", "d"]

    anew = TableCoder(GOLD)
    evaluate(load(corpus_file), anew, predictions=kept, resume=False)
    assert anew.asked == ["a", "b", "c", "d"]
    assert len(kept.read_text("utf-8").splitlines()) == 4


@pytest.mark.parametrize("resume", [True, False])
def test_a_file_that_is_something_else_is_left_alone(corpus_file: Path, tmp_path: Path, resume: bool):
    other = tmp_path / "notes.jsonl"
    other.write_text('{"id": "x", "text": "secret"}\n', "utf-8")
    with pytest.raises(InputError, match="JC104") as caught:
        evaluate(load(corpus_file), TableCoder(GOLD), predictions=other, resume=resume)
    assert "secret" not in str(caught.value)
    assert other.read_text("utf-8") == '{"id": "x", "text": "secret"}\n'


def test_predictions_are_readable_for_their_owner_alone(tmp_path: Path):
    with PredictionsFile(tmp_path / "new" / "kept.jsonl") as file:
        file.put("a", "k", terms=[])
    assert (tmp_path / "new" / "kept.jsonl").stat().st_mode & 0o077 == 0


def test_one_system_restricts_gold_and_predictions(corpus_file: Path):
    found = evaluate(load(corpus_file), TableCoder(GOLD), system="ICD-10-PCS")
    assert set(found["metrics"]["systems"]) == {"ICD-10-PCS"}
    assert found["metrics"]["joint"]["counts"] == {"tp": 1, "fp": 0, "fn": 0}
    assert found["unscored"] == {"ICD-10-CM": 5}
    with pytest.raises(InputError, match="labels no ICD-10-CN"):
        evaluate(load(corpus_file), TableCoder(GOLD), system="ICD-10-CN")


def test_predictions_in_a_system_without_labels_are_not_scored(tmp_path: Path):
    path = tmp_path / "visits.jsonl"
    path.write_text('{"id": "d", "text": "Headache.", "codes": [{"system": "ICD-10-CM", "code": "R51.9"}]}\n', "utf-8")
    found = evaluate(load(path), TableCoder({"d": ["R51.9", "0DTJ4ZZ"]}))
    assert found["metrics"]["joint"]["precision"] == 1.0
    assert found["unscored"] == {"ICD-10-PCS": 1}


def test_a_corpus_without_labels_is_refused(tmp_path: Path):
    path = tmp_path / "notes.jsonl"
    path.write_text('{"id": "d", "text": "Headache.", "codes": []}\n', "utf-8")
    with pytest.raises(InputError, match="no gold codes"):
        evaluate(load(path), TableCoder(GOLD))


def test_compliance_is_what_the_trace_counted(corpus_file: Path):
    from jointcoder.evaluation.scored import compliance

    found = evaluate(load(corpus_file), TableCoder(GOLD), compliance=compliance)
    assert found["metrics"]["compliance"] == pytest.approx(12 / 16)


def test_baseline_is_compared_in_pairs(corpus_file: Path, tmp_path: Path):
    earlier = tmp_path / "earlier.jsonl"
    half = {"a": ["K35.80"], "b": ["E11.9"], "c": ["Z99.9"], "d": ["R51.9"]}
    before = evaluate(load(corpus_file), TableCoder(half), predictions=earlier)
    # before: TP 3, FP 1, FN 3 → F1 6/10
    assert before["metrics"]["joint"]["micro_f1"] == pytest.approx(0.6)
    found = evaluate(load(corpus_file), TableCoder(GOLD), baseline=earlier)
    assert found["comparison"]["n"] == 4
    assert found["comparison"]["micro_f1"]["joint"]["difference"] == pytest.approx(0.4)
    part = evaluate(load(corpus_file), TableCoder(GOLD), baseline=earlier, limit=2, seed=1)
    assert part["comparison"]["n"] == 2


def test_sample_is_seeded_nested_and_in_order():
    items = list(range(100))
    ten, twenty = sample(items, 10, 7), sample(items, 20, 7)
    assert ten == sample(items, 10, 7) == sorted(ten)
    assert set(ten) < set(twenty)
    assert ten != sample(items, 10, 8)
    assert sample(items, None, 7) == sample(items, 500, 7) == items
    with pytest.raises(InputError):
        sample(items, 0, 7)


def test_a_sample_says_so(corpus_file: Path):
    found = evaluate(load(corpus_file), TableCoder(GOLD), limit=2)
    assert found["n"] == 2
    assert found["sampled_from"] == 4
    assert "2 of 4 records" in found["remarks"]["sample"]


def test_table_and_markdown_show_the_figures(corpus_file: Path):
    from rich.console import Console

    training = training_counts(load(corpus_file).items)
    found = evaluate(load(corpus_file), TableCoder({**GOLD, "d": ["R52"]}), training=training)
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(report.table(found))
    shown = console.export_text()
    assert "ICD-10-PCS" in shown
    assert "seen 1-5 times" in shown
    # joint: TP 5, FP 1, FN 1 → P R F1 5/6
    assert "0.833" in shown
    row = report.markdown_row(found)
    assert row.startswith("| small.jsonl | joint | 4 | 0.833 | 0.833 | 0.833 [")
    assert row.endswith("| 2.0 |")
    assert report.markdown_row(found, "ICD-10-PCS").split(" | ")[3:5] == ["1.000", "1.000"]
