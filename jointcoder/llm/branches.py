"""Requests on their way through the engine, and how they are grouped into waves that fit its cache.

A wave is decoded together: its prefixes lie in the cache, every request is a branch of one. Requests that share a
prefix stay together, so that no prefix is read twice. This module knows no engine: it counts cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jointcoder.errors import ModelError
from jointcoder.llm.options import BLOCK

FILLER = 8  # cells that steady calls may take for a moment


@dataclass
class Branch:
    """A request on its way: a prefix, its own tokens, and the room its answer may take. Requests of one ``group``
    share their prefix; ``lead`` is what the base model reads before an adapter is activated."""

    index: int
    group: int
    prefix: list[int]
    lead: list[int]
    suffix: list[int]
    room: int
    sequence: int = -1
    start: int = 0

    @property
    def cells(self) -> int:
        return len(self.lead) + len(self.suffix) + self.room

    @property
    def tokens(self) -> int:
        """All that is read."""
        return len(self.prefix) + len(self.lead) + len(self.suffix)


def check_room(branches: Sequence[Branch], limit: int) -> None:
    """Raise ModelError JC304 for a request that needs more than ``limit`` tokens, before anything is decoded."""
    for branch in branches:
        need = len(branch.prefix) + branch.cells
        if need > limit:
            raise ModelError(
                "JC304",
                f"the request needs {need} tokens ({branch.tokens} to read, "
                f"{branch.room} to write), the context holds {limit}",
                hint="split the text, or raise context_tokens in the settings",
            )


def waves(branches: Sequence[Branch], *, most: int, prefixes: int, room: int) -> Iterator[list[Branch]]:
    """Groups of at most ``most`` branches on at most ``prefixes`` prefixes that fit ``room`` cells together; requests
    of one prefix stay side by side."""
    wave: list[Branch] = []
    groups: set[int] = set()
    cells = 0
    for branch in sorted(branches, key=lambda b: (b.group, b.index)):
        alone = branch.cells + -(-len(branch.prefix) // BLOCK) * BLOCK
        more = branch.cells if branch.group in groups else alone
        crowded = len(groups | {branch.group}) > prefixes or len(wave) == most
        if wave and (crowded or cells + more > room):
            yield wave
            wave, groups, cells, more = [], set(), 0, alone
        wave.append(branch)
        groups.add(branch.group)
        cells += more
    if wave:
        yield wave
