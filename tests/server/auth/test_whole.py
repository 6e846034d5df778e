"""The gate around the real service: what it says it offers is closed to strangers, all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("prometheus_client", reason="the extra server is not installed")

from fastapi.testclient import TestClient

from jointcoder.server.app import create_app
from jointcoder.settings import Settings
from jointcoder.store.engine import open_store

from .conftest import HOME


def test_strangers_get_nowhere(tmp_path: Path):
    place = tmp_path / "store.sqlite"
    with open_store(place) as store:
        app = create_app(Settings(store=str(place), cache=tmp_path))
        app.state.auth.open(store)
        app.state.auth.accounts.add("ada", roles=["admin"], by="x")
        client = TestClient(app, base_url=HOME, client=("127.0.0.1", 50000), follow_redirects=False)
        asked = 0
        for path, offered in app.openapi()["paths"].items():
            for method in offered.keys() & {"get", "post", "put", "patch", "delete"}:
                response = client.request(method, path)
                closed = (response.status_code, response.headers["content-security-policy"][:18])
                assert (closed == (401, "default-src 'none'")) != path.startswith("/health/"), (method, path)
                asked += 1
        assert asked > 15
        for path in ("/", "/worklist", "/upload", "/account", "/admin/accounts", "/admin/audit", "/nothing"):
            response = client.get(path)
            assert response.headers["location"].startswith("/login?next="), path
            assert client.post(path).status_code == 401, path
        assert client.get("/login").status_code == 200
