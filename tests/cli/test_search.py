"""``jointcoder search`` and ``jointcoder workflow approve`` from the command line, with workflows that ask no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.workflow.spec import load_workflow
from tests.cli.conftest import Command

from ..search import bench

pytest.importorskip("sqlalchemy", reason="the extra search is not installed")
SCRATCH = ("--mode", "from-scratch")  # few seeds: the others ask a model


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return bench.corpus(tmp_path, bench.notes(16)).path


@pytest.fixture
def search(command: Command, data: Path, small_us: CodeBook, tmp_path: Path) -> Command:
    """``search(…)``: a short search without any model, in the folder ``found``."""

    def run(*more: Any, out: str = "found") -> tuple[int, str, str]:
        options = ["--model", "none", "--book", small_us.path, "--start", "lexical", "--first", 4, "--patience", 50]
        given = [] if "--iterations" in more else ["--iterations", 3]
        return command("search", "run", data, "-o", tmp_path / out, *options, *given, *more)

    return run


def test_a_search_from_its_beginning_to_the_report(search: Command, command: Command, tmp_path: Path):
    code, out, err = search("--json")
    assert code == 0, err
    outcome = json.loads(out)
    folder = tmp_path / "found"
    flow = load_workflow(str(folder / "best.toml"))
    assert flow.hash == outcome["hash"]
    assert outcome["why"] == "iterations"
    if outcome["chosen"] is None:
        assert flow.hash == load_workflow("lexical").hash
    assert json.loads((folder / "run.json").read_text("utf-8"))["run"] == outcome["run"]
    assert "<svg" in (folder / "report.html").read_text("utf-8")

    code, out, _ = command("search", "list", "--json")
    (listed,) = json.loads(out)
    assert (listed["id"], listed["name"], listed["state"], listed["iterations"]) == (
        outcome["run"],
        "found",
        "finished",
        3,
    )
    code, out, _ = command("search", "list")
    assert outcome["run"] in out

    code, out, _ = command("search", "show", "found", "--json")
    shown = json.loads(out)
    assert shown["run"]["config"]["notes"]["search"] + shown["run"]["config"]["notes"]["selection"] == 16
    origins = [one["origin"] for one in shown["candidates"]]
    assert origins[0] == "seed"
    assert origins.count("mutation") >= 3
    code, out, _ = command("search", "show", "found", "1", "--toml")
    assert 'use = "extract"' in out
    code, out, _ = command("search", "show", "found", "1", "--traces")
    assert {"step", "node", "transcript"} <= set(json.loads(out.splitlines()[0]))

    code, out, _ = command("search", "report", "found", "-o", tmp_path / "page.html", "--json")
    assert json.loads(out)["iterations"] == 3
    assert (tmp_path / "page.html").exists()


def test_seeds_that_do_not_fit_are_kept_with_the_reason(search: Command, command: Command):
    search("--iterations", 0)
    _, out, _ = command("search", "show", "found", "--json")
    seeds = {one["name"]: one for one in json.loads(out)["candidates"]}
    assert seeds["visit"]["status"] in ("done", "dropped", "same")
    assert (seeds["cot"]["status"], seeds["cot"]["error_code"]) == ("failed", "JC403")
    assert "clh" in seeds  # an expert workflow: plug-and-play


def test_from_scratch_leaves_the_experts_out_and_no_seed_everything(search: Command, command: Command):
    search("--iterations", 0, "--mode", "from-scratch", out="scratch")
    search("--iterations", 0, "--without", "seed", out="bare")
    _, out, _ = command("search", "show", "scratch", "--json")
    assert {"clh", "visit", "jointcoder"}.isdisjoint(one["name"] for one in json.loads(out)["candidates"])
    _, out, _ = command("search", "show", "bare", "--json")
    assert [one["name"] for one in json.loads(out)["candidates"]] == ["lexical"]


def test_a_search_goes_on_only_when_asked_to_and_under_its_conditions(search: Command):
    assert search("--iterations", 1, *SCRATCH)[0] == 0
    code, _, err = search("--iterations", 2, *SCRATCH)
    assert code == 2
    assert "JC433" in err
    code, _, err = search("--iterations", 2, *SCRATCH, "--seed", 5, "--resume")
    assert code == 2
    assert "conditions" in err
    code, out, err = search("--iterations", 2, *SCRATCH, "--resume", "--json")
    assert code == 0, err
    assert json.loads(out)["why"] == "iterations"


def test_one_search_at_a_time_in_a_folder(search: Command, tmp_path: Path):
    import fcntl

    (tmp_path / "found").mkdir()
    with (tmp_path / "found" / ".lock").open("a+b") as held:
        fcntl.flock(held.fileno(), fcntl.LOCK_EX)
        code, _, err = search()
    assert code == 5
    assert "JC444" in err


@pytest.mark.parametrize(
    ("options", "code", "error"),
    [
        (["--mode", "by-magic"], 2, "JC001"),
        (["--without", "everything"], 2, "JC001"),
        (["--start", "cot"], 2, "JC403"),
        (["--system", "ICD-10-CN"], 4, "JC108"),
        (["--share", "0.1"], 4, "JC435"),
    ],
)
def test_wrong_options_are_coded_errors(search: Command, options: list[str], code: int, error: str):
    found, _, err = search(*options)
    assert (found, error in err) == (code, True), err


def test_shared_notes_are_refused(search: Command, data: Path):
    code, _, err = search("--select", data)
    assert (code, "JC434" in err) == (4, True)


def test_a_search_travels_and_seeds_another(search: Command, command: Command, tmp_path: Path):
    search(*SCRATCH)
    file, other = tmp_path / "found.jsonl", tmp_path / "other.sqlite"
    assert command("search", "export", "found", "-o", file)[0] == 0
    assert command("search", "import", file, "--store", other)[0] == 0
    _, out, _ = command("search", "show", "found", "--store", other, "--json")
    _, mine, _ = command("search", "show", "found", "--json")
    assert [one["hash"] for one in json.loads(out)["candidates"]] == [
        one["hash"] for one in json.loads(mine)["candidates"]
    ]
    code, _, err = command("search", "import", file, "--store", other)
    assert (code, "JC432" in err) == (2, True)
    (tmp_path / "junk").write_text("{}\n", "utf-8")
    code, _, err = command("search", "import", tmp_path / "junk")
    assert (code, "JC443" in err) == (4, True)

    code, _, err = search("--iterations", 0, "--reseed", "found", out="next")
    assert code == 0, err
    _, out, _ = command("search", "show", "next", "--json")
    earlier = {one["hash"] for one in json.loads(mine)["candidates"] if one["origin"] == "mutation"}
    assert earlier & {one["hash"] for one in json.loads(out)["candidates"]}


def test_unknown_runs_and_plans_list_the_known_ones(search: Command, command: Command):
    search("--iterations", 0, "--without", "seed")
    code, _, err = command("search", "show", "lost")
    assert (code, "JC432" in err, "found" in err) == (2, True, True)
    code, _, err = command("search", "show", "found", "99")
    assert (code, "JC432" in err) == (2, True)


# ---------------------------------------------------------------------------------------------------------- approval


def test_a_found_workflow_is_approved_by_its_hash_and_taken_back(search: Command, command: Command):
    search(*SCRATCH)
    _, out, _ = command("search", "show", "found", "--json")
    mutant = next(one for one in json.loads(out)["candidates"] if one["origin"] == "mutation")
    code, out, err = command("workflow", "approve", mutant["hash"][:10], "--by", "A. Meyer", "--as", "ward", "--json")
    assert code == 0, err
    assert json.loads(out)["hash"] == mutant["hash"]
    assert command("workflow", "approve", "lexical", "--by", "B. Schulz", "--as", "ward", "--note", "better")[0] == 0
    _, out, _ = command("workflow", "approvals", "--json")
    assert [(one["approved_by"], one["withdrawn"]) for one in json.loads(out)] == [
        ("A. Meyer", None),
        ("B. Schulz", None),
    ]
    code, out, _ = command("workflow", "rollback", "ward", "--by", "A. Meyer", "--json")
    assert json.loads(out)["in_force"]["hash"] == mutant["hash"]
    _, out, _ = command("workflow", "approvals")
    assert "withdrawn" in out
    assert "in force" in out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["approve", "0" * 12, "--by", "A"], "JC432"),
        (["approve", "no", "--by", "A"], "JC442"),
        (["approve", "lexical", "--by", " "], "JC001"),
        (["rollback", "ward", "--by", "A"], "JC442"),
    ],
)
def test_what_cannot_be_approved(command: Command, arguments: list[str], error: str):
    code, _, err = command("workflow", *arguments)
    assert (code, error in err) == (2, True), err


def test_a_workflow_that_does_not_join_up_cannot_be_approved(command: Command, tmp_path: Path):
    path = tmp_path / "broken.toml"
    path.write_text('name = "broken"\n[[step]]\nuse = "validate"\noptions = { kind = "diagnosis" }\n', "utf-8")
    code, _, err = command("workflow", "approve", path, "--by", "A")
    assert (code, "JC402" in err) == (2, True)
