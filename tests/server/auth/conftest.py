"""A small application behind the gate: its routes say who asked; accounts are made at a cheap cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

pytest.importorskip("fastapi", reason="the extra server is not installed")
pytest.importorskip("limits", reason="the extra server is not installed")
pytest.importorskip("argon2", reason="the extra server is not installed")
pytest.importorskip("sqlalchemy", reason="the extra server is not installed")

from fastapi import Depends, FastAPI, Form, Request
from fastapi.testclient import TestClient
from starlette.responses import Response, StreamingResponse

from jointcoder.errors import JointCoderError
from jointcoder.server.auth import Auth, User, current_user, install, maybe_user, require
from jointcoder.settings import Settings
from jointcoder.store.accounts import Accounts
from jointcoder.store.engine import Store, open_store
from jointcoder.store.passwords import Cost

CHEAP = Cost(passes=1, memory_kib=64, lanes=1)
PASSWORD = "seven grey herons"
HOME = "http://127.0.0.1"


def application(store: Store, settings: Settings, **options: Any) -> FastAPI:
    """Routes of every kind, none of which checks anything that the gate does."""
    app = FastAPI(openapi_url=None)
    auth = install(app, store=store, settings=settings, **options)
    auth.accounts = Accounts(store, cost=CHEAP)

    @app.exception_handler(JointCoderError)
    def refused(request: Request, error: JointCoderError) -> Response:
        return auth.refused(request, error)

    def told(request: Request, user: User | None) -> dict[str, Any]:
        shown = {"user": user.name, "way": user.way, "roles": sorted(user.roles)} if user else {"user": None}
        return shown | {"csrf": request.state.csrf}

    @app.get("/")
    @app.post("/")
    @app.get("/v1/thing")
    @app.post("/v1/thing")
    def thing(request: Request, user: Annotated[User, Depends(current_user)]) -> dict[str, Any]:
        return told(request, user)

    @app.post("/form")
    def form(note: Annotated[str, Form()]) -> dict[str, str]:
        return {"note": note}

    @app.get("/forgot")
    def forgot() -> str:
        return "a route that asks nobody"

    @app.get("/login")
    def page(request: Request, user: Annotated[User | None, Depends(maybe_user)]) -> dict[str, Any]:
        return told(request, user)

    @app.post("/login")
    def sign_in(
        request: Request,
        name: Annotated[str, Form()],
        password: Annotated[str, Form()],
        next: Annotated[str, Form()] = "/",
    ) -> Response:
        return auth.sign_in(request, name, password, to=next)

    @app.post("/logout")
    def sign_out(request: Request) -> Response:
        return auth.sign_out(request)

    for role in ("coder", "lead", "admin", "service"):
        app.get(f"/only/{role}", dependencies=[Depends(require(role))])(lambda: "yes")
    app.get("/only/either", dependencies=[Depends(require("coder", "lead"))])(lambda: "yes")

    @app.get("/health/live")
    @app.get("/static/desk.css")
    def public() -> str:
        return "public"

    @app.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"one", b"two"]), headers={"Cache-Control": "no-cache"})

    return app


@dataclass
class Site:
    """An application with its store and clients."""

    app: FastAPI
    store: Store

    @property
    def auth(self) -> Auth:
        auth: Auth = self.app.state.auth
        return auth

    def client(self, base_url: str = HOME, address: str = "127.0.0.1", **options: Any) -> TestClient:
        """A browser of its own."""
        return TestClient(self.app, base_url=base_url, client=(address, 50000), follow_redirects=False, **options)

    def signed_in(self, name: str = "ana", **options: Any) -> TestClient:
        """A browser that signed in by the form; its requests carry the token."""
        client = self.client(**options)
        token = client.get("/login").json()["csrf"]
        form = {"name": name, "password": PASSWORD, "csrf_token": token}
        assert client.post("/login", data=form).status_code == 303
        client.headers["x-csrf-token"] = client.get("/").json()["csrf"]
        return client


Sites = Callable[..., Site]


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Sites]:
    """Makes sites on a store of the test's own."""
    with open_store(tmp_path / "store.sqlite") as store:

        def make(*, loopback: bool | None = None, render: Any = None, **settings: Any) -> Site:
            return Site(application(store, Settings(**settings), loopback=loopback, render=render), store)

        yield make


@pytest.fixture
def open_site(sites: Sites) -> Site:
    """Nobody has made accounts."""
    return sites()


@pytest.fixture
def site(sites: Sites) -> Site:
    """Accounts of every role: ana (coder), lea (lead), ada (admin), feeder (service)."""
    made = sites()
    for name, role in (("ana", "coder"), ("lea", "lead"), ("ada", "admin"), ("feeder", "service")):
        made.auth.accounts.add(name, roles=[role], password=PASSWORD, by="test")
    return made
