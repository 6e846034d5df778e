"""The code book object: look-ups, hierarchy, notes, defaults, threads, damage."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.store import installed, open_book
from jointcoder.errors import AssetError, CodeBookError
from jointcoder.records import Kind, System
from jointcoder.settings import Settings

CM, PCS, CN = System.ICD10CM, System.ICD10PCS, System.ICD10CN


def test_find_is_tolerant(small: CodeBook) -> None:
    for written in ("M17.12", "m1712", "Ｍ１７．１２", " m17.12"):
        entry = small.find(written)
        assert entry is not None
        assert (entry.system, entry.code) == (CM, "M17.12")
    assert small.find("Z99.9") is None
    found = small.find("0ft44zz")
    assert found is not None
    assert found.system is PCS


def test_entry_is_frozen(small: CodeBook) -> None:
    entry = small.get(CM, "I10")
    assert entry is not None
    assert (entry.level, entry.billable, entry.parent) == ("code", True, "I10-I15")
    assert entry.names == {"en": "Essential (primary) hypertension"}
    with pytest.raises(FrozenInstanceError):
        entry.name = "x"  # type: ignore[misc]


def test_hierarchy(small: CodeBook) -> None:
    assert [e.code for e in small.ancestors(CM, "M17.12")] == ["M17.1", "M17", "M17-M17", "1"]
    assert [e.level for e in small.ancestors(CM, "M17.12")] == ["category", "category", "block", "chapter"]
    assert [e.code for e in small.children(CM, "M17")] == ["M17.1", "M17.9"]
    assert len(small.descendants(CM, "M17")) == 5
    parent = small.parent(PCS, "0FT44ZZ")
    assert parent is not None
    assert (parent.code, parent.name) == ("0FT", "Resection of Gallbladder,")
    assert small.parent(CM, "1") is None


def test_notes_and_inheritance(small: CodeBook) -> None:
    own = small.notes(CM, "S93.501A")
    assert not own
    notes = small.notes(CM, "S93.501A", inherited=True)
    assert [(n.label, n.origin) for n in notes.seventh_characters] == [("A", "S93"), ("D", "S93"), ("S", "S93")]
    assert [n.origin for n in notes.excludes2] == ["1"]
    assert [t.text for t in small.terms(CM, "S93.4")] == ["Sprain of ankle", "Twisted ankle"]


def test_defaults(small: CodeBook, chinese: CodeBook) -> None:
    wanted = {"M17": "M17.9", "M17.1": "M17.10", "S93.4": "S93.4XXA", "I10": "I10", "I15": None}
    found = {code: small.default_billable(CM, code) for code in wanted}
    assert {code: entry and entry.code for code, entry in found.items()} == wanted
    default = chinese.default_billable(CN, "E11")
    assert default is not None
    assert default.code == "E11.900"


def test_system_not_held(small: CodeBook) -> None:
    assert small.systems(Kind.PROCEDURE) == (PCS,)
    with pytest.raises(CodeBookError, match=r"JC503.*holds ICD-10-CM, ICD-10-PCS"):
        small.get(CN, "I10.x00")


def test_without_a_calendar_every_assignable_code_is_valid(small: CodeBook) -> None:
    import datetime as dt

    assert small.is_valid(CM, "I10", dt.date(2020, 1, 1))
    assert not small.is_valid(CM, "I15", dt.date(2020, 1, 1))
    assert small.validity(CM, "I10") == ()


def test_threads_share_a_book(small: CodeBook) -> None:
    codes = [entry.code for entry in small.descendants(CM, "1")] * 20
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda code: small.get(CM, code), codes))
    assert [entry.code for entry in found if entry] == codes


def test_opening_changes_nothing_on_disk(small: CodeBook) -> None:
    before = {p: p.stat().st_mtime_ns for p in small.path.rglob("*")}
    again = CodeBook.open(small.path)
    again.find("I10")
    assert {p: p.stat().st_mtime_ns for p in small.path.rglob("*")} == before


def test_missing_damaged_and_outdated_books(small: CodeBook, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="JC203") as missing:
        CodeBook.open(tmp_path / "none")
    assert "jointcoder setup" in missing.value.hint
    copy = shutil.copytree(small.path, tmp_path / "copy")
    (copy / "book.sqlite").write_bytes(b"rubbish" * 100)
    with pytest.raises(AssetError, match="JC207"):
        CodeBook.open(copy)
    (copy / "meta.json").write_text("{")
    with pytest.raises(AssetError, match="JC207"):
        CodeBook.open(copy)
    (copy / "meta.json").write_text(json.dumps({"format": 0}))
    with pytest.raises(AssetError, match=r"JC207.*format 0"):
        CodeBook.open(copy)


def test_store_names(small: CodeBook, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path)
    with pytest.raises(AssetError, match="JC203"):
        open_book(settings)
    with pytest.raises(AssetError, match="JC206") as unknown:
        open_book(settings, "us-1815")
    assert "us-2026" in unknown.value.hint
    shutil.copytree(small.path, settings.books_dir / "us-2026")
    assert open_book(settings).info == small.info
    assert open_book(settings, str(small.path)).info == small.info
    assert installed(settings) == ["us-2026"]
