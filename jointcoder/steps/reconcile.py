"""reconcile: diagnoses and procedures meet. Last of the flow.

Drops findings that are integral to a coded disease and parents of coded children, links each procedure to the
diagnosis that explains it (:mod:`.joint` for the Chinese code sets), looks whether the record bears out its own list
(:mod:`.support`), sets present-on-admission where the record shows it, runs the rule check, and gives the
final ranks. A principal that the rules forbid gives way to the next code.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import ClassVar

from jointcoder.codebook.rules import check, integral_citation, is_integral
from jointcoder.records import (
    AssignedCode,
    Finding,
    Flag,
    Kind,
    Link,
    Mention,
    Severity,
    System,
)
from jointcoder.steps import base, joint
from jointcoder.steps.admission import with_admission
from jointcoder.steps.base import Run, State, Tools, Update, edition_date
from jointcoder.steps.common import ranked
from jointcoder.steps.support import supported


class ReconcileOptions(base.StepOptions):
    """``drop_integral``: leave out symptoms that a coded disease explains (guideline I.B.5); ``drop_vague``: leave out
    parents of coded children, and a category's default beside a specific code of it (guideline I.B.18)."""

    drop_integral: bool = True
    drop_vague: bool = True


class Reconcile(base.Step):
    """Joint checks, links, present-on-admission, final order."""

    name: ClassVar[str] = "reconcile"
    purpose: ClassVar[str] = "diagnoses ↔ procedures, integral findings, rule check, final order"
    Options: ClassVar[type[base.StepOptions]] = ReconcileOptions
    options: ReconcileOptions
    reads = frozenset({"encounter", "language", "sections", "mentions", "diagnoses", "procedures"})
    writes = frozenset({"diagnoses", "procedures", "findings"})

    def run(self, state: State, tools: Tools) -> Run:
        mentions = {mention.id: mention for mention in state.mentions}
        diagnoses, procedures = list(state.diagnoses), list(state.procedures)
        findings: list[Finding] = []
        if self.options.drop_vague:
            diagnoses, dropped = without_parents(diagnoses, tools)
            diagnoses, defaults = without_defaults(diagnoses, tools)
            procedures, parents = without_parents(procedures, tools)
            findings += [*dropped, *defaults, *parents]
        if self.options.drop_integral:
            diagnoses, integral = without_integral(diagnoses)
            diagnoses, taken = joint.without_taken_in(diagnoses)
            findings += [*integral, *taken]
        on = edition_date(state.encounter)
        diagnoses, states = joint.without_states(diagnoses, procedures, state)
        findings += states
        procedures = [code if joint.pairs_of(code) else linked(code, diagnoses, mentions) for code in procedures]
        diagnoses, procedures = joint.with_links(diagnoses, procedures)
        diagnoses, procedures = joint.ordered(diagnoses, procedures)
        diagnoses = allowed_first(diagnoses, tools, state, on)
        diagnoses, doubts = supported(diagnoses, state)
        codes = [*with_admission(ranked(diagnoses), state, tools), *ranked(procedures)]
        # Present on admission is reported of stays; a visit has no day of admission.
        stay = state.encounter.admitted is not None
        ruled = check(tools.book, codes, on=on, patient=state.encounter.patient, inpatient=stay)
        codes = [with_findings(code, ruled) for code in codes]
        flags = (*self._flags(codes, state, tools), *doubts, *joint.flags(states, diagnoses, procedures))
        yield from ()
        return Update(
            {
                "diagnoses": tuple(code for code in codes if code.kind is Kind.DIAGNOSIS),
                "procedures": tuple(code for code in codes if code.kind is Kind.PROCEDURE),
                "findings": (*findings, *ruled),
            },
            flags,
            {"findings": len(ruled), "dropped": len(findings), **compliance(codes, ruled)},
        )

    def _flags(self, codes: Sequence[AssignedCode], state: State, tools: Tools) -> tuple[Flag, ...]:
        if not codes:
            return (Flag(code="JC603", step=self.name, message="no code was assigned; a coder should look"),)
        if tools.system(Kind.DIAGNOSIS) and not any(code.kind is Kind.DIAGNOSIS for code in codes):
            return (Flag(code="JC604", step=self.name, message="no principal diagnosis could be determined"),)
        return ()


def compliance(codes: Sequence[AssignedCode], findings: Sequence[Finding]) -> dict[str, int]:
    """How many codes the rules were applied to, and how many of them no error was found about."""
    wrong = {code for finding in findings if finding.severity is Severity.ERROR for code in finding.codes}
    return {"applied": len(codes), "passed": sum(code.code not in wrong for code in codes)}


def without_parents(codes: Sequence[AssignedCode], tools: Tools) -> tuple[list[AssignedCode], list[Finding]]:
    """The codes without those whose own descendant is coded too."""
    kept, findings = [], []
    for code in codes:
        child = next(
            (c for c in codes if c is not code and c.code.startswith(code.code) and len(c.code) > len(code.code)),
            None,
        )
        if (
            child
            and code.system is not System.ICD10PCS
            and code.code in {a.code for a in tools.book.ancestors(code.system, child.code)}
        ):
            message = f"{code.code} is the parent of {child.code}, which is coded"
            findings.append(
                Finding(
                    rule="duplicate.parent",
                    severity=Severity.ADVICE,
                    codes=(code.code, child.code),
                    message=message,
                )
            )
        else:
            kept.append(code)
    return kept, findings


def without_defaults(codes: Sequence[AssignedCode], tools: Tools) -> tuple[list[AssignedCode], list[Finding]]:
    """The codes without a category's default ("unspecified", "without complications") beside a specific code of the
    same category. ICD-10-CM Official Guidelines, section I.B.18 (unspecified codes)."""
    kept, findings = [], []
    for code in codes:
        category = next((e for e in tools.book.ancestors(code.system, code.code) if len(e.code) == 3), None)
        default = category and tools.book.default_billable(code.system, category.code)
        same = [c for c in codes if category and c is not code and c.code.startswith(category.code)]
        if code.system is System.ICD10CM and same and default and default.code == code.code:
            message = f"{code.code} {code.name} says less than {same[0].code} and was left out"
            findings.append(
                Finding(
                    rule="default_beside_specific",
                    severity=Severity.ADVICE,
                    codes=(code.code, same[0].code),
                    message=message,
                    citation="ICD-10-CM Official Guidelines, section I.B.18 (use of unspecified codes)",
                )
            )
        else:
            kept.append(code)
    return kept, findings


def without_integral(codes: Sequence[AssignedCode]) -> tuple[list[AssignedCode], list[Finding]]:
    """The codes without findings that a coded disease explains; each drop is a Finding with its citation."""
    kept, findings = [], []
    for code in codes:
        disease = next((d for d in codes if _explains(d, code)), None)
        if disease is None:
            kept.append(code)
            continue
        findings.append(
            Finding(
                rule="integral_symptom",
                severity=Severity.ADVICE,
                codes=(code.code, disease.code),
                message=f"{code.code} {code.name} is integral to {disease.code} and was left out",
                citation=integral_citation(),
            )
        )
    return kept, findings


def _explains(disease: AssignedCode, finding: AssignedCode) -> bool:
    return (
        finding is not disease
        and finding.system in (System.ICD10CM, System.ICD10CN)
        and is_integral(finding.code, disease.code)
    )


def linked(procedure: AssignedCode, diagnoses: Sequence[AssignedCode], mentions: dict[str, Mention]) -> AssignedCode:
    """The procedure with a link to the diagnosis whose name or wording shares most with it; unlinked if none does."""
    own = _grams(procedure, mentions)
    best, share = None, 0.0
    for diagnosis in diagnoses:
        other = _grams(diagnosis, mentions)
        overlap = len(own & other) / max(1, min(len(own), len(other)))
        if overlap > share:
            best, share = diagnosis, overlap
    if best is None or share < 0.2:
        return procedure
    return procedure.with_(links=(*procedure.links, Link(relation="explained_by", system=best.system, code=best.code)))


def _grams(code: AssignedCode, mentions: dict[str, Mention]) -> set[str]:
    """Five-letter word heads of Latin text, character pairs of Chinese text."""
    words = f"{code.name} {' '.join(mentions[m].name for m in code.mentions if m in mentions)}".casefold().split()
    grams: set[str] = set()
    for word in words:
        letters = "".join(character for character in word if character.isalpha())
        if letters.isascii():
            grams.update({letters[:5]} if len(letters) >= 5 else ())
        else:
            grams.update(letters[i : i + 2] for i in range(len(letters) - 1))
    return grams


def allowed_first(codes: Sequence[AssignedCode], tools: Tools, state: State, on: dt.date | None) -> list[AssignedCode]:
    """The order with the first code that the rules allow as principal in front."""
    order = list(codes)
    for place, code in enumerate(order):
        trial = ranked([code])
        found = check(tools.book, trial, on=on, patient=state.encounter.patient)
        if not any(finding.rule.startswith("principal") for finding in found):
            return [code, *order[:place], *order[place + 1 :]]
    return order


def with_findings(code: AssignedCode, findings: Sequence[Finding]) -> AssignedCode:
    """The code with the findings that concern it."""
    own = tuple(finding for finding in findings if code.code in finding.codes)
    return code.with_(checks=(*code.checks, *own), stages=(*code.stages, "reconcile"))
