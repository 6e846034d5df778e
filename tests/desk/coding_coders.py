"""Coders for tests of the workers: the real one without a model, over the small book, failing or waiting on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.editions import Editions
from jointcoder.coder import Coder
from jointcoder.desk.service import Desk
from jointcoder.records import CodedRecord, Encounter, Flag
from jointcoder.settings import Settings
from jointcoder.store.engine import Store

NOTE = "Discharge diagnosis:\n1. Congestive heart failure\n2. Type 2 diabetes\n"


def stay(number: int, text: str = NOTE) -> Encounter:
    return Encounter.from_text(f"{text}Stay {number}.", id=f"E{number:03}", language="en")


class Trained(Coder):
    """Codes as the real one; ``before`` is called with each encounter first and may raise, wait, or give a flag that
    the record then bears."""

    before: Callable[[Encounter], Flag | None] = staticmethod(lambda encounter: None)

    def code(self, encounter: Encounter, **options: Any) -> CodedRecord:
        flag = self.before(encounter)
        if flag is not None:
            return CodedRecord(
                encounter=encounter.id, language="en", flags=(flag,), versions=self.versions_for(encounter)
            )
        return super().code(encounter, **options)


class Makers:
    """Makes desks whose coders behave as the test says; stops them at its end."""

    def __init__(self, store: Store, book: CodeBook, folder: Path) -> None:
        self.store, self.book, self.folder = store, book, folder
        self.before: Callable[[Encounter], Flag | None] = lambda encounter: None
        self.made = 0
        self.coded: list[str] = []
        self.desks: list[Desk] = []

    def coder(self) -> Coder:
        self.made += 1
        coder = Trained(Settings(cache=self.folder, dense="off"), code_book=self.book, workflow="lexical")

        def before(encounter: Encounter) -> Flag | None:
            self.coded.append(encounter.id)
            return self.before(encounter)

        coder.before = before
        return coder

    def desk(self, *, make: Callable[[], Coder] | None = None, **settings: Any) -> Desk:
        """A desk that was not started."""
        known = Settings(cache=self.folder, **settings)
        desk = Desk(self.store, editions=Editions([self.book]), make_coder=make or self.coder, settings=known)
        self.desks.append(desk)
        return desk

    def started(self, **settings: Any) -> Desk:
        desk = self.desk(**settings)
        desk.start()
        return desk


def ended(desk: Desk, *encounters: Encounter) -> None:
    """Wait until these were coded, or could not be."""
    for encounter in encounters:
        version = desk.line(encounter.id).version
        assert any(event is not None and event.last for event in _within(desk, version))


def _within(desk: Desk, version: str) -> Any:
    for event in desk.stages.subscribe(version, timeout_s=60):
        if event is None:
            raise AssertionError("nothing was coded within a minute")
        yield event


class Gate:
    """Holds whoever comes until it is opened, and tells that somebody came."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, encounter: Encounter) -> None:
        self.reached.set()
        assert self.opened.wait(60)
