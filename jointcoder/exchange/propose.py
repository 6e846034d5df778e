"""A mapping proposed for a table nobody has described: by its headings, and by how full and how long its columns are.

    propose(headed)  →  Proposal(mapping, columns: what each was taken for and why, remarks)

Only a heading makes a column a code, a date or an id. A column whose heading says nothing is a section where its cells
are long, and else administrative. What tells who the patient is stays aside. Figures are of the first rows; no cell is
ever shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from statistics import median
from typing import Any

from jointcoder.exchange.coded import apart
from jointcoder.exchange.columns import Group, Role, recognise, undoubled
from jointcoder.exchange.delimited import Row
from jointcoder.exchange.header import Headed
from jointcoder.exchange.mapping import (
    LETTER,
    CodeColumns,
    ColumnMapping,
    DateColumns,
    PatientColumns,
    column_letters,
)
from jointcoder.exchange.rows import JOINER
from jointcoder.exchange.values import is_error, text_of
from jointcoder.records import Kind, System

SAMPLE = 500  # rows that figures are taken of
LONG = 30  # characters: the median of a column that is told rather than filled in
_SYSTEMS = {  # the Chinese system first
    Kind.DIAGNOSIS: (System.ICD10CN, System.ICD10CM),
    Kind.PROCEDURE: (System.ICD9CM3, System.ICD10PCS),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table: letter and heading, the share of rows that fill it, the shortest, median and longest
    of its filled cells in characters, how many hold an error, and what it was taken for and why."""

    letter: str
    heading: str
    filled: float
    lengths: tuple[int, int, int]
    errors: int
    role: str
    why: str


@dataclass(frozen=True)
class Proposal:
    """What was found. ``mapping`` is None where no column could be coded from. ``rows``: how many were looked at."""

    place: str
    header: int
    joined: bool
    rows: int
    columns: tuple[Column, ...]
    mapping: ColumnMapping | None
    remarks: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        columns = [{name: getattr(column, name) for name in Column.__slots__} for column in self.columns]
        return {
            "place": self.place,
            "header": self.header,
            "rows": self.rows,
            "columns": columns,
            "remarks": list(self.remarks),
            "mapping": self.mapping.model_dump(mode="json", exclude_defaults=True) if self.mapping else None,
        }


@dataclass(frozen=True, slots=True)
class _Figures:
    filled: int
    lengths: tuple[int, int, int]
    errors: int


def propose(headed: Headed) -> tuple[Proposal, Headed]:
    """The proposal for a table, and the table as it was: the rows that were looked at are put back."""
    rows = list(islice(headed.rows, SAMPLE))
    headings = headed.header.headings
    sound = [row for row in rows if row.problem is None]
    figures = [_figures(sound, column) for column in range(len(headings))]
    draft = _Draft(headings, figures, sound)
    proposal = Proposal(
        place=str(headed.table.place),
        header=headed.header.row,
        joined=headed.header.joined,
        rows=len(rows),
        columns=tuple(draft.described()),
        mapping=draft.mapping(),
        remarks=tuple(draft.remarks),
    )
    return proposal, Headed(headed.table, headed.header, chain(rows, headed.rows))


def _figures(rows: Sequence[Row], column: int) -> _Figures:
    texts = [text for row in rows if (text := text_of(row.cell(column)).strip())]
    lengths = sorted(map(len, texts))
    measured = (lengths[0], int(median(lengths)), lengths[-1]) if lengths else (0, 0, 0)
    return _Figures(len(texts), measured, sum(is_error(row.cell(column)) for row in rows))


class _Draft:
    """A mapping in the making: each column is taken for something, once."""

    def __init__(self, headings: Sequence[str], figures: Sequence[_Figures], rows: Sequence[Row]) -> None:
        self.headings, self.figures, self.rows = headings, figures, rows
        self.remarks: list[str] = []
        self.roles = [recognise(heading) if heading else None for heading in headings]
        self.taken: dict[int, tuple[str, str]] = {}
        self.sections: dict[str, list[str]] = {}
        self.fields: dict[str, str] = {}
        self.text: list[str] = []
        self.codes: list[CodeColumns] = []
        self.id = self._ids()
        self.single = {label: self._first(label) for label in ("sex", "age", "birth", "admitted", "discharged")}
        self._take_codes()
        self._take_the_rest()

    def mapping(self) -> ColumnMapping | None:
        """The draft, or None where nothing in it is to be coded."""
        if not self.sections and not self.text:
            return None
        single = {label: self._named(column) for label, column in self.single.items() if column is not None}
        return ColumnMapping(
            id=tuple(self._named(column) for column in self.id),
            text=tuple(self.text),
            patient=PatientColumns(**{label: single[label] for label in ("sex", "age", "birth") if label in single}),
            dates=DateColumns(**{label: single[label] for label in ("admitted", "discharged") if label in single}),
            sections={title: tuple(columns) for title, columns in self.sections.items()},
            fields=self.fields,
            codes=tuple(self.codes),
        )

    def described(self) -> Iterable[Column]:
        """Every column and what became of it."""
        for column, heading in enumerate(self.headings):
            figures = self.figures[column]
            role, why = self.taken.get(column, ("left aside", "empty"))
            share = figures.filled / len(self.rows) if self.rows else 0.0
            yield Column(column_letters(column), heading, share, figures.lengths, figures.errors, role, why)

    # ------------------------------------------------------------------------------------------------ what is what

    def _ids(self) -> list[int]:
        """The column that is filled and repeats least; that of a patient with the number of the stay."""
        at = {column: role for column, role in enumerate(self.roles) if role and role.label in ("id", "person")}

        def worth(column: int) -> tuple[bool, int, bool, int]:
            empty = not self.figures[column].filled
            return empty, self._repeats([column]), at[column].label == "person", at[column].order

        best = min(at, key=worth, default=None)
        if best is None:
            self.remarks.append("no column for an id: records are numbered by their rows")
            return []
        self._take(best, "id", "known heading")
        chosen = [best]
        visit = next((column for column, role in enumerate(self.roles) if role and role.label == "visit"), None)
        if visit is not None and (at[best].label == "person" or self._repeats(chosen)):
            chosen.append(visit)
            self._take(visit, "id", "tells the stays of one patient apart")
        if twice := self._repeats(chosen):
            self.remarks.append(f"the id comes twice in {twice} of {len(self.rows)} rows: those will be errors")
        return chosen

    def _repeats(self, columns: Sequence[int]) -> int:
        ids = [JOINER.join(text_of(row.cell(column)).strip() for column in columns) for row in self.rows]
        filled = [id for id in ids if id.strip(JOINER)]
        return len(filled) - len(set(filled))

    def _first(self, label: str) -> int | None:
        at = [(column, role) for column, role in enumerate(self.roles) if role and role.label == label]
        best = min(at, key=lambda pair: (not self.figures[pair[0]].filled, pair[1].order), default=None)
        if best is None:
            return None
        self._take(best[0], label, "known heading")
        return best[0]

    def _take_codes(self) -> None:
        """Columns of codes and names, paired by what stands for their number; a name beside no code is text."""
        by_group: dict[Group, dict[str, dict[str, list[int]]]] = {}
        for column, role in enumerate(self.roles):
            if role and role.group:
                patterns = by_group.setdefault(role.group, {}).setdefault(role.label, {})
                patterns.setdefault(role.pattern, []).append(column)
        for group, labels in by_group.items():
            names = dict(labels.get("name", {}))
            for columns in labels.get("code", {}).values():
                beside = next((name for name in names if self._beside(columns, names[name])), None)
                self._add(group, columns, names.pop(beside) if beside else [])
            for columns in names.values() if "code" not in labels else ():
                if not self._role(columns[0]).beside_code:
                    self._add(group, [], columns)

    def _beside(self, codes: Sequence[int], names: Sequence[int]) -> bool:
        """Whether columns of names go with columns of codes: by their numbers."""
        numbers = [{self._role(column).number for column in columns} for columns in (codes, names)]
        return bool(numbers[0] & numbers[1])

    def _add(self, group: Group, codes: Sequence[int], names: Sequence[int]) -> None:
        system = self._system(group, codes)
        place: Any = group.place
        references = [self._reference(columns) for columns in (codes, names)]
        self.codes.append(CodeColumns(system=system, place=place, code=references[0], name=references[1]))
        number = f" ({len(codes or names)} columns)" if len(codes or names) > 1 else ""
        for columns, label in ((codes, "code"), (names, "name")):
            for column in columns:
                self._take(column, f"{group.place} {group.kind.value}: {label}", f"coded history, {system}{number}")

    def _system(self, group: Group, codes: Sequence[int]) -> System:
        """The system that most codes are of; where they could be of either, that of the language."""
        cells = [cell for row in self.rows for column in codes if isinstance(cell := row.cell(column), str) and cell]
        chinese = any("\u4e00" <= char <= "\u9fff" for heading in self.headings for char in heading)
        candidates = _SYSTEMS[group.kind][:: 1 if chinese else -1]
        return max(candidates, key=lambda system: sum(apart(system, cell) is not None for cell in cells))

    def _reference(self, columns: Sequence[int]) -> str | None:
        """How the mapping names the columns: with ``#`` for the number that they differ in."""
        if not columns:
            return None
        role = self._role(columns[0])
        return role.pattern if role.number is not None else self._named(columns[0])

    def _take_the_rest(self) -> None:
        for column, heading in enumerate(self.headings):
            figures, role = self.figures[column], self.roles[column]
            label = role.label if role else ""
            if column in self.taken or not (heading or figures.filled):
                continue
            if role and label == "section":
                self.sections.setdefault(undoubled(heading), []).append(self._named(column))
                self._take(column, "section", f"known heading ({role.section})")
            elif label == "text":
                self.text.append(self._named(column))
                self._take(column, "text", "known heading: a whole record")
            elif label == "personal":
                self._take(column, "left aside", "tells who the patient is")
            elif label not in ("field", "person", "name") and figures.lengths[1] >= LONG:
                self.sections.setdefault(heading or column_letters(column), []).append(self._named(column))
                self._take(column, "section", "long texts under an unknown heading")
            elif heading:
                self.fields[heading] = self._named(column)
                why = "administrative" if role else "unknown heading"
                self._take(column, "field", f"{why}; handed on untouched")
            else:
                self._take(column, "left aside", "no heading")

    def _role(self, column: int) -> Role:
        role = self.roles[column]
        assert role is not None
        return role

    def _named(self, column: int) -> str:
        return self.headings[column] or LETTER + column_letters(column)

    def _take(self, column: int, role: str, why: str) -> None:
        self.taken[column] = (role, why)
