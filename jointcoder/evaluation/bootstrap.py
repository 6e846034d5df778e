"""Percentile bootstrap over encounters (Efron 1979): how far a micro-averaged figure could lie elsewhere.

Encounters are drawn with replacement; drawing is done as multinomial weights, so that a resample of any number of
encounters is one matrix product. Seeded: the same counts and seed give the same interval. Knows counts only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
LEVEL = 0.95
_CELLS = 4_000_000  # weights held at one time


@dataclass(frozen=True, slots=True)
class Difference:
    """Second run minus first: the difference of micro F1 (or another ratio), its interval, and a two-sided bootstrap p
    value."""

    difference: float
    interval: tuple[float, float]
    p: float


def interval(
    counts: NDArray[np.int64], *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> tuple[float, float] | None:
    """The interval of micro F1. ``counts``: shape (encounters, 3), columns TP, FP, FN.

    None when there is no encounter or no code in any. Resamples without any code are left out.
    """
    if not len(counts) or not counts.sum():
        return None
    values = np.concatenate([_f1(weights @ counts) for weights in _weights(len(counts), resamples, seed)])
    return _percentiles(values, level)


def interval_of(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    n: int,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float] | None:
    """The interval of any figure of ``n`` encounters. ``statistic``: how often each is drawn, shape (some resamples, n)
    → the figure of each resample, nan where it has none. None for fewer than two encounters, or without any figure."""
    if n < 2:
        return None
    return _percentiles(np.concatenate([statistic(weights) for weights in _weights(n, resamples, seed)]), level)


def ratio_interval(
    counts: NDArray[np.float64], *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0
) -> tuple[float, float] | None:
    """The interval of a ratio of sums. ``counts``: shape (encounters, 2), columns numerator and denominator."""
    return interval_of(
        lambda weights: _ratio(weights @ counts), len(counts), resamples=resamples, level=level, seed=seed
    )


def paired_difference(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Difference | None:
    """Micro F1 of ``second`` minus ``first`` on the same encounters in the same order, drawn together.

    Raises ValueError if the shapes differ. None when either has no code at all.
    """
    if first.shape != second.shape:
        raise ValueError("a paired comparison needs the same encounters on both sides")
    if not len(first) or not first.sum() or not second.sum():
        return None
    values = np.concatenate(
        [_f1(weights @ second) - _f1(weights @ first) for weights in _weights(len(first), resamples, seed)]
    )
    values = values[~np.isnan(values)]
    here = float(_f1(second.sum(axis=0)[None])[0] - _f1(first.sum(axis=0)[None])[0])
    tail = min(float(np.mean(values <= 0)), float(np.mean(values >= 0)))
    found = _percentiles(values, level)
    assert found is not None
    return Difference(here, found, min(1.0, 2 * tail))


def paired_ratio(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Difference | None:
    """The same for any ratio of sums. Both arrays: shape (encounters, 2), columns numerator and denominator: right
    codes and codes given (precision), seconds and 1 (a mean).

    Raises ValueError if the shapes differ. None where a denominator sums to nothing; resamples in which one does are
    left out.

    """
    if first.shape != second.shape:
        raise ValueError("a paired comparison needs the same encounters on both sides")
    if not len(first) or not first[:, 1].sum() or not second[:, 1].sum():
        return None
    values = np.concatenate(
        [_ratio(weights @ second) - _ratio(weights @ first) for weights in _weights(len(first), resamples, seed)]
    )
    values = values[~np.isnan(values)]
    here = float(_ratio(second.sum(axis=0)[None])[0] - _ratio(first.sum(axis=0)[None])[0])
    tail = min(float(np.mean(values <= 0)), float(np.mean(values >= 0)))
    found = _percentiles(values, level)
    assert found is not None
    return Difference(here, found, min(1.0, 2 * tail))


def _weights(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each encounter is drawn: arrays of shape (some resamples, n)."""
    generator = np.random.default_rng(seed)
    share = np.full(n, 1.0 / n)
    at_once = max(1, _CELLS // n)
    for begin in range(0, resamples, at_once):
        yield generator.multinomial(n, share, size=min(at_once, resamples - begin))


def _f1(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    twice = 2 * sums[:, 0].astype(np.float64)
    below = twice + sums[:, 1] + sums[:, 2]
    values = np.full(len(sums), np.nan)
    np.divide(twice, below, out=values, where=below > 0)
    return values


def _ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.full(len(sums), np.nan)
    np.divide(sums[:, 0], sums[:, 1], out=values, where=sums[:, 1] > 0)
    return values


def _percentiles(values: NDArray[np.float64], level: float) -> tuple[float, float] | None:
    values = values[~np.isnan(values)]
    if not values.size:
        return None
    edge = 100 * (1 - level) / 2
    low, high = np.percentile(values, [edge, 100 - edge])
    return float(low), float(high)
