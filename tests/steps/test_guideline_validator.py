"""The rules as a filter: what they forbid goes, and what stays says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.writer import Plan, write
from jointcoder.records import Patient
from tests.codebook.ruled import drafts, us_book
from tests.steps.working import CM, PCS, codes, draft, run_step, state_of, tools_of


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    return us_book(tmp_path_factory.mktemp("ruled"))


def kept(book: CodeBook, *listed: str, patient: Patient | None = None, **options: object) -> list[str]:
    """The codes that stay; ``code=0.9`` gives one a confidence."""
    drafts = [draft(code, sure=float(sure or 0.6)) for code, _, sure in (one.partition("=") for one in listed)]
    state = state_of(patient=patient, diagnoses=tuple(drafts), procedures=())
    return codes(run_step("guideline_validator", state, tools_of(book, CM, PCS), **options))


def test_of_two_that_exclude_each_other_the_surer_stays(ruled: CodeBook) -> None:
    assert kept(ruled, "I10=0.9", "I15.0=0.4", "R05.9") == ["I10", "R05.9"]
    assert kept(ruled, "I10=0.4", "I15.0=0.9", "R05.9") == ["I15.0", "R05.9"]


def test_the_parent_goes_and_the_child_bears_the_finding(ruled: CodeBook) -> None:
    state = state_of(diagnoses=(draft("M17", sure=0.9), draft("M17.12", sure=0.3)), procedures=())
    update = run_step("guideline_validator", state, tools_of(ruled, CM, PCS), enforce=["parents"])
    (code,) = update.values["diagnoses"]
    assert (code.code, code.rank) == ("M17.12", 1)
    assert [finding.rule for finding in code.checks] == ["heading-with-code"]
    assert update.notes == {"dropped": 1, "rules": {"M17": "heading-with-code"}}


@pytest.mark.parametrize(
    ("listed", "patient", "left"),
    [
        (("Q99.99", "I10"), None, ["I10"]),
        (("N40.0", "I10"), Patient(sex="female"), ["I10"]),
        (("N40.0", "I10"), Patient(sex="male"), ["N40.0", "I10"]),
        (("O80", "I10"), Patient(age_years=80, sex="female"), ["I10"]),
        (("S93.401", "I10"), None, ["I10"]),
    ],
)
def test_what_cannot_be_is_dropped(
    ruled: CodeBook, listed: tuple[str, ...], patient: Patient | None, left: list[str]
) -> None:
    assert kept(ruled, *listed, patient=patient) == left


def test_only_what_is_enforced(ruled: CodeBook) -> None:
    assert kept(ruled, "J18.9", "R05.9") == ["J18.9", "R05.9"]
    assert kept(ruled, "J18.9", "R05.9", enforce=["integral"]) == ["J18.9"]
    assert kept(ruled, "I10", "I15.0", enforce=["sex"]) == ["I10", "I15.0"]


def test_what_is_allowed_is_left_in_order(ruled: CodeBook) -> None:
    assert kept(ruled, "R05.9", "I10", "M17.12") == ["R05.9", "I10", "M17.12"]


def test_procedures_are_checked_too(ruled: CodeBook) -> None:
    state = state_of(diagnoses=(draft("I10"),), procedures=(draft("0FT44ZZ", system=PCS), draft("0FT4XZZ", system=PCS)))
    update = run_step("guideline_validator", state, tools_of(ruled, CM, PCS))
    assert codes(update, "procedures") == ["0FT44ZZ"]


def test_a_note_of_a_higher_heading_binds_only_when_strict(tmp_path: Path) -> None:
    lines = """
# 6 | Nervous system | excludes1: injuries (S00-T88)
G30.9 | Alzheimer's disease, unspecified
# 19 | Injury
S93.40 | Sprain of ankle
"""
    write(Plan("wide", "wide", "en", drafts(lines, CM), []), tmp_path / "wide")
    book = CodeBook.open(tmp_path / "wide")
    both = (draft("G30.9", sure=0.9), draft("S93.40", sure=0.4))
    for strict, left in ((False, ["G30.9", "S93.40"]), (True, ["G30.9"])):
        state = state_of(diagnoses=both, procedures=())
        assert codes(run_step("guideline_validator", state, tools_of(book, CM), strict=strict)) == left
