"""A row of a table under a mapping → one encounter with its flags and codes, or a coded error.

    bind(mapping, headed)  →  Columns  →  columns.incoming(row)

Each section becomes a document of its own whose text is the cell, untouched: offsets point into what the hospital
wrote. What is wrong with a value is a flag, and the value is left out; what makes a record unusable (no text, an id
that came before, a broken row) is an error of that record alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, TypeVar

from jointcoder.errors import InputError, name_list
from jointcoder.exchange.coded import Bound, read_codes
from jointcoder.exchange.delimited import Row
from jointcoder.exchange.header import Headed
from jointcoder.exchange.incoming import Incoming, Place, failed
from jointcoder.exchange.mapping import CodeColumns, ColumnMapping, column_letters, find
from jointcoder.exchange.sheets import Table, at_cell_limit
from jointcoder.exchange.values import age_on, is_error, is_rounded, read_age, read_date, read_sex, text_of
from jointcoder.records import Document, Encounter, Flag, Patient

T = TypeVar("T")
JOINER = "-"
_ROW_BITS = 40


@dataclass
class Seen:
    """The ids that came before, over all sheets of a file: the only thing that grows with it, by some hundred bytes a
    record."""

    places: dict[int, int] = field(default_factory=dict)  # hash of the id → sheet and row in one number
    sheets: list[str] = field(default_factory=list)

    def before(self, id: str, place: Place) -> str:
        """Where the id came before; "" for the first time."""
        if not self.sheets or self.sheets[-1] != place.sheet:
            self.sheets.append(place.sheet)
        here = (len(self.sheets) - 1 << _ROW_BITS) + place.number
        first = self.places.setdefault(hash(id), here)
        if first == here:
            return ""
        sheet, row = divmod(first, 1 << _ROW_BITS)
        where = f"sheet {self.sheets[sheet]}, " if self.sheets[sheet] != place.sheet else ""
        return f"{where}{place.counted_in} {row}"


class Forgetful(Seen):
    """Remembers no id, so that memory does not grow: for readers that tell repeated ids apart by other means."""

    def before(self, id: str, place: Place) -> str:
        return ""


@dataclass(frozen=True)
class Columns:
    """A mapping bound to the columns of one table. ``texts``: (title, column) in the order of the documents."""

    mapping: ColumnMapping
    table: Table
    headings: tuple[str, ...]
    ids: tuple[int, ...]
    texts: tuple[tuple[str, int], ...]
    values: dict[str, int]
    fields: tuple[tuple[str, int], ...]
    codes: tuple[Bound, ...]
    swallowed: dict[int, int]  # row whose id is merged with that of a row above → that row
    seen: Seen

    def incoming(self, row: Row) -> Incoming:
        """The record of a row."""
        place = self.table.at(row.number)
        flags: list[Flag] = []
        try:
            self._check(row, place)
            id = self._id(row, place, flags)
        except InputError as error:
            return failed(place, error)
        documents = self._documents(row, place, flags)
        if not documents:
            return Incoming(
                place,
                id=id,
                error=place.error("JC101", "the record holds no text", hint="all columns to code from are empty"),
                flags=tuple(flags),
            )
        patient, admitted, discharged = self._who_and_when(row, place, flags)
        encounter = Encounter(
            id=id,
            documents=documents,
            patient=patient,
            admitted=admitted,
            discharged=discharged,
            language=self.mapping.language,
            fields={name: text for name, column in self.fields if (text := text_of(row.cell(column)))},
        )
        codes, unread = read_codes(self.codes, row, place)
        return Incoming(place, id=id, encounter=encounter, flags=(*flags, *unread), codes=codes)

    def _check(self, row: Row, place: Place) -> None:
        """InputError JC124 or JC106 for a row that cannot be trusted."""
        if row.problem:
            raise place.error(row.problem[0], row.problem[1])
        if self.table.text:
            width, expected = len(row.cells), len(self.headings)
            if any(str(cell).strip() for cell in row.cells[expected:]):
                hint = "a field that holds the delimiter or a line break must stand in quotation marks"
                raise place.error("JC124", f"{width} fields under {expected} headings", hint=hint)
            if width < expected and not self.mapping.ragged:
                hint = "a line break within a field must stand in quotation marks; if the export leaves empty fields"
                hint += " at the end of a row out, say `ragged = true` in a mapping"
                raise place.error("JC124", f"{width} fields under {expected} headings", hint=hint)
        if row.number in self.swallowed:
            hint = "an encounter is one row: undo the merging, or give each stay one row"
            raise place.error("JC124", f"the row is merged with row {self.swallowed[row.number]}", hint=hint)

    def _id(self, row: Row, place: Place, flags: list[Flag]) -> str:
        """The record's id. InputError JC123 for one that came before; without one the row's number serves."""
        cells = [row.cell(column) for column in self.ids]
        parts = [text_of(cell).strip() for cell in cells]
        id = JOINER.join(part for part in parts if part) if any(parts[:1]) else ""
        if any(map(is_rounded, cells)):
            problem = "the id is a number of more than 15 digits, which the spreadsheet has rounded"
            flags.append(place.flag("JC123", f"{problem}; format the column as text and export again"))
        if any(map(is_error, cells)):
            flags.append(place.flag("JC126", "the id holds an error of the spreadsheet"))
        if not id:
            if self.ids:
                flags.append(place.flag("JC123", "the id is empty; the record is numbered by its row"))
            stem = PurePath(place.file).stem
            return JOINER.join(part for part in (stem, place.sheet, str(row.number)) if part)
        if before := self.seen.before(id, place):
            hint = 'an id tells records apart; a mapping can join several columns: id = ["…", "…"]'
            raise place.error("JC123", f"the same id as in {before}", hint=hint)
        return id

    def _documents(self, row: Row, place: Place, flags: list[Flag]) -> tuple[Document, ...]:
        found: list[Document] = []
        for title, column in self.texts:
            cell = row.cell(column)
            text = text_of(cell)
            if is_error(cell):
                flags.append(place.flag("JC126", f"column {self._called(column)} holds an error and is left out"))
            if not text.strip():
                continue
            if at_cell_limit(text):
                problem = f"column {self._called(column)}: {len(text)} characters, as long as a cell can be"
                flags.append(place.flag("JC127", f"{problem}; the text is probably cut"))
            found.append(Document(id=str(len(found)), text=text, title=title))
        return tuple(found)

    def _who_and_when(
        self, row: Row, place: Place, flags: list[Flag]
    ) -> tuple[Patient, dt.date | None, dt.date | None]:
        def read(name: str, reader: Callable[[Any], T | None]) -> T | None:
            column = self.values.get(name)
            if column is None:
                return None
            cell = row.cell(column)
            try:
                if is_error(cell):
                    raise ValueError("an error of the spreadsheet")
                return reader(cell)
            except (ValueError, OverflowError) as error:
                problem = str(error) if isinstance(error, ValueError) else "a number that is too large"
                flags.append(place.flag("JC125", f"column {self._called(column)}: {problem}; left out"))
                return None

        def day(cell: Any) -> dt.date | None:
            return read_date(cell, order=self.mapping.dates.order)

        admitted, discharged = read("admitted", day), read("discharged", day)
        if admitted and discharged and discharged < admitted:
            flags.append(place.flag("JC125", "discharged lies before admitted; both are left out"))
            admitted = discharged = None
        age, born = read("age", read_age), read("birth", day)
        if age is None and born and (on := admitted or discharged):
            try:
                age = age_on(born, on)
            except ValueError:
                flags.append(place.flag("JC125", "born lies behind the day of the stay; the age is left out"))
        sex = read("sex", read_sex) or "unknown"
        if age is not None and not 0 <= age <= 130:
            flags.append(place.flag("JC125", "an age of more than 130 years; left out"))
            age = None
        return Patient(age_years=age, sex=sex), admitted, discharged

    def _called(self, column: int) -> str:
        heading = self.headings[column] if column < len(self.headings) else ""
        return heading or column_letters(column)


def bind(mapping: ColumnMapping, headed: Headed, seen: Seen) -> Columns:
    """The columns that a mapping means in a table. InputError JC121 naming those that are not there."""
    headings = headed.header.headings
    missing = [column for column in mapping.columns if not find(column, headings)]
    if missing:
        hint = "`jointcoder exchange inspect` shows the columns; `header` in a mapping names another row"
        problem = f"no column {name_list(map(repr, missing))} under the header in row {headed.header.row}"
        raise headed.table.place.error("JC121", problem, hint=hint)

    def one(reference: str) -> int:
        return next(iter(find(reference, headings).values()))

    patient, dates = mapping.patient, mapping.dates
    named = {"sex": patient.sex, "age": patient.age, "birth": patient.birth}
    named |= {"admitted": dates.admitted, "discharged": dates.discharged}
    titled = [(title, column) for title, columns in mapping.sections.items() for column in columns]
    texts = [(title, place) for title, column in titled for place in find(column, headings).values()]
    texts += [("", place) for column in mapping.text for place in find(column, headings).values()]
    ids = tuple(one(column) for column in mapping.id)
    merged = [cells for cells in headed.table.merged if cells.left in ids]
    return Columns(
        mapping=mapping,
        table=headed.table,
        headings=headings,
        ids=ids,
        texts=tuple(texts),
        values={name: one(column) for name, column in named.items() if column},
        fields=tuple((name, one(column)) for name, column in mapping.fields.items()),
        codes=tuple(_bound(codes, headings) for codes in mapping.codes),
        swallowed={row: cells.top for cells in merged for row in range(cells.top + 1, cells.bottom + 1)},
        seen=seen,
    )


def fitting(mapping: ColumnMapping) -> Callable[[Sequence[str]], int]:
    """How many columns of the mapping a row of headings has: the score that finds the header."""
    return lambda headings: sum(bool(find(column, headings)) for column in mapping.columns)


def _bound(columns: CodeColumns, headings: Sequence[str]) -> Bound:
    codes = find(columns.code, headings) if columns.code else {}
    names = find(columns.name, headings) if columns.name else {}
    numbers = sorted({*codes, *names})
    pairs = tuple((codes.get(number), names.get(number)) for number in numbers)
    return Bound(columns, pairs, listed=numbers == [-1], heading=columns.code or columns.name or "")
