"""Training by reward: trl's GRPOTrainer with our prompts and our rewards (:mod:`jointcoder.finetune.rewards`).

    out/  log.jsonl  curve.svg  checkpoints/  runs/ (tensorboard)  adapter/ (peft)  training.json

Each step writes a group of answers to a prompt; what is better than its group is made likelier (Shao 2024). The
prompts' tokens are those of inference, handed to trl ready made: its own tokenizing would turn a control token's name
in a record into a control token. ``start`` in the recipe names an adapter of a supervised training to go on from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jointcoder.errors import InputError
from jointcoder.finetune.base_model import Base, Tokens, device_of, load_model, open_tokens, require_extra
from jointcoder.finetune.batches import encode
from jointcoder.finetune.curve import draw, read_log
from jointcoder.finetune.estimate import LOGIT_BYTES, Estimate, estimate, require_memory
from jointcoder.finetune.examples import Example, Examples
from jointcoder.finetune.loop import last_whole, mark_whole, tensorboard_in
from jointcoder.finetune.recipe import GrpoRecipe
from jointcoder.finetune.rewards import REWARDS, Wanted, code_key, quotes_of

Say = Callable[[str], None]
REWARD = "reward"


@dataclass(frozen=True)
class Task:
    """A recipe with its prompts as tokens, and what their answers are measured by; both by the prompt's number."""

    recipe: GrpoRecipe
    base: Base
    tokens: Tokens
    prompts: tuple[tuple[int, ...], ...]
    wanted: tuple[Wanted, ...]
    too_long: int
    manifests: tuple[Mapping[str, Any], ...] = ()

    @property
    def steps(self) -> int:
        """Optimizer steps: as the recipe says, else one group for each prompt."""
        return self.recipe.steps or max(1, len(self.prompts) * self.recipe.group // self.recipe.batch)


def prepare(recipe: GrpoRecipe, base: Base) -> Task:
    """Read and encode the prompts. Raises AssetError JC214 and JC215, InputError JC108 and JC113."""
    tokens = open_tokens(base)
    folders = [Examples.load(Path(folder), agent=recipe.agent) for folder in recipe.data]
    examples = [example for folder in folders for example in folder.train]
    encoded = [(encode(example, tokens), example) for example in examples]
    kept = [(item.prompt, wanted_of(e)) for item, e in encoded if len(item.prompt) <= recipe.prompt_tokens]
    if not kept:
        raise InputError("JC113", f"all {len(encoded)} prompts are longer than prompt_tokens ({recipe.prompt_tokens})")
    prompts, wanted = zip(*kept, strict=True)
    return Task(
        recipe,
        base,
        tokens,
        tuple(prompts),
        tuple(wanted),
        len(encoded) - len(kept),
        tuple(f.manifest for f in folders),
    )


def wanted_of(example: Example) -> Wanted:
    """What an answer to the example is measured by: for a choice the right letter among those offered, for text the
    marked quotes in the record."""
    if example.options:
        offered = tuple(code_key(option) for option in example.options)
        return Wanted((example.answer,), offered, valid=lambda code: code in offered)
    return Wanted((), text=example.context, quotes=tuple(quotes_of(example.answer) or ()))


def cost(task: Task, *, device: str = "cpu", speed: float | None = None) -> Estimate:
    """What it will take: the answers are written (a pass each token), then read forwards and back."""
    recipe = task.recipe
    lengths = [[len(prompt) + recipe.new_tokens for prompt in task.prompts]]
    average = sum(lengths[0]) / len(lengths[0])
    found = estimate(
        task.base,
        recipe,
        [[round(average)] * recipe.batch],
        steps=task.steps,
        rows=recipe.batch * recipe.new_tokens,
        measured_tokens=0,
        measurements=0,
        device=device,
        speed=speed,
    )
    # Writing reads all weights for every token: bound by memory, about as slow as reading a 16th of it in one product.
    writing = task.steps * recipe.new_tokens * task.base.shape.parameters * 2 * max(16, recipe.batch) / found.speed
    from dataclasses import replace

    return replace(
        found,
        examples=len(task.prompts),
        longest=max(lengths[0]),
        tokens_each=average,
        seconds=found.seconds + writing,
        logits=recipe.batch * recipe.new_tokens * task.base.shape.vocabulary * LOGIT_BYTES,
    )


def train(task: Task, out: Path, *, fresh: bool = False, device: str = "auto", say: Say = print) -> dict[str, Any]:
    """Train, or go on from the last checkpoint in ``out``. Raises ModelError JC301, JC311."""
    require_extra()
    if fresh:
        import shutil

        shutil.rmtree(out / "checkpoints", ignore_errors=True)
        (out / "log.jsonl").unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    device = device_of(device)
    expected = cost(task, device=device)
    require_memory(expected, task.base.name, device=device)
    say(f"expected: {expected.rows()[-1][1]}, memory {expected.memory / 1e9:.1f} GB")
    began = time.monotonic()
    trainer = _trainer(task, out, device=device, say=say)
    last = last_whole(out / "checkpoints")
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    trainer.model.save_pretrained(out / "adapter")
    log = read_log(out / "log.jsonl")
    values = [row[REWARD] for row in log]
    fifth = max(1, len(values) // 5)
    result = {
        "name": task.recipe.name,
        "agent": task.recipe.agent,
        "sources": [source for manifest in task.manifests for source in manifest.get("sources", ())],
        "shippable": all(manifest.get("shippable", False) for manifest in task.manifests),
        "recipe": task.recipe.model_dump(mode="json"),
        "base": {"name": task.base.name, "sha256": task.base.sha256, "licence": task.base.licence},
        "prompts": len(task.prompts),
        "too_long": task.too_long,
        "steps": len(values),
        "reward_first": sum(values[:fifth]) / fifth,
        "reward_last": sum(values[-fifth:]) / fifth,
        "seconds": round(time.monotonic() - began, 1),
        "expected": expected.to_json(),
    }
    (out / "training.json").write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", "utf-8")
    draw(log, out / "curve.svg", title=task.recipe.name, train=REWARD, dev="")
    return result


def _trainer(task: Task, out: Path, *, device: str, say: Say) -> Any:
    import torch
    from datasets import Dataset
    from peft import LoraConfig, PeftModel
    from transformers.trainer_callback import PrinterCallback
    from trl import GRPOConfig, GRPOTrainer

    recipe = task.recipe
    torch.manual_seed(recipe.seed)
    model = load_model(task.base, dtype=recipe.dtype, device=device)
    layers = task.base.shape.layers
    config: Any = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.scale,
        lora_dropout=recipe.dropout,
        target_modules=list(recipe.targets),
        layers_to_transform=list(range(max(0, layers - recipe.last_layers), layers)) if recipe.last_layers else None,
        task_type="CAUSAL_LM",
    )
    if recipe.start:
        model, config = PeftModel.from_pretrained(model, recipe.start, is_trainable=True), None

    class Ours(GRPOTrainer):  # type: ignore[misc]
        """Prompts come as their numbers and become the tokens that inference would read."""

        def _tokenize_prompts(self, prompts: list[str]) -> Any:
            return [list(task.prompts[int(prompt)]) for prompt in prompts], None, {}

        def _save_checkpoint(self, *arguments: Any, **named: Any) -> None:
            super()._save_checkpoint(*arguments, **named)
            mark_whole(out / "checkpoints", self.state.global_step)

    steps_kept = max(1, min(50, task.steps // 2))
    args = GRPOConfig(
        output_dir=str(out / "checkpoints"),
        per_device_train_batch_size=recipe.batch,
        gradient_accumulation_steps=recipe.accumulate,
        num_generations=recipe.group,
        max_completion_length=recipe.new_tokens,
        temperature=recipe.temperature,
        beta=recipe.beta,
        max_steps=task.steps,
        learning_rate=recipe.lr,
        warmup_steps=round(recipe.warmup * task.steps),
        reward_weights=list(recipe.rewards.values()),
        seed=recipe.seed,
        logging_steps=1,
        save_steps=steps_kept,
        save_total_limit=2,
        use_cpu=device == "cpu",
        bf16=False,
        gradient_checkpointing=False,
        report_to=["tensorboard"],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        log_completions=False,
    )
    tensorboard_in(out / "runs")
    data = Dataset.from_list([{"prompt": str(number)} for number in range(len(task.prompts))])
    trainer = Ours(
        model=model,
        args=args,
        reward_funcs=[reward_function(name, task.wanted) for name in recipe.rewards],
        train_dataset=data,
        processing_class=task.tokens.tokenizer,
        peft_config=config,
        callbacks=[_keeper(out / "log.jsonl", list(recipe.rewards), recipe.minutes, say)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def reward_function(name: str, wanted: Sequence[Wanted]) -> Callable[..., list[float]]:
    """One of our rewards as trl calls them: prompts (their numbers) and completions → a number each."""

    def scored(prompts: Sequence[str], completions: Sequence[str], **_: Any) -> list[float]:
        return [REWARDS[name](text, wanted[int(n)]) for n, text in zip(prompts, completions, strict=True)]

    scored.__name__ = name
    return scored


def _keeper(path: Path, names: Sequence[str], minutes: float | None, say: Say) -> Any:
    from transformers import TrainerCallback

    class Keeper(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.began = time.monotonic()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if not logs or REWARD not in logs:
                return
            row = {
                "step": state.global_step,
                "loss": logs.get("loss", 0.0),
                REWARD: logs[REWARD],
                **_parts(logs, names),
            }
            row["length"] = logs.get("completions/mean_length")
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            if state.global_step % 10 == 0:
                say(f"step {state.global_step}/{state.max_steps}: reward {logs[REWARD]:.3f}")

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if minutes is not None and time.monotonic() - self.began > 60 * minutes:
                control.should_training_stop = control.should_save = True

    return Keeper()


def _parts(logs: Mapping[str, Any], names: Sequence[str]) -> dict[str, float]:
    keys = {name: f"rewards/{name}/mean" for name in names}
    return {name: float(logs[key]) for name, key in keys.items() if key in logs}
