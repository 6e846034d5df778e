"""Supervised training of one adapter, as a recipe says. On two CPU cores or a GPU alike; goes on after a crash.

    out/  recipe.json  log.jsonl  curve.svg  checkpoints/  runs/ (tensorboard)  adapter/ (peft)  training.json

transformers' Trainer keeps the books (optimizer, schedule, checkpoints, random states); the loss is ours, since an
agent that chooses is trained on exactly the scores by which the engine lets it choose. The held-out examples are
measured before the first step (what the base does without an adapter), every ``eval_every`` steps, and at the end;
the adapter kept is that of the best measurement. This module knows no agent and no prompt.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jointcoder.errors import InputError, UsageError
from jointcoder.finetune.base_model import Base, Tokens, device_of, load_model, open_tokens, require_extra
from jointcoder.finetune.batches import Encoded, batches, choice_loss, encode, invocation, text_loss
from jointcoder.finetune.curve import draw, read_log
from jointcoder.finetune.estimate import Estimate, estimate, require_memory
from jointcoder.finetune.examples import Example, Examples
from jointcoder.finetune.judge import Figures, figures
from jointcoder.finetune.recipe import METRICS, Recipe

Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """A recipe with its examples as tokens."""

    recipe: Recipe
    base: Base
    tokens: Tokens
    train: tuple[Encoded, ...]
    dev: tuple[Encoded, ...]
    too_long: int
    manifests: tuple[dict[str, Any], ...]

    @property
    def parts(self) -> list[list[Encoded]]:
        """The training batches, in the order of the first pass."""
        return batches(self.train, self.recipe.batch, seed=self.recipe.seed)

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        if self.recipe.steps is not None:
            return self.recipe.steps
        return max(1, math.ceil(self.recipe.epochs * len(self.parts) / self.recipe.accumulate))

    @property
    def calls(self) -> tuple[int, ...]:
        """The tokens that call the adapter, for an activated one."""
        return invocation(self.train) if self.recipe.method == "alora" else ()

    @property
    def chooses(self) -> bool:
        """Whether the agent chooses among options (else it writes)."""
        return bool(self.train[0].options)


def prepare(recipe: Recipe, base: Base) -> Prepared:
    """Read and encode the examples. Raises AssetError JC214 and JC215, InputError JC108 and JC113."""
    tokens = open_tokens(base)
    folders = [Examples.load(Path(folder), agent=recipe.agent) for folder in recipe.data]
    train, long = _encoded([e for folder in folders for e in folder.train], tokens, recipe.max_tokens)
    held = [e for folder in folders for e in folder.dev]
    dev, longer = _encoded(held, tokens, recipe.max_tokens)
    if not train:
        raise InputError(
            "JC113", f"all {long} examples are longer than max_tokens ({recipe.max_tokens})", hint="raise max_tokens"
        )
    if not dev:
        raise InputError("JC113", "there are no held-out examples to measure on", hint="make some: data --dev FILE")
    manifests = tuple(dict(folder.manifest) for folder in folders)
    return Prepared(recipe, base, tokens, tuple(train), tuple(dev[: recipe.eval_rows]), long + longer, manifests)


def _encoded(examples: Sequence[Example], tokens: Tokens, limit: int) -> tuple[list[Encoded], int]:
    found = [encode(example, tokens) for example in examples]
    kept = [item for item in found if item.length <= limit]
    return kept, len(found) - len(kept)


def cost(prepared: Prepared, *, device: str = "cpu", speed: float | None = None) -> Estimate:
    """What it will take; loads nothing big."""
    recipe = prepared.recipe
    parts = prepared.parts
    if prepared.chooses:
        rows = max(sum(max(1, len(item.forced)) for item in part) for part in parts)
        rows *= max(len(option) for item in prepared.train for option in item.options)
    else:
        rows = max(len(part) * max(len(item.target) for item in part) for part in parts)
    return estimate(
        prepared.base,
        recipe,
        [[item.length for item in part] for part in parts],
        steps=prepared.steps,
        rows=rows,
        measured_tokens=sum(item.length for item in prepared.dev),
        measurements=2 + (prepared.steps - 1) // recipe.eval_every,
        device=device,
        speed=speed,
    )


def train(
    prepared: Prepared, out: Path, *, fresh: bool = False, device: str = "auto", say: Say = print
) -> dict[str, Any]:
    """Train (or go on with) the recipe in ``out``; what came of it is returned and stands in ``training.json``.

    Raises UsageError JC003 if ``out`` holds another recipe's training, ModelError JC301, JC311.
    """
    require_extra()
    _settle(prepared, out, fresh=fresh)
    device = device_of(device)
    expected = cost(prepared, device=device)
    require_memory(expected, prepared.base.name, device=device)
    say(f"expected: {expected.rows()[-1][1]}, memory {expected.memory / 1e9:.1f} GB")
    from jointcoder.finetune.loop import run

    model = adapted(prepared, device)
    began = time.monotonic()
    run(prepared, model, out, device=device, say=say)
    best = measure(model, prepared.dev, prepared)
    model.save_pretrained(out / "adapter")
    log = read_log(out / "log.jsonl")
    result = {
        "name": prepared.recipe.name,
        "agent": prepared.recipe.agent,
        "recipe": prepared.recipe.model_dump(mode="json"),
        "base": {"name": prepared.base.name, "sha256": prepared.base.sha256, "licence": prepared.base.licence},
        "data": [manifest.get("files", {}) for manifest in prepared.manifests],
        "sources": [source for manifest in prepared.manifests for source in manifest.get("sources", ())],
        "shippable": all(manifest.get("shippable", False) for manifest in prepared.manifests),
        "invocation_tokens": list(prepared.calls),
        "examples": {"train": len(prepared.train), "dev": len(prepared.dev), "too_long": prepared.too_long},
        "dev_before": next((row for row in log if row["step"] == 0), {}),
        "dev_after": best.to_json(),
        "steps": max((row["step"] for row in log), default=0),
        "seconds": round(time.monotonic() - began, 1),
        "expected": expected.to_json(),
        "peak_bytes": _peak(),
        "versions": _versions(),
    }
    (out / "training.json").write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", "utf-8")
    metric = {"accuracy": "dev_accuracy", "auc": "dev_auc"}.get(prepared.recipe.metric, "dev_accuracy")
    draw(log, out / "curve.svg", title=prepared.recipe.name, metric=metric if prepared.chooses else None)
    return result


def adapted(prepared: Prepared, device: str) -> Any:
    """The base with a new adapter in peft; everything but the adapter is frozen."""
    import torch
    from peft import LoraConfig, get_peft_model

    recipe = prepared.recipe
    torch.manual_seed(recipe.seed)
    base = load_model(prepared.base, dtype=recipe.dtype, device=device)
    layers = prepared.base.shape.layers
    upper = None if recipe.last_layers is None else list(range(max(0, layers - recipe.last_layers), layers))
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.scale,
        lora_dropout=recipe.dropout,
        target_modules=list(recipe.targets),
        layers_to_transform=upper,
        alora_invocation_tokens=list(prepared.calls) or None,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config)
    model.peft_config["default"].base_model_name_or_path = prepared.base.name
    return model


def measure(model: Any, items: Sequence[Encoded], prepared: Prepared, *, size: int = 8) -> Figures:
    """The held-out figures of a model as it is."""
    import torch

    recipe, pad = prepared.recipe, prepared.tokens.end
    was = model.training
    model.eval()
    losses: list[float] = []
    answers: list[tuple[list[float], int]] = []
    with torch.no_grad():
        for part in batches(items, size):
            if part[0].options:
                _, found = choice_loss(model, part, pad, prior=recipe.prior, calls=prepared.calls)
                answers += [(one.tolist(), item.right) for one, item in zip(found, part, strict=True)]
            else:
                losses += [float(one) for one in text_loss(model, part, pad, calls=prepared.calls)[1]]
    model.train(was)
    return figures(answers, losses)


def better(metric: str, new: float, old: float | None) -> bool:
    """Whether a measurement beats the best so far."""
    if math.isnan(new):
        return False
    return old is None or (new > old if METRICS[metric] else new < old)


def _settle(prepared: Prepared, out: Path, *, fresh: bool) -> None:
    """Make the folder this training's own; one that holds another's is left alone."""
    out.mkdir(parents=True, exist_ok=True)
    told = prepared.recipe.model_dump(mode="json", exclude={"data", "minutes"})
    told["files"] = [manifest.get("files", {}) for manifest in prepared.manifests]
    text = json.dumps(told, sort_keys=True, ensure_ascii=False)
    path = out / "recipe.json"
    if path.is_file() and path.read_text("utf-8") != text and not fresh:
        raise UsageError(
            "JC003",
            f"{out} holds the training of another recipe or of other data",
            hint="take another folder, or --fresh to begin again there",
        )
    if fresh:
        import shutil

        shutil.rmtree(out / "checkpoints", ignore_errors=True)
        (out / "log.jsonl").unlink(missing_ok=True)
    path.write_text(text, "utf-8")


def _peak() -> int:
    """The most memory the process has held, in bytes."""
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("jointcoder", "torch", "transformers", "peft", "trl")
    return {name: version(name) for name in names} | {"threads": os.environ.get("OMP_NUM_THREADS", "")}
