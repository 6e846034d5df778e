"""What a search for a better workflow finds, and what it costs, beside its limits.

    python benchmarks/search_workflows.py DATA.jsonl -o DIR [--select FILE] [--test FILE] [--start NAME] [--book NAME]
        [--model NAME] [--meta-model NAME] [--pack NAME] [--limit N] [--minutes M] [--iterations N] [--seed S]
        [--without top-k …] [--replay] [--json]

A search as `jointcoder search run` does it; a run that lies in DIR goes on, a finished one is only measured. Rows:
tokens without keeping results and giving up weak plans early, over tokens spent (the share that giving up spares is
reckoned at each plan's own mean a note; `--replay` runs those notes for real, with the model's kept answers, and
counts); freely written plans that come to run; the winner's gain in F1 on notes that no plan has seen; minutes.
MedDCR's ablations are runs with `--without` in other folders; `jointcoder search report` puts those on the same notes
into one table.

Needs `jointcoder setup` and the extra `search`. Hours with the default model on two cores: a note takes half a minute
and a plan up to all notes. `--limit 40 --minutes 240` is a sensible first run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tables import row, show

from jointcoder.search.accounts import accounts
from jointcoder.search.conditions import Budget, Conditions
from jointcoder.search.designer import Shows
from jointcoder.search.lab import Lab
from jointcoder.search.session import RUN_FILE, Request, Session, opened
from jointcoder.search.trying import SEARCH
from jointcoder.search.view import DONE, DROPPED
from jointcoder.settings import Settings
from jointcoder.workflow.spec import Workflow

RATIO, EXECUTABLE = 5.0, 0.95


def at_least(name: str, ours: float | None, limit: float, unit: str = "") -> dict[str, Any]:
    """A row whose figure must not be below its limit; nothing measured is nothing missed."""
    if ours is None:
        return {"name": f"{name} (at least)", "ours": "–", "limit": limit, "unit": unit, "holds": True}
    return {**row(f"{name} (at least)", ours, limit, unit), "holds": ours >= limit}


def replayed(session: Session) -> int:
    """Tokens that all plans ask for on all search notes, each run for real and nothing of nodes kept."""
    search = session.search
    lab = Lab(search.lab.coder, None, systems=search.sets.systems)
    items = list(enumerate(search.sets.search))
    total = 0
    for candidate in session.archive.candidates(session.run.id):
        if candidate.status in (DONE, DROPPED):
            flow = Workflow.from_toml(candidate.workflow, origin=candidate.name)
            total += sum(ran.asked.all for ran in lab.run(flow, items))
    return total


def rows_of(session: Session, minutes: float, replay: bool) -> list[dict[str, Any]]:
    run = session.archive.run(session.run.id)
    found = accounts(session.archive, run, len(session.search.sets.search))
    gains = run.result.get("gains") or [None]
    low = gains[0]["low"] if gains[0] else None
    rows = [
        at_least("tokens by kept results alone, asked / spent", found.kept_ratio, 1.0, "×"),
        at_least("tokens by both, (asked + unrun) / spent", found.ratio, RATIO, "×"),
        at_least(f"designed plans that run, of {found.designed}", found.executable, EXECUTABLE),
        at_least("lower bound of the gain in F1 on the selection set", low, 0.0),
        row(f"minutes, {found.candidates} plans", found.minutes, minutes, "min"),
    ]
    if replay and found.spent:
        spent = sum(sum(one.ledger.get("spent", (0, 0, 0))[1:]) for one in session.archive.candidates(run.id))
        rows.insert(2, at_least("the same, counted by running everything", replayed(session) / spent, RATIO, "×"))
    results = session.archive.results(run.id, SEARCH)
    rows.append(row("notes on which a plan could not be run", _failed(results), 0, ""))
    return rows


def _failed(results: dict[int, Any]) -> float:
    return float(sum(bool(one.failed) for own in results.values() for one in own))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, required=True)
    for name in ("select", "test"):
        parser.add_argument(f"--{name}", type=Path)
    for name in ("start", "book", "model", "meta-model", "pack", "system"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--minutes", type=float, default=240.0)
    parser.add_argument("--iterations", type=int, default=100)  # the paper's
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--replay", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    request = Request(
        data=tuple(given.data),
        out=given.out,
        select=given.select,
        test=given.test,
        limit=given.limit,
        start=given.start or "",
        model=given.model,
        meta_model=given.meta_model,
        book=given.book,
        pack=given.pack,
        system=given.system,
        conditions=Conditions(shows=Shows.without(given.without), seed=given.seed),
        budget=Budget(given.iterations, given.minutes),
        resume=(given.out / RUN_FILE).exists(),
    )
    with opened(
        Settings.load(), request, tell=lambda one: print(f"# {one.number} {one.status} {one.edit or one.name}")
    ) as session:
        outcome = session.search.go()
        session.write(outcome)
        rows = rows_of(session, given.minutes, given.replay)
    if given.json:
        print(json.dumps({"run": session.run.id, "outcome": outcome.as_dict(), "rows": rows}))
        return
    show(rows, as_json=False)
    print("winner:", outcome.chosen if outcome.chosen is not None else "none; the start stays", f"({outcome.why})")


if __name__ == "__main__":
    main()
