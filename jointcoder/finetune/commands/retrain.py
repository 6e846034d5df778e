"""``python -m jointcoder.finetune retrain --from RECORDS -o DIR``: adapters of all agents from a site's own records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jointcoder.cli import common


def register(app: typer.Typer) -> None:
    app.command("retrain")(retrain)


def retrain(
    source: Annotated[list[str], typer.Option("--from", help="Coded records, coders' decisions or term pairs.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for examples, trainings and adapters.")],
    base: Annotated[
        str | None, typer.Option(help="Base model: a name, a GGUF file or a hub's folder; default: the configured one.")
    ] = None,
    agent: Annotated[list[str] | None, typer.Option(help="Only this agent (repeatable).")] = None,
    dev: Annotated[list[str] | None, typer.Option(help="Held-out data; default: a share drawn by encounter.")] = None,
    book: Annotated[str | None, typer.Option(help="Code book id or folder.")] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="Of training for each agent, by estimate.")] = 25.0,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    json_out: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Examples, training and export for every agent, in one command; goes on after a crash."""
    from dataclasses import asdict

    from jointcoder.finetune.base_model import require_extra, resolve_base
    from jointcoder.finetune.commands.data import opened_book
    from jointcoder.finetune.retrain import retrain as run
    from jointcoder.settings import Settings

    settings = Settings.load()
    require_extra()
    found = resolve_base(base or settings.model, settings)
    outcomes = []
    for outcome in run(
        source,
        found,
        opened_book(settings, book),
        out,
        settings=settings,
        agents=agent or (),
        dev=dev or (),
        minutes=minutes,
        device=device,
        say=common.say,
    ):
        outcomes.append(outcome)
        if not json_out:
            common.stdout().print(f"{outcome.agent:15} {_told(outcome)}", highlight=False, soft_wrap=True)
    if json_out:
        common.put_json([{**asdict(one), "adapter": str(one.adapter) if one.adapter else None} for one in outcomes])


def _told(outcome: object) -> str:
    from jointcoder.finetune.retrain import Outcome

    assert isinstance(outcome, Outcome)
    if outcome.passed_over:
        return f"passed over: {outcome.passed_over}"
    name = next((n for n in ("dev_auc", "dev_accuracy", "dev_loss") if n in outcome.after), "dev_loss")
    figures = f"{name.removeprefix('dev_')} {outcome.before.get(name, float('nan')):.3f} → {outcome.after[name]:.3f}"
    return f"{figures}   {outcome.adapter or ''}"
