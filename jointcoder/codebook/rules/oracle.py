"""The compliance oracle: a coded record judged by the official rules, each finding with what it cites.

    oracle = Oracle(book)
    for finding in oracle.check(codes, on=date, patient=patient):
        print(finding.rule, finding.message, finding.citation)

What is judged: every code by itself (`alone.py`), pairs (`pairs.py`, `sides.py`), the sequence and what may be
principal (`sequence.py`), the record as a whole (`whole.py`), the conventions of the Chinese editions
(`chinese.py`). The rules are listed in `data/en/rules/catalogue.toml`. Rules whose id begins with ``principal``
concern the principal diagnosis only. Severity: an *error* is against a rule whatever the record says, a *warning* may
be right where the record says so, *advice* is a reminder.

It knows no text and no model: whether two conditions are unrelated, or a note's "if known" is known, only the record
can tell.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.rules import alone, chinese, pairs, sequence, sides, whole
from jointcoder.codebook.rules.case import Case
from jointcoder.codebook.rules.facts import FactBook, as_number
from jointcoder.records import AssignedCode, Finding, Patient

ROOMS = (alone, pairs, sides, sequence, whole, chinese)


class Oracle:
    """The rules over one code book. Keeps what it has read of the book; safe to share between threads."""

    def __init__(self, book: CodeBook) -> None:
        self.book = book
        self._facts = FactBook(book)

    def check(
        self,
        codes: Sequence[AssignedCode],
        *,
        on: dt.date | None = None,
        patient: Patient | None = None,
        inpatient: bool | None = None,
    ) -> list[Finding]:
        """Findings about ``codes`` assigned together, in the order of :data:`ROOMS`.

        ``on``: day of discharge (default: dates are not checked). ``inpatient``: whether present-on-admission
        indicators are due (default: where at least one code has one). CodeBookError JC503 when a code's system is not
        in the book.
        """
        day = None if on is None else as_number(on)
        case = Case(self._facts, codes, on=day, patient=patient or Patient(), inpatient=inpatient)
        return [finding for room in ROOMS for finding in room.findings(case)]


def oracle(book: CodeBook) -> Oracle:
    """The oracle of a book: one for the life of the book."""
    return book.kept("rules.oracle", lambda: Oracle(book))


def check(
    book: CodeBook,
    codes: Sequence[AssignedCode],
    *,
    on: dt.date | None = None,
    patient: Patient | None = None,
    inpatient: bool | None = None,
) -> list[Finding]:
    """:meth:`Oracle.check` of the oracle of ``book``."""
    return oracle(book).check(codes, on=on, patient=patient, inpatient=inpatient)
