"""The designer: shown the archive, it writes a new plan (MedDCR's first role).

    designer = Designer(model, space, Words("en"), Shows())
    written = designer.design(View(best=…, recent=…))       written.draft: JSON of the form in grammar.py
    designer.fix(draft, "JC402: …", menu)                    the plan again, with what is wrong with it
    designer.pick(plan, critique, edits)                     which of some single edits it would make

It is shown the five best plans by score and the three latest, each with its score and what went wrong, the components,
the guidelines in short, the form of a plan and an example. Each of these can be left out (:class:`Shows`), which is how
their worth is measured. What it reads holds no code: critiques are cleaned when they are made, plans are refused.
Knows no labels and runs nothing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, partial
from importlib.resources import files
from typing import Any

from jointcoder.errors import UsageError, name_list
from jointcoder.llm.base import Context, Generation, LanguageModel, Prompt, Question
from jointcoder.search.grammar import Draft, draft_schema, shown_plan
from jointcoder.search.menu import Menu
from jointcoder.search.mutate import Edit
from jointcoder.search.nodes import Tokens
from jointcoder.search.plan import Plan
from jointcoder.search.prompting import Fitted, Way, Words, fitted, safe
from jointcoder.search.score import Score
from jointcoder.search.space import Part, Space, shown
from jointcoder.steps.prompting import LETTERS

BEST, RECENT = 5, 3
DRAFT_TOKENS = 900
ERROR_CHARACTERS = 300
CRITIQUE_CHARACTERS = 600
SHORT_CRITIQUE = 160


@dataclass(frozen=True)
class Shows:
    """What the designer is shown, each by its name on the command line (``--without top-k``). ``seed``: whether the
    archive begins with known workflows."""

    top_k: bool = True
    recent: bool = True
    score: bool = True
    text_feedback: bool = True
    guideline: bool = True
    exemplar: bool = True
    seed: bool = True

    @classmethod
    def without(cls, names: Sequence[str]) -> Shows:
        """Everything but these. Raises UsageError JC001 for an unknown name."""
        known = {one.name.replace("_", "-"): one.name for one in fields(cls)}
        if unknown := [name for name in names if name not in known]:
            raise UsageError("JC001", f"--without {unknown[0]!r}", hint=f"what can be left out: {name_list(known)}")
        return cls(**{known[name]: False for name in names})

    @property
    def left_out(self) -> tuple[str, ...]:
        return tuple(one.name.replace("_", "-") for one in fields(self) if not getattr(self, one.name))


@dataclass(frozen=True)
class Record:
    """One candidate as the designer sees it. ``error``: of a plan that never ran."""

    number: int
    plan: Plan
    score: Score | None = None
    critique: str = ""
    dropped: bool = False
    error: str = ""


@dataclass(frozen=True)
class View:
    """What the archive offers: best by score, and latest, newest last. A plan in both is shown once, among the best."""

    best: tuple[Record, ...] = ()
    recent: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Written:
    """What the designer wrote: a draft (None where nothing could be read, with the reason), tokens, what was left out
    of the prompt to make it fit, and the menu it was written from (None: all components)."""

    draft: Draft | None
    problem: str = ""
    leaves_out: str = ""
    asked: Tokens = field(default_factory=Tokens)
    menu: Menu | None = None


class Designer:
    """See the module. Not for use by two threads at once, as its model is not."""

    def __init__(self, model: LanguageModel, space: Space, words: Words, shows: Shows) -> None:
        self.model, self.space, self.words, self.shows = model, space, words, shows

    def design(self, view: View, menu: Menu | None = None) -> Written:
        """A new plan from the menu. Raises ModelError as the model does, JC440 where no prompt fits."""
        found = fitted(self.model, self._ways(view, menu), max_tokens=DRAFT_TOKENS)
        return self._written(found, menu)

    def fix(self, draft: Draft | None, error: str, menu: Menu | None = None) -> Written:
        """The plan again, after an error. Raises as :meth:`design`."""
        told = safe(error, most=ERROR_CHARACTERS)
        plan = json.dumps(draft, ensure_ascii=False, separators=(",", ":")) if draft else "{}"
        instruction = self.words("designer", "fix", plan=plan, error=told, menu=self._told(menu)).rstrip()

        def way(leaves_out: str, dials: bool, guideline: str) -> Way:
            return Way(leaves_out, lambda: Prompt(self._context(dials, guideline), instruction))

        ways = [way("", True, "text"), way("dials", False, "text"), way("dials, guidelines", False, "")]
        return self._written(fitted(self.model, ways, max_tokens=DRAFT_TOKENS), menu)

    def pick(self, plan: Plan, critique: str, edits: Sequence[Edit], random_: random.Random) -> tuple[int, Tokens]:
        """Which of the edits: scored twice with the letters in another order, so that no letter has an advantage.
        Raises ModelError as the model does."""
        edits = edits[: len(LETTERS)]
        if len(edits) < 2:
            return 0, Tokens()
        told = self.words("designer", "critique", critique=safe(critique, most=CRITIQUE_CHARACTERS)) if critique else ""
        totals = [0.0] * len(edits)
        spent = Tokens()
        order = list(range(len(edits)))
        random_.shuffle(order)
        context = Context(system=self.words("designer", "system"))
        for places in (order, order[::-1]):
            lines = "\n".join(f"{LETTERS[i]}. {edits[place].text}" for i, place in enumerate(places))
            text = self.words("designer", "edit", plan=shown_plan(plan), critique=told, options=lines)
            (choice,) = self.model.choose(context, [Question(text, LETTERS[: len(edits)])])
            for place, logprob in zip(places, choice.logprobs, strict=True):
                totals[place] += logprob
            spent += Tokens(1, choice.usage.prompt_tokens, 0)
        return max(range(len(edits)), key=lambda i: (totals[i], -i)), spent

    # ------------------------------------------------------------------------------------------------- the prompt

    def _ways(self, view: View, menu: Menu | None) -> Iterator[Way]:
        """Ever shorter prompts: remarks first, then dials, then records, then the guidelines."""
        for leaves_out, critique, best, recent, dials, guideline in (
            ("", CRITIQUE_CHARACTERS, BEST, RECENT, True, "text"),
            ("remarks shortened", SHORT_CRITIQUE, BEST, RECENT, True, "text"),
            ("remarks shortened, dials", SHORT_CRITIQUE, BEST, RECENT, False, "text"),
            ("remarks shortened, dials, guidelines shortened", SHORT_CRITIQUE, BEST, RECENT, False, "short"),
            ("remarks, dials, guidelines shortened, plans beyond 2 + 1", 0, 2, 1, False, "short"),
            ("remarks, dials, guidelines, plans beyond 1", 0, 1, 0, False, ""),
        ):
            yield Way(leaves_out, partial(self._prompt, view, menu, critique, best, recent, dials, guideline))

    def _prompt(
        self, view: View, menu: Menu | None, critique: int, best: int, recent: int, dials: bool, guideline: str
    ) -> Prompt:
        told = self._archive(view, critique, best, recent)
        return Prompt(
            self._context(dials, guideline), f"{told}\n\n{self.words('designer', 'ask', menu=self._told(menu))}"
        )

    def _told(self, menu: Menu | None) -> str:
        return self.words("designer", "menu", uses=", ".join(menu.uses), lead=menu.lead) if menu else ""

    def _context(self, dials: bool, guideline: str) -> Context:
        """What does not change from one design to the next: read once, kept by the engine."""
        lines = [self._line(part, dials=dials) for part in self.space.values()]
        parts = [self.words("designer", "components", components="\n".join(lines))]
        if self.shows.guideline and guideline:
            parts.append(self.words("designer", "guideline", guideline=self.words("guideline", guideline)))
        parts.append(self.words("designer", "format"))
        if self.shows.exemplar:
            parts.append(self.words("designer", "exemplar", plan=json.dumps(_exemplar(self.space), ensure_ascii=False)))
        return Context(text="\n\n".join(parts), system=self.words("designer", "system"))

    def _line(self, part: Part, *, dials: bool) -> str:
        marks = [self.words("designer", "per_kind")] if part.per_kind else []
        marks += [self.words("designer", "asks")] if part.asks else []
        named = f"{part.name} ({', '.join(marks)})" if marks else part.name
        line = f"{named}: {part.purpose}; {', '.join(part.reads) or '-'} -> {', '.join(part.writes)}"
        return f"{line}; {', '.join(part.dials)}" if dials and part.dials else line

    def _archive(self, view: View, critique: int, best: int, recent: int) -> str:
        parts: list[str] = []
        top = view.best[:best] if self.shows.top_k else ()
        late = view.recent[-recent:] if self.shows.recent and recent else ()
        late = tuple(record for record in late if record.number not in {one.number for one in top})
        for heading, records in (("top", top), ("recent", late)):
            if records:
                shown_ = "\n\n".join(self._record(record, critique) for record in records)
                parts.append(f"{self.words('designer', heading)}\n{shown_}")
        if not parts:
            parts.append(self.words("designer", "none"))
        elif self.shows.text_feedback and critique < CRITIQUE_CHARACTERS:
            parts.append(self.words("designer", "shortened"))
        return "\n\n".join(parts)

    def _record(self, record: Record, critique: int) -> str:
        say = self.words
        first = say("designer", "unscored", number=record.number)
        if record.score and self.shows.score:
            figures = {
                name: f"{getattr(record.score, name):.3f}" for name in ("f1", "precision", "recall", "compliance")
            }
            first = say(
                "designer",
                "record",
                number=record.number,
                score=f"{record.score.objective:.3f}",
                tokens=round(record.score.tokens),
                notes=record.score.n,
                **figures,
            )
        lines = [first, say("designer", "workflow", plan=shown_plan(record.plan))]
        if record.dropped and record.score and self.shows.score:
            lines.append(say("designer", "dropped", notes=record.score.n))
        if record.error:
            lines.append(say("designer", "failed", error=safe(record.error, most=ERROR_CHARACTERS)))
        if record.critique and self.shows.text_feedback and critique:
            lines.append(say("designer", "critique", critique=safe(record.critique, most=critique)))
        return "\n".join(lines)

    def _written(self, found: Fitted, menu: Menu | None) -> Written:
        schema = draft_schema(self.space, menu.uses if menu else None)
        (answer,) = self.model.generate([found.prompt], schema, max_tokens=DRAFT_TOKENS)
        usage = tokens_of(answer)
        if answer.value is None:
            problem = answer.problem or "the answer was cut before a whole plan stood"
            return Written(None, f"{answer.error}: {problem}", found.leaves_out, usage, menu)
        return Written(answer.value, "", found.leaves_out, usage, menu)


def dials_of(part: Part) -> str:
    """The dials of a component with their settings, the default marked."""
    return "; ".join(
        f"{dial.name} "
        + " ".join(f"{shown(value)}*" if value == dial.default else shown(value) for value in dial.settings)
        for dial in part.dials.values()
    )


def tokens_of(answer: Generation) -> Tokens:
    """What a generation took of the engine."""
    usage = answer.usage
    return Tokens(2 if answer.repaired else 1, usage.prompt_tokens - usage.reused_tokens, usage.generated_tokens)


@cache
def _example() -> Mapping[str, Any]:
    data: dict[str, Any] = json.loads((files("jointcoder.search") / "data" / "exemplar.json").read_text("utf-8"))
    return data


def _exemplar(space: Space) -> dict[str, Any]:
    """The example as far as the space knows its components: without a model it has no tools."""
    draft = _example()["draft"]
    tools = draft["tools"] if space.tools else []
    steps = [step for step in draft["steps"] if step["use"] in space or (tools and step["use"].startswith("tool"))]
    return {**draft, "tools": tools, "steps": steps}
