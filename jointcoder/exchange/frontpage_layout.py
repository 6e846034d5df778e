"""Reporting layouts: a front page → the columns that a national interface has, and back.

A layout is data (``data/zh/layouts/*.toml``, or a file of one's own): blocks of columns, each filled by fields of the
encounter, by one place of the page, or by its diagnoses or procedures in order. ``form`` ``row``: one wide row a stay;
``nodes``: a list of rows for each node. What a layout has no place for is never dropped: it comes out as
:class:`Overflow`, with a flag (JC140 codes, JC146 fields). Writes no files.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from jointcoder.errors import UsageError, name_list
from jointcoder.exchange.frontpage import STEP, FrontPage, PageDiagnosis, PageProcedure, level, page_data, place_of
from jointcoder.records import Flag, System

FILLED_BY = ("fields", "main", "other", "external", "pathology", "diagnosis", "procedure", "counts")
"""What may fill a block: administrative fields, a place of the page, all diagnoses or procedures, their numbers."""

CHINESE = (System.ICD10CN, System.ICD9CM3)
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Block:
    """Columns that belong together. ``columns``: name and what fills it, then synonyms (``fields``) or the words for
    yes and no (``main``); ``{}`` in them counts from ``first``, ``count`` times; ``count`` 0: named once."""

    kind: str
    columns: tuple[tuple[str, ...], ...]
    node: str = ""
    first: int = 1
    count: int = 0

    @property
    def numbers(self) -> tuple[str, ...]:
        return tuple(str(number) for number in range(self.first, self.first + self.count)) if self.count else ("",)

    @property
    def names(self) -> list[str]:
        return [column[0].format(number) for number in self.numbers for column in self.columns]


@dataclass(frozen=True, slots=True)
class Overflow:
    """A code or field that the layout has no place for. ``what``: a place of the page, ``procedure`` or ``field``."""

    encounter: str
    what: str
    code: str
    name: str
    admission: str = ""
    grade: str = ""


@dataclass(frozen=True, slots=True)
class Filled:
    """A page in a layout: ``nodes`` by name ("" for the one wide row), what did not fit, and flags."""

    nodes: Mapping[str, list[Row]]
    overflow: tuple[Overflow, ...] = ()
    flags: tuple[Flag, ...] = ()

    @property
    def row(self) -> Row:
        """The wide row."""
        return self.nodes[""][0]


@dataclass(frozen=True)
class Layout:
    """One layout, as its file describes it."""

    id: str
    title: str
    form: str
    blocks: tuple[Block, ...]
    editions: tuple[str, ...] = ()
    encounter: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def find(cls, name: str) -> Layout:
        """The layout of that name, or the one that a file holds. UsageError JC001."""
        shipped = layouts()
        if name in shipped:
            return _read(shipped[name].read_text("utf-8"), name)
        path = Path(name)
        if not path.suffix or not path.is_file():
            hint = f"known: {name_list(shipped)}, or a TOML file"
            raise UsageError("JC001", f"--layout: unknown layout {name!r}", hint=hint)
        return _read(path.read_text("utf-8", "replace"), name)

    @cached_property
    def names(self) -> Mapping[str, list[str]]:
        """The columns of each node, in order ("" for the wide row)."""
        found: dict[str, list[str]] = {}
        for block in self.blocks:
            found.setdefault(block.node, []).extend(block.names)
        return found

    def fill(self, page: FrontPage) -> Filled:
        """The page in this layout."""
        filler = _Filler(self, page)
        for block in self.blocks:
            filler.take(block)
        return filler.done()

    def page(
        self, row: Mapping[str, str], *, systems: Sequence[System] = (System.ICD10CN, System.ICD9CM3)
    ) -> FrontPage:
        """A wide row read back: codes, names, condition on admission, grade and what is given of procedures.

        ``systems``: those of its diagnoses and procedures. Confidence is 1; all other columns become fields.
        """
        rest = {name: value for name, value in row.items() if value}
        diagnoses: list[PageDiagnosis] = []
        procedures: list[PageProcedure] = []
        for block in self.blocks:
            if block.kind in ("fields", "counts"):
                continue
            for number in block.numbers:
                found = {what: rest.pop(name.format(number), "") for name, what, *_ in block.columns}
                code, name = found.pop("code", ""), found.pop("name", "")
                if not code:
                    continue
                if block.kind == "procedure":
                    grade = found.pop("grade", "")
                    procedures.append(
                        PageProcedure(
                            main=not procedures,
                            system=systems[1],
                            code=code,
                            name=name,
                            grade=int(grade) if grade in page_data()["grade"] else None,
                            given={what: value for what, value in found.items() if value},
                        )
                    )
                else:
                    admission = found.get("admission", "")
                    diagnoses.append(
                        PageDiagnosis(place=block.kind, system=systems[0], code=code, name=name, admission=admission)
                    )
        id = next((rest[column] for column, what in self.encounter.items() if what == "id" and column in rest), "")
        return FrontPage(encounter=id, diagnoses=tuple(diagnoses), procedures=tuple(procedures), fields=rest)


class _Filler:
    """One page on its way into a layout."""

    def __init__(self, layout: Layout, page: FrontPage) -> None:
        self.layout, self.page = layout, page
        self._nodes: dict[str, list[Row]] = {}
        self._heads: dict[str, Row] = {}
        self._overflow: list[Overflow] = []
        self._fields = {level(name): name for name in page.fields}
        self._used = {level(name) for name in page.taken}

    def take(self, block: Block) -> None:
        """Fill one block."""
        if block.kind == "fields":
            for number in block.numbers:
                for column in block.columns:
                    self._head(block)[column[0].format(number)] = self._field([c.format(number) for c in column])
        elif block.kind == "counts":
            lengths = {"diagnoses": len(self.page.diagnoses), "procedures": len(self.page.procedures)}
            self._head(block).update({name: str(lengths[what]) for name, what, *_ in block.columns})
        else:
            self._codes(block)

    def done(self) -> Filled:
        """What came of it, with what did not fit."""
        kinds = {block.kind for block in self.layout.blocks}
        if "diagnosis" not in kinds:
            missing = [place for place in ("main", "other", "external", "pathology") if place not in kinds]
            self._overflow += (_left(self.page.encounter, one) for one in self.page.at(*missing))
        if "procedure" not in kinds:
            self._overflow += (_left(self.page.encounter, one) for one in self.page.procedures)
        flags = list(self._flags())
        unused = [name for key, name in self._fields.items() if key not in self._used]
        if unused:
            message = f"no column of {self.layout.id} takes the fields {name_list(unused)}"
            flags.append(Flag(code="JC146", step=STEP, message=message))
            values = self.page.fields
            self._overflow += (Overflow(self.page.encounter, "field", name, values[name]) for name in unused)
        nodes = {node: self._nodes.get(node, []) for node in self.layout.names}
        for node, head in self._heads.items():
            nodes[node] = [head]
        return Filled(nodes, tuple(self._overflow), tuple(flags))

    def _flags(self) -> Iterator[Flag]:
        codes = [one for one in self._overflow if one.what != "field"]
        if codes:
            message = f"{len(codes)} codes have no place in {self.layout.id}: {name_list(one.code for one in codes)}"
            yield Flag(code="JC140", step=STEP, message=message)
        wanted = self.layout.editions
        others = [title for title in self.page.edition.split(", ") if title and not any(w in title for w in wanted)]
        if wanted and others:
            message = f"{self.layout.id} takes codes of {name_list(wanted)}; the record is coded in {name_list(others)}"
            yield Flag(code="JC145", step=STEP, message=message)

    def _codes(self, block: Block) -> None:
        entries: Sequence[PageDiagnosis | PageProcedure] = self.page.procedures
        if block.kind != "procedure":
            entries = self.page.diagnoses if block.kind == "diagnosis" else self.page.at(block.kind)
        if block.node:
            self._nodes.setdefault(block.node, []).extend(self._row(block, one, "") for one in entries)
            return
        row = self._head(block)
        row.update(dict.fromkeys(block.names, ""))
        for number, one in zip(block.numbers, entries, strict=False):
            row.update(self._row(block, one, number))
        self._overflow += (_left(self.page.encounter, one) for one in entries[len(block.numbers) :])

    def _row(self, block: Block, one: PageDiagnosis | PageProcedure, number: str) -> Row:
        return {name.format(number): _value(one, what, words) for name, what, *words in block.columns}

    def _head(self, block: Block) -> Row:
        return self._heads.setdefault(block.node, {})

    def _field(self, names: Sequence[str]) -> str:
        """The value of the first of these fields that is there; else what the encounter says of itself."""
        keys = [level(name) for name in names]
        self._used.update(keys)
        given = next((self.page.fields[self._fields[key]] for key in keys if key in self._fields), "")
        return given or self.page.about.get(self.layout.encounter.get(names[0], ""), "")


def _value(one: PageDiagnosis | PageProcedure, what: str, words: Sequence[str]) -> str:
    """What an entry says of ``what``; a word behind ``=`` is itself."""
    if what.startswith("="):
        return what[1:]
    main = one.place == "main" if isinstance(one, PageDiagnosis) else one.main
    if what == "main":
        return words[0] if main else words[1]
    if what in ("code", "name"):
        return one.code if what == "code" else one.name
    if isinstance(one, PageDiagnosis):
        return one.admission if what == "admission" else ""
    if what == "grade":
        return "" if one.grade is None else str(one.grade)
    return one.given.get(what, "")


def _left(encounter: str, one: PageDiagnosis | PageProcedure) -> Overflow:
    if isinstance(one, PageDiagnosis):
        return Overflow(encounter, one.place, one.code, one.name, admission=one.admission)
    return Overflow(encounter, "procedure", one.code, one.name, grade=_value(one, "grade", ()))


def layouts() -> Mapping[str, Traversable]:
    """The layouts that come with the program: id → file."""
    folder = resources.files("jointcoder.exchange").joinpath("data", "zh", "layouts")
    return {file.name.removesuffix(".toml"): file for file in sorted(folder.iterdir(), key=lambda one: one.name)}


def _read(text: str, name: str) -> Layout:
    """A layout from its TOML. UsageError JC001 naming what is wrong with it."""
    try:
        data = tomllib.loads(text)
        blocks = tuple(_block(row) for row in data["block"])
        layout = Layout(
            id=str(data["id"]),
            title=str(data["title"]),
            form=str(data["form"]),
            blocks=blocks,
            editions=tuple(data.get("editions", ())),
            encounter=dict(data.get("encounter", {})),
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise UsageError("JC001", f"--layout: {name} is no layout ({type(error).__name__}: {error})") from None
    _check(layout, name)
    return layout


def _block(row: Mapping[str, Any]) -> Block:
    columns = tuple(tuple(str(word) for word in column) for column in row["columns"])
    if row["kind"] not in FILLED_BY:
        raise ValueError(f"unknown kind of block {row['kind']!r}")
    if any(len(column) < 2 for column in columns):
        raise ValueError("a column needs a name and what fills it")
    return Block(row["kind"], columns, row.get("node", ""), int(row.get("first", 1)), int(row.get("count", 0)))


def _check(layout: Layout, name: str) -> None:
    problems = []
    if layout.form not in ("row", "nodes"):
        problems.append(f"unknown form {layout.form!r}")
    if layout.form == "row" and any(block.node for block in layout.blocks):
        problems.append("a block of a row has a node")
    for node, columns in layout.names.items():
        twice = {column for column in columns if columns.count(column) > 1}
        if twice:
            problems.append(f"{node or 'the row'} has columns twice: {name_list(twice)}")
    if problems:
        raise UsageError("JC001", f"--layout: {name}: {'; '.join(problems)}")


__all__ = ["Block", "Filled", "Layout", "Overflow", "Row", "layouts", "place_of"]
