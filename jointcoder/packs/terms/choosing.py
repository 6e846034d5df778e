"""From probabilities to the answer: one term, several, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choosing:
    """Which candidates become the answer: all from ``threshold`` on; where there is none, the best one if it reaches
    ``least`` (1.01: never)."""

    threshold: float = 0.5
    least: float = 0.0

    def of(self, probability: Sequence[float]) -> list[int]:
        """Places of the answer among probabilities that are given best first."""
        found = [place for place, value in enumerate(probability) if value >= self.threshold]
        return found or ([0] if len(probability) and probability[0] >= self.least else [])
