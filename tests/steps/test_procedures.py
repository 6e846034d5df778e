"""Candidates of procedures: what ICD-10-PCS tells apart and a wording does not."""

from __future__ import annotations

from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.us import build_us
from jointcoder.records import Kind
from jointcoder.steps.base import Update

from ..conftest import FIXTURES
from .working import PCS, mention, run_step, state_of, tools_of

TITLES = """\
0W990ZX Drainage of Right Pleural Cavity, Open Approach, Diagnostic
0W993ZX Drainage of Right Pleural Cavity, Percutaneous Approach, Diagnostic
0W993ZZ Drainage of Right Pleural Cavity, Percutaneous Approach
0W9B3ZX Drainage of Left Pleural Cavity, Percutaneous Approach, Diagnostic
X2JAX47 Inspection of Heart using Transthoracic Echocardiography, Computer-aided Guidance, New Technology Group 7
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    folder = tmp_path_factory.mktemp("procedures")
    (folder / "codes.txt").write_text(TITLES, "utf-8")
    build_us({"tabular": FIXTURES / "tabular.xml", "pcs": folder / "codes.txt"}, folder / "book", book_id="procedures")
    return CodeBook.open(folder / "book")


def found(book: CodeBook, wording: str, **told: Any) -> list[str]:
    state = state_of(f"{wording} was done.")
    state = state.updated(Update({"mentions": (mention(state, wording, kind=Kind.PROCEDURE, **told),)}))
    update = run_step("standardise", state, tools_of(book, PCS), kind="procedure", ask_model=False)
    return [candidate.code for candidate in update.values["procedure_candidates"]]


def test_of_two_approaches_the_better_found_stays(book: CodeBook) -> None:
    drained = found(book, "Drainage of right pleural cavity, percutaneous, diagnostic")
    assert drained[0] == "0W993ZX"
    assert "0W990ZX" not in drained
    assert {"0W993ZZ", "0W9B3ZX"} <= set(drained)  # they differ in more than the approach
    opened = found(book, "Open drainage of right pleural cavity, diagnostic")
    assert opened[0] == "0W990ZX"
    assert "0W993ZX" not in opened


def test_a_new_technology_is_found_under_its_own_name_alone(book: CodeBook) -> None:
    assert found(book, "Transthoracic echocardiography") == []
    named = "Inspection of heart using transthoracic echocardiography, computer-aided guidance"
    assert found(book, named) == ["X2JAX47"]


def test_a_wording_that_was_only_spotted_stands_for_nothing_that_is_merely_alike(book: CodeBook) -> None:
    assert found(book, "Pleural cavity pressure") != []
    assert found(book, "Pleural cavity pressure", source="dictionary") == []
    assert found(book, "Percutaneous drainage of right pleural cavity", source="dictionary") != []
