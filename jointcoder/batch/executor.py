"""Groups of encounters → what became of them: in this process, or by a crew of workers somewhere else.

    with InProcess(spec) as executor:               # or Processes (processes.py), OnRay (ray.py)
        hello = executor.open()
        for done in executor.map(pull, terms): …

An executor asks ``pull()`` for a group whenever a worker is free, so that no more is read than is being coded; None
means that nothing is left at present, and it ends when what it has is done. The order is that of completion. A worker
that dies takes its group along: the group comes back as ``lost``, a new worker takes its place, and what becomes of the
group is the caller's business. :class:`Crew` does all of that for workers that can be started, spoken to and heard;
another executor fits in by the three methods of :class:`Executor`.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from jointcoder.batch.work import Done, Hello, OpenCoder, Terms, Work, code_group, hello_of, require_same
from jointcoder.errors import JointCoderError, RunError

if TYPE_CHECKING:
    from jointcoder.coder import Coder

log = logging.getLogger(__name__)

STARTS = 3  # of workers in a row that never came to work, before that is given up


@dataclass(frozen=True, slots=True)
class Group:
    """Encounters that pass the stages together."""

    number: int
    works: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class GroupDone:
    """What became of a group: one for each work, in order. ``lost``: its worker died, nothing is known of it."""

    number: int
    done: tuple[Done, ...] = ()
    lost: bool = False


Pull = Callable[[], Group | None]


class Executor(Protocol):
    """What codes groups. ``workers``: how many groups are in flight at most."""

    workers: int

    def open(self) -> Hello:
        """Open the coders; what they would code with. Raises what a coder raises, RunError JC708."""
        ...

    def map(self, pull: Pull, terms: Terms) -> Iterator[GroupDone]:
        """Code what ``pull`` gives, in any order, until it gives None and nothing is in flight."""
        ...

    def close(self) -> None:
        """End the workers. Safe to call twice."""
        ...


class Managed:
    """Closed at the end of a block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError


class InProcess(Managed):
    """One coder in this process: the simplest, and the one to use with a model that takes all cores. A crash of the
    engine takes the run along; it then goes on by the same command."""

    workers = 1

    def __init__(self, open_coder: OpenCoder) -> None:
        self._open_coder = open_coder
        self._coder: Coder | None = None

    def open(self) -> Hello:
        self._coder = self._coder or self._open_coder()
        return hello_of(self._coder)

    def map(self, pull: Pull, terms: Terms) -> Iterator[GroupDone]:
        assert self._coder is not None, "open() comes first"
        while (group := pull()) is not None:
            yield GroupDone(group.number, code_group(self._coder, group.works, terms))

    def close(self) -> None:
        if self._coder is not None:
            self._coder.close()
            self._coder = None


# -------------------------------------------------------------------------------------------------------------- crews


@dataclass(eq=False)
class Worker:
    """A worker as its crew knows it: greeted once its coder is open, at work while it has a group."""

    hello: Hello | None = None
    group: Group | None = None


class GoneError(Exception):
    """A worker ended. Says how, for the log; never leaves this module's classes."""


W = TypeVar("W", bound=Worker)


class Crew(Managed, ABC, Generic[W]):
    """Workers, each with a coder of its own. How one is started, spoken to and heard is the subclass's. Raises what
    keeps a coder from opening, RunError JC708 where workers die while they start, UsageError JC701 where two of them
    would not code alike."""

    memory_hint = "is there memory for so many workers?"

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._crew: list[W] = []
        self._hello: Hello | None = None
        self._failed_starts = 0

    def open(self) -> Hello:
        if self._hello is None:
            self._connect()
            self._crew = [self._start() for _ in range(self.workers)]
            while self._hello is None or any(worker.hello is None for worker in self._crew):
                for worker in self._ready():
                    self._heard(worker)
        return self._hello

    def map(self, pull: Pull, terms: Terms) -> Iterator[GroupDone]:
        while True:
            for worker in self._crew:
                if worker.hello is not None and worker.group is None:
                    worker.group = pull()
                    if worker.group is None:
                        break
                    try:
                        self._give(worker, worker.group, terms)
                    except GoneError as gone:  # it died while it was idle
                        yield self._lost(worker, gone)
            at_work = any(worker.group is not None for worker in self._crew)
            if not at_work and any(worker.hello is not None for worker in self._crew):
                return  # somebody was free and there was nothing to do
            for worker in self._ready():
                done = self._heard(worker)
                if done is not None:
                    yield done

    # ------------------------------------------------------------------------------------------- for the subclasses

    def _connect(self) -> None:
        """Reach the place where workers are started."""

    @abstractmethod
    def _start(self) -> W:
        """A new worker, which says hello when its coder is open."""

    @abstractmethod
    def _give(self, worker: W, group: Group, terms: Terms) -> None:
        """Hand a group to a worker. Raises GoneError."""

    @abstractmethod
    def _ready(self) -> list[W]:
        """The workers that said something or ended; waits until there is one."""

    @abstractmethod
    def _said(self, worker: W) -> Hello | Refusal | GroupDone:
        """What a worker that is ready said. Raises GoneError."""

    @abstractmethod
    def _end(self, worker: W) -> None:
        """Let go of a worker that ended, or make it end."""

    # ----------------------------------------------------------------------------------------------------- private

    def _heard(self, worker: W) -> GroupDone | None:
        """What became of a group; None for a worker's hello."""
        try:
            said = self._said(worker)
        except GoneError as gone:
            if worker.hello is not None:
                return self._lost(worker, gone)
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                message = f"{STARTS} workers ended while they started ({gone})"
                raise RunError("JC708", message, hint=self.memory_hint) from None
            self._replace(worker)
            return None
        if isinstance(said, Refusal):
            raise said.error()
        if isinstance(said, Hello):
            worker.hello, self._failed_starts = said, 0
            if self._hello is not None:
                require_same(self._hello, said)
            self._hello = self._hello or said
            return None
        worker.group = None
        return said

    def _lost(self, worker: W, gone: GoneError) -> GroupDone:
        """The worker's group as lost; a new worker takes its place."""
        log.warning("JC703 a worker ended (%s); another takes its place", gone)
        self._replace(worker)
        return GroupDone(worker.group.number if worker.group is not None else -1, lost=True)

    def _replace(self, worker: W) -> None:
        self._end(worker)
        self._crew[self._crew.index(worker)] = self._start()


@dataclass(frozen=True)
class Refusal:
    """A coded error on its way between processes: exceptions with arguments of their own do not pickle."""

    kind: type[JointCoderError]
    code: str
    message: str
    hint: str

    def error(self) -> JointCoderError:
        return self.kind(self.code, self.message, hint=self.hint)


def refusal_of(error: JointCoderError) -> Refusal:
    """An error as it travels."""
    return Refusal(type(error), error.code, error.message, error.hint)
