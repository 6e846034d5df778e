"""The lexical index of one language and code system: numpy arrays on disk, mapped into memory, never copied.

Wordings are sets of words. With idf weights w, a query q and a wording d are alike by the Tversky index

    s(q, d) = w(q ∩ d) / (w(q) + β · w(d \\ q))

(Tversky 1977): 1 for the same words, everything the wording lacks counts fully, everything it adds counts β-fold.
It is BM25 with the term frequency switched off (a title says a word once) and the length correction replaced by the
weight of what was *added*: a qualifier that nobody wrote costs as much as it is rare. Computed for all wordings that
share a word by one scatter-add over the postings, into an array that each thread keeps and clears behind itself: the
cost of a query is that of its postings, not of the index.

Words and keys are filed under 64-bit hashes, so opening reads no strings. This module knows no languages or codes
beyond row numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import local
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

BETA = 0.35
ASIDE = 0.1  # a word in brackets is a non-essential modifier: adding it costs a tenth
ARRAYS = ("words", "idf", "offsets", "postings", "term", "node", "total", "side", "marks", "keys", "key_document")

Array = NDArray[Any]


def hash64(text: str) -> int:
    """A stable 64-bit hash (blake2b). Among 10⁶ keys a clash has probability below 10⁻⁷."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def hashes(texts: Iterable[str]) -> NDArray[np.uint64]:
    return np.fromiter((hash64(text) for text in texts), dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Document:
    """One wording to be indexed: its rows in the book, its words (word → written aside), key, side and marks."""

    term: int
    node: int
    words: Mapping[str, bool]
    key: str
    side: int
    marks: int


@dataclass(frozen=True, slots=True)
class Found:
    """Documents that share a word with a query, in no order, their Tversky index, and that of documents asked for."""

    documents: NDArray[np.int64]
    likeness: NDArray[np.float64]
    asked: NDArray[np.float64]


@dataclass(frozen=True)
class Postings:
    """The arrays of one index. ``postings[offsets[i]:offsets[i+1]]`` are the documents that hold word ``i``."""

    words: Array
    idf: Array
    offsets: Array
    postings: Array
    term: Array
    node: Array
    total: Array
    side: Array
    marks: Array
    keys: Array
    key_document: Array
    _scratch: local = field(default_factory=local, repr=False, compare=False)

    @property
    def documents(self) -> int:
        return len(self.term)

    @cached_property
    def greatest(self) -> float:
        """The idf of the rarest word; 0 for an empty index."""
        return float(self.idf.max()) if len(self.idf) else 0.0

    @classmethod
    def build(cls, documents: Sequence[Document], weights: Mapping[str, float]) -> Self:
        """``weights``: factor of a word's idf (absent: 1)."""
        vocabulary: dict[str, int] = {}
        pairs_word: list[int] = []
        pairs_document: list[int] = []
        asides: list[bool] = []
        for number, document in enumerate(documents):
            for word, aside in document.words.items():
                pairs_word.append(vocabulary.setdefault(word, len(vocabulary)))
                pairs_document.append(number)
                asides.append(aside)
        word_hash = hashes(vocabulary)
        order = np.argsort(word_hash, kind="stable")
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        of_word = rank[np.asarray(pairs_word, dtype=np.int64)]
        of_document = np.asarray(pairs_document, dtype=np.int32)
        by_word = np.argsort(of_word, kind="stable")
        counts = np.bincount(of_word, minlength=len(vocabulary))
        factor = np.asarray([weights.get(word, 1.0) for word in vocabulary], dtype=np.float64)[order]
        idf = (np.log1p(len(documents) / counts) * factor).astype(np.float32)
        share = np.where(np.asarray(asides, dtype=bool), ASIDE, 1.0)
        total = np.bincount(of_document, weights=idf[of_word] * share, minlength=len(documents))
        key_hash = hashes(document.key for document in documents)
        by_key = np.argsort(key_hash, kind="stable")
        return cls(
            words=word_hash[order],
            idf=idf,
            offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
            postings=of_document[by_word],
            term=np.asarray([d.term for d in documents], dtype=np.int32),
            node=np.asarray([d.node for d in documents], dtype=np.int32),
            total=total.astype(np.float32),
            side=np.asarray([d.side for d in documents], dtype=np.uint8),
            marks=np.asarray([d.marks for d in documents], dtype=np.uint8),
            keys=key_hash[by_key],
            key_document=by_key.astype(np.int32),
        )

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", np.ascontiguousarray(getattr(self, name)))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Maps the arrays; raises OSError or ValueError when a file is missing or damaged."""
        arrays: dict[str, Any] = {n: np.asarray(np.load(folder / f"{n}.npy", mmap_mode="r")) for n in ARRAYS}
        return cls(**arrays)

    def find_words(self, words: Sequence[str]) -> NDArray[np.int64]:
        """Row of each word, -1 where the index does not hold it."""
        return _find(self.words, hashes(words))

    def find_key(self, key: str) -> NDArray[np.int32]:
        """Documents whose key is ``key``."""
        value = np.uint64(hash64(key))
        first, last = np.searchsorted(self.keys, value, "left"), np.searchsorted(self.keys, value, "right")
        return np.asarray(self.key_document[first:last])

    def holds_keys(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """For each key whether some document has it; one binary search for all."""
        return np.asarray(_find(self.keys, hashes(keys)) >= 0)

    def search(
        self,
        rows: NDArray[np.int64],
        weights: NDArray[np.float64],
        *,
        whole: float,
        beta: float = BETA,
        asked: NDArray[np.int64] | None = None,
    ) -> Found:
        """Documents sharing a word with the query, and their Tversky index.

        ``rows``: words of the query known here; ``weights``: how much of each word's idf counts (1, or less for a
        corrected spelling); ``whole``: w(q), unknown words included. ``asked``: documents whose index is wanted too.
        """
        asked = np.empty(0, dtype=np.int64) if asked is None else asked
        matched = getattr(self._scratch, "matched", None)
        if matched is None:
            matched = self._scratch.matched = np.zeros(self.documents, dtype=np.float32)
        found: list[Array] = []
        try:
            for row, weight in zip(rows, weights, strict=True):
                holders = self.postings[self.offsets[row] : self.offsets[row + 1]]
                before = matched[holders]
                found.append(holders[before == 0])
                matched[holders] = before + np.float32(self.idf[row] * weight)
            documents = np.concatenate(found).astype(np.int64) if found else np.empty(0, dtype=np.int64)
            likeness = self._tversky(documents, matched[documents], whole, beta)
            return Found(documents, likeness, self._tversky(asked, matched[asked], whole, beta))
        finally:
            for part in found:
                matched[part] = 0

    def _tversky(self, documents: Array, shared: Array, whole: float, beta: float) -> NDArray[np.float64]:
        added = np.maximum(self.total[documents] - shared, 0.0)
        return np.asarray(shared / (max(whole, 1e-9) + beta * added), dtype=np.float64)


def _find(sorted_values: Array, wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
    if not len(sorted_values):
        return np.full(len(wanted), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(sorted_values, wanted), len(sorted_values) - 1)
    return np.where(sorted_values[at] == wanted, at, -1).astype(np.int64)
