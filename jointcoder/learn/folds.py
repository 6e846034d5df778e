"""Folds by encounter: what belongs to one encounter is never split, and the same ids always fall the same way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from jointcoder.errors import InputError

FOLDS = 10


def folds(ids: Sequence[str], k: int = FOLDS, seed: int = 0) -> NDArray[np.int64]:
    """The fold (0 … k-1) of each id; equal ids share one, folds differ by at most one distinct id in size.

    Raises InputError JC114 where there are fewer distinct ids than folds: nothing could be held out.
    """
    distinct = sorted(set(ids), key=lambda one: (hashlib.sha256(f"{seed}:{one}".encode()).digest(), one))
    if len(distinct) < k:
        raise InputError(
            "JC114",
            f"{len(distinct)} records are too few to learn from: {k} parts have to be held out in turn",
            hint="give more coded records",
        )
    place = {one: number % k for number, one in enumerate(distinct)}
    return np.array([place[one] for one in ids], dtype=np.int64)


def splits(fold: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Per fold its number, the rows outside it (to learn from) and those in it (to score)."""
    for number in range(int(fold.max()) + 1 if fold.size else 0):
        yield number, np.flatnonzero(fold != number), np.flatnonzero(fold == number)
