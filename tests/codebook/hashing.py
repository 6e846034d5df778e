"""An embedder for tests: letters in threes, hashed. Likeness of spelling stands in for likeness of meaning."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Hashing:
    """Deterministic, quick, and it counts what it was asked for. ``synonyms``: words that mean the same to it."""

    name = "hashing"
    dimensions = 64

    def __init__(self, synonyms: dict[str, str] | None = None, *, fails_after: int | None = None) -> None:
        self.synonyms = synonyms or {}
        self.fails_after = fails_after
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = []
        for text in texts:
            if self.fails_after is not None and len(self.asked) >= self.fails_after:
                raise KeyboardInterrupt
            self.asked.append(text)
            row = np.full(self.dimensions, 0.01, dtype=np.float32)
            for word in text.split():
                padded = f" {self.synonyms.get(word, word)} "
                for at in range(len(padded) - 2):
                    digest = hashlib.sha256(padded[at : at + 3].encode()).digest()
                    row[digest[0] % self.dimensions] += 1.0 if digest[1] % 2 else -1.0
            rows.append(row / np.linalg.norm(row))
        return np.asarray(rows, dtype=np.float32).reshape(len(texts), self.dimensions)
