"""How far a run is, as one frozen value; and who is told, now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What a sitting did. ``read``: records of the input met; ``done``: coded now; ``already``: done before;
    ``failed``: failed now; ``still``: failed before and not tried again; ``repeated``: the same encounter again in the
    input; ``changed``: recoded because the content changed, ``recoded``: because the conditions did; ``lost``: groups
    that a dying worker took along; ``unstored``: results that the desk's store did not take; ``seconds``: spent on
    coding."""

    read: int = 0
    done: int = 0
    already: int = 0
    failed: int = 0
    still: int = 0
    repeated: int = 0
    changed: int = 0
    recoded: int = 0
    lost: int = 0
    stored: int = 0
    unstored: int = 0
    routes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def tried(self) -> int:
        """Coded or failed in this sitting."""
        return self.done + self.failed

    @property
    def settled(self) -> int:
        """Records of the input that need nothing more."""
        return self.tried + self.already + self.still + self.repeated

    @property
    def rate(self) -> float:
        """Records a second since the first was given out."""
        return self.tried / self.seconds if self.seconds > 0 else 0.0

    def left_s(self, total: int | None) -> float | None:
        """Seconds left, where the number of records is known and some were coded."""
        if total is None or not self.rate:
            return None
        return max(0, total - self.settled) / self.rate

    def as_dict(self) -> dict[str, object]:
        """For the manifest."""
        names = ("read", "done", "already", "failed", "still", "repeated", "changed", "recoded", "lost", "stored")
        return {
            **{name: getattr(self, name) for name in (*names, "unstored")},
            "routes": dict(self.routes),
            "seconds": round(self.seconds, 3),
        }


Listener = Callable[[Tally], None]


def nobody(tally: Tally) -> None:
    """Tell nobody."""
