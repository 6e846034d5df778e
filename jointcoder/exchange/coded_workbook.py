"""Coded records → an Excel workbook: a sheet of encounters, a sheet of codes with their evidence.

    with workbook_writer(Path("night.xlsx"), language="en") as target:
        flags = target.add(record)

Rows are written as records come; memory stays flat. Texts are never formulas (:mod:`jointcoder.exchange.workbook`).
Headings are data (``data/<language>/coded_workbook.toml``); what stands below them is as in the JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jointcoder.exchange.frontpage_write import Files
from jointcoder.exchange.incoming import STEP
from jointcoder.exchange.values import data
from jointcoder.exchange.workbook import CELL, ROWS, Workbook
from jointcoder.records import AssignedCode, CodedRecord, Flag, Kind

_BETWEEN = " … "


@contextmanager
def workbook_writer(out: Path, *, language: str = "en", rows: int = ROWS) -> Iterator[CodedWorkbook]:
    """Takes records, one by one; the file appears under its name when it is whole. ``rows``: that a sheet holds.
    UsageError JC002 without openpyxl, InputError JC148 where the file cannot be written."""
    with Files("utf-8") as files:
        target = CodedWorkbook(Workbook(files.path(out), instead="parquet", rows=rows), language)
        yield target
        files.at_end(target.save)


class CodedWorkbook:
    """See :func:`workbook_writer`."""

    def __init__(self, book: Workbook, language: str) -> None:
        words = data("coded_workbook", language)
        self._book = book
        self._encounters = book.sheet(words["encounters"]["title"], words["encounters"]["columns"])
        self._codes = book.sheet(words["codes"]["title"], words["codes"]["columns"])

    def add(self, record: CodedRecord) -> tuple[Flag, ...]:
        """Write a record. The flags are what had to be done to it: JC143, JC147."""
        self._book.cut = self._book.odd = False
        principal = record.principal()
        made = record.versions
        self._encounters.append(
            (
                record.encounter,
                record.language,
                principal.code if principal else "",
                principal.name if principal else "",
                len(record.of_kind(Kind.DIAGNOSIS)),
                len(record.of_kind(Kind.PROCEDURE)),
                min((round(code.confidence, 4) for code in record.codes), default=None),
                _listed(finding.rule for finding in record.findings),
                _listed(flag.code for flag in record.flags),
                made.code_book,
                made.workflow,
                made.model,
            )
        )
        for code in record.codes:
            self._codes.append((record.encounter, *_cells(code)))
        return self._flags(record)

    def save(self) -> None:
        """Write the file."""
        self._book.save()

    def _flags(self, record: CodedRecord) -> tuple[Flag, ...]:
        flags = []
        if self._book.odd:
            message = f"record {record.encounter}: characters without meaning were written as U+FFFD"
            flags.append(Flag(code="JC143", step=STEP, message=message))
        if self._book.cut:
            message = f"record {record.encounter}: a text longer than {CELL:,} characters was cut in the workbook"
            flags.append(Flag(code="JC147", step=STEP, message=message))
        return tuple(flags)


def _cells(code: AssignedCode) -> tuple[str | float | None, ...]:
    present = code.present_on_admission
    return (
        code.rank,
        code.role.value,
        code.system.value,
        code.code,
        code.name,
        round(code.confidence, 4),
        present.value if present else "",
        code.assertion.value,
        _BETWEEN.join(span.quote for span in code.evidence),
        ", ".join(f"{span.document}:{span.start}-{span.end}" for span in code.evidence),
        _listed(finding.rule for finding in code.checks),
    )


def _listed(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))
