"""What tests may have for less than those who use the program."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jointcoder.store import passwords


@contextmanager
def cheap_hashes() -> Iterator[None]:
    """Hashes of passwords take milliseconds instead of a third of a second, where a test states no cost of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "Cost", functools.partial(passwords.Cost, passes=1, memory_kib=64, lanes=1))
        yield
