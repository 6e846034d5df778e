"""Single edits: each joins up, is new, and changes one thing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.records import Kind
from jointcoder.search.mutate import draw
from jointcoder.search.plan import Plan
from jointcoder.search.space import Space
from jointcoder.steps import registry
from jointcoder.workflow.check import plan as checked
from jointcoder.workflow.spec import load_workflow

SPACE = Space.of(registry.signatures())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["lexical", "jointcoder", "cot_sc", "clh", "meddcr_best"]))
def test_every_edit_joins_up_and_changes_one_thing(seed: int, name: str):
    plan = Plan.of(load_workflow(name))
    before = {node.id: node for node in plan.nodes}
    edits = draw(plan, SPACE, random.Random(seed), count=4)
    assert edits
    assert len({edit.hash for edit in edits}) == len(edits)
    for edit in edits:
        made = edit.plan.workflow("edited")
        checked(made)
        assert made.hash == edit.hash
        after = {node.id: node for node in edit.plan.nodes}
        gone, new = before.keys() - after.keys(), after.keys() - before.keys()
        turned = [n for n in before.keys() & after.keys() if before[n].options != after[n].options]
        moved = [n.id for n in plan.nodes if n.id in after] != [n.id for n in edit.plan.nodes if n.id in before]
        assert len(gone) <= 1
        assert len(new) <= 2
        assert len(turned) <= 1
        changes = [bool(turned), bool(gone) or bool(new), moved and not gone and not new]
        assert sum(changes) == 1, edit.text
        if turned:
            one, other = before[turned[0]].options, after[turned[0]].options
            assert len({k for k in {*one, *other} if one.get(k) != other.get(k)}) == 1


def test_the_same_seed_draws_the_same_edits():
    plan = Plan.of(load_workflow("jointcoder"))
    one, other = (draw(plan, SPACE, random.Random(5), count=6) for _ in range(2))
    assert [edit.text for edit in one] == [edit.text for edit in other]


def test_known_plans_are_not_drawn_again():
    plan = Plan.of(load_workflow("lexical"))
    first = draw(plan, SPACE, random.Random(5), count=6)
    known = {edit.hash for edit in first}
    again = draw(plan, SPACE, random.Random(5), count=6, known=known)
    assert not known & {edit.hash for edit in again}


def test_half_of_the_edits_are_where_something_was_found_wanting():
    plan = Plan.of(load_workflow("jointcoder"))
    edits = draw(plan, SPACE, random.Random(1), count=24, stages=["validate_diagnoses", "no_such_node"])
    at = sum(edit.stage == "validate_diagnoses" for edit in edits)
    assert at >= 8


def test_what_labels_cannot_judge_is_left_as_it_is():
    space = Space.of(registry.signatures(), judged=[Kind.DIAGNOSIS])
    plan = Plan.of(load_workflow("jointcoder"))
    for seed in range(6):
        for edit in draw(plan, space, random.Random(seed), count=6):
            for node in plan.nodes:
                if node.options.get("kind") == "procedure":
                    assert node.options == edit.plan[node.id].options


def test_a_plan_of_codes_of_the_other_kind_has_nothing_to_edit():
    space = Space.of(registry.signatures(), judged=[Kind.DIAGNOSIS])
    plan = Plan.of(load_workflow("jointcoder"))
    bare = plan.with_nodes(node for node in plan.nodes if node.options.get("kind") == "procedure")
    assert draw(bare, space, random.Random(1), count=3) == []


@pytest.mark.parametrize("name", ["lexical", "clh"])
def test_no_edit_leaves_a_node_without_use(name: str):
    plan = Plan.of(load_workflow(name))
    for edit in draw(plan, SPACE, random.Random(2), count=20):
        assert set(edit.plan.idle()) <= set(plan.idle()), edit.text
