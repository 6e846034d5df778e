"""Wordings by their words: how alike a query is to each document of an index, and what the two say differently.

Likeness: :mod:`jointcoder.codebook.postings`. On it come factors for another side, "other …" and parts of titles.
This module knows documents of one index, but no codes and no names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from jointcoder.codebook.analysis import BOTH, OTHER, PART, Analyser, Analysis
from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.postings import BETA, Found, Postings

BETAS = {"zh": 0.7}  # what a title adds weighs more where it is counted in characters
UNKNOWN = 0.6  # share of the greatest idf that an unknown word of the query weighs
ALIKE = 0.8  # likeness of letters from which an unknown word counts as a misspelling
CORRECTED = 0.85  # share that a word counts when its spelling was corrected
SAME_SIDE, NO_SIDE, SIDE_ADDED, OTHER_SIDE = 1.0, 0.9, 0.85, 0.25
OTHER_ADDED = 0.85
PART_OF_TITLE = 0.97

Documents = NDArray[np.int64]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Matches:
    """Documents and their likeness to the query's words; ``asked``: the likeness of documents asked for."""

    documents: Documents
    likeness: Scores
    asked: Scores


def match(
    book: CodeBook,
    index: str,
    shard: Postings,
    engine: Analyser,
    analysis: Analysis,
    *,
    language: str,
    number: int,
    asked: Documents,
) -> Matches:
    """Compare the words of ``analysis`` with ``shard``, the index of that name.

    Gives the ``number`` documents with the greatest likeness × factor, and the likeness of those in ``asked``.
    """
    words = list(dict.fromkeys(word.text for word in analysis.words))
    rows = shard.find_words(words)
    weights = np.ones(len(words))
    if language != "zh":
        for i in np.flatnonzero(rows < 0):
            near = correct(book, words[i], index)
            if near is not None:
                rows[i], weights[i] = shard.find_words([near])[0], CORRECTED
    known = rows >= 0
    whole = float(shard.idf[rows[known]].sum())
    whole += sum(UNKNOWN * shard.greatest * engine.weight(words[i]) for i in np.flatnonzero(~known))
    found = shard.search(rows[known], weights[known], whole=whole, beta=BETAS.get(language, BETA), asked=asked)
    documents, likeness = _best(found, number, lambda some: factors(shard, some, analysis))
    return Matches(documents, likeness, found.asked)


def _best(found: Found, number: int, factor: Callable[[Documents], Scores]) -> tuple[Documents, Scores]:
    """The ``number`` documents with the greatest likeness × factor. A factor is at most 1, so that only the documents
    of greatest likeness need theirs; ties at the end are cut by document."""
    documents, likeness = found.documents, found.likeness
    reach = 4 * number
    while reach < len(documents):
        at = np.argpartition(-likeness, reach)
        near = at[:reach]
        scores = likeness[near] * factor(documents[near])
        if np.partition(scores, reach - number)[reach - number] > likeness[at[reach]]:  # no other can be better
            documents, likeness = documents[near], likeness[near]
            break
        reach *= 4
    else:
        scores = likeness * factor(documents)
    if len(documents) > number:
        kept = np.lexsort((documents, -scores))[:number]
        documents, likeness = documents[kept], likeness[kept]
    return documents, likeness


def correct(book: CodeBook, word: str, index: str) -> str | None:
    """The word of the index that ``word`` most likely misspells: same first two letters, very alike."""
    if len(word) < 5 or not word.isalpha():
        return None
    from rapidfuzz import fuzz, process

    known = book.kept(f"vocabulary/{index}/{word[:2]}", lambda: _words(book, index, word[:2]))
    near = [other for other in known if abs(len(other) - len(word)) <= 2]
    # letters in common bound the likeness by matching blocks, which tells near-misses apart better but costs more
    near = [other for other, *_ in process.extract(word, near, scorer=fuzz.ratio, score_cutoff=100 * ALIKE, limit=None)]
    return next(iter(get_close_matches(word, sorted(near), n=1, cutoff=ALIKE)), None)


def _words(book: CodeBook, index: str, beginning: str) -> list[str]:
    rows = book.rows(
        "SELECT word FROM vocabulary WHERE shard = ? AND word >= ? AND word < ?", index, beginning, beginning + "{"
    )
    return [word for (word,) in rows]


def factors(shard: Postings, documents: Documents, analysis: Analysis) -> Scores:
    """What the query and each wording say differently about side and "other", as a factor in (0, 1]."""
    side, marks = shard.side[documents], shard.marks[documents]
    return _table(analysis.side, analysis.marks & OTHER)[side, marks]


@lru_cache(maxsize=64)
def _table(asked: int, other: int) -> NDArray[np.float64]:
    """Factor by the side and the marks of a wording, for a query that names the side ``asked``."""
    side, marks = np.arange(8)[:, None], np.arange(8)[None, :]
    if asked:
        factor = np.where(
            side == 0,
            NO_SIDE,
            np.where(side == asked, SAME_SIDE, np.where(side & asked, SIDE_ADDED, OTHER_SIDE)),
        )
        if asked != BOTH:
            factor = np.where(side == BOTH, OTHER_SIDE * 2, factor)
    else:
        factor = np.where(side == 0, 1.0, SIDE_ADDED)
    if not other:
        factor = np.where(marks & OTHER, factor * OTHER_ADDED, factor)
    return np.asarray(np.where(marks & PART, factor * PART_OF_TITLE, factor), dtype=np.float64)
