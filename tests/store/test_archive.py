"""Runs and candidates go in and come out whole, all or nothing, and can be carried to another store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jointcoder.errors import AssetError, InputError, UsageError
from jointcoder.store.archive import Archive, Candidate, Result, Run, Trace
from jointcoder.store.engine import Store, open_store

NOTE = "the patient's own words"


def candidate(number: int, **values: Any) -> Candidate:
    return Candidate(**{"run": "run00001", "number": number, "origin": "seed", "status": "compiled", **values})


def result(place: int, **values: Any) -> Result:
    return Result(**{"place": place, "encounter": f"e{place}", "tp": 1, "fp": 0, "fn": 2, **values})


def trace(node: str, *, reused: bool = False) -> Trace:
    said = [] if reused else [{"prompt": NOTE, "answer": "yes"}]
    return Trace(encounter="e0", step="judge", component="judge", node=node, reused=reused, read=7, transcript=said)


@pytest.fixture
def archive(store: Store) -> Archive:
    archive = Archive(store)
    archive.begin(Run(id="run00001", name="first", config={"seed": 3}))
    return archive


def test_what_goes_in_comes_out(archive: Archive):
    made = candidate(
        1, plan={"nodes": [{"use": "read"}]}, hash="ab" * 32, scores={"f1": 0.5}, critique=[{"stage": "x"}]
    )
    archive.add(made)
    (found,) = archive.candidates("run00001")
    for name in ("number", "plan", "hash", "scores", "critique", "status", "parent"):
        assert getattr(found, name) == getattr(made, name)
    assert found.created is not None
    assert found.created.utcoffset() is not None
    assert archive.run("first").config == {"seed": 3}


def test_results_and_status_are_one_transaction(archive: Archive, monkeypatch: pytest.MonkeyPatch):
    archive.add(candidate(1))
    with pytest.raises((TypeError, AssetError)):
        archive.record("run00001", 1, [("search", result(0), [trace("n1")])], status="scored", no_such_field=1)
    assert archive.results("run00001", "search") == {}
    assert archive.candidates("run00001")[0].status == "compiled"
    archive.record("run00001", 1, [("search", result(0), [trace("n1")])], status="scored")
    assert archive.results("run00001", "search")[1][0].fn == 2
    assert archive.candidates("run00001")[0].status == "scored"


def test_a_result_that_is_there_stays(archive: Archive):
    archive.add(candidate(1))
    archive.record("run00001", 1, [("search", result(0), [trace("n1")])])
    archive.record("run00001", 1, [("search", result(0, tp=9), [trace("n1")]), ("search", result(1), [])])
    assert [(one.place, one.tp) for one in archive.results("run00001", "search")[1]] == [(0, 1), (1, 1)]
    assert len(archive.traces("run00001", 1)) == 1


def test_parts_are_kept_apart(archive: Archive):
    archive.add(candidate(1))
    archive.record("run00001", 1, [("search", result(0), []), ("selection", result(0, tp=5), [])])
    assert archive.results("run00001", "search")[1][0].tp == 1
    assert archive.results("run00001", "selection")[1][0].tp == 5


def test_a_reused_node_brings_the_transcript_of_the_one_that_ran(archive: Archive):
    archive.add(candidate(1))
    archive.add(candidate(2))
    archive.record("run00001", 1, [("search", result(0), [trace("n1")])])
    archive.record("run00001", 2, [("search", result(0), [trace("n1", reused=True), trace("n2", reused=True)])])
    first, second = archive.traces("run00001", 2)
    assert first.transcript == [{"prompt": NOTE, "answer": "yes"}]
    assert list(second.transcript) == []
    assert archive.reuse("run00001") == (3, 2)


def test_a_number_comes_once_in_a_run(archive: Archive):
    archive.add(candidate(1))
    with pytest.raises(AssetError) as caught:
        archive.add(candidate(1))
    assert caught.value.code == "JC430"


@pytest.mark.parametrize("text", ["a\x00b", "lone \ud800 surrogate", "糖尿病 · naïve"])
def test_any_text_can_be_stored(archive: Archive, text: str):
    archive.add(candidate(1, error=text, plan={"idea": text}))
    found = archive.candidates("run00001")[0]
    assert "\x00" not in found.error
    assert found.error.encode("utf-8")
    if text.isprintable():
        assert found.plan["idea"] == text


def test_runs_and_candidates_are_found_by_name_id_number_and_hash(archive: Archive):
    archive.add(candidate(7, hash="c0ffee" + "0" * 58))
    assert archive.run("run0").id == "run00001"
    assert archive.candidate("7", run="run00001").number == 7
    assert archive.candidate("C0FFEE").number == 7
    for wrong in (
        lambda: archive.run("second"),
        lambda: archive.candidate("c0f"),
        lambda: archive.candidate("8", run="run00001"),
    ):
        with pytest.raises(UsageError) as caught:
            wrong()
        assert caught.value.code == "JC432"
    with pytest.raises(UsageError, match="first"):
        raise_hint(archive)


def raise_hint(archive: Archive) -> None:
    try:
        archive.run("nothing")
    except UsageError as error:
        raise UsageError(error.code, error.hint) from None


def test_a_run_carried_to_another_store_is_the_same_and_leaves_transcripts_behind(archive: Archive, tmp_path: Path):
    archive.add(candidate(1, hash="aa" * 32, scores={"f1": 0.5}))
    archive.record("run00001", 1, [("search", result(0), [trace("n1")]), ("selection", result(0), [])])
    lines = [json.loads(json.dumps(line)) for line in archive.exported("run00001")]
    assert NOTE not in json.dumps(lines)
    assert NOTE in json.dumps(list(archive.exported("run00001", traces=True)))
    with open_store(tmp_path / "other.sqlite") as other:
        taken = Archive(other)
        taken.imported(lines)
        assert [vars(one) for one in taken.candidates("run00001")] == [
            vars(one) for one in archive.candidates("run00001")
        ]
        for part in ("search", "selection"):
            assert taken.results("run00001", part) == archive.results("run00001", part)
        with pytest.raises(UsageError) as caught:
            taken.imported(lines)
        assert caught.value.code == "JC432"


def test_transcripts_travel_when_asked_for(archive: Archive, tmp_path: Path):
    archive.add(candidate(1))
    archive.record("run00001", 1, [("search", result(0), [trace("n1")])])
    lines = list(archive.exported("run00001", traces=True))
    with open_store(tmp_path / "other.sqlite") as other:
        Archive(other).imported(lines)
        assert Archive(other).traces("run00001", 1)[0].transcript == [{"prompt": NOTE, "answer": "yes"}]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [{"run": {}}],
        [{"jointcoder_search": 99, "run": {"id": "x", "name": "y"}}],
        [{"jointcoder_search": 1, "run": {"id": "x", "name": "y"}}, {"other": 1}],
        [{"jointcoder_search": 1, "run": {"id": "x", "name": "y"}}, {"candidate": {"number": "one"}}],
        [
            {"jointcoder_search": 1, "run": {"id": "x", "name": "y"}},
            {"number": 1, "part": "search", "result": {"tp": 1}},
        ],
    ],
)
def test_what_is_no_export_is_refused_and_nothing_is_written(archive: Archive, lines: list[dict[str, Any]]):
    with pytest.raises(InputError) as caught:
        archive.imported(lines, origin="file.jsonl")
    assert caught.value.code == "JC443"
    assert "file.jsonl" in caught.value.message
    assert [one.id for one in archive.runs()] == ["run00001"]
