"""Coders that fail, kill or stop on request, by words in the note; and a run of them as a program of its own.

    python -m tests.batch.batch_coders INPUT RUN_DIR BOOK [--kill-at N] [--stop-at N] [--file-limit BYTES] [--workers N]

They are the real coder with the workflow ``lexical``: only what a test asks for is played. Openers can be pickled, as
workers are other processes.
"""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jointcoder.batch.executor import InProcess
from jointcoder.batch.inputs import Inputs
from jointcoder.batch.processes import Processes
from jointcoder.batch.routing import Policy
from jointcoder.batch.run import Options
from jointcoder.cli.batch_run import Night
from jointcoder.coder import Coder
from jointcoder.errors import InputError, ModelError
from jointcoder.records import CodedRecord, Encounter, Flag
from jointcoder.settings import Settings

SECRET = "Xanthippe Quellwasser"
"""A name that stands in every note here; it must stay out of failures and logs."""


def text_of(*problems: str, remark: str = "") -> str:
    lines = "\n".join(f"{place}. {problem}" for place, problem in enumerate(problems, start=1))
    return f"Patient {SECRET}.\nDischarge diagnosis:\n{lines}\n{remark}\n"


@dataclass(frozen=True)
class Opener:
    """Opens a :class:`Played` over a book; numbers count the encounters that this coder was given."""

    book: str
    cache: str
    kill_at: int = 0
    stop_at: int = 0
    file_limit: int = 0
    workflow: str = "lexical"

    def __call__(self) -> Played:
        coder = Played(Settings(cache=Path(self.cache)), code_book=self.book, workflow=self.workflow)
        coder.opener = self
        if self.file_limit:  # from now on no file grows beyond it
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (self.file_limit, self.file_limit))
        return coder


class Played(Coder):
    """Notes that say ``POISON`` end the process, ``UNFIT`` are refused, ``DOWN`` find no model server, ``BUG`` meet a
    fault of the program that quotes the note."""

    opener: Opener
    given: int = 0

    def code_many(
        self, encounters: Iterable[Encounter], *, progress: Any = None, batch: int = 1
    ) -> Iterator[CodedRecord]:
        group = list(encounters)
        for encounter in group:
            self._meet(encounter)
        for record, encounter in zip(super().code_many(group, batch=batch), group, strict=True):
            if "DOWN" in encounter.documents[0].text:
                record = record.model_copy(
                    update={"codes": (), "flags": (Flag(code="JC307", step="extract", message="x"),)}
                )
            yield record

    def _meet(self, encounter: Encounter) -> None:
        self.given += 1
        text = encounter.documents[0].text
        if "POISON" in text or self.given == self.opener.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.given == self.opener.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
        if "UNFIT" in text:
            raise InputError("JC108", f"unfit: {text}")
        if "SILENT" in text:
            raise ModelError("JC305", f"no answer to {text}")
        if "BUG" in text:
            raise RuntimeError(text)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("input", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("book")
    parser.add_argument("--kill-at", type=int, default=0)
    parser.add_argument("--stop-at", type=int, default=0)
    parser.add_argument("--file-limit", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--batch", type=int, default=4)
    given = parser.parse_args()
    opener = Opener(given.book, str(given.out.parent / "cache"), given.kill_at, given.stop_at, given.file_limit)
    executor = InProcess(opener) if given.workers == 1 else Processes(opener, given.workers)
    night = Night(Settings(), opener, given.out, Options(batch=given.batch))  # type: ignore[arg-type]
    night.go(executor, Inputs((given.input,)), policy=lambda *_: Policy())


if __name__ == "__main__":
    from jointcoder.cli.common import guarded

    guarded(main)
