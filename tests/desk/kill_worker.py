"""A service to be killed: ``python -m tests.desk.kill_worker STORE BOOK [HOLD]``.

It works until its input ends, and says a line for every encounter that it handed in. With ``HOLD`` it codes so many,
says ``held`` for every one that it takes up after them, and keeps those in hand.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.editions import Editions
from jointcoder.coder import Coder
from jointcoder.desk.service import Desk
from jointcoder.records import CodedRecord, Encounter
from jointcoder.settings import Settings
from jointcoder.store.engine import Store, open_store
from jointcoder.store.queue import Queue


def say(line: bytes) -> None:
    os.write(sys.stdout.fileno(), line)  # whole, from whichever thread


class Telling(Queue):
    """Says a line after every result; knows when so many were handed in."""

    def __init__(self, store: Store, hold: int) -> None:
        super().__init__(store)
        self.left, self.lock, self.held = hold, threading.Lock(), threading.Event()

    def finish(self, *given: Any, **named: Any) -> bool:
        done = super().finish(*given, **named)
        with self.lock:
            self.left -= 1
            if self.left == 0:
                self.held.set()
        say(b"coded\n")
        return done


class Holding(Coder):
    """Codes as the real one until the queue has what it waited for."""

    queue: Telling

    def code(self, encounter: Encounter, **options: Any) -> CodedRecord:
        if self.queue.held.is_set():
            say(b"held\n")
            threading.Event().wait()
        return super().code(encounter, **options)


def main(place: str, folder: str, hold: str = "-1") -> None:
    book = CodeBook.open(Path(folder))
    with TemporaryDirectory() as cache, open_store(place) as store:
        settings = Settings(cache=Path(cache), dense="off", workers=2)
        queue = Telling(store, int(hold))

        def make() -> Coder:
            coder = Holding(settings, code_book=book, workflow="lexical")
            coder.queue = queue
            return coder

        desk = Desk(store, editions=Editions([book]), make_coder=make, settings=settings)
        desk.workers.queue = queue
        with desk:
            sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
