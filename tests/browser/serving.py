"""The real application on a free port of this machine, for tests in a browser: real store, real accounts, real HTTP.

What a coder would have found is written by hand (``stays.py``); all behind it, queue, review, audit, is the program's.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.editions import Editions
from jointcoder.desk.service import Desk
from jointcoder.server.app import create_app
from jointcoder.settings import Settings
from jointcoder.store.accounts import Accounts
from jointcoder.store.audit import listen
from jointcoder.store.engine import Store, open_store

from .stays import STAYS, Hand, Stay

PEOPLE = {  # account → (name shown, roles)
    "ana": ("Ana Ruiz", ["coder"]),
    "bo": ("Bo Lindqvist", ["coder"]),
    "lea": ("Lea Moreau", ["coder", "lead"]),
    "ada": ("Ada Okafor", ["admin"]),
}
SECRET = "a quiet harbour at 6"
UP_S = 60


@dataclass
class Served:
    """A running service. ``encounters``: name of a stay → version; ``accounts``: name → password."""

    url: str
    store: Store
    desk: Desk
    book: CodeBook
    encounters: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, stay: Stay, *, fresh: bool = False, priority: int = 0) -> str:
        """Have a stay coded; ``fresh``: under an id of its own. Its version."""
        encounter = stay.encounter(next(self.numbers) if fresh else 0)
        line = self.desk.receive(encounter, source="test", priority=priority)
        self.desk.submit([encounter], priority=priority, source="test")
        for event in self.desk.stages.subscribe(line.version, timeout_s=1):
            assert not self.desk.ready(), f"no coder: {self.desk.ready()}"
            if event is not None and event.last:
                break
        return line.version


class Server(uvicorn.Server):
    """A server that tells when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, then the word that it is up."""
        await super().startup(sockets)
        self.up.set()


@contextmanager
def serving(folder: Path, book: CodeBook, stays: Sequence[Stay]) -> Iterator[Served]:
    """A service over an SQLite store in ``folder``, with accounts and the stays coded."""
    settings = Settings(
        cache=folder, store=str(folder / "desk.sqlite"), login_rate="1000/minute", request_rate="100000/minute"
    )
    with open_store(settings.store_place) as store:
        accounts = Accounts(store)
        for name, (display, roles) in PEOPLE.items():
            accounts.add(name, roles=roles, password=SECRET, display=display, by="system")
        desk = Desk(
            store, editions=Editions([book]), make_coder=lambda: Hand(book, settings), settings=settings, audit=listen
        )
        with desk, _running(settings, desk) as url:
            served = Served(url, store, desk, book, accounts=dict.fromkeys(PEOPLE, SECRET))
            for priority, stay in enumerate(stays):
                served.encounters[stay.name] = served.add(STAYS[stay.name], priority=priority % 3)
            yield served


@contextmanager
def _running(settings: Settings, desk: Desk) -> Iterator[str]:
    # asyncio sends small answers at once only where the socket names its protocol, as `jointcoder serve` does
    with socket.socket(proto=socket.IPPROTO_TCP) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        app = create_app(settings.model_copy(update={"port": port}), desk=desk)
        config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=2)
        server = Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])), name="served")
        thread.start()
        try:
            assert server.up.wait(UP_S), "the service did not start"
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(UP_S)
