"""``python -m jointcoder.finetune judge EXAMPLES --adapter DIR``: held-out figures with and without an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from jointcoder.cli import common


def register(app: typer.Typer) -> None:
    app.command("judge")(judge)


def judge(
    examples: Annotated[Path, typer.Argument(help="A folder of examples; its held-out part is scored.")],
    base: Annotated[str | None, typer.Option(help="Model; default: the configured one.")] = None,
    adapter: Annotated[
        Path | None, typer.Option(help="The folder adapter/ of a training; or its GGUF file, scored by the engine.")
    ] = None,
    engine: Annotated[bool, typer.Option("--engine", help="Let the engine score, also without an adapter.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="So many held-out examples.")] = None,
    scores: Annotated[Path | None, typer.Option(help="Keep each example's scores here, as JSON lines.")] = None,
    dtype: Annotated[str, typer.Option(help="bfloat16, float32 or float16.")] = "bfloat16",
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    json_out: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Accuracy (and AUC of verdicts) of the base, of the adapter and of what is known without a model."""
    from jointcoder.errors import UsageError, name_list
    from jointcoder.finetune.base_model import DTYPES, device_of, require_extra, resolve_base
    from jointcoder.finetune.examples import Examples
    from jointcoder.finetune.trial import engine_trial, report, trial, write_scores
    from jointcoder.settings import Settings

    if dtype not in DTYPES:
        raise UsageError("JC001", f"unknown dtype {dtype!r}", hint=f"known: {name_list(DTYPES)}")
    settings = Settings.load()
    held = Examples.load(examples).dev[:limit]
    by_engine = engine or (adapter is not None and adapter.suffix == ".gguf")
    if engine and adapter is not None and adapter.suffix != ".gguf":
        raise UsageError("JC001", "the engine reads adapters as GGUF files", hint="write one with the export command")
    if not by_engine:
        require_extra()
    found = resolve_base(base or settings.model, settings)
    total = len(held) * (2 if adapter else 1)
    with common.progress("scoring", total) as advance:
        seen = [0]

        def count(done: int, _: int) -> None:
            advance(done - seen[0])
            seen[0] = done

        if by_engine:
            rows = engine_trial(found, held, adapter, progress=count)
        else:
            rows = trial(found, held, adapter, dtype=dtype, device=device_of(device), progress=count)
    if scores is not None:
        write_scores(scores, rows)
    figures = report(rows, seed=seed)
    if json_out:
        common.put_json(figures)
        return
    console = common.stdout()
    console.print(f"{figures['rows']} examples of {figures['groups']} encounters or wordings; 95 % intervals")
    console.print(_table(figures), highlight=False)
    if "put_right" in figures:
        console.print(
            f"the adapter puts {figures['put_right']} answers of the base right, {figures['put_wrong']} wrong"
        )


def _table(figures: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(box=None)
    for name in ("way", "accuracy", "", "AUC", ""):
        table.add_column(name, justify="left" if name == "way" else "right")
    for way, values in figures["ways"].items():
        row = [way]
        for name in ("accuracy", "auc"):
            low, high = values.get(f"{name}_interval", (None, None))
            row += [f"{values[name]:.3f}", f"{low:.3f}–{high:.3f}"] if name in values else ["", ""]
        table.add_row(*row)
    return table
