"""Examples → token batches, and the scores of a batch's answers. The one place where training meets the engine's rules.

A prompt's tokens are those of :class:`jointcoder.llm.chat.Chat`; options are scored as ``llm/scoring.py`` scores them:
the sum of an option's token log-probabilities behind the prompt, normalised over the options; where one option is the
beginning of another, each is taken with the end of the answer. Sequences are padded on the left, so that the last row
of logits is the answer's and only few rows of the vocabulary are computed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from jointcoder.finetune.base_model import Tokens
from jointcoder.finetune.examples import Example

FEWEST_COMMON = 2  # tokens that all questions must begin with to call an activated adapter


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as tokens: ``prompt`` whose last ``own`` tokens are the question's; for a choice the ``options`` and
    which is ``right``; for text its ``target``."""

    prompt: tuple[int, ...]
    own: int
    options: tuple[tuple[int, ...], ...] = ()
    right: int = 0
    prior: tuple[float, ...] = ()
    target: tuple[int, ...] = ()

    @property
    def length(self) -> int:
        """Tokens of the longest sequence it needs."""
        return len(self.prompt) + max((len(option) for option in self.options), default=1) - 1 + len(self.target)

    @property
    def forced(self) -> list[int]:
        """Options of more than one token: they need rows of their own."""
        return [place for place, option in enumerate(self.options) if len(option) > 1]


def encode(example: Example, tokens: Tokens) -> Encoded:
    """The example's tokens, as the engine would read and score it."""
    context, question = example.asked
    prefix, suffix = tokens.chat.prefix(context), tokens.chat.suffix(context, question)
    prompt = (*prefix, *suffix)
    if not example.options:
        return Encoded(prompt, len(suffix), target=(*tokens.tokenize(example.answer), tokens.end))
    options = [tuple(tokens.tokenize(option)) for option in example.options]
    ordered = sorted(options)
    if any(longer[: len(shorter)] == shorter for shorter, longer in pairwise(ordered)):
        options = [(*option, tokens.end) for option in options]
    return Encoded(prompt, len(suffix), tuple(options), example.right, example.prior)


def batches(encoded: Sequence[Encoded], size: int, *, seed: int | None = None) -> list[list[Encoded]]:
    """Batches of like length, to pad little; with ``seed`` in a drawn order and drawn among like lengths."""
    chance = random.Random(seed)
    spread = 0.0 if seed is None else 0.1
    keyed = sorted((item.length * chance.uniform(1 - spread, 1 + spread), place) for place, item in enumerate(encoded))
    ordered = [encoded[place] for _, place in keyed]
    found = [ordered[at : at + size] for at in range(0, len(ordered), size)]
    if seed is not None:
        chance.shuffle(found)
    return found


def invocation(encoded: Sequence[Encoded]) -> tuple[int, ...]:
    """The tokens that call an activated adapter: what all questions begin with, else the end of the prompt (where the
    answer's turn opens)."""
    questions = [item.prompt[len(item.prompt) - item.own :] for item in encoded]
    first = questions[0]
    common = 0
    while common < min(map(len, questions)) and all(q[common] == first[common] for q in questions):
        common += 1
    if FEWEST_COMMON <= common < len(first):
        return first[: min(common, 8)]
    ends = 0
    while ends < min(map(len, questions)) and all(q[-1 - ends] == first[-1 - ends] for q in questions):
        ends += 1
    return first[len(first) - min(max(ends, 1), 4) :]


def _called_at(item: Encoded, calls: tuple[int, ...]) -> int:
    """Prompt tokens, from the end, on which an activated adapter acts: from the last call in the question on."""
    question = item.prompt[len(item.prompt) - item.own :]
    for at in range(len(question) - len(calls), -1, -1):
        if question[at : at + len(calls)] == calls:
            return len(question) - at
    return 0


def scores(model: Any, batch: Sequence[Encoded], pad: int, *, calls: tuple[int, ...] = ()) -> Any:
    """Per example of a batch of choices, the options' log-probabilities (not yet normalised): a list of 1-d tensors."""
    import torch

    sequences: list[tuple[int, ...]] = []
    owner: list[tuple[int, int]] = []  # sequence → example, option that it forces (-1: none)
    for place, item in enumerate(batch):
        for option in item.forced or [-1]:
            sequences.append(item.prompt + (item.options[option][:-1] if option >= 0 else ()))
            owner.append((place, option))
    extra = [len(sequence) - len(batch[place].prompt) for sequence, (place, _) in zip(sequences, owner, strict=True)]
    keep = max(extra) + 1
    offsets = [_called_at(batch[place], calls) + more for (place, _), more in zip(owner, extra, strict=True)]
    logits = _logits(model, sequences, pad, keep, offsets if calls else None)
    rows = torch.log_softmax(logits.float(), dim=-1)
    found: list[list[Any]] = [[None] * len(item.options) for item in batch]
    for number, ((place, option), more) in enumerate(zip(owner, extra, strict=True)):
        item, first = batch[place], keep - 1 - more
        if option >= 0:
            own = item.options[option]
            found[place][option] = sum(rows[number, first + at, token] for at, token in enumerate(own))
        for other, own in enumerate(item.options):
            if len(own) == 1 and found[place][other] is None:
                found[place][other] = rows[number, first, own[0]]
    return [torch.stack(list(one)) for one in found]


def choice_loss(
    model: Any, batch: Sequence[Encoded], pad: int, *, prior: float = 0.0, calls: tuple[int, ...] = ()
) -> Any:
    """Mean cross-entropy over the options, the prior added to the model's scores; and those log-probabilities."""
    import torch

    losses, answers = [], []
    for item, own in zip(batch, scores(model, batch, pad, calls=calls), strict=True):
        if prior and item.prior:
            own = own + prior * torch.tensor(item.prior, dtype=own.dtype, device=own.device)
        answer = torch.log_softmax(own, dim=-1)
        losses.append(-answer[item.right])
        answers.append(answer.detach())
    return torch.stack(losses).mean(), answers


def text_loss(model: Any, batch: Sequence[Encoded], pad: int, *, calls: tuple[int, ...] = ()) -> tuple[Any, list[Any]]:
    """Mean cross-entropy of the answers' tokens, each example the same weight; and each one's own."""
    import torch

    sequences = [item.prompt + item.target[:-1] for item in batch]
    keep = max(len(item.target) for item in batch)
    offsets = [_called_at(item, calls) + len(item.target) - 1 for item in batch]
    rows = torch.log_softmax(_logits(model, sequences, pad, keep, offsets if calls else None).float(), dim=-1)
    losses = []
    for number, item in enumerate(batch):
        target = torch.tensor(item.target, device=rows.device)
        own = rows[number, keep - len(item.target) :].gather(-1, target[:, None])
        losses.append(-own.mean())
    return torch.stack(losses).mean(), [loss.detach() for loss in losses]


def _logits(model: Any, sequences: Sequence[tuple[int, ...]], pad: int, keep: int, offsets: list[int] | None) -> Any:
    import torch

    longest = max(map(len, sequences))
    ids = torch.tensor([[pad] * (longest - len(s)) + list(s) for s in sequences], device=model.device)
    mask = torch.tensor([[0] * (longest - len(s)) + [1] * len(s) for s in sequences], device=model.device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    more: dict[str, Any] = {} if offsets is None else {"alora_offsets": offsets}
    return model(
        input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=keep, use_cache=False, **more
    ).logits
