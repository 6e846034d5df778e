"""A trained adapter on held-out examples, beside the base without it and what was known without a model.

    base       the options' log-probabilities without the adapter (zero-shot)
    adapter    with it
    prior      what the examples carry (lookup score, share of times right); no model
    both       the log-odds of prior and adapter added, weighed by a logistic regression over folds by encounter

Figures come with 95 % bootstrap intervals over encounters, and the answers that the adapter puts right or wrong. The
scores are kept as JSON lines, so that a combiner can be fitted on them. Choices only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.errors import AssetError, InputError
from jointcoder.finetune.base_model import Base, load_model, open_tokens, require_extra
from jointcoder.finetune.batches import batches, choice_loss, encode
from jointcoder.finetune.examples import Example
from jointcoder.finetune.judge import Answer, accuracy, auc, interval

Progress = Callable[[int, int], None]
WAYS = ("prior", "base", "adapter")


@dataclass(frozen=True)
class Row:
    """One example's normalised log-probabilities, by way."""

    example: Example
    scores: dict[str, tuple[float, ...]]

    def answer(self, way: str) -> Answer:
        return self.scores[way], self.example.right


def trial(
    base: Base,
    examples: Sequence[Example],
    adapter: Path | None,
    *,
    dtype: str = "bfloat16",
    device: str = "cpu",
    size: int = 8,
    progress: Progress | None = None,
) -> list[Row]:
    """Score the examples without and with the adapter (peft's folder). Raises AssetError JC221 where there is none,
    InputError JC113 where nothing is to be chosen."""
    require_extra()
    chosen = [example for example in examples if example.options]
    if not chosen:
        raise InputError("JC113", "the held-out examples hold no choices")
    if adapter is not None and not (adapter / "adapter_config.json").is_file():
        raise AssetError("JC221", f"{adapter} holds no adapter", hint="give the folder adapter/ of a training")
    import torch
    from peft import PeftModel

    tokens = open_tokens(base)
    encoded = {example.id: encode(example, tokens) for example in chosen}
    items = [encoded[example.id] for example in chosen]
    by_item = {id(encoded[example.id]): example for example in chosen}
    scores: dict[str, dict[str, tuple[float, ...]]] = {e.id: {"prior": _prior(e)} for e in chosen}
    model: Any = load_model(base, dtype=dtype, device=device).eval()
    done, total = 0, len(items) * (2 if adapter else 1)
    for way in ("base", "adapter") if adapter else ("base",):
        calls: tuple[int, ...] = ()
        if way == "adapter":
            model = PeftModel.from_pretrained(model, str(adapter)).eval()
            calls = tuple(model.peft_config["default"].alora_invocation_tokens or ())
        with torch.no_grad():
            for part in batches(items, size):
                _, found = choice_loss(model, part, tokens.end, calls=calls)
                for item, own in zip(part, found, strict=True):
                    scores[by_item[id(item)].id][way] = tuple(own.tolist())
                done += len(part)
                if progress:
                    progress(done, total)
    return [Row(example, scores[example.id]) for example in chosen]


def engine_trial(
    base: Base,
    examples: Sequence[Example],
    adapter: Path | None,
    *,
    alone: bool = True,
    progress: Progress | None = None,
) -> list[Row]:
    """The same by the engine, over the quantised base and the adapter's GGUF file: what inference will do, and on a CPU
    several times as fast. ``alone``: score the base without the adapter too. Raises AssetError JC201, ModelError JC301,
    InputError JC113."""
    from jointcoder.llm.adapters import Adapter
    from jointcoder.llm.llamacpp import LlamaCpp

    chosen = [example for example in examples if example.options]
    if not chosen:
        raise InputError("JC113", "the held-out examples hold no choices")
    ways: dict[str, str | None] = {"base": None} if alone or adapter is None else {}
    ways |= {"adapter": "own"} if adapter else {}
    scores: dict[str, dict[str, tuple[float, ...]]] = {e.id: {"prior": _prior(e)} for e in chosen}
    done, total = 0, len(chosen) * len(ways)
    with LlamaCpp(base.path, context_tokens=4096, adapters={"own": Adapter(adapter)} if adapter else None) as model:
        for way, name in ways.items():
            for example in chosen:
                (choice,) = model.choose(example.asked[0], [example.choice], adapter=name)
                scores[example.id][way] = choice.logprobs
                done += 1
                if progress:
                    progress(done, total)
    return [Row(example, scores[example.id]) for example in chosen]


def _prior(example: Example) -> tuple[float, ...]:
    """The example's prior as normalised log-probabilities; even where it has none."""
    prior = np.array(example.prior or (0.0,) * len(example.options))
    top = prior.max()
    return tuple(float(x) for x in prior - top - np.log(np.exp(prior - top).sum()))


def report(rows: Sequence[Row], *, seed: int = 0) -> dict[str, Any]:
    """Accuracy of every way (and AUC for verdicts) with intervals; how many the adapter put right and wrong."""
    groups = [row.example.group for row in rows]
    ways = [way for way in WAYS if all(way in row.scores for row in rows)]
    verdicts = all(len(row.example.options) == 2 for row in rows)
    found: dict[str, Any] = {"rows": len(rows), "groups": len(set(groups)), "ways": {}}
    margins = (
        {way: np.array([row.scores[way][0] - row.scores[way][1] for row in rows]) for way in ways} if verdicts else {}
    )
    if verdicts and "adapter" in ways and len(set(groups)) > 1:
        margins["both"] = _joined(rows)
    truth = np.array([row.example.right == 0 for row in rows])
    for way in [*ways, *(["both"] if "both" in margins else [])]:
        if verdicts:
            right = (margins[way] > 0) == truth
        else:
            right = np.array([int(np.argmax(row.scores[way])) == row.example.right for row in rows])
        values: dict[str, Any] = {"accuracy": float(right.mean())}
        values["accuracy_interval"] = interval(groups, _mean_of(right), seed=seed)
        if verdicts:
            margin = margins[way]
            values["auc"] = auc(margin, truth)
            values["auc_interval"] = interval(groups, _auc_of(margin, truth), seed=seed)
        found["ways"][way] = values
    if "adapter" in ways:
        before, after = (
            [int(np.argmax(row.scores[w])) == row.example.right for row in rows] for w in ("base", "adapter")
        )
        found["put_right"] = sum(a and not b for a, b in zip(after, before, strict=True))
        found["put_wrong"] = sum(b and not a for a, b in zip(after, before, strict=True))
    return found


def _mean_of(values: NDArray[np.bool_]) -> Callable[[NDArray[np.int64]], float]:
    return lambda rows: float(values[rows].mean())


def _auc_of(margin: NDArray[np.float64], truth: NDArray[np.bool_]) -> Callable[[NDArray[np.int64]], float]:
    return lambda rows: auc(margin[rows], truth[rows])


def _joined(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Log-odds of a logistic regression over prior and adapter, each row by folds that do not hold its encounter."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    known = np.array([float(bool(row.example.facts.get("p") is not None)) for row in rows])
    prior = np.array([row.scores["prior"][0] - row.scores["prior"][1] for row in rows])
    own = np.array([row.scores["adapter"][0] - row.scores["adapter"][1] for row in rows])
    features = np.stack([prior, known, own], axis=1)
    truth = np.array([row.example.right == 0 for row in rows])
    groups = [row.example.group for row in rows]
    joined = np.zeros(len(rows))
    for train, test in GroupKFold(min(5, len(set(groups)))).split(features, truth, groups):
        if len(set(truth[train])) < 2:
            continue
        joined[test] = LogisticRegression().fit(features[train], truth[train]).decision_function(features[test])
    return joined


def write_scores(path: Path, rows: Sequence[Row]) -> None:
    """The scores as JSON lines: id, group, facts, which is right, and each way's log-probabilities. No note text."""
    lines = (
        {
            "id": row.example.id,
            "group": row.example.group,
            "right": row.example.right,
            "facts": dict(row.example.facts),
            **{way: [round(value, 5) for value in own] for way, own in row.scores.items()},
        }
        for row in rows
    )
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")


def merged_accuracy(rows: Sequence[Row], weights: Sequence[float]) -> list[tuple[float, float]]:
    """Accuracy of prior plus so much of the adapter, for each weight: where the model helps the lookup, if at all."""
    found = []
    for weight in weights:
        answers = [
            (
                tuple(p + weight * a for p, a in zip(row.scores["prior"], row.scores["adapter"], strict=True)),
                row.example.right,
            )
            for row in rows
        ]
        found.append((weight, accuracy(answers)))
    return found
