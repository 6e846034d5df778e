"""The rules, on the small book."""

from __future__ import annotations

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.rules import check
from jointcoder.records import AssignedCode, Role, Severity, System


def coded(*codes: str, system: System = System.ICD10CM) -> list[AssignedCode]:
    """The first code is principal."""
    return [
        AssignedCode(
            system=system,
            code=code,
            name=code,
            role=Role.SECONDARY if i else Role.PRINCIPAL,
            rank=i + 1,
            confidence=1.0,
        )
        for i, code in enumerate(codes)
    ]


def rules(book: CodeBook, *codes: str) -> list[str]:
    return [finding.rule for finding in check(book, coded(*codes))]


def test_a_clean_record_has_no_findings(small: CodeBook) -> None:
    assert check(small, coded("M17.12", "I10")) == []


def test_codes_that_cannot_be_assigned(small: CodeBook) -> None:
    assert rules(small, "M17.1") == ["not-assignable"]
    assert rules(small, "Z99.9") == ["unknown"]
    assert rules(small, "I10", "I10") == ["duplicate"]


def test_heading_with_its_code(small: CodeBook) -> None:
    found = check(small, coded("M17.12", "M17.1"))
    assert [f.rule for f in found] == ["not-assignable", "heading-with-code"]
    assert found[1].codes == ("M17.1", "M17.12")


def test_excludes1_cites_its_note(small: CodeBook) -> None:
    for order in (("I10", "I15.0"), ("I15.0", "I10")):
        found = [f for f in check(small, coded(*order)) if f.rule == "excludes1"]
        assert len(found) == 1
        assert "Excludes1 at I10: hypertensive disease of a lung (I15.-)" in found[0].citation
        assert found[0].severity is Severity.ERROR


def test_principal_rules(small: CodeBook) -> None:
    assert rules(small, "W19") == ["principal-external-cause"]
    assert rules(small, "I10", "W19") == []
    assert rules(small, "I15.0", "S93.4XXA") == ["principal-code-first"]
    assert rules(small, "S93.4XXA", "I15.0") == []
    assert rules(small, "I15.0") == []
