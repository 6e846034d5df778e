"""Examples for *prioritise*: the codes of an encounter, and which of them is the principal one.

From corpora that mark a principal code or give codes in order of importance. Some codes that are principal in other
encounters stand between the right ones, as drafts would. In training the letters are drawn afresh; held-out examples
keep the step's own order, which is by code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from jointcoder.corpora.base import GoldCode
from jointcoder.finetune.asking import Desk, read_state, spans_of
from jointcoder.finetune.examples import Example
from jointcoder.finetune.sources import Case
from jointcoder.records import AssignedCode
from jointcoder.steps.common import record_context
from jointcoder.steps.prioritise import by_score, in_text, opening_chunk, rule_score
from jointcoder.steps.prompting import LETTERS


def principal_of(case: Case, desk: Desk) -> GoldCode | None:
    """The principal code of the agent's kind: the one marked so, else the first where order counts."""
    system = desk.system()
    own = [gold for gold in case.gold if gold.system == system]
    marked = next((gold for gold in own if gold.primary), None)
    return marked or (own[0] if own and case.ordered else None)


def principals(cases: Sequence[Case], desk: Desk) -> list[GoldCode]:
    """Principal codes of the cases, the most frequent first: what may stand between the right ones."""
    found = [gold for case in cases if (gold := principal_of(case, desk))]
    counts = Counter(gold.code for gold in found)
    first = {gold.code: gold for gold in reversed(found)}
    return [first[code] for code, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


def ordered(case: Case, others: Sequence[GoldCode], desk: Desk, *, training: bool) -> Example | None:
    """The example of one encounter, or None: no principal code, nothing beside it, or a code without a name."""
    principal = principal_of(case, desk)
    if principal is None or case.encounter is None:
        return None
    system, options = desk.system(), desk.options
    chance = desk.chance(case.id)
    own = list({gold.code: gold for gold in case.gold if gold.system == system}.values())
    strange = [gold for gold in others if gold.code not in {one.code for one in own}][: 4 * options.distractors]
    chance.shuffle(strange)
    drafts = [
        AssignedCode(system=system, code=gold.code, name=name, confidence=0.5, evidence=tuple(spans_of(gold, case)[:1]))
        for gold in [*own, *strange[: options.distractors]]
        if (name := desk.name(gold, case.language))
    ]
    state = read_state(case, desk.tools)
    scores = {draft.code: rule_score(draft, place, {}) for place, draft in enumerate(in_text(drafts))}
    best = by_score(drafts, scores)
    shown = sorted(best[: options.shown], key=lambda draft: draft.code)
    if len(shown) < 2 or principal.code not in {draft.code for draft in shown}:
        return None
    context = record_context(state, opening_chunk(state, best), desk.tools)
    if training:
        chance.shuffle(shown)
    prompts = desk.tools.prompts(state.language)
    lines = "\n".join(f"{letter}. {draft.name}" for letter, draft in zip(LETTERS, shown, strict=False))
    letters = LETTERS[: len(shown)]
    place = [draft.code for draft in shown].index(principal.code)
    return Example(
        id=case.id,
        group=case.id,
        agent=desk.agent,
        language=state.language,
        system=context.system,
        context=context.text,
        question=prompts("prioritise", system.kind.value, options=lines),
        options=letters,
        answer=letters[place],
        prior=tuple(round(scores[draft.code], 4) for draft in shown),
        facts={"codes": [draft.code for draft in shown], "hard": best[0].code != principal.code},
    )
