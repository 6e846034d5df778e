"""A crew whose workers are played: who dies when, and what becomes of the groups."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from jointcoder.batch.conditions import Conditions
from jointcoder.batch.executor import Crew, GoneError, Group, GroupDone, Refusal, Worker, refusal_of
from jointcoder.batch.work import Hello, Terms
from jointcoder.errors import ModelError, RunError, UsageError

HELLO = Hello(Conditions(workflow="one"))
OTHER = Hello(Conditions(workflow="other"))
DIES, DEAF = "dies", "deaf"  # dies when it should speak; is gone when it is given something
TERMS = Terms("0")


@dataclass(eq=False, kw_only=True)
class Played(Worker):
    part: deque[Hello | Refusal | str]
    given: list[int] = field(default_factory=list)


class Stage(Crew[Played]):
    """Workers with parts, in the order in which they are started: a hello, then ``dies`` or ``deaf`` for a group; a
    part that has run out codes whatever it is given."""

    def __init__(self, workers: int, *parts: Iterable[Hello | Refusal | str]) -> None:
        super().__init__(workers)
        self.parts = deque(deque(part) for part in parts)
        self.played: list[Played] = []
        self.ended: list[Played] = []

    def _start(self) -> Played:
        self.played.append(Played(part=self.parts.popleft()))
        return self.played[-1]

    def _give(self, worker: Played, group: Group, terms: Terms) -> None:
        worker.given.append(group.number)
        if worker.part and worker.part[0] == DEAF:
            raise GoneError("deaf")

    def _ready(self) -> list[Played]:
        return [worker for worker in self._crew if worker.hello is None or worker.group is not None]

    def _said(self, worker: Played) -> Hello | Refusal | GroupDone:
        said = worker.part.popleft() if worker.part else ""
        if said == DIES:
            raise GoneError("died")
        if isinstance(said, str):
            assert worker.group is not None
            return GroupDone(worker.group.number)
        return said

    def _end(self, worker: Played) -> None:
        self.ended.append(worker)

    def close(self) -> None:
        self._crew = []


def numbers(crew: Stage, count: int) -> tuple[list[int], list[int]]:
    """The groups that came back, done and lost."""
    groups = iter([Group(number, ()) for number in range(1, count + 1)])
    found = list(crew.map(lambda: next(groups, None), TERMS))
    return sorted(one.number for one in found if not one.lost), sorted(one.number for one in found if one.lost)


def test_every_group_comes_back_once() -> None:
    crew = Stage(3, [HELLO], [HELLO], [HELLO])
    assert crew.open() == HELLO
    assert numbers(crew, 8) == ([1, 2, 3, 4, 5, 6, 7, 8], [])
    assert crew.ended == []


@pytest.mark.parametrize("how", [DIES, DEAF])
def test_a_worker_that_dies_gives_its_group_back_and_is_replaced(how: str) -> None:
    crew = Stage(2, [HELLO, how], [HELLO], [HELLO])
    crew.open()
    assert numbers(crew, 5) == ([2, 3, 4, 5], [1])
    assert crew.ended == [crew.played[0]]
    assert len(crew.played) == 3


def test_all_die_and_a_new_one_goes_on() -> None:
    crew = Stage(1, [HELLO, DIES], [HELLO, DIES], [HELLO])
    crew.open()
    assert numbers(crew, 4) == ([3, 4], [1, 2])


def test_workers_that_die_while_they_start_are_given_up() -> None:
    crew = Stage(1, [DIES], [DIES], [HELLO])
    assert crew.open() == HELLO
    with pytest.raises(RunError, match=r"JC708.*died"):
        Stage(1, [DIES], [DIES], [DIES]).open()
    again = Stage(1, [HELLO, DIES], [DIES], [DIES], [DIES])
    again.open()
    with pytest.raises(RunError, match="JC708"):
        numbers(again, 3)


def test_what_keeps_a_coder_from_opening_is_raised() -> None:
    with pytest.raises(ModelError, match="JC301") as raised:
        Stage(2, [HELLO], [refusal_of(ModelError("JC301", "no engine", hint="install it"))]).open()
    assert raised.value.hint == "install it"


def test_workers_that_would_not_code_alike_are_refused() -> None:
    with pytest.raises(UsageError, match=r"JC701.*workflow"):
        Stage(2, [HELLO], [OTHER]).open()
    crew = Stage(1, [HELLO, DIES], [OTHER])
    crew.open()
    with pytest.raises(UsageError, match="JC701"):
        numbers(crew, 3)
