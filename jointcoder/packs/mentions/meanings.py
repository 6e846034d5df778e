"""Wordings that mean the same → one form: abbreviations, synonyms, an organ and its adjective.

    meanings = Meanings.of("es", forms)        forms: a wording → its stems without stop words, as a note has them
    meanings.units(["ecograf", "abdom"], ["ecografia", "abdomen"], [0, 1])
                                               [Unit("=eco", (0,)), Unit("=abdom", (1,))]

The tables are data: ``meanings.tsv`` and ``abbreviations.tsv`` of a language (the latter without its ambiguous rows); a
language may lack the former. The longest wording counts, from left to right. A wording written in capitals counts only
as it stands: not with other endings, and when it has two letters not in small ones. Nothing but the form is changed, so
that words keep their places. Knows nothing of codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from jointcoder.text.expand import abbreviations
from jointcoder.text.resources import table_or_none

MEANING = "="  # begins the form of a meaning; no stem does
CAPITALS = "^"  # begins a word of a wording that counts only as it stands
SHORT = 2

Form = tuple[str, ...]


class Unit(NamedTuple):
    """One or more words of a note that mean something together. ``form``: a stem, or the name of a meaning."""

    form: str
    words: tuple[int, ...]

    @property
    def known(self) -> bool:
        """Whether a table names it."""
        return self.form.startswith(MEANING)


@dataclass
class _Node:
    onward: dict[str, _Node] = field(default_factory=dict)
    name: str = ""


class Meanings:
    """The wordings of one language. Immutable after it is made."""

    def __init__(self, rows: Iterable[Sequence[Form]]) -> None:
        """``rows``: wordings that mean the same; rows that share a wording are one meaning."""
        self._root = _Node()
        for row in rows:
            wordings = [wording for wording in row if wording]
            names = [name for wording in wordings if (name := self._node(wording).name)]
            if wordings:
                name = names[0] if names else MEANING + "_".join(part.lstrip(CAPITALS) for part in wordings[0])
                for wording in wordings:
                    node = self._node(wording)
                    node.name = node.name or name

    @classmethod
    def of(cls, language: str, forms: Callable[[str], Form]) -> Self:
        """The tables of a language. Raises InputError JC105 for an unknown one."""
        rows: list[Sequence[str]] = list(table_or_none("meanings", language) or ())
        rows += [(row.form, row.expansion) for row in abbreviations(language) if not row.caution]
        return cls([tuple(dict.fromkeys(map(forms, row))) for row in rows])

    def _node(self, wording: Form) -> _Node:
        node = self._root
        for part in wording:
            node = node.onward.setdefault(part, _Node())
        return node

    def units(self, stems: Sequence[str], words: Sequence[str], places: Sequence[int]) -> list[Unit]:
        """The words at ``places`` (content words of one sentence, in order) taken together where a table does so."""
        found: list[Unit] = []
        at = 0
        while at < len(places):
            name, length = self._longest(stems, words, places, at, self._root, 0)
            length = length or 1
            found.append(Unit(name or stems[places[at]], tuple(places[at : at + length])))
            at += length
        return found

    def _longest(
        self, stems: Sequence[str], words: Sequence[str], places: Sequence[int], at: int, node: _Node, taken: int
    ) -> tuple[str, int]:
        best = (node.name, taken) if node.name else ("", 0)
        if at < len(places) and node.onward:
            for part in (stems[places[at]], CAPITALS + words[places[at]]):
                if (after := node.onward.get(part)) is not None:
                    further = self._longest(stems, words, places, at + 1, after, taken + 1)
                    if further[1] > best[1]:
                        best = further
        return best
