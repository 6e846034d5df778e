"""How alike two wordings are, by their words: the lookup's own measure for one pair.

Shared words over the words asked for and a share of those that the name adds (Tversky 1977), less where a side is
added, much less where another side is named; the measure by which the walks down the hierarchy order what they offer.
Knows no index: rare and common words count alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jointcoder.steps.walk import ADDED, OTHER_SIDE, SIDE_ADDED, SIDE_LEFT_OUT

BESIDES = 0.05  # weight of a word that a clause says besides the name

if TYPE_CHECKING:
    from jointcoder.codebook.analysis import Analysis
    from jointcoder.codebook.lookup import Lookup


@dataclass(frozen=True)
class Likeness:
    """``language``: of the wordings that are compared with names of the book; ``procedures``: which kind of names."""

    lookup: Lookup
    language: str
    procedures: bool = False

    def of(self, wording: str, name: str) -> float:
        """0 to 1; 0 where the wording holds no word that counts."""
        asked = self.lookup.analyser(self.language).analyse(wording, query=True, procedures=self.procedures)
        return self.between(asked, name)

    def covered(self, wording: str, name: str) -> float:
        """The other way round: how much of the name the wording carries, 0 to 1; what it says besides counts little."""
        asked = self.lookup.analyser(self.language).analyse(wording, query=True, procedures=self.procedures)
        held, words = ({word.text for word in one.words} for one in (asked, self._said(name)))
        return len(words & held) / (len(words) + BESIDES * len(held - words)) if words else 0.0

    def same_side(self, wording: str, name: str) -> bool:
        """Whether both name the same side, or none."""
        asked = self.lookup.analyser(self.language).analyse(wording, query=True, procedures=self.procedures)
        return asked.side == self._said(name).side

    def between(self, asked: Analysis, name: str) -> float:
        """Likeness for a wording that has been analysed."""
        said = self._said(name)
        wanted, words = ({word.text for word in one.words} for one in (asked, said))
        if not wanted or not words:
            return 0.0
        share = len(words & wanted) / (len(wanted) + ADDED * len(words - wanted))
        if said.side == asked.side:
            return share
        return share * (OTHER_SIDE if said.side and asked.side else SIDE_ADDED if said.side else SIDE_LEFT_OUT)

    def _said(self, name: str) -> Analysis:
        names = self.lookup.index_language(self.language)
        return self.lookup.analyser(names).analyse(name, procedures=self.procedures)
