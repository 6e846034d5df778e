"""What a running service has read in is no work for the collector of garbage: that would hold everybody up."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra server is not installed")
pytest.importorskip("sqlalchemy", reason="the extra store is not installed")

from fastapi.testclient import TestClient

from jointcoder.codebook.book import CodeBook
from jointcoder.server.app import create_app
from jointcoder.settings import Settings
from tests.server.api.conftest import LOCAL, until


def test_what_was_read_in_is_left_alone_while_it_serves(tmp_path: Path, small_us: CodeBook) -> None:
    where = {"cache": tmp_path, "store": str(tmp_path / "desk.sqlite"), "code_book": str(small_us.path)}
    before = gc.get_freeze_count()
    with TestClient(create_app(Settings(workflow="lexical", dense="off", **where)), **LOCAL) as client:
        until(lambda: client.get("/health/ready").status_code == 200)
        assert gc.get_freeze_count() > before
    assert gc.get_freeze_count() == 0
