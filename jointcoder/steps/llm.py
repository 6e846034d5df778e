"""llm: a language-model agent that a plan declares: its role, its purpose, what it is shown and what it answers.

    [[step]]
    use = "llm"
    options = { role = "reviewer", purpose = "…", inputs = ["notes", "codes"], output = "verdicts" }

| output | what the agent does | slots it writes |
|---|---|---|
| ``names`` | lists diagnoses and procedures by name, to be looked up | ``proposals`` |
| ``choice`` | chooses for each wording among its candidates, or none | the codes |
| ``verdicts`` | judges each draft code: kept or dropped | the codes |
| ``text`` | writes for other agents: a summary, a critique, a reading | ``texts`` |

``LLMAgentBase.run_text(prompt, role, loops)`` of MedDCR (Zheng et al.) is :func:`run_text`. An agent never writes codes
and is never told one: a plan whose ``role`` or ``purpose`` holds a code is refused (JC420), and a code in what it
writes is taken out (JC421). Without ``purpose`` the role is one of ``prompts/<language>/roles.toml`` and speaks the
record's language; a purpose given in the plan is used as it is.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from jointcoder.llm.base import Context, Generation, Prompt
from jointcoder.records import AssignedCode, Flag, Kind, Verdict
from jointcoder.steps import base, choosing, confidence, showing
from jointcoder.steps.base import CANDIDATE_SLOTS, CODE_SLOTS, Ask, Generate, Run, State, Tools, Update
from jointcoder.steps.both import KindsOptions, KindsStep
from jointcoder.steps.common import ranked
from jointcoder.steps.literals import code_literals, without_literals
from jointcoder.steps.prompting import Prompts
from jointcoder.steps.proposals import Written, name_format, name_language, name_schema, read_names
from jointcoder.steps.select import ask_candidates, chosen_drafts

Output = Literal["names", "choice", "verdicts", "text"]


class LLMOptions(KindsOptions):
    """``role``: who the agent is, as the model is told; ``purpose``: what it is to do, in words, none for a role that
    the program knows; ``inputs``: what it is shown; ``output``: what it answers; ``loops``: how often it answers: with
    names and texts it sees its own earlier answer and corrects it, choices and verdicts are asked with the options in
    another order and averaged; ``keep``: verdicts: the confidence below which a draft is dropped."""

    role: str = Field(min_length=1, max_length=60)
    purpose: str = Field(default="", max_length=800)
    inputs: tuple[showing.Input, ...] = Field(default=("notes",), min_length=1)
    output: Output = "names"
    loops: int = Field(default=1, ge=1, le=4)
    keep: float = Field(default=0.5, ge=0, le=1)
    max_items: int = Field(default=16, ge=1, le=60)
    max_tokens: int = Field(default=400, ge=16, le=4096)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not self.purpose and self.role not in (known := known_roles()):
            raise ValueError(f"a role without purpose must be one of {', '.join(known)}")
        return self

    def worded(self) -> tuple[str, ...]:
        return (self.role, self.purpose)


class LLM(KindsStep):
    """An agent. See the module."""

    name: ClassVar[str] = "llm"
    purpose: ClassVar[str] = "an agent with a role and purpose of the plan's own: names, a choice, verdicts or a text"
    Options: ClassVar[type[base.StepOptions]] = LLMOptions
    options: LLMOptions

    @property
    def reads(self) -> frozenset[str]:
        shown = showing.read_slots(self.options.inputs, self.options.kinds)
        if self.options.output == "choice":
            return shown | self.slots(CANDIDATE_SLOTS) | {"sections", "mentions"}
        return shown | (self.slots() | {"chunks"} if self.options.output == "verdicts" else frozenset())

    @property
    def writes(self) -> frozenset[str]:
        table = {"names": frozenset({"proposals"}), "text": frozenset({"texts"})}
        return table.get(self.options.output) or self.slots()

    @property
    def asks(self) -> bool:
        return True

    @property
    def by(self) -> str:
        """Under which name its proposals and texts go."""
        return f"{self.name}:{self.options.role}"

    def run(self, state: State, tools: Tools) -> Run:
        kinds = self.coded(tools)
        if not kinds:
            return Update()
        agent = Agent.of(self.options.role, self.options.purpose, tools.prompts(state.language))
        shown = showing.listing(state, tools, self.options.inputs, kinds)
        ways = {"names": self._names, "text": self._text, "choice": self._choice, "verdicts": self._verdicts}
        update: Update = yield from ways[self.options.output](state, tools, kinds, agent, shown.text)
        return Update(update.values, (*shown.flags(self.name), *update.flags), {"role": agent.title, **update.notes})

    def _names(self, state: State, tools: Tools, kinds: Sequence[Kind], agent: Agent, shown: str) -> Run:
        prompts = tools.prompts(state.language)
        parts = showing.parts(state, self.options.inputs)
        schema = name_schema(prompts, kinds, self.options.max_items)
        instruction = agent.instruction(shown, name_format(prompts, kinds))
        answers = yield from self._written(state, tools, parts, instruction, schema)
        language = name_language(prompts)
        named = read_names(state, parts, answers, kinds=kinds, by=self.by, language=language)
        return Update({"proposals": named.proposals}, named.flags(self.name), named.notes)

    def _text(self, state: State, tools: Tools, kinds: Sequence[Kind], agent: Agent, shown: str) -> Run:
        prompts = tools.prompts(state.language)
        parts = showing.parts(state, self.options.inputs)
        instruction = agent.instruction(shown, prompts("agents", "prose"))
        answers = yield from self._written(state, tools, parts, instruction, None)
        texts = [without_literals(answer.text) for answer in answers]
        coded = sum(bool(code_literals(answer.text)) for answer in answers)
        flags: tuple[Flag, ...] = ()
        if coded:
            flags = (Flag(code="JC421", step=self.name, message=f"{coded} texts held codes, which were left out"),)
        return Update({"texts": tuple(Written(self.by, text) for text in texts if text.strip())}, flags)

    def _written(
        self, state: State, tools: Tools, parts: Sequence[Any], instruction: str, schema: Any
    ) -> Generator[Ask, list[Any], list[Generation]]:
        """One answer a part; in each further loop the model sees what it wrote and corrects it."""
        prompts = tools.prompts(state.language)
        asked = [Prompt(showing.context(state, part, tools), instruction) for part in parts]
        answers: list[Generation] = []
        for _ in range(self.options.loops):
            if answers:
                asked = [
                    Prompt(one.context, f"{instruction}\n\n{again(answer.text, prompts)}")
                    for one, answer in zip(asked, answers, strict=True)
                ]
            newer: list[Generation] = yield Generate(asked, schema, self.options.max_tokens)
            # An answer that cannot be read does not take the place of one that could.
            answers = [
                old if schema is not None and new.value is None and old.value is not None else new
                for old, new in zip(answers or newer, newer, strict=True)
            ]
        return answers

    def _choice(self, state: State, tools: Tools, kinds: Sequence[Kind], agent: Agent, shown: str) -> Run:
        prompts = tools.prompts(state.language)
        values: dict[str, tuple[AssignedCode, ...]] = {}
        asked = 0

        def text(wording: str, sentence: str, lines: str) -> str:
            return prompts("agents", "choice", mention=wording, sentence=sentence, options=lines)

        for kind in kinds:
            notes = bool({"notes", "sections"} & set(self.options.inputs))
            preface = agent.instruction(shown)
            loops = self.options.loops
            chosen = yield from ask_candidates(state, tools, kind, text, notes=notes, preface=preface, times=loops)
            values[CODE_SLOTS[kind]] = ranked(chosen_drafts(chosen, state, tools, step=self.by))
            asked += len(chosen)
        return Update(values, notes={"asked": asked})

    def _verdicts(self, state: State, tools: Tools, kinds: Sequence[Kind], agent: Agent, shown: str) -> Run:
        prompts = tools.prompts(state.language)
        yes, no = prompts("shared", "yes"), prompts("shared", "no")
        notes = bool({"notes", "sections"} & set(self.options.inputs))
        values: dict[str, tuple[AssignedCode, ...]] = {}
        dropped = 0
        for kind in kinds:
            drafts: tuple[AssignedCode, ...] = getattr(state, CODE_SLOTS[kind])
            heard: dict[str, list[choosing.Judged]] = {}
            for loop in range(self.options.loops):
                order = f"{no} / {yes}" if loop % 2 else f"{yes} / {no}"

                def text(name: str, evidence: str, order: str = order) -> str:
                    return prompts("agents", "verdict", name=name, evidence=evidence, options=order)

                preface = agent.instruction(shown)
                answers = yield from choosing.ask_about(drafts, state, tools, text, notes=notes, preface=preface)
                for code, one in answers.items():
                    heard.setdefault(code, []).append(one)
            judged = [self._judged(draft, heard.get(draft.code, ())) for draft in drafts]
            kept = [draft for draft in judged if draft.confidence >= self.options.keep]
            dropped += len(judged) - len(kept)
            values[CODE_SLOTS[kind]] = ranked(kept)
        return Update(values, notes={"dropped": dropped})

    def _judged(self, draft: AssignedCode, answers: Sequence[choosing.Judged]) -> AssignedCode:
        if not answers:
            return draft
        yes = sum(one.yes for one in answers) / len(answers)
        baseline = sum(one.baseline for one in answers) / len(answers)
        verdict = Verdict(step=self.by, question="supported", answer=answers[0].choice.best, probability=yes)
        return draft.with_(
            confidence=confidence.with_verdict(draft.confidence, yes, baseline),
            verdicts=(*draft.verdicts, verdict),
            stages=tuple(dict.fromkeys((*draft.stages, self.by))),
        )


@dataclass(frozen=True)
class Agent:
    """Who answers, in words. ``title``: the role as the plan names it."""

    title: str
    opening: str
    purpose: str

    @classmethod
    def of(cls, role: str, purpose: str, prompts: Prompts) -> Self:
        """The role of the plan; without a purpose one that the program knows, in the record's language."""
        if not purpose:
            known = prompts.raw("roles", role)
            return cls(role, prompts("agents", "role", role=known["role"]), str(known["purpose"]))
        return cls(role, prompts("agents", "role", role=role), purpose)

    def instruction(self, shown: str, last: str = "") -> str:
        """Role, lists, purpose and form of the answer: what changes stands last."""
        return "\n\n".join(part for part in (self.opening, shown, self.purpose, last) if part)


def known_roles() -> tuple[str, ...]:
    """The roles that need no purpose, sorted."""
    return tuple(sorted(Prompts("en").table("roles")))


def run_text(
    prompt: str, role: str, loops: int, *, prompts: Prompts, context: Context | None = None, max_tokens: int = 400
) -> Generator[Ask, list[Any], str]:
    """MedDCR's ``LLMAgentBase.run_text``: the text that an agent of this role writes, after ``loops`` looks at its own
    answer, codes taken out. A generator of asks, as steps are; ``context``: what the agent sees besides the prompt.

    Raises ValueError where the prompt or the role holds a code.
    """
    if held := code_literals(f"{role}\n{prompt}"):
        raise ValueError(f"the prompt holds {len(held)} codes; models never see or write codes")
    shared = context or Context(system=prompts("shared", "system"))
    instruction = f"{prompts('agents', 'role', role=role)}\n\n{prompt}"
    text = ""
    for _ in range(max(1, loops)):
        more = f"\n\n{again(text, prompts)}" if text else ""
        answers: list[Generation] = yield Generate([Prompt(shared, instruction + more)], None, max_tokens)
        text = answers[0].text
    return without_literals(text)


def again(answer: str, prompts: Prompts) -> str:
    """The model's own earlier answer, shown to it to be corrected."""
    return prompts("agents", "again", answer=without_literals(answer))
