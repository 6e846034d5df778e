"""``jointcoder codebook show`` on a terminal: the branch as a tree. (In a pipe: `test_codebook.py`.)"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from jointcoder.cli.codebook.branch import SHOWN, branch
from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.writer import Draft, Plan, write
from jointcoder.records import System

CM = System.ICD10CM


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    sevenths = [("seventh_characters", "A", "first"), ("seventh_characters", "S", "late")]
    drafts = [
        Draft(CM, "1", "Things", "chapter", False, notes=[("excludes2", "", "other things (Z00-Z99)")]),
        Draft(CM, "S90-S99", "Feet", "block", False, 0),
        Draft(CM, "S93", "Sprain [of foot]", "category", False, 1, notes=sevenths),
    ]
    for number in range(SHOWN + 5):
        drafts.append(Draft(CM, f"S93.{number:03}A", f"Sprain {number}, first", "code", True, 2))
    target = tmp_path_factory.mktemp("books") / "feet"
    write(Plan("feet", "feet", "en", drafts, []), target)
    return CodeBook.open(target)


def drawn(book: CodeBook, code: str) -> list[str]:
    entry = book.find(code)
    assert entry is not None
    out = io.StringIO()
    Console(file=out, width=100, color_system=None).print(branch(book, entry))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_branch_with_its_notes(book: CodeBook) -> None:
    assert drawn(book, "S93.001A") == [
        "1  Things",
        "├── excludes2: other things (Z00-Z99)",
        "└── S90-S99  Feet",
        "    └── S93  Sprain [of foot]",
        "        ├── seventh characters: A first · S late",
        "        └── S93.001A  Sprain 1, first · assignable",
    ]


def test_what_is_below_is_drawn_in_part(book: CodeBook) -> None:
    lines = drawn(book, "S93")
    assert lines[3].endswith("S93  Sprain [of foot] · category, not assignable")
    assert lines[-1].endswith("… and 5 more")
    assert sum("S93.0" in line for line in lines) == SHOWN


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_show_draws_on_a_terminal(book: CodeBook, tmp_path: Path) -> None:
    import pty
    import subprocess

    reader, writer = pty.openpty()
    command = [sys.executable, "-m", "jointcoder", "codebook", "show", "S93.001A", "--book", str(book.path)]
    settings = {"JOINTCODER_CACHE": str(tmp_path), "JOINTCODER_CONFIG": os.devnull, "NO_COLOR": "1", "TERM": "xterm"}
    ran = subprocess.run(command, stdout=writer, stdin=subprocess.DEVNULL, env=os.environ | settings, check=False)
    os.close(writer)
    shown = os.read(reader, 100_000).decode()
    os.close(reader)
    assert ran.returncode == 0
    assert "└── S90-S99" in shown
