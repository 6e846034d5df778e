"""Menus: what one design may use, drawn by chance and enforced by the grammar."""

from __future__ import annotations

import random

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.search.grammar import draft_schema
from jointcoder.search.menu import Menu, drawn
from jointcoder.search.plan import Plan
from jointcoder.search.space import Space
from jointcoder.steps import registry
from jointcoder.workflow.spec import load_workflow

from .bench import draft

SPACE = Space.of(registry.signatures(), pack=True)
LEARNED = Plan.of(load_workflow("learned"))
FRAME = {"read", "map_codes", "reconcile"}


@given(st.integers(0, 10_000))
def test_a_menu_holds_the_frame_parts_of_the_plan_and_others(seed: int) -> None:
    menu = drawn(SPACE, LEARNED, random.Random(seed))
    assert set(menu.uses) >= FRAME
    assert menu.lead in set(menu.uses) - {node.component for node in LEARNED.nodes}
    assert len(FRAME) + 4 <= len(menu.uses) < len(SPACE)
    assert Menu.of(menu.to_json()) == menu


def test_chance_gives_many_menus_and_keeps_the_good_plan_in_most() -> None:
    menus = [drawn(SPACE, LEARNED, random.Random(seed)) for seed in range(40)]
    assert len({menu.uses for menu in menus}) > 35
    assert 20 < sum("learned" in menu.uses for menu in menus) < 40


@given(st.integers(0, 10_000))
def test_a_known_plan_cannot_be_written_again(seed: int) -> None:
    chance = random.Random(seed)
    menu = drawn(SPACE, LEARNED, chance)
    free = [name for name in menu.uses if name not in FRAME]
    steps = ["read", *free[:3], "map_codes", "reconcile"]
    other = menu.other(SPACE, steps, chance)
    assert set(other.uses) >= FRAME
    assert not set(steps) <= set(other.uses)
    assert other.lead in set(other.uses) - set(menu.uses)


def test_the_grammar_holds_to_the_menu() -> None:
    menu = Menu(("read", "extract", "map_codes", "reconcile"), "extract")
    schema = draft_schema(SPACE, menu.uses)
    jsonschema.validate(draft("read", "extract", "map_codes", "reconcile"), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(draft("read", "standardise", "map_codes", "reconcile"), schema)
