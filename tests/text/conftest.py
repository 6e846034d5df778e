"""Tests of the text room: jieba's dictionary cache stays out of the user's folders."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="package")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOINTCODER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
