"""``jointcoder workflow …`` from the command line."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.steps import registry
from jointcoder.workflow.spec import library_names, load_workflow
from tests.cli.conftest import Command

VISITS = [
    {"id": "1", "lang": "en", "text": "Discharge diagnoses:\n1. Hypertension\n2. Cough\n", "codes": ["I10", "R05.9"]},
    {"id": "2", "lang": "en", "text": "Discharge diagnoses:\n1. Cough\n", "codes": ["R05.9"]},
    {"id": "3", "lang": "en", "text": "She has pneumonia. No hypertension.", "codes": ["J18.9"]},
]


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    path = tmp_path / "visits.jsonl"
    rows = [v | {"codes": [{"system": "ICD-10-CM", "code": c} for c in v["codes"]]} for v in VISITS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_list(command: Command) -> None:
    code, out, _ = command("workflow", "list", "--json")
    listed = {flow["name"]: flow for flow in json.loads(out)}
    assert (code, set(listed)) == (0, set(library_names()))
    assert listed["clh"]["hash"] == load_workflow("clh").hash
    assert "meddcr_best" in command("workflow", "list")[1]


def test_components(command: Command) -> None:
    code, out, _ = command("workflow", "components", "--json")
    found = {one["name"]: one for one in json.loads(out)}
    assert code == 0
    assert set(found) == set(registry.component_names())
    assert {option["name"] for option in found["llm"]["options"]} >= {"role", "purpose", "inputs", "output", "loops"}
    shown = command("workflow", "components")[1]
    assert all(name in shown for name in ("tabular_index_search", "is_valid_code"))


def test_one_component_with_all_it_takes(command: Command) -> None:
    code, out, _ = command("workflow", "components", "LLMAgentBase")
    assert code == 0
    assert "names, choice, verdicts, text" in out
    assert "integer, 1 to 4" in out
    assert "[notes]" in out
    code, _, err = command("workflow", "components", "nosuch")
    assert code == 2
    assert "JC401" in err


def test_show_draws_the_branches(command: Command) -> None:
    code, out, _ = command("workflow", "show", "meddcr_best")
    lines = [line.split("  ")[0] for line in out.splitlines()]
    assert code == 0
    assert "├─┬─╮" in lines
    assert "│ │ o from_note" in lines
    assert "propose readings=[note]" in out
    assert json.loads(command("workflow", "show", "cot", "--json")[1])["hash"] == load_workflow("cot").hash


def test_show_writes_a_picture(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "flow.svg"
    code, out, err = command("workflow", "show", "clh", "--svg", path)
    assert (code, out) == (0, "")
    assert "flow.svg" in err.replace("\n", "")
    assert ET.parse(path).getroot().tag.endswith("svg")
    code, _, err = command("workflow", "show", "clh", "--svg", tmp_path / "nowhere" / "flow.svg")
    assert code == 2
    assert "JC423" in err


def test_check_refuses_a_code_in_a_prompt(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "leaky.toml"
    path.write_text(
        'name = "leaky"\n[needs]\nmodel = true\n[[step]]\nuse = "read"\n[[step]]\nuse = "llm"\n'
        'options = { role = "coder", purpose = "Prefer I10 to I11.0." }\n',
        "utf-8",
    )
    code, _, err = command("workflow", "check", path)
    assert code == 2
    assert "JC420" in err
    assert command("workflow", "check", "clh")[0] == 0


def test_compare_pairs_two_workflows_and_takes_up_what_is_there(
    command: Command, visits: Path, small_us: CodeBook
) -> None:
    options = ("--data", visits, "--book", small_us.path, "--json")
    code, out, err = command("workflow", "compare", "tabular_similarity", "lexical", *options)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["n"], [run["workflow"] for run in found["runs"]]) == (3, ["tabular_similarity", "lexical"])
    row = found["measures"]["micro_f1"]
    assert row["difference"] == pytest.approx(row["second"] - row["first"])
    assert row["interval"][0] <= row["difference"] <= row["interval"][1]
    assert {"precision", "recall", "seconds", "calls", "findings", "errors"} <= set(found["measures"])
    assert [run["reused"] for run in found["runs"]] == [0, 0]

    again = json.loads(command("workflow", "compare", "tabular_similarity", "lexical", *options)[1])
    assert [run["reused"] for run in again["runs"]] == [3, 3]
    assert again["measures"] == found["measures"]
    after = json.loads(command("evaluate", visits, "--book", small_us.path, "--workflow", "lexical", "--json")[1])
    assert after["reused"] == 3  # evaluate and compare share what they keep
    assert after["metrics"]["joint"]["micro_f1"] == pytest.approx(row["second"])


def test_compare_prints_a_table(command: Command, visits: Path, small_us: CodeBook) -> None:
    options = ("--data", visits, "--book", small_us.path, "--limit", 2, "--system", "ICD-10-CM")
    code, out, err = command("workflow", "compare", "reconcile", "lexical", *options)
    assert code == 0
    assert "n = 2" in out
    assert "micro f1" in out
    assert "difference [95 %]" in out
    assert "2 of 3 records" in err.replace("\n", " ")


def test_compare_with_one_model_for_both(
    command: Command, visits: Path, small_us: CodeBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.json"
    names = {"diagnoses": ["Hypertension", "Cough"], "procedures": []}
    script.write_text(
        json.dumps({"reasoning": {"reasoning": "x"} | names, "Names only": names, "Answer": "A"}), "utf-8"
    )
    monkeypatch.setenv("JOINTCODER_BACKEND", "scripted")
    options = ("--data", visits, "--book", small_us.path, "--model", script, "--json")
    code, out, err = command("workflow", "compare", "cot", "multi_debate", *options)
    assert (code, err) == (0, "")
    found = json.loads(out)["measures"]
    assert found["calls"]["first"] == 1.0
    assert found["calls"]["second"] == 6.0
    assert found["prompt_tokens"]["difference"] > 0


def test_comparing_a_workflow_with_itself_is_refused(command: Command, visits: Path) -> None:
    code, _, err = command("workflow", "compare", "lexical", "lexical", "--data", visits)
    assert code == 2
    assert "JC424" in err
