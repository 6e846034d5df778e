"""What a first request would wait for, done when the service starts: phrases, templates, static files, the indexes of
the code book, the rules; then the page of an invented stay, once in each language, which reads in all that one needs.

    warm = Warm(); warm.start(app, desk, books)      # beside the requests
    warm.done                                        # /health/ready waits for it
    warm.stop()

Nothing is stored. What cannot be warmed is left to the first request, which says what is wrong with it.
"""

from __future__ import annotations

import datetime as dt
import gc
import logging
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import TYPE_CHECKING

from jointcoder.desk.review import begin
from jointcoder.errors import JointCoderError
from jointcoder.records import AssignedCode, CodedRecord, Document, Encounter, Kind, Role, Span, System, Versions
from jointcoder.server.pages import i18n
from jointcoder.store.lines import Line, Status

if TYPE_CHECKING:
    from fastapi import FastAPI

    from jointcoder.desk.service import Desk
    from jointcoder.server.books import Books

log = logging.getLogger(__name__)

CODES = 5  # of each system, in the invented stay
WAIT_S = 60.0


class Warm:
    """See the module."""

    def __init__(self) -> None:
        self._done, self._stopped = Event(), Event()
        self._thread: Thread | None = None

    @property
    def done(self) -> bool:
        """Whether all is read in."""
        return self._done.is_set()

    def start(self, app: FastAPI, desk: Desk, books: Books) -> None:
        self._thread = Thread(target=self._work, args=(app, desk, books), name="warm", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave the rest, and wait for what is being read in."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(WAIT_S)
        gc.unfreeze()

    def _work(self, app: FastAPI, desk: Desk, books: Books) -> None:
        for step in _steps(app, desk, books):
            if self._stopped.is_set():
                return
            try:
                step()
            except JointCoderError as error:
                log.warning("not all could be read in before the first request: %s", error.code)
            except Exception as error:
                log.warning("not all could be read in before the first request: %s", type(error).__name__)
                log.debug("not all could be read in before the first request", exc_info=True)
        self._done.set()


def _steps(app: FastAPI, desk: Desk, books: Books) -> Iterator[Callable[[], object]]:
    from jointcoder.server.pages.shell import environment, folder, static

    for language in i18n.LANGUAGES:
        yield lambda language=language: i18n.words(language)  # type: ignore[misc]  # bound now, not when it is called
    for name in environment().list_templates():
        yield lambda name=name: environment().get_template(name)  # type: ignore[misc]
    for file in sorted(folder("static").iterdir()):
        yield lambda file=file: static(file.name)  # type: ignore[misc]
    yield books.warm
    yield desk.worklist
    yield desk.counts
    for language in i18n.LANGUAGES:
        yield lambda language=language: rehearse(app, desk, language)  # type: ignore[misc]
    yield settle


def settle() -> None:
    """What was read in stays as long as the service does: the collector of garbage leaves it alone from now on. To look
    at all of it again would stop every thread for a tenth of a second, in the middle of a search or not."""
    gc.collect()
    gc.freeze()


def rehearse(app: FastAPI, desk: Desk, language: str) -> str:
    """The page of an invented stay, whose text is names of the main code book, for a reader of this language."""
    from fastapi import Request

    from jointcoder.server.pages.encounter_shown import Shown
    from jointcoder.server.pages.shell import Viewer, render

    encounter, record = _stay(desk, language)
    review = begin(record, desk.ground(encounter, record))
    reader = Viewer("", "", frozenset({"coder"}), False, language, "")
    shown = Shown(desk, reader, "", _line(encounter), encounter, review)
    scope = {"type": "http", "app": app, "method": "GET", "path": shown.url, "query_string": b"", "headers": []}
    request = Request({**scope, "scheme": "http", "server": ("127.0.0.1", 80)})
    page = render(request, reader, "encounter/page.html", **shown.context(docs=shown.documents()))
    return bytes(page.body).decode()


def _stay(desk: Desk, language: str) -> tuple[Encounter, CodedRecord]:
    book = desk.editions.main
    named: list[tuple[System, str, str]] = []
    for system in book.info.systems:
        found = book.rows("SELECT code FROM node WHERE system = ? AND billable ORDER BY id LIMIT ?", system, CODES)
        named += [(system, code, book.name(system, code, language) or code) for (code,) in found]
    text = "\n".join(name for *_, name in named) or " "
    codes, at, ranks = [], 0, dict.fromkeys(Kind, 0)
    for system, code, name in named:
        ranks[system.kind] += 1
        rank = ranks[system.kind]
        role = Role.PRINCIPAL if rank == 1 else Role.SECONDARY
        where = (Span(document=0, start=at, end=at + len(name), quote=name),)
        codes.append(
            AssignedCode(system=system, code=code, name=name, role=role, rank=rank, confidence=0.5, evidence=where)
        )
        at += len(name) + 1
    encounter = Encounter(id="rehearsal", documents=(Document(id="0", text=text),), language=language)
    versions = Versions(program="")
    return encounter, CodedRecord(encounter=encounter.id, language=language, codes=tuple(codes), versions=versions)


def _line(encounter: Encounter) -> Line:
    now = dt.datetime.now(dt.UTC)
    return Line(
        id=encounter.id,
        version="",
        status=Status.TO_REVIEW,
        priority=0,
        source="",
        language=encounter.language or "",
        received=now,
        updated=now,
        discharged=None,
        characters=encounter.characters,
        band="low",
        codes=0,
        findings=0,
        undecided=0,
        holder="",
        held_until=None,
        seq=0,
        error_code="",
        versions=1,
        job="",
    )
