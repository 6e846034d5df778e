"""The files a code book is built from: the user's folder, the manifest, and what happens when the two differ."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jointcoder.assets import Book, BookSource, Manifest
from jointcoder.cli.setup import OWN, ensure_book
from jointcoder.cli.sources import gather
from jointcoder.errors import AssetError, UsageError
from jointcoder.settings import Settings
from tests.carriers import sha256
from tests.cli.command import ROOT

FIXTURES = ROOT / "tests" / "fixtures"
TABULAR, PCS = (FIXTURES / "tabular.xml").read_bytes(), (FIXTURES / "icd10pcs_codes.txt").read_bytes()


def manifest(**kept: Path) -> tuple[Book, Manifest]:
    """A manifest whose files can be had only where ``kept`` says so."""
    roles = {"tabular": ("icd10cm-tabular-2026.xml", TABULAR), "pcs": ("icd10pcs-codes-2026.txt", PCS)}
    text = '[[book]]\nname = "us-2026"\nbuilder = "us"\nneeded = { tabular = "tabular", pcs = "pcs" }\n'
    for role, (file, data) in roles.items():
        sources = f'[{{ file = "{kept[role]}" }}]' if role in kept else "[]"
        text += f'[[source]]\nname = "{role}"\nfile = "{file}"\nsize = {len(data)}\nsha256 = "{sha256(data)}"\n'
        text += f'licence = "none"\nsources = {sources}\n'
    found = Manifest.read(text, BookSource, "source", "test.toml")
    return found.book("us-2026"), found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "official"
    place.mkdir()
    (place / "renamed by somebody.xml").write_bytes(TABULAR)
    (place / "icd10pcs-codes-2026.txt").write_bytes(PCS)
    return place


def test_the_manifests_files_are_known_by_content_and_kept(folder: Path, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache")
    first = gather(*manifest(), settings, directory=folder)
    assert first.own == set()
    assert first.paths["tabular"].read_bytes() == TABULAR
    shutil.rmtree(folder)
    assert gather(*manifest(), settings, offline=True).paths == first.paths, "setup finds them without the folder"


def test_a_file_of_ones_own_goes_before_the_manifests(folder: Path, tmp_path: Path) -> None:
    own = folder / "icd10pcs-codes-2026.txt"
    own.write_bytes(PCS + b"0DTJ0ZZ Resection of Appendix, Open Approach, our own\n")
    away = tmp_path / "away.txt"
    away.write_bytes(PCS)
    gathered = gather(*manifest(pcs=away), Settings(cache=tmp_path / "cache"), directory=folder)
    assert gathered.own == {"pcs"}
    assert gathered.paths["pcs"] == own


def test_setup_leaves_a_book_of_ones_own_alone(folder: Path, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache")
    gather(*manifest(), settings, directory=folder)
    target = ensure_book(*manifest(), settings, offline=True)
    built = (target / "meta.json").read_text("utf-8")
    (target / "meta.json").write_text(built.replace(sha256(PCS), "0" * 64), "utf-8")
    (target / OWN).write_text("pcs\n", "utf-8")
    ensure_book(*manifest(), settings, offline=True)
    assert "0" * 64 in (target / "meta.json").read_text("utf-8")
    (target / OWN).unlink()
    ensure_book(*manifest(), settings, offline=True)
    assert (target / "meta.json").read_text("utf-8") == built


def test_a_folder_without_any_of_the_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing of use", "utf-8")
    with pytest.raises(UsageError, match="JC001"):
        gather(*manifest(), Settings(cache=tmp_path / "cache"), directory=tmp_path)


def test_a_needed_file_that_nobody_has_is_an_error(folder: Path, tmp_path: Path) -> None:
    (folder / "renamed by somebody.xml").unlink()
    with pytest.raises(AssetError, match="JC204"):
        gather(*manifest(), Settings(cache=tmp_path / "cache"), directory=folder)
