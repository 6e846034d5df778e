"""What a run would do, without doing it: how many encounters there are, how many are new, and how long it takes.

    plan = look(inputs, index=None, conditions=digest)
    seconds = per_character(coder, plan.sample) * plan.characters / workers

The time is that of a few encounters of the input, drawn at random and coded for it, by their length: the order of
magnitude, not a promise. Reads the whole input once; keeps counts and the sample.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from jointcoder.batch.index import DONE, FAILED, Index
from jointcoder.batch.inputs import Inputs, in_shard
from jointcoder.batch.work import Codes
from jointcoder.records import Encounter
from jointcoder.store.encounters import version_of

SAMPLE = 5


@dataclass
class Plan:
    """``characters``: of the encounters ``to_do``; ``unread``: by error code; ``sample``: some of what is to do."""

    records: int = 0
    to_do: int = 0
    done: int = 0
    changed: int = 0
    recoded: int = 0
    failed: int = 0
    characters: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    sample: list[Encounter] = field(default_factory=list)


def look(
    inputs: Inputs,
    *,
    index: Index | None = None,
    conditions: str = "",
    shard: tuple[int, int] | None = None,
    limit: int | None = None,
    retry_failed: bool = False,
) -> Plan:
    """What the input holds beside what the folder has. Raises as :meth:`Inputs.items`."""
    plan, chance = Plan(), random.Random(0)
    for item in inputs.items():
        if not in_shard(item.id, shard):
            continue
        if limit is not None and plan.records >= limit:
            break
        plan.records += 1
        encounter = item.incoming.encounter
        if encounter is None:
            plan.unread[item.incoming.error.code if item.incoming.error else ""] += 1
            continue
        row = index.get(encounter.id) if index is not None else None
        if row is not None and row.state:
            same = row.version == version_of(encounter)
            if same and row.conditions == conditions and (row.state == DONE or not retry_failed):
                plan.done += row.state == DONE
                plan.failed += row.state == FAILED
                continue
            plan.changed += not same
            plan.recoded += same and row.state == DONE
        plan.to_do += 1
        plan.characters += encounter.characters
        if len(plan.sample) < SAMPLE:
            plan.sample.append(encounter)
        elif (place := chance.randrange(plan.to_do)) < SAMPLE:
            plan.sample[place] = encounter
    return plan


def per_character(coder: Codes, sample: Sequence[Encounter]) -> float:
    """Seconds a character, measured on a sample; the first encounter is coded twice, as what is loaded on first use
    takes its time only once."""
    if not sample:
        return 0.0
    list(coder.code_many(sample[:1]))
    began = time.perf_counter()
    list(coder.code_many(sample, batch=len(sample)))
    return (time.perf_counter() - began) / max(1, sum(encounter.characters for encounter in sample))
