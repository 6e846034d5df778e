"""code_also: companions that a code's instruction asks for, and pairs that become one combination code.

Rules are data with citations (``steps/data/code_also.toml``): *cue* (a word in the record supports a companion),
*group* (the instruction offers several codes and the record decides: the model chooses, or "the record does not
say"; a number that the operation note tells decides without a question), *combine* (two conditions that the
classification presumes linked become one code), *typed* (see :mod:`jointcoder.steps.typed`). Companions are proposals
with their own evidence or verdict; every change carries a Link and a Finding that cites its rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from jointcoder.llm.base import Choice, Question
from jointcoder.records import AssignedCode, Finding, Flag, Kind, Link, Mention, Severity, Span, System, Verdict
from jointcoder.steps import base
from jointcoder.steps.base import CANDIDATE_SLOTS, Choose, Run, State, Tools, Update
from jointcoder.steps.causes import causes
from jointcoder.steps.common import chunk_of, ranked, record_context, span_at, step_data
from jointcoder.steps.map_codes import unique
from jointcoder.steps.prompting import LETTERS
from jointcoder.steps.typed import typed
from jointcoder.steps.vessels import treated
from jointcoder.text.wordings import past

if TYPE_CHECKING:
    from jointcoder.codebook.model import Entry

TOLD = ("problem", "list")  # sources whose wording says what the visit is about
Rule = dict[str, Any]
Group = tuple[Rule, AssignedCode, list[AssignedCode]]  # an instruction, the code it stands at, and what it offers


class CodeAlsoOptions(base.KindOptions):
    """``ask_model``: decide groups by the model (without it groups are left alone); ``keep``: the probability that
    the chosen member of a group must reach; ``cue_confidence``: of a companion supported by a cue word;
    ``cause_confidence``: of a cause of injury that the history tells; ``count_confidence``: of a companion for a number
    that the operation note tells."""

    ask_model: bool = True
    keep: float = Field(default=0.4, ge=0, le=1)
    cue_confidence: float = Field(default=0.6, ge=0, le=1)
    cause_confidence: float = Field(default=0.5, ge=0, le=1)
    count_confidence: float = Field(default=0.8, ge=0, le=1)


class CodeAlso(base.KindStep):
    """Adds companions and combination codes by cited rules."""

    name: ClassVar[str] = "code_also"
    purpose: ClassVar[str] = "companions and combination codes by cited rules"
    Options: ClassVar[type[base.StepOptions]] = CodeAlsoOptions
    options: CodeAlsoOptions
    also_reads = base.KindStep.also_reads | {"sections", "mentions"}

    @property
    def reads(self) -> frozenset[str]:
        return super().reads | {CANDIDATE_SLOTS[self.options.kind]}

    @property
    def asks(self) -> bool:
        return self.options.ask_model

    def run(self, state: State, tools: Tools) -> Run:
        codes: list[AssignedCode] = list(getattr(state, self.slot))
        system = tools.system(self.options.kind)
        before = len(codes)
        codes = combine(codes, self._rules("combine", system), tools, state.language)
        codes = unique(typed(codes, tools, state.language))
        added = list(self._cued(codes, system, state, tools))
        added += self._worded(codes, system, state, tools)
        added += pasts(codes, state, tools, self.options.kind)
        told = causes(codes, state, tools, confidence=self.options.cause_confidence)
        codes = [explained(code, told) for code in codes]
        added += told
        groups = list(self._groups(codes, system, tools))
        counted, groups = self._counted(groups, state) if groups else ([], groups)
        added += counted
        flags = uncounted(groups, self.name) if not self.options.ask_model else ()
        groups = groups if self.options.ask_model else []
        if groups:
            answers = yield from ask_groups(groups, codes, state, tools)
            added += self._decided(groups, answers, codes, tools, state.language)
        codes += [code for code in added if code.code not in {c.code for c in codes}]
        notes = {"added": len(codes) - before, "groups": len(groups)}
        return Update({self.slot: ranked(codes)}, flags, notes)

    def _counted(self, groups: Sequence[Group], state: State) -> tuple[list[AssignedCode], list[Group]]:
        """The members of groups whose number the operation note tells, and the groups that stay open."""
        told = treated(state)
        numbers = {"vessels": told.vessels, "stents": told.stents}
        found: list[AssignedCode] = []
        left: list[Group] = []
        for rule, asking, members in groups:
            number = numbers.get(rule["question"], 0)
            if not number:
                left.append((rule, asking, members))
                continue
            member = members[min(number, len(members)) - 1]
            found.append(
                member.with_(
                    confidence=self.options.count_confidence,
                    evidence=told.spans or asking.evidence,
                    links=(Link(relation="companion_of", system=asking.system, code=asking.code),),
                    checks=(note("code_also.count", (member.code, asking.code), rule["citation"]),),
                    stages=(self.name,),
                )
            )
        return found, left

    def _rules(self, table: str, system: System | None) -> list[Rule]:
        return [rule for rule in step_data("code_also").get(table, []) if rule["system"] == system]

    def _cued(
        self, codes: Sequence[AssignedCode], system: System | None, state: State, tools: Tools
    ) -> Iterable[AssignedCode]:
        cues = tools.prompts(state.language).raw("code_also", "cues")
        for rule in self._rules("cue", system):
            asking = first_with(codes, rule["when"])
            spans = cue_spans(state, cues[rule["cue"]]) if asking else ()
            entry = tools.book.get(System(rule["system"]), rule["add"]) if spans else None
            if asking and entry and entry.billable:
                yield AssignedCode(
                    system=entry.system,
                    code=entry.code,
                    name=tools.book.name(entry.system, entry.code, state.language) or entry.name,
                    confidence=self.options.cue_confidence,
                    evidence=spans,
                    links=(Link(relation="companion_of", system=asking.system, code=asking.code),),
                    checks=(note("code_also.cue", (entry.code, asking.code), rule["citation"]),),
                    stages=(self.name,),
                )

    def _worded(
        self, codes: Sequence[AssignedCode], system: System | None, state: State, tools: Tools
    ) -> Iterable[AssignedCode]:
        """Companions that the wording of a condition asks for: the same evidence, the same confidence."""
        words: dict[str, list[str]] = tools.prompts(state.language).table("code_also").get("words", {})
        for rule in self._rules("worded", system):
            for asking in codes:
                if not asking.code.startswith(tuple(rule["when"])):
                    continue
                own = [m for m in mentions_of(asking, state) if holds(m.name, words.get(rule["word"], []))]
                entry = tools.book.get(System(rule["system"]), rule["add"]) if own else None
                if entry and entry.billable:
                    yield companion(entry, asking, own, rule["citation"], "worded", tools, state.language)
                    break

    def _groups(self, codes: Sequence[AssignedCode], system: System | None, tools: Tools) -> Iterable[Group]:
        seen: set[tuple[str, ...]] = set()
        for rule in self._rules("group", system):
            asking = first_with(codes, rule["when"])
            if asking is None or tuple(rule["add"]) in seen or first_with(codes, rule["add"]):
                continue
            members = [member for prefix in rule["add"] for member in members_of(prefix, asking, tools)]
            if len(members) > 1:
                seen.add(tuple(rule["add"]))
                yield rule, asking, members

    def _decided(
        self,
        groups: Sequence[Group],
        answers: Sequence[Choice],
        codes: Sequence[AssignedCode],
        tools: Tools,
        language: str,
    ) -> Iterable[AssignedCode]:
        for (rule, asking, members), answer in zip(groups, answers, strict=True):
            place = answer.options.index(answer.best)
            probability = answer.probability(answer.best)
            if place >= len(members) or probability < self.options.keep:
                continue
            verdict = Verdict(
                step=self.name, question=rule["question"], answer=members[place].name, probability=probability
            )
            yield members[place].with_(
                confidence=probability,
                evidence=asking.evidence,
                links=(Link(relation="companion_of", system=asking.system, code=asking.code),),
                checks=(note("code_also.group", (members[place].code, asking.code), rule["citation"]),),
                verdicts=(verdict,),
                stages=(self.name,),
            )


def uncounted(groups: Sequence[Group], step: str) -> tuple[Flag, ...]:
    """A flag for instructions that nothing decided."""
    if not groups:
        return ()
    asked = ", ".join(f"{rule['question']} ({asking.code})" for rule, asking, _ in groups)
    return (Flag(code="JC613", step=step, message=f"the record does not tell the number of {asked}"),)


def explained(code: AssignedCode, told: Sequence[AssignedCode]) -> AssignedCode:
    """A draft that is also told as the cause of an injury, with the link and the citation of that."""
    same = next((one for one in told if one.code == code.code), None)
    return code.with_(links=(*code.links, *same.links), checks=(*code.checks, *same.checks)) if same else code


def pasts(codes: Sequence[AssignedCode], state: State, tools: Tools, kind: Kind) -> Iterable[AssignedCode]:
    """The history code of a condition that a problem heading or a list says is over. The condition's own draft stays:
    what is still treated is coded as present, and the judgement comes later."""
    table = step_data("history")
    wordings = {mention.id: " ".join(mention.name.casefold().split()) for mention in state.mentions}
    found = {(wordings.get(c.mention), c.code[:3]): c.score for c in reversed(getattr(state, CANDIDATE_SLOTS[kind]))}
    for code in codes:
        own = [m for m in mentions_of(code, state) if found.get((wordings[m.id], code.code[:3]), 0.0) >= table["least"]]
        over = [m for m in own if m.source in TOLD and is_past(m, state)]
        rule = next((r for r in table["row"] if code.code.startswith(tuple(r["from"]))), None)
        if not over or rule is None or code.system is not System.ICD10CM:
            continue
        entry = tools.book.get(code.system, rule["to"])
        if entry and entry.billable:
            yield companion(entry, code, over, table["citation"], "history", tools, state.language)


def is_past(mention: Mention, state: State) -> bool:
    """Whether the wording, or the heading of which it is the rest, begins by saying that the condition is over."""
    if past(mention.span.quote, state.language):
        return True
    span = mention.span
    return any(
        past(other.span.quote, state.language) == span.quote
        for other in state.mentions
        if other.source == mention.source
        and (other.span.document, other.span.end) == (span.document, span.end)
        and other.span.start < span.start
    )


def companion(
    entry: Entry,
    asking: AssignedCode,
    own: Sequence[Mention],
    citation: str,
    rule: str,
    tools: Tools,
    language: str,
) -> AssignedCode:
    """A code that rests on mentions of the one that asks for it."""
    return AssignedCode(
        system=entry.system,
        code=entry.code,
        name=tools.book.name(entry.system, entry.code, language) or entry.name,
        confidence=asking.confidence,
        evidence=tuple(dict.fromkeys(m.span for m in own)),
        mentions=tuple(m.id for m in own),
        assertion=asking.assertion,
        links=(Link(relation="companion_of", system=asking.system, code=asking.code),),
        checks=(note(f"code_also.{rule}", (entry.code, asking.code), citation),),
        stages=("code_also",),
    )


def mentions_of(code: AssignedCode, state: State) -> list[Mention]:
    """The mentions that a code rests on, in the order of the text."""
    return [mention for mention in state.mentions if mention.id in code.mentions]


def holds(text: str, words: Sequence[str]) -> bool:
    """Whether one of the words stands in the text (whole words for Latin scripts)."""
    edge = [rf"(?<!\w){re.escape(word)}(?!\w)" if word.isascii() else re.escape(word) for word in words]
    return bool(words) and re.search("|".join(edge), text, re.IGNORECASE) is not None


def ask_groups(
    groups: Sequence[Group],
    codes: Sequence[AssignedCode],
    state: State,
    tools: Tools,
) -> Any:
    """One question a group, after the part of the record that holds the asking code's last evidence."""
    prompts = tools.prompts(state.language)
    texts = prompts.raw("code_also", "questions")
    questions = []
    for rule, asking, members in groups:
        names = [member.name for member in members] + [prompts("code_also", "none")]
        lines = "\n".join(f"{letter}. {name}" for letter, name in zip(LETTERS, names, strict=False))
        text = prompts("code_also", "group", name=asking.name, question=texts[rule["question"]], options=lines)
        questions.append(Question(text, LETTERS[: len(names)]))
    evidence = groups[0][1].evidence
    chunk = state.chunks[chunk_of(evidence[-1], state.chunks) if evidence else 0]
    return (yield Choose(record_context(state, chunk, tools), questions))


def members_of(prefix: str, asking: AssignedCode, tools: Tools) -> list[AssignedCode]:
    """The assignable entry that a group's prefix stands for in this edition (``00.45`` is ``00.4500`` in some)."""
    book = tools.book
    for code in (prefix, prefix + "00", prefix + "x00"):
        entry = book.get(asking.system, code)
        if entry and entry.billable:
            return [AssignedCode(system=entry.system, code=entry.code, name=entry.name, confidence=0.0)]
    return []


def combine(codes: Sequence[AssignedCode], rules: Sequence[Rule], tools: Tools, language: str) -> list[AssignedCode]:
    """The codes with every presumed pair put together; the first of the pair gives way to the combination."""
    result = list(codes)
    for rule in rules:
        first, second = first_with(result, rule["first"]), first_with(result, rule["second"])
        if not first or not second or first_with(result, rule.get("unless", [])):
            continue
        entry = tools.book.get(first.system, rule["becomes"])
        if entry is None or not entry.billable:
            continue
        joined = first.with_(
            code=entry.code,
            name=tools.book.name(entry.system, entry.code, language) or entry.name,
            confidence=min(first.confidence, second.confidence),
            evidence=tuple(dict.fromkeys((*first.evidence, *second.evidence))),
            links=(*first.links, Link(relation="with", system=second.system, code=second.code)),
            checks=(*first.checks, note("code_also.combine", (first.code, second.code), rule["citation"])),
            stages=(*first.stages, "code_also"),
        )
        # The combination is sequenced before its second part ("use additional code to specify …").
        place = min(result.index(first), result.index(second))
        result = [code for code in result if code is not first and code.code != entry.code]
        result.insert(place, joined)
    return result


def first_with(codes: Sequence[AssignedCode], prefixes: Sequence[str]) -> AssignedCode | None:
    """The first code that starts with one of the prefixes."""
    return next((code for code in codes if prefixes and code.code.startswith(tuple(prefixes))), None)


def cue_spans(state: State, cues: Sequence[str]) -> tuple[Span, ...]:
    """Where the first cue word stands in the record (whole words for Latin scripts), at most two places."""
    found: list[Span] = []
    pattern = "|".join(rf"(?<!\w){re.escape(cue)}(?!\w)" if cue.isascii() else re.escape(cue) for cue in cues)
    for index, document in enumerate(state.encounter.documents):
        for match in re.finditer(pattern, document.text, re.IGNORECASE):
            found.append(span_at(state.encounter.documents, index, *match.span()))
            if len(found) == 2:
                return tuple(found)
    return tuple(found)


def note(rule: str, codes: tuple[str, ...], citation: str) -> Finding:
    """Why a code was added or changed."""
    return Finding(rule=rule, severity=Severity.ADVICE, codes=codes, message=citation, citation=citation)
