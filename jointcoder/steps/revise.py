"""revise: the model reconsiders the drafts in view of the remarks about them, and names what is missing.

The other half of self-refinement (Madaan 2023); ``critique`` writes the remarks. Drafts without a remark stay as they
are; each of the others is put to the model with what speaks against it. What is missing is named, not coded:
``tabular_index_search`` with ``by = ["revise*"]`` and ``add = true`` looks it up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import ClassVar

from pydantic import Field

from jointcoder.llm.base import Generation, Prompt
from jointcoder.records import AssignedCode, Flag, Verdict
from jointcoder.steps import base, confidence, showing
from jointcoder.steps.base import CODE_SLOTS, Generate, Run, State, Tools, Update
from jointcoder.steps.both import CodesStep, KindsOptions
from jointcoder.steps.choosing import ask_about
from jointcoder.steps.common import record_context
from jointcoder.steps.proposals import Proposed, Written, name_format, name_language, name_schema, read_names


class ReviseOptions(KindsOptions):
    """``heed``: patterns of those whose remarks are heard; ``keep``: confidence below which a remarked draft is
    dropped; ``missing``: whether the model names what is missing; ``label``: under which name its proposals go, to tell
    the rounds of one workflow apart."""

    heed: tuple[str, ...] = ("critique*",)
    keep: float = Field(default=0.5, ge=0, le=1)
    missing: bool = True
    max_items: int = Field(default=8, ge=1, le=60)
    max_tokens: int = Field(default=240, ge=32, le=4096)
    label: str = Field(default="revise", pattern="^[a-z][a-z0-9_]{0,30}$")


class Revise(CodesStep):
    """Drafts reconsidered, missing ones named."""

    name: ClassVar[str] = "revise"
    purpose: ClassVar[str] = "drafts reconsidered in view of remarks; what is missing is named"
    Options: ClassVar[type[base.StepOptions]] = ReviseOptions
    options: ReviseOptions
    also_reads = CodesStep.also_reads | {"texts"}

    @property
    def writes(self) -> frozenset[str]:
        return super().writes | ({"proposals"} if self.options.missing else frozenset())

    @property
    def asks(self) -> bool:
        return True

    def run(self, state: State, tools: Tools) -> Run:
        prompts = tools.prompts(state.language)
        remarks = [one for one in state.texts if any(fnmatchcase(one.by, pattern) for pattern in self.options.heed)]
        about = by_code(remarks)
        values: dict[str, object] = {}
        asked = dropped = 0
        for kind, drafts in self.drafts(state, tools):
            doubted = [draft for draft in drafts if (draft.system, draft.code) in about]
            said = {draft.name: " ".join(about[draft.system, draft.code]) for draft in doubted}

            def text(name: str, evidence: str, said: Mapping[str, str] = said) -> str:
                return prompts("revise", "keep", name=name, evidence=evidence, remarks=said.get(name, name))

            answers = yield from ask_about(doubted, state, tools, text)
            revised = []
            for draft in drafts:
                one = answers.get(draft.code)
                if one is None:
                    revised.append(draft)
                    continue
                sure = confidence.with_verdict(draft.confidence, one.yes, one.baseline)
                verdict = Verdict(step=self.name, question="stays", answer=one.choice.best, probability=one.yes)
                if sure >= self.options.keep:
                    revised.append(draft.with_(confidence=sure, verdicts=(*draft.verdicts, verdict)))
            asked += len(answers)
            dropped += len(drafts) - len(revised)
            values[CODE_SLOTS[kind]] = self.passed(revised)
        flags: tuple[Flag, ...] = ()
        notes = {"asked": asked, "dropped": dropped}
        if self.options.missing and (kinds := self.coded(tools)):
            kept = {slot: value for slot, value in values.items() if slot in CODE_SLOTS.values()}
            shown = showing.listing(state.updated(Update(kept)), tools, ("codes",), kinds)
            general = "\n".join(one.text for one in remarks if not one.about)
            question = prompts("revise", "missing", remarks=general)
            instruction = "\n\n".join([shown.text, question, name_format(prompts, kinds)])
            parts = [Prompt(record_context(state, chunk, tools), instruction) for chunk in state.chunks]
            schema = name_schema(prompts, kinds, self.options.max_items)
            written: list[Generation] = yield Generate(parts, schema, self.options.max_tokens)
            named = read_names(
                state,
                state.chunks,
                written,
                kinds=kinds,
                by=self.options.label,
                language=name_language(prompts),
            )
            new = new_ones(named.proposals, state)
            values["proposals"] = new
            flags = (*shown.flags(self.name), *named.flags(self.name))
            notes["named"] = len(new)
        return Update(values, flags, notes)


def by_code(remarks: Sequence[Written]) -> dict[tuple[str, str], list[str]]:
    """(system, code) → the remarks about that draft, each once."""
    found: dict[tuple[str, str], list[str]] = {}
    for remark in remarks:
        for key in remark.about:
            if remark.text not in found.setdefault(key, []):
                found[key].append(remark.text)
    return found


def new_ones(proposals: Sequence[Proposed], state: State) -> tuple[Proposed, ...]:
    """The names that nobody has proposed yet and that no draft bears."""
    coded: list[AssignedCode] = [*state.diagnoses, *state.procedures]
    known = {(p.kind, p.levelled) for p in state.proposals} | {(c.kind, c.name.casefold()) for c in coded}
    return tuple(one for one in proposals if (one.kind, one.levelled) not in known)
