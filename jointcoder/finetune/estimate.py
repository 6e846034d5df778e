"""What a training will cost, before anything big is loaded: tokens, memory, time, and the size of the adapter.

Memory is arithmetic over the base's shape (the terms are listed in :class:`Estimate`); time is floating-point work over
the speed of a short matrix product on this machine, times the share of it that training reaches. The constants are from
runs of three sizes on two quiet CPU cores; a prediction within a third of the truth is what to expect there, and none
on a busy machine. Loads no model.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jointcoder.errors import ModelError
from jointcoder.finetune.base_model import Base
from jointcoder.finetune.recipe import Common
from jointcoder.llm.memory import available

BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}
STATES = 16  # bytes a trained parameter: itself, its gradient, two moments, 4 each
KEPT_HIDDEN, KEPT_WIDE = 14, 6  # numbers kept for the way back, a token and layer: times the width, times the MLP's
LOGIT_BYTES = 14  # a logit that is computed: model's, float32, its softmax and gradient
PROGRAM = 900 << 20  # torch, tokenizer, optimizer's code
EFFICIENCY = {"cpu": 0.6, "cuda": 0.35}  # of the speed of a large product
BESIDES = {"cpu": 7e-5, "cuda": 2e-7}  # seconds a token and layer, forwards and back, that are no products


@dataclass(frozen=True)
class Estimate:
    """Bytes and seconds. ``steps`` of ``tokens`` tokens in the mean, padding included; ``measured``: what the held-out
    measurements take of the seconds."""

    examples: int
    steps: int
    tokens_each: float
    longest: int
    batch_tokens: int
    weights: int
    trained: int
    adapter: int
    kept: int
    logits: int
    speed: float
    seconds: float
    measured: float

    @property
    def memory(self) -> int:
        """Peak bytes of the process."""
        return self.weights + self.trained + self.kept + self.logits + PROGRAM

    def rows(self) -> list[tuple[str, str]]:
        """For a table."""
        return [
            ("examples", f"{self.examples:,}, {self.tokens_each:.0f} tokens each, the longest {self.longest}"),
            ("steps", f"{self.steps:,}, batches of up to {self.batch_tokens:,} tokens"),
            ("adapter", f"{self.adapter:,} parameters, {2 * self.adapter / 1e6:.1f} MB as f16"),
            ("memory", f"{_gb(self.memory)}: {self.terms}"),
            ("speed", f"{self.speed / 1e9:.0f} GFLOP/s on a large product"),
            ("time", f"{_minutes(self.seconds)}, of which measuring {_minutes(self.measured)}"),
        ]

    @property
    def terms(self) -> str:
        """The memory's arithmetic."""
        return (
            f"weights {_gb(self.weights)} + adapter and optimizer {_gb(self.trained)} + kept for the way back"
            f" {_gb(self.kept)} + logits {_gb(self.logits)} + program {_gb(PROGRAM)}"
        )

    def to_json(self) -> dict[str, Any]:
        names = ("examples", "steps", "longest", "adapter")
        return {name: getattr(self, name) for name in names} | {
            "tokens_each": round(self.tokens_each, 1),
            "memory_bytes": self.memory,
            "seconds": round(self.seconds),
            "measuring_seconds": round(self.measured),
        }


def lora_parameters(base: Base, recipe: Common) -> int:
    """Parameters of the adapter."""
    shape = base.shape
    layers = min(shape.layers, recipe.last_layers or shape.layers)
    return layers * recipe.rank * sum(sum(shape.linear[target]) for target in recipe.targets)


def estimate(
    base: Base,
    recipe: Common,
    lengths: Sequence[Sequence[int]],
    *,
    steps: int,
    rows: int,
    measured_tokens: int,
    measurements: int,
    device: str = "cpu",
    speed: float | None = None,
) -> Estimate:
    """``lengths``: tokens of the sequences, batch by batch, of one pass. ``rows``: rows of logits a batch at most.
    ``measured_tokens``: of one held-out measurement."""
    shape = base.shape
    padded = [max(batch) * len(batch) for batch in lengths]
    layers = min(shape.layers, recipe.last_layers or shape.layers)
    adapter = lora_parameters(base, recipe)
    widest = max(padded)
    speed = speed or product_speed(recipe.dtype, device)
    forward = 2.0 * (shape.body + shape.layers * 2 * shape.hidden * max(map(max, lengths)) / 2)
    each = forward * (1 + layers / shape.layers) + 6.0 * adapter
    head = 4.0 * shape.vocabulary * shape.hidden * rows
    work = steps * recipe.accumulate * (sum(padded) / len(padded) * each + head)
    rate = speed * EFFICIENCY.get(device, 0.3)
    besides = BESIDES.get(device, 0.0) * shape.layers
    measured = measurements * measured_tokens * (forward / rate + besides / 3)
    other = steps * recipe.accumulate * sum(padded) / len(padded) * besides
    per_number = BYTES[recipe.dtype]
    return Estimate(
        examples=sum(map(len, lengths)),
        steps=steps,
        tokens_each=sum(map(sum, lengths)) / sum(map(len, lengths)),
        longest=max(map(max, lengths)),
        batch_tokens=widest,
        weights=shape.parameters * per_number,
        trained=STATES * adapter,
        adapter=adapter,
        kept=int(widest * layers * per_number * (KEPT_HIDDEN * shape.hidden + KEPT_WIDE * shape.feed_forward)),
        logits=rows * shape.vocabulary * LOGIT_BYTES,
        speed=speed,
        seconds=work / rate + other + measured,
        measured=measured,
    )


def product_speed(dtype: str, device: str) -> float:
    """Floating-point operations a second of a product like those of training; takes about a second."""
    import torch

    kind = getattr(torch, dtype)
    left, right = (torch.randn(shape, device=device).to(kind) for shape in ((640, 1536), (1536, 8960)))
    work, best = 2.0 * 640 * 1536 * 8960, 0.0
    for _ in range(12):
        began = time.perf_counter()
        (left @ right).sum().item()
        best = max(best, work / (time.perf_counter() - began))
    return best


def require_memory(found: Estimate, what: str, *, device: str = "cpu", room: int | None = None) -> None:
    """Raises ModelError JC311 with the arithmetic where the machine (or the GPU) has less than is needed."""
    if room is None:
        room = _gpu_room() if device == "cuda" else available()
    if room is None or found.memory <= room:
        return
    raise ModelError(
        "JC311",
        f"not enough memory to train {what}: {_gb(found.memory)} = {found.terms}; {_gb(room)} are available",
        hint="a smaller batch with accumulate, fewer max_tokens, last_layers, or a smaller base",
    )


def _gpu_room() -> int:
    import torch

    return int(torch.cuda.mem_get_info()[0])


def _gb(count: float) -> str:
    return f"{count / 1e9:.2f} GB"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.0f} s"
