"""``python -m jointcoder.finetune weigh EXAMPLES --pack PACK --adapter GGUF``: what a model's answers add to a pack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jointcoder.cli import common


def register(app: typer.Typer) -> None:
    app.command("weigh")(weigh)


def weigh(
    examples: Annotated[Path, typer.Argument(help="Examples made of what `jointcoder learn --held-out FILE` wrote.")],
    pack: Annotated[str, typer.Option(help="The pack that is to ask the model: name or folder.")],
    adapter: Annotated[Path, typer.Option(help="The adapter's GGUF file.")],
    name: Annotated[str, typer.Option(help="The adapter's name in workflows; default: the examples' agent.")] = "",
    base: Annotated[str | None, typer.Option(help="Model; default: the configured one.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many held-out examples.")] = None,
    measure: Annotated[
        str, typer.Option(help="For choices: thresholds serve accuracy (of whole sets) or f1.")
    ] = "accuracy",
    always: Annotated[bool, typer.Option("--always", help="Keep the weights even where no gain is shown.")] = False,
    scores: Annotated[Path | None, typer.Option(help="Keep each example's scores here, as JSON lines.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of folds and bootstrap.")] = 0,
    json_out: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Ask the model what the pack leaves open in held-out records, weigh its answers, keep the weights if they help."""
    from jointcoder.errors import UsageError, name_list
    from jointcoder.finetune.base_model import resolve_base
    from jointcoder.finetune.examples import Examples
    from jointcoder.finetune.ranked import SURE
    from jointcoder.finetune.trial import engine_trial, write_scores
    from jointcoder.finetune.weigh import keep_choices, keep_verdicts, weigh_choices, weigh_verdicts
    from jointcoder.learn.terms_choose import MEASURES
    from jointcoder.packs.pack import Pack
    from jointcoder.settings import Settings

    if measure not in MEASURES:
        raise UsageError("JC001", f"unknown measure {measure!r}", hint=f"known: {name_list(MEASURES)}")
    settings = Settings.load()
    opened = Pack.find(settings, pack)
    found = Examples.load(examples)
    held = found.dev[:limit]
    with common.progress("asking", len(held)) as advance:
        seen = [0]

        def count(done: int, _: int) -> None:
            advance(done - seen[0])
            seen[0] = done

        rows = engine_trial(resolve_base(base or settings.model, settings), held, adapter, alone=False, progress=count)
    if scores is not None:
        write_scores(scores, rows)
    agent = name or str(found.manifest.get("agent", ""))
    verdicts = str(found.manifest.get("agent", "")).startswith("validate")
    if verdicts:
        system = next(iter(found.dev)).facts.get("system", "")
        weighed = weigh_verdicts(rows, opened.info.thresholds.get(f"mentions:{system}", 0.5), seed=seed)
    else:
        weighed = weigh_choices(rows, opened.part("terms").choosing, measure=measure, seed=seed)
    kept = weighed.helps or always
    if kept and verdicts:
        keep_verdicts(opened.folder, weighed, adapter=agent)
    elif kept:
        keep_choices(opened.folder, weighed, adapter=agent, sure=SURE)
    if json_out:
        common.put_json({**weighed.to_json(), "kept": kept})
        return
    gain, low, high = weighed.gain
    common.stdout().print(
        f"{weighed.n} questions that the pack leaves open: accuracy {weighed.accuracy[0]:.3f} without the model, "
        f"{weighed.accuracy[1]:.3f} with it (gain {gain:+.3f} [{low:+.3f}, {high:+.3f}]; "
        f"{weighed.put_right} put right, {weighed.put_wrong} wrong); F1 {weighed.f1[0]:.3f}, {weighed.f1[1]:.3f}",
        highlight=False,
    )
    common.stdout().print(
        "the pack now asks it" if kept else "no gain shown: the pack is left as it was", highlight=False
    )
