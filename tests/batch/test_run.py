"""A run over a file: what comes out, what a second one does, what changed content and other conditions do."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from jointcoder.batch.conditions import Conditions, conditions_of, identity
from jointcoder.batch.inputs import Inputs
from jointcoder.coder import Coder
from jointcoder.errors import InputError, RunError, UsageError
from jointcoder.parsing import parse_encounter
from jointcoder.records import CodedRecord

from .batch_coders import SECRET, Opener, text_of
from .conftest import Process, encounters, failures, results, write


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("index")}


def test_results_are_those_of_the_coder(process: Process, opener: Opener, tmp_path: Path) -> None:
    rows = encounters(10)
    tally = process(write(tmp_path / "in.jsonl", rows))
    assert (tally.done, tally.failed) == (10, 0)
    with opener() as coder:
        expected = {record.encounter: record for record in coder.code_many(map(parse_encounter, rows), batch=4)}
    found = results(tmp_path / "run")
    assert list(found) == list(expected)
    for id, value in found.items():
        record = CodedRecord.model_validate(value)
        assert record.codes == expected[id].codes
        assert record.findings == expected[id].findings
        note = record.trace[-1]
        assert note.step == "batch"
        assert note.notes["identity"] == identity(note.notes["version"], note.notes["conditions"])
        assert note.notes["source"] == {"file": str(tmp_path / "in.jsonl"), "line": int(id[1:]) + 1}


def test_a_finished_run_is_left_as_it_is(process: Process, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [*encounters(5), {"id": "bad"}])
    process(source)
    before = contents(tmp_path / "run")
    tally = process(source)
    assert (tally.done, tally.failed, tally.already, tally.still) == (0, 0, 5, 1)
    assert contents(tmp_path / "run") == before


def test_changed_content_is_coded_anew_and_said(process: Process, tmp_path: Path) -> None:
    rows = encounters(6)
    source = write(tmp_path / "in.jsonl", rows)
    process(source)
    before = results(tmp_path / "run")
    rows[2]["text"] = text_of("acute appendicitis")
    tally = process(write(source, rows))
    assert (tally.done, tally.changed, tally.already) == (1, 1, 5)
    after = results(tmp_path / "run")
    note = after["E0002"]["trace"][-1]["notes"]
    assert note["replaces"] == before["E0002"]["trace"][-1]["notes"]["version"] != note["version"]
    assert {id for id in after if after[id] != before[id]} == {"E0002"}


def test_other_conditions_are_refused_unless_asked_for(opener: Opener, process: Process, tmp_path: Path) -> None:
    from dataclasses import replace

    from jointcoder.batch.executor import InProcess

    source = write(tmp_path / "in.jsonl", encounters(4))
    process(source)
    before = results(tmp_path / "run")
    other = InProcess(replace(opener, workflow="reconcile"))
    with pytest.raises(UsageError, match="JC701") as refused:
        process(source, executor=other)
    assert "workflow" in refused.value.message
    assert results(tmp_path / "run") == before
    tally = process(source, executor=other, new_conditions=True)
    assert (tally.done, tally.recoded) == (4, 4)
    assert {one["versions"]["workflow"] for one in results(tmp_path / "run").values()} == {"reconcile"}


def test_failures_are_kept_apart_and_say_no_word_of_the_note(
    process: Process, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = encounters(8)
    for place, word in ((1, "UNFIT"), (3, "BUG"), (4, "DOWN"), (6, "SILENT")):
        rows[place]["text"] += word
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows) + f'{{"id": "{SECRET}\n', "utf-8")
    with caplog.at_level(logging.DEBUG):
        tally = process(source)
    assert (tally.done, tally.failed) == (4, 5)
    found = failures(tmp_path / "run")
    assert {id: one["code"] for id, one in found.items()} == {
        "E0001": "JC108",
        "E0003": "JC999",
        "E0004": "JC307",
        "E0006": "JC305",
        f"{source}, line 9": "JC104",
    }
    assert found["E0004"]["step"] == "extract"
    assert found["E0003"]["source"] == {"file": str(source), "line": 4}
    assert SECRET not in (tmp_path / "run" / "failed.jsonl").read_text("utf-8")
    assert SECRET not in (tmp_path / "run" / "manifest.json").read_text("utf-8")
    assert SECRET not in caplog.text
    assert set(results(tmp_path / "run")) == {"E0000", "E0002", "E0005", "E0007"}


def test_failed_ones_are_tried_again_on_request(process: Process, tmp_path: Path) -> None:
    rows = encounters(4)
    rows[1]["text"] += "DOWN"
    rows[2]["text"] += "UNFIT"
    source = write(tmp_path / "in.jsonl", rows)
    process(source)
    assert process(source).still == 2
    process(source, retry_failed=True)
    assert failures(tmp_path / "run")["E0001"]["attempts"] == 2
    rows[2]["text"] = text_of("pneumonia")
    tally = process(write(source, rows))
    assert (tally.done, tally.still) == (1, 1)
    assert set(failures(tmp_path / "run")) == {"E0001"}
    assert set(results(tmp_path / "run")) == {"E0000", "E0002", "E0003"}


def test_a_line_that_was_mended_is_no_failure_any_more(process: Process, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps(encounters(1)[0]) + "\n{\n", "utf-8")
    process(source)
    assert len(failures(tmp_path / "run")) == 1
    process(write(source, encounters(2)))
    assert failures(tmp_path / "run") == {}
    assert len(results(tmp_path / "run")) == 2


def test_the_same_id_twice(process: Process, tmp_path: Path) -> None:
    rows = encounters(3)
    one = write(tmp_path / "a.jsonl", [*rows, rows[0]])
    other = write(tmp_path / "b.jsonl", [{"id": "E0001", "text": text_of("acute appendicitis")}])
    tally = process(one, other)
    assert (tally.done, tally.repeated, tally.failed) == (3, 1, 1)
    assert [(one["id"], one["code"]) for one in failures(tmp_path / "run").values()] == [("E0001", "JC123")]
    again = process(one, other)
    assert (again.done, again.changed, again.still) == (0, 0, 1)  # and not in turns for ever


def test_a_limit_then_the_rest(process: Process, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", encounters(9))
    assert process(source, limit=4).done == 4
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["state"] == "drained"
    tally = process(source)
    assert (tally.done, tally.already) == (5, 4)
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["state"] == "finished"


def test_too_many_failures_end_the_run(process: Process, tmp_path: Path) -> None:
    rows = [row | {"text": row["text"] + ("DOWN" if n % 4 == 0 else "")} for n, row in enumerate(encounters(200))]
    source = write(tmp_path / "in.jsonl", rows)
    with pytest.raises(RunError, match="JC707"):
        process(source, fail_on_error=0.1)
    done = len(results(tmp_path / "run")) + len(failures(tmp_path / "run"))
    assert 50 <= done < 200
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["state"] == "failed"
    assert process(source, fail_on_error=0.5).settled == 200


def test_one_failed_record_of_few_is_judged_at_the_end(process: Process, tmp_path: Path) -> None:
    rows = encounters(8)
    rows[0]["text"] += "DOWN"
    with pytest.raises(RunError, match="JC707"):
        process(write(tmp_path / "in.jsonl", rows), fail_on_error=0.05)
    assert len(results(tmp_path / "run")) == 7


def test_folders_of_texts_go_by_their_names(process: Process, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    (notes / "ward").mkdir(parents=True)
    (notes / "b.txt").write_text(text_of("pneumonia"), "utf-8")
    (notes / "ward" / "a.txt").write_text(text_of("pneumonia"), "utf-8")
    (notes / ".hidden.txt").write_text("x", "utf-8")
    (notes / "coming.txt.part").write_text("x", "utf-8")
    (notes / "empty.txt").write_text("", "utf-8")
    process(notes)
    assert set(results(tmp_path / "run")) == {"b.txt", "ward/a.txt"}
    assert {id: one["code"] for id, one in failures(tmp_path / "run").items()} == {"empty.txt": "JC101"}
    (notes / "b.txt").write_text(text_of("acute appendicitis"), "utf-8")
    assert process(notes).changed == 1


def test_links_that_lead_back_up_are_not_followed(process: Process, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    (notes / "ward").mkdir(parents=True)
    (notes / "ward" / "a.txt").write_text(text_of("pneumonia"), "utf-8")
    (notes / "ward" / "up").symlink_to(notes)
    assert process(notes).done == 1


def test_tables_come_for_free(process: Process, tmp_path: Path) -> None:
    table = tmp_path / "stays.csv"
    table.write_text(
        "id,text\nA1,Discharge diagnosis: pneumonia\nA2,Discharge diagnosis: acute appendicitis\n", "utf-8"
    )
    process(table)
    found = results(tmp_path / "run")
    assert found["A2"]["trace"][-1]["notes"]["source"] == {"file": str(table), "line": 3}
    assert Inputs((table,)).count() == 2


def test_parquet_comes_like_any_other_file(process: Process, tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = encounters(6)
    flat, nested, broken = (tmp_path / f"{name}.parquet" for name in ("flat", "nested", "broken"))
    pq.write_table(pa.Table.from_pylist(rows[:3]), flat)
    documents = [{"id": row["id"], "documents": [{"id": "0", "text": row["text"]}]} for row in rows[3:]]
    pq.write_table(pa.Table.from_pylist(documents), nested)
    broken.write_bytes(flat.read_bytes()[:-8])
    tally = process(flat, nested, broken)
    assert (tally.done, tally.failed) == (6, 1)
    assert [one["code"] for one in failures(tmp_path / "run").values()] == ["JC180"]
    found = results(tmp_path / "run")
    assert found["E0001"]["trace"][-1]["notes"]["source"] == {"file": str(flat), "record": 2}
    process(write(tmp_path / "in.jsonl", rows), out=tmp_path / "lines")
    lines = results(tmp_path / "lines")
    assert {id: one["codes"] for id, one in found.items()} == {id: one["codes"] for id, one in lines.items()}
    assert process(flat, nested, broken).already == 6


def test_what_is_not_there_is_said_at_once(process: Process, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="JC107"):
        process(tmp_path / "missing.jsonl")


# --------------------------------------------------------------------------------------------------------- conditions


@pytest.mark.parametrize("setting", ["user_dictionary", "abbreviations"])
def test_a_table_of_the_house_is_a_condition(
    setting: str, opener: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its content: the same words elsewhere are the same condition."""

    def digest() -> Conditions:
        with opener() as coder:
            return conditions_of(coder)

    none = digest()
    table = tmp_path / "own.txt"
    table.write_text("XYZ\tpneumonia\n" if setting == "abbreviations" else "药物球囊\n", "utf-8")
    monkeypatch.setenv(f"JOINTCODER_{setting.upper()}", str(table))
    some = digest()
    assert some.differs_from(none) == [setting]
    assert some.digest != none.digest
    moved = table.rename(tmp_path / "moved.txt")
    monkeypatch.setenv(f"JOINTCODER_{setting.upper()}", str(moved))
    assert digest().digest == some.digest
    moved.write_text("XYZ\tacute appendicitis\n" if setting == "abbreviations" else "球囊扩张\n", "utf-8")
    assert digest().differs_from(some) == [setting]
    moved.unlink()
    with pytest.raises(InputError, match="JC107"):
        digest()


def test_the_context_is_a_condition(opener: Opener) -> None:
    with opener() as coder:
        one = conditions_of(coder)
        smaller = coder.settings.model_copy(update={"context_tokens": 2048})
        with Coder(smaller, code_book=coder.book, workflow=coder.workflow) as other:
            assert conditions_of(other).differs_from(one) == ["context_tokens"]


def test_the_pack_is_a_condition(opener: Opener) -> None:
    with opener() as coder:
        one = conditions_of(coder)
        with Coder(coder.settings, code_book=coder.book, workflow=coder.workflow, pack="codiesp-es") as other:
            assert conditions_of(other).differs_from(one) == ["pack"]


def test_changed_words_of_the_house_are_refused_or_coded_anew(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "in.jsonl", encounters(4))
    process(source)
    (tmp_path / "own.txt").write_text("XYZ\tpneumonia\n", "utf-8")
    monkeypatch.setenv("JOINTCODER_ABBREVIATIONS", str(tmp_path / "own.txt"))
    with pytest.raises(UsageError, match=r"JC701.*abbreviations"):
        process(source)
    assert process(source, new_conditions=True).recoded == 4


def test_a_run_of_an_earlier_version_goes_on(
    process: Process, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its manifest says less of what coded the records: they are coded anew and counted, which is no error."""
    source = write(tmp_path / "in.jsonl", encounters(5))
    process(source)
    path = tmp_path / "run" / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    for name in ("user_dictionary", "abbreviations", "context_tokens", "backend"):
        del manifest["conditions"][name]
    manifest["conditions"]["digest"] = "0" * 16
    path.write_text(json.dumps(manifest), "utf-8")
    lines = (tmp_path / "run" / "results.jsonl").read_text("utf-8")
    digest = results(tmp_path / "run")["E0000"]["trace"][-1]["notes"]["conditions"]
    (tmp_path / "run" / "results.jsonl").write_text(lines.replace(digest, "0" * 16), "utf-8")
    (tmp_path / "run" / "index.sqlite").unlink()
    tally = process(source)
    assert (tally.done, tally.recoded, tally.already) == (5, 5, 0)
    assert "JC725" in caplog.text
    assert json.loads(path.read_text("utf-8"))["conditions"]["context_tokens"] > 0
    assert {one["trace"][-1]["notes"]["conditions"] for one in results(tmp_path / "run").values()} == {digest}
    caplog.clear()
    assert process(source).already == 5
    assert caplog.text == ""


def test_other_conditions_of_an_earlier_version_are_still_refused(process: Process, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", encounters(2))
    process(source)
    path = tmp_path / "run" / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    del manifest["conditions"]["context_tokens"]
    manifest["conditions"]["workflow_hash"] = "another"
    path.write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(UsageError, match=r"JC701.*workflow_hash"):
        process(source)
