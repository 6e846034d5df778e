"""The training loop: transformers' Trainer with our batches, our loss, our measurements and our log.

A checkpoint counts only when it is whole: Trainer writes it file by file, so a mark is put in last, and one without a
mark is passed over when training goes on. Knows no recipe beyond what ``sft.Prepared`` tells.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointcoder.finetune.batches import choice_loss, text_loss
from jointcoder.finetune.curve import read_log

if TYPE_CHECKING:
    from jointcoder.finetune.sft import Prepared

WHOLE = "whole"
KEPT = 2  # checkpoints, besides the best


def run(prepared: Prepared, model: Any, out: Path, *, device: str, say: Callable[[str], None]) -> None:
    """Train ``model`` in place; it ends with the weights of the best measurement."""
    import torch
    from torch.utils.data import Dataset
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from jointcoder.finetune.sft import better, measure

    recipe, pad = prepared.recipe, prepared.tokens.end
    checkpoints, log_path = out / "checkpoints", out / "log.jsonl"
    accumulate, parts = recipe.accumulate, prepared.parts

    class Parts(Dataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return len(parts)

        def __getitem__(self, place: int) -> dict[str, Any]:
            return {"part": parts[place]}

    def note(row: dict[str, Any]) -> None:
        with log_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    class Own(Trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            part = inputs["part"]
            if part[0].options:
                return choice_loss(model, part, pad, prior=recipe.prior, calls=prepared.calls)[0]
            return text_loss(model, part, pad, calls=prepared.calls)[0]

        def _prepare_inputs(self, inputs: Any) -> Any:
            return inputs

        def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
            found = measure(self.model, prepared.dev, prepared)
            note({"step": self.state.global_step, **found.to_json()})
            values = {name.replace("dev_", "eval_"): value for name, value in found.to_json().items()}
            self.log(dict(values))
            after: Any = self  # its attributes are transformers' business
            after.control = self.callback_handler.on_evaluate(self.args, self.state, after.control, values)
            shown = ", ".join(f"{name} {value:.4g}" for name, value in found.to_json().items() if name != "rows")
            say(f"step {self.state.global_step}/{prepared.steps}: {shown}")
            return values

        def _save_checkpoint(self, *arguments: Any, **named: Any) -> None:
            super()._save_checkpoint(*arguments, **named)
            mark_whole(checkpoints, self.state.global_step)

    class Keeper(TrainerCallback):  # type: ignore[misc]
        """Logs every step; keeps the best adapter; ends early, or when the time is up."""

        def __init__(self) -> None:
            self.best: float | None = None
            self.worse = 0
            self.began = time.monotonic()
            for row in read_log(log_path):
                if "rows" in row and row["step"] <= reached:
                    self._weigh(row.get(f"dev_{recipe.metric}", math.nan))

        def _weigh(self, value: float) -> bool:
            won = better(recipe.metric, value, self.best)
            self.best, self.worse = (value, 0) if won else (self.best, self.worse + 1)
            return won

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                row = {"step": state.global_step, "loss": logs["loss"], "lr": logs.get("learning_rate")}
                note(row | {"seconds": round(time.monotonic() - self.began, 1)})

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
            if self._weigh((metrics or {}).get(f"eval_{recipe.metric}", math.nan)):
                target = out / "best.new"
                model.save_pretrained(target)
                shutil.rmtree(out / "best", ignore_errors=True)
                target.rename(out / "best")
            if recipe.patience and self.worse >= recipe.patience and state.global_step:
                say(f"no better {recipe.metric} in {self.worse} measurements: training ends")
                control.should_training_stop = True

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if recipe.minutes is not None and time.monotonic() - self.began > 60 * recipe.minutes:
                control.should_training_stop = control.should_evaluate = control.should_save = True

    last = last_whole(checkpoints)
    reached = int(last.name.rpartition("-")[2]) if last else 0
    cpu = device == "cpu"
    args = TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=accumulate,
        max_steps=prepared.steps,
        learning_rate=recipe.lr,
        lr_scheduler_type="linear",
        warmup_steps=round(recipe.warmup * prepared.steps),
        weight_decay=recipe.weight_decay,
        max_grad_norm=1.0,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=recipe.eval_every,
        save_strategy="steps",
        save_steps=recipe.eval_every,
        save_total_limit=KEPT,
        seed=recipe.seed,
        data_seed=recipe.seed,
        use_cpu=cpu,
        remove_unused_columns=False,
        label_names=[],
        report_to=["tensorboard"],
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
    )
    tensorboard_in(out / "runs")
    torch.manual_seed(recipe.seed)
    trainer = Own(
        model=model,
        args=args,
        train_dataset=Parts(),
        eval_dataset=Parts(),
        data_collator=lambda rows: rows[0],
        callbacks=[Keeper()],
    )
    trainer.model_accepts_loss_kwargs = False
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    if last is None:
        log_path.unlink(missing_ok=True)
        trainer.evaluate()
    else:
        say(f"going on from step {reached}")
    if reached < prepared.steps:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        if not any(row["step"] == trainer.state.global_step and "rows" in row for row in read_log(log_path)):
            trainer.evaluate()
    if (out / "best").is_dir():
        from peft import set_peft_model_state_dict
        from safetensors.torch import load_file

        set_peft_model_state_dict(model, load_file(out / "best" / "adapter_model.safetensors"))


def last_whole(checkpoints: Path) -> Path | None:
    """The latest checkpoint that was written to its end."""
    found = [path for path in checkpoints.glob("checkpoint-*") if (path / WHOLE).is_file()]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def mark_whole(checkpoints: Path, step: int) -> None:
    """Say that the checkpoint of a step was written to its end."""
    folder = checkpoints / f"checkpoint-{step}"
    if folder.is_dir():
        (folder / WHOLE).write_text("", "utf-8")


def tensorboard_in(folder: Path) -> None:
    """Where Trainer puts tensorboard's files: it takes the folder from the environment, not from its arguments."""
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder)
