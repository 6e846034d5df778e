"""ICD-10-PCS as its tables have it: what may follow, whether a code is legal and why not, codes from their axes.

    pcs = Pcs(book)
    pcs.pcs_next("0FT4")                                  # legal approaches with labels
    pcs.pcs_complete({"operation": "Resection", "body part": "Gallbladder"})
    pcs.explain("0FT44ZZ")                                # seven axes with their definitions
    pcs.why_illegal("0FT4XZZ")                            # the axis that breaks, and what would be legal

A code is seven choices, legal only together (Official Guidelines A7, A8); a value may be written as its character,
its label in any word order ("right kidney") or a synonym of the body-part, device and approach keys. A book built
from titles alone answers from its codes, with empty labels. Definitions, keys and the index: `pcs_terms.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.pcs_axes import (
    LENGTH,
    LETTERS,
    Row,
    Wish,
    axis_names,
    everyday_words,
    has_table,
    label_key,
    load_rows,
    narrowed,
    title_keys,
)
from jointcoder.errors import CodeBookError, name_list
from jointcoder.records import System

SHOWN = 5  # alternatives named in an error


@dataclass(frozen=True, slots=True)
class AxisValue:
    """One value of one character: ``position`` 1 to 7, the axis' title, the character and its label."""

    position: int
    axis: str
    value: str
    label: str
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Breach:
    """Where a code leaves the tables: its legal beginning, the first wrong character ("" when the code is too short,
    more than one when it is too long), the axis, and the values that are legal there."""

    beginning: str
    value: str
    position: int
    axis: str
    legal: tuple[AxisValue, ...]

    def __str__(self) -> str:
        names = ", ".join(f"{v.value} ({v.label})" if v.label else v.value for v in self.legal[:SHOWN])
        more = f" and {len(self.legal) - SHOWN} more" if len(self.legal) > SHOWN else ""
        found = f"{self.value!r} is not legal" if self.value else "a value is missing"
        legal = f"legal: {names}{more}" if self.legal else "nothing may follow"
        axis = f" ({self.axis})" if self.axis else ""
        return f"character {self.position}{axis} after {self.beginning!r}: {found}; {legal}"


class Pcs:
    """See the module. Safe to share between threads; loads the tables (some ten milliseconds) at the first question."""

    def __init__(self, book: CodeBook) -> None:
        book.systems(System.ICD10PCS.kind)
        self.book = book

    # ------------------------------------------------------------------------------------------------ one code

    def is_legal(self, code: str) -> bool:
        """Whether the tables (a book of titles: its codes) hold the seven-character code."""
        code = normalise_code(code)
        if not self.has_tables:
            return self.book.is_billable(System.ICD10PCS, code)
        return len(code) == LENGTH and bool(self._rows_of(code))

    def pcs_next(self, prefix: str) -> tuple[AxisValue, ...]:
        """The legal values of the character after ``prefix`` (0 to 6 characters), in order; none where the prefix
        itself is not legal or complete. A value with two meanings (they differ by row) is given once for each."""
        prefix = normalise_code(prefix)
        place = len(prefix)
        if place >= LENGTH:
            return ()
        if not self.has_tables:
            return self._next_of_codes(prefix)
        if place < 3:  # most tables would be looked through: remembered
            return self.book.kept(f"pcs after {prefix}", lambda: self._next(prefix))
        return self._next(prefix)

    def _next(self, prefix: str) -> tuple[AxisValue, ...]:
        place = len(prefix)
        found = {
            (value, label, row.axes[place].title)
            for row in self._rows_of(prefix)
            for value, label in row.axes[place].values
        }
        return tuple(AxisValue(place + 1, title, value, label) for value, label, title in sorted(found))

    def explain(self, code: str) -> tuple[AxisValue, ...]:
        """The axes of a code or of the beginning of one, labelled, with their definitions where the book has them.

        CodeBookError JC501 when it is not legal.
        """
        from jointcoder.codebook.pcs_terms import Terms

        code = normalise_code(code)
        breach = self._breach(code, whole=False)
        if breach is not None:
            raise CodeBookError("JC501", f"{code} is no ICD-10-PCS code: {breach}")
        if not self.has_tables:
            return tuple(AxisValue(place, "", value, "") for place, value in enumerate(code, start=1))
        axes = self._rows_of(code)[0].axes
        labels = [dict(axis.values)[value] for axis, value in zip(axes, code, strict=False)]
        terms = Terms(self.book)
        around = " ".join(labels[:3])
        found = []
        for place, label in enumerate(labels, start=1):
            term = terms.definition_of(place, label, section=code[0], context=around)
            definition = term.text if term else ""
            if place == 3 and not definition:
                definition = self._definition(code[:3])
            found.append(AxisValue(place, axes[place - 1].title, code[place - 1], label, definition))
        return tuple(found)

    def why_illegal(self, code: str) -> Breach | None:
        """Which character of a code breaks and what would be legal there; None for a legal code."""
        return self._breach(normalise_code(code), whole=True)

    # ------------------------------------------------------------------------------------------ codes from axes

    def pcs_complete(self, axes: Mapping[str, str] | Sequence[AxisValue] | str) -> tuple[str, ...]:
        """Every legal code with these axes, in order.

        ``axes``: a beginning or pattern of a code (``"0FT4"``, ``"0FT4?ZZ"``), the values :meth:`explain` gives, or a
        mapping of axis (its title, "body part", "approach" …, or its position "1" to "7") to a value, a label in any
        word order or a synonym. CodeBookError JC501 names the axes that do not fit together.
        """
        if isinstance(axes, str):
            return self._of_pattern(axes)
        if not isinstance(axes, Mapping):
            return self._of_pattern("".join(v.value for v in sorted(axes, key=lambda v: v.position)))
        if not self.has_tables:
            raise CodeBookError("JC501", f"the code book {self.book.info.id} was built without the ICD-10-PCS tables")
        wishes = [Wish(name, text, self._places(name), self._synonyms(text)) for name, text in axes.items()]
        for loosely in (False, True):
            found = self._codes(wishes, loosely)
            if found:
                return found
        raise CodeBookError("JC501", self._misfit(wishes))

    # --------------------------------------------------------------------------------------------------- within

    @property
    def has_tables(self) -> bool:
        """Whether the book was built with the tables."""
        return bool(self._model)

    @property
    def _model(self) -> Mapping[str, tuple[Row, ...]]:
        return self.book.kept("pcs tables", lambda: load_rows(self.book))

    def _rows_of(self, prefix: str) -> list[Row]:
        """The rows that hold the beginning of a code."""
        model = self._model
        tables = [prefix[:3]] if len(prefix) >= 3 else [table for table in model if table.startswith(prefix)]
        return [
            row
            for table in tables
            for row in model.get(table, ())
            if all(any(v == value for v, _ in axis.values) for value, axis in zip(prefix, row.axes, strict=False))
        ]

    def _next_of_codes(self, prefix: str) -> tuple[AxisValue, ...]:
        rows = self.book.rows(
            "SELECT DISTINCT substr(key, ?, 1) FROM node WHERE system = ? AND billable AND key >= ? AND key < ?"
            " ORDER BY 1",
            len(prefix) + 1,
            System.ICD10PCS,
            prefix,
            f"{prefix}[",
        )
        return tuple(AxisValue(len(prefix) + 1, "", value, "") for (value,) in rows)

    def _breach(self, code: str, *, whole: bool) -> Breach | None:
        for place in range(min(len(code), LENGTH)):
            legal = self.pcs_next(code[:place])
            if code[place] not in {v.value for v in legal}:
                return Breach(code[:place], code[place], place + 1, legal[0].axis if legal else "", legal)
        if len(code) > LENGTH:
            return Breach(code[:LENGTH], code[LENGTH:], LENGTH + 1, "", ())
        if whole and len(code) < LENGTH:
            legal = self.pcs_next(code)
            return Breach(code, "", len(code) + 1, legal[0].axis if legal else "", legal)
        return None

    def _definition(self, table: str) -> str:
        rows = self.book.rows("SELECT definition FROM pcs_table WHERE prefix = ?", table)
        return str(rows[0][0]) if rows else ""

    def _of_pattern(self, text: str) -> tuple[str, ...]:
        wanted = normalise_code(text.replace("*", "").replace("_", "?"))
        if len(wanted) > LENGTH or not set(wanted) <= {*LETTERS, "?"}:
            raise CodeBookError("JC501", f"{text!r} is no pattern of an ICD-10-PCS code")
        beginnings = [""]
        for character in wanted.ljust(LENGTH, "?"):
            values = ((b, {v.value for v in self.pcs_next(b)}) for b in beginnings)
            beginnings = [b + v for b, found in values for v in sorted(found) if character in ("?", v)]
        if not beginnings:
            fixed = wanted.partition("?")[0]
            breach = self._breach(fixed, whole=False)
            raise CodeBookError("JC501", f"no ICD-10-PCS code fits {text!r}" + (f": {breach}" if breach else ""))
        return tuple(beginnings)

    def _places(self, name: str) -> tuple[str, tuple[int, ...]]:
        """(key of the axis' title, positions it usually has). JC501 for a name no axis has."""
        key = label_key(name)
        if key in map(str, range(1, LENGTH + 1)):
            return "", (int(key),)
        usual = axis_names().get(key, ())
        if not usual and not any(key in title_keys(a.title) for rows in self._model.values() for a in rows[0].axes):
            known = name_list(sorted(axis_names(plain=True)))
            raise CodeBookError("JC501", f"ICD-10-PCS has no axis {name!r}", hint=f"known: {known}")
        return key, usual

    def _synonyms(self, text: str) -> Mapping[int, frozenset[str]]:
        """Position → keys of the labels that ``text`` stands for by the keys of the book or those of this program."""
        found: dict[int, set[str]] = {}
        if self.book.kept("pcs terms", lambda: has_table(self.book, "pcs_synonym")):
            for place, label in self.book.rows(
                "SELECT position, label FROM pcs_synonym WHERE key = ?", label_key(text)
            ):
                found.setdefault(place, set()).add(label_key(label))
        for place, label in everyday_words().get(label_key(text), ()):
            found.setdefault(place, set()).add(label_key(label))
        return {place: frozenset(keys) for place, keys in found.items()}

    def _left(self, wishes: Sequence[Wish], loosely: bool) -> Iterator[tuple[Row, list[list[str]]]]:
        """The rows that the wishes leave, with the values left of each axis."""
        for row in itertools.chain.from_iterable(self._model.values()):
            kept = narrowed(row, wishes, loosely)
            if kept is not None:
                yield row, kept

    def _codes(self, wishes: Sequence[Wish], loosely: bool) -> tuple[str, ...]:
        kept = (kept for _, kept in self._left(wishes, loosely))
        return tuple(sorted({"".join(code) for values in kept for code in itertools.product(*values)}))

    def _misfit(self, wishes: Sequence[Wish]) -> str:
        """What to say of wishes that no code fulfils: an axis that is nowhere, else those that exclude the others."""
        problems = []
        for wish in wishes:
            if next(self._left([wish], True), None) is None:
                near = get_close_matches(wish.text.casefold(), self._labels(wish), n=SHOWN, cutoff=0.6)
                hint = f"; near: {', '.join(near)}" if near else ""
                problems.append(f"no {wish.name} {wish.text!r} in the tables{hint}")
        if not problems:
            for wish in wishes:
                others = [other for other in wishes if other is not wish]
                legal = self._legal(others, wish)
                if legal:
                    rest = ", ".join(f"{o.name} {o.text!r}" for o in others)
                    more = f" and {len(legal) - SHOWN} more" if len(legal) > SHOWN else ""
                    problems.append(
                        f"{wish.name} {wish.text!r} does not go with {rest} (legal: {', '.join(legal[:SHOWN])}{more})"
                    )
        return "no ICD-10-PCS code: " + ("; ".join(problems) or "no three of the axes named go together")

    def _labels(self, wish: Wish) -> list[str]:
        rows = itertools.chain.from_iterable(self._model.values())
        axes = {row.axes[place] for row in rows for place in wish.of(row)}
        return sorted({label.casefold() for axis in axes for _, label in axis.values})

    def _legal(self, wishes: Sequence[Wish], other: Wish) -> list[str]:
        """The labels that the axis of ``other`` has in the codes the wishes leave."""
        found: set[str] = set()
        for row, kept in self._left(wishes, False):
            found |= {label for p in other.of(row) for v, label in row.axes[p].values if v in kept[p]}
        return sorted(found)
