"""What one design may use: a part of the components, drawn anew for each.

A small model that decodes greedily answers the same archive with the same plan, mostly the example it was shown,
however often it is told to change something. Whoever has once written a plan that was there gets a menu each time,
which the grammar enforces, with most components of a good plan, some others, and one of those to be used; and a plan
that was there loses one of its components and gets another. Chance is the run's, so a resumed search draws alike.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from jointcoder.search.plan import Plan
from jointcoder.search.space import Space, table

KEPT = 0.75  # of a component of the good plan
OTHERS = (4, 8)  # further components, at least and at most


@dataclass(frozen=True)
class Menu:
    """``uses``: components that steps may be, in the order of the space; ``lead``: the one that is asked for."""

    uses: tuple[str, ...]
    lead: str = ""

    def other(self, space: Space, steps: Collection[str], random_: random.Random) -> Menu:
        """Without one of the ``steps`` of a plan that is known already, with another component instead, if there are
        such."""
        free = [name for name in self.uses if name in steps and name not in _frame(space)]
        new = [name for name in space if name not in self.uses]
        gone = random_.choice(free) if free else ""
        lead = random_.choice(new) if new else self.lead
        return Menu(tuple(name for name in space if (name in self.uses and name != gone) or name == lead), lead)

    def to_json(self) -> dict[str, Any]:
        return {"uses": list(self.uses), "lead": self.lead}

    @classmethod
    def of(cls, data: Mapping[str, Any] | None) -> Menu | None:
        """As the archive keeps it; None where it keeps none."""
        return cls(tuple(data["uses"]), data["lead"]) if data else None


def drawn(space: Space, base: Plan | None, random_: random.Random) -> Menu:
    """A menu around a plan: the frame that every plan has, most of the plan's components, some others."""
    frame = _frame(space)
    used = {node.component for node in base.nodes} & set(space) if base else set()
    kept = {name for name in space if name in used and random_.random() < KEPT}
    rest = [name for name in space if name not in used | frame]
    others = random_.sample(rest, min(len(rest), random_.randint(*OTHERS)))
    lead = others[0] if others else ""
    return Menu(tuple(name for name in space if name in frame | kept or name in others), lead)


def _frame(space: Space) -> frozenset[str]:
    """What every plan begins and ends with."""
    return frozenset({table()["suppliers"]["language"][0], *table()["suppliers"]["last"]}) & frozenset(space)
