"""Proposing what to try next: a plan that the designer writes, or a single edit of a good one.

    proposer = Proposer(lab, sitting, trial, space, roles, languages=("en",), tell=…)
    proposer.design(7)                      a candidate, compiled or failed
    proposer.edit(8)                        a compiled one, or None where nothing is left to edit

Each is recorded as planned before it is made to run, and as compiled (or failed, with the reason) once it was: what was
interrupted between the two is taken up by :meth:`Proposer.realise`. Whether it is any good is the loop's business.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jointcoder.corpora import Labelled
from jointcoder.errors import ModelError, WorkflowError
from jointcoder.search.coder import Failed, Made, PlanCoder
from jointcoder.search.designer import Designer, Written
from jointcoder.search.lab import Lab
from jointcoder.search.menu import Menu, drawn
from jointcoder.search.mutate import Edit, draw
from jointcoder.search.nodes import Tokens
from jointcoder.search.plan import to_toml
from jointcoder.search.reflector import Reflector, said
from jointcoder.search.sitting import Sitting
from jointcoder.search.space import Space
from jointcoder.search.trying import charged
from jointcoder.search.view import COMPILED, DROPPED, FAILED, PLANNED, findings, known, parent, plan_of, view
from jointcoder.store.archive import Candidate

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


class Proposer:
    """See the module. ``trial``: the note on which a plan must run; ``tell`` is called with edits that do not."""

    def __init__(
        self,
        lab: Lab,
        sitting: Sitting,
        trial: Labelled,
        space: Space,
        roles: Roles,
        *,
        languages: Sequence[str],
        tell: Tell,
    ) -> None:
        self.lab, self.sitting, self.trial, self.space, self.roles = lab, sitting, trial, space, roles
        self.languages, self.tell = tuple(languages), tell

    def designs(self, random_: random.Random) -> bool:
        """Whether this turn is a free design: by the share asked for, and not while designs keep failing."""
        if self.roles.designer is None:
            return False
        if parent(self.sitting.shown(), random_) is None:
            return True  # there is nothing to edit yet
        bound, spent = self.sitting.budget.tokens, self.sitting.spent.meta
        if random_.random() >= self.sitting.conditions.designs or (bound and spent > META_SHARE * bound):
            return False
        late = [one for one in self.sitting.candidates() if one.origin == "design"][-RECENT_DESIGNS:]
        failing = len(late) == RECENT_DESIGNS and all(one.status == FAILED for one in late)
        return not failing or random_.random() < 1 / RECENT_DESIGNS

    def design(self, number: int) -> Candidate:
        """A plan that the designer writes, made to run, or failed."""
        assert self.roles.designer is not None
        menu = self._menu(self.sitting.chance(number))
        try:
            written = self.roles.designer.design(view(self.sitting.shown()), menu)
        except ModelError as error:
            if error.code in HOPELESS:
                raise
            written = Written(None, f"{error.code}: {error.message}")
        self.sitting.spent.designed += 1
        self.sitting.charge_meta(written.asked)
        notes = {"turn": self.sitting.spent.iterations, "leaves_out": written.leaves_out, "problem": written.problem}
        notes["menu"] = menu.to_json() if menu else None
        candidate = self.sitting.archive.add(
            Candidate(
                run=self.sitting.run.id,
                number=number,
                origin="design",
                status=PLANNED,
                name=self.sitting.name(number),
                plan={"draft": dict(written.draft) if written.draft else None},
                ledger={"meta": written.asked.all},
                notes=notes,
            )
        )
        return self.realise(candidate)

    def _menu(self, random_: random.Random) -> Menu | None:
        """None, all components, for a designer that has not yet written a plan that was there; else one around a good
        plan."""
        if not any(one.notes.get("repeats") for one in self.sitting.candidates()):
            return None
        origin = parent(self.sitting.shown(), random_)
        return drawn(self.space, plan_of(origin) if origin else None, random_)

    def realise(self, candidate: Candidate) -> Candidate:
        """A written plan as a workflow that runs, or failed."""
        assert self.roles.coder is not None
        menu = Menu.of(candidate.notes.get("menu"))
        written = Written(candidate.plan.get("draft"), str(candidate.notes.get("problem", "")), menu=menu)
        others = [one for one in self.sitting.candidates() if one.number != candidate.number]
        try:
            made = self.roles.coder.realise(
                written,
                self.sitting.name(candidate.number),
                trial=self.trial,
                known=known(others),
                random_=self.sitting.chance(candidate.number),
            )
        except ModelError as error:
            if error.code in HOPELESS:
                raise
            made = Failed(error, None, 0, (), Tokens())
        self.sitting.charge_meta(made.meta)
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
            self.sitting.spent.ran += 1
            self.sitting.charge(made.trial.spent)
            changes |= {"status": COMPILED, "plan": {**candidate.plan, **made.plan.model_dump(mode="json")}}
            changes |= {"workflow": to_toml(made.workflow), "hash": made.workflow.hash}
            changes |= {"ledger": charged(ledger, made.trial.spent)}
        return self.sitting.record(candidate.number, **changes)

    def edit(self, number: int) -> Candidate | None:
        """A single edit of a good plan that runs; the designer picks among several. None where none is left."""
        random_ = self.sitting.chance(number)
        for _ in range(self.sitting.conditions.retries + 1):
            candidates = self.sitting.candidates()
            origin = parent(self.sitting.shown(), random_)
            if origin is None:
                return None
            edits = draw(
                plan_of(origin),
                self.space,
                random_,
                count=self.sitting.conditions.offered,
                stages=[one.stage for one in findings(origin)] if self.sitting.conditions.shows.text_feedback else (),
                known={one.hash for one in candidates if one.hash},
                languages=self.languages,
            )
            if not edits:
                continue
            given_up = {one.edit for one in candidates if one.status == DROPPED}
            edits = [one for one in edits if one.text not in given_up] or edits
            edit = edits[self._picked(origin, edits, random_)]
            workflow = edit.plan.workflow(self.sitting.name(number), languages=self.languages)
            candidate = Candidate(
                run=self.sitting.run.id,
                number=number,
                origin="mutation",
                status=COMPILED,
                name=self.sitting.name(number),
                parent=origin.number,
                edit=edit.text,
                plan=edit.plan.model_dump(mode="json"),
                workflow=to_toml(workflow),
                hash=workflow.hash,
                notes={"turn": self.sitting.spent.iterations},
            )
            try:
                trial = self.lab.trial(workflow, self.trial)
            except WorkflowError as error:
                failed = {"status": FAILED, "error_code": error.code, "error": error.message}
                self.tell(self.sitting.archive.add(Candidate(**{**vars(candidate), **failed})))
                number = self.sitting.next()
                random_ = self.sitting.chance(number)
                continue
            self.sitting.charge(trial.spent)
            return self.sitting.archive.add(Candidate(**{**vars(candidate), "ledger": charged({}, trial.spent)}))
        return None

    def _picked(self, origin: Candidate, edits: Sequence[Edit], random_: random.Random) -> int:
        if self.roles.designer is None or len(edits) < 2:
            return 0
        critique = said(findings(origin)) if self.sitting.conditions.shows.text_feedback else ""
        try:
            place, asked = self.roles.designer.pick(plan_of(origin), critique, edits, random_)
        except ModelError as error:
            if error.code in HOPELESS:
                raise
            return 0
        self.sitting.charge_meta(asked)
        return place
