"""A workflow as a graph to look at: its levels, and its branches drawn as text.

    o read
    o extract
    ├─╮
    o │ standardise_diagnoses
    │ o mine
    ├─╯
    o map_codes

One line a step, in the order in which the steps run; a lane a branch, as version-control logs draw them. What a step
does is not known here: whoever prints adds it. The picture is :mod:`jointcoder.workflow.picture`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jointcoder.workflow.spec import Workflow


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the drawing. ``step``: the id of the step on it, "" for one that only joins or parts lanes."""

    drawing: str
    step: str = ""


def levels(flow: Workflow) -> dict[str, int]:
    """Step id → its level: 0 for a beginning, else one more than the highest of those that it runs after."""
    found: dict[str, int] = {}
    for spec in flow.step:
        found[spec.id] = 1 + max((found[name] for name in spec.after or () if name in found), default=-1)
    return found


def edges(flow: Workflow) -> list[tuple[str, str]]:
    """(before, after), without those that a longer way implies."""
    ancestors = {spec.id: flow.ancestors(spec.id) for spec in flow.step}
    return [
        (name, spec.id)
        for spec in flow.step
        for name in dict.fromkeys(spec.after or ())
        if not any(name in ancestors[other] for other in spec.after or () if other != name)
    ]


def lanes(flow: Workflow) -> Iterator[Line]:
    """The drawing, line by line."""
    after: dict[str, list[str]] = {spec.id: [] for spec in flow.step}
    for before, then in edges(flow):
        if before in after:
            after[before].append(then)
    open_lanes: list[str] = []  # the step to which each lane leads
    for spec in flow.step:
        mine = [place for place, target in enumerate(open_lanes) if target == spec.id]
        if not mine:
            open_lanes.append(spec.id)
            mine = [len(open_lanes) - 1]
        if len(mine) > 1:
            yield Line(_joint(len(open_lanes), mine, "╯"))
            open_lanes = [target for place, target in enumerate(open_lanes) if place not in mine[1:]]
        here = mine[0]
        yield Line(" ".join("o" if place == here else "│" for place in range(len(open_lanes))), spec.id)
        targets = after[spec.id]
        open_lanes[here : here + 1] = targets
        if len(targets) > 1:
            yield Line(_joint(len(open_lanes), list(range(here, here + len(targets))), "╮"))


def _joint(width: int, joined: list[int], last: str) -> str:
    """A line on which the lanes of ``joined`` meet in the first of them, or part from it."""
    drawn = []
    for place in range(width):
        inside = joined[0] <= place < joined[-1]
        if place == joined[0]:
            mark = "├"
        elif place == joined[-1]:
            mark = last
        elif place in joined:
            mark = "┴" if last == "╯" else "┬"
        else:
            mark = "┼" if joined[0] < place < joined[-1] else "│"
        drawn.append(mark + ("─" if inside else " "))
    return "".join(drawn).rstrip()
