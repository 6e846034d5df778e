"""``python -m jointcoder.finetune promote ADAPTER --of MODEL --name N …``: into force, if nothing gets worse by it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jointcoder.cli import common
from jointcoder.errors import JointCoderError

if TYPE_CHECKING:
    from jointcoder.finetune.gate import Verdict


def register(app: typer.Typer) -> None:
    app.command("promote")(promote)


def promote(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="The exported file (GGUF).")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The labelled dev set (JSON lines).")],
    of: Annotated[str, typer.Option("--of", metavar="MODEL", help="The base model's name.")],
    name: Annotated[str, typer.Option("--name", help="The adapter's name: that which steps ask for.")],
    candidate: Annotated[
        Path, typer.Option("--candidate", help="Predictions with it: JSON lines, or a report of evaluate --json.")
    ],
    current: Annotated[Path, typer.Option("--current", help="Predictions of what is in force now.")],
    train: Annotated[Path | None, typer.Option("--train", help="Training set, for slices by code frequency.")] = None,
    tolerance: Annotated[float, typer.Option(min=0, max=1, help="Fall of micro F1 that passes.")] = 0.005,
    confidence: Annotated[float, typer.Option(min=0.5, max=1, help="How probable a fall must be to count.")] = 0.95,
    least: Annotated[int, typer.Option(min=0, help="Slices of fewer codes are shown, not judged.")] = 20,
    resamples: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    activated: Annotated[bool, typer.Option("--activated", help="It acts behind the shared prefix only.")] = False,
    licence: Annotated[str, typer.Option("--licence", help="Default: as the file says.")] = "",
    unnamed: Annotated[
        bool, typer.Option("--unnamed", help="Take predictions that do not say which adapter made them.")
    ] = False,
    other_weights: Annotated[
        bool, typer.Option("--other-weights", help="It was trained on other weights of the same shapes.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge only.")] = False,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the report (JSON) there.")] = None,
    json_out: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Put an adapter in force only if dev F1 falls in no tracked slice; what it replaces is kept (models rollback)."""
    from jointcoder.finetune import promote as work
    from jointcoder.finetune.gate import Rule
    from jointcoder.finetune.gguf_write import replacing
    from jointcoder.settings import Settings

    settings = Settings.load()
    done = work.promote(
        adapter,
        name,
        of=of,
        evidence=work.Evidence(candidate, current, data, train, unnamed),
        settings=settings,
        rule=Rule(tolerance, confidence, least, resamples, seed),
        activated=activated,
        licence=licence,
        other_weights=other_weights,
        dry_run=dry_run,
    )
    if out:
        with replacing(out) as sink:
            sink.write((json.dumps(done.report, ensure_ascii=False, indent=1) + "\n").encode())
    if json_out:
        common.put_json(done.report)
    else:
        _show(done.verdict)
    if not done.verdict.promoted:
        fallen = "; ".join(
            f"{one.system}, {one.slice}: {one.before:.3f} → {one.after:.3f}" for one in done.verdict.failed
        )
        raise JointCoderError(
            "JC225", f"{name} is not promoted: {fallen}", hint="what was in force stays; train on more of what fell"
        )
    if done.registered is not None and not json_out:
        sys.stdout.write(f"adapter {name} of {of}: {done.registered.path}\n")
        common.say(f"back with: jointcoder models rollback {of} --adapter {name}")


def _show(verdict: Verdict) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("system", "slice", "n", "codes", "before", "after", "difference [95 %]", "fall probable", ""):
        table.add_column(column, justify="left" if column in ("system", "slice", "") else "right")
    for one in verdict.judged:
        span = f" [{one.interval[0]:+.3f}, {one.interval[1]:+.3f}]" if one.interval else ""
        table.add_row(
            one.system,
            one.slice,
            str(one.encounters),
            str(one.codes),
            f"{one.before:.3f}",
            f"{one.after:.3f}",
            f"{one.difference:+.3f}{span}",
            f"{one.fall:.2f}",
            "FAILED" if one.state == "failed" else one.state if one.state == "not judged" else "",
        )
    console = common.stdout()
    console.print(table)
    console.print(str(verdict.rule), highlight=False, soft_wrap=True)
    for name in verdict.untracked:
        console.print(f"not tracked: {name}", highlight=False, soft_wrap=True)
