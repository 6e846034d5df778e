"""The loop: read, leave out what is done, code the rest in groups, write, until the input ends or somebody says stop.

    with Run(folder, executor, Options(batch=8)) as run:
        tally = run.process(Inputs((Path("export.jsonl"),)))

The same inputs again go on where the run stopped; when all is done they change nothing. What an encounter is known by
is its id; a result stands for its content under the run's conditions, and is made anew when one of them changed.
Everything is written by this one thread, as results come; nothing grows with the number of encounters but files.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from jointcoder import __version__
from jointcoder.batch.conditions import Conditions
from jointcoder.batch.executor import Executor, Group, GroupDone
from jointcoder.batch.folder import RunFolder
from jointcoder.batch.index import DONE, FAILED, Row
from jointcoder.batch.inputs import Inputs, Item
from jointcoder.batch.intake import Intake, failed_row, no_interest
from jointcoder.batch.intake import Options as Options  # part of this module's API
from jointcoder.batch.progress import Listener, Tally, nobody
from jointcoder.batch.routing import Policy, Routed, route
from jointcoder.batch.work import Done, Failure, Hello, Terms, Work, failure_line
from jointcoder.batch.worklist import Worklist
from jointcoder.errors import JointCoderError, RunError, UsageError
from jointcoder.records import CodedRecord, Encounter

log = logging.getLogger(__name__)

LOSSES = 3  # workers that an encounter may take along before it counts as what kills them
FEWEST = 50  # records, before their share of failures says anything
SITTINGS = 100  # that a manifest remembers
SAY_S = 60.0  # between two manifests of a sitting under way


class Run:
    """A sitting of a run: opened once, for one input or, while a folder is watched, for many. ``policy``: from what the
    coder says of itself to the way that records go; ``worklist``: where they are put besides."""

    def __init__(
        self,
        folder: RunFolder,
        executor: Executor,
        options: Options | None = None,
        *,
        policy: Callable[[Hello], Policy] = lambda hello: Policy(),
        worklist: Worklist | None = None,
        listen: Listener = nobody,
    ) -> None:
        self.folder, self.executor, self.options = folder, executor, options or Options()
        self.worklist, self.listen = worklist, listen
        self.tally = Tally()
        self._policy = policy
        self._stop = False
        self._started = dt.datetime.now(dt.UTC)
        self._sittings: list[dict[str, Any]] = list(folder.manifest.get("sittings", []))
        self._again: deque[Group] = deque()
        self._flight: dict[int, Group] = {}
        self._losses: dict[str, int] = {}
        self._groups = 0
        self._over = self._too_many = self._rerouted = False
        self._said = time.monotonic()

    def open(self) -> Self:
        """Open the coders and take up the run. Raises UsageError JC701 where it began under other conditions, RunError
        JC700 for another shard, and as the executor does."""
        shard = list(self.options.shard) if self.options.shard else None
        known = self.folder.manifest
        if known and known.get("shard") != shard:
            hint = "each shard has a folder of its own; `jointcoder batch merge` puts them together"
            raise RunError("JC700", f"{self.folder.path} holds another shard", hint=hint)
        hello = self.executor.open()
        self.conditions = hello.conditions
        if known:
            _require_same(known["conditions"], self.conditions, self.options.new_conditions)
        self.policy = self._policy(hello)
        self.terms = Terms(self.conditions.digest, self.policy)
        if known and known.get("routing") != self.policy.as_dict():
            self._reroute()
        self._number = self.folder.index.number("passes")
        self._intake = Intake(
            self.folder,
            self.options,
            self.tally,
            self.conditions.digest,
            stopped=lambda: self._stop,
            done_before=self._store_later,
            listen=self.listen,
        )
        if not known:
            self._write_manifest("running")
        return self

    def process(self, inputs: Inputs, *, met: Callable[[Item], None] = no_interest) -> Tally:
        """One pass over an input; ``met`` is told of every record that was read. Raises InputError JC107, UsageError
        JC001 or JC002 for the input as a whole, RunError JC704, JC707; what was written until then stays."""
        self._over = self._too_many = False
        self._number += 1
        self.folder.index.set("passes", self._number)
        works = self._intake.works(inputs, number=self._number, met=met)
        began = time.monotonic()
        before = self.tally.seconds
        state = "failed"
        try:
            for done in self.executor.map(lambda: self._next_group(works), self.terms):
                self._receive(done)
                self.tally.seconds = before + time.monotonic() - began
                self.listen(self.tally)
                self._too_many = self._too_many or (self.tally.tried >= FEWEST and self._share() > self._allowed)
                if time.monotonic() - self._said > SAY_S:
                    self._write_manifest("running")
            self.folder.checkpoint()
            self.folder.tidy()
            if self._too_many or self._share() > self._allowed:
                raise self._failing()
            finished = self._over and not self._stop
            state = "finished" if finished and self.options.limit is None else "drained"
        finally:
            self._end(state)
        return self.tally

    def drain(self) -> None:
        """Give out nothing more; :meth:`process` ends when what is being coded is done. Safe to call from a signal."""
        self._stop = True

    @property
    def changed(self) -> bool:
        """Whether this sitting wrote anything."""
        return bool(self._groups or self.tally.failed or self._rerouted)

    @property
    def drained(self) -> bool:
        """Whether somebody said stop."""
        return self._stop

    def close(self) -> None:
        """End the workers and give the folder back."""
        self.executor.close()
        self.folder.close()

    def __enter__(self) -> Self:
        try:
            return self.open()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --------------------------------------------------------------------------------------------------------- reading

    def _next_group(self, works: Iterator[Work]) -> Group | None:
        """The next group to be coded; those that a worker took along come first, each encounter alone."""
        if self._again and not (self._stop or self._too_many):
            group = self._again.popleft()
        else:
            taken: list[Work] = []
            while len(taken) < self.options.batch and not (self._stop or self._over or self._too_many):
                work = next(works, None)
                if work is None:
                    self._over = True
                else:
                    taken.append(work)
            if not taken:
                return None
            if not self._groups:
                self._write_manifest("running")
            self._groups += 1
            group = Group(self._groups, tuple(taken))
        self._flight[group.number] = group
        return group

    # --------------------------------------------------------------------------------------------------------- writing

    def _receive(self, result: GroupDone) -> None:
        """Write what became of a group."""
        group = self._flight.pop(result.number, None)
        if group is None:
            return
        if result.lost:
            self.tally.lost += 1
            self._lose(group)
            return
        rows = [self._line(work, done) for work, done in zip(group.works, result.done, strict=True)]
        self.folder.append(rows)
        for work, done in zip(group.works, result.done, strict=True):
            self._losses.pop(done.id, None)
            if done.failure is None:
                self.tally.done += 1
                self.tally.routes[done.route] = self.tally.routes.get(done.route, 0) + 1
            else:
                self.tally.failed += 1
            self._store(work, done)

    def _line(self, work: Work, done: Done) -> tuple[Row, bytes]:
        if done.failure is not None:
            return failed_row(failure_line(work, done.failure, self.terms), self._number)
        return (
            Row(
                id=work.encounter.id,
                state=DONE,
                version=work.version,
                conditions=self.terms.conditions,
                seq=work.seq,
                attempts=work.attempts + 1,
                passed=self._number,
                seen=work.version,
                source=work.origin.file,
                route=done.route,
            ),
            done.line,
        )

    def _lose(self, group: Group) -> None:
        """A worker died over a group: each of its encounters again, alone; one that did it too often is a failure."""
        given_up = []
        for work in group.works:
            alone = len(group.works) == 1
            losses = self._losses[work.encounter.id] = self._losses.get(work.encounter.id, 0) + alone
            if losses >= LOSSES:
                given_up.append(failed_row(failure_line(work, Failure("JC703"), self.terms), self._number))
                self.tally.failed += 1
                del self._losses[work.encounter.id]
            else:
                self._groups += 1
                self._again.append(Group(self._groups, (work,)))
        self.folder.append(given_up)

    def _share(self) -> float:
        """Of failures among what was tried."""
        return self.tally.failed / self.tally.tried if self.tally.tried else 0.0

    @property
    def _allowed(self) -> float:
        return 1.0 if self.options.fail_on_error is None else self.options.fail_on_error

    def _failing(self) -> RunError:
        message = f"{self.tally.failed} of {self.tally.tried} records failed, a share of {self._allowed:g} may"
        hint = "failed.jsonl says where and why; --retry-failed tries them again"
        return RunError("JC707", message, hint=hint)

    # ----------------------------------------------------------------------------------------------------------- store

    def _store(self, work: Work, done: Done) -> None:
        if self.worklist is None:
            return
        if done.failure is not None:
            self._told(self.worklist.fail(work.encounter, done.failure.code, source=work.origin.file))
            return
        record = CodedRecord.model_validate_json(done.line)
        if self._told(self.worklist.put(work.encounter, record, route(record, self.policy), source=work.origin.file)):
            self.folder.index.mark_stored(work.encounter.id)

    def _store_later(self, row: Row, encounter: Encounter, file: str) -> None:
        """A result of an earlier sitting that the store has not got yet."""
        if self.worklist is None or row.stored:
            return
        record = CodedRecord.model_validate_json(self.folder.line_at(row))
        if self._told(self.worklist.put(encounter, record, route(record, self.policy), source=file)):
            self.folder.index.mark_stored(row.id)

    def _told(self, taken: bool) -> bool:
        self.tally.stored += taken
        self.tally.unstored += not taken
        return taken

    # -------------------------------------------------------------------------------------------------------- manifest

    def _reroute(self) -> None:
        """Another policy than when the results were written: their routes are said anew."""

        def changed(values: dict[str, Any]) -> dict[str, Any]:
            routed: Routed = route(CodedRecord.model_validate(values), self.policy)
            values["trace"][-1]["notes"] |= {"route": routed.route.value, "why": list(routed.why)}
            return values

        self.folder.rewrite(changed)
        self._rerouted = True

    def _end(self, state: str) -> None:
        """Say how it ended, as far as the disk allows: what made it end is more important."""
        try:
            if state == "failed":
                self.folder.checkpoint()
            if self.changed or self.folder.manifest.get("state") != state:
                self._write_manifest(state)  # a finished run is left as it is
        except JointCoderError as error:
            if state != "failed":
                raise
            log.warning("%s the manifest could not be written", error.code)

    def _write_manifest(self, state: str) -> None:
        self._said = time.monotonic()
        counts = self.folder.index.counts()
        now = dt.datetime.now(dt.UTC)
        sitting = {
            "began": self._started.isoformat(timespec="seconds"),
            "until": now.isoformat(timespec="seconds"),
            "state": state,
            "workers": self.executor.workers,
            "batch": self.options.batch,
            "conditions": self.conditions.digest,
            "program": __version__,
            **self.tally.as_dict(),
        }
        self.folder.write_manifest(
            {
                "program": __version__,
                "state": state,
                "updated": now.isoformat(timespec="seconds"),
                "conditions": self.conditions.as_dict(),
                "routing": self.policy.as_dict(),
                "calibration": self.policy.calibration,
                "shard": list(self.options.shard) if self.options.shard else None,
                "results": counts[DONE],
                "failed": counts[FAILED],
                "sittings": [*self._sittings, sitting][-SITTINGS:],
            }
        )


def _require_same(begun: Mapping[str, Any], now: Conditions, allowed: bool) -> None:
    """``begun``: as the manifest says. What a manifest of an earlier version does not say is no difference: its records
    are coded anew, as their conditions bear another digest."""
    unsaid = Conditions.unsaid_in(begun)
    differs = [name for name in now.differs_from(Conditions.from_dict(begun)) if name not in unsaid]
    if differs and not allowed:
        hint = "with --new-conditions its records are coded anew, as they come; or name another folder"
        raise UsageError("JC701", f"the run began under other conditions: {', '.join(differs)}", hint=hint)
    if unsaid and begun.get("digest") != now.digest:
        log.warning("JC725 the run was begun by an earlier version, which did not note: %s", ", ".join(unsaid))
