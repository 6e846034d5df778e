"""A house with the service in it, for tests of the pages: real application and store, people with accounts, no browser.

with house(tmp_path, book) as home:
    ana = home.person("ana", "coder")           # signed in by the form
    page = ana.get("/worklist")
    ana.post("/worklist/next")                  # with the token of the page
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.editions import Editions
from jointcoder.coder import Coder
from jointcoder.desk.service import Desk
from jointcoder.llm.scripted import Scripted
from jointcoder.records import CodedRecord, Encounter, Versions
from jointcoder.server.app import create_app
from jointcoder.settings import Settings
from jointcoder.store.accounts import Accounts
from jointcoder.store.audit import listen
from jointcoder.store.engine import Store, open_store
from jointcoder.workflow.run import Observer

SECRET = "a quiet harbour at 6"
LOCAL: dict[str, Any] = {"base_url": "http://127.0.0.1", "client": ("127.0.0.1", 50000)}
HTMX = {"HX-Request": "true"}
_TOKEN = re.compile(r'<meta name="csrf-token" content="([^"]+)"')


class NoCodes(Coder):
    """A coder that finds nothing."""

    def code(self, encounter: Encounter, *, observer: Observer | None = None) -> CodedRecord:
        return CodedRecord(encounter=encounter.id, language="en", versions=Versions(program="0"))


@dataclass
class Person:
    """Somebody with a browser."""

    http: TestClient

    def get(self, path: str, **options: Any) -> Response:
        return self.http.get(path, **options)

    def token(self) -> str:
        """The token of a page that everybody may see."""
        found = _TOKEN.search(self.http.get("/about").text) or _TOKEN.search(self.http.get("/login").text)
        assert found
        return found[1]

    def post(self, path: str, data: Mapping[str, Any] | None = None, *, htmx: bool = False, **options: Any) -> Response:
        """A form sent with the page's token; redirects are not followed."""
        headers = {"X-CSRF-Token": self.token(), **(HTMX if htmx else {}), **options.pop("headers", {})}
        return self.http.post(path, data=data, headers=headers, follow_redirects=False, **options)


@dataclass
class House:
    """The service, its store and its people."""

    app: FastAPI
    desk: Desk
    store: Store

    def visitor(self, **headers: str) -> Person:
        """Somebody who is not signed in."""
        return Person(TestClient(self.app, headers=headers, raise_server_exceptions=False, **LOCAL))

    def person(self, name: str, *roles: str, display: str = "", **headers: str) -> Person:
        """Somebody with a new account, signed in."""
        Accounts(self.store).add(name, roles=roles, password=SECRET, display=display, by="test")
        somebody = self.visitor(**headers)
        answer = somebody.post("/login", {"name": name, "password": SECRET})
        assert answer.status_code == 303
        return somebody

    def coded(self, *encounters: Encounter, priority: int = 0) -> list[str]:
        """Encounters that wait for review: their versions."""
        lines = [self.desk.receive(one, priority=priority, source="test") for one in encounters]
        self.desk.submit(encounters, priority=priority, source="test")
        for line in lines:
            for event in self.desk.stages.subscribe(line.version, timeout_s=1):
                assert not self.desk.ready(), f"no coder: {self.desk.ready()}"
                if event is not None and event.last:
                    break
        return [line.version for line in lines]


@contextmanager
def house(folder: Path, book: CodeBook, **settings: Any) -> Iterator[House]:
    """A running application over an SQLite store in ``folder``, without accounts yet."""
    rates = {"login_rate": "1000/minute", "request_rate": "100000/minute"}
    chosen = Settings(cache=folder, store=str(folder / "desk.sqlite"), **(rates | settings))

    def make() -> Coder:
        return NoCodes(chosen, model=Scripted([]), code_book=book)

    with open_store(chosen.store_place) as store:
        desk = Desk(store, editions=Editions([book]), make_coder=make, settings=chosen, audit=listen)
        app = create_app(chosen, desk=desk)
        with desk, TestClient(app, **LOCAL):
            yield House(app, desk, store)
