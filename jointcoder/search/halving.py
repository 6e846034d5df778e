"""Who goes on: successive halving over a growing part of the notes (Jamieson 2016; asynchronous as in Li 2020).

    rungs(40, first=5, eta=3)                      (5, 15, 40)
    goes_on(0.41, [0.52, 0.40, 0.37, 0.30], eta=3)       True: among the best third that came so far

Every candidate runs on the first few notes; a third goes on to three times as many, and so forth, so that most notes
are spent on candidates worth it. The order of the notes is fixed, so those who meet at a rung ran on the same notes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def rungs(notes: int, *, first: int = 5, eta: int = 3) -> tuple[int, ...]:
    """Numbers of notes after which it is decided who goes on, the last one all notes; just that without halving
    (``eta`` 1)."""
    sizes: list[int] = []
    size = max(1, first)
    while eta > 1 and size < notes:
        sizes.append(size)
        size *= eta
    if len(sizes) > 1 and notes < 1.5 * sizes[-1]:
        sizes.pop()  # a rung just below the whole decides nothing that the whole would not
    return (*sizes, notes)


def goes_on(own: float, rivals: Sequence[float], *, eta: int = 3) -> bool:
    """Whether ``own`` is in the best of ``eta`` equal parts of all that came to this rung, itself included. The first
    few always go on; equals of the last one that does, too."""
    places = max(1, math.ceil((len(rivals) + 1) / eta))
    return sum(rival > own for rival in rivals) < places
