"""prioritise: which code is principal, and the order of the rest.

An additive score from the rules (data: ``steps/data/prioritise.toml``, with their guideline sections) orders the
codes; the model's choice among the best of them is added as a log-probability. What each part adds stays with the code
as its reasons, so that the choice of the principal can be read. Nothing is dropped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from jointcoder.llm.base import Choice, Question
from jointcoder.records import Assertion, AssignedCode, Mention, Reason
from jointcoder.steps import base
from jointcoder.steps.base import Choose, Run, State, Tools, Update
from jointcoder.steps.common import chunk_of, logit, ranked, record_context, step_data
from jointcoder.steps.prompting import LETTERS
from jointcoder.steps.told import IMPLIED, SOURCE
from jointcoder.text.sections import section_kind

if TYPE_CHECKING:
    from jointcoder.text.chunks import Chunk


LIST = "list"
COURSE = (SOURCE, IMPLIED)
LIFT = 0.01  # log-odds by which a code that comes before another one is lifted over it


class PrioritiseOptions(base.KindOptions):
    """``shown``: how many codes the model chooses among; ``model_weight``: log-odds per unit of log-probability."""

    ask_model: bool = True
    shown: int = Field(default=8, ge=2, le=20)
    model_weight: float = Field(default=0.5, ge=0, le=5)


class Prioritise(base.KindStep):
    """Order by rules and model; the first is principal."""

    name: ClassVar[str] = "prioritise"
    purpose: ClassVar[str] = "principal first, then by importance"
    Options: ClassVar[type[base.StepOptions]] = PrioritiseOptions
    options: PrioritiseOptions

    also_reads = base.KindStep.also_reads | {"mentions"}

    @property
    def asks(self) -> bool:
        return self.options.ask_model

    def run(self, state: State, tools: Tools) -> Run:
        codes: tuple[AssignedCode, ...] = getattr(state, self.slot)
        mentions = {mention.id: mention for mention in state.mentions}
        places = places_of(codes, mentions)
        reasons = {code.code: contributions(code, places[code.code], mentions, codes) for code in codes}
        scores = {code: sum(reason.weight for reason in own) for code, own in reasons.items()}
        order = by_score(codes, scores)
        before(order, scores, reasons)
        order = by_score(codes, scores)
        asked = self.options.ask_model and len(order) > 1
        if asked:
            shown = sorted(order[: self.options.shown], key=lambda code: code.code)
            prompts = tools.prompts(state.language)
            lines = "\n".join(f"{letter}. {code.name}" for letter, code in zip(LETTERS, shown, strict=False))
            text = prompts("prioritise", self.options.kind.value, options=lines)
            context = record_context(state, opening_chunk(state, order), tools)
            answers: list[Choice] = yield Choose(context, [Question(text, LETTERS[: len(shown)])])
            said = dict(zip((code.code for code in shown), answers[0].logprobs, strict=True))
            least = min(answers[0].logprobs)  # of those not shown: below everything that was
            for code in order:
                value = said.get(code.code, least)
                reasons[code.code].append(reason("model", value, self.options.model_weight))
                scores[code.code] += self.options.model_weight * value
            order = by_score(codes, scores)
        done = [code.with_(stages=(*code.stages, self.name), order=tuple(reasons[code.code])) for code in order]
        return Update({self.slot: ranked(done)}, notes={"asked": asked})


def places_of(codes: Sequence[AssignedCode], mentions: Mapping[str, Mention]) -> dict[str, int]:
    """The place of each code: in the record's own list for what it lists, in the text for the rest."""
    listed = [code for code in codes if _listed(code, mentions)]
    listed.sort(key=lambda code: min(_begin(m) for m in _own(code, mentions) if m.source == LIST))
    places = {code.code: place for place, code in enumerate(in_text(codes))}
    return places | {code.code: place for place, code in enumerate(listed)}


def _own(code: AssignedCode, mentions: Mapping[str, Mention]) -> list[Mention]:
    return [mentions[m] for m in code.mentions if m in mentions]


def _listed(code: AssignedCode, mentions: Mapping[str, Mention]) -> bool:
    return any(m.source == LIST for m in _own(code, mentions))


def _begin(mention: Mention) -> tuple[int, int]:
    return (mention.span.document, mention.span.start)


def in_text(codes: Sequence[AssignedCode]) -> list[AssignedCode]:
    """By first evidence: document, then offset; codes without evidence last."""

    def place(code: AssignedCode) -> tuple[int, int, str]:
        first = min(((s.document, s.start) for s in code.evidence), default=(10**6, 0))
        return (*first, code.code)

    return sorted(codes, key=place)


def by_score(codes: Sequence[AssignedCode], scores: dict[str, float]) -> list[AssignedCode]:
    """Best first; equal scores by code."""
    return sorted(codes, key=lambda code: (-scores[code.code], code.code))


def rule_score(
    code: AssignedCode, place: int, mentions: Mapping[str, Mention], codes: Sequence[AssignedCode] = ()
) -> float:
    """Log-odds of being principal by the rules alone; ``place``: see :func:`places_of`; ``codes``: the record's."""
    return sum(reason.weight for reason in contributions(code, place, mentions, codes))


def contributions(
    code: AssignedCode, place: int, mentions: Mapping[str, Mention], codes: Sequence[AssignedCode]
) -> list[Reason]:
    """What speaks for and against a code as the principal one, each with what it adds to the log-odds."""
    table = step_data("prioritise")
    weights = table["weights"]
    own = _own(code, mentions)
    if own and all(m.source in COURSE for m in own):
        found = [reason("course", 1.0, weights["course"])]
    else:
        position = "listed_position" if _listed(code, mentions) else "text_position"
        found = [reason(position, place, weights[position])]
    found.append(reason("confidence", logit(code.confidence), weights["confidence"]))
    signs = {
        "definitive": any(section_kind(m.section) == "definitive" for m in own),
        "complaint": any(m.section == "chief_complaint" for m in own),
        "historical": code.assertion is Assertion.HISTORICAL,
        "possible": code.assertion is Assertion.POSSIBLE,
    }
    for rule in ("never", "unlikely"):
        signs[rule] = code.code.startswith(tuple(table[rule].get(code.system.value, ())) or ("\0",))
    found += [reason(sign, 1.0, weights[sign]) for sign, holds in signs.items() if holds]
    return found + [reason(rule["id"], 1.0, rule["weight"]) for rule in table["rule"] if applies(rule, code, codes)]


def applies(rule: Mapping[str, Any], code: AssignedCode, codes: Sequence[AssignedCode]) -> bool:
    """Whether a rule of the table speaks of ``code`` among ``codes``."""
    if code.system != rule["system"] or not code.code.startswith(tuple(rule["of"])):
        return False
    others = [other for other in codes if other.code != code.code and other.system is code.system]
    beside = tuple(rule.get("beside", ()))
    return not beside or any(other.code.startswith(beside) for other in others)


def before(order: Sequence[AssignedCode], scores: dict[str, float], reasons: Mapping[str, list[Reason]]) -> None:
    """Lift what the rules put before another code over it, in ``scores`` and ``reasons``."""
    for rule in step_data("prioritise")["before"]:
        own = [code for code in order if code.system == rule["system"]]
        first = next((code.code for code in own if code.code.startswith(tuple(rule["first"]))), None)
        then = [code.code for code in own if code.code.startswith(tuple(rule["then"]))]
        if first is None or not then:
            continue
        gap = max(scores[code] for code in then) - scores[first]
        if gap >= 0:
            scores[first] += gap + LIFT
            reasons[first].append(reason(rule["id"], 1.0, gap + LIFT))


def reason(feature: str, value: float, weight: float) -> Reason:
    """A contribution to the order."""
    return Reason(feature=feature, value=value, weight=weight * value)


def opening_chunk(state: State, codes: Sequence[AssignedCode]) -> Chunk:
    """The part of the record to show: where the best code's first evidence stands."""
    spans = [span for code in codes for span in code.evidence]
    return state.chunks[chunk_of(spans[0], state.chunks) if spans else 0]
