"""Before the service says that it is ready it has read in what a first page needs, and it tells what really codes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra server is not installed")
pytest.importorskip("sqlalchemy", reason="the extra store is not installed")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.editions import Editions
from jointcoder.coder import Coder
from jointcoder.desk.service import Desk
from jointcoder.llm.scripted import Scripted
from jointcoder.records import Versions
from jointcoder.server import warm
from jointcoder.server.app import create_app
from jointcoder.server.pages import i18n, shell
from jointcoder.settings import Settings
from jointcoder.store.engine import open_store
from tests.server.api.conftest import LOCAL, until


@pytest.fixture
def settings(tmp_path: Path, small_us: CodeBook) -> Settings:
    return Settings(
        cache=tmp_path,
        store=str(tmp_path / "desk.sqlite"),
        code_book=str(small_us.path),
        workflow="lexical",
        dense="off",
    )


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


def ready(client: TestClient) -> dict[str, Any]:
    """What the service tells of itself when it is ready."""
    until(lambda: client.get("/health/ready").status_code == 200)
    return dict(client.get("/health/ready").json())


def test_ready_is_said_when_templates_phrases_and_book_are_read_in(app: FastAPI) -> None:
    shell.environment.cache_clear()
    i18n.words.cache_clear()
    with TestClient(app, **LOCAL) as client:
        ready(client)
        compiled = set(shell.environment().cache)  # type: ignore[arg-type]
        assert {name for _, name in compiled} == set(shell.environment().list_templates())
        assert i18n.words.cache_info().currsize == len(i18n.LANGUAGES)
        assert client.get("/v1/encounters").json()["total"] == 0  # nothing of it is stored


def test_until_then_it_is_opening(app: FastAPI) -> None:
    with TestClient(app, **LOCAL) as client:
        ready(client)
        app.state.warm = warm.Warm()  # not started: nothing is read in
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json()["checks"]["code_book"]) == (503, "opening")
        assert answer.headers["Retry-After"]


def test_what_cannot_be_read_in_keeps_nobody_from_working(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> str:
        raise ValueError("Zephyrine")

    monkeypatch.setattr(warm, "rehearse", fails)
    with caplog.at_level(logging.WARNING), TestClient(app, **LOCAL) as client:
        ready(client)
        assert client.get("/worklist").status_code == 200
    assert "ValueError" in caplog.text
    assert "Zephyrine" not in caplog.text


@pytest.mark.parametrize("language", i18n.LANGUAGES)
def test_the_rehearsed_page_is_a_real_one(app: FastAPI, language: str) -> None:
    with TestClient(app, **LOCAL):
        page = warm.rehearse(app, app.state.desk, language)
    assert f'<html lang="{language}' in page
    assert page.count('data-item="p') >= 2 * warm.CODES


class Other(Coder):
    """A coder that is not as the settings say."""

    @property
    def versions(self) -> Versions:
        own = {"workflow": "their own", "workflow_hash": "ab" * 32, "model": "small-1b", "model_hash": "cd" * 32}
        return super().versions.model_copy(update=own | {"pack": "cardiology-3", "adapters": {"validate": "ef12"}})


@pytest.fixture
def desk(settings: Settings, small_us: CodeBook) -> Iterator[Desk]:
    def make() -> Coder:
        return Other(settings, model=Scripted([]), code_book=small_us)

    with open_store(settings.store_place) as store:
        yield Desk(store, editions=Editions([small_us]), make_coder=make, settings=settings)


def test_versions_are_those_of_the_coder_that_is_open(settings: Settings, desk: Desk) -> None:
    with TestClient(create_app(settings, desk=desk), **LOCAL) as client:
        before = client.get("/health/live").headers
        assert before["Jointcoder-Workflow"].startswith("lexical; sha256=")  # what is to run, by the settings
        assert (before["Jointcoder-Model"], before["Jointcoder-Adapters"]) == ("none", "none")
        with desk:
            told = ready(client)["versions"]
            headers = client.get("/health/live").headers
            assert headers["Jointcoder-Workflow"] == f"their own; sha256={'ab' * 32}"
            assert headers["Jointcoder-Model"] == f"small-1b; sha256={'cd' * 32}"
            assert headers["Jointcoder-Pack"] == "cardiology-3"
            assert headers["Jointcoder-Adapters"] == "validate=ef12"
            assert (told["model"], told["adapters"], told["code_book"]) == (
                "small-1b",
                {"validate": "ef12"},
                "us-small",
            )
            assert 'model="small-1b"' in client.get("/metrics").text
            assert "small-1b" in client.get("/about").text
