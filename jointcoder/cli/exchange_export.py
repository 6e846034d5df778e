"""``jointcoder exchange export``: coded records as front pages, in a reporting layout, a workbook, JSON lines or CSV,
as FHIR Bundles, as a Parquet table or a workbook of their codes.

The records are what ``jointcoder code --json`` prints; ``--encounters`` is the file that was coded: its administrative
fields, sex, age and dates go to the page as they came. What a layout has no place for lies beside it in
``OUT.overflow.csv``. Exit code 4 when a line held no coded record; the others are out.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jointcoder.cli import common, language
from jointcoder.cli.incoming import Tally, records
from jointcoder.errors import CATALOGUE, InputError, JointCoderError, name_list

if TYPE_CHECKING:
    from jointcoder.codebook.book import CodeBook
    from jointcoder.exchange.frontpage_write import Speech
    from jointcoder.records import CodedRecord, Encounter, Flag

FHIR = "fhir"
PARQUET, WORKBOOK = "parquet", "xlsx"
NAMED = 5  # records that a summary line names
CHINESE = "zh"
"""The language of a front page, whatever that of the terminal."""


def export(
    file: Annotated[str, typer.Argument(help="Coded records: what `jointcoder code --json` printed; - reads stdin.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            "--format",
            help="frontpage-csv, frontpage-xlsx, frontpage-json, codes-csv, fhir, hl7, hl7-bar, parquet or xlsx.",
        ),
    ] = "frontpage-csv",
    layout: Annotated[
        str | None, typer.Option(help="hqms, hqms-tcm, settlement or a TOML file; frontpage-csv: hqms by default.")
    ] = None,
    encounters: Annotated[
        Path | None, typer.Option(help="The file that was coded: gives the administrative fields.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="TOML file that says what the columns of that file mean.")
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="Name or number of a sheet of it.")] = None,
    book: Annotated[str | None, typer.Option(help="Code book for grades and names; default: the records' own.")] = None,
    encoding: Annotated[str, typer.Option(help="Of CSV: utf-8-sig, gb18030 or utf-8.")] = "utf-8-sig",
    check: Annotated[bool, typer.Option("--check", help="fhir: hold every Bundle against the models of R4B.")] = False,
    drg: Annotated[bool, typer.Option("--drg", help="hl7: with the DRG preview, where a record groups.")] = False,
    time: Annotated[
        dt.datetime | None, typer.Option(help="hl7: when the messages were made (UTC); default: now.")
    ] = None,
) -> None:
    """Write coded records as front pages (病案首页), as lists of codes, as FHIR, or as HL7 v2."""
    from jointcoder.exchange.frontpage import front_page
    from jointcoder.exchange.frontpage_layout import Layout
    from jointcoder.exchange.frontpage_write import writer
    from jointcoder.exchange.hl7_files import FORMATS as HL7

    chosen = Layout.find(layout) if layout else None
    known = _known(encounters, mapping, sheet, whole=to == FHIR) if encounters else {}
    tally, remarks = Tally(), Remarks()
    if to == FHIR:
        _as_fhir(_records(file, encounters, known, tally), out, check, tally, remarks)
        return
    if to in HL7:
        made = time.replace(tzinfo=dt.UTC) if time else dt.datetime.now(dt.UTC)
        _as_hl7(_records(file, encounters, known, tally), out, to, made, drg, tally, remarks)
        return
    if to in (PARQUET, WORKBOOK):
        _as_codes(_records(file, encounters, known, tally), out, to, tally, remarks)
        return
    book_of = _books(book)
    names = CHINESE if to != "codes-csv" else None if language.current() == language.ENGLISH else language.current()
    with writer(to, out, layout=chosen, encoding=encoding, speech=_speech()) as target:
        for record, encounter, new in _records(file, encounters, known, tally):
            page = front_page(record, encounter=encounter, book=book_of(record), language=names)
            flags = target.add(page)
            remarks.add(record.encounter, [*flags, *new, *page.flags[len(record.flags) :]])
            tally.done += 1
    remarks.say()
    tally.close("written")


def _as_hl7(
    found: Iterator[tuple[CodedRecord, Encounter | None, tuple[Flag, ...]]],
    out: Path,
    to: str,
    made: dt.datetime,
    drg: bool,
    tally: Tally,
    remarks: Remarks,
) -> None:
    from jointcoder.exchange.hl7_files import hl7_writer

    with hl7_writer(out, to, recorded=made, group=drg) as target:
        for record, encounter, new in found:
            try:
                target.add(record, encounter)
            except InputError as error:
                tally.fails(InputError(error.code, f"record {record.encounter}: {error.message}", hint=error.hint))
                continue
            remarks.add(record.encounter, new)
            tally.done += 1
    remarks.say()
    tally.close("written")


def _as_fhir(
    found: Iterator[tuple[CodedRecord, Encounter | None, tuple[Flag, ...]]],
    out: Path,
    check: bool,
    tally: Tally,
    remarks: Remarks,
) -> None:
    from jointcoder.exchange.fhir_files import fhir_writer

    with fhir_writer(out, check=check) as target:
        for record, encounter, new in found:
            target.add(record, encounter)
            remarks.add(record.encounter, new)
            tally.done += 1
    remarks.say()
    tally.close("written")


def _as_codes(
    found: Iterator[tuple[CodedRecord, Encounter | None, tuple[Flag, ...]]],
    out: Path,
    to: str,
    tally: Tally,
    remarks: Remarks,
) -> None:
    from jointcoder.exchange.coded_workbook import workbook_writer
    from jointcoder.exchange.parquet_coded import parquet_writer

    with parquet_writer(out) if to == PARQUET else workbook_writer(out, language=language.current()) as target:
        for record, _, new in found:
            remarks.add(record.encounter, [*target.add(record), *new])
            tally.done += 1
    remarks.say()
    tally.close("written")


def _records(
    file: str, encounters: Path | None, known: Mapping[str, Encounter], tally: Tally
) -> Iterator[tuple[CodedRecord, Encounter | None, tuple[Flag, ...]]]:
    """The records with their encounters, where they are known, and the flags that they got here; what is no record is
    counted."""
    from jointcoder.exchange.coded_records import read_coded
    from jointcoder.exchange.source import Source

    source = Source.of(sys.stdin.buffer.read(), name="standard input") if file == "-" else Source.of(Path(file))
    with common.progress("writing", None) as advance:
        for line in read_coded(source):
            advance(1)
            if line.record is None:
                assert line.error is not None
                tally.fails(line.error)
                continue
            record = line.record
            new: tuple[Flag, ...] = ()
            encounter = known.get(record.encounter)
            if encounters and encounter is None:
                record = _flagged(record, f"{encounters.name} does not hold record {record.encounter}")
                new = record.flags[len(line.record.flags) :]
            yield record, encounter, new


def _speech() -> Speech:
    """The workbook is Chinese, whatever the language at the terminal."""
    from jointcoder.exchange.frontpage_write import Speech

    return Speech(
        flag=lambda flag: language.meaning(flag.code, flag.message, language=CHINESE),
        finding=lambda one: (
            language.severity_text(one, language=CHINESE),
            language.finding_text(one, language=CHINESE),
            language.remedy_text(one, language=CHINESE),
        ),
    )


def _flagged(record: CodedRecord, message: str) -> CodedRecord:
    from jointcoder.records import Flag

    return record.model_copy(update={"flags": (*record.flags, Flag(code="JC142", step="export", message=message))})


def _known(file: Path, mapping: Path | None, sheet: str | None, *, whole: bool) -> dict[str, Encounter]:
    """Id → what is known of the encounter; its documents are kept only with ``whole``."""
    from jointcoder.records import Document

    nothing = (Document(id="0", text=""),)
    found: dict[str, Encounter] = {}
    for incoming in records(str(file), mapping=mapping, sheet=sheet, limit=None):
        if incoming.encounter is None:
            assert incoming.error is not None
            common.warn(incoming.error.code, incoming.error.message)
            continue
        left_out = {"documents": nothing, "sections": ()}
        kept = incoming.encounter if whole else incoming.encounter.model_copy(update=left_out)
        found.setdefault(incoming.encounter.id, kept)
    return found


def _books(name: str | None) -> Callable[[CodedRecord], CodeBook | None]:
    """The book of a record: the one named, else the one it was coded by; None where that is not installed."""
    from jointcoder.codebook.store import open_book
    from jointcoder.settings import Settings

    settings = Settings.load()
    if name:
        named = open_book(settings, name)
        return lambda record: named
    opened: dict[str, CodeBook | None] = {}

    def book_of(record: CodedRecord) -> CodeBook | None:
        id = record.versions.code_book
        if id and id not in opened:
            try:
                opened[id] = open_book(settings, id)
            except JointCoderError as error:
                common.warn(error.code, f"{error.message}; the pages have no grades of procedures")
                opened[id] = None
        return opened.get(id)

    return book_of


class Remarks:
    """Flags of all records, said by code in the end."""

    def __init__(self) -> None:
        self._records: dict[str, list[str]] = {}
        self._first: dict[str, str] = {}
        self._times: Counter[str] = Counter()

    def add(self, record: str, flags: Iterable[Flag]) -> None:
        """Those of one record."""
        for flag in flags:
            self._first.setdefault(flag.code, flag.message)
            self._times[flag.code] += 1
            named = self._records.setdefault(flag.code, [])
            if record not in named and len(named) < NAMED:
                named.append(record)

    def say(self) -> None:
        """One line a code: the message where it is one record's, the count and some records where it is several'."""
        for code, times in sorted(self._times.items()):
            named = self._records[code]
            if times == 1:
                common.warn(code, f"record {named[0]}: {language.text(self._first[code])}")
                continue
            counted = f"{times} records ({name_list(named)}{' …' if times > NAMED else ''})"
            english = language.current() == language.ENGLISH
            common.warn(code, f"{CATALOGUE[code]}: {counted}" if english else counted)
