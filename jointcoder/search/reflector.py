"""The reflector: says what went wrong where, tied to steps (MedDCR's third role).

    reflector = Reflector(model, Words("en"))
    findings, tokens = reflector.reflect(plan, seen)        (Finding("validate_diagnoses", "…", "…"), …)
    said(findings)                                          one line for the designer

It is shown the plan, what every step left right, wrong and missing, examples of losses by name, and what the model was
asked and said at the step that lost most. Without a model, or where its answer cannot be used, the findings are counted
from the losses alone. The score is none of its business: that is computed.

What leaks. Gold labels reach this prompt as names, never as codes, and only those of the search set. A finding may name
steps, counts and kinds of wordings; codes that a model writes all the same are taken out before anything is kept, so no
later prompt holds one. A finding may still name a condition. That cannot touch the choice of the final workflow,
which is made on notes that no prompt has seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jointcoder.llm.base import Context, LanguageModel, Prompt
from jointcoder.search.designer import tokens_of
from jointcoder.search.grammar import shown_plan
from jointcoder.search.lab import Ran
from jointcoder.search.losses import Loss, summary
from jointcoder.search.nodes import Tokens
from jointcoder.search.plan import Plan
from jointcoder.search.prompting import Way, Words, fitted, safe

MOST = 3
ANSWER_TOKENS = 420
TEXT = 180  # characters of a finding, and of a remedy
QUOTED = 240  # characters of a request or answer shown
EXAMPLES = 10


@dataclass(frozen=True)
class Finding:
    """``stage``: a step of the plan, or "whole"; ``finding``: what went wrong there; ``advice``: what to change."""

    stage: str
    finding: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Finding:
        """A finding from the archive."""
        return cls(**{name: str(values.get(name, "")) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Seen:
    """What the workflow did on the notes: its runs, worst first, and all losses."""

    runs: tuple[Ran, ...]
    losses: tuple[Loss, ...]


class Reflector:
    """See the module. ``model`` None: findings from the figures alone."""

    def __init__(self, model: LanguageModel | None, words: Words) -> None:
        self.model, self.words = model, words

    def reflect(self, plan: Plan, seen: Seen) -> tuple[tuple[Finding, ...], Tokens]:
        """At most three findings, most important first, and what they took. Raises ModelError as the model does."""
        counted = self.counted(seen.losses)
        if self.model is None or not seen.losses:
            return counted, Tokens()
        ways = [
            self._way("", plan, seen, EXAMPLES, True),
            self._way("transcript", plan, seen, EXAMPLES, False),
            self._way("transcript, most examples", plan, seen, 3, False),
            self._way("transcript, examples", plan, seen, 0, False),
        ]
        found = fitted(self.model, ways, max_tokens=ANSWER_TOKENS)
        (answer,) = self.model.generate([found.prompt], self._schema(plan), max_tokens=ANSWER_TOKENS)
        written = (answer.value or {}).get("critique", [])
        said_ = [
            Finding(one["stage"], *(safe(one[name], most=TEXT) for name in ("finding", "advice"))) for one in written
        ]
        return tuple(one for one in said_ if one.finding)[:MOST] or counted, tokens_of(answer)

    def counted(self, found: Sequence[Loss]) -> tuple[Finding, ...]:
        """The findings that follow from the figures."""
        rows = summary(found)[:MOST]
        return tuple(
            Finding(
                stage or self.words("reflector", "whole"),
                self.words("reflector", f"finding_{kind}", count=n, total=all_),
            )
            for kind, stage, n, all_ in rows
        )

    def _schema(self, plan: Plan) -> dict[str, Any]:
        text = {"type": "string", "maxLength": TEXT}
        item = {
            "type": "object",
            "properties": {
                "stage": {"enum": [*(node.id for node in plan.nodes), "whole"]},
                "finding": text,
                "advice": text,
            },
            "required": ["stage", "finding", "advice"],
            "additionalProperties": False,
        }
        listed = {"type": "array", "items": item, "minItems": 1, "maxItems": MOST}
        return {
            "type": "object",
            "properties": {"critique": listed},
            "required": ["critique"],
            "additionalProperties": False,
        }

    def _way(self, leaves_out: str, plan: Plan, seen: Seen, examples: int, transcript: bool) -> Way:
        return Way(leaves_out, lambda: self._prompt(plan, seen, examples, transcript))

    def _prompt(self, plan: Plan, seen: Seen, examples: int, transcript: bool) -> Prompt:
        say = self.words
        parts = [say("reflector", "plan", plan=shown_plan(plan)), self._stages(seen.runs)]
        if examples:
            lines = "\n".join(self._loss(one) for one in _spread(seen.losses, examples))
            parts.append(say("reflector", "losses", losses=lines))
        if transcript and (heard := self._heard(seen)):
            parts.append(heard)
        context = Context(text="\n\n".join(parts), system=say("reflector", "system"))
        return Prompt(context, say("reflector", "ask"))

    def _stages(self, runs: Sequence[Ran]) -> str:
        totals: dict[str, list[int]] = {}
        for ran in runs:
            for stage, counts in ran.result.stages.items():
                own = totals.setdefault(stage, [0, 0, 0])
                totals[stage] = [total + count for total, count in zip(own, counts, strict=True)]
        lines = "\n".join(
            self.words("reflector", "stage", stage=stage, right=right, wrong=wrong, missing=missing)
            for stage, (right, wrong, missing) in totals.items()
        )
        return self.words("reflector", "stages", notes=len(runs), stages=lines)

    def _loss(self, loss: Loss) -> str:
        name, other = safe(loss.name, most=90), safe(loss.other, most=90)
        key = {"never": "missed_never", "dropped": "missed_dropped", "near": "missed_near"}.get(loss.kind, "spurious")
        if key == "spurious" and not other:
            key = "spurious_bare"
        return self.words("reflector", key, name=name, stage=loss.stage, near=other, evidence=other)

    def _heard(self, seen: Seen) -> str:
        """What the model was asked and said, at the step that lost most among those that asked, on the worst note."""
        order = [stage for _, stage, *_ in summary(seen.losses) if stage]
        for ran in seen.runs:
            asked = {trace.step: trace.transcript for trace in ran.traces if trace.transcript}
            stage = next((one for one in (*order, *asked) if one in asked), None)
            if stage is not None:
                lines = "\n".join(
                    self.words(
                        "reflector",
                        "asked",
                        prompt=safe(str(one["prompt"]), most=QUOTED),
                        answer=safe(str(one["answer"]), most=QUOTED),
                    )
                    for one in asked[stage][:2]
                )
                return self.words("reflector", "heard", stage=stage, heard=lines)
        return ""


def said(findings: Iterable[Finding]) -> str:
    """The findings on one line, as the designer reads them."""
    return " ".join(f"[{one.stage}] {one.finding}{'' if not one.advice else ' -> ' + one.advice}" for one in findings)


def _spread(found: Sequence[Loss], most: int) -> list[Loss]:
    """Examples of every kind in turn, so that none crowds out the others."""
    by_kind: dict[str, list[Loss]] = {}
    for one in found:
        by_kind.setdefault(one.kind, []).append(one)
    rows = [kind[place] for place in range(len(found)) for kind in by_kind.values() if place < len(kind)]
    return rows[:most]
