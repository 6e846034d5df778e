"""validate: is each draft supported by the record as a coded condition or a performed procedure of this stay?

Yes/no questions about the drafts that are near the cut, asked together after the part of the record that holds the
draft's evidence. The verdict moves the draft's log-odds; what falls below ``keep`` is dropped and counted. The
model's lean towards yes is measured with one question about nothing in particular and taken off (contextual
calibration, Zhao 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from jointcoder.llm.base import Choice, Question
from jointcoder.records import AssignedCode, Flag, Mention, Span, Verdict
from jointcoder.steps import base, confidence
from jointcoder.steps.base import Choose, Run, State, Tools, Update
from jointcoder.steps.common import chunk_of, ranked, record_context
from jointcoder.text.chunks import Chunk
from jointcoder.text.segment import sentences as sentences_of

PLACEHOLDER = "N/A"


class ValidateOptions(base.KindOptions):
    """``keep``: confidence below which a draft is dropped; ``band``: only drafts this near to ``keep`` are put to
    the model; ``unsure``: kept ones this near are flagged for review; ``trust_lists``: drafts from the record's own
    lists are never dropped; ``sentences``: show the model only the sentence of the draft's first evidence and so many
    on either side (None: the whole part of the record), which adapters for short contexts are trained on."""

    keep: float = Field(default=0.5, ge=0, le=1)
    band: float = Field(default=0.3, ge=0, le=1)
    unsure: float = Field(default=0.1, ge=0, le=0.5)
    trust_lists: bool = True
    sentences: int | None = Field(default=None, ge=0, le=20)


class Validate(base.KindStep):
    """Model verdict on every draft, and the cut."""

    name: ClassVar[str] = "validate"
    purpose: ClassVar[str] = "evidence and verdict per draft; unsupported drafts dropped"
    Options: ClassVar[type[base.StepOptions]] = ValidateOptions
    options: ValidateOptions

    also_reads = base.KindStep.also_reads | {"sections", "mentions"}

    @property
    def asks(self) -> bool:
        return self.options.band > 0

    def run(self, state: State, tools: Tools) -> Run:
        drafts: Sequence[AssignedCode] = getattr(state, self.slot)
        keep, band = self.options.keep, self.options.band or -1.0  # no band: nothing is asked
        if (learnt := confidence.judged(drafts, state, tools, self.options.kind)) is not None:
            # Coded history judges: the model's verdict has no part in what it learnt, and is not asked for.
            drafts, keep, band = learnt, confidence.threshold(tools, self.options.kind), -1.0
        prompts = tools.prompts(state.language)
        options = (prompts("shared", "yes"), prompts("shared", "no"))
        mentions = {mention.id: mention for mention in state.mentions}
        judged = {draft.code: draft.with_(stages=(*draft.stages, self.name)) for draft in drafts}
        near = [draft for draft in drafts if abs(draft.confidence - keep) <= band]
        for chunk, members in by_part(near, state, self.options.sentences).items():
            texts = [question_text(draft, tools, state.language) for draft in members]
            texts.append(prompts("validate", self.options.kind.value, name=PLACEHOLDER, mention=PLACEHOLDER))
            questions = [Question(text, options) for text in texts]
            context = record_context(state, chunk, tools)
            answers: list[Choice] = yield Choose(context, questions)
            baseline = answers[-1].probability(options[0])
            for draft, answer in zip(members, answers, strict=False):
                judged[draft.code] = with_answer(judged[draft.code], answer, baseline)
        kept = [judged[draft.code] for draft in drafts if self._keeps(judged[draft.code], mentions, keep)]
        unsure = sum(abs(code.confidence - keep) < self.options.unsure for code in kept)
        flags: tuple[Flag, ...] = ()
        if unsure:
            flags = (
                Flag(
                    code="JC605",
                    step=self.name,
                    message=f"{unsure} {self.options.kind} codes are near the cut",
                ),
            )
        return Update({self.slot: ranked(kept)}, flags, {"asked": len(near), "dropped": len(drafts) - len(kept)})

    def _keeps(self, draft: AssignedCode, mentions: dict[str, Mention], keep: float) -> bool:
        listed = any(mentions[m].source == "list" for m in draft.mentions if m in mentions)
        return draft.confidence >= keep or (self.options.trust_lists and listed)


def question_text(draft: AssignedCode, tools: Tools, language: str) -> str:
    """The yes/no question about a draft: by its own words, or as a companion of other codes."""
    prompts = tools.prompts(language)
    if not draft.mentions:
        return prompts("validate", "companion", name=draft.name)
    quote = draft.evidence[0].quote if draft.evidence else draft.name
    return prompts("validate", draft.kind.value, name=draft.name, mention=quote)


def by_part(drafts: Sequence[AssignedCode], state: State, sentences: int | None) -> dict[Chunk, list[AssignedCode]]:
    """Drafts by the part of the record in which their first evidence stands, parts in order. A part is a chunk, or with
    ``sentences`` what :func:`sentences_around` gives; drafts without evidence are asked about after the first chunk."""
    numbers: dict[int, list[AssignedCode]] = {}
    parts: dict[Chunk, list[AssignedCode]] = {}
    for draft in drafts:
        if draft.evidence and sentences is not None:
            parts.setdefault(sentences_around(draft.evidence[0], state, sentences), []).append(draft)
        else:
            number = chunk_of(draft.evidence[0], state.chunks) if draft.evidence else 0
            numbers.setdefault(number, []).append(draft)
    return {state.chunks[number]: members for number, members in sorted(numbers.items())} | dict(
        sorted(parts.items(), key=lambda part: part[0].pieces)
    )


def sentences_around(span: Span, state: State, count: int) -> Chunk:
    """The sentences that the span touches and ``count`` on either side, as a part of the record."""
    text = state.encounter.documents[span.document].text
    found = sentences_of(text, state.language)
    touched = [place for place, (start, end) in enumerate(found) if start < span.end and span.start < end]
    if not touched:
        return Chunk(((span.document, span.start, span.end),))
    first, last = max(0, touched[0] - count), min(len(found) - 1, touched[-1] + count)
    return Chunk(((span.document, found[first][0], found[last][1]),))


def with_answer(draft: AssignedCode, answer: Choice, baseline: float) -> AssignedCode:
    """The draft with its verdict and the confidence that follows from it."""
    yes = answer.probability(answer.options[0])
    verdict = Verdict(step="validate", question="documented", answer=answer.best, probability=yes)
    return draft.with_(
        confidence=confidence.with_verdict(draft.confidence, yes, baseline),
        verdicts=(*draft.verdicts, verdict),
    )
