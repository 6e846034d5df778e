"""Tests of the service: passwords cost little, since what a hash must cost is no question here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..cheaply import cheap_hashes


@pytest.fixture(autouse=True, scope="package")
def _cheap_hashes() -> Iterator[None]:
    with cheap_hashes():
        yield
