"""guideline_validator: the code book's rules as a filter. MedDCR's ``GuidelineValidator``; asks nobody.

The compliance oracle (:mod:`jointcoder.codebook.rules`) names what is wrong; of the rules that ``enforce`` names the
offending code is dropped: the code itself where it does not exist or does not fit the patient, the parent beside its
child, of two that an Excludes1 note keeps apart the less sure one. Each drop is a finding on the code for which the
other gave way. Which rules exist, and what they cite, is the oracle's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from jointcoder.codebook.rules import check
from jointcoder.records import AssignedCode, Finding, Severity
from jointcoder.steps import base
from jointcoder.steps.base import CODE_SLOTS, Run, State, Tools, Update, edition_date
from jointcoder.steps.both import CodesStep, KindsOptions
from jointcoder.steps.common import ranked

Family = Literal["invalid", "parents", "excludes1", "sex", "age", "integral"]
RULES: Mapping[Family, tuple[str, ...]] = {
    "invalid": (
        *("unknown", "not-assignable", "not-valid", "seventh-missing", "seventh-illegal", "placeholder"),
        "pcs-illegal",
    ),
    "parents": ("heading-with-code", "duplicate"),
    "excludes1": ("excludes1",),
    "sex": ("sex",),
    "age": ("age",),
    "integral": ("integral-symptom",),
}
OF_TWO = ("excludes1",)  # rules against a pair: the less sure code gives way, not the one that is named first


class ValidatorOptions(KindsOptions):
    """``enforce``: families of rules whose offenders are dropped; ``strict``: also where the rule is only a warning for
    the pair (an Excludes1 note of a higher heading)."""

    enforce: tuple[Family, ...] = Field(default=("invalid", "parents", "excludes1", "sex", "age"), min_length=1)
    strict: bool = False


class GuidelineValidator(CodesStep):
    """Drops what the rules forbid."""

    name: ClassVar[str] = "guideline_validator"
    purpose: ClassVar[str] = "drop what the rules forbid: invalid, parent of a coded child, Excludes1, sex, age"
    Options: ClassVar[type[base.StepOptions]] = ValidatorOptions
    options: ValidatorOptions
    also_reads = frozenset({"encounter", "language"})

    def run(self, state: State, tools: Tools) -> Run:
        yield from ()
        codes = [code for _, own in self.drafts(state, tools) for code in own]
        dropped: dict[str, str] = {}  # code → rule
        checks: dict[str, list[Finding]] = {}  # code that stays → why another went
        while (offence := self._offence(codes, state, tools)) is not None:
            finding, loser = offence
            dropped[loser.code] = finding.rule
            codes = [code for code in codes if code is not loser]
            for other in finding.codes:
                if other != loser.code:
                    checks.setdefault(other, []).append(finding)
        values = {
            CODE_SLOTS[kind]: self.passed(
                code.with_(checks=tuple(dict.fromkeys((*code.checks, *checks.get(code.code, ())))))
                for code in codes
                if code.kind is kind
            )
            for kind in self.coded(tools)
        }
        return Update(values, notes={"dropped": len(dropped), "rules": dropped})

    def _offence(
        self, codes: Sequence[AssignedCode], state: State, tools: Tools
    ) -> tuple[Finding, AssignedCode] | None:
        """The first finding of an enforced rule, and the code that has to go for it."""
        enforced = {rule for family in self.options.enforce for rule in RULES[family]}
        ordered = [one for kind in self.coded(tools) for one in ranked(code for code in codes if code.kind is kind)]
        found = check(tools.book, ordered, on=edition_date(state.encounter), patient=state.encounter.patient)
        for finding in found:
            if finding.rule not in enforced:
                continue
            if finding.rule in OF_TWO and finding.severity is not Severity.ERROR and not self.options.strict:
                continue
            held = [code for named in finding.codes for code in codes if code.code == named]
            if held:
                return finding, min(held, key=lambda code: code.confidence) if finding.rule in OF_TWO else held[0]
        return None
