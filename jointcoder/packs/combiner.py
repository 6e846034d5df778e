"""Named features → log-odds → calibrated probability, explained feature by feature.

    combiner.probability(X)        X of shape (rows, features) → (rows,)
    combiner.contributions(x)      what each feature adds to the log-odds; they and the bias sum to it

The heart is a logistic regression over standardised features, small enough to be read in a JSON file. Where trees earn
their place, a LightGBM model lies beside it and the two log-odds are averaged with a stated share; it explains itself
by its own contributions (Lundberg 2018). Calibration is Platt's line or an isotonic staircase over the log-odds, both
monotone: it never changes an order. Trained by :mod:`jointcoder.learn.fit`; knows nothing of what the features mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.errors import AssetError
from jointcoder.records import Reason

Array = NDArray[np.float64]
BIAS = "bias"
TREES = "trees.txt"


@dataclass(frozen=True)
class Calibration:
    """Log-odds → probability: ``platt`` sigmoid(a·z + b), or ``isotonic``, linear between knots (z ascending)."""

    kind: str = "platt"
    a: float = 1.0
    b: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()

    def __call__(self, logodds: Array) -> Array:
        if self.kind == "isotonic" and self.knots:
            at, value = zip(*self.knots, strict=True)
            return np.asarray(np.interp(logodds, at, value), dtype=np.float64)
        return sigmoid(self.a * logodds + self.b)


class Part(NamedTuple):
    """What :class:`jointcoder.records.Reason` says, while it is being reckoned."""

    feature: str
    value: float
    weight: float

    def reason(self) -> Reason:
        """As it stands in a record."""
        return Reason(feature=self.feature, value=self.value, weight=self.weight)


@dataclass(frozen=True)
class Combiner:
    """Weights by feature name. Frozen; safe to share between threads.

    ``mean``, ``scale``: of the training rows; a weight belongs to the standardised feature. ``folder`` and ``share``:
    where a LightGBM model lies (``trees.txt``), and how much of the log-odds is its own.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float = 0.0
    calibration: Calibration = field(default_factory=Calibration)
    share: float = 0.0
    folder: Path | None = None

    def logodds(self, rows: Array) -> Array:
        """Uncalibrated log-odds of shape (rows,)."""
        rows = np.atleast_2d(np.asarray(rows, dtype=np.float64))
        if rows.shape[1] != len(self.names):
            raise ValueError(f"{rows.shape[1]} features given, {len(self.names)} known")
        if not len(rows):
            return np.zeros(0)
        value = rows @ self._slopes + self._intercept
        if self.share:
            value = (1 - self.share) * value + self.share * self._predicted(rows, raw_score=True)
        return np.asarray(value, dtype=np.float64)

    def probability(self, rows: Array) -> Array:
        """Calibrated probability of shape (rows,)."""
        return self.calibration(self.logodds(rows))

    def contributions(self, row: Array) -> tuple[Reason, ...]:
        """Each feature's share of the log-odds of one row, largest first; with ``bias`` they sum to it.

        A feature at its training mean contributes nothing, and is left out.
        """
        return tuple(part.reason() for part in self.parts(row))

    def parts(self, row: Array) -> list[Part]:
        """:meth:`contributions` before they are records: a note asks for many of which few are kept."""
        row = np.asarray(row, dtype=np.float64).reshape(-1)
        parts = (row - np.array(self.mean)) / np.array(self.scale) * np.array(self.weights)
        bias = self.bias
        if self.share:
            own = self._predicted(row.reshape(1, -1), pred_contrib=True).reshape(-1)
            parts = (1 - self.share) * parts + self.share * own[:-1]
            bias = (1 - self.share) * bias + self.share * float(own[-1])
        found = list(map(Part, self.names, row.tolist(), parts.tolist()))
        found.append(Part(BIAS, 1.0, float(bias)))
        kept = [part for part in found if abs(part.weight) > 0]
        return sorted(kept, key=lambda part: (-abs(part.weight), part.feature))

    def to_json(self) -> dict[str, Any]:
        """Plain data for a JSON file; :meth:`from_json` reads it back."""
        return {
            "bias": self.bias,
            "features": {
                name: {"mean": mean, "scale": scale, "weight": weight}
                for name, mean, scale, weight in zip(self.names, self.mean, self.scale, self.weights, strict=True)
            },
            "calibration": {
                "kind": self.calibration.kind,
                "a": self.calibration.a,
                "b": self.calibration.b,
                "knots": [list(knot) for knot in self.calibration.knots],
            },
            "trees": self.share,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], folder: Path | None = None) -> Self:
        """Raises AssetError JC212 when the data are no combiner. ``folder``: where its trees lie, if it has some."""
        try:
            rows: Sequence[tuple[str, Mapping[str, float]]] = list(data["features"].items())
            line = data["calibration"]
            made = cls(
                names=tuple(name for name, _ in rows),
                mean=tuple(float(row["mean"]) for _, row in rows),
                scale=tuple(float(row["scale"]) for _, row in rows),
                weights=tuple(float(row["weight"]) for _, row in rows),
                bias=float(data["bias"]),
                calibration=Calibration(
                    str(line["kind"]),
                    float(line["a"]),
                    float(line["b"]),
                    tuple((float(at), float(value)) for at, value in line["knots"]),
                ),
                share=float(data.get("trees", 0.0)),
                folder=folder,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AssetError("JC212", f"a combiner of the pack is damaged ({type(error).__name__})") from None
        values = (*made.mean, *made.scale, *made.weights, made.bias, made.share)
        if not all(map(math.isfinite, values)) or not all(made.scale):
            raise AssetError("JC212", "a combiner of the pack holds figures that are none")
        return made

    @cached_property
    def _slopes(self) -> Array:
        return np.array(self.weights, dtype=np.float64) / np.array(self.scale, dtype=np.float64)

    @cached_property
    def _intercept(self) -> float:
        return float(self.bias - np.dot(self._slopes, np.array(self.mean, dtype=np.float64)))

    def _predicted(self, rows: Array, **what: bool) -> Array:
        """By the trees, in this thread alone: for the few rows of a note, waking others costs forty times the work."""
        return np.asarray(self._trees.predict(rows, num_threads=1, **what))

    @cached_property
    def _trees(self) -> Any:
        try:
            import lightgbm
        except ImportError:
            hint = "pip install 'jointcoder[learn]'"
            raise AssetError("JC211", "this pack needs lightgbm, which is not installed", hint=hint) from None
        if self.folder is None or not (self.folder / TREES).is_file():
            raise AssetError("JC212", f"the pack lacks {TREES}")
        return lightgbm.Booster(model_file=str(self.folder / TREES))


def sigmoid(value: Array) -> Array:
    """1 / (1 + e^-value) without overflow, for arrays."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(value, dtype=np.float64))))
