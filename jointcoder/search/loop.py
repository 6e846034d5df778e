"""The search: propose, run, reflect, append, until the budget is used up or nothing better comes; then choose.

    search = Search(lab, archive, sets, roles, run=…, start=…, seeds=…, conditions=…, budget=…)
    outcome = search.go()                   Outcome(chosen=None or number, workflow=…, …)

Each turn is one candidate, taken through planned → compiled → scored → done, or given up or failed on the way, or found
to do what another one does; every step of that is written down before the next begins. A run that was killed takes up
the candidate it was at, in the state it was in, and then goes on. A plan that cannot be made to run is recorded as
failed, and a single edit of a good plan takes its turn.

The outcome is decided on the selection set (:mod:`jointcoder.search.choice`): a workflow with a gain that is not luck,
or the one that was there.
"""

from __future__ import annotations

from collections.abc import Sequence

from jointcoder.errors import JointCoderError, ModelError
from jointcoder.search.conditions import Budget, Conditions
from jointcoder.search.finals import Finals, Outcome
from jointcoder.search.lab import Lab
from jointcoder.search.nodes import Tokens
from jointcoder.search.plan import Plan, to_toml
from jointcoder.search.proposing import HOPELESS, Proposer, Roles, Tell
from jointcoder.search.reflector import Seen
from jointcoder.search.seeds import Seed
from jointcoder.search.sets import Sets
from jointcoder.search.sitting import Sitting
from jointcoder.search.space import Space
from jointcoder.search.trying import SEARCH, OutOfBudgetError, Trying
from jointcoder.search.view import COMPILED, DONE, DROPPED, FAILED, FINAL, PLANNED, SAME, SCORED, best, plan_of, twin
from jointcoder.store.archive import Archive, Candidate, Run
from jointcoder.workflow.spec import Workflow


class Search:
    """One run. ``tell`` is called with a candidate whenever one is finished."""

    def __init__(
        self,
        lab: Lab,
        archive: Archive,
        sets: Sets,
        space: Space,
        roles: Roles,
        *,
        run: Run,
        seeds: Sequence[Seed],
        conditions: Conditions,
        budget: Budget,
        languages: Sequence[str] = (),
        tell: Tell = lambda _: None,
    ) -> None:
        self.sets, self.roles, self.run, self.seeds, self.tell = sets, roles, run, seeds, tell
        self.sitting = Sitting(archive, run, conditions, budget)
        self.trying = Trying(lab, archive, conditions, budget, self.sitting.spent)
        self.proposer = Proposer(lab, self.sitting, sets.search[0], space, roles, languages=languages, tell=tell)
        self._seen: dict[int, Seen] = {}

    def go(self) -> Outcome:
        """To the end, from wherever the run stands. KeyboardInterrupt passes through with everything kept."""
        self.sitting.update(state="running")
        try:
            why = self._search()
        except KeyboardInterrupt:
            self.sitting.update(state="stopped")
            raise
        outcome = Finals(self.trying, self.sets, self.run).decide(self.sitting.candidates(), why)
        self.sitting.update(state="finished", result=outcome.as_dict())
        return outcome

    # ----------------------------------------------------------------------------------------------------- turns

    def _search(self) -> str:
        """Turns until something runs out: what it was."""
        try:
            for candidate in self.sitting.candidates():
                if candidate.status not in FINAL:
                    self._carry_on(candidate)
            for seed in self.seeds:
                self._seed(seed)
            self._mend()
            while True:
                if out := self.sitting.budget.left(self.sitting.spent.tick()):
                    return out
                if self._converged():
                    return "converged"
                self.sitting.spent.iterations += 1
                if not self._turn():
                    return "nothing left to try"
        except OutOfBudgetError:
            return self.sitting.budget.left(self.sitting.spent)

    def _turn(self) -> bool:
        """One candidate more; False where none could be found."""
        number = self.sitting.next()
        designs = self.proposer.designs(self.sitting.chance(number))
        if designs:
            candidate = self.proposer.design(number)
            if candidate.status != FAILED:
                self._carry_on(candidate)
                return True
            self.tell(candidate)
        return self._edited() or designs

    def _edited(self) -> bool:
        """An edit in this turn, taken to its end; False where none could be found."""
        edited = self.proposer.edit(self.sitting.next())
        if edited is not None:
            self._carry_on(edited)
        return edited is not None

    def _mend(self) -> None:
        """The edit that a failed plan of an interrupted sitting left to its turn."""
        last = self.sitting.candidates()[-1]
        if last.origin != "seed" and last.status == FAILED:
            self._edited()

    def _seed(self, seed: Seed) -> None:
        """A seed that the archive does not have yet. The first is the start, which is never given up."""
        candidates = self.sitting.candidates()
        if any(one.origin == "seed" and one.hash == seed.workflow.hash for one in candidates):
            return
        candidate = Candidate(
            run=self.sitting.run.id,
            number=self.sitting.next(),
            origin="seed",
            status=FAILED if seed.unfit else COMPILED,
            name=seed.workflow.name,
            plan=Plan.of(seed.workflow).model_dump(mode="json"),
            workflow=to_toml(seed.workflow),
            hash=seed.workflow.hash,
            error_code="JC403" if seed.unfit else "",
            error=seed.unfit,
        )
        candidate = self.sitting.archive.add(candidate)
        if seed.unfit:
            self.tell(candidate)
        else:
            self._carry_on(candidate)

    def _carry_on(self, candidate: Candidate) -> None:
        """A candidate from the state it is in to its end."""
        if candidate.status == PLANNED:
            candidate = self.proposer.realise(candidate)
        if candidate.status == COMPILED:
            candidate = self._score(candidate)
        if candidate.status == SCORED:
            candidate = self._reflect(candidate)
        self.tell(candidate)

    def _score(self, candidate: Candidate) -> Candidate:
        workflow = Workflow.from_toml(candidate.workflow, origin=candidate.name)
        stays = candidate.hash == self.seeds[0].workflow.hash
        try:
            verdict = self.trying.search(candidate, workflow, self.sets.search, stays=stays)
        except JointCoderError as error:
            if stays or error.code in HOPELESS:
                raise
            return self.sitting.record(candidate.number, status=FAILED, error_code=error.code, error=error.message)
        if verdict.status == SCORED and not stays and (same := self._twin(candidate, verdict.score.objective)):
            return self.sitting.record(
                candidate.number,
                status=SAME,
                rung=verdict.rung,
                scores=verdict.score.as_dict(),
                notes={**candidate.notes, "same_as": same},
            )
        self._seen = {candidate.number: verdict.seen}
        if verdict.status == DROPPED:
            critique = [one.as_dict() for one in self.roles.reflector.counted(verdict.seen.losses)]
        else:
            critique = []
        return self.sitting.record(
            candidate.number,
            status=verdict.status,
            rung=verdict.rung,
            scores=verdict.score.as_dict(),
            critique=critique,
        )

    def _twin(self, candidate: Candidate, objective: float) -> int | None:
        results = self.sitting.archive.results(self.sitting.run.id, SEARCH)
        return twin(candidate, objective, self.sitting.candidates(), results)

    def _reflect(self, candidate: Candidate) -> Candidate:
        """What went wrong with a candidate that ran on all notes. Of one taken up again its runs are looked at anew."""
        seen = self._seen.get(candidate.number)
        if seen is None:
            workflow = Workflow.from_toml(candidate.workflow, origin=candidate.name)
            seen = self.trying.search(candidate, workflow, self.sets.search, stays=True).seen
        try:
            found, asked = self.roles.reflector.reflect(plan_of(candidate), seen)
        except ModelError as error:
            if error.code in HOPELESS:
                raise
            found, asked = self.roles.reflector.counted(seen.losses), Tokens()
        self.sitting.charge_meta(asked)
        now = self.sitting.archive.candidate(str(candidate.number), run=self.sitting.run.id)
        ledger = {**now.ledger, "meta": now.ledger.get("meta", 0) + asked.all}
        critique = [one.as_dict() for one in found]
        return self.sitting.record(candidate.number, status=DONE, critique=critique, ledger=ledger)

    def _converged(self) -> bool:
        """Whether the best plan is older than the patience."""
        leader = best(self.sitting.candidates())
        tried = [one for one in self.sitting.candidates() if one.origin != "seed"]
        since = [one for one in tried if leader is None or one.number > leader.number]
        return len(since) >= self.sitting.conditions.patience
