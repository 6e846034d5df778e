"""How much of a code's name a record says, and where: the one feature that is the same question for every code.

    names = Names.of([("高血压病3级",), …], reader)
    said = names.said(reading)
    said.share[code, group]          the best share of a name's pairs of words within a few neighbouring runs

A name is a set of parts (pairs of neighbouring characters in Chinese, stems elsewhere), each weighed by its rarity
among the names, so that what tells two alike names apart counts most. Groups are kinds of section; what the text denies
or says of relatives is a group of its own. Names come from the training data and the code book; this module knows
neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jointcoder.packs.labels.reading import Place, Reader, Reading, affirmed
from jointcoder.records import Span

GROUPS = ("definitive", "narrative", "history", "denied")
_GROUP_OF = {"definitive": 0, "narrative": 1, "exam": 1, "list": 1, "history": 2, "orders": 2, "family": 3}
DENIED = len(GROUPS) - 1
WINDOW = 3  # neighbouring runs that may say a name together: "hypertension (grade 3, high risk)"
ALIKE = 0.4  # share of parts from which two names are taken for rivals
ASKED = 0.5  # share of a name from which a run's assertion is looked at
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Said:
    """``share`` of shape (codes, groups); ``spans``: where the best one of each code stands, if anything does."""

    share: Array
    best: NDArray[np.int64]  # (codes,) the last run of the best window, or -1
    windows: tuple[tuple[int, ...], ...]


class Names:
    """The names of a list of codes. Immutable; safe to share between threads."""

    def __init__(self, parts: dict[tuple[str, ...], int], table: Array, owner: NDArray[np.int64], codes: int) -> None:
        self._parts, self._table, self._owner, self._codes = parts, table, owner, codes
        self._length = 2 if any(len(part) == 2 for part in parts) else 1
        self.alike = self._alike()
        listed = list(parts)
        self._wanted: list[set[tuple[str, ...]]] = [set() for _ in range(codes)]
        for row, column in zip(*np.nonzero(table), strict=True):
            self._wanted[owner[row]].add(listed[column])

    @classmethod
    def of(cls, names: Sequence[Sequence[str]], reader: Reader) -> Names:
        """``names[i]``: the wordings of code i; a code without any is never said."""
        length = 2 if reader.language == "zh" else 1
        sets: list[set[tuple[str, ...]]] = []
        owner: list[int] = []
        for code, wordings in enumerate(names):
            for wording in sorted(set(wordings)):
                found = {part for run in reader.words_of(wording) for part in parts_of(run, length)}
                if found and found not in [s for s, o in zip(sets, owner, strict=True) if o == code]:
                    sets.append(found)
                    owner.append(code)
        parts = {part: i for i, part in enumerate(sorted(set().union(*sets) if sets else ()))}
        table = np.zeros((len(sets), len(parts)))
        for row, found in enumerate(sets):
            table[row, [parts[part] for part in found]] = 1.0
        held = table.sum(axis=0)
        table *= np.log(1 + len(sets) / np.maximum(held, 1.0)) if len(sets) else 1.0
        table /= np.maximum(table.sum(axis=1, keepdims=True), 1e-12)
        return cls(parts, table, np.array(owner, dtype=np.int64), len(names))

    def said(self, reading: Reading, language: str) -> Said:
        """The shares of all codes in all groups."""
        share = np.zeros((self._codes, len(GROUPS)))
        best = np.full(self._codes, -1, dtype=np.int64)
        if not len(self._owner):
            return Said(share, best, ())
        rows, which = self._rows(reading)
        group = np.array([_GROUP_OF.get(reading.runs[run].kind, 1) for run in which], dtype=np.int64)
        if not reading.listed and len(which):
            group = np.where(self._denied(reading, rows, which, language), DENIED, group)
        windows = rows.copy()
        members = [[run] for run in which]
        for back in range(1, WINDOW):
            for i in range(back, len(which)):
                if self._together(reading, which, group, i - back, i):
                    windows[i] |= rows[i - back]
                    members[i].append(which[i - back])
        values = windows.astype(np.float64) @ self._table.T  # (windows, names)
        strongest = np.zeros(self._codes)
        for number in range(len(GROUPS)):
            inside = np.flatnonzero(group == number)
            if not len(inside):
                continue
            top = values[inside].max(axis=0)
            np.maximum.at(share[:, number], self._owner, top)
            if number == DENIED:
                continue
            at = inside[values[inside].argmax(axis=0)]
            for name, code in enumerate(self._owner):
                if top[name] > strongest[code] + 1e-9:
                    strongest[code], best[code] = top[name], at[name]
        return Said(share, best, tuple(tuple(sorted(m)) for m in members))

    def spans(self, reading: Reading, said: Said, code: int) -> tuple[Span, ...]:
        """Where the best window says parts of the code's names: one span a run."""
        if said.best[code] < 0:
            return ()
        wanted = self._wanted[code]
        found = []
        for run in said.windows[said.best[code]]:
            words = tuple(word.text for word in reading.runs[run].words)
            hits = [i for i in range(len(words)) if words[i : i + self._length] in wanted]
            if hits:
                found.append(reading.span(run, hits[0], min(hits[-1] + self._length, len(words)) - 1))
        return tuple(found)

    def _rows(self, reading: Reading) -> tuple[NDArray[np.bool_], list[int]]:
        """Which parts each run says; runs that say none are left out."""
        found: list[tuple[int, list[int]]] = []
        for number, run in enumerate(reading.runs):
            words = tuple(word.text for word in run.words)
            held = {self._parts[p] for p in parts_of(words, self._length) if p in self._parts}
            if held:
                found.append((number, sorted(held)))
        rows = np.zeros((len(found), len(self._parts)), dtype=bool)
        for i, (_, held_parts) in enumerate(found):
            rows[i, held_parts] = True
        return rows, [number for number, _ in found]

    def _denied(self, reading: Reading, rows: NDArray[np.bool_], which: list[int], language: str) -> NDArray[np.bool_]:
        """The runs that deny what they say, or say it of relatives; only those that say much of a name are asked."""
        values = rows.astype(np.float64) @ self._table.T
        asked = np.flatnonzero(values.max(axis=1) >= ASKED).tolist()
        places: list[Place] = []
        for i in asked:
            wanted = self._wanted[self._owner[values[i].argmax()]]
            words = tuple(word.text for word in reading.runs[which[i]].words)
            hits = [k for k in range(len(words)) if words[k : k + self._length] in wanted]
            places.append((which[i], hits[0], min(hits[-1] + self._length, len(words)) - 1))
        denied = np.zeros(len(which), dtype=bool)
        denied[asked] = ~np.array(affirmed(reading, places, language), dtype=bool)
        return denied

    @staticmethod
    def _together(reading: Reading, which: list[int], group: NDArray[np.int64], earlier: int, later: int) -> bool:
        """Whether two runs may say a name together: neighbours of one section, both affirmed or both denied."""
        one, other = reading.runs[which[earlier]], reading.runs[which[later]]
        near = which[later] - which[earlier] < WINDOW
        same = (one.document, one.section) == (other.document, other.section)
        return bool(near and same and group[earlier] == group[later]) and not reading.listed

    def _alike(self) -> NDArray[np.bool_]:
        """(codes, codes): whether the first code's name is to a good share part of a name of the second."""
        shared = (self._table @ (self._table > 0).T.astype(np.float64)) if len(self._owner) else np.zeros((0, 0))
        found = np.zeros((self._codes, self._codes), dtype=bool)
        for i, j in zip(*np.nonzero(shared >= ALIKE), strict=True):
            found[self._owner[i], self._owner[j]] = True
        np.fill_diagonal(found, False)
        return found


def parts_of(words: Sequence[str], length: int) -> set[tuple[str, ...]]:
    """The sequences of ``length`` words; of fewer words the whole."""
    if len(words) < length:
        return {tuple(words)} if words else set()
    return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}
