"""Coded records ↔ a Parquet table of codes, a row a code, for a data warehouse.

    with parquet_writer(Path("codes.parquet")) as target: target.add(record)
    for line in read_parquet(Source.of(Path("codes.parquet"))): line.record

The columns are :func:`schema`; they change only with :data:`VERSION`, which stands in the file's metadata beside what
made the records (``jointcoder.versions``: a list, to which the column ``made_by`` points). A record without codes is
one row whose code is null, so that no encounter is missing; the flags of a record stand on its first row. ``record``
numbers the records, whose rows follow one another. What is read back are codes, evidence, flags and versions; findings,
suggestions, cost and trace stay in the JSON. Rows are written in groups of :data:`GROUP`. Needs the extra ``parquet``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jointcoder.errors import InputError, UsageError
from jointcoder.exchange.coded_records import CodedLine
from jointcoder.exchange.frontpage_write import Files
from jointcoder.exchange.incoming import STEP, Place
from jointcoder.exchange.parquet import opened
from jointcoder.exchange.source import Source
from jointcoder.exchange.workbook import encodable
from jointcoder.records import CodedRecord, Flag, Versions
from jointcoder.version import __version__

VERSION = 1
GROUP = 5_000  # rows
AT_ONCE = 500  # rows that are read together
MARK, MADE, PROGRAM = "jointcoder.coded_records", "jointcoder.versions", "jointcoder.program"
_PLAIN = ("role", "rank", "system", "code", "name", "confidence", "assertion", "present_on_admission")
_NESTED = ("evidence", "mentions", "links", "checks", "verdicts", "reasons", "order", "stages")


def schema() -> Any:
    """The columns: of the record, of the code, and of what stands behind it."""
    import pyarrow as pa

    def listed(**fields: Any) -> Any:
        return pa.list_(pa.struct(list(fields.items())))

    text, whole, real = pa.string(), pa.int32(), pa.float64()
    reasons = listed(feature=text, value=real, weight=real)
    checks = listed(rule=text, severity=text, codes=pa.list_(text), message=text, citation=text, remedy=text)
    columns = {
        "record": pa.field("record", pa.int64(), nullable=False),
        "encounter": pa.field("encounter", text, nullable=False),
        "language": text,
        "kind": text,
        "role": text,
        "rank": whole,
        "system": text,
        "code": text,
        "name": text,
        "confidence": real,
        "assertion": text,
        "present_on_admission": text,
        "evidence": listed(document=whole, start=whole, end=whole, quote=text),
        "mentions": pa.list_(text),
        "links": listed(relation=text, system=text, code=text),
        "checks": checks,
        "verdicts": listed(step=text, question=text, answer=text, probability=real, by=text),
        "reasons": reasons,
        "order": reasons,
        "stages": pa.list_(text),
        "flags": listed(code=text, step=text, message=text),
        "made_by": whole,
    }
    fields = [one if isinstance(one, pa.Field) else pa.field(name, one) for name, one in columns.items()]
    return pa.schema(fields, metadata={MARK: str(VERSION), PROGRAM: __version__})


@contextmanager
def parquet_writer(out: Path) -> Iterator[ParquetRecords]:
    """Takes records, one by one; the file appears under its name when it is whole. UsageError JC002 without pyarrow,
    InputError JC148 where the file cannot be written."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise UsageError("JC002", "writing Parquet needs pyarrow", hint="install jointcoder[parquet]") from None
    with Files("utf-8") as files, parquet.ParquetWriter(files.path(out), schema(), compression="zstd") as writer:
        target = ParquetRecords(writer)
        yield target
        target.finish()


class ParquetRecords:
    """See :func:`parquet_writer`."""

    def __init__(self, writer: Any) -> None:
        self._writer, self._rows = writer, list[dict[str, Any]]()
        self._made: dict[str, int] = {}
        self._records = 0

    def add(self, record: CodedRecord) -> tuple[Flag, ...]:
        """Write a record. A flag (JC143) says where characters that no encoding has became U+FFFD."""
        made = self._made.setdefault(record.versions.model_dump_json(), len(self._made))
        self._records += 1
        rows = rows_of(record, number=self._records, made_by=made)
        clean = _encodable(rows)
        self._rows += clean
        if len(self._rows) >= GROUP:
            self._write()
        message = f"record {record.encounter}: characters without meaning were written as U+FFFD"
        return () if clean == rows else (Flag(code="JC143", step=STEP, message=encodable(message)),)

    def finish(self) -> None:
        """Write what is left, and what made the records."""
        self._write()
        self._writer.add_key_value_metadata({MADE: f"[{','.join(self._made)}]"})

    def _write(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=schema()), row_group_size=GROUP)
            self._rows = []


def rows_of(record: CodedRecord, *, number: int, made_by: int) -> list[dict[str, Any]]:
    """The rows of a record, in the order of its codes."""
    of_all = {"record": number, "encounter": record.encounter, "language": record.language, "made_by": made_by}
    rows: list[dict[str, Any]] = []
    for code in record.codes:
        value = code.model_dump(mode="json")
        rows.append({**of_all, "kind": code.kind.value, **{name: value[name] for name in (*_PLAIN, *_NESTED)}})
    rows = rows or [of_all]
    rows[0]["flags"] = [flag.model_dump(mode="json") for flag in record.flags]
    return rows


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, list):
        return [_encodable(one) for one in value]
    return {name: _encodable(one) for name, one in value.items()} if isinstance(value, dict) else value


# ------------------------------------------------------------------------------------------------------ reading back


def read_parquet(source: Source) -> Iterator[CodedLine]:
    """The records of such a file. InputError JC182 for another one, JC180 and as :func:`opened`; a row that holds no
    code is an error of its record (JC141)."""
    with opened(source) as file:
        made = _versions(source, file)
        rows = (row for batch in file.iter_batches(AT_ONCE, use_threads=False) for row in batch.to_pylist())
        for number, (_, of_record) in enumerate(groupby(rows, key=lambda row: row["record"]), start=1):
            yield _record(list(of_record), made, Place(source.name, record=number))


def _versions(source: Source, file: Any) -> list[Versions]:
    """What made the records; InputError JC182 where the file does not say that it holds some."""
    said: Mapping[bytes, bytes] = file.metadata.metadata or {}
    version = said.get(MARK.encode(), b"").decode("ascii", "replace")
    if not version:
        message = f"{source.name}: a Parquet file, but not of coded records"
        raise InputError("JC182", message, hint="`jointcoder exchange export --to parquet` makes such files")
    try:
        missing = set(schema().names) - set(file.schema_arrow.names)
        if int(version) != VERSION or missing:
            raise ValueError(version)
        return [Versions.model_validate(one) for one in json.loads(said.get(MADE.encode(), b"[]"))]
    except ValueError:
        message = f"{source.name}: coded records of another version of the program"
        raise InputError("JC182", message, hint=f"this program reads version {VERSION}") from None


def _record(rows: Sequence[Mapping[str, Any]], made: Sequence[Versions], place: Place) -> CodedLine:
    first = rows[0]
    codes = [{name: row[name] for name in (*_PLAIN, *_NESTED)} for row in rows if row["code"] is not None]
    try:
        record = CodedRecord.model_validate(
            {
                "encounter": first["encounter"],
                "language": first["language"],
                "codes": codes,
                "flags": first["flags"] or [],
                "versions": made[first["made_by"]],
            }
        )
    except (ValidationError, IndexError, TypeError) as error:
        return CodedLine(place, error=place.error("JC141", f"no coded record ({type(error).__name__})"))
    return CodedLine(place, record=record)
