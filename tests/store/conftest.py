"""A store of each kind: SQLite in a file, and PostgreSQL where a server can be asked (``places.py``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jointcoder.store.engine import Store, open_store
from tests.store.places import BACKENDS, place_of

pytest.importorskip("sqlalchemy", reason="the extra store is not installed")


@pytest.fixture(params=BACKENDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where an empty store can be opened: a path or a URL."""
    with place_of(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    with open_store(place) as opened:
        yield opened
