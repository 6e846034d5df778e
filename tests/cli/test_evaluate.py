"""``jointcoder evaluate`` from the command line, with a real coder that needs no model (workflow ``lexical``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from tests.cli.conftest import Command

VISITS = [
    {"id": "1", "lang": "en", "text": "Discharge diagnoses:\n1. Essential (primary) hypertension\n", "codes": ["I10"]},
    {"id": "2", "lang": "en", "text": "Discharge diagnoses:\n1. Cough\n", "codes": ["R05.9"]},
    {"id": "3", "lang": "en", "text": "Discharge diagnoses:\n1. Pneumonia, unspecified organism\n", "codes": ["J18.9"]},
]


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    path = tmp_path / "visits.jsonl"
    rows = [v | {"codes": [{"system": "ICD-10-CM", "code": c} for c in v["codes"]]} for v in VISITS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_json_report_and_silence_in_a_pipe(command: Command, visits: Path, small_us: CodeBook):
    code, out, err = command("evaluate", visits, "--book", small_us.path, "--workflow", "lexical", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["n"], found["data"], found["workflow"]) == (3, "visits.jsonl", "lexical")
    assert found["metrics"]["systems"]["ICD-10-CM"]["recall"] == 1.0
    assert found["metrics"]["invalid_code_rate"] == 0.0
    assert found["versions"]["code_book"] == "us-small"
    kept = Path(found["predictions"])
    assert len(kept.read_text("utf-8").splitlines()) == 3

    code, out, _ = command("evaluate", visits, "--book", small_us.path, "--workflow", "lexical", "--json")
    assert json.loads(out)["reused"] == 3


def test_table_comparison_and_sample(command: Command, visits: Path, small_us: CodeBook, tmp_path: Path):
    options = ("--book", small_us.path, "--workflow", "lexical", "--predictions", tmp_path / "kept.jsonl")
    code, out, _ = command("evaluate", visits, *options)
    assert code == 0
    assert "ICD-10-CM" in out
    assert "n = 3" in out
    later = ("--predictions", tmp_path / "later.jsonl", "--baseline", tmp_path / "kept.jsonl", "--limit", 2)
    code, out, _ = command("evaluate", visits, *options[:4], *later, "--system", "ICD-10-CM")
    assert code == 0
    assert "against baseline" in out
    assert "2 of 3 records" in out


def test_terms(command: Command, small_us: CodeBook, tmp_path: Path):
    path = tmp_path / "terms.jsonl"
    row = {"id": "t", "lang": "en", "kind": "diagnosis", "mention": "essential (primary) hypertension"}
    path.write_text(json.dumps(row | {"normalized": ["Essential (primary) hypertension"], "codes": ["I10"]}), "utf-8")
    options = ("--task", "normalise", "--book", small_us.path, "--workflow", "lexical")
    code, out, _ = command("evaluate", path, *options, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["n"] == 1
    assert set(found["metrics"]) >= {"accuracy", "recall", "f1"}
    assert found["metrics"]["codes"]["codes"]["accuracy"] == 1.0
    code, out, _ = command("evaluate", path, *options)
    assert "names" in out


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("--task", "sing"), 2, "JC001"),
        (("--task", "normalise", "--system", "ICD-10-CM"), 2, "JC001"),
        (("--system", "ICD-11"), 2, "JC001"),
        (("--baseline", "absent.jsonl", "--predictions", "absent.jsonl"), 2, "JC001"),
        (("--limit", "0"), 2, ""),
    ],
)
def test_wrong_options(command: Command, visits: Path, arguments: tuple[str, ...], code: int, error: str):
    left, out, err = command("evaluate", visits, *arguments)
    assert (left, out) == (code, "")
    assert error in err
    assert "Traceback" not in err


def test_bad_data_and_a_book_that_does_not_fit(command: Command, visits: Path, small_cn: CodeBook, tmp_path: Path):
    code, _, err = command("evaluate", tmp_path / "absent.jsonl")
    assert (code, "JC107" in err) == (4, True)
    (tmp_path / "broken.jsonl").write_text("{", "utf-8")
    code, _, err = command("evaluate", tmp_path / "broken.jsonl")
    assert (code, "JC104" in err) == (4, True)
    code, _, err = command("evaluate", visits, "--book", small_cn.path, "--workflow", "lexical")
    assert (code, "JC001" in err, "--book" in err) == (2, True, True)


def test_interrupt_leaves_with_130_and_says_what_is_kept(
    command: Command, visits: Path, small_us: CodeBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from jointcoder.coder import Coder

    whole = Coder.code_many

    def interrupted(self: Coder, encounters: Any, **options: Any) -> Any:
        yield from whole(self, encounters[:2], **options)
        raise KeyboardInterrupt

    options = ("--book", small_us.path, "--workflow", "lexical", "--predictions", tmp_path / "kept.jsonl", "--json")
    with monkeypatch.context() as patch:
        patch.setattr(Coder, "code_many", interrupted)
        code, out, err = command("evaluate", visits, *options)
    assert (code, out) == (130, "")
    assert "2 of 3 records kept" in err.replace("\n", "")
    assert len((tmp_path / "kept.jsonl").read_text("utf-8").splitlines()) == 2
    code, out, _ = command("evaluate", visits, *options)
    assert (code, json.loads(out)["reused"]) == (0, 2)
