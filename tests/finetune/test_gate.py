"""The regression gate: what holds, what fails, and what is put in force, with the way back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.assets import adapters_of
from jointcoder.assets.register import Wish, register
from jointcoder.assets.versions import in_force, roll_back
from jointcoder.corpora import load
from jointcoder.errors import AssetError, InputError
from jointcoder.evaluation.predictions import read_records
from jointcoder.finetune.gate import Rule, Slice, judge, slices
from jointcoder.finetune.promote import Evidence, promote
from jointcoder.settings import Settings
from tests.carriers import sha256
from tests.cli.command import ROOT
from tests.gguf_files import ADAPTER, gguf, lora

BASE, NAME = "base", "validate_dx"
COMMON, RARE, UNSEEN = ["I10", "J18.9"], ["E11.9"], ["Z99.2"]
NOTES = (
    "The patient came with cough. ",
    "History:\nhypertension.\n\nDischarge diagnosis:\npneumonia and diabetes.\n\nPlan:\nhome. ",
)


def corpus(path: Path, n: int = 40) -> Path:
    """Invented notes, every second one with sections, of different lengths and languages."""
    rows = []
    for i in range(n):
        codes = COMMON + (RARE if i % 4 == 0 else []) + (UNSEEN if i % 10 == 0 else [])
        rows.append(
            {
                "id": f"n{i}",
                "lang": "es" if i % 5 == 0 else "en",
                "text": NOTES[i % 2] * (1 + i % 7),
                "codes": [{"system": "ICD-10-CM", "code": code, "primary": code == "I10"} for code in codes],
            }
        )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def predictions(path: Path, data: Path, *, drop: Mapping[str, Sequence[str]] | None = None, adapter: str = "") -> Path:
    """Right codes for every note, but for those in ``drop`` (note id → codes)."""
    lines = []
    for item in load(data).items:
        gone = (drop or {}).get(item.encounter.id, ())
        codes = [
            {"system": gold.system, "code": gold.code, "name": "x", "confidence": 0.9, "rank": rank}
            for rank, gold in enumerate(item.gold, start=1)
            if gold.code not in gone
        ]
        versions: dict[str, Any] = {"program": "0", "adapters": {NAME: adapter} if adapter else {}}
        record = {"encounter": item.encounter.id, "language": "en", "codes": codes, "versions": versions}
        lines.append(json.dumps({"id": item.encounter.id, "key": "k", "record": record}) + "\n")
    path.write_text("".join(lines), "utf-8")
    return path


def every(data: Path, code: str) -> dict[str, list[str]]:
    """``code`` dropped from every note."""
    return {item.encounter.id: [code] for item in load(data).items}


# --------------------------------------------------------------------------------------------------- the decision


def test_the_same_predictions_pass_in_every_slice(tmp_path: Path) -> None:
    data = corpus(tmp_path / "dev.jsonl")
    records = read_records(predictions(tmp_path / "p.jsonl", data))
    verdict = judge(slices(load(data), records, records), Rule())
    assert verdict.promoted
    names = {one.slice for one in verdict.judged}
    assert {"all", "language en", "language es", "notes with sections", "notes without sections"} <= names
    assert sum(name.startswith("notes ") and "characters" in name for name in names) >= 2
    assert all(one.before == one.after == 1.0 and one.fall == 0.0 for one in verdict.judged)
    everyone = next(one for one in verdict.judged if one.slice == "all")
    for kind in ("language", "notes with", "characters"):
        parts = [one.encounters for one in verdict.judged if kind in one.slice]
        assert sum(parts) <= everyone.encounters
    assert sum(one.encounters for one in verdict.judged if one.slice.startswith("language")) == everyone.encounters


def test_a_fall_in_one_slice_is_found_though_the_whole_gets_better(tmp_path: Path) -> None:
    """Better on the many English notes, worse on every Spanish one."""
    data = corpus(tmp_path / "dev.jsonl")
    items = load(data).items
    spanish = {i.encounter.id: ["J18.9"] for i in items if i.encounter.language == "es"}
    english = {i.encounter.id: ["I10"] for i in items if i.encounter.language == "en"}
    current = read_records(predictions(tmp_path / "current.jsonl", data, drop=english))
    candidate = read_records(predictions(tmp_path / "candidate.jsonl", data, drop=spanish))
    verdict = judge(slices(load(data), candidate, current), Rule())
    everything = next(one for one in verdict.judged if one.slice == "all")
    assert everything.difference > 0.05
    assert not verdict.promoted
    assert {one.slice for one in verdict.failed} == {"language es"}
    (fallen,) = verdict.failed
    assert fallen.interval is not None
    assert fallen.interval[1] < 0
    assert fallen.fall == 1.0


def test_rare_codes_are_tracked_where_training_is_known(tmp_path: Path) -> None:
    data = corpus(tmp_path / "dev.jsonl")
    training = {("ICD-10-CM", "I10"): 90, ("ICD-10-CM", "J189"): 40, ("ICD-10-CM", "E119"): 2}
    current = read_records(predictions(tmp_path / "current.jsonl", data))
    candidate = read_records(predictions(tmp_path / "candidate.jsonl", data, drop=every(data, "E11.9")))
    parts = slices(load(data), candidate, current, training)
    judged = {one.slice: one for one in judge(parts, Rule(least=5)).judged}
    assert judged["codes seen 1-5 times"].state == "failed"
    assert (judged["codes seen 1-5 times"].before, judged["codes seen 1-5 times"].after) == (1.0, 0.0)
    assert judged["codes seen >5 times"].state == "held"
    assert (judged["codes seen 0 times"].state, judged["codes seen 0 times"].codes) == ("not judged", 4)
    assert judge(parts, Rule(least=20, tolerance=1.0)).promoted


def test_small_slices_are_shown_not_judged_and_a_whole_system_fails_by_the_fall_alone(tmp_path: Path) -> None:
    data = corpus(tmp_path / "dev.jsonl", n=4)
    current = read_records(predictions(tmp_path / "current.jsonl", data))
    candidate = read_records(predictions(tmp_path / "candidate.jsonl", data, drop={"n0": ["I10"]}))
    parts = slices(load(data), candidate, current)
    judged = judge(parts, Rule(least=50)).judged
    assert {one.state for one in judged} == {"not judged"}
    failed = judge(parts, Rule(least=1)).failed
    assert "all" in {one.slice for one in failed}, "one note in four: no bootstrap would call it probable enough"
    assert next(one for one in failed if one.slice == "all").fall < 0.95


counts = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


@given(rows=counts, gains=st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_a_candidate_that_is_nowhere_worse_is_never_refused(rows: list[Any], gains: list[int]) -> None:
    current = np.array(rows, dtype=np.int64)
    candidate = current.copy()
    for row, gain in zip(candidate, gains, strict=False):
        won = min(gain, row[2])
        row += (won, 0, -won)
    rule = Rule(least=1, resamples=100)
    for name in ("all", "language es"):
        assert judge([Slice("ICD-10-CM", name, current, candidate)], rule).promoted


@given(rows=counts)
def test_losing_all_that_was_right_is_always_refused(rows: list[Any]) -> None:
    current = np.array(rows, dtype=np.int64)
    candidate = np.stack([np.zeros(len(current), np.int64), current[:, 1], current[:, 0] + current[:, 2]], axis=1)
    verdict = judge([Slice("ICD-10-CM", "all", current, candidate)], Rule(least=1, resamples=100))
    assert verdict.promoted == (current[:, 0].sum() == 0)


def test_an_encounter_that_one_side_lacks_is_an_error(tmp_path: Path) -> None:
    data = corpus(tmp_path / "dev.jsonl")
    records = read_records(predictions(tmp_path / "p.jsonl", data))
    fewer = dict(list(records.items())[1:])
    with pytest.raises(InputError, match=r"JC108.*candidate predictions lack 1 of the 40"):
        slices(load(data), fewer, records)
    with pytest.raises(InputError, match=r"JC108.*current predictions lack"):
        slices(load(data), records, fewer)


# -------------------------------------------------------------------------------------------------- into force


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(cache=tmp_path / "cache")
    register(gguf(tmp_path / "base.gguf"), settings, Wish(name=BASE))
    return settings


def adapter(folder: Path, number: int) -> Path:
    shapes = {"blk.0.attn_q.weight.lora_a": (64, 4), "blk.0.attn_q.weight.lora_b": (4, 64)}
    return gguf(folder / f"v{number}.gguf", {**ADAPTER, "adapter.lora.alpha": float(number)}, shapes)


def test_promoted_recorded_and_rolled_back(settings: Settings, tmp_path: Path) -> None:
    data = corpus(tmp_path / "dev.jsonl")
    first, second = adapter(tmp_path, 1), adapter(tmp_path, 2)
    shas = [sha256(file.read_bytes()) for file in (first, second)]
    none = predictions(tmp_path / "none.jsonl", data, drop=every(data, "I10"))
    with_first = predictions(tmp_path / "first.jsonl", data, drop={"n0": ["I10"]}, adapter=shas[0])
    with_second = predictions(tmp_path / "second.jsonl", data, adapter=f"{shas[1]} activated")
    done = promote(first, NAME, of=BASE, evidence=Evidence(with_first, none, data), settings=settings)
    assert done.registered is not None
    assert done.report["predecessor"] == ""
    done = promote(second, NAME, of=BASE, evidence=Evidence(with_second, with_first, data), settings=settings)
    assert done.registered is not None
    assert done.report["predecessor"] == shas[0]
    entry = in_force(settings, BASE, NAME)
    assert entry is not None
    assert (entry.sha256, entry.predecessor) == (shas[1], shas[0])
    kept = json.loads((settings.models_dir / entry.record).read_text("utf-8"))
    assert kept == done.report
    assert kept["adapter"]["sha256"] == shas[1]
    assert kept["data_sha256"] == sha256(data.read_bytes())
    assert adapters_of(settings, BASE)[NAME].path.read_bytes() == second.read_bytes()
    roll_back(settings, BASE, NAME)
    assert adapters_of(settings, BASE)[NAME].path.read_bytes() == first.read_bytes()


def test_refused_and_nothing_is_changed(settings: Settings, tmp_path: Path) -> None:
    data = corpus(tmp_path / "dev.jsonl")
    first, second = adapter(tmp_path, 1), adapter(tmp_path, 2)
    shas = [sha256(file.read_bytes()) for file in (first, second)]
    register(first, settings, Wish(name=NAME, adapter_of=BASE))
    good = predictions(tmp_path / "good.jsonl", data, adapter=shas[0])
    bad = predictions(tmp_path / "bad.jsonl", data, drop=every(data, "J18.9"), adapter=shas[1])
    before = {path: path.read_bytes() for path in settings.models_dir.iterdir()}
    done = promote(second, NAME, of=BASE, evidence=Evidence(bad, good, data), settings=settings)
    assert (done.registered, done.verdict.promoted) == (None, False)
    assert {one.slice for one in done.verdict.failed} >= {"all", "language en", "language es"}
    assert {path: path.read_bytes() for path in settings.models_dir.iterdir()} == before
    swapped = promote(second, NAME, of=BASE, evidence=Evidence(bad, bad, data, unnamed=True), settings=settings)
    assert swapped.verdict.promoted, "judged against itself it holds"


def test_predictions_of_another_adapter_prove_nothing(settings: Settings, tmp_path: Path) -> None:
    data = corpus(tmp_path / "dev.jsonl")
    file = adapter(tmp_path, 1)
    own = predictions(tmp_path / "own.jsonl", data, adapter=sha256(file.read_bytes()))
    none, other = (predictions(tmp_path / f"{n}.jsonl", data, adapter=n) for n in ("", "0" * 64))
    for wrong in (none, other):
        with pytest.raises(AssetError, match="JC226"):
            promote(file, NAME, of=BASE, evidence=Evidence(wrong, none, data), settings=settings)
    promote(file, NAME, of=BASE, evidence=Evidence(own, none, data), settings=settings)
    second = adapter(tmp_path, 2)
    newer = predictions(tmp_path / "newer.jsonl", data, adapter=sha256(second.read_bytes()))
    with pytest.raises(AssetError, match=r"JC226.*no adapter of that name"):
        promote(second, NAME, of=BASE, evidence=Evidence(newer, none, data), settings=settings)
    assert in_force(settings, BASE, NAME).sha256 == sha256(file.read_bytes())  # type: ignore[union-attr]


def test_an_adapter_of_another_base_is_refused_before_anything_is_judged(settings: Settings, tmp_path: Path) -> None:
    nothing = tmp_path / "absent.jsonl"
    with pytest.raises(AssetError, match="JC210"):
        promote(
            lora(tmp_path / "qwen.gguf", architecture="qwen2"),
            NAME,
            of=BASE,
            evidence=Evidence(nothing, nothing, nothing),
            settings=settings,
        )


def test_from_the_command_line(settings: Settings, tmp_path: Path) -> None:
    """A report of ``evaluate --json`` stands for the predictions it names; a refusal lists the slices and leaves with
    1."""
    data, file = corpus(tmp_path / "dev.jsonl"), adapter(tmp_path, 1)
    own = sha256(file.read_bytes())
    predictions(tmp_path / "good.jsonl", data, adapter=own)
    bad = predictions(tmp_path / "bad.jsonl", data, drop=every(data, "I10"), adapter=own)
    report = tmp_path / "good.json"
    report.write_text(json.dumps({"n": 40, "metrics": {}, "predictions": "good.jsonl"}))

    def run(candidate: Path, current: Path) -> Any:
        return finetune(
            *("promote", str(file), str(data), "--of", BASE, "--name", NAME, "--train", str(data), "--unnamed"),
            *("--candidate", str(candidate), "--current", str(current), "-o", str(tmp_path / "gate.json")),
            cache=settings.cache,
        )

    refused = run(bad, report)
    assert refused.returncode == 1, refused.stderr
    assert "JC225" in refused.stderr
    assert "ICD-10-CM, all: 1.000 → " in refused.stderr
    assert "FAILED" in refused.stdout
    assert "codes seen >5 times" in refused.stdout
    assert in_force(settings, BASE, NAME) is None
    assert json.loads((tmp_path / "gate.json").read_text())["promoted"] is False
    let_in = run(report, bad)
    assert let_in.returncode == 0, let_in.stderr
    assert f"adapter {NAME} of {BASE}: " in let_in.stdout
    assert in_force(settings, BASE, NAME) is not None


def finetune(*arguments: str, cache: Path) -> Any:
    import os
    import subprocess
    import sys

    environment = {"JOINTCODER_CACHE": str(cache), "JOINTCODER_CONFIG": os.devnull, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "jointcoder.finetune", *arguments],
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
