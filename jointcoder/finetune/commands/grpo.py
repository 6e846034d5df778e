"""``python -m jointcoder.finetune grpo RECIPE.toml``: train an adapter by reward."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jointcoder.cli import common
from jointcoder.finetune.commands.sft import show_estimate


def register(app: typer.Typer) -> None:
    app.command("grpo")(grpo)


def grpo(
    recipe: Annotated[Path, typer.Argument(help="A recipe (TOML) with rewards; see finetune/.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder of the training; default: runs/NAME.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print tokens, memory and time; train nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin again; without it a training goes on.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    json_out: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a LoRA adapter by the rewards that the recipe weighs."""
    from jointcoder.finetune.base_model import device_of, require_extra, resolve_base
    from jointcoder.finetune.grpo import cost, prepare, train
    from jointcoder.finetune.recipe import GrpoRecipe, load_recipe
    from jointcoder.settings import Settings

    read = load_recipe(recipe, GrpoRecipe)
    require_extra()
    task = prepare(read, resolve_base(read.base, Settings.load()))
    if task.too_long:
        common.say(f"{task.too_long} prompts are longer than {read.prompt_tokens} tokens and are left out")
    if dry_run:
        show_estimate(cost(task, device=device_of(device)), task.base.name, device=device_of(device), as_json=json_out)
        return
    result = train(task, out or Path("runs") / read.name, fresh=fresh, device=device, say=common.say)
    if json_out:
        common.put_json(result)
        return
    first, last = result["reward_first"], result["reward_last"]
    common.stdout().print(
        f"reward {first:.3f} → {last:.3f} (first and last fifth of {result['steps']} steps)", highlight=False
    )
