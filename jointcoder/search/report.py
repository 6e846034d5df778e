"""One page about a search: what it found, how it got there, what it spent. Self-contained HTML, no script, no network.

    html = report(archive, archive.run("name"))

The page holds plans, figures and counts. It holds no note text, no transcript and no critique that a model wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jointcoder.errors import UsageError
from jointcoder.search import charts
from jointcoder.search.accounts import accounts
from jointcoder.search.charts import Point
from jointcoder.search.trying import SEARCH, SELECTION
from jointcoder.search.view import DONE, DROPPED, FAILED, SAME, best
from jointcoder.store.archive import Archive, Candidate, Run

TEMPLATE = "report.html"


def report(archive: Archive, run: Run) -> str:
    """The page. Raises UsageError JC002 without jinja2."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        hint = "pip install 'jointcoder[search]'"
        raise UsageError("JC002", "the report needs the package jinja2", hint=hint) from None
    folder = files("jointcoder.search") / "templates"
    environment = Environment(
        loader=FileSystemLoader(str(folder)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(**facts(archive, run))


def facts(archive: Archive, run: Run) -> dict[str, Any]:
    """What the page shows, as plain values and SVG texts."""
    candidates = archive.candidates(run.id)
    by_number = {one.number: one for one in candidates}
    start = next((one for one in candidates if one.origin == "seed"), None)
    chosen = by_number.get(run.result.get("chosen") or -1)
    leader = best(candidates)
    notes = int(run.config.get("notes", {}).get("search", 0)) or max(
        (one.scores.get("n", 0) for one in candidates), default=0
    )
    return {
        "run": run,
        "created": f"{run.created:%Y-%m-%d %H:%M} UTC" if run.created else "",
        "start": start,
        "chosen": chosen,
        "leader": leader,
        "gains": run.result.get("gains", ()),
        "selection": run.result.get("selection", {}),
        "thriftier": run.result.get("thriftier"),
        "test": run.result.get("test", {}),
        "test_gain": run.result.get("test_gain"),
        "notes": run.config.get("notes", {}),
        "candidates": [_row(one) for one in candidates],
        "accounts": accounts(archive, run, notes),
        "stages": [
            (name, _stages(archive, run, one)) for name, one in (("start", start), ("best", chosen or leader)) if one
        ],
        "ablations": _ablations(archive, run),
        "conditions": json.dumps(run.config, ensure_ascii=False, indent=1),
        "curve": charts.curve(_points(candidates, "number"), x="plan", y="objective J"),
        "pareto": charts.scatter(_points(candidates, "cost"), x="thousand tokens a note", y="F1"),
        "tree": charts.tree(
            {one.number: one.parent for one in candidates}, {n: _node(c) for n, c in by_number.items()}
        ),
        "bounds": charts.bounds([_bound(one, by_number) for one in run.result.get("gains", ())]),
        "part": SELECTION,
    }


def _kind(candidate: Candidate) -> str:
    if candidate.status == SAME:
        return DROPPED
    return candidate.status if candidate.status in (DROPPED, FAILED) else candidate.origin


def _points(candidates: Sequence[Candidate], by: str) -> list[Point]:
    points = []
    for one in candidates:
        if not one.scores:
            continue
        score = one.scores
        title = f"{one.number} {one.name}: F1 {score['f1']:.3f}, J {score['objective']:.3f}, "
        title += f"{score['tokens']:.0f} tokens a note, {score['n']} notes" + (f"; {one.edit}" if one.edit else "")
        if by == "number":
            points.append(Point(one.number, score["objective"], _kind(one), title))
        elif one.status == DONE:
            points.append(Point(score["tokens"] / 1000, score["f1"], _kind(one), title, str(one.number)))
    return points


def _node(candidate: Candidate) -> Point:
    value = f" {candidate.scores['f1']:.2f}" if candidate.scores else ""
    title = f"{candidate.name}: {candidate.edit or candidate.origin} ({candidate.status})"
    return Point(0, 0, _kind(candidate), title, f"{candidate.number}{value}")


def _bound(gain: Mapping[str, Any], candidates: Mapping[int, Candidate]) -> tuple[str, float, float, float]:
    name = candidates[gain["number"]].name if gain["number"] in candidates else str(gain["number"])
    return name[:18], gain["difference"], gain["low"], gain["high"]


def _row(candidate: Candidate) -> dict[str, Any]:
    spent = candidate.ledger.get("spent", (0, 0, 0))
    return {
        "number": candidate.number,
        "kind": _kind(candidate),
        "origin": candidate.origin,
        "status": f"same as {candidate.notes['same_as']}" if candidate.status == SAME else candidate.status,
        "name": candidate.name,
        "parent": candidate.parent,
        "edit": candidate.edit,
        "hash": candidate.hash[:12],
        "score": candidate.scores,
        "error": candidate.error_code,
        "mended": candidate.attempts,
        "spent": sum(spent[1:]),
    }


def _stages(archive: Archive, run: Run, candidate: Candidate) -> list[dict[str, Any]]:
    """Right, wrong and missed codes after each step over the search notes."""
    totals: dict[str, list[int]] = {}
    for result in archive.results(run.id, SEARCH).get(candidate.number, ()):
        for stage, counts in result.stages.items():
            totals[stage] = [a + b for a, b in zip(totals.get(stage, [0, 0, 0]), counts, strict=True)]
    most = max((sum(counts) for counts in totals.values()), default=1) or 1
    return [
        {
            "stage": stage,
            "right": right,
            "wrong": wrong,
            "missed": missed,
            "widths": [100 * value / most for value in (right, wrong, missed)],
        }
        for stage, (right, wrong, missed) in totals.items()
    ]


def _ablations(archive: Archive, run: Run) -> list[dict[str, Any]]:
    """Runs on the same notes, told apart by what their designer was not shown."""
    rows = []
    for other in reversed(archive.runs()):
        if other.config.get("sets") != run.config.get("sets"):
            continue
        leader = best(archive.candidates(other.id))
        shows = other.config.get("conditions", {}).get("shows", {})
        gains = other.result.get("gains", ())
        rows.append(
            {
                "name": other.name,
                "this": other.id == run.id,
                "without": ", ".join(name.replace("_", " ") for name, shown in shows.items() if not shown) or "nothing",
                "best": leader.scores if leader else None,
                "candidates": len(archive.candidates(other.id)),
                "iterations": other.spent.get("iterations", 0),
                "gain": gains[0] if gains else None,
                "chosen": other.result.get("chosen") is not None,
            }
        )
    return rows
