"""The search: propose, run, reflect, append, until the budget is used up or nothing better comes; then choose.

    search = Search(lab, archive, sets, roles, run=…, start=…, seeds=…, conditions=…, budget=…)
    outcome = search.go()                   Outcome(chosen=None or number, workflow=…, …)

Each turn is one candidate, taken through planned → compiled → scored → done, or given up or failed on the way; every
step of that is written down before the next begins. A run that was killed takes up the candidate it was at, in the
state it was in, and then goes on. A plan that cannot be made to run is recorded as failed, and a single edit of a good
plan takes its turn.

The outcome is decided on the selection set (:mod:`jointcoder.search.choice`): a workflow with a gain that is not luck,
or the one that was there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jointcoder.errors import JointCoderError, ModelError, WorkflowError
from jointcoder.search.coder import Failed, Made, PlanCoder
from jointcoder.search.conditions import Budget, Conditions, Spent
from jointcoder.search.designer import Designer, Written
from jointcoder.search.finals import Finals, Outcome
from jointcoder.search.lab import Lab
from jointcoder.search.menu import Menu, drawn
from jointcoder.search.mutate import draw
from jointcoder.search.nodes import Tokens
from jointcoder.search.plan import Plan, to_toml
from jointcoder.search.reflector import Reflector, Seen, said
from jointcoder.search.seeds import Seed
from jointcoder.search.sets import Sets
from jointcoder.search.space import Space
from jointcoder.search.trying import OutOfBudgetError, Trying, charged
from jointcoder.search.view import (
    COMPILED,
    DONE,
    DROPPED,
    FAILED,
    FINAL,
    PLANNED,
    SCORED,
    best,
    findings,
    known,
    parent,
    plan_of,
    view,
)
from jointcoder.store.archive import Archive, Candidate, Run
from jointcoder.workflow.spec import Workflow

META_SHARE = 0.5  # of the tokens that may be spent; beyond that plans are only edited
RECENT_DESIGNS = 4  # of so many designs one must have run, else edits take the next turns
HOPELESS = frozenset({"JC301", "JC303", "JC311"})  # errors of an engine that the next request will not escape
Tell = Callable[[Candidate], None]


@dataclass(frozen=True)
class Roles:
    """Who designs, makes run and reflects. ``designer`` None: no designing model; every turn is an edit."""

    designer: Designer | None
    coder: PlanCoder | None
    reflector: Reflector


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
        self.lab, self.archive, self.sets, self.space, self.roles = lab, archive, sets, space, roles
        self.run, self.seeds, self.conditions, self.budget = run, seeds, conditions, budget
        self.languages, self.tell = tuple(languages), tell
        self.spent = Spent.of(run.spent)
        self.spent.iterations = max((int(one.notes.get("turn", 0)) for one in archive.candidates(run.id)), default=0)
        self.trying = Trying(lab, archive, conditions, budget, self.spent)
        self._seen: dict[int, Seen] = {}

    def go(self) -> Outcome:
        """To the end, from wherever the run stands. KeyboardInterrupt passes through with everything kept."""
        self.archive.update_run(self.run.id, state="running")
        try:
            why = self._search()
        except KeyboardInterrupt:
            self.archive.update_run(self.run.id, state="stopped", spent=self.spent.tick().as_dict())
            raise
        outcome = Finals(self.trying, self.sets, self.run).decide(self._candidates(), why)
        self.archive.update_run(
            self.run.id, state="finished", spent=self.spent.tick().as_dict(), result=outcome.as_dict()
        )
        return outcome

    # ----------------------------------------------------------------------------------------------------- turns

    def _search(self) -> str:
        """Turns until something runs out: what it was."""
        try:
            for candidate in self._candidates():
                if candidate.status not in FINAL:
                    self._carry_on(candidate)
            for seed in self.seeds:
                self._seed(seed)
            self._mend()
            while True:
                if out := self.budget.left(self.spent.tick()):
                    return out
                if self._converged():
                    return "converged"
                self.spent.iterations += 1
                if not self._turn():
                    return "nothing left to try"
        except OutOfBudgetError:
            return self.budget.left(self.spent)

    def _turn(self) -> bool:
        """One candidate more; False where none could be found."""
        number = self._next()
        designs = self._designs(self._random(number))
        if designs:
            candidate = self._design(number)
            if candidate.status != FAILED:
                self._carry_on(candidate)
                return True
        return self._edited() or designs

    def _edited(self) -> bool:
        """An edit in this turn, taken to its end; False where none could be found."""
        edited = self._edit(self._next())
        if edited is not None:
            self._carry_on(edited)
        return edited is not None

    def _mend(self) -> None:
        """The edit that a failed plan of an interrupted sitting left to its turn."""
        last = self._candidates()[-1]
        if last.origin != "seed" and last.status == FAILED:
            self._edited()

    def _seed(self, seed: Seed) -> None:
        """A seed that the archive does not have yet. The first is the start, which is never given up."""
        candidates = self._candidates()
        if any(one.origin == "seed" and one.hash == seed.workflow.hash for one in candidates):
            return
        candidate = Candidate(
            run=self.run.id,
            number=self._next(),
            origin="seed",
            status=FAILED if seed.unfit else COMPILED,
            name=seed.workflow.name,
            plan=Plan.of(seed.workflow).model_dump(mode="json"),
            workflow=to_toml(seed.workflow),
            hash=seed.workflow.hash,
            error_code="JC403" if seed.unfit else "",
            error=seed.unfit,
        )
        candidate = self.archive.add(candidate)
        if seed.unfit:
            self.tell(candidate)
        else:
            self._carry_on(candidate)

    def _carry_on(self, candidate: Candidate) -> None:
        """A candidate from the state it is in to its end."""
        if candidate.status == PLANNED:
            candidate = self._realise(candidate)
        if candidate.status == COMPILED:
            candidate = self._score(candidate)
        if candidate.status == SCORED:
            candidate = self._reflect(candidate)
        self.tell(candidate)

    # ------------------------------------------------------------------------------------------------- proposing

    def _designs(self, random_: random.Random) -> bool:
        """Whether this turn is a free design: by the share asked for, and not while designs keep failing."""
        if self.roles.designer is None:
            return False
        if parent(self._shown(), random_) is None:
            return True  # there is nothing to edit yet
        bound = self.budget.tokens
        if random_.random() >= self.conditions.designs or (bound and self.spent.meta > META_SHARE * bound):
            return False
        late = [one for one in self._candidates() if one.origin == "design"][-RECENT_DESIGNS:]
        failing = len(late) == RECENT_DESIGNS and all(one.status == FAILED for one in late)
        return not failing or random_.random() < 1 / RECENT_DESIGNS

    def _design(self, number: int) -> Candidate:
        assert self.roles.designer is not None
        menu = self._menu(self._random(number))
        try:
            written = self.roles.designer.design(view(self._shown()), menu)
        except ModelError as error:
            if error.code in HOPELESS:
                raise
            written = Written(None, f"{error.code}: {error.message}")
        self.spent.designed += 1
        self._charge_meta(written.asked)
        notes = {"turn": self.spent.iterations, "leaves_out": written.leaves_out, "problem": written.problem}
        notes["menu"] = menu.to_json() if menu else None
        candidate = self.archive.add(
            Candidate(
                run=self.run.id,
                number=number,
                origin="design",
                status=PLANNED,
                name=self._name(number),
                plan={"draft": dict(written.draft) if written.draft else None},
                ledger={"meta": written.asked.all},
                notes=notes,
            )
        )
        return self._realise(candidate)

    def _menu(self, random_: random.Random) -> Menu | None:
        """None, all components, for a designer that has not yet written a plan that was there; else one around a good
        plan."""
        if not any(one.notes.get("repeats") for one in self._candidates()):
            return None
        origin = parent(self._shown(), random_)
        return drawn(self.space, plan_of(origin) if origin else None, random_)

    def _realise(self, candidate: Candidate) -> Candidate:
        """A written plan as a workflow that runs, or failed."""
        assert self.roles.coder is not None
        menu = Menu.of(candidate.notes.get("menu"))
        written = Written(candidate.plan.get("draft"), str(candidate.notes.get("problem", "")), menu=menu)
        others = [one for one in self._candidates() if one.number != candidate.number]
        try:
            made = self.roles.coder.realise(
                written,
                self._name(candidate.number),
                trial=self.sets.search[0],
                known=known(others),
                random_=self._random(candidate.number),
            )
        except ModelError as error:
            if error.code in HOPELESS:
                raise
            made = Failed(error, None, 0, (), Tokens())
        self._charge_meta(made.meta)
        ledger = {**candidate.ledger, "meta": candidate.ledger.get("meta", 0) + made.meta.all}
        changes: dict[str, Any] = {"attempts": made.attempts}
        changes["notes"] = {**candidate.notes, "problems": list(made.problems), "repeats": made.repeats}
        if isinstance(made, Made):
            changes["notes"]["joined"] = list(made.joined)
        if isinstance(made, Failed):
            plan = made.plan.model_dump(mode="json") if made.plan else {}
            changes |= {"status": FAILED, "error_code": made.error.code, "error": made.error.message}
            changes |= {"plan": {**candidate.plan, **plan}, "ledger": ledger}
        else:
            self.spent.ran += 1
            self._charge(made.trial.spent)
            changes |= {"status": COMPILED, "plan": {**candidate.plan, **made.plan.model_dump(mode="json")}}
            changes |= {"workflow": to_toml(made.workflow), "hash": made.workflow.hash}
            changes |= {"ledger": charged(ledger, made.trial.spent)}
        done = self.archive.record(self.run.id, candidate.number, **changes)
        if done.status == FAILED:
            self.tell(done)
        return done

    def _edit(self, number: int) -> Candidate | None:
        """A single edit of a good plan that runs; the designer picks among several. None where none is left."""
        random_ = self._random(number)
        for _ in range(self.conditions.retries + 1):
            candidates = self._candidates()
            origin = parent(self._shown(), random_)
            if origin is None:
                return None
            numbers = known(candidates)
            hashes = {one.hash for one in candidates if numbers(one.hash) is not None}
            edits = draw(
                plan_of(origin),
                self.space,
                random_,
                count=self.conditions.offered,
                stages=[one.stage for one in findings(origin)] if self.conditions.shows.text_feedback else (),
                known=hashes,
                languages=self.languages,
            )
            if not edits:
                continue
            given_up = {one.edit for one in candidates if one.status == DROPPED}
            edits = [one for one in edits if one.text not in given_up] or edits
            edit = edits[self._picked(origin, edits, random_)]
            workflow = edit.plan.workflow(self._name(number), languages=self.languages)
            candidate = Candidate(
                run=self.run.id,
                number=number,
                origin="mutation",
                status=COMPILED,
                name=self._name(number),
                parent=origin.number,
                edit=edit.text,
                plan=edit.plan.model_dump(mode="json"),
                workflow=to_toml(workflow),
                hash=workflow.hash,
                notes={"turn": self.spent.iterations},
            )
            try:
                trial = self.lab.trial(workflow, self.sets.search[0])
            except WorkflowError as error:
                failed = {"status": FAILED, "error_code": error.code, "error": error.message}
                self.tell(self.archive.add(Candidate(**{**vars(candidate), **failed})))
                number = self._next()
                random_ = self._random(number)
                continue
            self._charge(trial.spent)
            return self.archive.add(Candidate(**{**vars(candidate), "ledger": charged({}, trial.spent)}))
        return None

    def _picked(self, origin: Candidate, edits: Sequence[Any], random_: random.Random) -> int:
        if self.roles.designer is None or len(edits) < 2:
            return 0
        critique = said(findings(origin)) if self.conditions.shows.text_feedback else ""
        try:
            place, asked = self.roles.designer.pick(plan_of(origin), critique, edits, random_)
        except ModelError as error:
            if error.code in HOPELESS:
                raise
            return 0
        self._charge_meta(asked)
        return place

    # --------------------------------------------------------------------------------------- running and reflecting

    def _score(self, candidate: Candidate) -> Candidate:
        workflow = Workflow.from_toml(candidate.workflow, origin=candidate.name)
        stays = candidate.hash == self.seeds[0].workflow.hash
        try:
            verdict = self.trying.search(candidate, workflow, self.sets.search, stays=stays)
        except JointCoderError as error:
            if stays or error.code in HOPELESS:
                raise
            return self.archive.record(
                self.run.id, candidate.number, status=FAILED, error_code=error.code, error=error.message
            )
        self._seen = {candidate.number: verdict.seen}
        if verdict.status == DROPPED:
            critique = [one.as_dict() for one in self.roles.reflector.counted(verdict.seen.losses)]
        else:
            critique = []
        return self.archive.record(
            self.run.id,
            candidate.number,
            status=verdict.status,
            rung=verdict.rung,
            scores=verdict.score.as_dict(),
            critique=critique,
        )

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
        self._charge_meta(asked)
        now = self.archive.candidate(str(candidate.number), run=self.run.id)
        ledger = {**now.ledger, "meta": now.ledger.get("meta", 0) + asked.all}
        critique = [one.as_dict() for one in found]
        return self.archive.record(self.run.id, candidate.number, status=DONE, critique=critique, ledger=ledger)

    def _converged(self) -> bool:
        """Whether the best plan is older than the patience."""
        leader = best(self._candidates())
        tried = [one for one in self._candidates() if one.origin != "seed"]
        since = [one for one in tried if leader is None or one.number > leader.number]
        return len(since) >= self.conditions.patience

    # ---------------------------------------------------------------------------------------------------- accounts

    def _candidates(self) -> list[Candidate]:
        return self.archive.candidates(self.run.id)

    def _shown(self) -> list[Candidate]:
        """The archive as designs and edits may use it: without the seeds where the search does without them."""
        return [one for one in self._candidates() if one.origin != "seed" or self.conditions.shows.seed]

    def _next(self) -> int:
        return max((one.number for one in self._candidates()), default=0) + 1

    def _random(self, number: int) -> random.Random:
        """Chance for one candidate: the same whether the run was interrupted before it or not."""
        return random.Random(f"{self.conditions.seed}:{number}")

    def _name(self, number: int) -> str:
        return f"{self.run.name}-{number}"

    def _charge(self, tokens: Tokens) -> None:
        self.spent.tokens += tokens.all
        self.archive.update_run(self.run.id, spent=self.spent.tick().as_dict())

    def _charge_meta(self, tokens: Tokens) -> None:
        self.spent.meta += tokens.all
        self._charge(tokens)
