"""Does the engine compute what was trained? transformers and peft against llama.cpp, token by token.

    for each prompt: the trained side writes greedily; both sides say how likely each of its tokens was
        over f16         the same dequantised weights: what is left is rounding, so a wrong scale or row shows
        over the base    the quantised weights that will serve: rounding of activations comes in, and hides small faults

Judged: the mean and the largest difference of log-probabilities, the divergence of the whole distributions, and whether
the greedy text is the same but for near ties. The report says, too, how much the adapter does on these prompts at all:
where it does hardly more than the rounding, the check proves nothing and fails. No text enters the report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jointcoder.errors import InputError
from jointcoder.finetune.engine_side import EngineSide, Row
from jointcoder.llm.adapters import Adapter

if TYPE_CHECKING:
    from jointcoder.finetune.trained_side import TrainedSide

NAME = "adapter"
LEAST_CONTEXT = 256
LEAST_EFFECT = 3.0  # the adapter must change the distributions by so many times what the two sides differ by
Notice = Callable[[str], None]


@dataclass(frozen=True)
class Tolerance:
    """``mean``, ``worst``: of |Δ log p| of the tokens that the trained side writes (natural logarithm). ``kl``: mean
    divergence of the next-token distributions. ``tie``: where the greedy texts part, the trained side must not prefer
    its own token by more."""

    mean: float
    worst: float
    kl: float
    tie: float


SAME_WEIGHTS = Tolerance(mean=0.01, worst=0.10, kl=0.0005, tie=0.1)
QUANTISED = Tolerance(mean=0.15, worst=1.0, kl=0.03, tie=1.0)


@dataclass(frozen=True)
class Written:
    """What the trained side wrote behind one prompt: its rows, and those without the adapter."""

    prompt: Sequence[int]
    tokens: Sequence[int]
    rows: Sequence[Row] = field(repr=False)
    bare: Sequence[Row] = field(repr=False)


@dataclass(frozen=True)
class Agreement:
    """One comparison. ``same``: prompts whose greedy text is the same; ``ties``: those that part at a near tie;
    ``top``: share of tokens that both sides find likeliest; ``effect``: mean divergence that the adapter itself
    makes."""

    over: str
    prompts: int
    tokens: int
    mean: float
    worst: float
    kl: float
    top: float
    same: int
    ties: int
    effect: float
    tolerance: Tolerance

    @property
    def failures(self) -> tuple[str, ...]:
        """What lies beyond the tolerance, in words."""
        bounds, found = self.tolerance, []
        for name, value, bound in (
            ("mean |Δ log p|", self.mean, bounds.mean),
            ("largest |Δ log p|", self.worst, bounds.worst),
            ("mean divergence", self.kl, bounds.kl),
        ):
            if not value <= bound:  # also what is no number
                found.append(f"{name} {value:.4f} > {bound:g}")
        if apart := self.prompts - self.same - self.ties:
            found.append(f"{apart} of {self.prompts} greedy texts part where there is no near tie")
        if not self.effect > LEAST_EFFECT * self.kl:
            found.append(f"the adapter changes too little here to be seen (divergence {self.effect:.4f})")
        return tuple(found)

    @property
    def passed(self) -> bool:
        return not self.failures

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"passed": self.passed, "failures": list(self.failures)}


def write(side: TrainedSide, prompts: Sequence[Sequence[int]], *, most: int, end: Sequence[int] = ()) -> list[Written]:
    """Let the trained side write behind each prompt. Raises InputError JC101 without any prompt."""
    if not prompts or not all(prompts):
        raise InputError("JC101", "there is no prompt to compare on, or one is empty")
    found = []
    for prompt in prompts:
        tokens, rows = side.greedy(prompt, most, end=end)
        found.append(Written(prompt, tokens, rows, side.forced(prompt, tokens, adapter=False)))
    return found


def compare(over: str, engine: EngineSide, written: Sequence[Written], tolerance: Tolerance) -> Agreement:
    """Let the engine read what the trained side wrote, and write itself."""
    deltas: list[float] = []
    divergence: list[float] = []
    effect: list[float] = []
    tops: list[bool] = []
    same = ties = 0
    for one in written:
        rows = engine.forced(one.prompt, one.tokens, NAME)
        for token, ours, theirs, bare in zip(one.tokens, rows, one.rows, one.bare, strict=True):
            deltas.append(abs(float(ours[token]) - float(theirs[token])))
            divergence.append(kl(theirs, ours))
            effect.append(kl(theirs, bare))
            tops.append(int(ours.argmax()) == int(theirs.argmax()))
        own, _ = engine.greedy(one.prompt, len(one.tokens), NAME)
        parting = next((i for i, pair in enumerate(zip(own, one.tokens, strict=False)) if pair[0] != pair[1]), None)
        if parting is None and len(own) == len(one.tokens):
            same += 1
        elif parting is not None:
            row = one.rows[parting]
            ties += bool(row[one.tokens[parting]] - row[own[parting]] <= tolerance.tie)
    return Agreement(
        over=over,
        prompts=len(written),
        tokens=len(deltas),
        mean=float(np.mean(deltas)),
        worst=float(np.max(deltas)),
        kl=float(np.mean(divergence)),
        top=float(np.mean(tops)),
        same=same,
        ties=ties,
        effect=float(np.mean(effect)),
        tolerance=tolerance,
    )


def kl(reference: Row, other: Row) -> float:
    """Kullback-Leibler divergence of two rows of log-probabilities, in nats."""
    wide, narrow = reference.astype(np.float64), other.astype(np.float64)
    return float(np.sum(np.exp(wide) * (wide - narrow)))


def agreement(
    side: TrainedSide,
    models: Mapping[str, tuple[Path, Tolerance]],
    adapter: Adapter,
    prompts: Sequence[str] | Sequence[Sequence[int]],
    *,
    most: int = 16,
    threads: int | None = None,
    notice: Notice | None = None,
) -> list[Agreement]:
    """Compare the trained side with the engine over each of ``models`` (label → file and tolerance).

    ``prompts``: texts, or tokens where the caller rendered them. Raises InputError JC101 (no prompt), AssetError and
    ModelError as the engine.
    """
    found: list[Agreement] = []
    written: list[Written] = []
    longest = max((len(prompt) for prompt in prompts), default=0)  # a text has fewer tokens than bytes
    room = LEAST_CONTEXT + most + (4 if prompts and isinstance(prompts[0], str) else 1) * longest
    for label, (path, tolerance) in models.items():
        if notice is not None:
            notice(f"comparing over {label}")
        with EngineSide(path, {NAME: adapter}, threads=threads, context_tokens=room) as engine:
            if not written:
                given = [engine.tokens(prompt) if isinstance(prompt, str) else list(prompt) for prompt in prompts]
                written = write(side, given, most=most, end=engine.endings())
            found.append(compare(label, engine, written, tolerance))
    return found
