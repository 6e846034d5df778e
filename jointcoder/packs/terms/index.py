"""Which of many wordings share the most with one: idf-weighted grams, counted for all at once.

    index = Index.build(wordings);  likeness = index.compare(wording)

The arrays are those of :class:`jointcoder.codebook.postings.Postings`, mapped from disk; the scoring is its own because
the features need three views of the same overlap: how alike (cosine of the weights), how much of the query is
explained, how much of the entry is said. Knows nothing of what the wordings stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.codebook.postings import Document, Postings
from jointcoder.packs.terms.wording import Wording

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Likeness:
    """For every entry: ``alike`` in [0, 1]; ``of_query`` and ``of_entry``, the share of either's weight that is shared;
    ``telling``: how few other entries share it (each gram hands one vote, times its weight, round all that hold it)."""

    alike: Floats
    of_query: Floats
    of_entry: Floats
    telling: Floats

    def best(self, scores: Floats, k: int) -> NDArray[np.int64]:
        """The rows of the ``k`` greatest positive scores, greatest first, equal ones by row."""
        rows = np.flatnonzero(scores > 1e-9)
        found = scores[rows]
        if len(rows) > k > 0:
            # ties at the cut are settled by row, else results would hang on the partition algorithm
            kept = found >= np.partition(found, len(found) - k)[len(found) - k]
            rows, found = rows[kept], found[kept]
        return rows[np.lexsort((rows, -found))][:k].astype(np.int64)


class Index:
    """An immutable index over wordings, numbered from 0 in the order given."""

    def __init__(self, postings: Postings) -> None:
        self.postings = postings
        self._total = np.maximum(np.asarray(postings.total, dtype=np.float64), 1e-9)

    def __len__(self) -> int:
        return self.postings.documents

    @classmethod
    def build(cls, wordings: Sequence[Wording]) -> Self:
        documents = [Document(row, row, dict.fromkeys(w.grams, False), w.key, 0, 0) for row, w in enumerate(wordings)]
        return cls(Postings.build(documents, {}))

    @classmethod
    def open(cls, folder: Path) -> Self:
        return cls(Postings.open(folder))

    def save(self, folder: Path) -> None:
        self.postings.save(folder)

    def same(self, wording: Wording) -> NDArray[np.int32]:
        """Entries of the same wording."""
        return self.postings.find_key(wording.key)

    def weights(self, grams: Sequence[str]) -> Floats:
        """The idf of each gram; one that no entry holds weighs as much as the rarest."""
        return self._idf(self.postings.find_words(grams))

    def _idf(self, rows: NDArray[np.int64]) -> Floats:
        found = np.full(len(rows), self.postings.greatest, dtype=np.float64)
        found[rows >= 0] = self.postings.idf[rows[rows >= 0]]
        return found

    def compare(self, wording: Wording, *, telling: bool = False) -> Likeness:
        """The likeness of every entry to a wording. ``telling``: whether that view is wanted, too; else it is zero."""
        rows = self.postings.find_words(wording.grams)
        idf = self._idf(rows)
        whole = max(float(idf.sum()), 1e-9)
        known = rows[rows >= 0]
        if not len(known):
            nothing = np.zeros(len(self))
            return Likeness(nothing, nothing, nothing, nothing)
        offsets = self.postings.offsets
        holders = [self.postings.postings[offsets[row] : offsets[row + 1]] for row in known]
        counts = np.asarray([len(h) for h in holders])
        every = np.concatenate(holders)
        shared = np.bincount(every, weights=np.repeat(idf[rows >= 0], counts), minlength=len(self))
        votes = np.zeros(len(self))
        if telling:
            share = np.repeat(idf[rows >= 0] / (counts + 1.0), counts)
            votes = np.bincount(every, weights=share, minlength=len(self)) / whole
        return Likeness(shared / np.sqrt(whole * self._total), shared / whole, shared / self._total, votes)
