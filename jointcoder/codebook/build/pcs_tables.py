"""The ICD-10-PCS tables (the XML that CMS publishes) → which codes are legal, and the rows a book keeps of them.

914 tables of the first three characters; each holds rows, and a row is four axes of values: every choice of one value
an axis is a code. Equal axes are kept once. The counts the file prints (``values`` of an axis, ``codes`` of a row) are
checked. This module knows no titles and no index.
"""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jointcoder.codebook.build.files import malformed, parse_xml, text_of
from jointcoder.codebook.build.writer import Table
from jointcoder.codebook.pcs_axes import LETTERS, TABLES, label_key

ROOT = "ICD10PCS.tabular"


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a row: its title and its (value, label) pairs as printed."""

    title: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PcsTable:
    """The table of ``prefix``: its first three axes (one value each), the operation's definition, its rows."""

    prefix: str
    head: tuple[Axis, Axis, Axis]
    definition: str
    rows: tuple[tuple[Axis, ...], ...]

    def codes(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Every legal code with its seven labels."""
        first = tuple(axis.values[0][1] for axis in self.head)
        for row in self.rows:
            for choice in itertools.product(*(axis.values for axis in row)):
                yield (
                    self.prefix + "".join(value for value, _ in choice),
                    (*first, *(label for _, label in choice)),
                )


def read_tables(path: Path) -> list[PcsTable]:
    """The tables in order of their prefix. CodeBookError JC502 naming the file and the line or the table."""
    root = parse_xml(path, ROOT, "the ICD-10-PCS tables")
    tables: dict[str, PcsTable] = {}
    for number, element in enumerate(root.iterfind("pcsTable"), start=1):
        table = _table(path, element, number)
        if table.prefix in tables:
            raise malformed(path, f"the table {table.prefix} occurs twice", at=f"table {number}")
        tables[table.prefix] = table
    if not tables:
        raise malformed(path, "the file holds no tables", line=1)
    return [tables[prefix] for prefix in sorted(tables)]


def table_rows(tables: list[PcsTable]) -> list[Table]:
    """What a book keeps of the tables, as :mod:`jointcoder.codebook.pcs_axes` defines them."""
    axes: dict[Axis, int] = {}
    heads, rows = [], []
    for table in tables:
        named = itertools.chain.from_iterable((axis.title, axis.values[0][1]) for axis in table.head)
        heads.append((table.prefix, *named, table.definition))
        for number, row in enumerate(table.rows):
            rows.append((table.prefix, number, *(axes.setdefault(axis, len(axes)) for axis in row)))
    titles = [(number, axis.title) for axis, number in axes.items()]
    values = [
        (number, place, value, label, label_key(label))
        for axis, number in axes.items()
        for place, (value, label) in enumerate(axis.values)
    ]
    return [
        book_table("pcs_table", heads),
        book_table("pcs_row", rows),
        book_table("pcs_axis", titles),
        book_table("pcs_value", values),
    ]


def book_table(name: str, rows: Sequence[tuple[Any, ...]]) -> Table:
    """A table as its reader defines it, with these rows."""
    definition, *indexes = TABLES[name]
    return Table(name, definition, rows, indexes)


def _table(path: Path, element: ET.Element, number: int) -> PcsTable:
    where = f"table {number}"
    head = [_axis(path, axis, place, where) for place, axis in enumerate(element.findall("axis"), start=1)]
    if len(head) != 3 or any(len(axis.values) != 1 for axis in head):
        raise malformed(path, "a table begins with three axes of one value each", at=where)
    prefix = "".join(axis.values[0][0] for axis in head)
    where = f"table {prefix}"
    rows: list[tuple[Axis, ...]] = []
    seen: set[str] = set()
    for place, row in enumerate(element.findall("pcsRow"), start=1):
        line = f"{where}, row {place}"
        axes = tuple(_axis(path, axis, n, line) for n, axis in enumerate(row.findall("axis"), start=4))
        if len(axes) != 4:
            raise malformed(path, f"a row has four axes, here are {len(axes)}", at=line)
        codes = ["".join(choice) for choice in itertools.product(*([v for v, _ in axis.values] for axis in axes))]
        if row.get("codes") != str(len(codes)):
            raise malformed(path, f"says {row.get('codes')} codes and holds {len(codes)}", at=line)
        if not seen.isdisjoint(codes):
            twice = next(code for code in codes if code in seen)
            raise malformed(path, f"{prefix}{twice} occurs twice", at=line)
        seen.update(codes)
        rows.append(axes)
    if not rows:
        raise malformed(path, "the table has no rows", at=where)
    definition = text_of(element.findall("axis")[2].find("definition"))
    return PcsTable(prefix, (head[0], head[1], head[2]), definition, tuple(rows))


def _axis(path: Path, element: ET.Element, place: int, where: str) -> Axis:
    if element.get("pos") != str(place):
        raise malformed(path, f"expected the axis of character {place}, found {element.get('pos')}", at=where)
    values = tuple((label.get("code", ""), text_of(label)) for label in element.findall("label"))
    if element.get("values") != str(len(values)):
        raise malformed(path, f"axis {place} says {element.get('values')} values and holds {len(values)}", at=where)
    for value, label in values:
        if len(value) != 1 or value not in LETTERS:
            raise malformed(path, f"axis {place}: {value!r} is no character of ICD-10-PCS", at=where)
        if not label:
            raise malformed(path, f"axis {place}: the value {value} has no label", at=where)
    if len({value for value, _ in values}) != len(values):
        raise malformed(path, f"axis {place}: a value occurs twice", at=where)
    return Axis(text_of(element.find("title")), values)
