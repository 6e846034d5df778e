"""The workers: threads that take encounters from the queue, code them, and hand in what came of it.

    workers = Workers(queue, make_coder, standing=…)
    workers.start()                        # takes up what a killed process left behind, then what waits
    record = workers.code_now(encounter)   # past the queue and past the store, for who waits for the answer
    workers.stop()                         # nothing new is taken; what is being coded ends

Each thread owns one coder, with a model loaded once: a coder is not shared. Where none can be opened (a model is
missing) nothing is taken and nothing lost; :attr:`Workers.trouble` says why, and it is tried again. A record that
cannot be coded is a failed item with the coded reason. A model that could not be reached is no result either: an empty
record would stand for the encounter from then on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TimedOut
from typing import Any

from jointcoder.coder import Coder
from jointcoder.desk.process import is_gone, worker_name
from jointcoder.desk.stages import Stages
from jointcoder.errors import JointCoderError, UsageError
from jointcoder.records import CodedRecord, Encounter, Versions
from jointcoder.store.queue import Claimed, Queue
from jointcoder.store.reviews import Standing
from jointcoder.workflow.run import Observer
from jointcoder.workflow.spec import Workflow

log = logging.getLogger(__name__)

CoderFactory = Callable[[], Coder]
UNANSWERED = frozenset({"JC301", "JC305", "JC307", "JC308", "JC309", "JC310", "JC311"})
"""Flags that say that the model was not there, not that the record is hard."""
EXPRESS = 32  # callers of code_now who may wait
POLL_S = 2.0  # for what other processes queue
AGAIN_S = 15.0  # until a coder that could not be opened is tried again


class Workers:
    """``count`` threads over one queue. ``standing``: what the worklist shows of a new record; ``approve``: raises
    where a workflow may not be used. Safe to share between threads."""

    def __init__(
        self,
        queue: Queue,
        make_coder: CoderFactory,
        *,
        standing: Callable[[CodedRecord, Encounter], Standing],
        stages: Stages | None = None,
        approve: Callable[[Workflow], None] = lambda workflow: None,
        count: int = 1,
    ) -> None:
        self.queue, self.make_coder, self.standing, self.approve = queue, make_coder, standing, approve
        self.stages = stages or Stages()
        self.count = count
        self._news = threading.Condition()
        self._express: deque[tuple[Encounter, Future[CodedRecord]]] = deque()
        self._running = False
        self._threads: list[threading.Thread] = []
        self._troubles: dict[str, str] = {}
        self._open: set[str] = set()
        self.versions: Versions | None = None
        """What the coder that was opened last makes records with; None before."""
        self._busy: set[str] = set()

    # --------------------------------------------------------------------------------------------------- life and state

    def start(self) -> None:
        """Give back what dead workers held, then work. Raises AssetError JC430 where the store cannot be used."""
        with self._news:
            if self._running:
                return
            self._running = True
            self._troubles.clear()
        if found := self.queue.requeue(gone=is_gone):
            log.info("%d encounters were left behind by workers that ended; they are coded again", found)
        names = [worker_name() for _ in range(self.count)]
        self._threads = [threading.Thread(target=self._work, args=(name,), name=name, daemon=True) for name in names]
        self._threads.append(threading.Thread(target=self._keep, args=(names,), name="leases", daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self, *, timeout_s: float = 30.0) -> bool:
        """Take nothing new and wait for what is being coded; False where that took longer. It is then lost with this
        process, and coded again by the next."""
        with self._news:
            self._running = False
            waiting = list(self._express)
            self._express.clear()
            self._news.notify_all()
        for _, future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(_stopped())
        for thread in self._threads:
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in self._threads)

    def wake(self) -> None:
        """Something was queued."""
        with self._news:
            self._news.notify_all()

    @property
    def running(self) -> bool:
        return self._running

    @property
    def busy(self) -> int:
        """How many encounters are being coded."""
        return len(self._busy)

    @property
    def trouble(self) -> str:
        """The code of what keeps the workers from working, "" where at least one can, or they still open."""
        with self._news:
            return "" if self._open else next(iter(self._troubles.values()), "")

    @property
    def ready(self) -> bool:
        """Whether a worker has its coder open."""
        return bool(self._open)

    def code_now(self, encounter: Encounter, *, timeout_s: float | None = None) -> CodedRecord:
        """Code an encounter before what waits in the queue; nothing is stored. Raises UsageError JC467 (too many wait,
        or nobody works), JC468 (not within ``timeout_s``), and the errors of coding."""
        future: Future[CodedRecord] = Future()
        with self._news:
            if not self._running:
                raise _stopped()
            if self._troubles and not self._open:
                found = next(iter(self._troubles.values()))
                raise UsageError("JC467", f"nobody can code at present ({found})", hint="see the log of the service")
            if len(self._express) >= EXPRESS:
                raise UsageError("JC467", f"{EXPRESS} others wait for a record already", hint="come again later")
            self._express.append((encounter, future))
            self._news.notify_all()
        try:
            return future.result(timeout_s)
        except TimedOut:
            if not future.cancel() and future.done():
                return future.result()
            message = f"the encounter was not coded within {timeout_s:g} seconds"
            raise UsageError("JC468", message, hint="hand it in as a job") from None

    # -------------------------------------------------------------------------------------------------------- working

    def _work(self, name: str) -> None:
        coder: Coder | None = None
        try:
            while self._running:
                try:
                    coder = coder or self._opened(name)
                    self._next(name, coder)
                except JointCoderError as error:
                    self._stumble(name, error.code)
                except Exception as error:
                    log.error("a worker stumbled: %s", type(error).__name__)
                    log.debug("a worker stumbled", exc_info=True)
                    self._stumble(name, "JC999")
        finally:
            with self._news:
                self._open.discard(name)
            if coder is not None:
                coder.close()

    def _opened(self, name: str) -> Coder:
        coder = self.make_coder()
        try:
            self.versions = coder.versions
        except BaseException:
            coder.close()
            raise
        with self._news:
            self._open.add(name)
            self._troubles.pop(name, None)
        return coder

    def _stumble(self, name: str, code: str) -> None:
        """Remember why, and wait: the store or a model may come back."""
        with self._news:
            self._troubles[name] = code
            if self._running:
                self._news.wait(AGAIN_S)

    def _next(self, name: str, coder: Coder) -> None:
        with self._news:
            urgent = self._express.popleft() if self._express else None
        if urgent is not None:
            self._answer(coder, *urgent)
            return
        claimed = self.queue.claim(name)
        self._troubles.pop(name, None)
        if claimed is not None:
            self._busy.add(name)
            try:
                self._code(coder, claimed)
            finally:
                self._busy.discard(name)
            return
        with self._news:
            if self._running and not self._express:
                self._news.wait(POLL_S)

    def _answer(self, coder: Coder, encounter: Encounter, future: Future[CodedRecord]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            self.approve(coder.workflow)
            future.set_result(coder.code(encounter))
        except BaseException as error:
            future.set_exception(error)

    def _code(self, coder: Coder, claimed: Claimed) -> None:
        """One item from taken to ended."""
        code = ""
        self.stages.begin(claimed.version, encounter=claimed.encounter, total=len(coder.plan.steps))
        try:
            code = self._coded(coder, claimed)
        except JointCoderError as error:
            code = error.code
            self.queue.fail(claimed, error.code, error.message)
        except Exception as error:
            # The text of a foreign exception may quote the note: only its type is kept.
            log.error("an encounter could not be coded: %s", type(error).__name__)
            log.debug("an encounter could not be coded", exc_info=True)
            code = "JC999"
            self.queue.fail(claimed, code, f"unexpected failure ({type(error).__name__})")
        finally:
            self.stages.end(claimed.version, error_code=code)

    def _coded(self, coder: Coder, claimed: Claimed) -> str:
        """Code and hand in; the code of why it could not be, if so."""
        self.approve(coder.workflow)
        encounter = self.queue.encounter(claimed)
        conditions = conditions_of(coder, encounter)
        record = self.queue.known(claimed.version, conditions)
        if record is None:
            record = coder.code(encounter, observer=self._observer(claimed.version))
            missing = next((flag for flag in record.flags if flag.code in UNANSWERED), None)
            if missing is not None:
                self.queue.fail(claimed, missing.code, missing.message)
                return missing.code
        standing = self.standing(record, encounter)
        if not self.queue.finish(claimed, record, conditions=conditions, standing=standing):
            log.warning("an encounter was given to another worker while it was being coded; that one's result counts")
        return ""

    def _observer(self, version: str) -> Observer:
        return lambda state, trace: self.stages.stage(version, state, trace)

    # ---------------------------------------------------------------------------------------------------------- leases

    def _keep(self, names: list[str]) -> None:
        """Keep the leases of busy workers, and take up what others let run out."""
        pause = self.queue.lease.total_seconds() / 4
        while True:
            with self._news:
                # Those who still finish their last encounter keep it.
                if not self._running and not self._busy:
                    return
                self._news.wait(pause if self._running else 0.2)
            try:
                for name in names:
                    if name in self._busy:
                        self.queue.beat(name)
                if self._running and self.queue.requeue(gone=is_gone):
                    self.wake()
            except JointCoderError as error:
                log.error("leases could not be kept: %s", error.code)


def conditions_of(coder: Coder, encounter: Encounter) -> str:
    """Names everything that decides what a coder makes of an encounter: program, workflow, model, adapters, pack, code
    book and edition by their hashes, and the code systems. 64 hexadecimal digits."""
    said: dict[str, Any] = coder.versions_for(encounter).model_dump(mode="json")
    said["systems"] = [system.value for system in coder.systems]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _stopped() -> UsageError:
    return UsageError("JC467", "nobody codes at present", hint="the service is starting or stopping; come again later")
