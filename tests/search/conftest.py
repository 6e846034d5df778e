"""What the tests of the search share: an archive in a file, and the notes of bench.py in two sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jointcoder.search.sets import Sets
from jointcoder.store.archive import Archive
from jointcoder.store.engine import open_store

from . import bench


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    pytest.importorskip("sqlalchemy", reason="the extra search is not installed")
    with open_store(tmp_path / "archive.sqlite") as store:
        yield Archive(store)


@pytest.fixture
def sets(tmp_path: Path) -> Sets:
    return bench.sets(tmp_path, 20)
