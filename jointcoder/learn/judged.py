"""What the model's verdict is worth to a pack: asked on labelled encounters, weighed, and written into the pack.

    judged = judge(coder, corpus)              rows of (part, verdict, right), and the figures without and with verdicts
    teach(pack_folder, judged.rows)            the weights, stored in the pack; its description written anew

The encounters must be such that neither the pack nor the adapter learnt from them. Figures *with* are cross-fitted by
encounter: each encounter's verdicts are weighed, and the threshold chosen, on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jointcoder.corpora import Labelled
from jointcoder.errors import InputError
from jointcoder.evaluation.scored import normalised
from jointcoder.learn.fit import best_threshold
from jointcoder.learn.folds import folds as by_encounter
from jointcoder.learn.folds import splits
from jointcoder.learn.verdicts import VerdictRow, fit_verdicts, store
from jointcoder.learn.write import describe
from jointcoder.llm.base import Choice
from jointcoder.packs.combiner import Combiner
from jointcoder.packs.mentions.part import logit
from jointcoder.packs.mentions.verdicts import weigh
from jointcoder.packs.pack import Pack
from jointcoder.records import System
from jointcoder.steps.base import Choose, State
from jointcoder.steps.learned import Learned, LearnedOptions
from jointcoder.workflow.run import answer

if TYPE_CHECKING:
    from jointcoder.coder import Coder

FOLDS = 5
Key = tuple[str, str]


@dataclass(frozen=True)
class Encountered:
    """What the part says of one encounter (code → probability), what was asked (code → log-odds), and the truth."""

    id: str
    said: dict[Key, float]
    verdicts: dict[Key, float]
    gold: frozenset[Key]


@dataclass(frozen=True)
class Judged:
    """The judged encounters, with what asking cost: questions, tokens read (some of them from a cache)."""

    encounters: tuple[Encountered, ...]
    tokens: int = 0
    rows: tuple[VerdictRow, ...] = field(default=())


def judge(coder: Coder, items: Sequence[Labelled], *, progress: Callable[[int], None] | None = None) -> Judged:
    """Ask the coder's model about what its pack is unsure of, as its ``learned`` step does.

    Raises InputError JC108 where the workflow's ``learned`` step asks no model.
    """
    step = next((step for _, step in coder.plan.steps if isinstance(step, Learned)), None)
    if step is None or not step.asks or coder.pack is None:
        raise InputError("JC108", "the workflow does not ask a model what its pack is unsure of")
    options = step.options
    assert isinstance(options, LearnedOptions)
    done: list[Encountered] = []
    tokens = 0
    for item in items:
        tools = coder.tools_for(item.encounter)
        part = coder.pack.part("mentions", tools.lookup)
        state = _read(coder, item)
        spent: list[int] = []
        verdicts = answer(_counted(step.verdicts(part, state, tools), spent), coder.model, adapter=options.adapter)
        tokens += sum(spent)
        said = {
            (p.system.value, normalised(p.code)): p.probability for p in part.propose(item.encounter, state.language)
        }
        keyed = {(system, normalised(code)): value for (system, code), value in verdicts.items()}
        asked = {key: value for key, value in keyed.items() if key in said}  # the others no verdict can save
        gold = frozenset((label.system, normalised(label.code)) for label in item.gold)
        done.append(Encountered(item.encounter.id, said, asked, gold))
        if progress:
            progress(1)
    rows = tuple(
        VerdictRow(one.id, logit(one.said[key]), value, key in one.gold)
        for one in done
        for key, value in one.verdicts.items()
    )
    return Judged(tuple(done), tokens, rows)


def compare(judged: Judged, system: System, *, seed: int = 0) -> dict[str, float | list[float]]:
    """Micro F1 of a system without and with verdicts, both with thresholds chosen on the other folds, and the
    bootstrap interval of the difference by encounter."""
    ids = [one.id for one in judged.encounters]
    fold = by_encounter(ids, FOLDS, seed)
    counts = {way: np.zeros((len(ids), 3)) for way in ("without", "with")}
    for _, learn, score in splits(fold):
        known = {ids[i] for i in learn}
        combiner = fit_verdicts([row for row in judged.rows if row.encounter in known], folds=FOLDS, seed=seed).combiner
        for way in counts:
            values = [_weighed(one, system, combiner if way == "with" else None) for one in judged.encounters]
            flat = [pair for i in learn for pair in values[i]]
            missed = sum(
                len({k for k in judged.encounters[i].gold if k[0] == system} - judged.encounters[i].said.keys())
                for i in learn
            )
            cut = best_threshold(np.array([p for p, _ in flat]), np.array([r for _, r in flat]), missed)
            for i in score:
                gold = sum(k[0] == system for k in judged.encounters[i].gold)
                taken = [right for probability, right in values[i] if probability >= cut]
                counts[way][i] = (sum(taken), len(taken), gold)
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(ids), size=(1000, len(ids)))
    gains = [_f1(counts["with"][draw]) - _f1(counts["without"][draw]) for draw in draws]
    return {
        "without": _f1(counts["without"]),
        "with": _f1(counts["with"]),
        "interval_of_gain": [float(v) for v in np.quantile(gains, (0.025, 0.975))],
        "asked": float(sum(k[0] == system for one in judged.encounters for k in one.verdicts)),
        "decisions": float(sum(k[0] == system for one in judged.encounters for k in one.said)),
    }


def teach(folder: Path, rows: Sequence[VerdictRow], *, seed: int = 0) -> Pack:
    """Weights from all rows, stored in the pack in ``folder``."""
    pack = Pack.open(folder)
    store(fit_verdicts(rows, folds=FOLDS, seed=seed).combiner, folder / "mentions")
    describe(folder, pack.info)
    return Pack.open(folder)


def _read(coder: Coder, item: Labelled) -> State:
    """The encounter as the read step leaves it."""
    tools = coder.tools_for(item.encounter)
    step = next(step for _, step in coder.plan.steps if step.name == "read")
    update = answer(step.run(State(item.encounter), tools), None)
    return State(item.encounter).updated(update)


def _counted(
    asking: Generator[Choose, list[Choice], dict[Key, float]], spent: list[int]
) -> Generator[Choose, list[Choice], dict[Key, float]]:
    """The same asks and answers; the tokens read for each are noted in ``spent``."""
    try:
        ask = next(asking)
        while True:
            answers = yield ask
            spent += [choice.usage.prompt_tokens for choice in answers]
            ask = asking.send(answers)
    except StopIteration as end:
        found: dict[Key, float] = end.value
        return found


def _weighed(one: Encountered, system: System, combiner: Combiner | None) -> list[tuple[float, bool]]:
    """(probability, right) of every code of a system that the part proposes."""
    found = []
    for key, probability in one.said.items():
        if key[0] == system:
            if combiner is not None and key in one.verdicts:
                probability, _ = weigh(combiner, logit(probability), one.verdicts[key])
            found.append((probability, key in one.gold))
    return found


def _f1(counts: NDArray[np.float64]) -> float:
    """Of rows (right, given, gold)."""
    right, given, gold = counts.sum(axis=0)
    return float(2 * right / (given + gold)) if given + gold else 0.0
