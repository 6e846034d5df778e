"""Makes the nodes of a plan join up, with as little as possible: the form is mended here, the idea is the designer's.

    joined, changes = join(plan, space)            changes: ["+ extract", "- desc_match"]

Weak models forget a step or ask for something that nobody uses. A slot that a node needs and nobody gave gets its usual
supplier before that node; proposals that nobody looks up are looked up; a node without use goes; the plan ends as plans
end. What is left wrong (a code in a purpose, a tool that fails) goes back to the designer. Suppliers are data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jointcoder.errors import WorkflowError
from jointcoder.search.grammar import PLURAL, free
from jointcoder.search.plan import Node, Plan
from jointcoder.search.space import EVERY_KIND, Space, table
from jointcoder.steps import registry
from jointcoder.steps.base import CANDIDATE_SLOTS, CODE_SLOTS, Step

MOST_ADDED = 12
KIND_OF = {slot: kind.value for slots in (CODE_SLOTS, CANDIDATE_SLOTS) for kind, slot in slots.items()}


def join(plan: Plan, space: Space) -> tuple[Plan, list[str]]:
    """The plan with what it lacks and without what it does not use, and the changes in signs; the plan itself where it
    joins up. Raises WorkflowError JC402 where a slot has no supplier, and what building its steps raises."""
    nodes, before = list(plan.nodes), {node.id for node in plan.nodes}
    nodes = _looked_up(_supplied(nodes, space), space)
    nodes = _supplied(_ended(nodes, space), space)
    joined = plan.with_nodes(nodes)
    while idle := joined.idle():
        joined = joined.with_nodes(_without(joined.nodes, set(idle)))
    after = {node.id for node in joined.nodes}
    changes = [f"+ {one.id}" for one in joined.nodes if one.id not in before]
    changes += [f"- {one.id}" for one in plan.nodes if one.id not in after]
    order = [one.id for one in plan.nodes if one.id in after]
    kept = [one.id for one in joined.nodes if one.id in before]
    changes += [f"{one} earlier" for one in order if kept.index(one) < order.index(one)]
    return (joined, changes) if changes else (plan, [])


def _supplied(nodes: Sequence[Node], space: Space) -> list[Node]:
    """The nodes with a supplier before each that needs what nobody gave; one that stands further on is taken there."""
    result: list[Node] = []
    waiting = list(reversed(nodes))
    added = 0
    while waiting:
        node = waiting.pop()
        given = {"encounter"}.union(*(_step(one).writes for one in result))
        missing = sorted(_step(node).reads - given)
        if not missing:
            result.append(node)
            continue
        added += 1
        taken = {one.id for one in (*result, *waiting, node)}
        supplier = _supplier(missing[0], result, space, taken) if added <= MOST_ADDED else None
        if supplier is None:
            raise WorkflowError("JC402", f"{node.id} reads {missing[0]!r}, which no step before it writes")
        if later := [one for one in waiting if _is_same(one, supplier)]:
            supplier = later[-1].model_copy(update={"after": ()})
            waiting.remove(later[-1])
        waiting += [node, supplier]
    return result


def _supplier(slot: str, before: Sequence[Node], space: Space, taken: set[str]) -> Node | None:
    role = slot
    if slot in KIND_OF:
        proposed = any("proposals" in _step(one).writes for one in before)
        role = "looked_up" if proposed else "codes" if slot in CODE_SLOTS.values() else "candidates"
    for name in table()["suppliers"].get(role, ()):
        if name in space:
            return next(_nodes(name, KIND_OF.get(slot, EVERY_KIND), space, taken))
    return None


def _looked_up(nodes: Sequence[Node], space: Space) -> list[Node]:
    """With a look-up after the last proposals, where none follows: else they were for nothing."""
    writers = [place for place, one in enumerate(nodes) if "proposals" in _step(one).writes]
    readers = [place for place, one in enumerate(nodes) if "proposals" in _step(one).reads]
    if not writers or (readers and readers[-1] > writers[0]):
        return list(nodes)
    place = writers[-1] + 1
    codes = set(CODE_SLOTS.values())
    more = {"add": True} if any(codes & _step(one).writes for one in nodes[:place]) else {}
    taken = {one.id for one in nodes}
    names = [name for name in table()["suppliers"]["looked_up"] if name in space]
    new = [node.with_options(**more) for name in names[:1] for node in _nodes(name, EVERY_KIND, space, taken)]
    return [*nodes[:place], *new, *nodes[place:]]


def _ended(nodes: Sequence[Node], space: Space) -> list[Node]:
    """With the steps that every plan ends with, and with codes before them."""
    result = list(nodes)
    taken = {one.id for one in result}
    used = {one.component for one in result}
    for name in table()["suppliers"]["last"]:
        if name in space and name not in used:
            result += _nodes(name, EVERY_KIND, space, taken)
    return result


def _without(nodes: Sequence[Node], gone: set[str]) -> Iterator[Node]:
    for node in nodes:
        if node.id not in gone:
            yield node.model_copy(update={"after": tuple(one for one in node.after if one not in gone)})


def _nodes(name: str, kind: str, space: Space, taken: set[str]) -> Iterator[Node]:
    part = space[name]
    for options in part.kinds(kind):
        own = options.get("kind") or next(iter(options.get("kinds", ())), "")
        yield Node(
            id=free(f"{name}_{PLURAL[own]}" if own else name, taken), use=name, options={**options, **part.forced}
        )


def _is_same(one: Node, other: Node) -> bool:
    """Whether two nodes do the same work, whatever their dials."""
    kinds = [(node.options.get("kind"), tuple(node.options.get("kinds", ()))) for node in (one, other)]
    return one.component == other.component and kinds[0] == kinds[1]


def _step(node: Node) -> Step:
    return registry.build(node.use, node.options)
