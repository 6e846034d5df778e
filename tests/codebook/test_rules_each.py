"""Every rule of the catalogue on a record where it speaks and on one where it is silent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.rules import rules
from jointcoder.records import Severity
from tests.codebook.ruled import chinese_book, judged, us_book

Asked = str | tuple[str, dict[str, Any]]

US: dict[str, tuple[Asked, Asked]] = {
    "unknown": ("I10.9", "I10"),
    "not-assignable": ("S93.4", "S93.401A"),
    "not-valid": (("I10", {"day": "2014-01-01"}), ("I10", {"day": "2016-01-01"})),
    "seventh-missing": ("S93.401", "S93.401A"),
    "seventh-illegal": ("S93.401Q", "S93.401D"),
    "placeholder": ("T75.3A", "T75.3XXA"),
    "pcs-illegal": ("I10 - 0FT4XZZ", "I10 - 0FT44ZZ"),
    "unspecified-code": (("M17.10", {"inpatient": True}), "M17.10"),
    "wrong-procedure": ("I10 Y65.51", "I10 W19.XXXA"),
    "sex": (("N40.0", {"sex": "female"}), ("N40.0", {"sex": "male"})),
    "age": (("O80 Z37.0", {"age": 65}), ("O80 Z37.0", {"age": 64})),
    "duplicate": ("I10 I10", "I10 - 0FT44ZZ 0FT44ZZ"),
    "heading-with-code": ("S93.401A S93.4", "S93.401A"),
    "excludes1": ("I10 I15.0", "I11.0 I15.0"),
    "excludes2": ("J44.9 J60", "J44.0 J60"),
    "laterality-bilateral": ("M17.11 M17.12", "M17.11 S93.401A"),
    "laterality-unspecified": ("M17.10 M17.12", "M17.10 S93.401A"),
    "laterality-procedure": ("M17.12 - 0SRC0J9", "M17.11 - 0SRC0J9"),
    "combination": ("I10 I50.9", "I11.0 I50.9"),
    "without-with": ("E11.9 E11.22 N18.30", "E11.22 N18.30"),
    "integral-symptom": ("J18.9 R05.9", "I10 R05.9"),
    "normal-delivery": ("O80 O70.0 Z37.0", "O70.0 Z37.0"),
    "first-listed-only": ("I10 Z34.90", "Z34.90 I10"),
    "principal-external-cause": ("W19.XXXA", "S93.401A W19.XXXA"),
    "principal-manifestation": ("F02.80", "G30.9 F02.80"),
    "principal-unacceptable": ("Z97.4", "I10 Z97.4"),
    "principal-symptom": ("R05.9 J18.9", "R05.9 I10"),
    "principal-code-first": ("I50.9 I11.0", "I50.9 I10"),
    "principal-use-additional": ("B96.20 N39.0", "N39.0 B96.20"),
    "code-first": ("J18.9 I50.9 I11.0", "J18.9 I11.0 I50.9"),
    "code-first-missing": ("I10 G46.4", "I63.9 G46.4"),
    "manifestation-alone": ("R05.9 F02.80", "G20.A1 F02.80"),
    "use-additional": ("I10 B96.20 N39.0", "I10 N39.0 B96.20"),
    "use-additional-missing": ("I11.0", "I11.0 I50.9"),
    "code-also-missing": ("J44.0", "J44.0 J18.9"),
    "several-principal": ("I10 !J18.9", "I10 J18.9 - 0FT44ZZ"),
    "procedure-alone": (" - 0FT44ZZ", "I10 - 0FT44ZZ"),
    "delivery-without-outcome": ("O80 - 10E0XZZ", "O80 Z37.0 - 10E0XZZ"),
    "questionable-admission": (("I10", {"inpatient": True}), "I10"),
    "poa-missing": ("I10/Y J18.9", "I10/Y J18.9/N Z79.4"),
    "poa-exempt": ("I10/Y Z79.4/Y", "I10/Y Z79.4"),
    "poa-not-exempt": ("I10/1", "I10/Y Z79.4/1"),
    "pcs-inspection": ("I10 - 0FT44ZZ 0FJ44ZZ", "I10 - 0FJ44ZZ"),
}
CHINESE: dict[str, tuple[Asked, Asked]] = {
    "unknown": ("I10.x09", "I10.x00"),
    "duplicate": ("I10.x00 I10.x00", "I10.x00"),
    "sex": (("N40.x00", {"sex": "female"}), ("N40.x00", {"sex": "male"})),
    "combination": ("I10.x00 I50.900", "I10.x00 J18.900"),
    "integral-symptom": ("J18.900 R05.x00", "I10.x00 R05.x00"),
    "principal-symptom": ("R05.x00 J18.900", "R05.x00 I10.x00"),
    "principal-external-cause": ("W19.900 S72.000", "S72.000 W19.900"),
    "principal-asterisk": ("G63.200* E11.400", "E11.400 G63.200*"),
    "asterisk-alone": ("W19.900 G63.200*", "E11.401+G63.2* I10.x00"),
    "asterisk-order": ("I10.x00 G63.200* E11.400", "I10.x00 E11.400 G63.200*"),
    "principal-morphology": ("M81400/3 C34.900", "C34.900 M81400/3"),
    "morphology-behaviour": ("C34.900M81400/0", "C34.901M81400/3"),
    "external-cause-missing": ("S72.000", "S72.000 W19.900"),
    "procedure-code-also": ("I10.x00 - 36.0700", "I10.x00 - 36.0700 00.6600 00.4500 00.4000"),
    "procedure-adjunct-alone": ("I10.x00 - 00.4500", "I10.x00 - 36.0700 00.4500"),
    "procedure-omitted": ("K80.200 - 51.2300 54.1100", "K80.200 - 54.1100"),
    "several-principal": ("I10.x00 !J18.900", "I10.x00 J18.900"),
    "procedure-alone": (" - 51.2300", "K80.200 - 51.2300"),
}

WORDS = {"I10", "I11.0", "I15.0", "I50.9", "E11.9", "E11.22", "N18.30", "M17.11", "M17.12", "M17", "S93.401", "T75.3A"}
WORDS |= {"F02.80", "G30.9", "R05.9", "J18.9", "W19.XXXA", "Z97.4", "O80", "X", "0", "Q99.9", "E119"}
OPERATIONS = {"0FT44ZZ", "0FJ44ZZ", "0SRC0J9", "10E0XZZ", "0FT4XZZ", "0OI", "1"}


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CodeBook]:
    folder = tmp_path_factory.mktemp("ruled")
    return {"us": us_book(folder / "us"), "cn": chinese_book(folder / "cn")}


def found(book: CodeBook, asked: Asked) -> set[str]:
    text, options = asked if isinstance(asked, tuple) else (asked, {})
    return {finding.rule for finding in judged(book, text, **dict(options))}


CASES = [(book, rule, *pair) for book, cases in (("us", US), ("cn", CHINESE)) for rule, pair in cases.items()]


@pytest.mark.parametrize(("book", "rule", "speaks", "silent"), CASES, ids=[f"{b}-{r}" for b, r, *_ in CASES])
def test_rule(books: dict[str, CodeBook], book: str, rule: str, speaks: Asked, silent: Asked) -> None:
    assert rule in found(books[book], speaks)
    assert rule not in found(books[book], silent)


def test_every_rule_has_its_cases(books: dict[str, CodeBook]) -> None:
    assert {*US, *CHINESE, "no-principal"} == set(rules())
    spoken = {rule for book, _, *pair in CASES for asked in pair for rule in found(books[book], asked)}
    assert spoken <= set(rules())


def test_findings_keep_to_their_rule(books: dict[str, CodeBook]) -> None:
    """Severity is one the catalogue allows; codes, message and citation are there."""
    for name, cases in (("us", US), ("cn", CHINESE)):
        for speaks, _ in cases.values():
            text, options = speaks if isinstance(speaks, tuple) else (speaks, {})
            for finding in judged(books[name], text, **dict(options)):
                rule = rules()[finding.rule]
                assert finding.severity in (rule.severity, *rule.milder), finding
                assert finding.codes, finding
                assert finding.citation, finding
                assert finding.message.startswith(finding.codes[0]), finding


@pytest.mark.parametrize(
    ("text", "rule", "part"),
    [
        ("T75.3A", "placeholder", "use T75.3XXA"),
        ("T75.3XA", "placeholder", "use T75.3XXA"),
        ("S93.401", "seventh-missing", "S93.401A, S93.401D"),
        ("S93.401X", "seventh-illegal", "S93.401A, S93.401D"),
        ("I10.00", "unknown", "use I10"),
        ("M17.11 M17.12", "laterality-bilateral", "code M17.0"),
        ("E11.9 N18.30", "combination", "code E11.22 in place of E11.9"),
        ("I10 I50.9 N18.6", "combination", "code I13.2 in place of I10"),
        ("I50.9 I11.0", "principal-code-first", "put I11.0 first"),
    ],
)
def test_the_remedy_names_the_correction(books: dict[str, CodeBook], text: str, rule: str, part: str) -> None:
    remedies = [finding.remedy for finding in judged(books["us"], text) if finding.rule == rule]
    assert len(remedies) == 1
    assert part in remedies[0]


@pytest.mark.parametrize(
    ("text", "rule", "part"),
    [
        ("I10 I15.0", "excludes1", "Excludes1 at I10: hypertensive disease of a lung (I15.-)"),
        ("I50.9 I11.0", "principal-code-first", "Code first at I50: heart failure due to hypertension (I11.0)"),
        ("I11.0", "use-additional-missing", "Use additional code at I11.0"),
        ("J18.9 R05.9", "integral-symptom", "I.B.5"),
        ("E11.9 N18.30", "combination", "I.A.15"),
    ],
)
def test_the_citation_names_note_or_section(books: dict[str, CodeBook], text: str, rule: str, part: str) -> None:
    assert part in next(finding.citation for finding in judged(books["us"], text) if finding.rule == rule)


@pytest.mark.parametrize(
    "text",
    [
        "I10",
        "E11.9 I10 Z79.4",
        "I11.0 I50.9 N39.0 B96.20",
        "E11.22 N18.6 I63.9",
        "G30.9 F02.80 G20.A1",  # either disease may be the one that causes the dementia
        "M17.11 - 0SRC0J9",
        "O80 Z37.0 - 10E0XZZ",
    ],
)
def test_correct_records_have_no_findings(books: dict[str, CodeBook], text: str) -> None:
    assert judged(books["us"], text, day="2026-03-01") == []


def test_no_principal(books: dict[str, CodeBook]) -> None:
    from jointcoder.codebook.rules import Oracle
    from tests.codebook.ruled import record

    codes = [code.with_(role="secondary") for code in record(books["us"], "I10 J18.9")]
    assert [f.rule for f in Oracle(books["us"]).check(codes)] == ["no-principal"]


def test_rank_decides_the_sequence(books: dict[str, CodeBook]) -> None:
    from jointcoder.codebook.rules import Oracle
    from tests.codebook.ruled import record

    codes = record(books["us"], "J18.9 I11.0 I50.9")
    backwards = [code.with_(rank=rank) for code, rank in zip(codes, (1, 3, 2), strict=True)]
    assert [f.rule for f in Oracle(books["us"]).check(backwards)] == ["code-first"]
    assert Oracle(books["us"]).check([code.with_(rank=rank) for rank, code in enumerate(codes, start=1)]) == []


def test_aftercare_needs_a_second_diagnosis(books: dict[str, CodeBook]) -> None:
    """The editor's "requires secondary diagnosis" takes the place of "unacceptable"."""
    assert found(books["us"], "Z51.89") == {"principal-unacceptable"}
    assert found(books["us"], "Z51.89 I10") == set()


def test_flags_of_a_day(books: dict[str, CodeBook]) -> None:
    """A day after the calendar counts as its last day; a code of the calendar that the book lacks is not unknown."""
    assert found(books["us"], ("Z97.4", {"day": "2031-01-01"})) == {"principal-unacceptable"}
    assert found(books["us"], ("M54.5", {"day": "2020-01-01"})) == set()
    assert found(books["us"], ("M54.5", {"day": "2022-01-01"})) == {"unknown"}


def test_severity_follows_the_note(books: dict[str, CodeBook]) -> None:
    by_rule = {f.rule: f.severity for f in judged(books["us"], "B96.20 N39.0")}
    assert by_rule["principal-use-additional"] is Severity.ERROR
    assert {f.severity for f in judged(books["us"], "N39.0")} == {Severity.ADVICE}
    assert {f.severity for f in judged(books["us"], "I11.0")} == {Severity.WARNING}


def test_an_asterisk_code_with_a_disease_the_book_never_pairs_it_with(books: dict[str, CodeBook]) -> None:
    found_here = [f for f in judged(books["cn"], "I10.x00 G63.200*") if f.rule == "asterisk-alone"]
    assert [f.severity for f in found_here] == [Severity.WARNING]
    assert "E11" in found_here[0].message


@given(st.lists(st.sampled_from(sorted(WORDS)), max_size=9), st.lists(st.sampled_from(sorted(OPERATIONS)), max_size=3))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_record_is_judged(books: dict[str, CodeBook], diagnoses: list[str], procedures: list[str]) -> None:
    """Whatever the record: no failure, the same findings each time, about codes of the record only."""
    text = f"{' '.join(diagnoses)} - {' '.join(procedures)}"
    once = judged(books["us"], text, day="2026-01-01", age=70, sex="female", inpatient=True)
    assert once == judged(books["us"], text, day="2026-01-01", age=70, sex="female", inpatient=True)
    assert {code for finding in once for code in finding.codes} <= {*diagnoses, *procedures}
