"""Wordings never seen → the marked wordings that look most like them, by letters and stems.

    likeness.nearest("fracturas costales multiples", k=12)      [(entry number, likeness 0–1), …]

TF-IDF over groups of three and four letters (and whole words), cosine. Words that differ in an ending, an abbreviation
or a misspelling stay near. The index is made from the lexicon when a pack is loaded; nothing of it is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


class Likeness:
    """An index over wordings. Immutable after it is made."""

    def __init__(self, wordings: Sequence[str]) -> None:
        self.size = len(wordings)
        self._number: dict[str, int] = {}
        pairs = [
            (row, self._number.setdefault(gram, len(self._number)))
            for row, wording in enumerate(wordings)
            for gram in grams(wording)
        ]
        table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        kinds = max(1, len(self._number))
        # one line a group and wording, ordered by group: the postings of all groups in one array
        lines, counts = np.unique(table[:, 1] * max(1, self.size) + table[:, 0], return_counts=True)
        gram, row = np.divmod(lines, max(1, self.size))
        spread = np.bincount(gram, minlength=kinds)
        self._weight = np.log((1 + self.size) / (1 + spread)) + 1.0
        self._unknown = float(np.log(1 + self.size) + 1.0)
        value = counts * self._weight[gram]
        length = np.sqrt(np.bincount(row, weights=value * value, minlength=max(1, self.size)))
        self._rows = row.astype(np.int32)
        self._values = (value / length[row]).astype(np.float32)
        self._offsets = np.concatenate(([0], np.cumsum(spread))).tolist()
        self.nearest = lru_cache(maxsize=4096)(self._nearest)

    def _nearest(self, text: str, k: int = 12, least: float = 0.3) -> tuple[tuple[int, float], ...]:
        """Numbers of the wordings that are most like ``text``, with their likeness."""
        score: NDArray[np.float32] = np.zeros(self.size, dtype=np.float32)
        norm = 0.0
        for gram, n in Counter(grams(text)).items():
            number = self._number.get(gram)
            weight = n * (self._unknown if number is None else float(self._weight[number]))
            norm += weight * weight
            if number is not None:
                first, last = self._offsets[number], self._offsets[number + 1]
                score[self._rows[first:last]] += self._values[first:last] * np.float32(weight)
        if not norm or not self.size:
            return ()
        score /= np.float32(np.sqrt(norm))
        top = np.argpartition(-score, min(k, self.size - 1))[:k]
        order = sorted(((int(i), float(score[i])) for i in top if score[i] >= least), key=lambda p: (-p[1], p[0]))
        return tuple(order)


def grams(text: str) -> Iterator[str]:
    """Groups of three and four letters with the blanks between words, and the words."""
    padded = f" {text} "
    for size in (3, 4):
        for at in range(len(padded) - size + 1):
            yield padded[at : at + size]
    for word in text.split():
        yield "w:" + word
