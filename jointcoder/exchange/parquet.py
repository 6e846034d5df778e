"""Parquet files → encounters: flat columns as a table's, nested ones that bear our names as JSON records.

    holds_records(source)   whether the columns are those of our records: documents, sections, patient, codes, fields
    records(source, seen)   those, one by one
    table(source)           else a :class:`Table`, whose columns are recognised or mapped as those of CSV and Excel

Rows come in batches of :data:`BATCH`, so that memory does not grow with the file (a row group's pages are unpacked as
they are read). Of other nested or binary columns a table holds nothing. Where a row group is damaged, what stands
before the damage is handed out, then an error in the place of the rest of the group (JC180), then the other groups.
Needs the extra ``parquet``.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from jointcoder.errors import InputError, UsageError
from jointcoder.exchange.columns import recognise
from jointcoder.exchange.delimited import Row
from jointcoder.exchange.incoming import Incoming, Place, failed
from jointcoder.exchange.json_records import record
from jointcoder.exchange.rows import Seen
from jointcoder.exchange.sheets import Table
from jointcoder.exchange.source import Source
from jointcoder.exchange.values import text_of
from jointcoder.records import Encounter

log = logging.getLogger(__name__)

BATCH = 64  # rows: notes may be long
NESTED = {  # our nested columns, and the shapes they come in
    "documents": ("list of structs",),
    "sections": ("struct", "map", "list of structs"),
    "patient": ("struct",),
    "codes": ("list of structs",),
    "fields": ("struct", "map"),
}
_DAYS = ("admitted", "discharged")
_OWN = {*Encounter.model_fields, *NESTED, "text", "lang"}
_RESAVE = "export it again"


@contextmanager
def opened(source: Source) -> Iterator[Any]:
    """The file as pyarrow reads it. InputError JC180 (damaged, protected, or none), JC107; UsageError JC002."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        hint = "install it with `pip install 'jointcoder[parquet]'`"
        raise UsageError("JC002", f"{source.name}: the extra 'parquet' reads such files", hint=hint) from None
    with ExitStack() as stack:
        file = stack.enter_context(source.open())
        try:
            yield stack.enter_context(parquet.ParquetFile(file, pre_buffer=False))
        except (pyarrow.ArrowException, OSError) as error:
            raise _unreadable(source, error) from None


def _unreadable(source: Source, error: Exception) -> InputError:
    """What pyarrow says may quote the file: only what kind of thing it was is said."""
    if source.head.startswith(b"PARE") or "encrypt" in str(error).casefold():
        hint = "decrypt it where its keys are, and export it without encryption"
        return InputError("JC180", f"{source.name}: the Parquet file is encrypted", hint=hint)
    message = f"{source.name}: the Parquet file is damaged or none ({type(error).__name__})"
    return InputError("JC180", message, hint=_RESAVE)


def rows_in(source: Source) -> int:
    """How many rows a file holds, from its footer. Raises as :func:`opened`."""
    with opened(source) as file:
        return int(file.metadata.num_rows)


def holds_records(source: Source) -> bool:
    """Whether columns are nested and bear our names. Raises as :func:`opened`; InputError JC181 where one of them is of
    another shape."""
    with opened(source) as file:
        shapes = _shapes(source, file)
    mine = {name: shape for name, shape in shapes.items() if name in NESTED and shape in _NESTED_SHAPES}
    for name, shape in mine.items():
        if shape not in NESTED[name]:
            message = f"{source.name}: the column {name!r} is a {shape}, not a {' or a '.join(NESTED[name])}"
            raise InputError("JC181", message, hint="nested columns are as in a JSON record: docs/batch.md")
    return bool(mine)


# -------------------------------------------------------------------------------------------------- nested columns


def records(source: Source, seen: Seen) -> Iterator[Incoming]:
    """The records of a file whose nested columns bear our names; other columns are administrative. Errors of a row are
    JC106 and those of :func:`jointcoder.exchange.json_records.record`; raises as :func:`opened`, and JC101."""
    empty = True
    with opened(source) as file:
        shapes = _shapes(source, file)
        names = list(shapes)
        for row in _rows(file, names):
            empty, place = False, Place(source.name, record=row.number)
            if row.problem:
                yield failed(place, place.error(*row.problem))
            else:
                yield record(_as_json(dict(zip(names, row.cells, strict=True)), shapes), place, seen, ())
    if empty:
        raise InputError("JC101", f"{source.name} holds no record")


def _as_json(cells: Mapping[str, Any], shapes: Mapping[str, str]) -> dict[str, Any]:
    """A row as a JSON record says it; what is null is not there."""
    found: dict[str, Any] = {}
    fields = {}
    for name, cell in cells.items():
        if cell is None:
            continue
        if name not in _OWN:
            if shapes[name] == "plain" and (text := text_of(cell)) and not _personal(name):
                fields[name] = text
        elif name in _DAYS and isinstance(cell, dt.datetime):
            found[name] = cell.date().isoformat()
        elif shapes[name] == "plain":
            found[name] = cell if isinstance(cell, str) else text_of(cell)
        else:
            found[name] = _plain(dict(cell) if shapes[name] == "map" else cell)
    if isinstance(found.get("sections"), list):
        found["sections"] = [_plain(one) for one in found["sections"]]
    if fields:
        found["fields"] = {**fields, **found.get("fields", {})}
    if "fields" in found:
        found["fields"] = {name: text_of(value) for name, value in found["fields"].items()}
    return found


def _plain(value: Any) -> Any:
    """What a JSON parser would have given: nulls left out, dates as text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items() if one is not None}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool) else text_of(value)


def _personal(heading: str) -> bool:
    role = recognise(heading)
    return role is not None and role.label == "personal"


# ---------------------------------------------------------------------------------------------------- flat columns


def table(source: Source) -> Table:
    """The file as a table whose columns are named. Raises as :func:`opened`; InputError JC181: no column is flat."""
    with opened(source) as file:
        shapes = _shapes(source, file)
    names = [name for name, shape in shapes.items() if shape == "plain"]
    aside = [f"{name!r} ({shape})" for name, shape in shapes.items() if shape != "plain"]
    if not names:
        hint = "text is written as strings (UTF8); nested columns are as in a JSON record: docs/batch.md"
        raise InputError("JC181", f"{source.name}: no column that can be taken: {', '.join(aside)}", hint=hint)
    for one in aside:
        log.warning("JC181 %s: left aside: the column %s", source.name, one)
    return Table(Place(source.name), _table_rows(source, names), named=tuple(names))


def _table_rows(source: Source, names: Sequence[str]) -> Iterator[Row]:
    with opened(source) as file:
        for row in _rows(file, names):
            cells = tuple("" if cell is None else _cell(cell) for cell in row.cells)
            yield Row(row.number, cells, row.problem)


def _rows(file: Any, names: Sequence[str]) -> Iterator[Row]:
    """The rows of the columns, numbered from 1, as Python has their cells. A problem is JC106, or JC180 for all rows
    from there to the end of a group."""
    from pyarrow import ArrowException

    first = 0
    for group in range(file.num_row_groups):
        number, last = first, first + file.metadata.row_group(group).num_rows
        try:
            for batch in file.iter_batches(BATCH, row_groups=[group], columns=list(names), use_threads=False):
                columns = {name: _values(batch.column(name)) for name in names}
                for cells in zip(*columns.values(), strict=True):
                    number += 1
                    bad = next((cell for cell in cells if isinstance(cell, _Bad)), None)
                    yield Row(number, cells) if bad is None else Row(number, problem=(bad.code, bad.words))
        except (ArrowException, OSError) as error:
            problem = f"the file is damaged from here to record {last} ({type(error).__name__})"
            yield Row(number + 1, problem=("JC180", problem))
        first = last


@dataclass(frozen=True, slots=True)
class _Bad:
    """A cell that Python cannot hold, and why."""

    code: str
    words: str


def _values(column: Any) -> list[Any]:
    """The cells of a column; a moment to the microsecond, which is as fine as Python's."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    elif pa.types.is_time64(column.type):
        column = column.cast(pa.time64("us"), safe=False)
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_value(cell) for cell in column]


def _value(cell: Any) -> Any:
    try:
        return cell.as_py()
    except UnicodeDecodeError:
        return _Bad("JC106", "characters that the file's encoding does not have")
    except (ValueError, OverflowError):
        return _Bad("JC181", "a value beyond what can be taken")


def _cell(cell: Any) -> Any:
    """As a spreadsheet would hold it."""
    if isinstance(cell, str | bool | int | float | dt.date | dt.time | dt.timedelta):  # a datetime is a date
        return cell.replace(tzinfo=None) if isinstance(cell, dt.datetime) else cell
    return text_of(cell)  # decimals


# ----------------------------------------------------------------------------------------------------------- types

_NESTED_SHAPES = ("struct", "map", "list", "list of structs")


def _shapes(source: Source, file: Any) -> dict[str, str]:
    """Column → shape. InputError JC181 where two columns have one name."""
    fields = list(file.schema_arrow)
    shapes = {field.name: _shape(field.type) for field in fields}
    if len(shapes) < len(fields):
        raise InputError("JC181", f"{source.name}: two columns have the same name", hint=_RESAVE)
    return shapes


def _shape(type_: Any) -> str:
    """``plain``, or what keeps a column from being one of a table."""
    from pyarrow import types

    if types.is_dictionary(type_):
        return _shape(type_.value_type)
    if types.is_map(type_):
        return "map"
    if types.is_struct(type_):
        return "struct"
    if types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_):
        return "list of structs" if types.is_struct(type_.value_type) else "list"
    texts = (types.is_string(type_), types.is_large_string(type_), types.is_string_view(type_))
    figures = (types.is_integer(type_), types.is_floating(type_), types.is_decimal(type_), types.is_boolean(type_))
    times = (types.is_date(type_), types.is_timestamp(type_), types.is_time(type_), types.is_null(type_))
    return "plain" if any((*texts, *figures, *times)) else str(type_).split("[")[0]
