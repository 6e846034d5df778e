"""What an adapter's answers are worth beside a pack's own opinion: measured, weighed, and kept where they help.

    found = weigh_choices(rows, choosing)         choices among the candidates of the part ``terms``
    found = weigh_verdicts(rows, thresholds)      verdicts on what the part ``mentions`` is unsure of
    keep_choices(pack_folder, found, adapter="standardise_px", sure=0.97)

The rows are held-out examples scored by the engine (``trial.engine_trial``), held out twice: the pack's opinion in them
was formed without them, and the adapter was not trained on them. Figures *with* are cross-fitted. Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jointcoder.errors import InputError
from jointcoder.finetune.trial import Row
from jointcoder.learn.fit import Fitted, best_threshold
from jointcoder.learn.terms_choose import BOOTSTRAP, Judged, choose, f1
from jointcoder.learn.terms_rescore import Asked, fit_choice
from jointcoder.learn.verdicts import VerdictRow, fit_verdicts, store
from jointcoder.learn.write import describe
from jointcoder.packs.combiner import sigmoid
from jointcoder.packs.pack import Pack
from jointcoder.packs.terms.choosing import Choosing
from jointcoder.packs.terms.voice import Voice


@dataclass(frozen=True)
class Weighed:
    """``accuracy``, ``f1``: (without, with) the model, over what was asked; ``gain``: of accuracy, with its 95 %
    bootstrap interval. ``choosing``, ``k``: for choices."""

    n: int
    accuracy: tuple[float, float]
    f1: tuple[float, float]
    gain: tuple[float, float, float]
    put_right: int
    put_wrong: int
    fitted: Fitted
    choosing: Choosing | None = None
    k: int = 0

    @property
    def helps(self) -> bool:
        """Whether the gain is larger than chance explains."""
        return self.gain[1] > 0

    def to_json(self) -> dict[str, Any]:
        gain, low, high = self.gain
        return {
            "n": self.n,
            "accuracy": {"without": self.accuracy[0], "with": self.accuracy[1]},
            "f1": {"without": self.f1[0], "with": self.f1[1]},
            "gain": gain,
            "gain_interval": [low, high],
            "put_right": self.put_right,
            "put_wrong": self.put_wrong,
            **({"threshold": self.choosing.threshold, "least": self.choosing.least} if self.choosing else {}),
            "weights": dict(zip(self.fitted.combiner.names, self.fitted.combiner.weights, strict=True)),
        }


def weigh_choices(rows: Sequence[Row], own: Choosing, *, measure: str = "accuracy", seed: int = 0) -> Weighed:
    """``rows``: choices among a pack's candidates, scored with the adapter; ``own``: how the part chooses without it.

    Raises InputError JC108 where the rows do not come from a pack, JC114 where they teach nothing.
    """
    if not rows or any("logodds" not in row.example.facts for row in rows):
        raise InputError(
            "JC108", "these examples do not hold a pack's opinion", hint="make them from `jointcoder learn --held-out`"
        )
    facts = [row.example.facts for row in rows]
    asked = [
        Asked(
            row.example.group,
            tuple(fact["logodds"]),
            row.scores["adapter"][: len(fact["logodds"])],
            tuple(fact["right"]),
            row.scores["adapter"][-1],
        )
        for row, fact in zip(rows, facts, strict=True)
    ]
    fitted = fit_choice(asked, seed=seed)
    starts = np.concatenate(([0], np.cumsum([len(one.logodds) for one in asked]))).astype(np.int64)
    right = np.concatenate([np.asarray(one.right, dtype=bool) for one in asked])
    missed = np.asarray([fact["gold"] - sum(fact["right"]) for fact in facts], dtype=np.int64)
    before = np.concatenate(
        [np.exp(row.example.prior[: len(fact["logodds"])]) for row, fact in zip(rows, facts, strict=True)]
    )
    without = Judged.of(before, right, starts, missed)
    heard = Judged.of(fitted.out_of_fold, right, starts, missed)
    choosing = choose(heard, measure)
    counts = [without.counts(own), heard.counts(choosing)]
    sets = [one[:, 3] for one in counts]
    return Weighed(
        n=len(rows),
        accuracy=(float(sets[0].mean()), float(sets[1].mean())),
        f1=(f1(counts[0]), f1(counts[1])),
        gain=_gain(sets[0], sets[1], [row.example.group for row in rows], seed),
        put_right=int(((sets[1] > 0) & (sets[0] == 0)).sum()),
        put_wrong=int(((sets[1] == 0) & (sets[0] > 0)).sum()),
        fitted=fitted,
        choosing=choosing,
        k=max(len(one.logodds) for one in asked),
    )


def weigh_verdicts(rows: Sequence[Row], threshold: float, *, seed: int = 0) -> Weighed:
    """``rows``: verdicts on a pack's doubts, scored with the adapter; ``threshold``: from which the pack codes.

    With the model, decisions are made at the threshold that serves F1 best among the asked. Raises InputError JC108
    where the rows do not come from a pack's doubts, JC114 where they teach nothing.
    """
    if not rows or any(row.example.facts.get("origin") != "doubt" for row in rows):
        raise InputError("JC108", "these examples are not a pack's doubts", hint="make them with data --doubts FILE")
    verdicts = [
        VerdictRow(row.example.group, row.example.prior[0], _margin(row.scores["adapter"]), row.example.right == 0)
        for row in rows
    ]
    fitted = fit_verdicts(verdicts, seed=seed)
    right = np.array([one.right for one in verdicts])
    before = sigmoid(np.array([one.part for one in verdicts]))
    cut = best_threshold(fitted.out_of_fold, right, 0)
    taken = [before >= threshold, fitted.out_of_fold >= cut]
    agreed = [(one == right).astype(float) for one in taken]
    return Weighed(
        n=len(rows),
        accuracy=(float(agreed[0].mean()), float(agreed[1].mean())),
        f1=(_f1_of(taken[0], right), _f1_of(taken[1], right)),
        gain=_gain(agreed[0], agreed[1], [one.encounter for one in verdicts], seed),
        put_right=int(((agreed[1] > 0) & (agreed[0] == 0)).sum()),
        put_wrong=int(((agreed[1] == 0) & (agreed[0] > 0)).sum()),
        fitted=fitted,
    )


def keep_choices(folder: Path, found: Weighed, *, adapter: str, sure: float) -> Pack:
    """Store the weights in the pack in ``folder`` and describe it anew."""
    assert found.choosing is not None
    pack = Pack.open(folder)
    Voice(found.fitted.combiner, found.choosing, adapter, found.k, sure).save(folder / "terms")
    return _described(pack, "terms", found, adapter)


def keep_verdicts(folder: Path, found: Weighed, *, adapter: str) -> Pack:
    """The same for verdicts and the part ``mentions``."""
    pack = Pack.open(folder)
    store(found.fitted.combiner, folder / "mentions")
    return _described(pack, "mentions", found, adapter)


def _described(pack: Pack, part: str, found: Weighed, adapter: str) -> Pack:
    """The pack as it now lies there, with what was measured under the adapter."""
    measured = {**pack.info.metrics.get(part, {}), f"with {adapter}": found.to_json()}
    describe(pack.folder, pack.info.model_copy(update={"metrics": {**pack.info.metrics, part: measured}}))
    return Pack.open(pack.folder)


def _gain(
    before: NDArray[np.float64], after: NDArray[np.float64], groups: Sequence[str], seed: int
) -> tuple[float, float, float]:
    """Mean difference with its bootstrap interval over groups."""
    names = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    at = np.array([names[group] for group in groups])
    sums, counts = np.bincount(at, weights=after - before), np.bincount(at)
    draws = np.random.default_rng(seed).integers(0, len(names), size=(BOOTSTRAP, len(names)))
    low, high = np.quantile(sums[draws].sum(axis=1) / counts[draws].sum(axis=1), (0.025, 0.975))
    return float((after - before).mean()), float(low), float(high)


def _margin(logprobs: Sequence[float]) -> float:
    """Log-odds of the first of two answers."""
    return float(logprobs[0] - logprobs[1])


def _f1_of(taken: NDArray[np.bool_], right: NDArray[np.bool_]) -> float:
    return float(2 * (taken & right).sum() / max(taken.sum() + right.sum(), 1))
