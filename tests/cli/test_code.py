"""`jointcoder code` as a user types it, in a process of its own: good input, and every kind of bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.records import CodedRecord, Encounter

NOTE = "Discharge diagnosis:\n1. Congestive heart failure\n2. Type 2 diabetes\n3. Osteoarthritis of left knee\n"


@pytest.fixture
def run(small_us: CodeBook, small_cn: CodeBook, tmp_path: Path):  # type: ignore[no-untyped-def]
    """``run(*arguments, book="us", stdin=b"")`` → finished process; an empty cache, a small book, no model."""

    def start(*arguments: str, book: str = "us", stdin: bytes = b"", **environment: str):  # type: ignore[no-untyped-def]
        books = {"us": str(small_us.path), "cn": str(small_cn.path), "none": ""}
        values = {"JOINTCODER_CACHE": str(tmp_path / "cache"), "JOINTCODER_CODE_BOOK": books[book], "NO_COLOR": "1"}
        return subprocess.run(
            [sys.executable, "-m", "jointcoder", *arguments],
            input=stdin,
            capture_output=True,
            timeout=120,
            check=False,
            env={**os.environ, **values, **environment},
        )

    return start


@pytest.fixture
def file(tmp_path: Path):  # type: ignore[no-untyped-def]
    def write(content: str | bytes, name: str = "note.txt") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def lexical(path: str, *more: str) -> tuple[str, ...]:
    return ("code", path, "--workflow", "lexical", *more)


def test_json_is_the_whole_record(run, file) -> None:  # type: ignore[no-untyped-def]
    done = run(*lexical(file(NOTE), "--json"))
    assert done.returncode == 0, done.stderr.decode()
    record = CodedRecord.model_validate_json(done.stdout)
    assert [code.code for code in record.codes] == ["I50.9", "E11.9", "M17.12"]
    encounter = Encounter.from_text(NOTE)
    assert all(span.reproduces(encounter) for code in record.codes for span in code.evidence)
    assert record.versions.workflow_hash
    assert record.versions.code_book_hash
    assert record.trace[0].step == "read"


def test_table_quotes_the_evidence(run, file) -> None:  # type: ignore[no-untyped-def]
    out = run(*lexical(file(NOTE), "--trace")).stdout.decode()
    assert "“Congestive heart failure”" in out
    assert "★" in out
    assert "standardise_diagnoses" in out
    assert "\x1b[" not in out  # no colour in a pipe


def test_standard_input(run) -> None:  # type: ignore[no-untyped-def]
    done = run("code", "-", "--workflow", "lexical", "--json", stdin=NOTE.encode())
    assert json.loads(done.stdout)["codes"][0]["code"] == "I50.9"


def test_encounter_as_json(run, file) -> None:  # type: ignore[no-untyped-def]
    encounter = {"id": "e1", "sections": {"discharge diagnosis": "Pneumonia"}, "patient": {"age_years": 50}}
    done = run(*lexical(file(json.dumps(encounter), "e.json"), "--json"))
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["encounter"] == "e1"


def test_gbk_is_decoded_and_said(run, file) -> None:  # type: ignore[no-untyped-def]
    text = "出院诊断：\n1.高血压病3级（极高危）\n2.2型糖尿病\n3.冠状动脉粥样硬化性心脏病\n"
    done = run(*lexical(file(text.encode("gb18030")), "--json"), book="cn")
    assert done.returncode == 0, done.stderr.decode()
    record = CodedRecord.model_validate_json(done.stdout)
    assert {code.code for code in record.codes} == {"I10.x00x032", "E11.900", "I25.103"}
    assert "JC109" in done.stderr.decode()
    assert any(flag.code == "JC109" for flag in record.flags)


@pytest.mark.parametrize(
    ("content", "name", "code", "status"),
    [
        (b"", "empty.txt", "JC101", 4),
        (b" \n\t ", "blank.txt", "JC101", 4),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, "scan.txt", "JC102", 4),
        (b'{"text": "cough", "colour": 1}', "field.json", "JC103", 4),
        (b'{"text": ', "torn.json", "JC104", 4),
        (b'{"text": "cough", "patient": {"age_years": -4}}', "age.json", "JC108", 4),
        ("Der Patient wurde wegen einer schweren Lungenentzündung stationär aufgenommen und behandelt. "
         "Die Entlassung erfolgte nach zehn Tagen in gutem Zustand.", "german.txt", "JC105", 4),
    ],
)  # fmt: skip
def test_bad_input(run, file, content, name, code, status) -> None:  # type: ignore[no-untyped-def]
    done = run(*lexical(file(content, name)))
    assert (done.returncode, done.stdout) == (status, b"")
    assert code in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()


def test_missing_file(run) -> None:  # type: ignore[no-untyped-def]
    done = run(*lexical("no/such/file.txt"))
    assert done.returncode == 4
    assert "JC107" in done.stderr.decode()


def test_language_can_be_wrong_too(run, file) -> None:  # type: ignore[no-untyped-def]
    done = run(*lexical(file(NOTE), "--language", "fr"))
    assert done.returncode == 4
    assert "JC105" in done.stderr.decode()


def test_missing_code_book_names_the_command(run, file) -> None:  # type: ignore[no-untyped-def]
    done = run(*lexical(file(NOTE)), book="none")
    assert done.returncode == 5
    assert "jointcoder setup" in done.stderr.decode()


def test_missing_model_names_the_command(run, file) -> None:  # type: ignore[no-untyped-def]
    done = run("code", file(NOTE))
    assert done.returncode == 5
    assert "jointcoder setup" in done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--workflow", "nosuch"), "JC404"),
        (("--system", "ICD-11"), "JC001"),
        (("--discharged", "yesterday"), "JC001"),
        (("--sex", "unclear"), "JC001"),
    ],
)
def test_wrong_options(run, file, arguments, code) -> None:  # type: ignore[no-untyped-def]
    done = run("code", file(NOTE), *arguments)
    assert done.returncode == 2
    assert code in done.stderr.decode()


def test_debug_shows_the_traceback(run, file) -> None:  # type: ignore[no-untyped-def]
    done = run("--debug", *lexical(file(b"")))
    assert done.returncode != 0
    assert "Traceback" in done.stderr.decode()


def test_note_text_stays_out_of_stderr(run, file) -> None:  # type: ignore[no-untyped-def]
    done = run(*lexical(file('{"text": "cough", "patient": "Secretname"}', "e.json")))
    assert done.returncode == 4
    assert "Secretname" not in done.stderr.decode()


def test_help_and_version(run) -> None:  # type: ignore[no-untyped-def]
    assert "evaluate" in run("--help").stdout.decode()
    assert run("--version").stdout.decode().startswith("jointcoder 0.")
    assert run("nosuch").returncode == 2
