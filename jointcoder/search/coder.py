"""The coder: makes a plan run (MedDCR's second role), with the designer's help where it does not.

    coder = PlanCoder(designer, lab, languages=("en",))
    made = coder.realise(written, trial=item)               Made(plan, workflow, attempts, …)

The draft's steps are settled in the plan's order: the model chooses their dials (and writes the source of programs,
where they are allowed), the plan is compiled, its wiring checked, and the workflow run on one note. Whatever goes
wrong goes back to the model in words, until it runs or the retries are used up (JC438, JC439). Not the score's
business.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jointcoder.corpora import Labelled
from jointcoder.errors import JointCoderError, ModelError, WorkflowError, name_list
from jointcoder.llm.base import Context, Prompt
from jointcoder.search.designer import Designer, Written, dials_of, tokens_of
from jointcoder.search.grammar import Draft, plan_of, program_tools, settings_schema, shown_draft
from jointcoder.search.join import join
from jointcoder.search.lab import Lab, Ran
from jointcoder.search.menu import Menu
from jointcoder.search.nodes import Tokens
from jointcoder.search.plan import Plan
from jointcoder.search.prompting import Way, fitted
from jointcoder.search.space import table
from jointcoder.workflow.spec import Workflow

RETRIES = 3
SETTING_TOKENS = 320
SOURCE_TOKENS = 1200
SOURCE_SCHEMA = {
    "type": "object",
    "properties": {"source": {"type": "string", "minLength": 20, "maxLength": 4000}},
    "required": ["source"],
    "additionalProperties": False,
}
Known = Callable[[str], int | None]  # hash → number of the candidate that has it


@dataclass(frozen=True)
class Made:
    """A plan that runs, as a workflow; ``attempts``: how often the designer mended it, and ``problems``: why;
    ``joined``: what was added or left out to make the nodes join up; ``repeats``: how often it was a known plan."""

    plan: Plan
    workflow: Workflow
    trial: Ran
    attempts: int = 0
    problems: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    meta: Tokens = field(default_factory=Tokens)
    repeats: int = 0


@dataclass(frozen=True)
class Failed:
    """A plan that never ran: its last form as far as there is one, and the last error."""

    error: JointCoderError
    plan: Plan | None
    attempts: int
    problems: tuple[str, ...]
    meta: Tokens
    repeats: int = 0


class PlanCoder:
    """See the module."""

    def __init__(self, designer: Designer, lab: Lab, *, languages: Sequence[str], retries: int = RETRIES) -> None:
        self.designer, self.lab = designer, lab
        self.languages, self.retries = tuple(languages), retries

    def realise(
        self,
        written: Written,
        name: str,
        *,
        trial: Labelled,
        known: Known = lambda _: None,
        random_: random.Random | None = None,
    ) -> Made | Failed:
        """The written plan as a workflow that runs on ``trial`` and is none of those ``known``; ``random_`` draws what
        a plan that is known must use instead. Raises ModelError where the engine itself fails (JC301, JC305 …)."""
        meta, problems = written.asked, list[str]()
        plan: Plan | None = None
        repeats = 0
        for attempt in range(self.retries + 1):
            repeated = False
            try:
                draft = _readable(written)
                settings, cost = self._settings(draft)
                meta += cost
                sources, cost = self._sources(draft)
                meta += cost
                plan = plan_of(draft, settings, self.designer.space, sources=sources)
                plan, joined = join(plan, self.designer.space)
                workflow = self.compile(plan, name)
                if (twin := known(workflow.hash)) is not None:
                    repeated, repeats = True, repeats + 1
                    raise WorkflowError("JC436", f"this is plan {twin} again; change something")
                ran = self.lab.trial(workflow, trial)
                return Made(plan, workflow, ran, attempt, tuple(problems), tuple(joined), meta, repeats)
            except JointCoderError as error:
                if isinstance(error, ModelError) and error.code not in ("JC304", "JC439", "JC440"):
                    raise
                last = error
                problems.append(f"{error.code}: {error.message}")
            if attempt < self.retries:
                written = self.designer.fix(written.draft, problems[-1], self._menu(written, repeated, random_))
                meta += written.asked
        return Failed(last, plan, self.retries, tuple(problems), meta, repeats)

    def _menu(self, written: Written, repeated: bool, random_: random.Random | None) -> Menu | None:
        """The menu of the next try: the same, but another where the plan was known already."""
        if not repeated or random_ is None or written.draft is None:
            return written.menu
        space = self.designer.space
        menu = written.menu or Menu(tuple(space))
        return menu.other(space, {step["use"] for step in written.draft["steps"]}, random_)

    def compile(self, plan: Plan, name: str) -> Workflow:
        """The workflow of a plan. Raises WorkflowError: what :meth:`Plan.workflow` raises, JC436 for nodes whose work
        nobody uses."""
        workflow = plan.workflow(name, languages=self.languages)
        if idle := plan.idle():
            raise WorkflowError("JC436", f"nothing uses what {name_list(idle)} gives")
        return workflow

    def _settings(self, draft: Draft) -> tuple[list[str], Tokens]:
        """Which dials the model turns, each at most once; none where the draft's steps have none."""
        schema = settings_schema(draft, self.designer.space)
        if schema is None:
            return [], Tokens()
        used = dict.fromkeys(step["use"] for step in draft["steps"])
        parts = [self.designer.space[use] for use in used if use in self.designer.space]
        lines = "\n".join(f"{part.name}: {dials_of(part)}" for part in parts if part.dials)
        words = self.designer.words

        def way(leaves_out: str, dials: str) -> Way:
            text = words("designer", "settings", plan=shown_draft(draft), dials=dials)
            return Way(leaves_out, lambda: self._prompt(text))

        ways = [way("", lines), way("dials", "…")]
        found = fitted(self.designer.model, ways, max_tokens=SETTING_TOKENS)
        (answer,) = self.designer.model.generate([found.prompt], schema, max_tokens=SETTING_TOKENS)
        chosen = (answer.value or {}).get("settings", [])  # an answer that cannot be read keeps the defaults
        return list({name.partition("=")[0]: name for name in chosen}.values()), tokens_of(answer)

    def _sources(self, draft: Draft) -> tuple[Mapping[int, str], Tokens]:
        """The programs of those tools that are to be one."""
        sources: dict[int, str] = {}
        meta = Tokens()
        for number in program_tools(draft):
            tool = draft["tools"][number - 1]
            inputs = [one for one in (tool["input"], tool["also"]) if one in table()["tools"]["program_inputs"]]
            text = self.designer.words(
                "designer",
                "program",
                number=number,
                plan=draft["idea"],
                purpose=tool["purpose"],
                inputs=", ".join(inputs),
                output=tool["output"],
            )
            prompt = self._prompt(text)
            (answer,) = self.designer.model.generate([prompt], SOURCE_SCHEMA, max_tokens=SOURCE_TOKENS)
            meta += tokens_of(answer)
            sources[number] = (answer.value or {}).get("source", "")
        return sources, meta

    def _prompt(self, instruction: str) -> Prompt:
        return Prompt(Context(system=self.designer.words("designer", "system")), instruction)


def _readable(written: Written) -> Draft:
    if written.draft is None:
        raise ModelError("JC439", f"no plan could be read ({written.problem})")
    return written.draft
