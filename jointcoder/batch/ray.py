"""Workers on the machines of a Ray cluster, for the same run with the same files.

    with OnRay(spec, workers=8) as executor: …     # RAY_ADDRESS names the cluster; else Ray starts on this machine

Each worker is an actor with a coder of its own, spread over the nodes; the models, code books and settings must lie at
the same paths on all of them. The run itself stays in the process that started it: it reads, and it alone writes, so a
node that dies costs the groups it had, which are coded again elsewhere. Encounters travel over the cluster's network:
keep it on the premises. Needs the extra ``ray``.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Any

from jointcoder.batch.executor import Crew, GoneError, Group, GroupDone, Refusal, Worker, refusal_of
from jointcoder.batch.work import Hello, OpenCoder, Terms, code_group, hello_of
from jointcoder.errors import JointCoderError, RunError, UsageError

ADDRESS = "RAY_ADDRESS"
_OWN_CLUSTER = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to the makers of Ray
    "RAY_worker_niceness": "0",  # workers have the priority of their run; Ray would put them behind all others
}


class _Actor:
    """What lives on a node: a coder, opened when it is first greeted."""

    def __init__(self, open_coder: OpenCoder) -> None:
        self._open_coder = open_coder
        self._coder: Any = None

    def hello(self) -> Hello | Refusal:
        try:
            self._coder = self._open_coder()
        except JointCoderError as error:
            return refusal_of(error)
        return hello_of(self._coder)

    def code(self, group: Group, terms: Terms) -> GroupDone:
        return GroupDone(group.number, code_group(self._coder, group.works, terms))


@dataclass(eq=False, kw_only=True)
class _OnNode(Worker):
    actor: Any


class OnRay(Crew[_OnNode]):
    """See the module. ``threads``: cores that each worker takes on its node. Raises UsageError JC002 (Ray is not
    installed), RunError JC711 (the cluster cannot be reached)."""

    memory_hint = "is there memory for so many workers on a node?"

    def __init__(self, open_coder: OpenCoder, workers: int, *, threads: int = 1, address: str | None = None) -> None:
        super().__init__(workers)
        self._open_coder, self._threads = open_coder, threads
        self._address = address or os.environ.get(ADDRESS)
        self._pending: dict[Any, _OnNode] = {}  # an answer that is awaited → who gives it
        self._answers: dict[_OnNode, Any] = {}
        self._ray: Any = None
        self._own = False

    def close(self) -> None:
        if self._ray is None:
            return
        for worker in self._crew:
            self._ray.kill(worker.actor)
        self._crew, self._pending, self._answers, self._hello = [], {}, {}, None
        if self._own:
            self._ray.shutdown()
        self._ray = None

    # ----------------------------------------------------------------------------------------------------- private

    def _connect(self) -> None:
        try:
            import ray
        except ImportError:
            hint = "pip install 'jointcoder[ray]'"
            raise UsageError("JC002", "--engine ray needs the package ray", hint=hint) from None
        if not ray.is_initialized():
            for name, value in _OWN_CLUSTER.items():
                os.environ.setdefault(name, value)
            try:
                cores = max(os.cpu_count() or 1, self.workers * self._threads)  # with fewer some would wait for ever
                own = {} if self._address else {"include_dashboard": False, "num_cpus": cores}
                ray.init(address=self._address, log_to_driver=False, logging_level=logging.ERROR, **own)
            except (ConnectionError, ValueError, RuntimeError, OSError) as error:
                raise RunError(
                    "JC711", f"Ray cannot be reached ({type(error).__name__})", hint=f"see {ADDRESS}"
                ) from None
            self._own = True
        self._ray = ray

    def _start(self) -> _OnNode:
        options = {"num_cpus": self._threads, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        worker = _OnNode(actor=self._ray.remote(_Actor).options(**options).remote(self._open_coder))
        self._pending[worker.actor.hello.remote()] = worker
        return worker

    def _give(self, worker: _OnNode, group: Group, terms: Terms) -> None:
        self._pending[worker.actor.code.remote(group, terms)] = worker

    def _ready(self) -> list[_OnNode]:
        ready, _ = self._ray.wait(list(self._pending), num_returns=1)
        self._answers = {self._pending.pop(answer): answer for answer in ready}
        return list(self._answers)

    def _said(self, worker: _OnNode) -> Hello | Refusal | GroupDone:
        try:
            said: Hello | Refusal | GroupDone = self._ray.get(self._answers.pop(worker))
        except self._ray.exceptions.RayError as error:
            raise GoneError(type(error).__name__) from None
        return said

    def _end(self, worker: _OnNode) -> None:
        self._ray.kill(worker.actor)
