"""Examples for *standardise* from what a pack would have said: its own candidates, the letter of the right one.

    jointcoder learn PAIRS.jsonl -o PACK --held-out ranked.jsonl
    python -m jointcoder.finetune data --agent standardise_px --from ranked.jsonl -o DATA

The questions are those that the step asks where a pack with the part ``terms`` is in use, about the wordings of which
that pack is unsure. The prior is the pack's opinion, so that the adapter learns what the pack does not know. Where a
wording holds several terms, one of them is the answer in training and the others are left out of the list.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jointcoder.codebook.model import Hit
from jointcoder.finetune.asking import Desk
from jointcoder.finetune.choosing import bare
from jointcoder.finetune.examples import Example
from jointcoder.finetune.sources import Ranked
from jointcoder.records import System
from jointcoder.steps.standardise import question, shuffled

SURE = 0.97  # from this probability of the best candidate on, nobody is asked
HARD = 0.9
FLOOR = 1e-3  # probability below which the prior does not go


def ranked_choice(item: Ranked, desk: Desk, *, training: bool, sure: float = SURE) -> Example | None:
    """The example of one wording; None where there are no two candidates or the pack is sure of the first."""
    if len(item.names) < 2 or item.probability[0] >= sure:
        return None
    system, k = desk.system(), desk.options.k
    chance = desk.chance(item.group, item.text)
    places = list(range(min(k, len(item.names))))
    right = [place for place in places if item.right[place]]
    answer = (chance.choice(right) if training else right[0]) if right else None
    if training:
        places = [place for place in places if place == answer or not item.right[place]]
        if answer is not None and len(places) > 2 and chance.random() < desk.options.none_share / 2:
            places.remove(answer)
            answer = None
        chance.shuffle(places)
        order: Sequence[int] = range(len(places))
    else:
        order = shuffled(len(places), item.text)
    language = item.language
    hits = [_hit(system, item, place) for place in places]
    term = bare(item.text, system.kind)
    asked = question(term, hits, order, desk.tools, language, system.kind)
    prompts = desk.tools.prompts(language)
    shown = [places[at] for at in order]
    prior = [max(item.probability[place], FLOOR) for place in shown]
    prior.append(max(1 - sum(item.probability[place] for place in shown), FLOOR))
    return Example(
        id=f"{item.group}:{item.text}",
        group=item.group,
        agent=desk.agent,
        language=language,
        system=prompts("shared", "system"),
        context=prompts("standardise", "context"),
        question=asked.text,
        options=asked.options,
        answer=asked.options[-1 if answer is None else shown.index(answer)],
        prior=tuple(round(math.log(value), 4) for value in prior),
        facts={
            "hard": item.probability[0] < HARD,
            "top": item.probability[0],
            "logodds": [item.logodds[place] for place in shown],
            "right": [item.right[place] for place in shown],
            "gold": item.gold,
        },
    )


def _hit(system: System, item: Ranked, place: int) -> Hit:
    name = item.names[place]
    return Hit(system, item.codes[place], name, name, item.language, item.probability[place], ("pack",))
