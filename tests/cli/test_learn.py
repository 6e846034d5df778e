"""``jointcoder learn`` from the command line: invented coded notes → a pack → codes with reasons."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.corpora import Labelled
from tests.cli.command import jointcoder
from tests.packs.marked import corpus

for library in ("pycrfsuite", "sklearn", "lightgbm", "matplotlib"):
    pytest.importorskip(library)

Learn = Callable[..., Any]


def written(items: Sequence[Labelled], path: Path) -> Path:
    """The encounters as a file of coded notes."""
    rows = [
        {
            "id": item.encounter.id,
            "lang": "en",
            "text": item.encounter.documents[0].text,
            "codes": [
                {"system": g.system, "code": g.code, "spans": [[s.start, s.end] for s in g.spans]} for g in item.gold
            ],
        }
        for item in items
        if len(item.encounter.documents) == 1
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, small_us: CodeBook) -> Path:
    """A cache with a pack learnt from 30 notes, thresholds chosen on 10 of them that therefore did not teach."""
    home = tmp_path_factory.mktemp("home")
    notes = corpus(40).items
    written(notes, home / "coded.jsonl")
    written(notes[:10], home / "dev.jsonl")
    done = jointcoder(
        *("learn", str(home / "coded.jsonl"), "-o", str(home / "packs" / "ours"), "--book", str(small_us.path)),
        *("--dev", str(home / "dev.jsonl"), "--picture", str(home / "ours.svg"), "--licence", "CC0"),
        *("--held-out", str(home / "made" / "on the way" / "unseen.jsonl")),
        cache=home,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "mentions" in done.stdout
    assert (home / "made" / "on the way" / "unseen.jsonl").read_text().count("\n") >= 30
    return home


def test_the_pack_says_what_it_is(home: Path) -> None:
    shown = jointcoder("packs", "list", "--json", cache=home)
    (ours,) = [pack for pack in json.loads(shown.stdout) if pack["id"] == "ours"]
    assert (ours["parts"], ours["licence"], ours["shareable"]) == (["mentions"], "CC0", False)
    assert ours["metrics"]["mentions"]["dev"]["ICD-10-CM"]["f1"] > 0.7
    (origin,) = ours["origins"]
    assert (
        origin["records"] == len((home / "coded.jsonl").read_text().splitlines()) - 10
    )  # the dev notes taught nothing
    text = (home / "packs" / "ours" / "pack.json").read_text()
    assert "appendicitis" not in text
    assert (home / "ours.svg").read_text().lstrip().startswith("<?xml")


def test_a_note_is_coded_with_reasons(home: Path, small_us: CodeBook, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("Known hypertension, on tablets. She has pneumonia and a dry cough.")
    options = ("--workflow", "learned", "--pack", "ours", "--book", str(small_us.path), "--language", "en")
    done = jointcoder("code", str(note), *options, "--json", cache=home)
    record = json.loads(done.stdout)
    assert {code["code"] for code in record["codes"]} == {"I10", "J18.9"}
    assert all(code["reasons"] and code["evidence"] for code in record["codes"])
    assert record["versions"]["pack"].startswith("ours@")
    shown = jointcoder("code", str(note), *options, "--why", cache=home)
    assert "what speaks for and against" in shown.stdout


def test_evaluate_with_the_pack(home: Path, small_us: CodeBook) -> None:
    options = ("--workflow", "learned", "--pack", "ours", "--book", str(small_us.path))
    done = jointcoder("evaluate", str(home / "dev.jsonl"), *options, "--json", cache=home)
    report = json.loads(done.stdout)
    assert report["metrics"]["systems"]["ICD-10-CM"]["precision"] > 0.9
    assert report["flags"]["JC501"]  # two of the codes taught are not in the small book, and are not given
    assert report["metrics"]["invalid_code_rate"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code"),
    [
        (("{coded}", "-o", "{packs}/ours"), 2, "JC001"),  # a pack lies there
        (("{coded}", "-o", "{packs}/new", "--part", "dreams"), 2, "JC213"),
        (("{coded}", "-o", "{packs}/new", "--part", "terms"), 4, "JC108"),
        (("{coded}", "-o", "{packs}/new", "--picture", "x.svg"), 2, "JC001"),
        (("{absent}", "-o", "{packs}/new"), 4, "JC107"),
        (("{few}", "-o", "{packs}/new"), 4, "JC114"),
        (("{coded}", "-o", "{packs}/new", "--held-out", "{coded}/below/a/file"), 5, "JC205"),
    ],
)
def test_what_cannot_be_learnt_is_said(
    home: Path, small_us: CodeBook, arguments: tuple[str, ...], exit_code: int, code: str
) -> None:
    places = {name: home / f"{name}.jsonl" for name in ("coded", "absent", "few")} | {"packs": home / "packs"}
    places["few"].write_text("".join((home / "coded.jsonl").read_text().splitlines(keepends=True)[:3]))
    given = [argument.format(**places) for argument in arguments]
    done = jointcoder("learn", *given, "--book", str(small_us.path), cache=home)
    assert done.returncode == exit_code
    assert code in done.stderr
    assert not (home / "packs" / "new").exists()
    assert not list((home / "packs").glob(".new*"))  # nothing half written stays
