"""The reports of a run, and the command as a person gives it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from jointcoder.batch import report
from jointcoder.batch.folder import RunFolder
from jointcoder.codebook.book import CodeBook

from ..cli.command import jointcoder
from ..cli.conftest import Command, command  # noqa: F401
from .batch_coders import SECRET
from .conftest import Process, encounters, failures, results, write


@pytest.fixture
def folder(process: Process, tmp_path: Path) -> Path:
    rows = encounters(12)
    rows[5]["text"] += "DOWN"
    source = write(tmp_path / "in.jsonl", rows)
    process(source)
    rows[0]["text"] += "More was found."
    process(write(source, rows))
    return tmp_path / "run"


def test_the_figures_are_those_of_the_results(folder: Path) -> None:
    with RunFolder(folder) as opened:
        found = report.write(opened)
    lines = list(results(folder).values())
    assert found == json.loads((folder / "report.json").read_text("utf-8"))
    assert found["records"] == {"results": 11, "failed": 1, "all": 12}
    assert sum(found["codes"].values()) == sum(len(line["codes"]) for line in lines) == sum(found["confidence"])
    assert found["findings"].get("unspecified-code", 0) == sum(
        finding["rule"] == "unspecified-code" for line in lines for finding in line["findings"]
    )
    assert found["routes"] == {"review": 11}
    assert found["why"]["no_threshold"] == 11
    assert found["persons"]["count"] == 11
    assert found["failures"] == [{"step": "extract", "code": "JC307", "count": 1}]
    assert found["changed"] == {"count": 1, "first": ["E0000"]}
    assert found["throughput"]["coded"] == 13
    assert found["throughput"]["per_second"] > 0


@pytest.mark.parametrize(("language", "words"), [("en", "need a person"), ("zh", "需人工处理")])
def test_the_page_stands_alone_and_holds_no_note(folder: Path, language: str, words: str) -> None:
    with RunFolder(folder) as opened:
        report.write(opened, language=language)
    page = (folder / "report.html").read_text("utf-8")
    assert words in page
    assert f'<html lang="{language}">' in page
    assert not re.search(r"""(src|href|url)\s*[=(]|<script|@import|https?:""", page)
    assert SECRET not in page
    assert SECRET not in (folder / "report.json").read_text("utf-8")


def test_the_words_of_both_languages_are_the_same_ones() -> None:
    import tomllib
    from importlib import resources

    def keys(table: dict[str, object], lead: str = "") -> set[str]:
        found = set()
        for name, value in table.items():
            found |= keys(value, f"{lead}{name}.") if isinstance(value, dict) else {lead + name}
        return found

    data = resources.files("jointcoder.batch") / "data"
    for name in ("report", "questions"):
        english, chinese = (tomllib.loads((data / f"{name}.{one}.toml").read_text("utf-8")) for one in ("en", "zh"))
        assert keys(english) == keys(chinese)


def test_ids_and_files_are_escaped(process: Process, tmp_path: Path) -> None:
    rows = encounters(1)
    rows[0]["id"] = "<script>alert(1)</script>"
    process(write(tmp_path / "in.jsonl", rows))
    with RunFolder(tmp_path / "run") as opened:
        report.write(opened)
    assert "<script" not in (tmp_path / "run" / "report.html").read_text("utf-8")


# ---------------------------------------------------------------------------------------------------- the command line


def test_the_command(command: Command, small_us: CodeBook, tmp_path: Path) -> None:  # noqa: F811
    source, out = write(tmp_path / "in.jsonl", [*encounters(5), {"id": "bad"}]), tmp_path / "run"
    line = ("batch", source, "-o", out, "--workflow", "lexical", "--book", small_us.path)
    code, printed, said = command(*line, "--dry-run")
    assert code == 0, said
    assert json.loads(printed)["to_do"] == 5
    assert not out.exists()
    code, _, said = command(*line)
    assert code == 0, said
    assert "5 coded, 1 failed" in said
    assert "nothing to do" not in said
    assert {path.name for path in out.iterdir()} >= {"results.jsonl", "failed.jsonl", "report.html", "report.json"}
    code, _, said = command(*line, "--lang", "zh", "--fail-on-error", "0.05", "--retry-failed")
    assert code == 1
    assert "JC707" in said
    assert len(results(out)) == 5
    assert failures(out).popitem()[1]["attempts"] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ("--shard", "0/3"),
        ("--shard", "4/3"),
        ("--shard", "two"),
        ("--auto-precision", "98"),
        ("--calibrate", "x.jsonl"),
        ("--engine", "abacus"),
        ("--watch", "."),
    ],
)
def test_options_that_cannot_be(command: Command, tmp_path: Path, wrong: tuple[str, ...]) -> None:  # noqa: F811
    source = write(tmp_path / "in.jsonl", encounters(1))
    code, _, said = command("batch", source, "-o", tmp_path / "run", "--workflow", "lexical", *wrong)
    assert code == 2
    assert "JC001" in said
    assert not (tmp_path / "run").exists()


def test_shards_are_merged_by_the_command(command: Command, small_us: CodeBook, tmp_path: Path) -> None:  # noqa: F811
    source = write(tmp_path / "in.jsonl", encounters(12))
    for place in (1, 2):
        line = ("batch", source, "-o", tmp_path / f"s{place}", "--workflow", "lexical", "--book", small_us.path)
        assert command(*line, "--shard", f"{place}/2")[0] == 0
    assert command("batch", "merge", tmp_path / "s1", tmp_path / "s2", "-o", tmp_path / "all")[0] == 0
    assert len(results(tmp_path / "all")) == 12
    assert (tmp_path / "all" / "report.html").exists()


def test_only_approved_workflows_where_the_settings_say_so(
    command: Command,  # noqa: F811
    small_us: CodeBook,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("sqlalchemy", reason="the extra store is not installed")
    monkeypatch.setenv("JOINTCODER_APPROVED_ONLY", "true")
    source = write(tmp_path / "in.jsonl", encounters(2))
    line = ("batch", source, "-o", tmp_path / "run", "--workflow", "lexical", "--book", small_us.path)
    code, _, said = command(*line)
    assert (code, "JC441" in said) == (2, True)
    from jointcoder.settings import Settings
    from jointcoder.store.approvals import Approvals
    from jointcoder.store.engine import open_store
    from jointcoder.workflow.spec import load_workflow

    with open_store(Settings.load().store_place) as store:
        Approvals(store).approve(load_workflow("lexical"), by="A. Meyer", text="")
    assert command(*line)[0] == 0


def test_records_go_out_where_labelled_encounters_support_it(
    command: Command,  # noqa: F811
    small_us: CodeBook,
    tmp_path: Path,
) -> None:
    rows = [{**row, "text": "Discharge diagnosis:\n1. essential hypertension\n"} for row in encounters(210)]
    gold = [{"system": "ICD-10-CM", "code": "I10", "primary": True}]
    labelled = write(tmp_path / "dev.jsonl", [{**row, "codes": gold} for row in rows])
    source = write(tmp_path / "in.jsonl", rows[:5])
    line = ("batch", source, "-o", tmp_path / "run", "--workflow", "lexical", "--book", small_us.path, "--batch", 50)
    code, _, said = command(*line, "--auto-precision", 0.9)
    assert code == 0, said
    assert json.loads((tmp_path / "run" / "report.json").read_text())["routing"]["reason"] == "no_calibration"
    code, _, said = command(*line, "--auto-precision", 0.9, "--calibrate", labelled)
    assert code == 0, said
    told = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert told["routing"]["reason"] == "measured"
    assert told["calibration"]["codes"] >= 200
    assert {one["trace"][-1]["notes"]["route"] for one in results(tmp_path / "run").values()} == {"auto"}


def test_a_folder_is_watched_until_told_to_stop(small_us: CodeBook, tmp_path: Path) -> None:
    import os
    import signal
    import subprocess
    import sys

    inbox, out = tmp_path / "in", tmp_path / "run"
    inbox.mkdir()
    write(inbox / "a.jsonl", encounters(3))
    (inbox / "b.txt").write_bytes(b"")
    line = [sys.executable, "-m", "jointcoder", "batch", "--watch", inbox, "-o", out, "--workflow", "lexical"]
    line += ["--book", small_us.path, "--interval", "0.2"]
    settings = {"JOINTCODER_CACHE": str(tmp_path / "cache"), "JOINTCODER_CONFIG": os.devnull}
    with subprocess.Popen(list(map(str, line)), env=os.environ | settings, stderr=subprocess.PIPE, text=True) as run:
        import time

        until = time.monotonic() + 180
        while time.monotonic() < until and not (inbox / "done" / "a.jsonl").exists():
            time.sleep(0.1)
        write(inbox / "c.jsonl", encounters(2, start=3))
        while time.monotonic() < until and not (inbox / "done" / "c.jsonl").exists():
            time.sleep(0.1)
        run.send_signal(signal.SIGTERM)
        said = run.communicate(timeout=120)[1]
    assert run.returncode == 128 + signal.SIGTERM, said
    assert sorted(path.name for path in (inbox / "done").iterdir()) == ["a.jsonl", "c.jsonl"]
    assert [path.name for path in (inbox / "failed").iterdir()] == ["b.txt"]
    assert len(results(out)) == 5
    assert (out / "report.html").exists()


def test_help_names_both_ways(tmp_path: Path) -> None:
    shown = jointcoder("batch", "--help", cache=tmp_path).stdout
    assert "run" in shown
    assert "merge" in shown
    assert "--retry-failed" in jointcoder("batch", "run", "--help", cache=tmp_path).stdout
