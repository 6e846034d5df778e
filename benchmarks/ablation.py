"""What each stage of the default workflow is worth: the corpus coded with every stage left out in turn.

    python benchmarks/ablation.py DATA.jsonl [--limit N] [--seed S] [--book NAME] [--pack NAME] [--cache MB] [--json]

After tables 2 and 3 of the JointCoder paper. Where a stage cannot be left out because it makes the codes
(standardise), the model is taken out of it. The model's answers are kept (`--cache`), so that what two variants ask
alike is asked once. Rows are F1 per system with 95 % intervals and the difference to the whole, and how often the
principal diagnosis is right. Needs `jointcoder setup`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jointcoder import Coder
from jointcoder.corpora import load
from jointcoder.errors import JointCoderError
from jointcoder.evaluation.run import evaluate
from jointcoder.settings import Settings
from jointcoder.workflow.check import plan
from jointcoder.workflow.spec import Workflow, load_workflow


def variants(whole: Workflow) -> Iterator[tuple[str, Workflow]]:
    """The whole, then one variant a stage; those that the workflow cannot do without are passed over."""
    yield "whole", whole
    ids = {spec.id for spec in whole.step}
    stages: dict[str, list[str]] = {}
    for spec in whole.step:
        stages.setdefault(spec.use, []).append(spec.id)
    for stage, members in stages.items():
        if stage in ("read", "extract", "learned"):
            continue
        changed = whole
        for member in members:
            if member not in ids:
                continue
            changed = (
                changed.with_options(member, ask_model=False) if stage == "standardise" else changed.without(member)
            )
        try:
            plan(changed)
        except JointCoderError:
            continue
        yield f"without {stage}" if stage != "standardise" else "standardise without model", changed


def measured(data: Path, workflow: Workflow, options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """The figures of one variant."""
    corpus = load(data)
    with Coder(settings, workflow=workflow, code_book=options.book, pack=options.pack) as coder:
        report = evaluate(corpus, coder, limit=options.limit, seed=options.seed)
    figures = report["metrics"]
    systems = {
        name: {"f1": values.get("micro_f1"), "interval": values.get("interval")}
        for name, values in figures["systems"].items()
    }
    return {"n": report["n"], "systems": systems, "principal": figures.get("principal_accuracy", {}).get("diagnosis")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--workflow", default="jointcoder")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--book")
    parser.add_argument("--pack")
    parser.add_argument("--cache", type=int, default=500, metavar="MB")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    settings = Settings.load(completion_cache_mb=options.cache)
    rows = {}
    for name, workflow in variants(load_workflow(options.workflow)):
        rows[name] = measured(options.data, workflow, options, settings)
        if not options.json:
            Console(stderr=True).print(f"{name}: done", highlight=False)
    if options.json:
        print(json.dumps({"data": options.data.name, "rows": rows}))
        return
    whole = rows["whole"]
    table = Table(title=f"{options.data.name}, n = {whole['n']}", title_justify="left")
    for column in ("variant", *whole["systems"], "principal"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for name, row in rows.items():
        cells = [_cell(row["systems"][system], whole["systems"][system]) for system in whole["systems"]]
        table.add_row(name, *cells, "–" if row["principal"] is None else f"{row['principal']:.3f}")
    Console(width=120).print(table)


def _cell(here: dict[str, Any], whole: dict[str, Any]) -> str:
    if here["f1"] is None:
        return "–"
    low, high = here["interval"] or (here["f1"], here["f1"])
    return f"{here['f1']:.3f} [{low:.3f}, {high:.3f}] {here['f1'] - (whole['f1'] or 0):+.3f}"


if __name__ == "__main__":
    main()
