"""``jointcoder codebook``: info, search, show and build, on a small Chinese book built by the command itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.command import jointcoder

DIAGNOSES = "code\tname\nI10.x00\t原发性高血压\nI10.x00x002\t高血压\nE11.900\t2型糖尿病\n"
PROCEDURES = "code\tname\n51.2300\t腹腔镜下胆囊切除术\n"
NAME = "cn-guolin2"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "icd10_guolin2.tsv").write_text(DIAGNOSES, "utf-8")
    (folder / "icd9cm3_yb_procedures.tsv").write_text(PROCEDURES, "utf-8")
    cache = tmp_path_factory.mktemp("cache")
    ran = jointcoder("codebook", "build", NAME, "--from", str(folder), cache=cache)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ""
    return cache


def test_info(cache: Path) -> None:
    ran = jointcoder("codebook", "info", "--book", NAME, "--json", cache=cache)
    facts = json.loads(ran.stdout)
    assert facts["systems"] == {
        "ICD-10-CN": {"billable": 3, "entries": 8},
        "ICD-9-CM-3": {"billable": 1, "entries": 5},
    }
    assert facts["installed"] == [NAME]
    assert [source["name"] for source in facts["sources"]] == ["icd10_guolin2.tsv", "icd9cm3_yb_procedures.tsv"]


def test_search_in_a_pipe_is_tab_separated(cache: Path) -> None:
    ran = jointcoder("codebook", "search", "高血压", "--book", NAME, "--kind", "dx", "-k", "2", cache=cache)
    rows = [line.split("\t") for line in ran.stdout.splitlines()]
    assert rows[0][:3] == ["ICD-10-CN", "I10.x00x002", "1.000"]
    assert len(rows) == 2
    found = jointcoder("codebook", "search", "胆囊切除", "--book", NAME, "--json", cache=cache)
    assert [hit["code"] for hit in json.loads(found.stdout)] == ["51.2300"]


def test_show(cache: Path) -> None:
    shown = json.loads(jointcoder("codebook", "show", "i10x00X002", "--book", NAME, "--json", cache=cache).stdout)
    assert (shown["code"], shown["billable"]) == ("I10.x00x002", True)
    assert [one["code"] for one in shown["ancestors"]] == ["I10.x00", "I10", "I00-I99"]
    plain = jointcoder("codebook", "show", "E11", "--book", NAME, cache=cache).stdout
    assert plain.splitlines() == [
        "chapter\tE00-E90\t内分泌、营养和代谢疾病",
        "category (not assignable)\tE11\t2型糖尿病",
        "below\tE11.9\t2型糖尿病",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (("show", "Z99.999"), "JC501", 4),
        (("search", "高血压", "--kind", "drug"), "JC001", 2),
        (("info", "--book", "us-1815"), "JC206", 5),
        (("info", "--book", "us-2026"), "JC203", 5),
        (("build", "cn-nowhere", "--from", "."), "JC206", 5),
        (("build", NAME, "--from", "./no-such-folder"), "JC001", 2),
        (("build", "us-2026", "--from", "./benchmarks"), "JC001", 2),
    ],
)
def test_errors_have_a_code_and_an_exit_status(cache: Path, arguments: tuple[str, ...], code: str, status: int) -> None:
    named = () if "--book" in arguments or arguments[0] == "build" else ("--book", NAME)
    ran = jointcoder("codebook", *arguments, *named, cache=cache)
    assert (ran.returncode, ran.stdout) == (status, "")
    assert ran.stderr.startswith(code)
    assert "Traceback" not in ran.stderr


def test_a_damaged_book_says_so(cache: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(cache / "codebooks" / NAME, tmp_path / "copy")
    (copy / "book.sqlite").write_bytes(b"nothing of the kind")
    ran = jointcoder("codebook", "info", "--book", str(copy), cache=cache)
    assert ran.returncode == 5
    assert ran.stderr.startswith("JC207")
