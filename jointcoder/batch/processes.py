"""Several worker processes on this machine, each with a coder of its own.

    with Processes(CoderSpec(settings), workers=4) as executor: …

They are spawned, not forked: engines do not survive a fork. Bytes travel over a pipe to each; a worker whose run was
killed ends by itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from jointcoder.batch.executor import Crew, GoneError, Group, GroupDone, Refusal, Worker, refusal_of
from jointcoder.batch.work import Hello, OpenCoder, Terms, code_group, hello_of
from jointcoder.errors import JointCoderError

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_GRACE_S = 5.0


@dataclass(eq=False, kw_only=True)
class _Process(Worker):
    process: BaseProcess
    connection: Connection


class Processes(Crew[_Process]):
    """See the module. ``open_coder`` is sent to the workers, so it must be one that pickle takes
    (:class:`jointcoder.batch.work.CoderSpec`)."""

    def __init__(self, open_coder: OpenCoder, workers: int) -> None:
        super().__init__(workers)
        self._open_coder = open_coder

    def close(self) -> None:
        for worker in self._crew:
            worker.connection.close()  # a worker ends when nobody is there to talk to
        for worker in self._crew:
            worker.process.join(_GRACE_S if worker.hello is not None and worker.group is None else 0)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._crew, self._hello = [], None

    # ----------------------------------------------------------------------------------------------------- private

    def _start(self) -> _Process:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._open_coder), daemon=True, name="jointcoder-batch")
        with _threads(max(1, (os.cpu_count() or 1) // self.workers)):
            process.start()
        theirs.close()
        return _Process(process=process, connection=ours)

    def _give(self, worker: _Process, group: Group, terms: Terms) -> None:
        try:
            worker.connection.send((group, terms))
        except OSError:
            raise _gone(worker) from None

    def _ready(self) -> list[_Process]:
        by_handle: dict[Any, _Process] = {}
        for worker in self._crew:
            by_handle[worker.connection] = by_handle[worker.process.sentinel] = worker
        return list(dict.fromkeys(by_handle[handle] for handle in wait(list(by_handle))))

    def _said(self, worker: _Process) -> Hello | Refusal | GroupDone:
        try:
            said: Hello | Refusal | GroupDone = worker.connection.recv()
        except (EOFError, OSError):
            raise _gone(worker) from None
        return said

    def _end(self, worker: _Process) -> None:
        worker.connection.close()
        if worker.process.is_alive():
            worker.process.kill()


def _gone(worker: _Process) -> GoneError:
    worker.process.join(_GRACE_S)
    return GoneError(f"exit code {worker.process.exitcode}")


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Processes that are started here share out the cores: libraries that take all of them, each, wait for each other
    most of the time. What the environment says already stays."""
    new = [name for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS") if name not in os.environ]
    os.environ.update(dict.fromkeys(new, str(number)))
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]


def _serve(connection: Connection, open_coder: OpenCoder) -> None:
    """The life of a worker. Signals are the run's business: it drains, and closes the connection."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        coder = open_coder()
    except JointCoderError as error:
        connection.send(refusal_of(error))
        return
    with coder, suppress(EOFError, OSError):  # nobody is there to talk to: the run has ended
        connection.send(hello_of(coder))
        while True:
            group, terms = connection.recv()
            connection.send(GroupDone(group.number, code_group(coder, group.works, terms)))


def _end_with_parent() -> None:
    """A worker whose run was killed must not go on coding for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
