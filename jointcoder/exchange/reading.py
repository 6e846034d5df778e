"""The one way to read what a records department has: any file → encounters, each with its place, flags and codes.

    for incoming in read(Path("stays.xlsx")):
        if incoming.error: …        # with its place; the others go on
        else: incoming.encounter, incoming.flags, incoming.codes

    .json .jsonl .txt      encounters as this program writes them; ordinary text is one encounter
    .json .ndjson          FHIR resources: a Bundle, or a resource a line (bulk export), grouped by encounter
    .hl7                   HL7 v2 messages (ORU, MDM, ADT), grouped by visit
    .xlsx .xls .csv .tsv   one row an encounter; the columns are recognised, or named by a mapping
    .parquet               likewise; nested columns that bear our names are JSON records
    .pdf, images           one encounter a file, through the modules named in :data:`WHOLE_FILES`

What the bytes are decides where the ending is none of these. A text streams; a workbook is loaded a sheet at a time.
A wrong option or a package that is missing is raised (UsageError); all that is wrong with the data is handed out.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from jointcoder.errors import InputError, UsageError, name_list
from jointcoder.exchange import fhir_lines, hl7, json_records, parquet
from jointcoder.exchange.header import Headed, under_header
from jointcoder.exchange.incoming import Incoming, Place, failed
from jointcoder.exchange.mapping import ColumnMapping
from jointcoder.exchange.propose import Proposal, propose
from jointcoder.exchange.rows import Seen, bind, fitting
from jointcoder.exchange.sheets import Table, tables
from jointcoder.exchange.source import PARQUET_SUFFIXES, WORKBOOK_SUFFIXES, Source
from jointcoder.records import Encounter
from jointcoder.text.decode import decode

log = logging.getLogger(__name__)

TABLE_SUFFIXES = (".csv", ".tsv", *PARQUET_SUFFIXES, *WORKBOOK_SUFFIXES)
LINE_SUFFIXES = (".jsonl", ".ndjson")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class WholeFile:
    """A reader of a file that is one encounter: ``module.function(path, progress=…) -> ReadDocument`` (see
    :mod:`jointcoder.exchange.pages`), and the extra it needs."""

    module: str
    function: str
    extra: str


_PDF = WholeFile("jointcoder.exchange.pdf", "read_pdf", "pdf")
_IMAGE = WholeFile("jointcoder.exchange.ocr", "read_image", "ocr")
WHOLE_FILES = {".pdf": _PDF} | dict.fromkeys((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"), _IMAGE)
"""Endings that other modules read; they are imported when such a file comes."""


def read(
    given: Path | str | bytes,
    *,
    mapping: ColumnMapping | None = None,
    sheet: str | int | None = None,
    name: str = "",
    progress: Progress | None = None,
    seen: Seen | None = None,
) -> Iterator[Incoming]:
    """The records of a file, or of bytes that are called ``name``, in their order.

    ``mapping`` says what the columns of a table are (a text of any ending is then one); ``sheet`` is read alone, and
    overrules that of the mapping; ``progress`` is called with the pages of a document done and their number; ``seen``
    are ids that came before (:class:`~jointcoder.exchange.rows.Forgetful` tells none apart). What is wrong with the
    file as a whole is one :class:`Incoming` with an error, and so is what is wrong with a record. Raises UsageError
    JC001 or JC002.
    """
    source = Source.of(given, name=name)
    try:
        yield from _records(source, mapping, sheet, progress, seen)
    except InputError as error:
        told = error.message.startswith((source.name, str(source.path or source.name)))
        yield failed(Place(source.name), error if told else Place(source.name).of(error))


def inspect(
    given: Path | str | bytes, *, sheet: str | int | None = None, header: int | None = None, name: str = ""
) -> Iterator[Proposal]:
    """A proposal for each table of a file whose header is found, or stands in row ``header``. InputError JC121 where
    there is none, and as :func:`jointcoder.exchange.sheets.tables` raises; UsageError JC001 for a file without columns.
    """
    source = Source.of(given, name=name)
    if not _is_table(source, None) or (source.kind == "parquet" and parquet.holds_records(source)):
        hint = "JSON lines, texts, PDF files, images and Parquet files with columns of our records are read as they are"
        raise UsageError("JC001", f"{source.name} is no table: it needs no mapping", hint=hint)
    none = True
    for table in _filled(_tables(source, None, sheet)):
        headed = under_header(table, row=header)
        if headed is None:
            _left_aside(_no_header(table.place))
            continue
        none = False
        yield propose(headed)[0]
    if none:
        raise _no_header(source)


def _records(
    source: Source,
    mapping: ColumnMapping | None,
    sheet: str | int | None,
    progress: Progress | None,
    seen: Seen | None,
) -> Iterator[Incoming]:
    reader = WHOLE_FILES.get(source.suffix)
    kind = source.kind
    if reader is None and kind in ("pdf", "image") and mapping is None:
        reader = _PDF if kind == "pdf" else _IMAGE
    if reader is not None:
        yield _whole_file(source, reader, progress)
    elif kind == "parquet" and mapping is None and parquet.holds_records(source):
        yield from parquet.records(source, Seen() if seen is None else seen)
    elif mapping is None and sheet is None and kind == "text" and _holds_messages(source):
        yield from hl7.read_files([source], seen)
    elif _is_table(source, mapping):
        yield from _table_records(source, mapping, sheet, seen)
    elif sheet is not None:
        raise UsageError("JC001", f"{source.name} is no workbook and has no sheets")
    elif source.suffix in LINE_SUFFIXES:
        yield from _lines(source, seen)
    else:
        yield from _text(source)


def _holds_messages(source: Source) -> bool:
    return source.suffix not in (".json", *LINE_SUFFIXES, *TABLE_SUFFIXES) and hl7.begins(source)


def _is_table(source: Source, mapping: ColumnMapping | None) -> bool:
    if source.suffix in TABLE_SUFFIXES or source.kind in ("workbook", "parquet"):
        return True
    return mapping is not None and source.suffix not in (".json", *LINE_SUFFIXES)


def _whole_file(source: Source, reader: WholeFile, progress: Progress | None) -> Incoming:
    if source.path is None:
        raise InputError("JC102", f"{source.name} is no text", hint="name the file instead of piping it")
    try:
        module = importlib.import_module(reader.module)
    except ImportError:
        hint = f"install it with `pip install jointcoder[{reader.extra}]`"
        raise UsageError("JC002", f"{source.name}: the extra {reader.extra!r} reads such files", hint=hint) from None
    document = getattr(module, reader.function)(source.path, progress=progress)
    encounter: Encounter = document.encounter
    return Incoming(Place(source.name), id=encounter.id, encounter=encounter, flags=document.flags)


def _text(source: Source) -> Iterator[Incoming]:
    """A text is one encounter, unless it is JSON: by its ending, or because it begins like it."""
    decoded = decode(source.read())
    begin = decoded.text.lstrip()[:1]
    if begin == "{" and _is_lines(decoded.text):
        yield from _lines(replace(source, path=None, data=decoded.text.encode("utf-8")))
    elif source.suffix == ".json" or begin == "{" or (begin == "[" and _is_list(decoded.text)):
        yield from json_records.whole(decoded.text, source.name, decoded.flags)
    else:
        encounter = Encounter.from_text(decoded.text)
        yield Incoming(Place(source.name), id=encounter.id, encounter=encounter, flags=decoded.flags)


def _lines(source: Source, seen: Seen | None = None) -> Iterator[Incoming]:
    """JSON lines: FHIR resources where the first line is one, else encounters."""
    with source.lines(newline="\n") as lines:
        first = next((line for line in lines if line.strip()), "")
    return fhir_lines.read_lines(source) if fhir_lines.begins(first) else json_records.read_lines(source, seen)


def _is_lines(text: str) -> bool:
    """Whether each of the first two lines is an object of its own."""
    lines = [line for line in text.lstrip().split("\n", 2)[:2] if line.strip()]
    return len(lines) == 2 and all(line.rstrip().endswith("}") and line.lstrip().startswith("{") for line in lines)


def _is_list(text: str) -> bool:
    """Whether a text that begins with a bracket is a JSON list of objects; notes begin with brackets too."""
    return text.lstrip()[1:].lstrip().startswith("{")


# -------------------------------------------------------------------------------------------------------- tables


def _table_records(
    source: Source, mapping: ColumnMapping | None, sheet: str | int | None, known: Seen | None
) -> Iterator[Incoming]:
    notes = () if source.kind in ("workbook", "parquet") else source.encoding[1]
    seen, any_row = Seen() if known is None else known, False
    aside: list[InputError] = []
    for table in _filled(_tables(source, mapping, sheet)):
        try:
            headed, chosen = _headed(table, mapping)
            columns = bind(chosen, headed, seen)
        except InputError as error:
            aside.append(error)
            continue
        for row in headed.rows:
            any_row = True
            incoming = columns.incoming(row)
            yield replace(incoming, flags=(*notes, *incoming.flags)) if notes else incoming
    if any_row:
        for unread in aside:
            _left_aside(unread)
    elif aside:
        raise aside[0]
    else:
        raise InputError("JC101", f"{source.name} holds no record")


def _tables(source: Source, mapping: ColumnMapping | None, sheet: str | int | None) -> Iterator[Table]:
    if source.kind == "parquet":
        if sheet is not None:
            raise UsageError("JC001", f"{source.name} is no workbook and has no sheets")
        return iter((parquet.table(source),))
    if mapping is None:
        return tables(source, sheet=sheet)
    wanted = mapping.sheet if sheet is None else sheet
    return tables(source, sheet=wanted, delimiter=mapping.delimiter, quoted=mapping.quoted)


def _headed(table: Table, mapping: ColumnMapping | None) -> tuple[Headed, ColumnMapping]:
    """The table under its header, and the mapping given or proposed. InputError JC121."""
    if mapping is not None:
        enough = min(2, len(mapping.columns))
        headed = under_header(table, row=mapping.header, score=fitting(mapping), enough=enough)
        if headed is None:
            hint = "`jointcoder exchange inspect` shows the columns; `header` in a mapping names their row"
            problem = f"no row among the first with the columns {name_list(map(repr, mapping.columns))}"
            raise table.place.error("JC121", problem, hint=hint)
        return headed, mapping
    headed = under_header(table)
    if headed is None:
        raise _no_header(table.place)
    proposal, headed = propose(headed)
    if proposal.mapping is None:
        hint = "`jointcoder exchange inspect` shows what the columns were taken for; name them in a mapping"
        raise table.place.error("JC121", "no column that holds text to be coded", hint=hint)
    for remark in proposal.remarks:
        log.warning("%s: %s", table.place, remark)
    return headed, proposal.mapping


def _filled(found: Iterator[Table]) -> Iterator[Table]:
    """The tables that hold anything."""
    for table in found:
        if table.named:
            yield table
            continue
        rows = iter(table.rows)
        if (first := next((row for row in rows if not row.blank), None)) is not None:
            yield replace(table, rows=chain([first], rows))


def _no_header(place: Place | Source) -> InputError:
    name = place.name if isinstance(place, Source) else str(place)
    hint = "`jointcoder exchange inspect --header ROW` names the row; a mapping names the columns"
    return InputError("JC121", f"{name}: no row with known headings among the first rows", hint=hint)


def _left_aside(error: InputError) -> None:
    log.warning("JC129 left aside: %s", error.message)
