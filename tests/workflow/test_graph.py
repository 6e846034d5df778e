"""A workflow to look at: lanes as text, boxes and arrows as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.workflow.check import plan
from jointcoder.workflow.graph import edges, lanes, levels
from jointcoder.workflow.picture import svg
from jointcoder.workflow.spec import Workflow, library_names, load_workflow

NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(flow: Workflow) -> list[str]:
    return [f"{line.drawing} {line.step}".rstrip() for line in lanes(flow)]


def graph(**after: list[str]) -> Workflow:
    steps = [{"id": name, "use": "read", "after": before} for name, before in after.items()]
    return Workflow.from_plan({"name": "t", "step": steps})


def test_a_line_is_a_line() -> None:
    assert drawn(graph(a=[], b=["a"], c=["b"])) == ["o a", "o b", "o c"]


def test_branches_part_and_meet() -> None:
    assert drawn(graph(a=[], b=["a"], c=["a"], d=["b"], e=["d", "c"])) == [
        "o a",
        "├─╮",
        "o │ b",
        "│ o c",
        "o │ d",
        "├─╯",
        "o e",
    ]


def test_a_branch_passes_others_by() -> None:
    assert drawn(graph(a=[], b=["a"], c=["a"], d=["a"], e=["b", "d"], f=["e", "c"])) == [
        "o a",
        "├─┬─╮",
        "o │ │ b",
        "│ o │ c",
        "│ │ o d",
        "├─┼─╯",
        "o │ e",
        "├─╯",
        "o f",
    ]


def test_two_beginnings_and_an_end_that_nobody_waits_for() -> None:
    assert drawn(graph(a=[], b=[], c=["a"], d=["b"])) == ["o a", "│ o b", "o │ c", "o d"]


def test_what_a_longer_way_implies_is_not_drawn() -> None:
    flow = graph(a=[], b=["a"], c=["a", "b"])
    assert edges(flow) == [("a", "b"), ("b", "c")]
    assert levels(flow) == {"a": 0, "b": 1, "c": 2}


@st.composite
def flows(draw: st.DrawFn) -> Workflow:
    """Any acyclic graph of up to nine steps."""
    names = [f"s{n}" for n in range(draw(st.integers(1, 9)))]
    steps = []
    for place, name in enumerate(names):
        before = draw(st.lists(st.sampled_from(names[:place]), unique=True, max_size=3)) if place else []
        steps.append({"id": name, "use": "read", "after": before})
    return Workflow.from_plan({"name": "t", "step": steps})


@given(flows())
def test_every_step_has_a_line_and_every_branching_is_drawn(flow: Workflow) -> None:
    lines = list(lanes(flow))
    assert [line.step for line in lines if line.step] == [spec.id for spec in flow.step]
    assert all(line.drawing.count("o") == bool(line.step) for line in lines)
    links = edges(flow)
    parting = sum(max(0, sum(one == spec.id for one, _ in links) - 1) for spec in flow.step)
    meeting = sum(max(0, sum(two == spec.id for _, two in links) - 1) for spec in flow.step)
    joints = "".join(line.drawing for line in lines if not line.step)
    assert joints.count("╮") + joints.count("┬") == parting
    assert joints.count("╯") + joints.count("┴") == meeting


@given(flows())
def test_levels_go_down_along_every_arrow(flow: Workflow) -> None:
    level = levels(flow)
    assert all(level[one] < level[other] for one, other in edges(flow))
    reach = {spec.id: flow.ancestors(spec.id) for spec in flow.step}
    kept = graph(**{spec.id: [one for one, other in edges(flow) if other == spec.id] for spec in flow.step})
    assert {spec.id: kept.ancestors(spec.id) for spec in kept.step} == reach  # nothing is lost by what is not drawn


@pytest.mark.parametrize("name", library_names())
def test_the_picture_is_whole_and_nothing_overlaps(name: str) -> None:
    checked = plan(load_workflow(name))
    root = ET.fromstring(svg(checked))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = [
        tuple(float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        for box in root.iter(f"{NAMESPACE}rect")
        if box.attrib["width"] != "100%"
    ]
    texts = [text.text for text in root.iter(f"{NAMESPACE}text")]
    assert len(boxes) == len(checked.steps)
    assert {step_id for step_id, _ in checked.steps} <= set(texts)
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
    for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(boxes, 2):
        assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay
    assert len(list(root.iter(f"{NAMESPACE}path"))) > len(edges(checked.workflow))  # the arrows and their tip
    assert "href" not in svg(checked)  # nothing is fetched


def test_names_are_escaped() -> None:
    flow = Workflow.from_plan({"name": "a<b&c", "source": '"q"', "step": [{"id": "<x>", "use": "read"}]})
    from jointcoder.steps import registry
    from jointcoder.workflow.check import Plan

    picture = svg(Plan(flow, (("<x>", registry.build("read", {})),)))
    texts = [text.text for text in ET.fromstring(picture).iter(f"{NAMESPACE}text")]
    assert texts[-1] == "<x>" or "<x>" in texts
