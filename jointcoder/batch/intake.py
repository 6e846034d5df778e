"""What of an input is to be coded; everything else is settled on the way.

    for work in Intake(folder, options, tally, conditions).works(inputs, number=3): …

An encounter is left out where a result stands for its content under these conditions, where it failed before and is
not to be tried again, and where this pass met it already. What cannot be read is written down as a failure here. Memory
does not grow: what is known of an id stands in the folder's index.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from jointcoder.batch.folder import RunFolder, row_of
from jointcoder.batch.index import DONE, FAILED, Row
from jointcoder.batch.inputs import Inputs, Item, in_shard
from jointcoder.batch.progress import Listener, Tally, nobody
from jointcoder.batch.work import Work
from jointcoder.records import Encounter
from jointcoder.store.encounters import version_of

_SAID_EVERY = 1000  # records that were left out


@dataclass(frozen=True)
class Options:
    """``batch``: encounters that pass the stages together; ``limit``: the first records of the input only; ``shard``
    (i, n): those of this part; ``fail_on_error``: the share of failures from which the run stops."""

    batch: int = 8
    limit: int | None = None
    shard: tuple[int, int] | None = None
    retry_failed: bool = False
    new_conditions: bool = False
    fail_on_error: float | None = None


def no_interest(item: Item) -> None:
    """For runs that nobody follows record by record."""


def nowhere(row: Row, encounter: Encounter, file: str) -> None:
    """For runs without a worklist."""


class Intake:
    """See the module. ``stopped``: whether to give out nothing more; ``done_before``: told of every result that stands
    already, with its encounter and its file."""

    def __init__(
        self,
        folder: RunFolder,
        options: Options,
        tally: Tally,
        conditions: str,
        *,
        stopped: Callable[[], bool] = lambda: False,
        done_before: Callable[[Row, Encounter, str], None] = nowhere,
        listen: Listener = nobody,
    ) -> None:
        self.folder, self.options, self.tally, self.conditions = folder, options, tally, conditions
        self.stopped, self.done_before, self.listen = stopped, done_before, listen

    def works(self, inputs: Inputs, *, number: int, met: Callable[[Item], None] = no_interest) -> Iterator[Work]:
        """The works of one pass, which is the ``number``-th; ``met`` is told of every record that was read. Raises as
        :meth:`Inputs.items` does, RunError JC704."""
        taken, file = 0, ""
        for item in inputs.items():
            if not in_shard(item.id, self.options.shard):
                continue
            if self.options.limit is not None and taken >= self.options.limit:
                return
            if file and file != item.origin.file:
                self.folder.index.forget_unread(file, number)
            file = item.origin.file
            taken += 1
            self.tally.read += 1
            met(item)
            work = self._work(item, number)
            if work is not None:
                yield work
            elif self.tally.read % _SAID_EVERY == 0:
                self.listen(self.tally)
            if self.stopped():
                return
        if file:
            self.folder.index.forget_unread(file, number)

    def _work(self, item: Item, number: int) -> Work | None:
        """The work that an item is, if it is one."""
        encounter = item.incoming.encounter
        if encounter is None:
            error = item.incoming.error
            self._unread(item, error.code if error is not None else "JC999", number)
            return None
        version, index = version_of(encounter), self.folder.index
        row = index.get(encounter.id)
        if row is not None and row.passed == number:
            if row.seen == version:
                self.tally.repeated += 1
            else:  # two encounters under one id: which of them is meant nobody can tell
                self._unread(item, "JC123", number)
            return None
        index.meet(encounter.id, version=version, number=number, source=item.origin.file)
        attempts, replaces = 0, ""
        if row is not None and row.state:
            if (row.version, row.conditions) == (version, self.conditions):
                if row.state == DONE:
                    self.tally.already += 1
                    self.done_before(row, encounter, item.origin.file)
                    return None
                if not self.options.retry_failed:
                    self.tally.still += 1
                    return None
                attempts = row.attempts
            elif row.version != version:
                self.tally.changed += 1
                replaces = row.version
            else:
                self.tally.recoded += 1
        return Work(encounter, version, item.origin, item.incoming.flags, self.folder.next_seq(), attempts, replaces)

    def _unread(self, item: Item, code: str, number: int) -> None:
        """What could not be read: a failure under the name of its place."""
        key, index = item.origin.key, self.folder.index
        row = index.get(key)
        index.meet(key, version="", number=number, source=item.origin.file)
        if row is not None and row.state == FAILED and row.code == code and not self.options.retry_failed:
            self.tally.still += 1
            return
        attempts = row.attempts + 1 if row is not None else 1
        line: dict[str, Any] = {"id": item.id, "key": key, "source": item.origin.as_dict(), "step": "read"}
        line |= {"code": code, "attempts": attempts, "version": "", "conditions": "", "seq": self.folder.next_seq()}
        self.folder.append([failed_row(line)])
        self.tally.failed += 1


def failed_row(line: dict[str, Any], number: int = 0) -> tuple[Row, bytes]:
    """A failure as the folder takes it; ``number``: of the pass that met its encounter."""
    row = row_of(line, FAILED, -1)
    assert row is not None
    if number:
        row = replace(row, passed=number, seen=row.version)
    return row, json.dumps(line, ensure_ascii=False).encode()
