"""Training curves as SVG: the loss of every step (with its running mean), the held-out figures beside it.

Draws what ``log.jsonl`` holds; the same log gives the same bytes. Knows no model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SMOOTHED = 0.9


def read_log(path: Path) -> list[dict[str, Any]]:
    """The log's lines; one cut by a crash is passed over. Of a step that was done twice the last counts."""
    found: dict[tuple[int, bool], dict[str, Any]] = {}
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row["step"], "loss" in row] = row
    return [found[key] for key in sorted(found)]


def draw(log: Sequence[Mapping[str, Any]], target: Path, *, title: str, train: str = "loss", dev: str = "dev_loss",
         metric: str | None = None) -> Path:  # fmt: skip
    """Write the SVG: ``train`` and ``dev`` on the left axis, ``metric`` on the right."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "jointcoder"
    from matplotlib import pyplot

    figure, left = pyplot.subplots(figsize=(7, 3.6), layout="constrained")
    lines = []
    steps, values = _series(log, train)
    if steps:
        left.plot(steps, values, color="0.8", linewidth=0.8)
        lines += left.plot(steps, _smooth(values), color="tab:blue", label=f"{train} (running mean)")
    steps, values = _series(log, dev)
    if steps:
        lines += left.plot(steps, values, color="tab:orange", marker="o", markersize=3, label=dev)
    left.set_xlabel("step")
    left.set_ylabel(train)
    steps, values = _series(log, metric) if metric else ([], [])
    if steps:
        right = left.twinx()
        lines += right.plot(steps, values, color="tab:green", marker="s", markersize=3, label=metric)
        right.set_ylabel(metric)
    left.set_title(title, fontsize=10)
    if lines:
        left.legend(lines, [line.get_label() for line in lines], fontsize=8, loc="best")
    figure.savefig(target, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return target


def _series(log: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    rows = [(row["step"], row[name]) for row in log if isinstance(row.get(name), int | float)]
    return [step for step, _ in rows], [value for _, value in rows]


def _smooth(values: Sequence[float]) -> list[float]:
    """Running mean with weights that fade, without the pull of its beginning (Kingma 2015, bias correction)."""
    found, mean = [], 0.0
    for number, value in enumerate(values, start=1):
        mean = SMOOTHED * mean + (1 - SMOOTHED) * value
        found.append(mean / (1 - SMOOTHED**number))
    return found
