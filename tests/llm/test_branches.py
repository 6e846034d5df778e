"""Waves: every request in exactly one, none too large, no prefix read twice where it need not be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jointcoder.llm.branches import Branch, waves
from jointcoder.llm.options import BLOCK

SHAPES = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40), st.integers(0, 20)), max_size=40)


def cells(wave: list[Branch]) -> int:
    prefixes = {branch.group: len(branch.prefix) for branch in wave}
    return sum(b.cells for b in wave) + sum(-(-length // BLOCK) * BLOCK for length in prefixes.values())


@given(SHAPES, st.integers(1, 12), st.integers(1, 4), st.integers(0, 1500))
def test_waves_hold_every_request_once_and_fit(
    shapes: list[tuple[int, int, int]], most: int, prefixes: int, room: int
) -> None:
    branches = [
        Branch(i, group, [0] * (30 * group + 1), [0] * (i % 3), [0] * own, answer)
        for i, (group, own, answer) in enumerate(shapes)
    ]
    found = list(waves(branches, most=most, prefixes=prefixes, room=room))
    assert sorted(b.index for wave in found for b in wave) == list(range(len(branches)))
    for wave in found:
        assert len(wave) <= most
        assert len({b.group for b in wave}) <= prefixes
        assert cells(wave) <= room or len(wave) == 1
    groups = [b.group for wave in found for b in wave]
    assert groups == sorted(groups), "requests of one prefix stay side by side"
