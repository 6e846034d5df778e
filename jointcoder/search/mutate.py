"""Single edits of a plan: one dial turned, one node added, dropped, exchanged or moved.

    edits = draw(plan, space, random.Random(seed), count=12)
    edits[0].text                 "validate_diagnoses.keep = 0.35"
    edits[0].plan                 the edited plan; it joins up, and is none of those already known

A single edit leaves the rest of a good plan alone: its nodes keep their results, and a gain or loss has one cause. The
fallback where a model's free design fails, and the cheap half of every search. Edits say what they change in names and
signs, in no language. Knows no scores: which plan is worth editing is the search's business.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass

from jointcoder.errors import WorkflowError
from jointcoder.search.grammar import MOST_STEPS, PLURAL, free
from jointcoder.search.plan import Node, Plan
from jointcoder.search.space import EVERY_KIND, Space, shown

TRIES = 40  # random edits per wanted one before giving up
SET, ADD, DROP, EXCHANGE, MOVE = "set", "add", "drop", "exchange", "move"
WEIGHTS = {SET: 6, ADD: 3, DROP: 2, EXCHANGE: 2, MOVE: 1}  # how often each kind of edit is tried
MOST_NODES = 2 * MOST_STEPS


@dataclass(frozen=True)
class Edit:
    """An edit and the plan it leads to. ``hash``: of that plan's workflow; ``stage``: the node it concerns."""

    kind: str
    text: str
    stage: str
    plan: Plan
    hash: str


def draw(
    plan: Plan,
    space: Space,
    random_: random.Random,
    *,
    count: int = 1,
    stages: Sequence[str] = (),
    known: Set[str] = frozenset(),
    languages: Sequence[str] = (),
) -> list[Edit]:
    """Up to ``count`` different edits, half of them at ``stages`` (nodes found wanting) where such are named. Left
    out are those whose plan does not join up or leaves a node without use, and those whose workflow's hash is
    ``known``."""
    makers: dict[str, Callable[[Plan, Space, random.Random, Set[str]], _Raw | None]] = {
        SET: _set,
        ADD: _add,
        DROP: _drop,
        EXCHANGE: _exchange,
        MOVE: _move,
    }
    free = frozenset(node.id for node in plan.nodes if space.is_judged(node.options))
    wanted = frozenset(stages) & free
    if not free:
        return []
    found: dict[str, Edit] = {}
    idle = set(plan.idle())
    for turn in range(TRIES * count):
        if len(found) >= count:
            break
        kind = random_.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        at = wanted if wanted and turn % 2 else free
        raw = makers[kind](plan, space, random_, at)
        if raw is None:
            continue
        text, stage, nodes = raw
        try:
            edited = plan.with_nodes(nodes)
            made = edited.workflow("edited", languages=languages)
            if set(edited.idle()) - idle:
                continue
        except WorkflowError:
            continue
        if made.hash not in known and made.hash not in found:
            found[made.hash] = Edit(kind, text, stage, edited, made.hash)
    return list(found.values())


_Raw = tuple[str, str, list[Node]]


def _set(plan: Plan, space: Space, random_: random.Random, at: Set[str]) -> _Raw | None:
    turnable = [node for node in _at(plan, at) if node.component in space and space[node.component].dials]
    if not turnable:
        return None
    node = random_.choice(turnable)
    dial = random_.choice(list(space[node.component].dials.values()))
    now = node.options.get(dial.name, dial.default)
    now = tuple(now) if isinstance(now, list) else now
    others = [value for value in dial.settings if value != now]
    if not others:
        return None
    value = random_.choice(others)
    plain = list(value) if isinstance(value, tuple) else value
    changed = node.with_options(**{dial.name: None if value == dial.default else plain})
    nodes = [changed if one.id == node.id else one for one in plan.nodes]
    return f"{node.id}.{dial.name} = {shown(value)}", node.id, nodes


def _add(plan: Plan, space: Space, random_: random.Random, at: Set[str]) -> _Raw | None:
    if len(plan.nodes) >= MOST_NODES:
        return None
    part = space[random_.choice(list(space))]
    kind = random_.choice(space.kinds) if part.per_kind else EVERY_KIND
    place = random_.choice([i for i, node in enumerate(plan.nodes, start=1) if node.id in at])
    new = []
    taken = {node.id for node in plan.nodes}
    for options in part.kinds(kind):
        own = options.get("kind") or next(iter(options.get("kinds", ())), "")
        name = free(f"{part.name}_{PLURAL[own]}" if own else part.name, taken)
        new.append(Node(id=name, use=part.name, options={**options, **part.forced}))
    follows = plan.nodes[place - 1].id
    names = " + ".join(node.id for node in new)
    return f"+ {names} after {follows}", follows, _unbound([*plan.nodes[:place], *new, *plan.nodes[place:]])


def _drop(plan: Plan, space: Space, random_: random.Random, at: Set[str]) -> _Raw | None:
    if len(plan.nodes) < 3:
        return None
    gone = random_.choice(list(_at(plan, at)))
    return f"- {gone.id}", gone.id, _unbound(node for node in plan.nodes if node.id != gone.id)


def _exchange(plan: Plan, space: Space, random_: random.Random, at: Set[str]) -> _Raw | None:
    """A node for one of another component that writes what it writes, for the same kind of codes."""
    node = random_.choice(list(_at(plan, at)))
    writes = set(space[node.component].writes) if node.component in space else set()
    rivals = [part for part in space.values() if part.name != node.component and writes and writes & set(part.writes)]
    if not rivals:
        return None
    part = random_.choice(rivals)
    kind = str(node.options.get("kind") or "") or EVERY_KIND
    kinds = list(node.options.get("kinds") or [])
    options = part.kinds(kinds[0] if len(kinds) == 1 else kind)
    if len(options) > 1:
        return None
    name = free(f"{part.name}_{PLURAL[kind]}" if kind in PLURAL else part.name, {one.id for one in plan.nodes})
    new = Node(id=name, use=part.name, options={**options[0], **part.forced})
    return f"{node.id} -> {name}", node.id, _unbound(new if one.id == node.id else one for one in plan.nodes)


def _move(plan: Plan, space: Space, random_: random.Random, at: Set[str]) -> _Raw | None:
    """A node one place on."""
    places = [i for i, node in enumerate(plan.nodes[:-1]) if node.id in at]
    if not places:
        return None
    place = random_.choice(places)
    nodes = list(plan.nodes)
    nodes[place], nodes[place + 1] = nodes[place + 1], nodes[place]
    return f"{plan.nodes[place].id} after {plan.nodes[place + 1].id}", plan.nodes[place].id, _unbound(nodes)


def _at(plan: Plan, at: Set[str]) -> Iterator[Node]:
    return (node for node in plan.nodes if node.id in at)


def _unbound(nodes: Iterable[Node]) -> list[Node]:
    """The nodes without edges of their own: after an edit of the graph the slots join them anew."""
    return [node.model_copy(update={"after": ()}) for node in nodes]
