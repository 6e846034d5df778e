"""``python -m jointcoder.finetune sft RECIPE.toml``: train an adapter on examples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jointcoder.cli import common

if TYPE_CHECKING:
    from jointcoder.finetune.estimate import Estimate


def register(app: typer.Typer) -> None:
    app.command("sft")(sft)


def sft(
    recipe: Annotated[Path, typer.Argument(help="A recipe (TOML); see finetune/.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder of the training; default: runs/NAME.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print tokens, memory and time; train nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin again; without it a training goes on.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    json_out: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a LoRA adapter as the recipe says; the same command goes on after a crash."""
    from jointcoder.finetune.base_model import device_of, require_extra, resolve_base
    from jointcoder.finetune.recipe import Recipe, load_recipe
    from jointcoder.finetune.sft import cost, prepare, train
    from jointcoder.settings import Settings

    read = load_recipe(recipe, Recipe)
    require_extra()
    prepared = prepare(read, resolve_base(read.base, Settings.load()))
    if prepared.too_long:
        common.say(f"{prepared.too_long} examples are longer than {read.max_tokens} tokens and are left out")
    if dry_run:
        expected = cost(prepared, device=device_of(device))
        show_estimate(expected, prepared.base.name, device=device_of(device), as_json=json_out)
        return
    result = train(prepared, out or Path("runs") / read.name, fresh=fresh, device=device, say=common.say)
    if json_out:
        common.put_json(result)
        return
    before, after = result["dev_before"], result["dev_after"]
    for name in after:
        if name != "rows":
            common.stdout().print(
                f"{name:13} {before.get(name, float('nan')):.4f} → {after[name]:.4f}", highlight=False
            )


def show_estimate(expected: Estimate, base: str, *, device: str, as_json: bool) -> None:
    """What ``--dry-run`` prints, for every way of training. Raises ModelError JC311, with the arithmetic, where the
    memory does not suffice."""
    from jointcoder.finetune.estimate import require_memory

    if as_json:
        common.put_json(expected.to_json())
    else:
        for name, value in expected.rows():
            common.stdout().print(f"{name:9} {value}", highlight=False, soft_wrap=True)
    require_memory(expected, base, device=device)
