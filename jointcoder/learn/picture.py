"""What the held-out scores look like: is the confidence honest, and what does each threshold buy?

Two panels per part and system, as SVG: reliability (precision of the codes given at each confidence, with the share of
codes there) and precision, recall and F1 over the threshold. Draws with matplotlib (extra ``learn``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jointcoder.learn.fit import require
from jointcoder.learn.measure import HeldOut

BINS = 10
INK, ACCENT, SOFT = "#20303c", "#c2571a", "#8fb8c9"


def draw(scores: Mapping[str, HeldOut], thresholds: Mapping[str, float], path: Path) -> None:
    """Write the picture. Raises AssetError JC211 without matplotlib."""
    require("matplotlib").use("svg")
    pyplot = require("matplotlib.pyplot")
    shown = {name: held for name, held in scores.items() if held.probability.size}
    if not shown:
        return
    figure, axes = pyplot.subplots(len(shown), 2, figsize=(9, 3.2 * len(shown)), squeeze=False, layout="constrained")
    for (reliability, curve), (name, held) in zip(axes, shown.items(), strict=True):
        _reliability(reliability, held, name)
        _curve(curve, held, thresholds.get(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _reliability(axis: Any, held: HeldOut, name: str) -> None:
    place = np.minimum((held.probability * BINS).astype(int), BINS - 1)
    size = np.bincount(place, minlength=BINS)
    used = size > 0
    right = np.bincount(place, weights=held.right, minlength=BINS)[used] / size[used]
    stated = np.bincount(place, weights=held.probability, minlength=BINS)[used] / size[used]
    axis.bar((np.arange(BINS) + 0.5) / BINS, size / size.sum(), width=0.9 / BINS, color=SOFT)
    axis.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":")
    axis.plot(stated, right, marker="o", ms=4, color=ACCENT)
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="stated confidence", ylabel="precision · share", title=name)


def _curve(axis: Any, held: HeldOut, threshold: float | None) -> None:
    order = np.argsort(-held.probability, kind="stable")
    at, found = held.probability[order], np.cumsum(held.right[order])
    precision = found / np.arange(1, at.size + 1)
    recall = found / max(1, int(held.right.sum()) + held.missed)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    for values, label, colour in ((precision, "precision", INK), (recall, "recall", SOFT), (f1, "F1", ACCENT)):
        axis.plot(at, values, label=label, color=colour, lw=1.4)
    if threshold is not None:
        axis.axvline(threshold, color=INK, lw=0.8, ls=":")
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="threshold", title=f"{held.probability.size} rows, {held.missed} missed")
    axis.legend(frameon=False, fontsize=8, loc="lower left")
