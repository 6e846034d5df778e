"""Where a run stands: its candidates, what was spent, and chance that does not depend on interruptions.

    sitting = Sitting(archive, run, conditions, budget)
    sitting.candidates(), sitting.shown(), sitting.next(), sitting.charge(tokens)

The archive is asked each time, so what another process wrote is seen, and a run that was killed goes on from what it
recorded last.
"""

from __future__ import annotations

import random
from typing import Any

from jointcoder.search.conditions import Budget, Conditions, Spent
from jointcoder.search.nodes import Tokens
from jointcoder.store.archive import Archive, Candidate, Run


class Sitting:
    """See the module. ``spent`` is kept up to date, in the archive too."""

    def __init__(self, archive: Archive, run: Run, conditions: Conditions, budget: Budget) -> None:
        self.archive, self.run, self.conditions, self.budget = archive, run, conditions, budget
        self.spent = Spent.of(run.spent)
        self.spent.iterations = max((int(one.notes.get("turn", 0)) for one in self.candidates()), default=0)

    def candidates(self) -> list[Candidate]:
        """All of the run, in order."""
        return self.archive.candidates(self.run.id)

    def shown(self) -> list[Candidate]:
        """The archive as designs and edits may use it: without the seeds where the search does without them."""
        return [one for one in self.candidates() if one.origin != "seed" or self.conditions.shows.seed]

    def next(self) -> int:
        """The number of the next candidate."""
        return max((one.number for one in self.candidates()), default=0) + 1

    def name(self, number: int) -> str:
        """A candidate's name."""
        return f"{self.run.name}-{number}"

    def chance(self, number: int) -> random.Random:
        """Chance for one candidate: the same whether the run was interrupted before it or not."""
        return random.Random(f"{self.conditions.seed}:{number}")

    def charge(self, tokens: Tokens) -> None:
        """Tokens that workflows took of the engine."""
        self.spent.tokens += tokens.all
        self.update()

    def charge_meta(self, tokens: Tokens) -> None:
        """Tokens that the designing roles took of the engine."""
        self.spent.meta += tokens.all
        self.charge(tokens)

    def record(self, number: int, **changes: Any) -> Candidate:
        """A candidate with these changes, as the archive has it from now on."""
        return self.archive.record(self.run.id, number, **changes)

    def update(self, **changes: Any) -> None:
        """The run with these changes and what was spent until now."""
        self.archive.update_run(self.run.id, spent=self.spent.tick().as_dict(), **changes)
