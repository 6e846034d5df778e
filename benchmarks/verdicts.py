"""What asking the model adds to a learned pack: F1 without and with its verdicts, and what they cost.

    python benchmarks/verdicts.py DATA.jsonl --pack NAME [--workflow learned-judged] [--limit N] [--teach] [--json]

The encounters must have taught neither the pack nor the model's adapter. Every figure is cross-fitted by encounter: the
weight of a verdict and the threshold come from the other encounters. The interval is of the gain (bootstrap, 95 %).
``--teach`` stores the weights in the pack's folder. Needs `jointcoder setup`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jointcoder import Coder
from jointcoder.corpora import load
from jointcoder.evaluation.run import sample
from jointcoder.learn.judged import compare, judge, teach
from jointcoder.records import System
from jointcoder.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--workflow", default="learned-judged")
    parser.add_argument("--model")
    parser.add_argument("--book")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=int, default=500, metavar="MB")
    parser.add_argument("--teach", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    corpus = load(options.data)
    items = sample(corpus.items, options.limit, options.seed)
    settings = Settings.load(completion_cache_mb=options.cache)
    with Coder(
        settings, model=options.model, workflow=options.workflow, code_book=options.book, pack=options.pack
    ) as coder:
        judged = judge(coder, items)
        folder = coder.pack.folder if coder.pack else Path()
    asked = {system for one in judged.encounters for system, _ in one.verdicts}
    rows = {system: compare(judged, System(system), seed=options.seed) for system in sorted(asked)}
    if options.teach:
        teach(folder, judged.rows, seed=options.seed)
    if options.json:
        print(json.dumps({"n": len(items), "tokens": judged.tokens, "systems": rows}))
        return
    table = Table(title=f"{options.data.name}, n = {len(items)}, {judged.tokens:,} tokens read", title_justify="left")
    for column in (
        "system",
        "F1 without",
        "with",
        "gain [95 %]",
        "asked of all decisions",
        "gain per 1,000 tokens a note",
    ):
        table.add_column(column, justify="left" if column == "system" else "right")
    for system, row in rows.items():
        low, high = row["interval_of_gain"]
        gain = row["with"] - row["without"]
        thousands = judged.tokens / len(items) / 1000
        table.add_row(
            system,
            f"{row['without']:.3f}",
            f"{row['with']:.3f}",
            f"{gain:+.3f} [{low:+.3f}, {high:+.3f}]",
            f"{row['asked']:.0f} of {row['decisions']:.0f} ({row['asked'] / max(1, row['decisions']):.0%})",
            f"{gain / thousands:+.4f}" if thousands else "–",
        )
    Console(width=132).print(table)


if __name__ == "__main__":
    main()
