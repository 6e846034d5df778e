"""Front pages → files: CSV in a layout, a workbook for people, JSON lines, a plain list of codes.

    frontpage-csv    a layout's row a stay (or a file for each of its nodes), what does not fit in OUT.overflow.csv
    frontpage-xlsx   sheets 诊断, 手术, 提示 for people (extra ``excel``)
    frontpage-json   a page a line: as it is, or in a layout
    codes-csv        a code a line, for any system

Pages are written as they come; memory stays flat. A file appears under its name when it is whole, never before. A cell
that a spreadsheet would take for a formula is written as text: in CSV behind an apostrophe (:func:`guarded`), in the
workbook as a string. Characters that no encoding has (lone surrogates) and a workbook refuses (controls) become U+FFFD.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Protocol

from jointcoder.errors import InputError, UsageError, name_list
from jointcoder.exchange.frontpage import STEP, FrontPage, PageDiagnosis, page_data
from jointcoder.exchange.frontpage_layout import Layout, Overflow
from jointcoder.exchange.workbook import CELL, Sheet, Workbook, encodable
from jointcoder.records import Finding, Flag

FORMATS = ("frontpage-csv", "frontpage-xlsx", "frontpage-json", "codes-csv")
ENCODINGS = ("utf-8-sig", "gb18030", "utf-8")
CODES = ("encounter", "kind", "rank", "place", "system", "code", "name", "present_on_admission", "grade", "category")

_FORMULA = re.compile(r"[=+\-@\t\r]")
_PLAIN = re.compile(r"[+-][\d .,()-]*", re.ASCII)  # a number, a telephone number, the lone minus that means "none"


@dataclass(frozen=True)
class Speech:
    """How remarks are worded for people: a flag; a finding's severity, what it says and recommends."""

    flag: Callable[[Flag], str] = lambda flag: flag.message
    finding: Callable[[Finding], tuple[str, str, str]] = lambda one: (one.severity.value, one.message, one.remedy)


class Writer(Protocol):
    """Takes pages, one by one."""

    def add(self, page: FrontPage) -> tuple[Flag, ...]:
        """Write a page. The flags are what had to be done to it."""
        ...


@contextmanager
def writer(
    form: str,
    out: Path,
    *,
    layout: Layout | None = None,
    encoding: str = "utf-8-sig",
    speech: Speech | None = None,
) -> Iterator[Writer]:
    """The writer of one of :data:`FORMATS`. UsageError JC001 for an unknown one, JC002 without what a workbook needs;
    InputError JC148 where the files cannot be written: then those that were there stay."""
    if form not in FORMATS:
        raise UsageError(
            "JC001",
            f"--to: unknown format {form!r}",
            hint=f"known: {name_list((*FORMATS, 'fhir', 'hl7', 'hl7-bar', 'parquet', 'xlsx'))}",
        )
    if encoding not in ENCODINGS:
        raise UsageError("JC001", f"--encoding: unknown encoding {encoding!r}", hint=f"known: {name_list(ENCODINGS)}")
    with Files(encoding) as files:
        if form == "frontpage-xlsx":
            book = _Workbook(files.path(out), speech or Speech())
            files.at_end(book.save)
            yield book
        elif form == "frontpage-json":
            yield _JsonLines(files, out, layout)
        elif form == "codes-csv":
            yield _Codes(files, out)
        else:
            yield _Table(files, out, layout or Layout.find("hqms"))


class Files:
    """Files that are being written beside their names, and take them when all is done."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self._stack = ExitStack()
        self._parts: dict[Path, Path] = {}
        self._finish: list[Callable[[], None]] = []

    def path(self, out: Path) -> Path:
        """The name under which ``out`` is written for the time being. InputError JC148."""
        part = self._parts[out] = out.with_name(f".{out.name}.part")
        try:
            part.touch()
        except OSError as error:
            raise _unwritable(out, error) from None
        return part

    def open(self, out: Path, *, encoding: str | None = None) -> IO[str]:
        """A text file that will be ``out``. InputError JC148."""
        file = self.path(out).open("w", encoding=encoding or self.encoding, newline="")
        return self._stack.enter_context(file)

    def at_end(self, finish: Callable[[], None]) -> None:
        """Something to be done before the files take their names."""
        self._finish.append(finish)

    def __enter__(self) -> Files:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *trace: object) -> None:
        try:
            if isinstance(error, OSError):  # the disk was full while rows were written
                self._stack.close()
                raise error
            if kind is None:
                for finish in self._finish:
                    finish()
            self._stack.close()
            if kind is None:
                for out, part in self._parts.items():
                    part.replace(out)
        except OSError as refused:
            raise _unwritable(next(iter(self._parts)), refused) from None
        finally:
            for part in self._parts.values():
                part.unlink(missing_ok=True)


def _unwritable(out: Path, error: OSError) -> InputError:
    return InputError("JC148", f"{out}: {error.strerror or type(error).__name__}")


# ------------------------------------------------------------------------------------------------------------- cells


def guarded(text: str) -> str:
    """A cell of CSV that no spreadsheet takes for a formula: an apostrophe before ``=``, ``+``, ``-`` or ``@``, but not
    before a number. What begins with an apostrophe gets another, so that :func:`unguarded` gives the text back."""
    risky = text.startswith("'") or (_FORMULA.match(text) and not _PLAIN.fullmatch(text))
    return f"'{text}" if risky else text


def unguarded(cell: str) -> str:
    """The text of a cell of CSV."""
    return cell[1:] if cell.startswith("'") else cell


class _Csv:
    """One CSV file, opened at its first row."""

    def __init__(self, files: Files, out: Path, header: Sequence[str]) -> None:
        self._files, self._out, self._header = files, out, list(header)
        self._rows: Any = None

    @property
    def begun(self) -> bool:
        return self._rows is not None

    def begin(self) -> None:
        """Open the file and write its header, if that is not done."""
        if self._rows is None:
            self._rows = csv.writer(self._files.open(self._out))
            self._rows.writerow(self._header)

    def add(self, cells: Sequence[str]) -> bool:
        """Write a row; whether characters had to be replaced."""
        self.begin()
        clean = [encodable(cell) for cell in cells]
        self._rows.writerow([guarded(cell) for cell in clean])
        return clean != list(cells)


def _replaced(page: FrontPage, replaced: bool) -> tuple[Flag, ...]:
    message = f"record {page.encounter}: characters without meaning were written as U+FFFD"
    return (Flag(code="JC143", step=STEP, message=message),) if replaced else ()


# ----------------------------------------------------------------------------------------------------------- formats


class _Table:
    """A layout as CSV: its one row a stay, or a file for each node, where the record's id stands first."""

    def __init__(self, files: Files, out: Path, layout: Layout) -> None:
        self._layout = layout
        self._tables = {}
        for node, names in layout.names.items():
            if node:
                place = out.with_name(f"{out.stem}.{node}{out.suffix or '.csv'}")
                self._tables[node] = _Csv(files, place, ("id", *names))
            else:
                self._tables[node] = _Csv(files, out, names)
        for table in self._tables.values():
            table.begin()
        header = [field.name for field in fields(Overflow)]
        overflow = out.with_name(f"{out.stem}.overflow.csv")
        self._overflow = _Csv(files, overflow, header)
        files.at_end(lambda: None if self._overflow.begun else overflow.unlink(missing_ok=True))  # of an earlier run

    def add(self, page: FrontPage) -> tuple[Flag, ...]:
        filled = self._layout.fill(page)
        replaced = False
        for node, rows in filled.nodes.items():
            names = self._layout.names[node]
            for row in rows:
                cells = [row.get(name, "") for name in names]
                replaced |= self._tables[node].add([page.encounter, *cells] if node else cells)
        for one in filled.overflow:
            replaced |= self._overflow.add([str(getattr(one, field.name)) for field in fields(Overflow)])
        return filled.flags + _replaced(page, replaced)


class _Codes:
    """A code a line; stable English headings, for programs."""

    def __init__(self, files: Files, out: Path) -> None:
        self._table = _Csv(files, out, (*CODES, "confidence", "edition"))
        self._table.begin()
        self._letters = {number: letter for letter, (number, _) in page_data()["admission"].items()}

    def add(self, page: FrontPage) -> tuple[Flag, ...]:
        replaced = False
        for rank, one in enumerate(page.diagnoses, start=1):
            admission = self._letters.get(one.admission, "")
            cells = ["diagnosis", str(rank), one.place, one.system, one.code, one.name, admission, "", ""]
            replaced |= self._table.add([page.encounter, *cells, f"{one.confidence:.4f}", page.edition])
        for rank, done in enumerate(page.procedures, start=1):
            place = "main" if done.main else "other"
            grade = "" if done.grade is None else str(done.grade)
            cells = ["procedure", str(rank), place, done.system, done.code, done.name, "", grade, done.category]
            replaced |= self._table.add([page.encounter, *cells, f"{done.confidence:.4f}", page.edition])
        return _replaced(page, replaced)


class _JsonLines:
    """A page a line: :class:`FrontPage` as it is, or what a layout makes of it with its overflow and flags."""

    def __init__(self, files: Files, out: Path, layout: Layout | None) -> None:
        self._layout = layout
        self._file = files.open(out, encoding="utf-8")

    def add(self, page: FrontPage) -> tuple[Flag, ...]:
        flags: tuple[Flag, ...] = ()
        value: dict[str, Any]
        if self._layout is None:
            value = page.model_dump(mode="json")
        else:
            filled = self._layout.fill(page)
            flags = filled.flags
            nodes = {"row": filled.row} if self._layout.form == "row" else dict(filled.nodes)
            value = {"encounter": page.encounter, "layout": self._layout.id, **nodes}
            value["overflow"] = [{f.name: getattr(one, f.name) for f in fields(Overflow)} for one in filled.overflow]
            value["flags"] = [flag.model_dump(mode="json") for flag in (*page.flags, *flags)]
        text = json.dumps(value, ensure_ascii=False)
        clean = encodable(text)
        self._file.write(clean + "\n")
        return flags + _replaced(page, clean != text)


class _Workbook:
    """The workbook for people."""

    def __init__(self, part: Path, speech: Speech) -> None:
        self._words = page_data()["workbook"]
        self._speech = speech
        self._book = Workbook(part, instead="frontpage-csv")
        self._sheets = {name: self._sheet(name) for name in ("diagnoses", "procedures", "remarks")}

    def add(self, page: FrontPage) -> tuple[Flag, ...]:
        self._book.cut = self._book.odd = False
        for rank, one in enumerate(page.diagnoses, start=1):
            self._diagnosis(page, rank, one)
        data = page_data()
        for rank, done in enumerate(page.procedures, start=1):
            kind = self._words["yes" if done.main else "no"]
            grade, category = data["grade"].get(str(done.grade), ""), data["category"].get(done.category, "")
            given = (done.given.get("date", ""), done.given.get("surgeon", ""))
            cells = (
                page.encounter,
                rank,
                kind,
                done.code,
                done.name,
                grade,
                category,
                *given,
                round(done.confidence, 3),
            )
            self._sheets["procedures"].append(cells)
        self._remarks(page)
        if page.fields and "fields" not in self._sheets:
            self._sheets["fields"] = self._sheet("fields")
        for name, value in page.fields.items():
            self._sheets["fields"].append((page.encounter, name, value))
        flags = _replaced(page, self._book.odd)
        if self._book.cut:
            message = f"record {page.encounter}: a text longer than {CELL:,} characters was cut in the workbook"
            flags += (Flag(code="JC147", step=STEP, message=message),)
        return flags

    def save(self) -> None:
        """Write the file."""
        self._book.save()

    def _diagnosis(self, page: FrontPage, rank: int, one: PageDiagnosis) -> None:
        words = self._words
        kind = {"main": words["yes"], "other": words["no"]}.get(one.place) or words[one.place]
        names = {number: f"{number} {word}" for number, word in page_data()["admission"].values()}
        admission = names.get(one.admission, "")
        self._sheets["diagnoses"].append(
            (page.encounter, rank, kind, one.code, one.name, admission, round(one.confidence, 3))
        )

    def _remarks(self, page: FrontPage) -> None:
        say = self._speech
        for flag in page.flags:
            self._sheets["remarks"].append((page.encounter, flag.code, "", say.flag(flag), "", "", ""))
        for finding in page.findings:
            severity, message, remedy = say.finding(finding)
            cells = (finding.rule, severity, message, ", ".join(finding.codes), remedy, finding.citation)
            self._sheets["remarks"].append((page.encounter, *cells))

    def _sheet(self, name: str) -> Sheet:
        return self._book.sheet(self._words[name]["title"], self._words[name]["columns"])
