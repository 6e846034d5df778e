"""So many requests a minute, of each account, key or address. Counted in this process; restarts forget.

Written as ``limits`` writes rates: ``1200/minute``, ``20/second;600/minute``. The window slides, so a burst at the turn
of a minute is no way around.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from jointcoder.errors import AccessError, UsageError

if TYPE_CHECKING:
    from limits.strategies import RateLimiter


class Rate:
    """A limit. UsageError JC001 for a rate that cannot be read, JC002 where the package limits is not installed."""

    def __init__(self, rate: str, *, setting: str) -> None:
        try:
            from limits import parse_many
            from limits.storage import MemoryStorage
            from limits.strategies import SlidingWindowCounterRateLimiter
        except ImportError:
            hint = "pip install 'jointcoder[server]'"
            raise UsageError("JC002", "the service needs the package limits", hint=hint) from None
        try:
            self._limits = parse_many(rate)
        except ValueError:
            raise UsageError("JC001", f"settings: {setting}: {rate!r} is no rate", hint="e.g. 1200/minute") from None
        self._window: RateLimiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def hit(self, whose: str) -> None:
        """Count a request. AccessError JC475, with the seconds to wait, for one too many."""
        for limit in self._limits:
            if not self._window.hit(limit, whose):
                reset = self._window.get_window_stats(limit, whose).reset_time
                seconds = max(1, math.ceil(reset - time.time()))
                raise AccessError("JC475", "too many requests", hint=f"again in {seconds} s", retry_after=seconds)
